// Batch normalisation and its neighbours (sum, scale, relu, gelu), a row of C channels at a time.
// Ioffe & Szegedy 2015, algorithm 1; backward as the equations of its section 3.

/// Mean and sum of squared deviations of each channel over rows x C, around the first row so that a large mean costs no
/// digits. Sums of 64 rows are taken in Scalar, the rest in double.
template <class Scalar>
void channel_moments(const Scalar* x, Index rows, Index stride, int channels, double* mean, double* squares) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;
    constexpr Index group = 64;
    const double count = static_cast<double>(rows);
    int c = 0;
    for (; c + lanes <= channels; c += lanes) {
        const Packet origin = load(x + c);
        double total[lanes] = {}, total_squares[lanes] = {};
        for (Index first = 0; first < rows; first += group) {
            Packet sum{}, square{};
            const Index last = std::min(rows, first + group);
            for (Index r = first; r < last; ++r) {
                const Packet d = load(x + r * stride + c) - origin;
                sum += d;
                square += d * d;
            }
            for (int l = 0; l < lanes; ++l) {
                total[l] += static_cast<double>(sum[l]);
                total_squares[l] += static_cast<double>(square[l]);
            }
        }
        for (int l = 0; l < lanes; ++l) {
            mean[c + l] = static_cast<double>(origin[l]) + total[l] / count;
            squares[c + l] = std::max(0.0, total_squares[l] - total[l] * total[l] / count);
        }
    }
    for (; c < channels; ++c) {
        const double origin = static_cast<double>(x[c]);
        double total = 0, total_squares = 0;
        for (Index r = 0; r < rows; ++r) {
            const double d = static_cast<double>(x[r * stride + c]) - origin;
            total += d;
            total_squares += d * d;
        }
        mean[c] = origin + total / count;
        squares[c] = std::max(0.0, total_squares - total * total / count);
    }
}

/// The sum of a row's terms, with Relu or without; `out` may be one of them.
template <class Scalar, int Terms, bool Relu>
inline void sum_terms(const auto& job, Index row, Scalar* out) {
    const Index channels = job.channels;
    const Scalar *scale0 = job.scale[0], *scale1 = job.scale[1], *shift = job.shift;
    const Scalar* x0 = job.input[0] + row * channels;
    const Scalar* x1 = Terms > 1 ? job.input[1] + row * channels : nullptr;
    RESNET_INDEPENDENT
    for (Index c = 0; c < channels; ++c) {
        Scalar y = scale0[c] * x0[c] + shift[c];
        if constexpr (Terms > 1) y += scale1[c] * x1[c];
        if constexpr (Relu) y = y < 0 ? Scalar{0} : y;
        out[c] = y;
    }
}
template <class Scalar, int Terms, Activation Kind>
void pointwise_rows(const PointwiseJob<Scalar>& job) {
    for (Index r = 0; r < job.rows; ++r) {
        Scalar* out = job.output + r * job.channels;
        sum_terms<Scalar, Terms, Kind == Activation::relu>(job, r, out);
        if constexpr (Kind == Activation::gelu) for_each_packet(out, job.channels, [](auto& x) { gelu<Scalar>(x); });
    }
}
template <class Scalar, int Terms>
void pointwise_terms(const PointwiseJob<Scalar>& job) {
    switch (job.activation) {
        case Activation::none:
            return pointwise_rows<Scalar, Terms, Activation::none>(job);
        case Activation::relu:
            return pointwise_rows<Scalar, Terms, Activation::relu>(job);
        case Activation::gelu:
            return pointwise_rows<Scalar, Terms, Activation::gelu>(job);
    }
}
template <class Scalar>
void pointwise(const PointwiseJob<Scalar>& job) noexcept {
    job.terms == 1 ? pointwise_terms<Scalar, 1>(job) : pointwise_terms<Scalar, 2>(job);
}

