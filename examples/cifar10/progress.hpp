// How far a pass over the images is: a bar that redraws itself on a terminal, elsewhere a line now and then.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include <resnet/core/extent.hpp>

class Stopwatch {
public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class Progress {
public:
    /// Of a task that begins with so many of the images done.
    Progress(std::string task, resnet::Index images, resnet::Index begin = 0)
        : task_{std::move(task)},
          images_{images},
          begin_{begin} {}
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() {
        if (!terminal_) return;
        std::fputs("\r\x1b[K", stdout);  // erases the bar: the line of the epoch, or of an error, takes its place
        std::fflush(stdout);
    }

    /// `done` of the images are done. Prints ten times a second on a terminal, each half minute elsewhere.
    void show(resnet::Index done, std::optional<double> mean_loss = {}) {
        const double seconds = watch_.seconds();
        if (seconds < next_) return;
        next_ = seconds + interval();
        const double part = static_cast<double>(done) / static_cast<double>(images_);
        const double begin = static_cast<double>(begin_) / static_cast<double>(images_);
        const auto width = static_cast<std::size_t>(20 * part);
        std::printf("%s%s [%s%s] %3.0f %%", terminal_ ? "\r" : "", task_.c_str(), std::string(width, '#').c_str(),
                    std::string(20 - width, '.').c_str(), 100 * part);
        if (mean_loss) std::printf(", mean loss %.4f", *mean_loss);
        std::printf(", %.0f s left%s", seconds / (part - begin) * (1 - part), terminal_ ? "\x1b[K" : "\n");
        std::fflush(stdout);
    }

private:
    double interval() const { return terminal_ ? 0.1 : 30; }  // seconds

    std::string task_;
    resnet::Index images_, begin_;
    Stopwatch watch_;
    bool terminal_ = isatty(STDOUT_FILENO) == 1;
    double next_ = interval();
};
