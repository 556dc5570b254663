// The header of a safetensors file: a JSON object that gives each tensor's type, shape and place in the data.
// Format: https://github.com/huggingface/safetensors#format. Read strictly: what is not described there is refused.
#pragma once

#include <algorithm>
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
/// Throws Error if a name is not UTF-8.
std::string format_safetensors_header(const SafetensorsHeader& header, const std::string& file);

/// A name from a file that nobody has vetted, fit for a message: escaped, and not longer than a line.
std::string printable(std::string_view name);

// ---------------------------------------------------------------------------------------------------------------------

/// Text as JSON spells it, in ASCII.
inline std::string json_string(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

/// The text, with U+FFFD for bytes that are no UTF-8.
inline std::string utf8(std::string_view text) { return nlohmann::json::parse(json_string(text)).get<std::string>(); }

inline std::string printable(std::string_view name) {
    constexpr std::size_t longest = 100;
    std::string escaped = json_string(name);
    if (escaped.size() == name.size() + 2) escaped = name;  // nothing to escape: needs no quotes
    if (escaped.size() > longest) escaped.replace(longest, escaped.size(), "...");
    return escaped;
}

/// Takes the events of the JSON parser as they come: a file can't make it hold more than the header says, nor deeper
/// levels than a header has. (A tree of JSON values would also allocate in its destructor, and so end the program where
/// memory is short.)
class SafetensorsHeaderParser {
public:
    SafetensorsHeaderParser(std::string_view text, std::uint64_t data_bytes, const std::string& file)
        : text_{text},
          data_bytes_{data_bytes},
          file_{file} {}

    SafetensorsHeader parse() {
        if (!text_.starts_with('{')) {
            throw FormatError(file_, "a header that is a JSON object", "a first byte that is not '{'");
        }
        if (text_.find('\0') != std::string_view::npos) {  // where the JSON library would take the text to end
            throw FormatError(file_, "a header in JSON", "a zero byte in it");
        }
        nlohmann::json::sax_parse(text_, this);
        std::ranges::stable_sort(header_.tensors, {},
                                 [](const auto& tensor) { return std::tie(tensor.begin, tensor.end); });
        check_contiguous();
        return std::move(header_);
    }

    // The interface that nlohmann::json::sax_parse asks for.

    bool null() { unexpected("null"); }
    bool boolean(bool value) { unexpected(value ? "true" : "false"); }
    bool number_integer(std::int64_t value) { unexpected(std::to_string(value)); }  // a negative one
    bool number_float(double, const std::string& digits) { unexpected(printable(digits)); }
    bool binary(std::vector<std::uint8_t>&) { unexpected("binary data"); }

    bool number_unsigned(std::uint64_t value) {
        if (place_ != Place::shape && place_ != Place::data_offsets) unexpected(std::to_string(value));
        numbers_.push_back(value);
        return true;
    }

    bool string(const std::string& value) {
        if (place_ == Place::metadata) {
            header_.metadata.emplace(field_, value);
        } else {
            const auto type = place_ == Place::tensor && field_ == "dtype" ? tensor_type(value) : std::nullopt;
            if (!type) unexpected(json_string(value.substr(0, 100)));
            tensor_.type = *type;
        }
        return true;
    }

    bool key(const std::string& name) {
        auto& names = place_ == Place::header ? names_ : fields_;
        if (!names.insert(name).second) throw FormatError(file_, "each name once", printable(name) + " twice");
        (place_ == Place::header ? name_ : field_) = name;
        if (place_ == Place::tensor && name != "dtype" && name != "shape" && name != "data_offsets") {
            throw FormatError(at(name_), fields_of_a_tensor, printable(name) + " in it");
        }
        return true;
    }

    bool start_object(std::size_t) {
        if (place_ != Place::file && place_ != Place::header) unexpected("an object");
        if (place_ == Place::file) place_ = Place::header;
        else place_ = name_ == "__metadata__" ? Place::metadata : Place::tensor;
        fields_.clear();
        return true;
    }

    bool start_array(std::size_t) {
        if (place_ != Place::tensor || field_ == "dtype") unexpected("an array");
        place_ = field_ == "shape" ? Place::shape : Place::data_offsets;
        numbers_.clear();
        return true;
    }

    bool end_array() {
        if (place_ == Place::shape) end_shape();
        else end_data_offsets();
        place_ = Place::tensor;
        return true;
    }

    bool end_object() {
        if (place_ == Place::tensor) end_tensor();
        place_ = Place::header;
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) {
        constexpr int number_overflow = 406;
        if (error.id == number_overflow) {  // 1e999
            throw FormatError(file_, "a header with numbers of 64 bits", "a larger one");
        }
        throw FormatError(file_, "a header in JSON", text("a syntax error at its byte ", position));
    }

private:
    enum class Place : std::uint8_t { file, header, metadata, tensor, shape, data_offsets };

    static constexpr auto fields_of_a_tensor = "an object of dtype, shape and data_offsets";

    void end_shape() {
        tensor_.shape.clear();
        for (const std::uint64_t extent : numbers_) {
            if (!std::in_range<Index>(extent)) unexpected(std::to_string(extent));
            tensor_.shape.push_back(static_cast<Index>(extent));
        }
    }

    void end_data_offsets() {
        if (numbers_.size() != 2) unexpected(text(numbers_.size(), " numbers"));
        if (numbers_[0] > numbers_[1]) unexpected(text("[", numbers_[0], ", ", numbers_[1], "]"));
        tensor_.begin = numbers_[0];
        tensor_.end = numbers_[1];
    }

    void end_tensor() {
        for (const char* const field : {"dtype", "shape", "data_offsets"}) {
            if (!fields_.contains(field)) throw FormatError(at(name_), fields_of_a_tensor, text("no ", field));
        }
        std::uint64_t bytes = static_cast<std::uint64_t>(element_bytes(tensor_.type));
        for (const Index extent : tensor_.shape) {
            if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes)) {
                throw FormatError(at(name_), "a shape of less than 2^64 bytes", "more");
            }
        }
        if (tensor_.end - tensor_.begin != bytes) {
            throw FormatError(at(name_), text(bytes, " bytes for its shape"),
                              std::to_string(tensor_.end - tensor_.begin));
        }
        tensor_.name = name_;
        header_.tensors.push_back(tensor_);
    }

    /// No byte of the data belongs to two tensors, and none to none.
    void check_contiguous() const {
        std::uint64_t end = 0;
        for (const auto& tensor : header_.tensors) {
            if (tensor.begin != end) {
                throw FormatError(at(tensor.name), text("data from byte ", end, ", where the data before it ends"),
                                  text("byte ", tensor.begin));
            }
            end = tensor.end;
        }
        if (end != data_bytes_) {
            throw FormatError(file_, text(end, " bytes of data, as its header says"), std::to_string(data_bytes_),
                              end > data_bytes_ ? "the file is cut off" : "");
        }
    }

    /// FormatError for a value where another one has to be.
    [[noreturn]] void unexpected(std::string_view found) const {
        if (place_ == Place::metadata) throw FormatError(at("__metadata__." + field_), "a string", found);
        if (place_ == Place::header) {
            throw FormatError(at(name_), name_ == "__metadata__" ? "an object of strings" : fields_of_a_tensor, found);
        }
        throw FormatError(at(name_),
                          field_ == "dtype"   ? "a dtype of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8"
                          : field_ == "shape" ? "a shape of integers from 0 to 2^63 - 1"
                                              : "data_offsets [begin, end], begin <= end",
                          found);
    }

    std::string at(const std::string& name) const { return text(file_, ": ", printable(name)); }

    std::string_view text_;
    std::uint64_t data_bytes_;
    const std::string& file_;

    SafetensorsHeader header_;
    Place place_ = Place::file;
    std::string name_, field_;              // the last keys of the header and of an object in it
    std::set<std::string> names_, fields_;  // all keys of the same
    SafetensorsHeader::Tensor tensor_;      // the one that is being read
    std::vector<std::uint64_t> numbers_;    // the array that is being read
};

