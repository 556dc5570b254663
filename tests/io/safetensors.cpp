#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <resnet/io/safetensors.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/file_content.hpp"

using namespace resnet;

namespace {

const std::filesystem::path fixtures = std::filesystem::path{__FILE__}.parent_path() / "fixtures";

/// A small file such as a model's: weights and a counter.
void write_small_file(const std::filesystem::path& path) {
    const std::vector<float> weight{1, -2, 0.5f}, bias{0.25f};
    const std::vector<std::int64_t> batches{3};
    const TensorRecord tensors[]{tensor_record("conv1.weight", {3, 1}, weight), tensor_record("conv1.bias", {1}, bias),
                                 tensor_record("bn1.num_batches_tracked", {}, batches)};
    write_tensor_file(path, tensors, {{"epoch", "7"}});
}

/// A file with this header and data of which nobody took a checksum.
std::vector<std::uint8_t> foreign_file(std::string_view header, std::size_t data_bytes) {
    const detail::SafetensorsPrefix prefix{std::string{header}};
    std::vector<std::uint8_t> bytes;
    for (const std::byte byte : prefix.length) bytes.push_back(static_cast<std::uint8_t>(byte));
    bytes.insert(bytes.end(), header.begin(), header.end());
    bytes.resize(bytes.size() + data_bytes);
    return bytes;
}

/// The message of the FormatError for a file of these bytes, without the file's name; empty where it is accepted.
std::string defect(const TemporaryFolder& folder, std::span<const std::uint8_t> bytes) {
    const auto path = folder.path() / "file";
    std::filesystem::remove(path);  // writing over a file makes some file systems wait for the disk
    write_file(path, bytes);
    const std::string message = message_of<FormatError>([&] { TensorFile{path}; });
    return message.empty() ? message : message.substr(path.string().size());
}

}  // namespace

TEST_CASE("safetensors: what was written is read") {
    const TemporaryFolder folder;
    write_small_file(folder.path() / "file");
    const TensorFile file{folder.path() / "file"};
    CHECK(file.name() == (folder.path() / "file").string());
    CHECK(file.metadata().at("epoch") == "7");
    CHECK(file.metadata().at("format") == "resnet");
    CHECK(file.read<float>("conv1.weight") == std::vector{1.0f, -2.0f, 0.5f});
    CHECK(file.read<double>("conv1.bias") == std::vector{0.25});
    CHECK(file.read<std::int64_t>("bn1.num_batches_tracked") == std::vector<std::int64_t>{3});
    REQUIRE(file.find("conv1.weight") != nullptr);
    CHECK(file.find("conv1.weight")->shape == std::vector<Index>{3, 1});
    CHECK(file.find("conv1.weight")->count() == 3);
    CHECK(file.find("conv2.weight") == nullptr);
}

TEST_CASE("safetensors: tensors stay where they are when the file object moves") {
    const TemporaryFolder folder;
    write_small_file(folder.path() / "file");
    TensorFile file{folder.path() / "file"};
    const auto* const bytes = file.find("conv1.weight")->bytes.data();
    const TensorFile moved{std::move(file)};
    CHECK(moved.find("conv1.weight")->bytes.data() == bytes);
    CHECK(moved.read<float>("conv1.weight")[1] == -2);
}

TEST_CASE("safetensors: equal content gives equal bytes, with every tensor aligned to its elements") {
    const TemporaryFolder folder;
    const std::vector<std::uint8_t> byte{1}, bytes{2, 3};
    const std::vector<float> weight{4};
    const std::vector<double> mean{5};
    const TensorRecord tensors[]{tensor_record("byte", {1}, byte), tensor_record("weight", {1}, weight),
                                 tensor_record("bytes", {2}, bytes), tensor_record("mean", {1}, mean)};
    write_tensor_file(folder.path() / "one", tensors, {{"b", "2"}, {"a", "1"}});
    write_tensor_file(folder.path() / "two", tensors, {{"a", "1"}, {"b", "2"}});
    CHECK(file_content(folder.path() / "one") == file_content(folder.path() / "two"));

    const TensorFile file{folder.path() / "one"};
    std::vector<std::string> names;
    for (const TensorRecord& tensor : file.tensors()) names.push_back(tensor.name);
    CHECK(names == std::vector<std::string>{"mean", "weight", "byte", "bytes"});  // by size, then as given
    std::uint64_t header_bytes;
    std::memcpy(&header_bytes, file_content(folder.path() / "one").data(), 8);
    CHECK(header_bytes % 8 == 0);
}

