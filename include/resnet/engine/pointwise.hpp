// Pointwise steps: activation(sum of at most two terms), each batch-normalised or not, forward and backward in as few
// passes as there can be: one forward, two backward (the sums that batch norm needs, then the gradients).
#pragma once

#include <cmath>

#include <resnet/engine/run.hpp>

namespace resnet::inline v0 {

namespace detail {

/// y = scale x + shift of one term; in training from the batch's statistics. Backward asks again.
template <class Scalar>
void term_coefficients(const Run<Scalar>& run, const Term& term, int channels, Scalar* scale, Scalar* shift) {
    if (term.norm < 0) {
        std::fill_n(scale, channels, static_cast<Scalar>(term.factor));
        return;
    }
    const Norm& norm = at(run.plan.program().norms, term.norm);
    const Layer& layer = at(run.plan.graph().layers, norm.layer);
    const Scalar *gamma = run.parameter(norm.layer, "weight"), *beta = run.parameter(norm.layer, "bias");
    const bool training = run.plan.program().mode == Mode::training;
    const double rows = static_cast<double>(run.rows(term.tensor));
    const double* moments = training ? run.workspace.moments(run.plan.tensor(norm.tensor).moments) : nullptr;
    const Scalar* running = run.weights.statistics().data() + layer.statistics;
    double *means = run.workspace.norm_mean(term.norm), *inverse = run.workspace.norm_inverse_deviation(term.norm);
    for (int c = 0; c < channels; ++c) {
        means[c] = training ? moments[c] : static_cast<double>(running[c]);
        const double variance =
            training ? moments[channels + c] / rows : static_cast<double>(running[whole_lines(channels) + c]);
        inverse[c] = 1 / std::sqrt(variance + static_cast<double>(layer.epsilon));
        const double a =
            static_cast<double>(term.factor) * (gamma != nullptr ? static_cast<double>(gamma[c]) : 1.0) * inverse[c];
        scale[c] = static_cast<Scalar>(a);
        shift[c] += static_cast<Scalar>(
            (beta != nullptr ? static_cast<double>(term.factor) * static_cast<double>(beta[c]) : 0.0) - a * means[c]);
    }
}

/// Sets the scales and the shift of a job's terms.
template <class Scalar>
void set_sum(const Run<Scalar>& run, const Step& step, auto& job) {
    Scalar* shift = run.workspace.coefficients(shift_row);
    std::fill_n(shift, job.channels, Scalar{0});
    job.shift = shift;
    for (int t = 0; t < step.term_count; ++t) {
        Scalar* scale = run.workspace.coefficients(scale_row + t);
        term_coefficients(run, step.terms[static_cast<std::size_t>(t)], job.channels, scale, shift);
        job.scale[t] = scale;
    }
}

}  // namespace detail

template <class Scalar>
void run_pointwise(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const int channels = run.plan.tensor(step.output).channels;
    PointwiseJob<Scalar> job{.channels = channels, .terms = step.term_count, .activation = step.activation};
    detail::set_sum(run, step, job);
    const RowChunks chunks = row_chunks(run.rows(step.output), channels);
    run.for_each_chunk(chunks.count(), run.elements(step.output) * step.term_count, [&](Index chunk, int) {
        PointwiseJob<Scalar> part = job;
        part.rows = chunks.size(chunk);
        const Index first = chunks.first(chunk) * channels;
        for (int t = 0; t < step.term_count; ++t)
            part.input[t] = run.workspace.tensor(step.terms[static_cast<std::size_t>(t)].tensor) + first;
        part.output = run.workspace.tensor(step.output) + first;
        run.kernels.pointwise(part);
    });
}

namespace detail {

/// From the sums over all rows of g, and of g (x - mean) for each term (`sums`, one behind the other): the gradients of
/// gamma and beta, and the numbers of
/// grad x = scale (g - mean(g) - (x - mean) inverse^2 mean(g (x - mean))), with scale = factor gamma inverse
/// (Ioffe & Szegedy 2015, section 3).
template <class Scalar>
void set_norm_gradient(const Run<Scalar>& run, const Step& step, int t, const double* sums, double rows,
                       PointwiseGradJob<Scalar>& job) {
    const Term& term = step.terms[static_cast<std::size_t>(t)];
    if (term.norm < 0) return;
    Scalar *slope = run.workspace.coefficients(slope_row + t), *offset = run.workspace.coefficients(offset_row + t);
    job.slope[t] = slope;
    job.offset[t] = offset;
    const int layer = at(run.plan.program().norms, term.norm).layer;
    const Scalar* gamma = run.parameter(layer, "weight");
    Scalar *grad_gamma = run.gradient(layer, "weight"), *grad_beta = run.gradient(layer, "bias");
    const bool add = run.adds(step.grad_parameters[static_cast<std::size_t>(t)]);
    const double *inverse = run.workspace.norm_inverse_deviation(term.norm),
                 *sum_x = sums + Index{1 + t} * job.channels;
    const double factor = static_cast<double>(term.factor);
    for (int c = 0; c < job.channels; ++c) {
        const double a = factor * (gamma != nullptr ? static_cast<double>(gamma[c]) : 1.0) * inverse[c];
        slope[c] = static_cast<Scalar>(-a * inverse[c] * inverse[c] * sum_x[c] / rows);
        offset[c] = static_cast<Scalar>(-a * sums[c] / rows);
        if (grad_gamma != nullptr)
            grad_gamma[c] = static_cast<Scalar>(factor * inverse[c] * sum_x[c]) + (add ? grad_gamma[c] : Scalar{0});
        if (grad_beta != nullptr)
            grad_beta[c] = static_cast<Scalar>(factor * sums[c]) + (add ? grad_beta[c] : Scalar{0});
    }
}

}  // namespace detail

template <class Scalar>
void run_pointwise_grad(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const int channels = run.plan.tensor(step.output).channels, terms = step.term_count;
    const RowChunks chunks = row_chunks(run.rows(step.output), channels);
    const double rows = static_cast<double>(chunks.rows);
    const Index work = run.elements(step.output) * (1 + terms);
    double* sums = run.workspace.partial_sums();
    const Index sums_stride = Index{1 + terms} * channels;

    PointwiseGradJob<Scalar> job{.channels = channels, .terms = terms, .activation = step.activation};
    detail::set_sum(run, step, job);
    bool normalized = false;
    for (int t = 0; t < terms; ++t) {
        const int norm = step.terms[static_cast<std::size_t>(t)].norm;
        if (norm < 0) continue;
        normalized = true;
        Scalar* mean = run.workspace.coefficients(detail::mean_row + t);
        for (int c = 0; c < channels; ++c) mean[c] = static_cast<Scalar>(run.workspace.norm_mean(norm)[c]);
        job.mean[t] = mean;
    }
    const auto part_of = [&](Index chunk) {
        PointwiseGradJob<Scalar> part = job;
        part.rows = chunks.size(chunk);
        const Index first = chunks.first(chunk) * channels;
        part.grad_output = run.workspace.tensor(step.grad_output) + first;
        if (step.activation == Activation::relu) part.output = run.workspace.tensor(step.output) + first;
        for (int t = 0; t < terms; ++t) {
            const auto i = static_cast<std::size_t>(t);
            if (step.terms[i].norm >= 0 || step.activation == Activation::gelu)
                part.input[t] = run.workspace.tensor(step.terms[i].tensor) + first;
            if (step.writes[i] != Write::none) part.grad_input[t] = run.workspace.tensor(step.grad_inputs[i]) + first;
            part.add[t] = step.writes[i] == Write::add;
        }
        part.sums = sums + chunk * sums_stride;
        return part;
    };
    if (normalized) {
        run.for_each_chunk(chunks.count(), work,
                           [&](Index chunk, int) { run.kernels.pointwise_grad_sums(part_of(chunk)); });
        detail::sum_tree(sums, chunks.count(), sums_stride, 0, sums_stride);
    }
    for (int t = 0; t < terms; ++t) detail::set_norm_gradient(run, step, t, sums, rows, job);
    if (step.writes[0] == Write::none && step.writes[1] == Write::none) return;
    run.for_each_chunk(chunks.count(), work, [&](Index chunk, int slot) {
        run.kernels.pointwise_grad(part_of(chunk), reinterpret_cast<Scalar*>(run.workspace.scratch(slot)));
    });
}

}  // namespace resnet::inline v0