/// First pass of the backward: the sums that need the whole batch. Norms says which terms are normalised (bit t).
template <class Scalar, int Norms, Activation Kind>
void pointwise_grad_sum_rows(const PointwiseGradJob<Scalar>& job) {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;
    constexpr Index group = 64;
    const Index channels = job.channels;
    [[maybe_unused]] const bool two = job.terms > 1;
    double *sum_g = job.sums, *sum_x0 = job.sums + channels, *sum_x1 = job.sums + 2 * channels;
    Index c = 0;
    for (; c + lanes <= channels; c += lanes) {
        Packet mean0{}, mean1{};
        if constexpr ((Norms & 1) != 0) mean0 = load(job.mean[0] + c);
        if constexpr ((Norms & 2) != 0) mean1 = load(job.mean[1] + c);
        Packet scale0{}, scale1{}, shift{};
        if constexpr (Kind == Activation::gelu) {
            scale0 = load(job.scale[0] + c);
            if (two) scale1 = load(job.scale[1] + c);
            shift = load(job.shift + c);
        }
        double total_g[lanes] = {}, total0[lanes] = {}, total1[lanes] = {};
        for (Index first = 0; first < job.rows; first += group) {
            Packet sum{}, sum0{}, sum1{};
            const Index last = std::min(job.rows, first + group);
            for (Index r = first; r < last; ++r) {
                const Index i = r * channels + c;
                Packet g = load(job.grad_output + i);
                if constexpr (Kind == Activation::relu) {
                    const Packet y = load(job.output + i);
                    g = y > Packet{} ? g : Packet{};
                } else if constexpr (Kind == Activation::gelu) {
                    Packet slope = shift + scale0 * load(job.input[0] + i);
                    if (two) slope += scale1 * load(job.input[1] + i);
                    gelu_slope<Scalar>(slope);
                    g *= slope;
                }
                sum += g;
                if constexpr ((Norms & 1) != 0) sum0 += g * (load(job.input[0] + i) - mean0);
                if constexpr ((Norms & 2) != 0) sum1 += g * (load(job.input[1] + i) - mean1);
            }
            for (int l = 0; l < lanes; ++l) {
                total_g[l] += static_cast<double>(sum[l]);
                if constexpr ((Norms & 1) != 0) total0[l] += static_cast<double>(sum0[l]);
                if constexpr ((Norms & 2) != 0) total1[l] += static_cast<double>(sum1[l]);
            }
        }
        for (int l = 0; l < lanes; ++l) {
            sum_g[c + l] = total_g[l];
            if constexpr ((Norms & 1) != 0) sum_x0[c + l] = total0[l];
            if constexpr ((Norms & 2) != 0) sum_x1[c + l] = total1[l];
        }
    }
    for (; c < channels; ++c) {
        double total_g = 0, total0 = 0, total1 = 0;
        for (Index r = 0; r < job.rows; ++r) {
            const Index i = r * channels + c;
            double g = static_cast<double>(job.grad_output[i]);
            if constexpr (Kind == Activation::relu) {
                if (!(job.output[i] > 0)) g = 0;
            } else if constexpr (Kind == Activation::gelu) {
                Packet slope = Packet{} + job.shift[c] + job.scale[0][c] * job.input[0][i];
                if (two) slope += job.scale[1][c] * job.input[1][i];
                gelu_slope<Scalar>(slope);
                g *= static_cast<double>(slope[0]);
            }
            total_g += g;
            if constexpr ((Norms & 1) != 0) total0 += g * static_cast<double>(job.input[0][i] - job.mean[0][c]);
            if constexpr ((Norms & 2) != 0) total1 += g * static_cast<double>(job.input[1][i] - job.mean[1][c]);
        }
        sum_g[c] = total_g;
        if constexpr ((Norms & 1) != 0) sum_x0[c] = total0;
        if constexpr ((Norms & 2) != 0) sum_x1[c] = total1;
    }
}
template <class Scalar, Activation Kind>
void pointwise_grad_sums(const PointwiseGradJob<Scalar>& job) {
    const int norms = (job.mean[0] != nullptr ? 1 : 0) + (job.terms > 1 && job.mean[1] != nullptr ? 2 : 0);
    if (norms == 1) pointwise_grad_sum_rows<Scalar, 1, Kind>(job);
    else if (norms == 2) pointwise_grad_sum_rows<Scalar, 2, Kind>(job);
    else if (norms == 3) pointwise_grad_sum_rows<Scalar, 3, Kind>(job);
}
template <class Scalar>
void pointwise_grad_sums(const PointwiseGradJob<Scalar>& job) noexcept {
    switch (job.activation) {
        case Activation::none:
            return pointwise_grad_sums<Scalar, Activation::none>(job);
        case Activation::relu:
            return pointwise_grad_sums<Scalar, Activation::relu>(job);
        case Activation::gelu:
            return pointwise_grad_sums<Scalar, Activation::gelu>(job);
    }
}

