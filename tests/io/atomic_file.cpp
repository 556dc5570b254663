#include <doctest/doctest.h>
#include <signal.h>        // kill
#include <sys/resource.h>  // setrlimit
#include <sys/stat.h>      // stat
#include <sys/wait.h>      // waitpid
#include <unistd.h>        // chown, getgroups

#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include <resnet/io/atomic_file.hpp>

#include "../data/temporary_folder.hpp"

using namespace resnet;

namespace {

std::ptrdiff_t files_in(const TemporaryFolder& folder) {
    return std::distance(std::filesystem::directory_iterator{folder.path()}, {});
}

std::string content(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream{path, std::ios::binary}.rdbuf();
    return text.str();
}

void put(const std::filesystem::path& path, std::string_view text) { std::ofstream{path, std::ios::binary} << text; }

/// The calls that a save makes go through here: counted, and one of them fails, is cut short or is the process's last.
struct Script {
    enum class Event { none, fail, interrupt, die_before, die_after, die_half_way };

    int at = -1;  // the number of the call to which the event happens
    Event event = Event::none;
    int error = EIO;
    std::size_t longest_write = static_cast<std::size_t>(-1);
    bool may_give_group = true;
    std::vector<std::string> calls{};  // what was called, in order
};

class ScriptedCalls {
public:
    explicit ScriptedCalls(Script& script) : script_{&script} {}

    int open(const char* path, int flags, mode_t mode) {
        return call(flags & O_DIRECTORY ? "open folder" : "open", [&] { return real_.open(path, flags, mode); });
    }
    ssize_t write(int file, const void* bytes, std::size_t count) {
        count = std::min(count, script_->longest_write);
        const bool half = std::ssize(script_->calls) == script_->at && script_->event == Script::Event::die_half_way;
        if (half) count /= 2;
        return call("write", [&] { return real_.write(file, bytes, count); });
    }
    int fsync(int file) {
        struct stat status;
        ::fstat(file, &status);
        return call(S_ISDIR(status.st_mode) ? "fsync folder" : "fsync", [&] { return real_.fsync(file); });
    }
    int fchown(int file, uid_t owner, gid_t group) const {
        return script_->may_give_group ? real_.fchown(file, owner, group) : -1;
    }
    int close(int file) {
        return call(
            "close", [&] { return real_.close(file); }, true);
    }
    int rename(const char* from, const char* to) {
        return call("rename", [&] { return real_.rename(from, to); });
    }
    int unlink(const char* path) {
        return call("unlink", [&] { return real_.unlink(path); });
    }

private:
    template <class Call>
    auto call(const char* name, Call real, bool even_if_it_fails = false) -> decltype(real()) {
        using enum Script::Event;
        const bool now = std::ssize(script_->calls) == script_->at;
        script_->calls.emplace_back(name);
        if (now && script_->event == die_before) ::kill(::getpid(), SIGKILL);
        if (now && (script_->event == fail || script_->event == interrupt)) {
            if (even_if_it_fails) real();
            errno = script_->event == fail ? script_->error : EINTR;
            return -1;
        }
        const auto result = real();
        if (now && (script_->event == die_after || script_->event == die_half_way)) ::kill(::getpid(), SIGKILL);
        return result;
    }

    Script* script_;
    SystemCalls real_;
};

const std::string old_text = "the old content";
const std::string new_text = "the new content, which is longer than the old one was";

/// Saves `new_text` in two pieces.
void save(const std::filesystem::path& path, Script& script) {
    BasicAtomicFile<ScriptedCalls> file{path, ScriptedCalls{script}};
    const auto bytes = std::as_bytes(std::span{new_text});
    file.write(bytes.first(20));
    file.write(bytes.subspan(20));
    file.commit();
}

std::vector<std::string> calls_of_a_save() {
    const TemporaryFolder folder;
    Script script;
    save(folder.path() / "file", script);
    return script.calls;
}

}  // namespace

TEST_CASE("atomic file: writes, syncs, renames, and syncs the folder, in this order") {
    const std::vector<std::string> expected{"open folder", "open",   "write",        "write", "fsync",
                                            "close",       "rename", "fsync folder", "close"};
    CHECK(calls_of_a_save() == expected);
}

TEST_CASE("atomic file: a save makes a new file or replaces an old one, and leaves nothing beside it") {
    const TemporaryFolder folder;
    for (int i = 0; i < 2; ++i) {
        Script script;
        save(folder.path() / "file", script);
        CHECK(content(folder.path() / "file") == new_text);
        CHECK(files_in(folder) == 1);
    }
}

TEST_CASE("atomic file: without a commit the old file stays and nothing is left beside it") {
    const TemporaryFolder folder;
    put(folder.path() / "file", old_text);
    {
        AtomicFile file{folder.path() / "file"};
        file.write(std::as_bytes(std::span{new_text}));
        CHECK(files_in(folder) == 2);
    }
    CHECK(content(folder.path() / "file") == old_text);
    CHECK(files_in(folder) == 1);
}

