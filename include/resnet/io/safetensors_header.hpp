// The header of a safetensors file: a JSON object that gives each tensor's type, shape and place in the data.
// Format: https://github.com/huggingface/safetensors#format. Read strictly: what is not described there is refused.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/tensor_type.hpp>

namespace resnet::inline v0::detail {

struct SafetensorsHeader {
    struct Tensor {
        std::string name;
        TensorType type{};
        std::vector<Index> shape;
        std::uint64_t begin = 0, end = 0;  // bytes, from the start of the data
    };

    std::map<std::string, std::string> metadata;
    std::vector<Tensor> tensors;  // in the order of their data
};

/// Bytes of JSON; enough for some 8,000 tensors. (The reference implementation's limit is 100 MB.)
inline constexpr std::uint64_t safetensors_header_limit = 1 << 20;

/// Parses the text of a header that is followed by `data_bytes` bytes of data.
/// FormatError, naming `file` and the tensor, at the first thing that is not as it must be.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes, const std::string& file);

/// The text of a header, padded with spaces so that the data after it is aligned to 8 bytes.
/// Error where a name is not UTF-8.
std::string format_safetensors_header(const SafetensorsHeader& header, const std::string& file);

/// What comes from a file that nobody has vetted, fit for a message: escaped, and not longer than a line.
std::string printable(std::string_view name);
std::string excerpt(const nlohmann::json& value);

// ---------------------------------------------------------------------------------------------------------------------

inline std::string excerpt(const nlohmann::json& value) {
    constexpr std::size_t longest = 100;
    std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (text.size() > longest) text.replace(longest, text.size(), "...");
    return text;
}

inline std::string printable(std::string_view name) {
    const std::string quoted = excerpt(name);
    const bool plain = quoted.size() == name.size() + 2;  // nothing to escape: needs no quotes
    return plain ? std::string{name} : quoted;
}

class SafetensorsHeaderParser {
public:
    using Json = nlohmann::json;

    SafetensorsHeaderParser(std::string_view text, std::uint64_t data_bytes, const std::string& file)
        : text_{text},
          data_bytes_{data_bytes},
          file_{file} {}

    SafetensorsHeader parse() {
        const Json object = parse_object();
        SafetensorsHeader header;
        for (const auto& [name, value] : object.items()) {
            if (name == "__metadata__") header.metadata = metadata(value);
            else header.tensors.push_back(tensor(name, value));
        }
        std::ranges::sort(header.tensors, {}, [](const auto& tensor) { return std::tie(tensor.begin, tensor.end); });
        check_contiguous(header.tensors);
        return header;
    }

private:
    using Tensor = SafetensorsHeader::Tensor;

    Json parse_object() {
        if (!text_.starts_with('{')) {
            throw FormatError(file_, "a header that is a JSON object", "a first byte that is not '{'");
        }
        if (text_.find('\0') != text_.npos) {  // where the JSON library would take the text to end
            throw FormatError(file_, "a header in JSON", "a zero byte in it");
        }
        try {
            return Json::parse(text_, [this](int depth, Json::parse_event_t event, const Json& parsed) {
                check(depth, event, parsed);
                return true;
            });
        } catch (const Json::parse_error& error) {
            throw FormatError(file_, "a header in JSON", detail::text("a syntax error at its byte ", error.byte));
        } catch (const Json::out_of_range&) {  // of a number such as 1e999
            throw FormatError(file_, "a header with numbers of 64 bits", "a larger one");
        }
    }

    /// What a finished JSON value does not tell any more.
    void check(int depth, Json::parse_event_t event, const Json& parsed) {
        switch (event) {
            case Json::parse_event_t::object_start:
            case Json::parse_event_t::array_start:
                if (depth > deepest) throw FormatError(file_, "a header of three levels", "a fourth level in it");
                keys_[static_cast<std::size_t>(depth)].clear();
                break;
            case Json::parse_event_t::key: {
                const auto key = parsed.get<std::string>();
                if (!keys_[static_cast<std::size_t>(depth) - 1].insert(key).second) {
                    throw FormatError(file_, "each name once", printable(key) + " twice");
                }
                break;
            }
            default:
                break;
        }
    }

    std::map<std::string, std::string> metadata(const Json& value) const {
        std::map<std::string, std::string> result;
        if (!value.is_object()) throw FormatError(at("__metadata__"), "an object", value.type_name());
        for (const auto& [key, text] : value.items()) {
            if (!text.is_string()) throw FormatError(at("__metadata__." + key), "a string", text.type_name());
            result.emplace(key, text.get<std::string>());
        }
        return result;
    }

