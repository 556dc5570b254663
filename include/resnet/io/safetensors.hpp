// Files of named tensors in the safetensors format, which PyTorch and most other libraries read and write.
// Ours say `format: resnet` and a version in their metadata and carry a checksum over the whole file: every flipped bit
// is found.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/input_file.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/atomic_file.hpp>
#include <resnet/io/crc32c.hpp>
#include <resnet/io/safetensors_checksum.hpp>
#include <resnet/io/safetensors_header.hpp>
#include <resnet/io/tensor_type.hpp>

namespace resnet::inline v0 {

using Metadata = std::map<std::string, std::string>;

namespace detail {

inline constexpr auto file_format = "resnet", file_format_version = "1";

inline bool is_ours(const Metadata& metadata) {
    const auto format = metadata.find("format");
    return format != metadata.end() && format->second == file_format;
}

}  // namespace detail

/// A tensor of a file, or for one: row-major elements that somebody else owns.
struct TensorRecord {
    std::string name;
    TensorType type = TensorType::f32;
    std::vector<Index> shape;          // [] for a single value
    std::span<const std::byte> bytes;  // little-endian, not necessarily aligned

    Index count() const { return std::ssize(bytes) / element_bytes(type); }
};

/// The record of values in memory: a vector, array or span, which must outlive it.
template <std::ranges::contiguous_range Values>
requires std::ranges::borrowed_range<Values> TensorRecord tensor_record(std::string name, std::vector<Index> shape,
                                                                        Values&& values) {
    constexpr TensorType type = tensor_type_of<std::ranges::range_value_t<Values>>();
    return {std::move(name), type, std::move(shape), std::as_bytes(std::span{values})};
}

/// A safetensors file that was read and found flawless, as far as the format and a checksum can tell.
class TensorFile {
public:
    /// Reads the whole file: its bytes are held once, and the tensors refer to them.
    /// Throws FileError if it can't be read. FormatError, naming the file, the tensor and what was expected, where the
    /// header is longer than 1 MiB or than the file; a key is twice in it, unknown or missing; a type is none of
    /// TensorType's; a shape's product overflows or differs from the bytes given to it; the tensors' data overlaps, has
    /// holes or ends elsewhere than the file; or a checksum is wrong. A file of ours must have one, and a version that
    /// is known here; other files need neither.
    explicit TensorFile(const std::filesystem::path& path);

    const std::string& name() const noexcept { return name_; }
    const Metadata& metadata() const noexcept { return metadata_; }
    /// Written by `write_tensor_file`: its metadata mean what they mean in this library.
    bool is_ours() const noexcept { return detail::is_ours(metadata_); }
    /// In the order of their data. The spans are valid as long as this object, or the one that it was moved to, lives.
    std::span<const TensorRecord> tensors() const noexcept { return tensors_; }

    /// Null where no tensor has that name.
    const TensorRecord* find(std::string_view name) const noexcept;

    /// The elements of a tensor, converted (see `convert`). Throws FormatError if it is missing, has another number of
    /// elements than `values`, or holds what is no value of an integer type T.
    template <class T>
    void read(std::string_view name, std::span<T> values) const;
    template <class T>
    std::vector<T> read(std::string_view name) const;

private:
    const TensorRecord& at(std::string_view name) const;

