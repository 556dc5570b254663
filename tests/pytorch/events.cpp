// Writes event files into a folder for events.py: a run of three epochs, stopped; it goes on behind the second.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>

#include <resnet/io/event_file.hpp>

int main(int count, char** arguments) try {
    if (count != 2) return 2;
    const std::filesystem::path folder = arguments[1];
    std::filesystem::path stopped;
    {
        resnet::EventFile file{folder};
        file.add_text("settings", "| seed | 1 |");
        for (const int epoch : {1, 2, 3})
            file.add(10 * epoch, {{"loss/train", 1.0 / epoch}, {"accuracy/test", 0.25 * epoch}});
        stopped = file.path();
    }
    // Killed in the middle of a record: its length, and no more.
    std::ofstream{stopped, std::ios::binary | std::ios::app}.write("\x20\0\0\0\0\0\0\0", 8);

    resnet::EventFile file{folder, 21};
    file.add_text("settings", "| seed | 1 | resumed", 21);
    for (const int epoch : {3, 4})
        file.add(10 * epoch, {{"loss/train", -1.0 / epoch}, {"accuracy/test", 0.125 * epoch}});
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
