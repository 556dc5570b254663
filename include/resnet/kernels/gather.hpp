// Where a convolution reads: for each run of output positions the taps that touch data, as offsets from the run's
// input.
//
// Positions of one row with the same live taps form a run: a matrix of (positions x images) rows, on which a tap is a
// constant offset. One table serves every kernel size, stride and padding; the gradient of the input is the same walk
// with the roles of input and output exchanged (a stride then gives parity classes: no zero is ever multiplied).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <resnet/core/convolution_shape.hpp>

namespace resnet::inline v0 {

struct GatherTap {
    std::int32_t input = 0;   // positions, from the run's input
    std::int32_t weight = 0;  // index into GatherTable::live
};

/// `count` output positions from `output` on, `output_step` apart; they read from `input` on, `input_step` apart.
struct GatherRun {
    std::int32_t output = 0, input = 0, count = 0;
    std::int32_t first_tap = 0, taps = 0;
};

struct GatherTable {
    int input_step = 1, output_step = 1;
    std::vector<GatherRun> runs;  // by output row
    std::vector<GatherTap> taps;
    std::vector<int> live;  // the taps (ky * K + kx) that touch data anywhere; others need no weights
    int longest_run = 0;    // positions
};

/// Positions of one tap: the runs of an output row and what they read.
struct TapRuns {
    int tap = 0;
    std::vector<GatherRun> runs;
};

namespace detail {

struct AxisTap {
    int input, tap;
};
/// Coordinates output, output + step, ... (count of them) along one axis, which all have the same live taps.
struct AxisRun {
    int output = 0, input = 0, count = 0;
    std::vector<AxisTap> taps;

