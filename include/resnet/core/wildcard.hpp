// Patterns over dotted names: "blk1.*".
#pragma once

#include <cstddef>
#include <string_view>

namespace resnet::inline v0::detail {

/// '*' any number of characters, '?' one. Only the last '*' is ever given more characters: those before it can keep the
/// fewest. So the time is at most the product of the lengths, whatever a file names its tensors.
constexpr bool matches(std::string_view pattern, std::string_view text) {
    constexpr std::size_t none = std::string_view::npos;
    std::size_t p = 0, t = 0, star = none, after_star = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            after_star = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != none) {
            p = star + 1;
            t = ++after_star;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == none;
}

}  // namespace resnet::inline v0::detail