TEST_CASE("atomic file: a call that fails is reported with the path and the reason, and the old file stays") {
    const auto calls = calls_of_a_save();
    const int last_sync = static_cast<int>(calls.size()) - 2;
    for (int at = 0; at <= last_sync; ++at) {
        for (const int error : {ENOSPC, EACCES, EIO, EDQUOT}) {
            CAPTURE(at);
            CAPTURE(error);
            const TemporaryFolder folder;
            const auto path = folder.path() / "file";
            put(path, old_text);
            Script script{.at = at, .event = Script::Event::fail, .error = error};
            try {
                save(path, script);
                FAIL("saved");
            } catch (const FileError& failure) {
                CHECK(failure.where() == path.string());
                CHECK(failure.found() == std::strerror(error));
            }
            CHECK(content(path) == (at == last_sync ? new_text : old_text));  // the folder's sync follows the exchange
            CHECK(files_in(folder) == 1);
        }
    }
}

TEST_CASE("atomic file: a call that a signal interrupts is made again") {
    const auto calls = calls_of_a_save();
    for (int at = 0; at < std::ssize(calls); ++at) {
        if (calls[static_cast<std::size_t>(at)] == "rename") continue;  // never interrupted
        CAPTURE(at);
        const TemporaryFolder folder;
        Script script{.at = at, .event = Script::Event::interrupt};
        save(folder.path() / "file", script);
        CHECK(content(folder.path() / "file") == new_text);
        CHECK(files_in(folder) == 1);
    }
}

TEST_CASE("atomic file: short writes are continued") {
    for (std::size_t longest = 1; longest <= new_text.size(); ++longest) {
        const TemporaryFolder folder;
        Script script{.longest_write = longest};
        save(folder.path() / "file", script);
        CHECK(content(folder.path() / "file") == new_text);
    }
}

TEST_CASE("atomic file: a write that writes nothing is a full disk, not an endless loop") {
    const TemporaryFolder folder;
    Script script{.longest_write = 0};
    CHECK_THROWS_WITH_AS(save(folder.path() / "file", script), doctest::Contains("No space left on device"), FileError);
    CHECK(files_in(folder) == 0);
}

TEST_CASE("atomic file: a file system that can't sync folders is accepted") {
    const TemporaryFolder folder;
    Script script{.at = 7, .event = Script::Event::fail, .error = EINVAL};
    save(folder.path() / "file", script);
    REQUIRE(script.calls[7] == "fsync folder");
    CHECK(content(folder.path() / "file") == new_text);
}

TEST_CASE("atomic file: killed before, in or after any call of a save, the old file or the new one is left whole") {
    const auto calls = calls_of_a_save();
    int old_files = 0, new_files = 0;
    for (const auto event : {Script::Event::die_before, Script::Event::die_after, Script::Event::die_half_way}) {
        for (int at = 0; at < std::ssize(calls); ++at) {
            CAPTURE(at);
            const TemporaryFolder folder;
            const auto path = folder.path() / "file";
            put(path, old_text);
            const pid_t child = ::fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                Script script{.at = at, .event = event};
                save(path, script);
                ::_exit(0);
            }
            int status = 0;
            REQUIRE(::waitpid(child, &status, 0) == child);
            REQUIRE(WIFSIGNALED(status));
            CHECK(WTERMSIG(status) == SIGKILL);
            const std::string left = content(path);
            const bool exchanged = at > 6 || (at == 6 && event != Script::Event::die_before);  // 6 is rename
            CHECK(left == (exchanged ? new_text : old_text));
            ++(left == old_text ? old_files : new_files);

            Script script;  // what the killed process left does not disturb the next save
            save(path, script);
            CHECK(content(path) == new_text);
        }
    }
    CHECK(old_files + new_files == 3 * std::ssize(calls));
    CHECK(old_files > 0);
    CHECK(new_files > 0);
}

TEST_CASE("atomic file: a real limit of the file's size cuts a write short and then fails it") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    put(path, old_text);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // the limit is of the process
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1000, 1000};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        int result = 1;
        try {
            AtomicFile file{path};
            file.write(std::vector<std::byte>(2000));
        } catch (const FileError& failure) {
            result = failure.found() == std::strerror(EFBIG) ? 0 : 2;
        }
        ::_exit(result);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(content(path) == old_text);
    CHECK(files_in(folder) == 1);
}

TEST_CASE("atomic file: nothing can be committed after a write has failed") {
    const TemporaryFolder folder;
    Script script{.at = 2, .event = Script::Event::fail, .error = ENOSPC};
    BasicAtomicFile<ScriptedCalls> file{folder.path() / "file", ScriptedCalls{script}};
    CHECK_THROWS_AS(file.write(std::as_bytes(std::span{new_text})), FileError);
    CHECK_THROWS_AS(file.write(std::as_bytes(std::span{new_text})), FileError);
    CHECK_THROWS_AS(file.commit(), FileError);
    CHECK(files_in(folder) == 0);
}