    Tensor tensor(const std::string& name, const Json& value) const {
        constexpr auto expected = "an object of dtype, shape and data_offsets";
        if (!value.is_object()) throw FormatError(at(name), expected, value.type_name());
        for (const auto& [key, unused] : value.items()) {
            if (key != "dtype" && key != "shape" && key != "data_offsets") {
                throw FormatError(at(name), expected, printable(key) + " in it");
            }
        }
        for (const char* const key : {"dtype", "shape", "data_offsets"}) {
            if (!value.contains(key)) throw FormatError(at(name), expected, std::string{"no "} + key);
        }
        Tensor tensor{name, type(name, value["dtype"]), shape(name, value["shape"])};
        std::tie(tensor.begin, tensor.end) = offsets(name, value["data_offsets"]);
        check_size(tensor);
        return tensor;
    }

    TensorType type(const std::string& name, const Json& value) const {
        if (value.is_string()) {
            if (const auto type = tensor_type(value.get_ref<const std::string&>())) return *type;
        }
        constexpr auto expected = "a dtype of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8";
        throw FormatError(at(name), expected, excerpt(value));
    }

    std::vector<Index> shape(const std::string& name, const Json& value) const {
        constexpr auto expected = "a shape of integers from 0 to 2^63 - 1";
        if (!value.is_array()) throw FormatError(at(name), expected, value.type_name());
        std::vector<Index> shape;
        for (const auto& extent : value) {
            if (!extent.is_number_unsigned() || !std::in_range<Index>(extent.get<std::uint64_t>())) {
                throw FormatError(at(name), expected, excerpt(extent) + " in it");
            }
            shape.push_back(extent.get<Index>());
        }
        return shape;
    }

    std::pair<std::uint64_t, std::uint64_t> offsets(const std::string& name, const Json& value) const {
        const bool valid = value.is_array() && value.size() == 2 && value[0].is_number_unsigned() &&
                           value[1].is_number_unsigned() && value[0] <= value[1];
        if (!valid) throw FormatError(at(name), "data_offsets [begin, end], begin <= end", excerpt(value));
        return {value[0].get<std::uint64_t>(), value[1].get<std::uint64_t>()};
    }

    void check_size(const Tensor& tensor) const {
        std::uint64_t bytes = static_cast<std::uint64_t>(element_bytes(tensor.type));
        for (const Index extent : tensor.shape) {
            if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes)) {
                throw FormatError(at(tensor.name), "a shape of less than 2^64 bytes", "more");
            }
        }
        if (tensor.end - tensor.begin != bytes) {
            throw FormatError(at(tensor.name), std::to_string(bytes) + " bytes for its shape",
                              std::to_string(tensor.end - tensor.begin));
        }
    }

    /// No byte of the data belongs to two tensors, and none to none.
    void check_contiguous(const std::vector<Tensor>& tensors) const {
        std::uint64_t end = 0;
        for (const Tensor& tensor : tensors) {
            if (tensor.begin != end) {
                throw FormatError(at(tensor.name),
                                  detail::text("data from byte ", end, ", where the data before it ends"),
                                  detail::text("byte ", tensor.begin));
            }
            end = tensor.end;
        }
        if (end != data_bytes_) {
            throw FormatError(file_, std::to_string(end) + " bytes of data, as its header says",
                              std::to_string(data_bytes_), end > data_bytes_ ? "the file is cut off" : "");
        }
    }

    std::string at(const std::string& name) const { return file_ + ": " + printable(name); }

    static constexpr int deepest = 2;  // of the levels 0 ... 2: header, tensor, shape

    std::string_view text_;
    std::uint64_t data_bytes_;
    const std::string& file_;
    std::array<std::set<std::string>, deepest + 1> keys_;  // of the object that is open at each level
};

inline SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                                  const std::string& file) {
    return SafetensorsHeaderParser{text, data_bytes, file}.parse();
}

inline std::string format_safetensors_header(const SafetensorsHeader& header, const std::string& file) {
    using Json = nlohmann::ordered_json;
    std::string text;
    const auto append = [&text](const std::string& key, const Json& value) {
        text.append(text.empty() ? "{" : ",").append(Json(key).dump()).append(":").append(value.dump());
    };
    try {
        if (!header.metadata.empty()) append("__metadata__", header.metadata);
        for (const auto& tensor : header.tensors) {
            append(
                tensor.name,
                {{"dtype", name(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {tensor.begin, tensor.end}}});
        }
    } catch (const Json::type_error&) {
        throw Error(file, "names and metadata in UTF-8", "other bytes");
    }
    text.append(text.empty() ? "{}" : "}");
    text.append(static_cast<std::size_t>(round_up(std::ssize(text), 8) - std::ssize(text)), ' ');
    return text;
}

}  // namespace resnet::inline v0::detail
