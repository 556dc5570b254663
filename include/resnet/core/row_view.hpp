// A row of numbers for each image of a batch, in somebody else's memory.
#pragma once

#include <cstddef>
#include <span>

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

/// Row-major [N][columns]. Valid as long as the memory that it views; rows are not checked.
template <class Scalar>
class RowView {
public:
    RowView() = default;
    RowView(std::span<const Scalar> values, Index columns) : values_{values}, columns_{columns} {}

    Index images() const noexcept { return columns_ == 0 ? 0 : std::ssize(values_) / columns_; }
    Index columns() const noexcept { return columns_; }
    std::span<const Scalar> values() const noexcept { return values_; }
    /// The numbers of one image.
    std::span<const Scalar> operator[](Index image) const noexcept {
        return values_.subspan(static_cast<std::size_t>(image * columns_), static_cast<std::size_t>(columns_));
    }

private:
    std::span<const Scalar> values_;
    Index columns_ = 0;
};

}  // namespace resnet::inline v0
