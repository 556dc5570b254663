// Programs as text, so that a test says in one line what it expects of the fuser.
#pragma once

#include <string>

#include <resnet/graph/program.hpp>

namespace tests {

inline std::string describe(const resnet::Program& program, const resnet::Step& step) {
    using resnet::StepKind;
    const auto tensor = [](int index) { return "t" + std::to_string(index); };
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
        if (term.norm >= 0) text = "bn(" + text + ")";
        value += (t > 0 ? " + " : "") + scaled(term.factor, text);
    }
    if (step.kind != StepKind::pointwise) value = std::string{name_of(step.kind)} + (value.empty() ? "" : " " + value);
    if (step.folded_norm >= 0) value = "bn(" + value + ")";
    if (step.kind == StepKind::convolution) value = scaled(step.factor, value);
    if (step.residual >= 0) value += " + " + tensor(step.residual);
    if (step.relu) value = "relu(" + value + ")";
    if (step.collects_moments) value += ", moments";
    static_cast<void>(program);
    return tensor(step.output) + " = " + value;
}

/// The forward steps, one a line: "t1 = relu(bn(convolution t0))".
inline std::string describe(const resnet::Program& program) {
    std::string text;
    for (const resnet::Step& step : program.steps) {
        if (step.backward() || step.kind == resnet::StepKind::loss) break;
        text += describe(program, step) + "\n";
    }
    return text;
}

}  // namespace tests
