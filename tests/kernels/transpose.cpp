#include <doctest/doctest.h>

#include <cstddef>
#include <numeric>
#include <vector>

#include "../support/engine.hpp"
#include "../support/isas.hpp"

using namespace resnet;

TEST_CASE_TEMPLATE("transpose: every element has its place and nothing beside the matrix is written", Scalar, float,
                   double) {
    constexpr Index space = 3;  // of nobody, at the end of each row
    for (const Isa isa : tests::available_isas())
        for (const Index rows : {1, 3, 4, 8, 15, 16, 17, 40})
            for (const Index columns : {1, 2, 4, 7, 16, 33, 48}) {
                std::vector<Scalar> from(static_cast<std::size_t>(rows * (columns + space)));
                std::iota(from.begin(), from.end(), Scalar{1});
                std::vector<Scalar> to(static_cast<std::size_t>(columns * (rows + space)), Scalar{-1});
                kernels<Scalar>(isa).transpose(from.data(), columns + space, rows, columns, to.data(), rows + space);
                for (Index c = 0; c < columns; ++c)
                    for (Index r = 0; r < rows + space; ++r)
                        REQUIRE(to[static_cast<std::size_t>(c * (rows + space) + r)] ==
                                (r < rows ? from[static_cast<std::size_t>(r * (columns + space) + c)] : Scalar{-1}));
            }
}
