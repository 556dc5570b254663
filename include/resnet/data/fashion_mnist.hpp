// Fashion-MNIST (Xiao et al. 2017, https://github.com/zalandoresearch/fashion-mnist): 60,000 training and 10,000 test
// images of 28 x 28, grey, ten classes; IDX files, plain or .gz. Needs zlib: link resnet::io.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <zlib.h>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/input_file.hpp>
#include <resnet/data/dataset.hpp>

namespace resnet::inline v0 {

/// Class names in the order of the labels, as the data set's own page lists them.
inline constexpr std::array<const char*, 10> fashion_mnist_classes{
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};

/// Reads {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, or the same with .gz, from `folder`. Images
/// come out as 32 x 32 with three equal channels: two black pixels are added on each side, so that networks for
/// CIFAR-10 take them. Throws FileError if a file is missing or can't be read; FormatError, naming the file and the
/// byte (of the content, where it is compressed), for a wrong magic number, count, extent or length, a label above 9,
/// or a damaged gzip stream.
Dataset load_fashion_mnist(const std::filesystem::path& folder, Split split);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// The content of a file, which is inflated on the way where the file is a gzip stream. One stream, and nothing after
/// it.
class GzipInput {
public:
    GzipInput(const std::filesystem::path& path, std::string_view content) : file_{path, content} {
        refill();
        const bool gzip = end_ >= 2 && buffer_[0] == 0x1f && buffer_[1] == 0x8b;  // RFC 1952: ID1, ID2
        if (!gzip) return;
        auto stream = std::make_unique<z_stream>();  // zero: zlib's own allocator
        constexpr int window_bits = 15, gzip_only = 16;
        if (inflateInit2(stream.get(), window_bits + gzip_only) != Z_OK) throw std::bad_alloc{};
        inflater_.reset(stream.release());
    }

    /// Fills `bytes` as far as the content reaches; returns how many were read: fewer only at its end.
    std::size_t read(std::span<std::uint8_t> bytes) {
        std::size_t count = 0;
        while (count < bytes.size()) {
            const std::size_t got = inflater_ ? inflate_some(bytes.subspan(count)) : copy_some(bytes.subspan(count));
            if (got == 0) break;
            count += got;
        }
        offset_ += count;
        return count;
    }

    const std::string& name() const noexcept { return file_.name(); }
    std::uint64_t offset() const noexcept { return offset_; }  // in the content

private:
    bool refill() {
        begin_ = 0;
        end_ = file_.read(buffer_);
        return end_ > 0;
    }

    std::size_t copy_some(std::span<std::uint8_t> bytes) {
        if (begin_ == end_ && !refill()) return 0;
        const std::size_t count = std::min(bytes.size(), end_ - begin_);
        std::copy_n(buffer_.data() + begin_, count, bytes.data());
        begin_ += count;
        return count;
    }

    std::size_t inflate_some(std::span<std::uint8_t> bytes) {
        while (!finished_) {
            if (begin_ == end_ && !refill()) {
                damaged(file_.offset(), "the rest of the gzip stream", "the end of the file");
            }
            z_stream& stream = *inflater_;
            stream.next_in = buffer_.data() + begin_;
            stream.avail_in = static_cast<uInt>(end_ - begin_);
            stream.next_out = bytes.data();
            const std::size_t space = std::min(bytes.size(), std::size_t{1} << 30);  // uInt
            stream.avail_out = static_cast<uInt>(space);
            const int status = inflate(&stream, Z_NO_FLUSH);
            begin_ = end_ - stream.avail_in;
            const std::uint64_t consumed = file_.offset() - stream.avail_in;
            if (status == Z_MEM_ERROR) throw std::bad_alloc{};
            if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
                damaged(consumed, "an intact gzip stream", stream.msg ? stream.msg : "a damaged one");
            }
            if (status == Z_STREAM_END) {
                finished_ = true;
                if (begin_ != end_ || refill()) {
                    damaged(consumed, "the end of the file after the gzip stream", "more bytes");
                }
            }
            if (const std::size_t got = space - stream.avail_out; got > 0) return got;
        }
        return 0;
    }

    [[noreturn]] void damaged(std::uint64_t offset, std::string_view expected, std::string_view found) const {
        throw FormatError(at_byte(name(), offset) + " of the compressed file", expected, found);
    }

    struct End {
        void operator()(z_stream* stream) const {
            inflateEnd(stream);
            delete stream;
        }
    };

    InputFile file_;
    std::array<std::uint8_t, 1 << 16> buffer_;
    std::size_t begin_ = 0, end_ = 0;          // what of the buffer is not consumed yet
    std::unique_ptr<z_stream, End> inflater_;  // none: the file is plain
    bool finished_ = false;
    std::uint64_t offset_ = 0;
};

