// From a Graph to the forward Steps. Element-wise operations (batch_norm, add, relu, gelu, scale) are gathered into one
// pointwise step, activation(a + b), where a and b may be batch-normalised; inference folds them into the convolution
// before, all but gelu, which takes a pass of its own.
//
// A node's value is first an expression that costs nothing; it becomes a tensor only when a reader needs it in memory.
// Nodes that the output does not depend on become no step: the statistics of such a batch norm stay, where PyTorch's
// move.
#pragma once

#include <resnet/graph/program.hpp>

namespace resnet::inline v0 {

namespace detail {

class Fuser {
public:
    constexpr Fuser(const Graph& graph, Mode mode)
        : graph_{graph},
          uses_{graph.uses()},
          expressions_(graph.nodes.size()) {
        program_.mode = mode;
    }

    constexpr Program run() {
        for (int id = 0; id < static_cast<int>(graph_.nodes.size()); ++id) {
            if (at(uses_, id) == 0) continue;  // computed by the body, read by nobody
            Expression value = visit(id, at(graph_.nodes, id));
            // Two readers share one tensor; an epilogue that only one of them wants must not change it.
            if (at(uses_, id) > 1) value = {.terms = {Term{.tensor = materialize(value, id)}}};
            at(expressions_, id) = value;
        }
        program_.logits = materialize(at(expressions_, graph_.output), graph_.output);
        return program_;
    }

private:
    struct Expression {
        std::array<Term, 2> terms{};
        int count = 1;
        Activation activation = Activation::none;
        bool rectified = false;  // the tensor has been through a relu already
        int open = -1;           // inference: the convolution step whose epilogue may still take more

        constexpr bool activated() const { return activation != Activation::none; }
        constexpr bool plain() const { return count == 1 && !activated() && terms[0].norm < 0 && terms[0].factor == 1; }
    };

    constexpr int add_tensor(const Node& node) {
        program_.tensors.push_back({.channels = node.channels, .extent = node.extent});
        return static_cast<int>(program_.tensors.size()) - 1;
    }
    constexpr bool inference() const { return program_.mode == Mode::inference; }

    /// The tensor of an expression, computed by a pointwise step where it is not in memory already.
    constexpr int materialize(const Expression& value, int id) {
        if (value.plain()) return value.terms[0].tensor;
        Step step{.kind = StepKind::pointwise,
                  .node = id,
                  .terms = value.terms,
                  .term_count = value.count,
                  .activation = value.activation};
        step.output = add_tensor(at(graph_.nodes, id));
        program_.steps.push_back(step);
        return step.output;
    }

    constexpr Expression visit(int id, const Node& node) {
        const auto input = [&](int i) -> Expression& { return at(expressions_, node.inputs[i]); };
        switch (node.op) {
            case Op::input:
                return emit(StepKind::input, id, node, -1);
            case Op::conv2d:
            case Op::linear:
                return emit(StepKind::convolution, id, node, materialize(input(0), node.inputs[0]));
            case Op::max_pool:
                return emit(StepKind::max_pool, id, node, materialize(input(0), node.inputs[0]));
            case Op::average_pool:
                return emit(StepKind::average_pool, id, node, materialize(input(0), node.inputs[0]));
            case Op::custom:
                return emit(StepKind::custom, id, node, materialize(input(0), node.inputs[0]));
            case Op::flatten:
                return {.terms = {Term{.tensor = materialize(input(0), node.inputs[0])}}};
            case Op::batch_norm:
                return normalize(node, input(0));
            case Op::scale:
                return scale(node, input(0));
            case Op::add:
                return add(node, input(0), input(1));
            case Op::relu:
                return activate(node, input(0), Activation::relu);
            case Op::gelu:
                return activate(node, input(0), Activation::gelu);
        }
        return {};
    }

    constexpr Expression emit(StepKind kind, int id, const Node& node, int input) {
        Step step{.kind = kind, .node = id, .layer = node.layer};
        step.terms[0].tensor = input;
        step.term_count = input < 0 ? 0 : 1;
        step.output = add_tensor(node);
        if (kind == StepKind::input) program_.input = step.output;
        program_.steps.push_back(step);
        Expression value{.terms = {Term{.tensor = step.output}}};
        if (kind == StepKind::convolution && inference() && at(uses_, id) == 1)
            value.open = static_cast<int>(program_.steps.size()) - 1;
        return value;
    }

