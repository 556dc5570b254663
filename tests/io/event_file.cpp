#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>  // setrlimit
#include <sys/wait.h>      // waitpid

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <resnet/io/event_file.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/file_content.hpp"
#include "../support/protobuf.hpp"

using namespace resnet;
using tests::ProtobufMessage;

namespace {

std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) {
        constexpr auto digits = "0123456789abcdef";
        text += digits[std::to_integer<int>(byte) >> 4];
        text += digits[std::to_integer<int>(byte) & 15];
    }
    return text;
}

/// The events of a file whose records have to be whole: lengths and both checksums. They are views of its bytes.
std::vector<ProtobufMessage> events_in(const std::vector<std::uint8_t>& file) {
    std::vector<ProtobufMessage> events;
    std::span<const std::byte> rest = std::as_bytes(std::span{file});
    const auto sum_at = [](std::span<const std::byte> bytes) {
        std::uint32_t sum;
        std::memcpy(&sum, bytes.data(), 4);
        return sum;
    };
    while (!rest.empty()) {
        REQUIRE(rest.size() >= 16);
        std::uint64_t length;
        std::memcpy(&length, rest.data(), 8);
        REQUIRE(rest.size() >= 16 + length);
        CHECK(sum_at(rest.subspan(8)) == detail::masked_crc32c(rest.first(8)));
        CHECK(sum_at(rest.subspan(12 + length)) == detail::masked_crc32c(rest.subspan(12, length)));
        events.emplace_back(rest.subspan(12, length));
        rest = rest.subspan(16 + length);
    }
    return events;
}

std::vector<ProtobufMessage> events_in(std::vector<std::uint8_t>&& file) = delete;

}  // namespace

TEST_CASE("event file: a record is TensorBoard's to the byte") {
    // Made with tensorboard 2.21.0:
    //   event = Event(wall_time=1.5, step=7)
    //   event.summary.value.add(tag="loss/train", simple_value=0.25)
    //   event.summary.value.add(tag="accuracy/test", simple_value=0.5)
    //   RecordWriter(file).write(event.SerializeToString())
    const auto event =
        detail::values_event(1.5, 7, std::vector<EventValue>{{"loss/train", 0.25}, {"accuracy/test", 0.5}});
    CHECK(hex(detail::tf_record(event.content())) ==
          "36000000000000004f578cef09000000000000f83f10072a290a110a0a6c6f73732f747261696e150000803e0a140a0d616363757261"
          "63792f74657374150000003ff2d1b3ab");
}

TEST_CASE("event file: a text is TensorBoard's to the byte") {
    // The same with
    //   value = event.summary.value.add(tag="settings/text_summary",
    //       metadata=SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")))
    //   value.tensor.CopyFrom(TensorProto(dtype="DT_STRING", string_val=[b"seed 1"],
    //       tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])))
    CHECK(hex(detail::tf_record(detail::text_event(1.5, 0, "settings", "seed 1").content())) ==
          "40000000000000002817f49509000000000000f83f2a350a330a1573657474696e67732f746578745f73756d6d617279421008071204"
          "1202080142067365656420314a080a060a0474657874a338d25a");
}

TEST_CASE("event file: its records begin with version and start and hold what was added, in order") {
    const TemporaryFolder folder;
    EventFile file{folder.path() / "new" / "run"};
    file.add_text("settings", "| seed | 1 |");
    file.add(391, {{"loss/train", 1.5}, {"learning_rate", 1e-3}});
    file.add(782, {{"loss/train", 1.25}});
    const auto content = file_content(file.path());
    const auto events = events_in(content);
    REQUIRE(events.size() == 5);
    CHECK(events[0].text(3) == "brain.Event:2");
    CHECK(events[1].message(7).integer(1) == 1);
    const ProtobufMessage text = events[2].message(5).message(1);
    CHECK(text.text(1) == "settings/text_summary");
    CHECK(text.message(8).text(8) == "| seed | 1 |");
    CHECK(events[3].integer(2) == 391);
    const auto values = events[3].message(5).messages(1);
    REQUIRE(values.size() == 2);
    CHECK(values[0].text(1) == "loss/train");
    CHECK(values[0].numbers<float>(2) == std::vector{1.5f});
    CHECK(values[1].numbers<float>(2) == std::vector{1e-3f});
    CHECK(events[4].integer(2) == 782);
    CHECK(events[4].numbers<double>(1).front() > 1.7e9);  // seconds since 1970
}

TEST_CASE("event file: one that goes on starts at its first step and comes last by name") {
    const TemporaryFolder folder;
    const EventFile first{folder.path()}, second{folder.path(), 392}, third{folder.path(), 783};
    CHECK(first.path().filename().string() < second.path().filename().string());
    CHECK(second.path().filename().string() < third.path().filename().string());
    CHECK(first.path().filename().string().starts_with("events.out.tfevents.1"));
    const auto content = file_content(second.path());
    const auto events = events_in(content);
    REQUIRE(events.size() == 2);
    CHECK(events[1].integer(2) == 392);
    CHECK(events[1].message(7).integer(1) == 1);
}

TEST_CASE("event file: a file whose name has no time does not decide the next one's") {
    const TemporaryFolder folder;
    write_file(folder.path() / "events.out.tfevents.9223372036854775807.host.1", {});
    const EventFile file{folder.path(), 0};
    CHECK(file.path().filename().string().starts_with("events.out.tfevents."));
    CHECK_FALSE(file.path().filename().string().starts_with("events.out.tfevents.9223372036854775807."));
}

TEST_CASE("event file: a record that finds no room is an error and leaves whole records") {
    const TemporaryFolder folder;
    EventFile file{folder.path()};
    file.add(1, {{"loss/train", 1.5}});
    const auto before = file_content(file.path());
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // a file of this process may grow by ten bytes more
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{before.size() + 10, before.size() + 10};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto message = message_of<FileError>([&] { file.add(2, {{"loss/train", 1.25}}); });
        ::_exit(message == file.path().string() + ": expected to write it, found File too large" ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(file_content(file.path()) == before);
    file.add(3, {{"loss/train", 1.0}});
    const auto content = file_content(file.path());
    CHECK(events_in(content).back().integer(2) == 3);
}

TEST_CASE("event file: one that somebody removes says so") {
    const TemporaryFolder folder;
    const EventFile file{folder.path()};
    CHECK_FALSE(file.was_removed());
    std::filesystem::remove(file.path());
    CHECK(file.was_removed());
}

TEST_CASE("event file: a folder that can't be made or written is an error that names it") {
    const TemporaryFolder folder;
    write_file(folder.path() / "file", {});
    const auto message = message_of<FileError>([&] { EventFile{folder.path() / "file" / "run"}; });
    CHECK(message ==
          (folder.path() / "file" / "run").string() + ": expected to make the folder, found Not a directory");
}