/// One term's gradient of one row: (+)= scale g + slope (x - mean) + offset. `grad_input` may be `grad_output`.
template <class Scalar, bool Norm, bool Add>
void pointwise_grad_term(const PointwiseGradJob<Scalar>& job, int t, const Scalar* g, Index row) {
    const Index channels = job.channels;
    const Scalar *scale = job.scale[t], *slope = job.slope[t], *offset = job.offset[t], *mean = job.mean[t];
    const Scalar* x = Norm ? job.input[t] + row * channels : nullptr;
    Scalar* out = job.grad_input[t] + row * channels;
    RESNET_INDEPENDENT
    for (Index c = 0; c < channels; ++c) {
        Scalar d = scale[c] * g[c];
        if constexpr (Norm) d += slope[c] * (x[c] - mean[c]) + offset[c];
        if constexpr (Add) d += out[c];
        out[c] = d;
    }
}
template <class Scalar>
void pointwise_grad_term(const PointwiseGradJob<Scalar>& job, int t, const Scalar* g, Index row) {
    if (job.grad_input[t] == nullptr) return;
    if (job.mean[t] != nullptr)
        job.add[t] ? pointwise_grad_term<Scalar, true, true>(job, t, g, row)
                   : pointwise_grad_term<Scalar, true, false>(job, t, g, row);
    else
        job.add[t] ? pointwise_grad_term<Scalar, false, true>(job, t, g, row)
                   : pointwise_grad_term<Scalar, false, false>(job, t, g, row);
}

/// Second pass of the backward. The gradient of a row's sum is kept aside (`row_buffer`, C elements), since a term's
/// gradient may take the place of grad_output.
template <class Scalar>
void pointwise_grad(const PointwiseGradJob<Scalar>& job, Scalar* row_buffer) noexcept {
    const Index channels = job.channels;
    for (Index r = 0; r < job.rows; ++r) {
        const Scalar* grad = job.grad_output + r * channels;
        if (job.activation == Activation::relu) {
            const Scalar* y = job.output + r * channels;
            RESNET_INDEPENDENT
            for (Index c = 0; c < channels; ++c) row_buffer[c] = y[c] > 0 ? grad[c] : Scalar{0};
        } else if (job.activation == Activation::gelu) {
            job.terms == 1 ? sum_terms<Scalar, 1, false>(job, r, row_buffer)
                           : sum_terms<Scalar, 2, false>(job, r, row_buffer);
            for_each_packet(row_buffer, channels, [](auto& x) { gelu_slope<Scalar>(x); });
            RESNET_INDEPENDENT
            for (Index c = 0; c < channels; ++c) row_buffer[c] *= grad[c];
        } else {
            RESNET_INDEPENDENT
            for (Index c = 0; c < channels; ++c) row_buffer[c] = grad[c];
        }
        for (int t = 0; t < job.terms; ++t) pointwise_grad_term(job, t, row_buffer, r);
    }
}