/// An IDX file of bytes (http://yann.lecun.com/exdb/mnist): 0, 0, type 8 (unsigned bytes), the number of dimensions,
/// each dimension as a big-endian 32-bit number, then the bytes. All of them must be as expected.
class IdxFile {
public:
    IdxFile(const std::filesystem::path& path, std::string_view content, std::span<const std::uint32_t> dimensions)
        : input_{path, content},
          content_{content} {
        expect(0x0800u + static_cast<std::uint32_t>(dimensions.size()), "the magic number");
        for (const std::uint32_t dimension : dimensions) expect(dimension, "a dimension of");
    }

    void read(std::span<std::uint8_t> bytes) {
        if (input_.read(bytes) < bytes.size()) {
            throw FormatError(at_byte(input_.name(), input_.offset()), content_, "the end of the content");
        }
    }

    void expect_end() {
        const std::uint64_t end = input_.offset();
        std::uint8_t more;
        if (input_.read({&more, 1}) != 0) {
            throw FormatError(at_byte(input_.name(), end), content_ + " and no more", "more bytes");
        }
    }

    const std::string& name() const noexcept { return input_.name(); }
    std::uint64_t offset() const noexcept { return input_.offset(); }

private:
    void expect(std::uint32_t value, std::string_view what) {
        const std::uint64_t start = input_.offset();
        std::array<std::uint8_t, 4> bytes;
        read(bytes);
        const std::uint32_t found = std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                                    std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
        if (found != value) {
            throw FormatError(at_byte(input_.name(), start), std::string{what} + ' ' + std::to_string(value),
                              std::to_string(found));
        }
    }

    GzipInput input_;
    std::string content_;
};

/// folder/stem, else folder/stem.gz, whether it exists or not.
inline std::filesystem::path plain_or_gzip(const std::filesystem::path& folder, const std::string& stem) {
    std::error_code ignored;  // a file that can't be looked for will not open either, and then says why
    return std::filesystem::exists(folder / stem, ignored) ? folder / stem : folder / (stem + ".gz");
}

inline std::vector<std::uint8_t> read_fashion_mnist_images(const std::filesystem::path& path, Index count) {
    constexpr Index size = 28, padded = 32, border = (padded - size) / 2;
    const std::array dimensions{static_cast<std::uint32_t>(count), std::uint32_t{size}, std::uint32_t{size}};
    IdxFile file{path, std::to_string(count) + " images of 28 x 28 bytes (IDX)", dimensions};
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * padded * padded * 3));
    std::array<std::uint8_t, size * size> image;
    for (Index n = 0; n < count; ++n) {
        file.read(image);
        for (Index y = 0; y < size; ++y) {
            std::uint8_t* pixel = pixels.data() + ((n * padded + y + border) * padded + border) * 3;
            const std::uint8_t* grey = image.data() + y * size;
            for (Index x = 0; x < size; ++x, pixel += 3) std::fill_n(pixel, 3, grey[x]);
        }
    }
    file.expect_end();
    return pixels;
}

inline std::vector<int> read_fashion_mnist_labels(const std::filesystem::path& path, Index count) {
    const std::array dimensions{static_cast<std::uint32_t>(count)};
    IdxFile file{path, std::to_string(count) + " labels (IDX)", dimensions};
    const std::uint64_t start = file.offset();
    std::vector<std::uint8_t> labels(static_cast<std::size_t>(count));
    file.read(labels);
    file.expect_end();
    const auto wrong = std::ranges::find_if(labels, [](std::uint8_t label) { return label > 9; });
    if (wrong != labels.end()) {
        throw FormatError(at_byte(file.name(), start + static_cast<std::uint64_t>(wrong - labels.begin())),
                          "a label of 0 to 9", std::to_string(int{*wrong}));
    }
    return {labels.begin(), labels.end()};
}

}  // namespace detail

inline Dataset load_fashion_mnist(const std::filesystem::path& folder, Split split) {
    const Index count = split == Split::train ? 60'000 : 10'000;
    const std::string stem = split == Split::train ? "train" : "t10k";
    auto labels = detail::read_fashion_mnist_labels(detail::plain_or_gzip(folder, stem + "-labels-idx1-ubyte"), count);
    auto pixels = detail::read_fashion_mnist_images(detail::plain_or_gzip(folder, stem + "-images-idx3-ubyte"), count);
    return {
        {32, 32}, std::move(pixels), std::move(labels), {fashion_mnist_classes.begin(), fashion_mnist_classes.end()}};
}

}  // namespace resnet::inline v0