    std::string name_;
    Metadata metadata_;
    detail::Memory data_;
    std::vector<TensorRecord> tensors_;
};

/// Writes the tensors to a file, atomically and durably (AtomicFile). Equal arguments give equal bytes: tensors come in
/// the order given, but those with longer elements first, so that each is aligned (PyTorch can't read it otherwise).
/// Metadata is the caller's, but for the keys `format`, `format_version` and `checksum`.
/// Throws FileError if it can't be written; Error if the result would not be a valid file: a name twice, bytes that
/// don't fit the shape, a header of more than 1 MiB.
void write_tensor_file(const std::filesystem::path& path, std::span<const TensorRecord> tensors,
                       Metadata metadata = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline void read_exactly(InputFile& file, std::span<std::byte> bytes) {
    if (file.read({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()}) != bytes.size()) {
        throw FormatError(file.name(), "the number of bytes that the system gave as its size", "its end before that");
    }
}

/// The length and the text of the header; `file_bytes` is the size of the whole file.
inline SafetensorsPrefix read_prefix(InputFile& file, std::uint64_t file_bytes) {
    SafetensorsPrefix prefix;
    if (file_bytes < prefix.length.size()) {
        throw FormatError(file.name(), "the length of a safetensors header in 8 bytes",
                          std::to_string(file_bytes) + " bytes");
    }
    read_exactly(file, prefix.length);
    const std::uint64_t header_bytes = prefix.header_bytes();
    if (header_bytes > safetensors_header_limit) {
        throw FormatError(file.name(), text("a safetensors header of at most ", safetensors_header_limit, " bytes"),
                          std::to_string(header_bytes), "is it a safetensors file?");
    }
    if (header_bytes > file_bytes - prefix.length.size()) {
        throw FormatError(file.name(), text("a header of ", header_bytes, " bytes"),
                          std::to_string(file_bytes - prefix.length.size()), "the file is cut off");
    }
    prefix.header.resize(header_bytes);
    read_exactly(file, std::as_writable_bytes(std::span{prefix.header}));
    return prefix;
}

/// Throws FormatError if a file of ours is of another version than this library's.
inline void check_version(const Metadata& metadata, const std::string& file) {
    if (!is_ours(metadata)) return;
    const auto version = metadata.find("format_version");
    const std::string found = version == metadata.end() ? "none" : version->second;
    if (found != file_format_version) {
        throw FormatError(file, text("the format_version ", file_format_version), printable(found),
                          "it may be from a newer version of resnet");
    }
}

/// The checksum that a file states, if it has to be checked.
inline std::optional<std::string> stated_checksum(const Metadata& metadata, const std::string& file) {
    const auto checksum = metadata.find("checksum");
    const bool ours = is_ours(metadata);
    if (checksum == metadata.end()) {
        if (ours) throw FormatError(file, "a checksum, as `format: resnet` promises", "none");
        return {};
    }
    if (checksum->second.starts_with(checksum_kind)) {
        if (checksum->second.size() == checksum_zero.size()) return checksum->second;
        throw FormatError(file, "a checksum of 8 digits after crc32c:", printable(checksum->second));
    }
    if (ours) throw FormatError(file, "a checksum of the kind crc32c", printable(checksum->second));
    return {};  // of a kind that somebody else knows
}

}  // namespace detail

inline TensorFile::TensorFile(const std::filesystem::path& path) : name_{path.string()} {
    detail::InputFile file{path, "a safetensors file"};
    const std::uint64_t file_bytes = file.size();
    const detail::SafetensorsPrefix prefix = detail::read_prefix(file, file_bytes);

    const std::uint64_t data_bytes = file_bytes - prefix.length.size() - prefix.header.size();
    detail::SafetensorsHeader header = detail::parse_safetensors_header(prefix.header, data_bytes, name_);
    metadata_ = std::move(header.metadata);

    const auto checksum = detail::stated_checksum(metadata_, name_);
    Crc32c sum = checksum ? detail::begin_checksum(prefix, *checksum, name_) : Crc32c{};
    data_ = detail::allocate(data_bytes);
    const std::span data{data_.get(), data_bytes};
    constexpr std::size_t block = 1 << 18;  // bytes that are still in the L2 cache when the checksum is taken
    for (std::size_t begin = 0; begin < data.size(); begin += block) {
        const auto bytes = data.subspan(begin, std::min(block, data.size() - begin));
        detail::read_exactly(file, bytes);
        if (checksum) sum.add(bytes);
    }
    if (checksum && detail::checksum_text(sum.value()) != *checksum) {
        throw FormatError(name_, "a content with the checksum " + detail::printable(*checksum),
                          detail::checksum_text(sum.value()), "the file is damaged");
    }
    detail::check_version(metadata_, name_);
    for (auto& [tensor, type, shape, begin, end] : header.tensors) {
        tensors_.push_back({std::move(tensor), type, std::move(shape), data.subspan(begin, end - begin)});
    }
}

inline const TensorRecord* TensorFile::find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(tensors_, name, &TensorRecord::name);
    return found == tensors_.end() ? nullptr : &*found;
}

inline const TensorRecord& TensorFile::at(std::string_view name) const {
    const TensorRecord* const tensor = find(name);
    if (tensor == nullptr) throw FormatError(name_, "a tensor named " + detail::printable(name), "none");
    return *tensor;
}

template <class T>
void TensorFile::read(std::string_view name, std::span<T> values) const {
    const TensorRecord& tensor = at(name);
    const std::string where = name_ + ": " + detail::printable(tensor.name);
    if (tensor.count() != std::ssize(values)) {
        throw FormatError(where, std::to_string(values.size()) + " elements", std::to_string(tensor.count()));
    }
    if (!convert(tensor.type, tensor.bytes, values)) {
        throw FormatError(where, detail::text("values of the type ", resnet::name(tensor_type_of<T>())),
                          detail::text("others of the type ", resnet::name(tensor.type)));
    }
}

template <class T>
std::vector<T> TensorFile::read(std::string_view name) const {
    std::vector<T> values(static_cast<std::size_t>(at(name).count()));
    read(name, std::span{values});
    return values;
}

inline void write_tensor_file(const std::filesystem::path& path, std::span<const TensorRecord> tensors,
                              Metadata metadata) {
    const std::string file = path.string();
    for (const char* const key : {"format", "format_version", "checksum"}) {
        if (metadata.contains(key)) throw Error(file, "metadata without a key of our own", key);
    }
    metadata["format"] = detail::file_format;
    metadata["format_version"] = detail::file_format_version;
    metadata["checksum"] = detail::checksum_zero;
    std::vector<const TensorRecord*> order;
    for (const TensorRecord& tensor : tensors) order.push_back(&tensor);
    std::ranges::stable_sort(order, std::greater{}, [](const auto* tensor) { return element_bytes(tensor->type); });

    detail::SafetensorsHeader header{std::move(metadata), {}};
    std::uint64_t end = 0;
    for (const TensorRecord* const tensor : order) {
        const std::uint64_t begin = std::exchange(end, end + tensor->bytes.size());
        header.tensors.push_back({tensor->name, tensor->type, tensor->shape, begin, end});
    }
    detail::SafetensorsPrefix prefix{detail::format_safetensors_header(header, file)};
    if (prefix.header.size() > detail::safetensors_header_limit) {
        throw Error(file, detail::text("names and metadata that fit in ", detail::safetensors_header_limit, " bytes"),
                    std::to_string(prefix.header.size()));
    }
    detail::parse_safetensors_header(prefix.header, end, file);  // we write nothing that we would not read

    Crc32c sum = detail::begin_checksum(prefix, detail::checksum_zero, file);
    for (const TensorRecord* const tensor : order) sum.add(tensor->bytes);
    prefix.header.replace(detail::find_checksum(prefix.header, detail::checksum_zero), detail::checksum_zero.size(),
                          detail::checksum_text(sum.value()));

    AtomicFile output{path};
    output.write(prefix.length);
    output.write(std::as_bytes(std::span{prefix.header}));
    for (const TensorRecord* const tensor : order) output.write(tensor->bytes);
    output.commit();
}

}  // namespace resnet::inline v0
