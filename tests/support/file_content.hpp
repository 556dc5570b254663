// The bytes of a file, for tests that compare or damage them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

inline std::vector<std::uint8_t> file_content(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    file.exceptions(std::ios::failbit | std::ios::badbit);  // a missing file is a failure of the test
    return {std::istreambuf_iterator<char>{file}, {}};
}
