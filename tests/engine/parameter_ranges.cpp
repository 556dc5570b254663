#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <resnet/engine/parameter_ranges.hpp>
#include <resnet/resnet18.hpp>

#include "../support/engine.hpp"

using namespace resnet;

namespace {

using Net = ResNet18<10>;

Plan plan_of(Extent image, const std::vector<char>& frozen) {
    const Graph graph = trace<Net>(image);
    return {
        graph, differentiate(graph, fuse(graph, Mode::training), frozen), {}, kernels<float>(current_isa()).panels(0)};
}

struct Ranges {
    std::vector<char> frozen, live;
    std::vector<ParameterRange> list;
    Graph graph;

    explicit Ranges(Extent image, const std::vector<std::string>& frozen_names = {}, std::vector<char> live_before = {})
        : frozen(trace<Net>(image).parameters.size(), 0),
          live{std::move(live_before)},
          graph{trace<Net>(image)} {
        for (int p = 0; p < static_cast<int>(frozen.size()); ++p)
            for (const std::string& name : frozen_names)
                if (graph.parameter_name(p) == name) at(frozen, p) = 1;
        list = parameter_ranges(plan_of(image, frozen), frozen, live);
    }
    /// Elements of a parameter whose gradient some step writes.
    Index live_elements(const std::string& name) const {
        Index sum = 0;
        for (const ParameterRange& range : list)
            if (range.live && graph.parameter_name(range.parameter) == name) sum += range.count;
        return sum;
    }
};

}  // namespace

TEST_CASE("ranges: cover every element of every parameter once, in whole lines of 16, each with its role") {
    const Ranges ranges{{32, 32}};
    std::vector<int> covered(static_cast<std::size_t>(ranges.graph.parameter_elements), 0);
    for (const ParameterRange& range : ranges.list) {
        CHECK(range.offset % 16 == 0);
        CHECK(range.count % 16 == 0);
        CHECK(range.count > 0);
        CHECK(range.role == at(ranges.graph.parameters, range.parameter).spec.role);
        for (Index i = range.offset; i < range.offset + range.count; ++i) ++covered[static_cast<std::size_t>(i)];
    }
    Index wrong = 0;
    for (const int n : covered) wrong += n == 1 ? 0 : 1;
    CHECK(wrong == 0);
}

TEST_CASE("ranges: taps that touch no data, and biases that batch norm cancels, are not live") {
    const Ranges ranges{{32, 32}};
    CHECK(ranges.live_elements("blk4.conv2.weight") == 512 * 512);      // 1x1 maps: the centre tap
    CHECK(ranges.live_elements("blk4.conv1.weight") == 4 * 512 * 256);  // 2x2 to 1x1
    CHECK(ranges.live_elements("blk1.conv1.weight") == 9 * 64 * 64);
    CHECK(ranges.live_elements("blk1.conv1.bias") == 0);
    CHECK(ranges.live_elements("blk1.bn1.bias") == 64);
    CHECK(ranges.live_elements("outlayer.bias") == 16);  // 10 and the padding of its line
}

TEST_CASE(
    "ranges: what was live for another extent stays live, since an optimizer's moments are no longer zero there") {
    const Ranges large{{64, 64}};
    REQUIRE(large.live_elements("blk4.conv2.weight") == 9 * 512 * 512);
    const Ranges small{{32, 32}, {}, large.live};
    CHECK(small.live_elements("blk4.conv2.weight") == 9 * 512 * 512);
}

TEST_CASE("ranges: leave frozen parameters out, and only those") {
    const Ranges ranges{{32, 32}, {"blk1.conv1.weight", "blk2.bn1.bias"}};
    for (const ParameterRange& range : ranges.list) CHECK(at(ranges.frozen, range.parameter) == 0);
    CHECK(ranges.live_elements("blk1.conv1.weight") == 0);
    CHECK(ranges.live_elements("blk2.bn1.bias") == 0);
    CHECK(ranges.live_elements("blk2.bn1.weight") == 128);
    CHECK(ranges.live_elements("blk1.conv2.weight") == 9 * 64 * 64);
}
