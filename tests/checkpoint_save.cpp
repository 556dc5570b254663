// What a save of a checkpoint leaves that is killed or fails.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>  // setrlimit
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <resnet/checkpoint.hpp>

#include "data/temporary_folder.hpp"
#include "support/file_content.hpp"
#include "support/killed_save.hpp"
#include "support/networks.hpp"
#include "support/training_run.hpp"

using namespace resnet;
using tests::Tiny;
using tests::TrainingRun;

TEST_CASE("checkpoint: a save writes, syncs, renames, and syncs the folder, in this order") {
    const TemporaryFolder folder;
    TrainingRun<Tiny<5>> run{{}};
    auto traced = tests::trace_save([&] { run.save(folder.path() / "checkpoint"); }, 0);
    if (!traced.possible) {
        MESSAGE("processes can't be traced here: nothing was checked");
        return;
    }
    REQUIRE(traced.finished);
    CHECK(std::ranges::count(traced.calls, "write file") > 20);  // a call or more for each tensor
    traced.calls.erase(std::unique(traced.calls.begin(), traced.calls.end()), traced.calls.end());
    CHECK(traced.calls == std::vector<std::string>{"write file", "fsync file", "rename", "fsync folder"});
}

TEST_CASE("checkpoint: a model that has diverged does not take the place of one that has not, nor do its weights") {
    const TemporaryFolder folder;
    const auto checkpoint = folder.path() / "checkpoint", weights = folder.path() / "weights";
    TrainingRun<Tiny<5>> run{{}};
    run.save(checkpoint);
    save(run.model, weights);
    const auto kept = file_content(checkpoint), kept_weights = file_content(weights);
    for (const char* const name : {"conv1.weight", "fc.bias", "bn1.running_var"}) {
        TrainingRun<Tiny<5>> diverged{{}};
        auto values = diverged.model.parameter(name);
        values.back() = std::numeric_limits<float>::infinity();
        diverged.model.set_parameter(name, values);
        const std::string message = std::string{name} + ": expected finite numbers, found inf (nothing was saved)";
        CHECK(message_of<NotFiniteError>([&] { diverged.save(checkpoint); }) == message);
        CHECK(message_of<NotFiniteError>([&] { save(diverged.model, weights); }) == message);
    }
    CHECK(file_content(checkpoint) == kept);
    CHECK(file_content(weights) == kept_weights);
}

TEST_CASE("checkpoint: killed at any system call of a save, the old file or the new one is left whole") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Tiny<5>> run{{}};
    const auto old_state = run.state();
    TrainingRun<Tiny<5>> further{{}};
    further.go_on(1, 3);
    const auto new_state = further.state();
    int old_files = 0, new_files = 0;
    const bool traced = tests::kill_at_each_system_call(
        [&] {
            if (old_files == 0 || new_files > 0) run.save(path);
        },
        [&] { further.save(path); },
        [&] {
            const auto left = file_content(path);
            CHECK((left == old_state || left == new_state));
            TrainingRun<Tiny<5>>{{}, Seed{2}}.load(path);
            ++(left == old_state ? old_files : new_files);
        });
    if (!traced) return;
    CHECK(old_files > 60);  // a write for each tensor, open, fsync, close, rename and more, twice each
    CHECK(new_files > 2);
}

TEST_CASE("checkpoint: a disk without room for it is reported, the old file stays and nothing is left beside it") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Tiny<5>> run{{}};
    run.save(path);
    const auto old_state = file_content(path);
    run.go_on(1, 1);
    for (const rlim_t bytes : {rlim_t{0}, rlim_t{100}, rlim_t{old_state.size() - 1}}) {
        CAPTURE(bytes);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {  // the limit is of the process: the kernel cuts a write short, then fails it
            ::signal(SIGXFSZ, SIG_IGN);
            const rlimit limit{bytes, bytes};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            const auto message = message_of<FileError>([&] { run.save(path); });
            ::_exit(message == path.string() + ": expected to write it, found " + std::strerror(EFBIG) ? 0 : 1);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(file_content(path) == old_state);
        CHECK(std::distance(std::filesystem::directory_iterator{folder.path()}, {}) == 1);
    }
}
