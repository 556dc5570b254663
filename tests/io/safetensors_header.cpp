#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <resnet/io/safetensors_header.hpp>

#include "../data/temporary_folder.hpp"

using namespace resnet;

namespace {

/// The message for a header with `data_bytes` bytes of data behind it; empty where it is accepted.
std::string defect(std::string_view header, std::uint64_t data_bytes = 0) {
    return message_of<FormatError>([&] { detail::parse_safetensors_header(header, data_bytes, "net"); });
}

/// A header of one tensor, `x`, whose description is `fields`.
std::string tensor(std::string_view fields) { return R"({"x":{)" + std::string{fields} + "}}"; }

}  // namespace

TEST_CASE("safetensors header: tensors come in the order of their data, metadata apart") {
    const auto header = detail::parse_safetensors_header(
        R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}, "__metadata__":{"k":"v","":"\u00e9"},
            "b":{"shape":[],"data_offsets":[0,8],"dtype":"I64"}, "c":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}  )",
        32, "net");
    CHECK(header.metadata == std::map<std::string, std::string>{{"k", "v"}, {"", "\u00e9"}});
    REQUIRE(header.tensors.size() == 3);
    CHECK(header.tensors[0].name == "b");
    CHECK(header.tensors[0].type == TensorType::i64);
    CHECK(header.tensors[0].shape.empty());
    CHECK(header.tensors[1].name == "c");
    CHECK(header.tensors[2].name == "a");
    CHECK(header.tensors[2].shape == std::vector<Index>{2, 3});
    CHECK(header.tensors[2].begin == 8);
    CHECK(header.tensors[2].end == 32);
}

TEST_CASE("safetensors header: tensors without elements keep their order") {
    std::string text;
    for (int i = 0; i < 100; ++i) {
        text += (i == 0 ? "{\"" : ",\"") + std::to_string(i * 37 % 100) +
                R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    }
    const auto header = detail::parse_safetensors_header(text + '}', 0, "net");
    REQUIRE(header.tensors.size() == 100);
    for (int i = 0; i < 100; ++i)
        CHECK(header.tensors[static_cast<std::size_t>(i)].name == std::to_string(i * 37 % 100));
}

TEST_CASE("safetensors header: an empty file of tensors is one") {
    CHECK(defect("{}").empty());
    CHECK(defect(R"({"__metadata__":{}})").empty());
}

TEST_CASE("safetensors header: what is not JSON is refused with the place") {
    CHECK(defect("") == "net: expected a header that is a JSON object, found a first byte that is not '{'");
    CHECK(defect(" {}") == "net: expected a header that is a JSON object, found a first byte that is not '{'");
    CHECK(defect("[]") == "net: expected a header that is a JSON object, found a first byte that is not '{'");
    CHECK(defect("{} x") == "net: expected a header in JSON, found a syntax error at its byte 4");
    CHECK(defect("{") == "net: expected a header in JSON, found a syntax error at its byte 2");
    CHECK(defect("{}}").starts_with("net: expected a header in JSON"));
    CHECK(defect("{/**/}").starts_with("net: expected a header in JSON"));
    CHECK(defect("{\"\xff\":1}").starts_with("net: expected a header in JSON"));
    CHECK(defect(std::string_view{"{}\0", 3}) == "net: expected a header in JSON, found a zero byte in it");
    CHECK(defect(R"({"x":1e999})") == "net: expected a header with numbers of 64 bits, found a larger one");
}

TEST_CASE("safetensors header: nesting is bounded, however deep the file goes") {
    const std::string expected = "net: x: expected a shape of integers from 0 to 2^63 - 1, found ";
    CHECK(defect(R"({"x":{"shape":[[1]]}})") == expected + "an array");
    CHECK(defect(R"({"x":{"shape":[{}]}})") == expected + "an object");
    CHECK(defect(R"({"x":{"shape":)" + std::string(1'000'000, '[')) == expected + "an array");
    CHECK(defect(R"({"x":{"dtype":{"x":{}}}})").ends_with("U8, found an object"));
    CHECK(defect(R"({"__metadata__":{"k":{}}})") == "net: __metadata__.k: expected a string, found an object");
}

