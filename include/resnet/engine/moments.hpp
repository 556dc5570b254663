// Statistics of a tensor over the whole batch, merged from chunks in a fixed tree and in double
// (Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", equations 2.1).
#pragma once

#include <resnet/engine/run.hpp>

namespace resnet::inline v0 {

/// A chunk's contribution, a channel each: mean, sum of squared deviations, and the rows that it saw.
struct MomentsChunk {
    double *mean, *squares, *rows;
};

template <class Scalar>
MomentsChunk moments_chunk(const Run<Scalar>& run, int tensor, Index chunk) {
    const int channels = run.plan.tensor(tensor).channels;
    double* at = run.workspace.partial_sums() + chunk * (2 * channels + 1);
    return {at, at + channels, at + Index{2} * channels};
}

/// The contribution of rows that were just written, in channels first ... first + count - 1; other calls, for the other
/// channels, see as many rows.
template <class Scalar>
void collect_moments(const Run<Scalar>& run, int tensor, Index chunk, const Scalar* x, Index rows, int first,
                     int count) {
    const MomentsChunk part = moments_chunk(run, tensor, chunk);
    run.kernels.channel_moments(x + first, rows, run.plan.tensor(tensor).channels, count, part.mean + first,
                                part.squares + first);
    if (first == 0) *part.rows = static_cast<double>(rows);
}
template <class Scalar>
void collect_moments(const Run<Scalar>& run, int tensor, Index chunk, const Scalar* x, Index rows) {
    collect_moments(run, tensor, chunk, x, rows, 0, run.plan.tensor(tensor).channels);
}

/// Leaves mean and sum of squared deviations of all chunks in the workspace's moments of the tensor.
template <class Scalar>
void merge_moments(const Run<Scalar>& run, int tensor, Index count) {
    const int channels = run.plan.tensor(tensor).channels;
    detail::merge_tree(count, [&](Index chunk, Index other) {
        const MomentsChunk a = moments_chunk(run, tensor, chunk), b = moments_chunk(run, tensor, other);
        const double rows = *a.rows + *b.rows, share = *b.rows / rows;
        for (int i = 0; i < channels; ++i) {
            const double delta = b.mean[i] - a.mean[i];
            a.mean[i] += delta * share;
            a.squares[i] += b.squares[i] + delta * delta * *a.rows * share;
        }
        *a.rows = rows;
    });
    const MomentsChunk all = moments_chunk(run, tensor, 0);
    double* to = run.workspace.moments(run.plan.tensor(tensor).moments);
    std::copy_n(all.mean, channels, to);
    std::copy_n(all.squares, channels, to + channels);
}

/// The step for a tensor that no convolution wrote.
template <class Scalar>
void run_moments(const Run<Scalar>& run, int index) {
    const int tensor = run.step(index).output, channels = run.plan.tensor(tensor).channels;
    const RowChunks chunks = row_chunks(run.rows(tensor), channels);
    const Scalar* x = run.workspace.tensor(tensor);
    run.for_each_chunk(chunks.count(), run.elements(tensor), [&](Index chunk, int) {
        collect_moments(run, tensor, chunk, x + chunks.first(chunk) * channels, chunks.size(chunk));
    });
    merge_moments(run, tensor, chunks.count());
}

}  // namespace resnet::inline v0
