// TensorBoard's event files (`tensorboard --logdir folder`): curves of a training run, drawn while it goes on.
// A file is a row of TFRecords (a length, a protocol buffer, a checksum of each); one record here is one step's values.
#pragma once

#include <fcntl.h>     // open
#include <sys/stat.h>  // fstat
#include <unistd.h>    // write, ftruncate, gethostname

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/atomic_file.hpp>
#include <resnet/io/crc32c.hpp>
#include <resnet/io/protobuf.hpp>

namespace resnet::inline v0 {

/// A number under a name. TensorBoard puts into one group what has the same words before the slash: "loss/train".
struct EventValue {
    std::string_view tag;
    double value = 0;  // the file has it as a float
};

/// A new event file in a folder, named as TensorBoard expects it: events.out.tfevents.<seconds>.<host>.<process>.
/// Each call adds one record and hands it to the operating system: it outlives a killed process, not a loss of power.
/// A record that can't be written whole is taken back, so the file can be read whatever happens.
/// PyTorch: torch.utils.tensorboard.SummaryWriter.
///
///     EventFile events{"runs/first"};
///     events.add_text("settings", "seed 1");
///     events.add(step, {{"loss/train", 1.39}, {"accuracy/test", 0.56}});
///
/// FileError, with the file and the system's reason, where it can't be made or written.
class EventFile {
public:
    /// Makes the folder as well, where there is none. Older files of the folder belong to the same run, which goes on
    /// at `first_step`: TensorBoard forgets what they have of that step and later ones.
    explicit EventFile(const std::filesystem::path& folder, Index first_step = 0);
    ~EventFile() { ::close(file_); }
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;

    /// The values of one step.
    void add(Index step, std::span<const EventValue> values);
    void add(Index step, std::initializer_list<EventValue> values) {
        add(step, std::span{values.begin(), values.size()});
    }

    /// Markdown, on TensorBoard's page of texts.
    void add_text(std::string_view tag, std::string_view markdown, Index step = 0);

    const std::filesystem::path& path() const noexcept { return path_; }
    /// Whether someone has removed it: what is added then is gone with it.
    bool was_removed() const noexcept;

private:
    void append(std::span<const std::byte> event);

    std::filesystem::path path_;
    int file_ = -1;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// The field numbers and codes of tensorflow/core/util/event.proto, framework/summary.proto and framework/tensor.proto,
/// as far as they are needed.
namespace tensorboard {
enum Event { wall_time = 1, event_step = 2, file_version = 3, event_summary = 5, session_log = 7 };
enum SessionLog { session_status = 1, session_start = 1 };
enum Summary { summary_value = 1 };
enum Value { value_tag = 1, simple_value = 2, value_tensor = 8, value_metadata = 9 };
enum Metadata { plugin_data = 1, plugin_name = 1 };
enum Tensor { tensor_type = 1, tensor_shape = 2, tensor_string = 8, type_string = 7 };
enum Shape { shape_dim = 2, dim_size = 1 };
}  // namespace tensorboard

inline constexpr std::string_view event_file_prefix = "events.out.tfevents.";

/// As records hold it: a checksum of data that has checksums in it would be weak (TensorFlow's core/lib/hash/crc32c.h).
inline std::uint32_t masked_crc32c(std::span<const std::byte> bytes) {
    Crc32c sum;
    sum.add(bytes);
    return (sum.value() >> 15 | sum.value() << 17) + 0xa282ead8u;
}

/// uint64 length, uint32 checksum of the length, data, uint32 checksum of the data
/// (tensorflow.org/tutorials/load_data/tfrecord).
inline std::vector<std::byte> tf_record(std::span<const std::byte> data) {
    const std::uint64_t length = data.size();
    const std::uint32_t length_sum = masked_crc32c(std::as_bytes(std::span{&length, 1})),
                        data_sum = masked_crc32c(data);
    std::vector<std::byte> record(8 + 4 + data.size() + 4);
    std::memcpy(record.data(), &length, 8);
    std::memcpy(record.data() + 8, &length_sum, 4);
    std::ranges::copy(data, record.begin() + 12);
    std::memcpy(record.data() + 12 + data.size(), &data_sum, 4);
    return record;
}

/// An event with the fields that all of them have.
inline ProtobufWriter new_event(double seconds, Index step) {
    ProtobufWriter event;
    event.number(tensorboard::wall_time, seconds);
    if (step != 0) event.integer(tensorboard::event_step, step);
    return event;
}

inline ProtobufWriter values_event(double seconds, Index step, std::span<const EventValue> values) {
    ProtobufWriter event = new_event(seconds, step);
    event.message(tensorboard::event_summary, [&](ProtobufWriter& summary) {
        for (const EventValue& value : values) {
            summary.message(tensorboard::summary_value, [&](ProtobufWriter& entry) {
                entry.text(tensorboard::value_tag, value.tag);
                entry.number(tensorboard::simple_value, static_cast<float>(value.value));
            });
        }
    });
    return event;
}

inline ProtobufWriter text_event(double seconds, Index step, std::string_view tag, std::string_view markdown) {
    namespace field = tensorboard;
    ProtobufWriter event = new_event(seconds, step);
    event.message(field::event_summary, [&](ProtobufWriter& summary) {
        summary.message(field::summary_value, [&](ProtobufWriter& value) {
            value.text(field::value_tag, text(tag, "/text_summary"));  // the ending by which the page finds its texts
            value.message(field::value_tensor, [&](ProtobufWriter& tensor) {
                tensor.integer(field::tensor_type, field::type_string);
                tensor.message(field::tensor_shape, [](ProtobufWriter& shape) {
                    shape.message(field::shape_dim, [](ProtobufWriter& dim) { dim.integer(field::dim_size, 1); });
                });
                tensor.text(field::tensor_string, markdown);
            });
            value.message(field::value_metadata, [](ProtobufWriter& metadata) {
                metadata.message(field::plugin_data,
                                 [](ProtobufWriter& plugin) { plugin.text(field::plugin_name, "text"); });
            });
        });
    });
    return event;
}

inline double seconds_since_1970() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The number in an event file's name; 0 where it is none, or no time of this millennium.
inline std::int64_t seconds_in_name(std::string_view name) {
    std::int64_t seconds = 0;
    if (name.starts_with(event_file_prefix))
        std::from_chars(name.data() + event_file_prefix.size(), name.data() + name.size(), seconds);
    return seconds < 32'503'680'000 ? seconds : 0;
}

inline std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0 || name.front() == '\0') return "localhost";
    return name.data();
}

}  // namespace detail

