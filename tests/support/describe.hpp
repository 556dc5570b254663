// Programs as text, so that a test says in one line what it expects of the fuser.
#pragma once

#include <string>

#include <resnet/graph/program.hpp>

namespace tests {

inline std::string describe(const resnet::Step& step) {
    using resnet::StepKind;
    // append: g++ 12's -Wrestrict is wrong about "literal" + std::string (its bug 105651)
    const auto tensor = [](int index) { return std::string{"t"}.append(std::to_string(index)); };
    const auto scaled = [](float factor, std::string what) {
        if (factor == 1) return what;
        std::string number = std::to_string(factor);
        number.erase(number.find_last_not_of('0') + 1);
        if (number.ends_with('.')) number.pop_back();
        return number + " " + what;
    };
    std::string value;
    for (int t = 0; t < step.term_count; ++t) {
        const resnet::Term& term = step.terms[static_cast<std::size_t>(t)];
        std::string text = tensor(term.tensor);
        if (term.norm >= 0) text = std::string{"bn("}.append(text).append(")");
        value += (t > 0 ? " + " : "") + scaled(term.factor, text);
    }
    if (step.kind != StepKind::pointwise) value = std::string{name_of(step.kind)} + (value.empty() ? "" : " " + value);
    if (step.folded_norm >= 0) value = std::string{"bn("}.append(value).append(")");
    if (step.kind == StepKind::convolution) value = scaled(step.factor, value);
    if (step.residual >= 0) value += " + " + tensor(step.residual);
    if (step.activation == resnet::Activation::relu) value = "relu(" + value + ")";
    if (step.activation == resnet::Activation::gelu) value = "gelu(" + value + ")";
    if (step.collects_moments) value += ", moments";
    return tensor(step.output) + " = " + value;
}

/// The forward steps, one a line: "t1 = relu(bn(convolution t0))".
inline std::string describe(const resnet::Program& program) {
    std::string text;
    for (const resnet::Step& step : program.steps) {
        if (step.backward() || step.kind == resnet::StepKind::loss) break;
        text += describe(step) + "\n";
    }
    return text;
}

/// A backward step, with what it writes to: "convolution_grad_weight t1: =weight =bias", "pointwise_grad t3: =g6 +g5".
inline std::string describe_backward(const resnet::Step& step) {
    using resnet::StepKind;
    using resnet::Write;
    const auto sign = [](Write write) { return std::string{write == Write::add ? " +" : " ="}; };
    std::string text = std::string{name_of(step.kind)} + " t" + std::to_string(step.output) + ":";
    if (step.kind == StepKind::convolution_grad_weight) {
        text += sign(step.grad_parameters[0]) + "weight";
        if (!step.bias_cancels) text += sign(step.grad_parameters[1]) + "bias";
        return text;
    }
    for (std::size_t t = 0; t < static_cast<std::size_t>(step.term_count); ++t) {
        if (step.grad_parameters[t] != Write::none) text += sign(step.grad_parameters[t]) + "parameters";
        if (step.writes[t] != Write::none) text += sign(step.writes[t]) + "g" + std::to_string(step.terms[t].tensor);
    }
    return text;
}

/// The backward steps, one a line; gN is the gradient of tensor tN.
inline std::string describe_backward(const resnet::Program& program) {
    std::string text;
    for (const resnet::Step& step : program.steps)
        if (step.backward()) text += describe_backward(step) + "\n";
    return text;
}

}  // namespace tests
