// Pools over the rows of a block: a position is b * C neighbouring numbers, which are handled alike.

template <class Scalar>
void max_pool(const PoolJob<Scalar>& job) noexcept {
    const Window& w = job.window;
    for (int y = job.first_row; y < job.last_row; ++y)
        for (int x = 0; x < job.output_extent.width; ++x) {
            Scalar* out = job.output + (Index{y} * job.output_extent.width + x) * job.width;
            bool first = true;
            for (int ky = 0; ky < w.height; ++ky) {
                const int iy = y * w.stride + ky - w.padding;
                if (iy < 0 || iy >= job.input_extent.height) continue;
                for (int kx = 0; kx < w.width; ++kx) {
                    const int ix = x * w.stride + kx - w.padding;
                    if (ix < 0 || ix >= job.input_extent.width) continue;
                    const Scalar* in = job.input + (Index{iy} * job.input_extent.width + ix) * job.width;
                    if (first) {
                        RESNET_INDEPENDENT
                        for (Index i = 0; i < job.width; ++i) out[i] = in[i];
                    } else {  // a NaN wins, as in PyTorch
                        RESNET_INDEPENDENT
                        for (Index i = 0; i < job.width; ++i)  // NOLINTNEXTLINE(misc-redundant-expression)
                            out[i] = ((in[i] > out[i]) | (in[i] != in[i])) ? in[i] : out[i];
                    }
                    first = false;
                }
            }
        }
}

/// The gradient goes to the first of equal maxima, as in PyTorch; `left` (width numbers) is the part that is not yet
/// assigned. Where windows lie side by side each position is written once; else the map is cleared and added to.
template <class Scalar>
void max_pool_grad(const PoolJob<Scalar>& job, Scalar* left) noexcept {
    const Window& w = job.window;
    const int rows = job.input_extent.height, columns = job.input_extent.width;
    const Index row = Index{columns} * job.width;
    const bool once = !job.add && w.height == w.stride && w.width == w.stride;
    const int met = once ? std::min(columns, job.output_extent.width * w.stride - w.padding) : 0;
    int cleared = job.add ? rows : 0;
    const auto clear_to = [&](int y, int from) {  // just before a row is used, so that it is in the cache
        for (; cleared < std::min(y, rows); ++cleared)
            std::fill_n(job.grad_input + cleared * row + from * job.width, (columns - from) * job.width, Scalar{0});
    };
    for (int y = 0; y < job.output_extent.height; ++y) {
        clear_to(y * w.stride - w.padding + w.height, met);
        for (int x = 0; x < job.output_extent.width; ++x) {
            const Index position = (Index{y} * job.output_extent.width + x) * job.width;
            const Scalar* const value = job.output_value + position;
            std::copy_n(job.grad_output + position, job.width, left);
            for (int ky = 0; ky < w.height; ++ky) {
                const int iy = y * w.stride + ky - w.padding;
                if (iy < 0 || iy >= rows) continue;
                for (int kx = 0; kx < w.width; ++kx) {
                    const int ix = x * w.stride + kx - w.padding;
                    if (ix < 0 || ix >= columns) continue;
                    const Index source = iy * row + ix * job.width;
                    const Scalar* const in = job.input + source;
                    Scalar* const out = job.grad_input + source;
                    RESNET_INDEPENDENT
                    for (Index i = 0; i < job.width; ++i) {
                        const bool hit = in[i] == value[i];
                        const Scalar gradient = hit ? left[i] : Scalar{0};
                        out[i] = once ? gradient : out[i] + gradient;
                        left[i] = hit ? Scalar{0} : left[i];
                    }
                }
            }
        }
    }
    clear_to(rows, 0);
}

/// The mean of each window; positions in the padding count as zeros. Each row of a window has a sum of its own: of a
/// map's 256x256 positions one after another, a float would lose two digits or three.
template <class Scalar>
void average_pool(const PoolJob<Scalar>& job) noexcept {
    constexpr Index strip = 64;  // sums of a row, which stay in the first-level cache
    const Window& w = job.window;
    const Scalar factor = Scalar{1} / static_cast<Scalar>(w.taps());
    for (int y = job.first_row; y < job.last_row; ++y)
        for (int x = 0; x < job.output_extent.width; ++x)
            for (Index first = 0; first < job.width; first += strip) {
                const Index count = std::min(strip, job.width - first);
                Scalar* const out = job.output + (Index{y} * job.output_extent.width + x) * job.width + first;
                std::fill_n(out, count, Scalar{0});
                for (int ky = 0; ky < w.height; ++ky) {
                    const int iy = y * w.stride + ky - w.padding;
                    if (iy < 0 || iy >= job.input_extent.height) continue;
                    Scalar sum[strip] = {};
                    for (int kx = 0; kx < w.width; ++kx) {
                        const int ix = x * w.stride + kx - w.padding;
                        if (ix < 0 || ix >= job.input_extent.width) continue;
                        const Scalar* const in =
                            job.input + (Index{iy} * job.input_extent.width + ix) * job.width + first;
                        RESNET_INDEPENDENT
                        for (Index i = 0; i < count; ++i) sum[i] += in[i];
                    }
                    RESNET_INDEPENDENT
                    for (Index i = 0; i < count; ++i) out[i] += sum[i];
                }
                RESNET_INDEPENDENT
                for (Index i = 0; i < count; ++i) out[i] *= factor;
            }
}

template <class Scalar>
void average_pool_grad(const PoolJob<Scalar>& job) noexcept {
    const Window& w = job.window;
    const Scalar factor = Scalar{1} / static_cast<Scalar>(w.taps());
    if (!job.add) std::fill_n(job.grad_input, job.input_extent.area() * job.width, Scalar{0});
    for (int y = 0; y < job.output_extent.height; ++y)
        for (int x = 0; x < job.output_extent.width; ++x) {
            const Scalar* grad = job.grad_output + (Index{y} * job.output_extent.width + x) * job.width;
            for (int ky = 0; ky < w.height; ++ky) {
                const int iy = y * w.stride + ky - w.padding;
                if (iy < 0 || iy >= job.input_extent.height) continue;
                for (int kx = 0; kx < w.width; ++kx) {
                    const int ix = x * w.stride + kx - w.padding;
                    if (ix < 0 || ix >= job.input_extent.width) continue;
                    Scalar* out = job.grad_input + (Index{iy} * job.input_extent.width + ix) * job.width;
                    RESNET_INDEPENDENT
                    for (Index i = 0; i < job.width; ++i) out[i] += factor * grad[i];
                }
            }
        }
}
