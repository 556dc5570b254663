// Memory for activations, weights and packs: aligned, zeroed, and on huge pages where it is large enough to gain from
// them.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

namespace detail {

struct FreeMemory {
    void operator()(std::byte* memory) const noexcept {
        std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc): what aligned_alloc gave
    }
};
using Memory = std::unique_ptr<std::byte[], FreeMemory>;

inline constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t alignment_of(std::size_t bytes) { return bytes >= huge_page ? huge_page : 64; }
/// What `bytes` bytes take: whole lines of the caches, or whole huge pages.
constexpr std::size_t allocated_bytes(std::size_t bytes) {
    const std::size_t alignment = alignment_of(bytes);
    return (bytes + alignment - 1) / alignment * alignment;
}

/// At least `bytes` bytes without values, on a 64-byte boundary; from 2 MiB on a 2 MiB boundary and advised to be huge
/// pages: address translation costs matrix kernels up to half their speed on virtual machines.
inline Memory allocate(std::size_t bytes) {
    const std::size_t alignment = alignment_of(bytes), rounded = allocated_bytes(bytes);
    Memory memory{static_cast<std::byte*>(std::aligned_alloc(alignment, rounded))};
    if (memory == nullptr && bytes > 0) throw std::bad_alloc{};
#if defined(__linux__)
    if (alignment == huge_page) ::madvise(memory.get(), rounded, MADV_HUGEPAGE);  // a wish: it may not be granted
#endif
    return memory;
}

}  // namespace detail

/// `count` zeroed elements, aligned for every vector instruction.
template <class T>
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(Index count) : size_{count}, data_{allocate(count)} {}
    Buffer(const Buffer& other) : Buffer(other.size_) {
        if (size_ > 0) std::memcpy(data_.get(), other.data_.get(), static_cast<std::size_t>(size_) * sizeof(T));
    }
    Buffer(Buffer&& other) noexcept : size_{std::exchange(other.size_, 0)}, data_{std::move(other.data_)} {}
    Buffer& operator=(Buffer other) noexcept {
        std::swap(size_, other.size_);
        std::swap(data_, other.data_);
        return *this;
    }
    ~Buffer() = default;

    /// At least `count` elements; what was there is lost (zeroed) if it has to grow.
    void reserve(Index count) {
        if (count > size_) *this = Buffer(count);
    }

    T* data() noexcept { return reinterpret_cast<T*>(data_.get()); }
    const T* data() const noexcept { return reinterpret_cast<const T*>(data_.get()); }
    Index size() const noexcept { return size_; }
    /// Bytes that are allocated for it, or would be for `count` elements: whole lines or huge pages.
    Index bytes() const noexcept { return bytes(size_); }
    static constexpr Index bytes(Index count) noexcept {
        return static_cast<Index>(detail::allocated_bytes(static_cast<std::size_t>(count) * sizeof(T)));
    }
    std::span<T> span() noexcept { return {data(), static_cast<std::size_t>(size_)}; }
    std::span<const T> span() const noexcept { return {data(), static_cast<std::size_t>(size_)}; }

private:
    static detail::Memory allocate(Index count) {
        if (count == 0) return {};
        const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
        detail::Memory memory = detail::allocate(bytes);
        std::memset(memory.get(), 0, bytes);
        return memory;
    }

    Index size_ = 0;
    detail::Memory data_;
};

}  // namespace resnet::inline v0
