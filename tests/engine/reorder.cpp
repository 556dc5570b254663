#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include <resnet/engine/reorder.hpp>

using namespace resnet;

namespace {

/// A parameter's numbers in our order, element after element.
std::vector<float> element_by_element(const ParameterSpec& spec, const std::vector<float>& theirs) {
    std::vector<float> ours;
    for (int y = 0; y < spec.height; ++y)
        for (int x = 0; x < spec.width; ++x)
            for (int i = 0; i < spec.in; ++i)
                for (int o = 0; o < spec.out; ++o)
                    ours.push_back(theirs[static_cast<std::size_t>(
                        ((Index{o} * spec.in + i) * spec.height + y) * spec.width + x)]);
    return ours;
}

}  // namespace

TEST_CASE("reorder: each element comes to its place, both ways, whatever is left of strips and tiles") {
    for (const int out : {1, 5, 63, 64, 65, 130}) {
        for (const int in : {1, 3, 16, 17}) {
            for (const auto& [height, width] : {Extent{1, 1}, Extent{3, 3}, Extent{1, 7}, Extent{7, 5}}) {
                const ParameterSpec spec{
                    .name = "weight", .dimensions = 4, .out = out, .in = in, .height = height, .width = width};
                std::vector<float> theirs(static_cast<std::size_t>(spec.size()));
                std::iota(theirs.begin(), theirs.end(), 0.0f);
                const std::vector<float> expected = element_by_element(spec, theirs);
                std::vector<float> ours(theirs.size(), -1), back(theirs.size(), -1);
                detail::reorder(spec, ours.data(), std::as_const(theirs).data(), 0, out);
                CHECK(ours == expected);
                detail::reorder(spec, expected.data(), back.data(), 0, out);
                CHECK(back == theirs);

                std::ranges::fill(ours, -1.0f);
                const Index length = spec.size() / out;
                for (Index first = 0; first < out; first += detail::reorder_strip) {
                    const Index count = std::min(detail::reorder_strip, out - first);
                    detail::reorder(spec, ours.data(), std::as_const(theirs).data() + first * length, first, count);
                }
                CHECK(ours == expected);
            }
        }
    }
}
