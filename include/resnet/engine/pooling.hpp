// Pooling steps: each chunk is a block, or a band of its rows.
#pragma once

#include <resnet/engine/run.hpp>

namespace resnet::inline v0 {

namespace detail {

template <class Scalar>
PoolJob<Scalar> pool_job(const Run<Scalar>& run, const Step& step, Index block) {
    const Node& node = at(run.plan.graph().nodes, step.node);
    const Tensor& input = run.plan.tensor(step.terms[0].tensor);
    PoolJob<Scalar> job{.window = node.window, .input_extent = input.extent, .output_extent = node.extent};
    job.width = Index{run.block_images(block)} * input.channels;
    return job;
}

template <class Scalar>
Index pool_work(const Run<Scalar>& run, const Step& step) {
    return run.elements(step.output) * at(run.plan.graph().nodes, step.node).window.taps();
}

}  // namespace detail

template <class Scalar>
void run_pool(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const int rows = run.plan.tensor(step.output).extent.height;
    const auto kernel = step.kind == StepKind::max_pool ? run.kernels.max_pool : run.kernels.average_pool;
    // A few blocks of large maps: bands of rows give the other workers something to do.
    const Index bands = std::clamp<Index>(wanted_chunks / run.blocks(), 1, rows);
    run.for_each_chunk(run.blocks() * bands, detail::pool_work(run, step), [&](Index chunk, int) {
        const Index block = chunk / bands, band = chunk % bands;
        PoolJob<Scalar> job = detail::pool_job(run, step, block);
        job.first_row = static_cast<int>(rows * band / bands);
        job.last_row = static_cast<int>(rows * (band + 1) / bands);
        job.input = run.block(step.terms[0].tensor, block);
        job.output = run.block(step.output, block);
        kernel(job);
    });
}

template <class Scalar>
void run_pool_grad(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    run.for_each_chunk(run.blocks(), detail::pool_work(run, step), [&](Index block, int slot) {
        PoolJob<Scalar> job = detail::pool_job(run, step, block);
        job.grad_output = run.block(step.grad_output, block);
        job.grad_input = run.block(step.grad_inputs[0], block);
        job.add = step.writes[0] == Write::add;
        if (step.kind == StepKind::average_pool_grad) return run.kernels.average_pool_grad(job);
        job.input = run.block(step.terms[0].tensor, block);
        job.output_value = run.block(step.output, block);
        run.kernels.max_pool_grad(job, reinterpret_cast<Scalar*>(run.workspace.scratch(slot)));
    });
}

}  // namespace resnet::inline v0