TEST_CASE("safetensors: a file without tensors is one") {
    const TemporaryFolder folder;
    write_tensor_file(folder.path() / "file", {});
    CHECK(TensorFile{folder.path() / "file"}.tensors().empty());
}

TEST_CASE("safetensors: a tensor of many pages is read whole, its checksum too") {
    const TemporaryFolder folder;
    std::vector<float> weight(1'000'003);
    for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i);
    const TensorRecord tensors[]{tensor_record("w", {std::ssize(weight)}, weight)};
    write_tensor_file(folder.path() / "file", tensors);
    CHECK(TensorFile{folder.path() / "file"}.read<float>("w") == weight);
    auto bytes = file_content(folder.path() / "file");
    bytes[bytes.size() - 2'000'000] ^= 1;
    CHECK(defect(folder, bytes).find("the file is damaged") != std::string::npos);
}

TEST_CASE("safetensors: the file that Python's package wrote is understood") {
    const TensorFile file{fixtures / "python.safetensors"};
    const float infinity = std::numeric_limits<float>::infinity();
    CHECK(file.tensors().size() == 14);
    CHECK(file.metadata() == Metadata{{"source", "python"}});
    CHECK(file.find("conv.weight")->shape == std::vector<Index>{2, 1, 3});
    const auto weight = file.read<float>("conv.weight");
    CHECK(weight == std::vector<float>{1, -2, 0.5f, infinity, -0.0f, std::numeric_limits<float>::denorm_min()});
    CHECK(std::signbit(weight[4]));
    CHECK(file.read<double>("conv.bias") == std::vector{0.1, -1e300});
    CHECK(file.read<float>("half") == std::vector<float>{1, -2, 65504, 0x1p-24f});
    CHECK(file.read<float>("brain") == std::vector<float>{1, -2, infinity});
    CHECK(file.find("bn.num_batches_tracked")->shape.empty());
    CHECK(file.read<std::int64_t>("bn.num_batches_tracked") == std::vector<std::int64_t>{1ll << 40});
    CHECK(file.read<std::int64_t>("i32") == std::vector<std::int64_t>{-2147483648ll, 7});
    CHECK(file.read<std::int64_t>("i16") == std::vector<std::int64_t>{-32768, 7});
    CHECK(file.read<std::int64_t>("i8") == std::vector<std::int64_t>{-128, 0, 127});
    CHECK(file.read<std::uint64_t>("u64") == std::vector<std::uint64_t>{~0ull});
    CHECK(file.read<std::int64_t>("u32") == std::vector<std::int64_t>{4294967295});
    CHECK(file.read<std::int64_t>("u16") == std::vector<std::int64_t>{65535});
    CHECK(file.read<std::int64_t>("u8") == std::vector<std::int64_t>{255});
    CHECK(file.find("u8")->shape == std::vector<Index>{1, 1});
    CHECK(file.read<float>("empty").empty());
    CHECK(file.read<float>("na\u00efve \"name\"") == std::vector{1.0f});
}

TEST_CASE("safetensors: the file that check_with_python.py reads with Python's package is the one that we write") {
    const TemporaryFolder folder;
    write_tensor_file(folder.path() / "ours", TensorFile{fixtures / "python.safetensors"}.tensors());
    CHECK(file_content(folder.path() / "ours") == file_content(fixtures / "ours.safetensors"));
}

TEST_CASE("safetensors: every flip of one bit of a file of ours is found") {
    const TemporaryFolder folder;
    write_small_file(folder.path() / "ours");
    auto bytes = file_content(folder.path() / "ours");
    REQUIRE(defect(folder, bytes).empty());
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        CAPTURE(bit);
        CHECK_FALSE(defect(folder, bytes).empty());
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    }
}

