// Sentences from strings and numbers, for messages and tables.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace resnet::inline v0::detail {

inline void append(std::string& text, std::string_view part) { text.append(part); }
void append(std::string& text, std::integral auto number) { text.append(std::to_string(number)); }

/// The parts one after another: text("a batch of ", 128). (A chain of + would do, but for g++ 12, which sees
/// overlapping memory in `"literal" + std::to_string(n)` where there is none and warns of it in the user's build: its
/// bug 105651.)
std::string text(const auto&... parts) {
    std::string result;
    (append(result, parts), ...);
    return result;
}

}  // namespace resnet::inline v0::detail
