// Direct convolution of a few rows, such as one image on a small map. There each run of positions has a few rows and
// taps of its own, and would read the weights of its taps again. Here taps go outermost instead: the rows of a tap are
// gathered, and a weight is read once for up to 32 of them. The additions of a sum and their order are those of
// convolution.inl, and so are its bits, but for the sign of a sum that is zero by underflow.

/// The rows of a tap, gathered side by side: its inputs, and the sums, which wait in the output from tap to tap.
template <class Scalar>
struct TapRows {
    static constexpr int most = 32;
    static constexpr Index depth = 256;  // input channels at a time: most * depth floats are 32 KiB
    int count = 0;
    Index input[most], output[most];  // of each row
    alignas(64) Scalar inputs[most * depth];
    alignas(64) Scalar sums[most * widest_panel];
};

/// Adds the products of tap `t` to the sums of a panel, or of a group of wide ones.
template <class Scalar>
void add_tap(const ConvolutionJob<Scalar>& job, const Panels::Panel& panel, int group, Index t, TapRows<Scalar>& rows) {
    const Index in = job.in, live = static_cast<Index>(job.table->live.size());
    const Index width = Index{panel.vectors} * Vector<Scalar>::lanes, panel_stride = width * live * in;
    const Index sums_per_row = group * width, valid = group == 1 ? panel.valid : sums_per_row;
    const Scalar* weight = job.weight + (panel.first * live + t * width) * in;
    for (int r = 0; r < rows.count; ++r)
        std::copy_n(job.output + rows.output[r] * job.out + panel.first, valid, rows.sums + r * sums_per_row);
    for (Index k = 0; k < in; k += rows.depth) {
        const Index depth = std::min(rows.depth, in - k);
        // Nearer weights are not worth a block's notice: the tutorial's network is 1 % slower with it.
        TileWeights<Scalar> weights{weight + k * width, panel_stride};
        if (job.distant_weights && weights_ahead(rows.count) == 0) weights.next = depth * width;
        else weights.ahead = prefetch_distance;
        for (int r = 0; r < rows.count; ++r)
            std::copy_n(job.input + rows.input[r] * in + k, depth, rows.inputs + r * depth);
        const Tap tap{0, 0};
        convolution_rows(
            rows.count, panel, group, rows.inputs, depth, &tap, 1, depth, weights,
            {.output = rows.sums, .start = rows.sums, .stride = sums_per_row, .bias = nullptr, .relu = false});
    }
    for (int r = 0; r < rows.count; ++r)
        std::copy_n(rows.sums + r * sums_per_row, valid, job.output + rows.output[r] * job.out + panel.first);
    rows.count = 0;
}

/// The convolution of convolution.inl, forward: job.accumulate is false.
template <class Scalar>
void convolution_by_tap(const ConvolutionJob<Scalar>& job) noexcept {
    const GatherTable& table = *job.table;
    const Panels panels{job.out, Vector<Scalar>::lanes, tile_vectors};
    const GatherRun &front = table.runs[static_cast<std::size_t>(job.first_run)],
                    &back = table.runs[static_cast<std::size_t>(job.last_run - 1)];
    const Index begin = front.output, end = back.output + back.count, b = job.images;

    // Narrow panels in groups: rows are gathered once for all of them.
    int group = 1;
    TapRows<Scalar> rows;
    for (int p = job.first_panel; p < job.last_panel; p += group) {
        const Panels::Panel panel = panels[p];
        group = panel_group(panels, p, job.last_panel, narrow_panels_together(panels, 1));
        const Index first = panel.first, last = panels[p + group - 1].first + panels[p + group - 1].valid;
        for (Index row = begin * b; row < end * b; ++row)
            for (Index c = first, at = row * job.out + first; c < last; ++c, ++at) {
                // The residual may lie where the output goes.
                const Scalar residual = job.residual != nullptr ? job.residual[at] : Scalar{0};
                job.output[at] = (job.bias != nullptr ? job.bias[c] : Scalar{0}) + residual;
            }
        for (Index t = 0; t < static_cast<Index>(table.live.size()); ++t) {
            for (const GatherRun& run : job.taps[t].runs)
                for (Index i = std::max<Index>(begin - run.output, 0); i < std::min<Index>(end - run.output, run.count);
                     ++i)
                    for (Index n = 0; n < b; ++n) {
                        rows.input[rows.count] = (run.input + i * table.input_step) * b + n;
                        rows.output[rows.count] = (run.output + i) * b + n;
                        if (++rows.count == rows.most) add_tap(job, panel, group, t, rows);
                    }
            if (rows.count > 0) add_tap(job, panel, group, t, rows);
        }
        if (!job.relu) continue;
        for (Index row = begin * b; row < end * b; ++row)
            for (Index at = row * job.out + first; at < row * job.out + last; ++at)
                job.output[at] = job.output[at] < 0 ? Scalar{0} : job.output[at];
    }
}