TEST_CASE("atomic file: two saves of one file at a time don't mix") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    AtomicFile one{path}, two{path};
    one.write(std::as_bytes(std::span{old_text}));
    two.write(std::as_bytes(std::span{new_text}));
    one.commit();
    CHECK(content(path) == old_text);
    two.commit();
    CHECK(content(path) == new_text);
    CHECK(files_in(folder) == 1);
}

TEST_CASE("atomic file: the old file's permissions are kept, and a new file follows the umask") {
    using std::filesystem::perms;
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    const mode_t old_umask = ::umask(027);
    Script script;
    save(path, script);
    CHECK(std::filesystem::status(path).permissions() == static_cast<perms>(0640));
    for (const auto mode : {perms{0600}, perms{0666}, perms{0644}}) {
        std::filesystem::permissions(path, mode);
        save(path, script);
        CHECK(std::filesystem::status(path).permissions() == mode);
    }
    ::umask(old_umask);
}

TEST_CASE("atomic file: the new file belongs to the old one's group, whose permissions it has") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    put(path, old_text);
    gid_t groups[64] = {};
    const int count = ::getgroups(64, groups);
    gid_t other = ::getegid();
    for (int i = 0; i < count; ++i)
        if (groups[i] != ::getegid()) other = groups[i];
    if (::geteuid() == 0) other = 12345;
    REQUIRE(::chown(path.c_str(), static_cast<uid_t>(-1), other) == 0);
    std::filesystem::permissions(path, std::filesystem::perms{0660});
    Script script;
    save(path, script);
    struct stat status;
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_gid == other);
    CHECK((status.st_mode & 0777) == 0660);
    script.may_give_group = false;
    save(path, script);
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);  // not another group's
}

TEST_CASE("atomic file: a symbolic link is followed and stays a link") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path() / "elsewhere");
    put(folder.path() / "elsewhere" / "file", old_text);
    std::filesystem::create_symlink("elsewhere/file", folder.path() / "link");
    Script script;
    save(folder.path() / "link", script);
    CHECK(std::filesystem::is_symlink(folder.path() / "link"));
    CHECK(content(folder.path() / "elsewhere" / "file") == new_text);
}

TEST_CASE("atomic file: a link, and a link to it, are followed to where no file is yet") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path() / "elsewhere");
    std::filesystem::create_symlink("elsewhere/file", folder.path() / "link");
    std::filesystem::create_symlink(folder.path() / "link", folder.path() / "first");
    Script script;
    save(folder.path() / "first", script);
    CHECK(std::filesystem::is_symlink(folder.path() / "first"));
    CHECK(std::filesystem::is_symlink(folder.path() / "link"));
    CHECK(content(folder.path() / "elsewhere" / "file") == new_text);
}

TEST_CASE("atomic file: links in a circle are refused and stay") {
    const TemporaryFolder folder;
    std::filesystem::create_symlink("b", folder.path() / "a");
    std::filesystem::create_symlink("a", folder.path() / "b");
    CHECK_THROWS_WITH_AS(AtomicFile{folder.path() / "a"}, doctest::Contains("expected to follow its symbolic link"),
                         FileError);
    CHECK(std::filesystem::is_symlink(folder.path() / "a"));
    CHECK(files_in(folder) == 2);
}

TEST_CASE("atomic file: a temporary file that somebody took away is named, and the old file stays") {
    const TemporaryFolder folder;
    put(folder.path() / "file", old_text);
    AtomicFile file{folder.path() / "file"};
    file.write(std::as_bytes(std::span{new_text}));
    for (const auto& entry : std::filesystem::directory_iterator{folder.path()})
        if (entry.path().filename() != "file") std::filesystem::remove(entry.path());
    CHECK_THROWS_WITH_AS(file.commit(), doctest::Contains("-0 can take its place, found No such file or directory"),
                         FileError);
    CHECK(content(folder.path() / "file") == old_text);
}

TEST_CASE("atomic file: folders, devices and missing folders are refused with the reason") {
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(AtomicFile{folder.path()},
                         doctest::Contains("expected to replace a regular file, found Is a directory"), FileError);
    CHECK_THROWS_WITH_AS(AtomicFile{"/dev/null"},
                         "/dev/null: expected to replace a regular file, found Invalid argument", FileError);
    CHECK_THROWS_WITH_AS(AtomicFile{folder.path() / "no" / "file"},
                         doctest::Contains("expected to open the folder of the file, found No such file or directory"),
                         FileError);
}

TEST_CASE("atomic file: a path without a folder is of the working folder") {
    const TemporaryFolder folder;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    Script script;
    save("file", script);
    std::filesystem::current_path(before);
    CHECK(content(folder.path() / "file") == new_text);
}