    constexpr Expression normalize(const Node& node, const Expression& x) {
        if (x.open >= 0) {
            Step& convolution = at(program_.steps, x.open);
            if (convolution.folded_norm < 0 && convolution.factor == 1 && convolution.residual < 0) {
                program_.norms.push_back({node.layer, -1});
                convolution.folded_norm = static_cast<int>(program_.norms.size()) - 1;
                return x;
            }
        }
        const int tensor = materialize(x, node.inputs[0]);
        if (!inference() && at(program_.tensors, tensor).moments < 0) collect_moments(tensor);
        program_.norms.push_back({node.layer, tensor});
        return {.terms = {Term{.tensor = tensor, .norm = static_cast<int>(program_.norms.size()) - 1}}};
    }

    /// Statistics come with the convolution that writes the tensor; any other writer gets a step of its own behind it.
    constexpr void collect_moments(int tensor) {
        at(program_.tensors, tensor).moments = program_.moments++;
        for (Step& step : program_.steps) {
            if (step.output != tensor || step.kind != StepKind::convolution) continue;
            step.collects_moments = true;
            return;
        }
        Step step{.kind = StepKind::moments, .output = tensor};
        step.terms[0].tensor = tensor;
        program_.steps.push_back(step);
    }

    constexpr Expression scale(const Node& node, const Expression& x) {
        if (x.open >= 0 && at(program_.steps, x.open).residual < 0) {
            at(program_.steps, x.open).factor *= node.factor;
            return x;
        }
        Expression value = x;
        value.open = -1;  // the factor stands behind the sum: a relu in the epilogue would come before it
        value.rectified = false;
        if (x.activated()) value = {.terms = {Term{.tensor = materialize(x, node.inputs[0])}}};
        for (Term& term : value.terms) term.factor *= node.factor;
        return value;
    }

    constexpr Expression add(const Node& node, const Expression& a, const Expression& b) {
        const Expression &later = a.open < b.open ? b : a, &earlier = a.open < b.open ? a : b;
        // The later convolution adds the other summand in its epilogue, if that is in memory by then.
        if (later.open >= 0 && at(program_.steps, later.open).residual < 0 && earlier.plain() &&
            written_before(earlier.terms[0].tensor, later.open)) {
            at(program_.steps, later.open).residual = earlier.terms[0].tensor;
            return later;
        }
        return {.terms = {summand(a, node.inputs[0]), summand(b, node.inputs[1])}, .count = 2};
    }
    constexpr Term summand(const Expression& value, int id) {
        if (value.count == 1 && !value.activated()) return value.terms[0];
        return {.tensor = materialize(value, id)};
    }
    constexpr bool written_before(int tensor, int step) const {
        for (int i = 0; i < step; ++i)
            if (at(program_.steps, i).output == tensor) return true;
        return false;
    }

    constexpr Expression activate(const Node& node, const Expression& x, Activation activation) {
        const bool is_relu = activation == Activation::relu;
        if (is_relu && (x.rectified || x.activation == activation)) return x;
        Expression value = x;
        value.open = -1;  // nothing may follow it
        if (x.activated()) value = {.terms = {Term{.tensor = materialize(x, node.inputs[0])}}};
        if (is_relu && x.open >= 0) {
            at(program_.steps, x.open).activation = activation;
            value.rectified = true;
        } else {
            value.activation = activation;
            value.rectified = false;
        }
        return value;
    }

    const Graph& graph_;
    std::vector<int> uses_;
    std::vector<Expression> expressions_;
    Program program_;
};

}  // namespace detail

/// The forward steps of a traced network. Training keeps convolutions and batch norms apart (their statistics come
/// first); inference folds batch norm, factor, residual sum and relu into the convolution.
constexpr Program fuse(const Graph& graph, Mode mode) { return detail::Fuser{graph, mode}.run(); }

}  // namespace resnet::inline v0