inline SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                                  const std::string& file) {
    return SafetensorsHeaderParser{text, data_bytes, file}.parse();
}

inline std::string format_safetensors_header(const SafetensorsHeader& header, const std::string& file) {
    const auto utf8 = [&file](const std::string& string) {
        try {
            return nlohmann::json(string).dump();
        } catch (const nlohmann::json::type_error&) {
            throw Error(file, "names and metadata in UTF-8", printable(string));
        }
    };
    std::string members;  // each with a comma before it
    for (const auto& [key, value] : header.metadata) append(members, text(",", utf8(key), ":", utf8(value)));
    if (!members.empty()) members = text(",\"__metadata__\":{", members.substr(1), "}");
    for (const auto& tensor : header.tensors) {
        std::string shape;
        for (const Index extent : tensor.shape) append(shape, text(shape.empty() ? "" : ",", extent));
        append(members, text(",", utf8(tensor.name), R"(:{"dtype":")", name(tensor.type), R"(","shape":[)", shape,
                             R"(],"data_offsets":[)", tensor.begin, ",", tensor.end, "]}"));
    }
    std::string result = text("{", members.empty() ? "" : members.substr(1), "}");
    result.append(static_cast<std::size_t>(round_up(std::ssize(result), 8) - std::ssize(result)), ' ');
    return result;
}

}  // namespace resnet::inline v0::detail