    bool continues(const AxisRun& next, int input_step, int output_step) const {
        return next.output == output + count * output_step && next.input == input + count * input_step &&
               std::equal(taps.begin(), taps.end(), next.taps.begin(), next.taps.end(),
                          [](AxisTap a, AxisTap b) { return a.input == b.input && a.tap == b.tap; });
    }
};

/// Forward: output y reads y * stride + tap - padding.
inline AxisRun forward_axis(int y, int kernel, int stride, int padding, int inputs) {
    AxisRun run{.output = y, .input = y * stride - padding, .count = 1, .taps = {}};
    for (int tap = 0; tap < kernel; ++tap)
        if (run.input + tap >= 0 && run.input + tap < inputs) run.taps.push_back({tap, tap});
    return run;
}
/// Backward: input y is read by output (y + padding - tap) / stride where that is whole.
inline AxisRun backward_axis(int y, int kernel, int stride, int padding, int outputs) {
    AxisRun run{.output = y, .input = (y + padding) / stride, .count = 1, .taps = {}};
    for (int tap = (y + padding) % stride, back = 0; tap < kernel; tap += stride, ++back)
        if (run.input - back >= 0 && run.input - back < outputs) run.taps.push_back({-back, tap});
    return run;
}

inline std::vector<AxisRun> axis_runs(bool forward, int kernel, int stride, int padding, int from, int to) {
    const int input_step = forward ? stride : 1, output_step = forward ? 1 : stride;
    std::vector<AxisRun> runs;
    for (int phase = 0; phase < output_step; ++phase)
        for (int y = phase; y < to; y += output_step) {
            AxisRun run = forward ? forward_axis(y, kernel, stride, padding, from)
                                  : backward_axis(y, kernel, stride, padding, from);
            if (y != phase && runs.back().continues(run, input_step, output_step)) ++runs.back().count;
            else runs.push_back(std::move(run));
        }
    return runs;
}

/// Adds a run, or makes the last one longer where both sides go on without a gap. Runs stay short enough to share among
/// chunks.
inline void append_run(std::vector<GatherRun>& runs, const GatherRun& run, int input_step, int output_step,
                       int longest) {
    for (int done = 0; done < run.count;) {
        GatherRun* last = runs.empty() ? nullptr : &runs.back();
        const int output = run.output + done * output_step, input = run.input + done * input_step;
        if (last != nullptr && last->count < longest && last->first_tap == run.first_tap && last->taps == run.taps &&
            last->output + last->count * output_step == output && last->input + last->count * input_step == input) {
            const int more = std::min(longest - last->count, run.count - done);
            last->count += more;
            done += more;
        } else {
            const int count = std::min(longest, run.count - done);
            runs.push_back({output, input, count, run.first_tap, run.taps});
            done += count;
        }
    }
}

}  // namespace detail

/// The walk of a convolution's output (forward) or of the gradient of its input (not forward).
inline GatherTable gather_table(const ConvolutionShape& shape, bool forward) {
    const Window& w = shape.window;
    const Extent from = forward ? shape.input : shape.output, to = forward ? shape.output : shape.input;
    const auto rows = detail::axis_runs(forward, w.height, w.stride, w.padding, from.height, to.height);
    const auto columns = detail::axis_runs(forward, w.width, w.stride, w.padding, from.width, to.width);

    GatherTable table{.input_step = forward ? w.stride : 1,
                      .output_step = forward ? 1 : w.stride,
                      .runs = {},
                      .taps = {},
                      .live = {},
                      .longest_run = 0};
    for (const auto& row : rows)
        for (const auto y : row.taps)
            for (const auto& column : columns)
                for (const auto x : column.taps) table.live.push_back(y.tap * w.width + x.tap);
    std::sort(table.live.begin(), table.live.end());
    table.live.erase(std::unique(table.live.begin(), table.live.end()), table.live.end());
    const auto index_of = [&](int tap) {
        return static_cast<std::int32_t>(std::lower_bound(table.live.begin(), table.live.end(), tap) -
                                         table.live.begin());
    };

    struct Row {
        int output, input;
        std::size_t run;
    };
    std::vector<Row> order;
    std::vector<std::vector<GatherRun>> lists(rows.size());  // the tap lists of each kind of row
    for (std::size_t r = 0; r < rows.size(); ++r) {
        for (const auto& column : columns) {
            GatherRun run{.output = column.output, .input = column.input, .count = column.count};
            run.first_tap = static_cast<std::int32_t>(table.taps.size());
            for (const auto y : rows[r].taps)
                for (const auto x : column.taps)
                    table.taps.push_back({y.input * from.width + x.input, index_of(y.tap * w.width + x.tap)});
            run.taps = static_cast<std::int32_t>(table.taps.size()) - run.first_tap;
            lists[r].push_back(run);
        }
        for (int j = 0; j < rows[r].count; ++j)
            order.push_back({rows[r].output + j * table.output_step, rows[r].input + j * table.input_step, r});
    }
    std::sort(order.begin(), order.end(), [](const Row& a, const Row& b) { return a.output < b.output; });
    constexpr int longest = 128;
    for (const Row& row : order)
        for (GatherRun run : lists[row.run]) {
            run.output += row.output * to.width;
            run.input += row.input * from.width;
            detail::append_run(table.runs, run, table.input_step, table.output_step, longest);
        }
    for (const GatherRun& run : table.runs) table.longest_run = std::max(table.longest_run, int{run.count});
    return table;
}

/// The forward walk with taps outermost: for each tap of `live` the output positions that use it and what they read.
inline std::vector<TapRuns> tap_runs(const ConvolutionShape& shape) {
    const Window& w = shape.window;
    constexpr int longest = 8;  // positions: with 16 images a run's rows stay in the first-level cache
    std::vector<TapRuns> taps;
    for (int ky = 0; ky < w.height; ++ky)
        for (int kx = 0; kx < w.width; ++kx) {
            const LiveRange ys = live_range(ky, w.stride, w.padding, shape.input.height, shape.output.height);
            const LiveRange xs = live_range(kx, w.stride, w.padding, shape.input.width, shape.output.width);
            if (ys.count() == 0 || xs.count() == 0) continue;
            TapRuns entry{.tap = ky * w.width + kx, .runs = {}};
            for (int y = ys.first; y < ys.last; ++y) {
                GatherRun run{.output = y * shape.output.width + xs.first, .count = xs.count()};
                run.input = (y * w.stride + ky - w.padding) * shape.input.width + xs.first * w.stride + kx - w.padding;
                detail::append_run(entry.runs, run, w.stride, 1, longest);
            }
            taps.push_back(std::move(entry));
        }
    return taps;
}

}  // namespace resnet::inline v0