TEST_CASE("safetensors: every truncation of a file is found, and every byte too many") {
    const TemporaryFolder folder;
    write_small_file(folder.path() / "ours");
    for (auto bytes : {file_content(folder.path() / "ours"), file_content(fixtures / "python.safetensors")}) {
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            CAPTURE(length);
            CHECK_FALSE(defect(folder, std::span{bytes}.first(length)).empty());
        }
        bytes.push_back(0);
        CHECK_FALSE(defect(folder, bytes).empty());
    }
}

TEST_CASE("safetensors: a header must be in the file and no longer than 1 MiB") {
    const TemporaryFolder folder;
    CHECK(defect(folder, std::vector<std::uint8_t>(5)) ==
          ": expected the length of a safetensors header in 8 bytes, found 5 bytes");
    std::vector<std::uint8_t> bytes = foreign_file("{}", 0);
    CHECK(defect(folder, bytes).empty());
    bytes[0] = 3;
    CHECK(defect(folder, bytes) == ": expected a header of 3 bytes, found 2 (the file is cut off)");
    bytes[7] = 1;
    CHECK(defect(folder, bytes) ==
          ": expected a safetensors header of at most 1048576 bytes, found 72057594037927939 "
          "(is it a safetensors file?)");
    const std::string longest = "{}" + std::string((1 << 20) - 2, ' ');
    CHECK(defect(folder, foreign_file(longest, 0)).empty());
    CHECK(defect(folder, foreign_file(longest + ' ', 0)).starts_with(": expected a safetensors header of at most"));
    CHECK(defect(folder, foreign_file("[]", 0)).starts_with(": expected a header that is a JSON object"));
}

TEST_CASE("safetensors: a checksum is required in files of ours and checked in all, where it is of a kind we know") {
    const TemporaryFolder folder;
    const auto of = [&](const std::string& metadata) {
        return defect(folder, foreign_file(R"({"__metadata__":{)" + metadata + "}}", 0));
    };
    CHECK(of(R"("format":"pt")").empty());
    CHECK(of(R"("format":"resnet")") == ": expected a checksum, as `format: resnet` promises, found none");
    CHECK(of(R"("format":"resnet","checksum":"md5:1")") == ": expected a checksum of the kind crc32c, found md5:1");
    CHECK(of(R"("checksum":"md5:1")").empty());
    CHECK(of(R"("format_version":"2")").empty());
    CHECK(of(R"("format":"pt","checksum":"crc32c:00000000")") ==
          ": expected a content with the checksum crc32c:00000000, found crc32c:7e2eab51 (the file is damaged)");
    CHECK(of(R"("format":"pt","checksum":"crc32c:7e2eab51")").empty());
    CHECK(of(R"("format":"pt","checksum":"crc32c:7E2EAB51")").ends_with("(the file is damaged)"));
    const std::string expected = ": expected its checksum in the header without escapes, found another spelling";
    CHECK(of(R"("checksum":"\u0063rc32c:00000000")") == expected);
    CHECK(of(R"("\u0063hecksum":"crc32c:00000000")") == expected);
    for (const char* const text : {"crc32c:", "crc32c:1234567", "crc32c:123456789"}) {
        CHECK(of(detail::text(R"("checksum":")", text, "\"")) ==
              detail::text(": expected a checksum of 8 digits after crc32c:, found ", text));
    }
}

TEST_CASE("safetensors: a checksum is that of its key, whatever else has the same text") {
    const TemporaryFolder folder;
    for (const char* const other :
         {R"("a":"crc32c:00000000",%)", R"("a":"checksum",%)", R"("a\"checksum":"crc32c:00000000",%)",
          R"(%,"z":"\"checksum\":\"crc32c:00000000\"")", R"("checksum\"":"crc32c:00000000",%)"}) {
        CAPTURE(other);
        const auto with = [&](const std::string& checksum) {
            std::string metadata = other;
            metadata.replace(metadata.find('%'), 1, "\"checksum\" :\t\"" + checksum + "\"");
            return defect(folder, foreign_file(R"({"__metadata__":{)" + metadata + "}}", 0));
        };
        const std::string message = with("crc32c:00000000"), found = "found crc32c:";
        REQUIRE(message.ends_with("(the file is damaged)"));
        CHECK(with(message.substr(message.find(found) + 6, 15)).empty());
    }
    const auto path = folder.path() / "ours";
    const Metadata notes{{"Checksum", "crc32c:00000000"}, {"zero", "crc32c:00000000"}};
    write_tensor_file(path, {}, notes);
    CHECK(TensorFile{path}.metadata().at("zero") == "crc32c:00000000");
}