inline EventFile::EventFile(const std::filesystem::path& folder, Index first_step) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) throw FileError(folder.string(), "to make the folder", error.message());
    // TensorBoard reads a folder's files in the order of their names: this one comes after those that are there, even
    // where they are of the same second.
    auto seconds = static_cast<std::int64_t>(detail::seconds_since_1970());
    for (std::filesystem::directory_iterator entry{folder, error}, end; !error && entry != end; entry.increment(error))
        seconds = std::max(seconds, detail::seconds_in_name(entry->path().filename().string()) + 1);
    if (error) throw FileError(folder.string(), "to list the folder", error.message());
    for (; file_ < 0; ++seconds) {
        path_ = folder / detail::text(detail::event_file_prefix, seconds, ".", detail::host_name(), ".", ::getpid());
        file_ = detail::uninterrupted(
            [&] { return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666); });
        if (file_ < 0 && errno != EEXIST)
            throw FileError(path_.string(), "to create it", std::generic_category().message(errno));
    }
    try {
        namespace field = detail::tensorboard;
        auto first = detail::new_event(detail::seconds_since_1970(), 0);
        first.text(field::file_version,
                   "brain.Event:2");  // from this one on, the second session_start makes it forget
        append(first.content());
        auto start = detail::new_event(detail::seconds_since_1970(), first_step);
        start.message(field::session_log,
                      [](detail::ProtobufWriter& log) { log.integer(field::session_status, field::session_start); });
        append(start.content());
    } catch (...) {  // there is no destructor yet
        ::close(file_);
        throw;
    }
}

inline void EventFile::add(Index step, std::span<const EventValue> values) {
    append(detail::values_event(detail::seconds_since_1970(), step, values).content());
}

inline void EventFile::add_text(std::string_view tag, std::string_view markdown, Index step) {
    append(detail::text_event(detail::seconds_since_1970(), step, tag, markdown).content());
}

inline bool EventFile::was_removed() const noexcept {
    struct stat status {};
    return ::fstat(file_, &status) != 0 || status.st_nlink == 0;
}

inline void EventFile::append(std::span<const std::byte> event) {
    const std::vector<std::byte> record = detail::tf_record(event);
    const off_t whole = ::lseek(file_, 0, SEEK_END);
    for (std::span<const std::byte> rest{record}; !rest.empty();) {
        const ssize_t count = detail::uninterrupted([&] { return ::write(file_, rest.data(), rest.size()); });
        if (count <= 0) {
            const int error = count < 0 ? errno : ENOSPC;
            static_cast<void>(::ftruncate(file_, whole));  // if that fails as well, readers skip the half record
            throw FileError(path_.string(), "to write it", std::generic_category().message(error));
        }
        rest = rest.subspan(static_cast<std::size_t>(count));
    }
}

}  // namespace resnet::inline v0
