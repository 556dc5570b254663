// The rules that a network's body can break which no type expresses: extents, and what is a member. Each is a function
// that throws, so that in a constant expression the compiler's error names the rule.
#pragma once

#include <string>
#include <string_view>

#include <resnet/core/error.hpp>
#include <resnet/core/text.hpp>
#include <resnet/graph/graph.hpp>

namespace resnet::inline v0 {

namespace rules {
[[noreturn]] inline void image_is_smaller_than_the_window(std::string_view op, Extent image, Window window) {
    throw Error(op,
                detail::text("a map of at least ", window.height - 2 * window.padding, "x",
                             window.width - 2 * window.padding, " positions"),
                detail::text(image.height, "x", image.width), "the image is too small for this network");
}
[[noreturn]] inline void summands_have_unlike_extents(Extent a, Extent b) {
    throw Error("sum", "two maps of the same extent",
                detail::text(a.height, "x", a.width, " and ", b.height, "x", b.width));
}
[[noreturn]] inline void flatten_has_other_features(int expected, Index found) {
    throw Error("flatten", detail::text(expected, " features"), std::to_string(found),
                "channels x height x width of the map; it depends on the image's extent");
}
[[noreturn]] inline void layer_is_not_a_member() {
    throw Error("trace", "a layer that is in RESNET_MEMBERS of its network", "one that is not, or a temporary");
}
[[noreturn]] inline void network_does_not_return_features() {
    throw Error("trace", "a body that returns logits: Features, as a linear layer gives", "a map; pool or flatten it");
}
[[noreturn]] inline void logits_are_a_flattened_map(Extent map) {
    throw Error("trace", "logits of one position, as a linear layer gives", detail::text(map.height, "x", map.width));
}
[[noreturn]] inline void custom_output_is_empty(Extent found) {
    throw Error("custom_operation", "an output of at least 1x1", detail::text(found.height, "x", found.width));
}
[[noreturn]] inline void linear_is_used_on_unlike_maps() {
    throw Error("linear", "the same flattened map for all uses of the layer, whatever the extent of the images", "two");
}
[[noreturn]] inline void padding_is_more_than_half_the_window(std::string_view op) {
    throw Error(op, "padding of at most half the window", "more");
}
}  // namespace rules

}  // namespace resnet::inline v0