TEST_CASE("safetensors header: a key may not be twice in an object") {
    const std::string x = R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
    CHECK(defect("{" + x + "," + x + "}", 1) == "net: expected each name once, found x twice");
    CHECK(defect("{" + x + R"(,"\u0078":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2) ==
          "net: expected each name once, found x twice");
    CHECK(defect(tensor(R"("dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1])"), 1) ==
          "net: expected each name once, found dtype twice");
    CHECK(defect(R"({"__metadata__":{"k":"1","k":"2"}})") == "net: expected each name once, found k twice");
    CHECK(defect(R"({"__metadata__":{},"__metadata__":{}})") ==
          "net: expected each name once, found __metadata__ twice");
    CHECK(defect(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"dtype":{"dtype":"U8","shape":[1],)"
                 R"("data_offsets":[1,2]}})",
                 2)
              .empty());  // the same key in two objects
}

TEST_CASE("safetensors header: metadata are strings") {
    CHECK(defect(R"({"__metadata__":null})") == "net: __metadata__: expected an object of strings, found null");
    CHECK(defect(R"({"__metadata__":["a"]})") == "net: __metadata__: expected an object of strings, found an array");
    CHECK(defect(R"({"__metadata__":{"epoch":3}})") == "net: __metadata__.epoch: expected a string, found 3");
}

TEST_CASE("safetensors header: a tensor has a type, a shape and a place, and nothing else") {
    const std::string expected = "net: x: expected an object of dtype, shape and data_offsets, found ";
    CHECK(defect(R"({"x":3})") == expected + "3");
    CHECK(defect(R"({"x":"F32"})") == expected + "\"F32\"");
    CHECK(defect(R"({"x":[]})") == expected + "an array");
    CHECK(defect(tensor("")) == expected + "no dtype");
    CHECK(defect(tensor(R"("dtype":"F32","data_offsets":[0,4])"), 4) == expected + "no shape");
    CHECK(defect(tensor(R"("dtype":"F32","shape":[1])"), 4) == expected + "no data_offsets");
    CHECK(defect(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":[1])"), 4) ==
          expected + "stride in it");
}