TEST_CASE("safetensors: a file of ours of another version is refused") {
    const TemporaryFolder folder;
    const auto of = [&](const std::string& version) {  // with the checksum that is right
        const auto with = [&](const std::string& checksum) {
            return defect(folder, foreign_file(R"({"__metadata__":{"format":"resnet",)" + version + R"("checksum":")" +
                                                   checksum + "\"}}",
                                               0));
        };
        const std::string message = with("crc32c:00000000"), found = "found crc32c:";
        return with(message.substr(message.find(found) + 6, 15));
    };
    const std::string hint = " (it may be from a newer version of resnet)";
    CHECK(of(R"("format_version":"1",)").empty());
    CHECK(of(R"("format_version":"2",)") == ": expected the format_version 1, found 2" + hint);
    CHECK(of("") == ": expected the format_version 1, found none" + hint);
}

TEST_CASE("safetensors: a file that can't be read is reported with the system's reason") {
    const TemporaryFolder folder;
    const auto missing = folder.path() / "missing";
    CHECK(message_of<FileError>([&] { TensorFile{missing}; }) ==
          missing.string() + ": expected a safetensors file, found No such file or directory");
    CHECK(message_of<FileError>([&] { TensorFile{folder.path()}; }) ==
          folder.path().string() + ": expected a safetensors file, found Is a directory");
}

TEST_CASE("safetensors: a file that ends before its size, as it was cut while it was read, is an error") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    write_file(path, std::vector<std::uint8_t>(5));
    detail::InputFile file{path, "a file"};
    std::vector<std::byte> bytes(6);
    CHECK(message_of<FormatError>([&] { detail::read_exactly(file, bytes); }) ==
          path.string() + ": expected the number of bytes that the system gave as its size, found its end before that");
}

TEST_CASE("safetensors: asking for a tensor that is not there, or for another type or number, names it") {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "file").string();
    write_small_file(path);
    const TensorFile file{path};
    std::vector<float> two(2);
    CHECK(message_of<FormatError>([&] { file.read<float>("fc.bias"); }) ==
          path + ": expected a tensor named fc.bias, found none");
    CHECK(message_of<FormatError>([&] { file.read("conv1.bias", std::span{two}); }) ==
          path + ": conv1.bias: expected 2 elements, found 1");
    CHECK(message_of<FormatError>([&] { file.read<std::int64_t>("conv1.bias"); }) ==
          path + ": conv1.bias: expected values of the type I64, found others of the type F32");
}

TEST_CASE("safetensors: what would not be a valid file is not written") {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "file").string();
    const std::vector<float> two{1, 2};
    const auto failure = [&](std::vector<TensorRecord> tensors, Metadata metadata = {}) {
        return message_of<Error>([&] { write_tensor_file(path, tensors, metadata); }).substr(path.size());
    };
    CHECK(failure({tensor_record("a", {2}, two), tensor_record("a", {2}, two)}) ==
          ": expected each name once, found a twice");
    CHECK(failure({tensor_record("a", {3}, two)}) == ": a: expected 12 bytes for its shape, found 8");
    CHECK(failure({tensor_record("a", {-2}, two)}) == ": a: expected a shape of integers from 0 to 2^63 - 1, found -2");
    CHECK(failure({tensor_record("__metadata__", {2}, two)}) == ": expected each name once, found __metadata__ twice");
    CHECK(failure({}, {{"checksum", ""}}) == ": expected metadata without a key of our own, found checksum");
    CHECK(failure({}, {{"format", "pt"}}) == ": expected metadata without a key of our own, found format");
    CHECK(failure({}, {{"notes", std::string(1 << 20, 'x')}}) ==
          ": expected names and metadata that fit in 1048576 bytes, found 1048680");
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("safetensors: a save that fails leaves the old file") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    write_small_file(path);
    const auto before = file_content(path);
    const TensorRecord broken[]{{"a", TensorType::f32, {1}, {}}};
    CHECK_THROWS_AS(write_tensor_file(path, broken), FormatError);
    CHECK(file_content(path) == before);
}
