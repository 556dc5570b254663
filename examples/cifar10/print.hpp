// Prints logits and labels as PyTorch prints tensors: of long ones the first and the last three rows.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

#include <resnet/core/extent.hpp>

/// `values` is [rows][columns].
inline void print_matrix(const std::string& name, std::span<const float> values, resnet::Index columns) {
    const resnet::Index rows = std::ssize(values) / columns;
    const std::string start = name + ": tensor([[", indent(start.size() - 1, ' ');
    for (resnet::Index row = 0; row < rows; ++row) {
        if (row == 3 && rows > 6) {
            std::printf("%s...,\n", indent.c_str());
            row = rows - 3;
        }
        std::printf("%s", row == 0 ? start.c_str() : (indent + '[').c_str());
        for (resnet::Index i = 0; i < columns; ++i) {
            std::printf("%s%8.4f", i == 0 ? "" : ", ", double{values[static_cast<std::size_t>(row * columns + i)]});
        }
        std::printf(row == rows - 1 ? "]])\n" : "],\n");
    }
}

inline void print_vector(const std::string& name, std::span<const int> values) {
    std::printf("%s: tensor([", name.c_str());
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i == 3 && values.size() > 6) {
            std::printf(", ...");
            i = values.size() - 3;
        }
        std::printf("%s%d", i == 0 ? "" : ", ", values[i]);
    }
    std::printf("])\n");
}