TEST_CASE("safetensors header: a type that is not known is refused by its name") {
    const std::string expected =
        "net: x: expected a dtype of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, found ";
    CHECK(defect(tensor(R"("dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1])"), 1) == expected + R"("F8_E4M3")");
    CHECK(defect(tensor(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])"), 4) == expected + R"("f32")");
    CHECK(defect(tensor(R"("dtype":32,"shape":[1],"data_offsets":[0,4])"), 4) == expected + "32");
}

TEST_CASE("safetensors header: a shape is a list of integers that are not negative") {
    const std::string expected = "net: x: expected a shape of integers from 0 to 2^63 - 1, found ";
    const auto of_shape = [](const std::string& shape) {
        return defect(tensor(R"("dtype":"U8","shape":)" + shape + R"(,"data_offsets":[0,1])"), 1);
    };
    CHECK(of_shape("1") == expected + "1");
    CHECK(of_shape("[-1]") == expected + "-1");
    CHECK(of_shape("[1.0]") == expected + "1.0");
    CHECK(of_shape("[1,\"1\"]") == expected + "\"1\"");
    CHECK(of_shape("[true]") == expected + "true");
    CHECK(of_shape("[9223372036854775808]") == expected + "9223372036854775808");
    CHECK(of_shape("[99999999999999999999]") == expected + "99999999999999999999");
    CHECK(of_shape("[null]") == expected + "null");
    CHECK(of_shape("{}") == expected + "an object");
    CHECK(of_shape("[1,1]").empty());
}

TEST_CASE("safetensors header: the product of a shape is checked, with a zero among its factors too") {
    const std::string expected = "net: x: expected a shape of less than 2^64 bytes, found more";
    const auto of = [](const std::string& type, const std::string& shape) {
        return defect(tensor(R"("dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":[0,0])"));
    };
    CHECK(of("U8", "[4294967296,4294967296]") == expected);  // 2^64
    CHECK(of("F32", "[4611686018427387904]") == expected);   // 4 * 2^62
    CHECK(of("F64", "[4294967296,4294967296,0]") == expected);
    CHECK(of("U8", "[0,4294967296,4294967296]").empty());
}

TEST_CASE("safetensors header: a tensor's bytes are those of its shape") {
    const auto of_offsets = [](const std::string& offsets) {
        return defect(tensor(R"("dtype":"F32","shape":[3],"data_offsets":)" + offsets), 12);
    };
    const std::string expected = "net: x: expected data_offsets [begin, end], begin <= end, found ";
    CHECK(of_offsets("[0,12]").empty());
    CHECK(of_offsets("[0,8]") == "net: x: expected 12 bytes for its shape, found 8");
    CHECK(of_offsets("[12,0]") == expected + "[12, 0]");
    CHECK(of_offsets("[0]") == expected + "1 numbers");
    CHECK(of_offsets("[0,12,24]") == expected + "3 numbers");
    CHECK(of_offsets("[-12,0]") == expected + "-12");
    CHECK(of_offsets("[0,12.0]") == expected + "12.0");
    CHECK(of_offsets("\"0,12\"") == expected + "\"0,12\"");
    CHECK(of_offsets("[18446744073709551604,18446744073709551616]").starts_with(expected));  // 2^64
}

TEST_CASE("safetensors header: data has neither holes nor overlaps and reaches to the end of the file") {
    const auto of = [](const std::string& a, const std::string& b, std::uint64_t data_bytes) {
        const auto bytes = [](const std::string& offsets) {  // [begin,end] of one digit each
            return R"({"dtype":"U8","shape":[)" + std::to_string(offsets[3] - offsets[1]) + R"(],"data_offsets":)" +
                   offsets + "}";
        };
        return defect(R"({"a":)" + bytes(a) + R"(,"b":)" + bytes(b) + "}", data_bytes);
    };
    CHECK(of("[0,4]", "[4,6]", 6).empty());
    CHECK(of("[2,6]", "[0,2]", 6).empty());
    CHECK(of("[0,4]", "[4,4]", 4).empty());
    CHECK(of("[1,4]", "[4,6]", 6) == "net: a: expected data from byte 0, where the data before it ends, found byte 1");
    CHECK(of("[0,4]", "[5,6]", 6) == "net: b: expected data from byte 4, where the data before it ends, found byte 5");
    CHECK(of("[0,4]", "[3,6]", 6) == "net: b: expected data from byte 4, where the data before it ends, found byte 3");
    CHECK(of("[0,4]", "[0,4]", 4) == "net: b: expected data from byte 4, where the data before it ends, found byte 0");
    CHECK(of("[0,4]", "[2,2]", 4) == "net: b: expected data from byte 4, where the data before it ends, found byte 2");
    CHECK(of("[0,4]", "[4,6]", 7) == "net: expected 6 bytes of data, as its header says, found 7");
    CHECK(of("[0,4]", "[4,6]", 5) ==
          "net: expected 6 bytes of data, as its header says, found 5 (the file is cut off)");
}

TEST_CASE("safetensors header: names that nobody has vetted are escaped and cut in messages") {
    CHECK(detail::printable("blk1.conv1.weight") == "blk1.conv1.weight");
    CHECK(detail::printable("a\x1b[2J\n") == R"("a\u001b[2J\n")");
    CHECK(detail::printable("\u00e9") == R"("\u00e9")");
    CHECK(detail::printable(std::string(1000, 'x')).size() < 110);
    CHECK(detail::printable("\xff").size() < 10);  // not UTF-8
}

TEST_CASE("safetensors header: what is written is padded to 8 bytes and read as it was") {
    detail::SafetensorsHeader header;
    for (std::size_t length = 1; length < 20; ++length) {
        header.metadata["k"] = std::string(length, 'v');
        header.tensors = {{"n", TensorType::i64, {}, 0, 8}, {"w \"1\"", TensorType::f16, {2, 3}, 8, 20}};
        const std::string text = detail::format_safetensors_header(header, "net");
        CHECK(text.size() % 8 == 0);
        const auto read = detail::parse_safetensors_header(text, 20, "net");
        CHECK(read.metadata == header.metadata);
        REQUIRE(read.tensors.size() == 2);
        CHECK(read.tensors[1].name == "w \"1\"");
        CHECK(read.tensors[1].shape == std::vector<Index>{2, 3});
    }
    CHECK(detail::format_safetensors_header({}, "net") == "{}      ");
}

TEST_CASE("safetensors header: a name that is not UTF-8 can't be written") {
    detail::SafetensorsHeader header;
    header.tensors = {{"\xff", TensorType::u8, {}, 0, 1}};
    CHECK(message_of<Error>([&] { detail::format_safetensors_header(header, "net"); }) ==
          "net: expected names and metadata in UTF-8, found \"\\ufffd\"");
}
