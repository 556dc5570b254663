// A model as an ONNX file (onnx.ai): for ONNX Runtime, OpenVINO, browsers and other languages. Operator set 17, float.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/engine/fold.hpp>
#include <resnet/io/atomic_file.hpp>
#include <resnet/io/protobuf.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/model.hpp>

namespace resnet::inline v0 {

struct OnnxOptions {
    /// Batch norm becomes a part of the convolution before it, as in a Classifier. false: it stays a node of its own,
    /// and the file's tensors are those of PyTorch's state_dict.
    bool fold_batch_norm = true;
    /// The images' extent; {0, 0}: the network's usual one.
    Extent image{};
};

/// Writes the network and its weights. Input `images`, [N][3][height][width] floats that are already normalised (mean
/// and standard deviation stand in the file's metadata under the names that `save` gives them); output `logits`,
/// [N][classes]; N is left open. Tensors have PyTorch's names. Atomically and durably, as `save`.
/// Throws Error if the network has a custom operation, which ONNX does not know, or 2 GiB of weights; NotFiniteError if
/// a number is not finite as a float; FileError if the file can't be written.
/// PyTorch: torch.onnx.export(net.eval(), images, path, dynamic_shapes=...).
template <class Net, class Scalar>
void to_onnx(const Model<Net, Scalar>& model, const std::filesystem::path& path, const OnnxOptions& options = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// The field numbers and codes of onnx.proto, github.com/onnx/onnx/blob/main/onnx/onnx.proto, as far as they are
/// needed.
namespace onnx {
enum Model { ir_version = 1, producer_name = 2, graph = 7, opset_import = 8, metadata_props = 14 };
enum Opset { opset_version = 2 };
enum StringEntry { entry_key = 1, entry_value = 2 };
enum Graph { graph_node = 1, graph_name = 2, graph_initializer = 5, graph_input = 11, graph_output = 12 };
enum Node { node_input = 1, node_output = 2, node_name = 3, node_op_type = 4, node_attribute = 5 };
enum Attribute { attribute_name = 1, attribute_f = 2, attribute_i = 3, attribute_ints = 8, attribute_type = 20 };
enum AttributeType { type_float = 1, type_int = 2, type_ints = 7 };
enum Tensor { tensor_dims = 1, tensor_data_type = 2, tensor_name = 8, tensor_raw_data = 9, element_float = 1 };
enum ValueInfo { value_name = 1, value_type = 2 };
enum Type { tensor_type = 1, type_elem = 1, type_shape = 2, shape_dim = 1, dim_value = 1, dim_param = 2 };
}  // namespace onnx

/// A message of Protocol Buffers is shorter than 2 GiB (protobuf.dev/programming-guides/proto-limits).
inline void check_message_size(std::size_t bytes) {
    if (bytes >= std::size_t{1} << 31)
        throw Error("to_onnx", "a network of less than 2 GiB", text(bytes, " bytes"), "nothing was saved");
}

/// Writes the fields of an ONNX graph, node by node in the order of the network's body.
template <class Scalar>
class OnnxGraphWriter {
public:
    OnnxGraphWriter(const Graph& graph, const Weights<Scalar>& weights, bool fold, ProtobufWriter& to)
        : graph_{graph},
          weights_{weights},
          to_{to},
          uses_{graph.uses()},
          folded_into_(graph.nodes.size(), -1),
          values_(graph.nodes.size()) {
        if (fold) find_folded();
    }

    void write() {
        to_.text(onnx::graph_name, "network");
        for (int id = 0; id < static_cast<int>(graph_.nodes.size()); ++id)
            if (at(uses_, id) > 0) visit(id, at(graph_.nodes, id));
        features(graph_.output);
        const Node& input = graph_.nodes.front();
        value_info(onnx::graph_input, "images", {input.channels, input.extent.height, input.extent.width});
        value_info(onnx::graph_output, "logits", {at(graph_.nodes, graph_.output).channels * output_area()});
    }

private:
    /// What a node computes: its name in the file as a map, [N][C][H][W], and as features, [N][C * H * W], where the
    /// file has it so.
    struct Value {
        std::string map, features;
    };
    /// A convolution's tensors. A layer that is used twice may have several: batch norm follows one use and not the
    /// other.
    struct ConvolutionTensors {
        int layer, norm;  // -1: no batch norm is folded in
        std::string weight, bias;
    };

    /// A batch norm becomes part of a convolution that nobody else reads.
    void find_folded() {
        for (int id = 0; id < static_cast<int>(graph_.nodes.size()); ++id) {
            const Node& node = at(graph_.nodes, id);
            if (node.op != Op::batch_norm || at(uses_, id) == 0) continue;
            const int input = node.inputs[0];
            if (at(graph_.nodes, input).op == Op::conv2d && at(uses_, input) == 1) at(folded_into_, input) = id;
        }
    }

    Index output_area() const { return at(graph_.nodes, graph_.output).extent.area(); }

    void visit(int id, const Node& node) {
        const auto map = [&](int i) { return at(values_, node.inputs[i]).map; };
        switch (node.op) {
            case Op::input:
                at(values_, id).map = "images";
                return;
            case Op::conv2d:
                return convolution(id, node);
            case Op::batch_norm:
                if (at(folded_into_, node.inputs[0]) == id) at(values_, id) = at(values_, node.inputs[0]);
                else batch_norm(id, node);
                return;
            case Op::relu:
            case Op::gelu:
            case Op::scale:
            case Op::add:
                return element_wise(id, node);
            case Op::max_pool:
                return emit("MaxPool", {map(0)}, as_map(id), [&](ProtobufWriter& to) { window(to, node.window); });
            case Op::average_pool:
                return average_pool(id, node);
            case Op::linear:
                return emit("Gemm", {features(node.inputs[0]), parameter(node, "weight"), parameter(node, "bias")},
                            as_features(id), [](ProtobufWriter& to) { integer(to, "transB", 1); });
            case Op::flatten:
                at(values_, id).map = map(0);
                return;
            case Op::custom:
                throw Error(graph_.layer_name(node.layer), "an operation that ONNX has",
                            text("the custom operation ", node.custom->name));
        }
    }

    void convolution(int id, const Node& node) {
        const int norm = at(folded_into_, id);
        const ConvolutionTensors& tensors =
            convolution_tensors(node.layer, norm < 0 ? -1 : at(graph_.nodes, norm).layer);
        std::vector<std::string> inputs{at(values_, node.inputs[0]).map, tensors.weight};
        if (!tensors.bias.empty()) inputs.push_back(tensors.bias);
        emit("Conv", inputs, as_map(id), [&](ProtobufWriter& to) { window(to, node.window); });
    }

    void batch_norm(int id, const Node& node) {
        std::vector<std::string> inputs{at(values_, node.inputs[0]).map};
        const Layer& layer = at(graph_.layers, node.layer);
        const std::string prefix = graph_.layer_name(node.layer) + ".";
        for (const auto& [name, plain] : {std::pair{"weight", Scalar{1}}, std::pair{"bias", Scalar{0}}}) {
            if (graph_.parameter(node.layer, name) >= 0) {
                inputs.push_back(parameter(node, name));
            } else {  // ONNX knows no batch norm without them
                const std::vector<Scalar> values(static_cast<std::size_t>(layer.normalized), plain);
                inputs.push_back(tensor(prefix + name, {layer.normalized}, values));
            }
        }
        for (const char* const name : {"running_mean", "running_var"}) inputs.push_back(state(prefix + name));
        emit("BatchNormalization", inputs, as_map(id),
             [&](ProtobufWriter& to) { number(to, "epsilon", layer.epsilon); });
    }

    /// Operands are maps, or features where one of them is there as features only.
    void element_wise(int id, const Node& node) {
        const auto has_map = [&](int i) { return !at(values_, node.inputs[i]).map.empty(); };
        const bool maps = has_map(0) && (node.op != Op::add || has_map(1));
        const auto operand = [&](int i) { return maps ? at(values_, node.inputs[i]).map : features(node.inputs[i]); };
        std::vector<std::string> inputs{operand(0)};
        if (node.op == Op::add) inputs.push_back(operand(1));
        const std::string output = maps ? as_map(id) : as_features(id);
        if (node.op == Op::scale) inputs.push_back(tensor(output + ".factor", {}, std::array{node.factor}));
        if (node.op == Op::gelu) return gelu(inputs[0], output);
        emit(node.op == Op::relu ? "Relu" : node.op == Op::scale ? "Mul" : "Add", inputs, output, nothing);
    }

    /// 0.5 x (1 + erf(x / sqrt(2))), in the form that ONNX Runtime fuses: Gelu itself is newer than this file's
    /// operators.
    void gelu(const std::string& x, const std::string& output) {
        const auto constant = [&](const char* name, float value) { return tensor(name, {}, std::array{value}); };
        emit("Div", {x, constant("gelu.root", std::numbers::sqrt2_v<float>)}, output + ".scaled", nothing);
        emit("Erf", {output + ".scaled"}, output + ".erf", nothing);
        emit("Add", {output + ".erf", constant("gelu.one", 1)}, output + ".twice", nothing);
        emit("Mul", {x, constant("gelu.half", 0.5f)}, output + ".half", nothing);
        emit("Mul", {output + ".half", output + ".twice"}, output, nothing);
    }

    void average_pool(int id, const Node& node) {
        const std::string& map = at(values_, node.inputs[0]).map;
        const Extent input = at(graph_.nodes, node.inputs[0]).extent;
        if (Extent{node.window.height, node.window.width} == input && node.window.padding == 0)
            return emit("GlobalAveragePool", {map}, as_map(id), nothing);
        emit("AveragePool", {map}, as_map(id), [&](ProtobufWriter& to) {
            window(to, node.window);
            integer(to, "count_include_pad", 1);
        });
    }

    /// The name of a node's value as features; a map is flattened where somebody first asks.
    const std::string& features(int id) {
        Value& value = at(values_, id);
        if (value.features.empty()) emit("Flatten", {value.map}, as_features(id), nothing);
        return value.features;
    }

    // Names: a layer's or operation's, and the number of the node, since a layer may be used twice.
    const std::string& as_map(int id) { return at(values_, id).map = label(id); }
    const std::string& as_features(int id) {
        return at(values_, id).features = id == graph_.output ? "logits" : label(id) + ".features";
    }
    std::string label(int id) const {
        const Node& node = at(graph_.nodes, id);
        const std::string name = node.layer >= 0 ? graph_.layer_name(node.layer) : std::string{name_of(node.op)};
        return text(name, "_", id);
    }

    // ---- tensors

    std::string parameter(const Node& node, std::string_view name) {
        return state(graph_.parameter_name(graph_.parameter(node.layer, name)));
    }
    /// An entry of the state_dict.
    std::string state(const std::string& name) {
        const StateEntry& entry = weights_.entry(name);
        return tensor(name, entry.shape, weights_.read(entry));
    }
    /// A layer that is used twice is written once.
    std::string tensor(const std::string& name, const std::vector<Index>& shape, const auto& values) {
        if (std::ranges::find(written_, name) != written_.end()) return name;
        written_.push_back(name);
        const std::vector<float> floats(values.begin(), values.end());
        check_finite(name, std::span{floats});
        to_.message(onnx::graph_initializer, [&](ProtobufWriter& to) {
            for (const Index extent : shape) to.integer(onnx::tensor_dims, extent);
            to.integer(onnx::tensor_data_type, onnx::element_float);
            to.text(onnx::tensor_name, name);
            to.bytes(onnx::tensor_raw_data, std::as_bytes(std::span{floats}));
        });
        return name;
    }
    const ConvolutionTensors& convolution_tensors(int layer, int norm) {
        int others = 0;  // that are made of the same layer
        for (const ConvolutionTensors& tensors : convolutions_) {
            if (tensors.layer == layer && tensors.norm == norm) return tensors;
            others += tensors.layer == layer ? 1 : 0;
        }
        const std::string suffix = others > 0 ? text(".", others + 1) : "";
        const int weight = graph_.parameter(layer, "weight"), bias = graph_.parameter(layer, "bias");
        ConvolutionTensors tensors{layer, norm, graph_.layer_name(layer) + ".weight" + suffix, {}};
        if (norm >= 0 || bias >= 0) tensors.bias = graph_.layer_name(layer) + ".bias" + suffix;
        const ParameterSpec& spec = at(graph_.parameters, weight).spec;
        const FoldedConvolution<Scalar> folded = folded_convolution(weights_, layer, norm, 1);
        std::vector<Scalar> theirs(folded.weight.size());
        reorder(spec, folded.weight.data(), theirs.data());
        tensor(tensors.weight, spec.shape(), theirs);
        if (!tensors.bias.empty()) tensor(tensors.bias, {spec.out}, folded.bias);
        return convolutions_.emplace_back(std::move(tensors));
    }

    // ---- messages

    static constexpr auto nothing = [](ProtobufWriter&) {};

    void emit(std::string_view op, const std::vector<std::string>& inputs, const std::string& output,
              const auto& attributes) {
        to_.message(onnx::graph_node, [&](ProtobufWriter& to) {
            for (const std::string& input : inputs) to.text(onnx::node_input, input);
            to.text(onnx::node_output, output);
            to.text(onnx::node_name, output);
            to.text(onnx::node_op_type, op);
            attributes(to);
        });
    }
    static void attribute(ProtobufWriter& to, std::string_view name, onnx::AttributeType type, const auto& value) {
        to.message(onnx::node_attribute, [&](ProtobufWriter& attribute) {
            attribute.text(onnx::attribute_name, name);
            attribute.integer(onnx::attribute_type, type);
            value(attribute);
        });
    }
    static void integer(ProtobufWriter& to, std::string_view name, std::int64_t value) {
        attribute(to, name, onnx::type_int, [&](ProtobufWriter& a) { a.integer(onnx::attribute_i, value); });
    }
    static void number(ProtobufWriter& to, std::string_view name, float value) {
        attribute(to, name, onnx::type_float, [&](ProtobufWriter& a) { a.number(onnx::attribute_f, value); });
    }
    static void integers(ProtobufWriter& to, std::string_view name, std::initializer_list<int> values) {
        attribute(to, name, onnx::type_ints, [&](ProtobufWriter& a) {
            for (const int value : values) a.integer(onnx::attribute_ints, value);
        });
    }
    static void window(ProtobufWriter& to, const Window& window) {
        const int p = window.padding;
        integers(to, "kernel_shape", {window.height, window.width});
        integers(to, "strides", {window.stride, window.stride});
        integers(to, "pads", {p, p, p, p});
    }
    /// A float tensor of the graph's surface: [N] and the given extents.
    void value_info(int field, std::string_view name, std::initializer_list<Index> extents) {
        const auto shape = [&](ProtobufWriter& to) {
            to.message(onnx::shape_dim, [](ProtobufWriter& dim) { dim.text(onnx::dim_param, "N"); });
            for (const Index extent : extents)
                to.message(onnx::shape_dim, [&](ProtobufWriter& dim) { dim.integer(onnx::dim_value, extent); });
        };
        to_.message(field, [&](ProtobufWriter& value) {
            value.text(onnx::value_name, name);
            value.message(onnx::value_type, [&](ProtobufWriter& type) {
                type.message(onnx::tensor_type, [&](ProtobufWriter& tensor) {
                    tensor.integer(onnx::type_elem, onnx::element_float);
                    tensor.message(onnx::type_shape, shape);
                });
            });
        });
    }

    const Graph& graph_;
    const Weights<Scalar>& weights_;
    ProtobufWriter& to_;
    std::vector<int> uses_, folded_into_;  // folded_into_: of a convolution, the node of the batch norm
    std::vector<Value> values_;
    std::vector<std::string> written_;  // initializers
    std::vector<ConvolutionTensors> convolutions_;
};

}  // namespace detail

template <class Net, class Scalar>
void to_onnx(const Model<Net, Scalar>& model, const std::filesystem::path& path, const OnnxOptions& options) {
    namespace onnx = detail::onnx;
    using detail::ProtobufWriter;
    const Graph graph = trace<Net>(options.image == Extent{} ? Net::image : options.image);
    ProtobufWriter file;
    file.integer(onnx::ir_version, 8);
    file.text(onnx::producer_name, "resnet");
    file.message(onnx::opset_import, [](ProtobufWriter& to) { to.integer(onnx::opset_version, 17); });
    file.message(onnx::graph, [&](ProtobufWriter& to) {
        detail::OnnxGraphWriter<Scalar>{graph, model.weights(), options.fold_batch_norm, to}.write();
    });
    const Normalization& normalization = model.normalization();
    for (const auto& [key, numbers] : {std::pair{detail::mean_key, normalization.mean},
                                       std::pair{detail::deviation_key, normalization.standard_deviation}})
        file.message(onnx::metadata_props, [&, key = key, &numbers = numbers](ProtobufWriter& to) {
            to.text(onnx::entry_key, key);
            to.text(onnx::entry_value, detail::numbers_text(numbers));
        });
    detail::check_message_size(file.content().size());
    AtomicFile to{path};
    to.write(file.content());
    to.commit();
}

}  // namespace resnet::inline v0
