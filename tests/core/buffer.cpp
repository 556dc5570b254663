#include <doctest/doctest.h>

#include <cstdint>
#include <utility>

#include <resnet/core/buffer.hpp>

using namespace resnet;

namespace {
std::uintptr_t address(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }
}  // namespace

TEST_CASE("buffer: is zeroed and aligned to 64 bytes, from 2 MiB on to 2 MiB") {
    for (const Index count : {Index{1}, Index{17}, Index{1000}, Index{524'287}, Index{524'288}, Index{600'001}}) {
        const Buffer<float> buffer(count);
        CHECK(buffer.size() == count);
        const Index boundary = 4 * count >= (Index{2} << 20) ? Index{2} << 20 : 64;
        CHECK(address(buffer.data()) % static_cast<std::uintptr_t>(boundary) == 0);
        CHECK(buffer.bytes() == (4 * count + boundary - 1) / boundary * boundary);
        CHECK(Buffer<float>::bytes(count) == buffer.bytes());
        Index wrong = 0;
        for (const float x : buffer.span()) wrong += x != 0;
        CHECK(wrong == 0);
    }
}

TEST_CASE("buffer: copies are deep, moves leave an empty one behind") {
    Buffer<int> a(3);
    for (int i = 0; i < 3; ++i) a.data()[i] = i + 1;
    Buffer<int> b = a;
    b.data()[1] = 9;
    CHECK(a.data()[1] == 2);
    const int* data = a.data();
    Buffer<int> c = std::move(a);
    CHECK(c.data() == data);
    CHECK(c.size() == 3);
    CHECK(a.size() == 0);        // NOLINT(bugprone-use-after-move): it is empty, not undefined
    CHECK(a.data() == nullptr);  // NOLINT(bugprone-use-after-move)
    a = b;
    CHECK(a.data()[1] == 9);
    a = std::move(c);
    CHECK(a.data() == data);
    CHECK(Buffer<int>{}.size() == 0);
    CHECK(Buffer<int>(0).data() == nullptr);
}

TEST_CASE("buffer: reserve keeps what is large enough, and grows to zeros") {
    Buffer<int> a(4);
    a.data()[0] = 5;
    const int* data = a.data();
    a.reserve(3);
    CHECK(a.data() == data);
    CHECK(a.size() == 4);
    CHECK(a.data()[0] == 5);
    a.reserve(100);
    CHECK(a.size() == 100);
    CHECK(a.data()[0] == 0);
}
