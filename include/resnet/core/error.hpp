// The one exception family of the library. Every message names where, what was expected and what was found.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#if defined(__FAST_MATH__) || __FINITE_MATH_ONLY__
#error "resnet: -ffast-math and -ffinite-math-only break NaN checks and reproducibility; build without them"
#endif
#ifndef __cpp_exceptions
#error "resnet: errors are exceptions; build without -fno-exceptions"
#endif

namespace resnet::inline v0 {

/// What the library throws: `where: expected ..., found ...`, and a hint where the likely cause is known.
/// `where` is a layer ("blk2.conv1"), a file, or the function that was called.
class Error : public std::runtime_error {
public:
    // Cold: compiled for size, and so are the ways to it.
    [[gnu::cold]] Error(std::string_view where, std::string_view expected, std::string_view found,
                        std::string_view hint = {})
        : std::runtime_error(message(where, expected, found, hint)),
          where_(where),
          expected_(expected),
          found_(found) {}

    const std::string& where() const noexcept { return where_; }
    const std::string& expected() const noexcept { return expected_; }
    const std::string& found() const noexcept { return found_; }

private:
    [[gnu::cold]] static std::string message(std::string_view where, std::string_view expected, std::string_view found,
                                             std::string_view hint) {
        std::string text{where};
        text.append(": expected ").append(expected).append(", found ").append(found);
        if (!hint.empty()) text.append(" (").append(hint).append(")");
        return text;
    }

    std::string where_, expected_, found_;
};

/// A file whose content breaks its format; `where()` is the file, and the part of it where the defect lies.
class FormatError : public Error {
public:
    using Error::Error;
};

/// A file or folder that can't be opened, read or written; the message carries the operating system's reason.
class FileError : public Error {
public:
    using Error::Error;
};

/// A loss, a gradient norm, statistics of a batch or a weight to be saved that is infinite or not a number: thrown
/// before anything changes.
class NotFiniteError : public Error {
public:
    using Error::Error;
};

}  // namespace resnet::inline v0
