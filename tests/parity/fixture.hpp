// A parity fixture: what PyTorch computed in float64, and the formulas that give the library the same weights, images
// and labels. make_fixtures.py writes the files and says why they hold digests instead of tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/random.hpp>

namespace parity {

using resnet::Index;

/// The `epoch` of each kind of number, as in make_fixtures.py; a tensor of the state adds its place, a batch its step.
enum class Stream : std::uint32_t {
    state = 0,
    images = 100'000,
    labels = 200'000,
    second_labels = 300'000,
    weights = 400'000,
    signs = 500'000,
    entries = 600'000
};

inline resnet::Random numbers(std::uint64_t seed, Stream stream, std::size_t offset = 0) {
    return {resnet::Seed{seed}, resnet::Purpose::user,
            static_cast<std::uint32_t>(stream) + static_cast<std::uint32_t>(offset)};
}

template <class Scalar>
std::vector<Scalar> uniform(const resnet::Random& random, Index count, double low, double high) {
    std::vector<Scalar> values(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; Scalar & value : values)
        value = static_cast<Scalar>(low + (high - low) * random.uniform(i++));
    return values;
}

/// Integers below `limit`, one an image.
template <class Integer>
std::vector<Integer> integers(const resnet::Random& random, Index count, std::uint64_t limit) {
    std::vector<Integer> values(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; Integer & value : values) value = static_cast<Integer>(random.below(limit, i++));
    return values;
}

/// What a file holds of a tensor: its L2 norm, its products with four vectors of +-1, three of its entries.
struct Digest {
    double norm = 0;
    std::array<double, 4> projections{};
    std::array<double, 3> entries{};
};

template <class Scalar>
Digest digest(std::span<const Scalar> values) {
    Digest result;
    const resnet::Random random = numbers(0, Stream::signs);
    double squares = 0;
    for (std::size_t first = 0; first < values.size(); first += 32) {
        const auto words = random.words(first / 32);
        const std::size_t count = std::min(values.size() - first, std::size_t{32});
        for (std::size_t i = 0; i < count; ++i) {
            const double value = static_cast<double>(values[first + i]);
            squares += value * value;
            for (std::size_t p = 0; p < words.size(); ++p)
                result.projections[p] += (words[p] >> i & 1) != 0 ? value : -value;
        }
    }
    result.norm = std::sqrt(squares);
    const resnet::Random places = numbers(0, Stream::entries);
    for (std::size_t k = 0; k < result.entries.size(); ++k)
        result.entries[k] = static_cast<double>(values[static_cast<std::size_t>(places.below(values.size(), k))]);
    return result;
}

/// The largest error of `got` that its digest shows, in units of the tensor's values: an entry's error as it is; of the
/// norm and of the projections the error per square root of the count, which estimates the root mean square of all
/// entries' errors.
inline double difference(const Digest& got, const Digest& want, Index count) {
    const double root = std::sqrt(static_cast<double>(count));
    double worst = 0;
    const auto take = [&](double error) {  // std::max would pass over a NaN
        if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
    };
    take(std::abs(got.norm - want.norm) / root);
    for (std::size_t p = 0; p < want.projections.size(); ++p)
        take(std::abs(got.projections[p] - want.projections[p]) / root);
    for (std::size_t k = 0; k < want.entries.size(); ++k) take(std::abs(got.entries[k] - want.entries[k]));
    return worst;
}

/// A tensor of the state_dict: a parameter, or a running statistic.
struct StateTensor {
    std::string name, kind;
    std::vector<Index> shape;

    Index count() const {
        Index product = 1;
        for (const Index size : shape) product *= size;
        return product;
    }
    bool is_statistic() const { return kind == "mean" || kind == "variance"; }

    /// As `fill` of make_fixtures.py.
    template <class Scalar>
    std::vector<Scalar> draw(const resnet::Random& random) const {
        const double fan_in = static_cast<double>(count() / shape.front());
        const double bound = kind == "filter"                   ? std::sqrt(6 / fan_in)
                             : kind == "linear"                 ? std::sqrt(6 / fan_in) / 8
                             : kind == "bias" || kind == "mean" ? 0.1
                                                                : 0.5;
        std::vector<double> values = uniform<double>(random, count(), -bound, bound);
        if (kind == "scale" || kind == "variance")
            for (double& value : values) value += 1;
        if (kind == "shift")
            for (double& value : values) value += value < 0 ? -2 : 2;
        std::vector<Scalar> result(values.size());
        std::ranges::transform(values, result.begin(), [](double value) { return static_cast<Scalar>(value); });
        return result;
    }
};

/// A line of results: `result` says of what run ("gradient", "adam", ...), `name` of which tensor.
struct Record {
    std::string result, name;
    Index count = 0;
    double scale = 0;  // the largest value of the tensor; for a bias of its weight
    Digest digest;
};

struct Fixture {
    std::string network;
    std::uint64_t weight_seed = 0;
    std::vector<std::uint64_t> draws;  // the seed of the images and targets of each step
    Index images = 0;
    resnet::Extent extent;
    int classes = 0;
    float label_smoothing = 0;
    bool mixed = false;
    std::vector<StateTensor> state;
    std::vector<Record> records;

    explicit Fixture(std::string_view name) {
        const auto path = std::filesystem::path(__FILE__).parent_path() / "fixtures" / (std::string(name) + ".txt");
        std::ifstream file(path);
        for (std::string line; std::getline(file, line);) {
            if (!line.starts_with('#')) read(line, path.string());
        }
        if (network != name || records.empty())
            throw resnet::FileError(path.string(), "the fixture " + std::string(name), "none", "see make_fixtures.py");
    }

    /// The tensor `place` of the state before the first step, in PyTorch's order of elements.
    template <class Scalar>
    std::vector<Scalar> initial(std::size_t place) const {
        return state[place].draw<Scalar>(numbers(weight_seed, Stream::state, place));
    }

    const Record& record(std::string_view result, std::string_view name) const {
        const auto found =
            std::ranges::find_if(records, [&](const Record& r) { return r.result == result && r.name == name; });
        if (found == records.end())
            throw resnet::Error(network, "a record " + std::string(result) + " " + std::string(name), "none");
        return *found;
    }
    bool has(std::string_view result) const {
        return std::ranges::any_of(records, [&](const Record& r) { return r.result == result; });
    }

private:
    void read(const std::string& line, const std::string& path) {
        std::istringstream in(line);
        std::string key;
        in >> key;
        if (key == "network") in >> network;
        else if (key == "weight_seed") in >> weight_seed;
        else if (key == "draws") {
            for (std::uint64_t seed; in >> seed;) draws.push_back(seed);
            in.clear();
        } else if (key == "images") in >> images >> extent.height >> extent.width;
        else if (key == "classes") in >> classes;
        else if (key == "label_smoothing") in >> label_smoothing;
        else if (key == "mixed") in >> mixed;
        else if (key == "state") {
            StateTensor tensor;
            in >> tensor.name >> tensor.kind;
            for (Index size; in >> size;) tensor.shape.push_back(size);
            in.clear();
            state.push_back(std::move(tensor));
        } else {
            Record record;
            record.result = key;
            in >> record.name >> record.count >> record.scale >> record.digest.norm;
            for (double& value : record.digest.projections) in >> value;
            for (double& value : record.digest.entries) in >> value;
            records.push_back(std::move(record));
        }
        if (in.fail()) throw resnet::FormatError(path, "numbers behind \"" + key + "\"", line);
    }
};

/// Compares tensors with a fixture's records, and keeps the one that is furthest off and which records were met.
class Comparison {
public:
    explicit Comparison(const Fixture& fixture) : fixture_(fixture) {}

    template <class Scalar>
    void operator()(std::string_view result, std::string_view name, std::span<const Scalar> values) {
        const Record& record = fixture_.record(result, name);
        const std::string what = fixture_.network + ": " + std::string(result) + " of " + std::string(name);
        if (std::ssize(values) != record.count)
            throw resnet::Error(what, std::to_string(record.count) + " values", std::to_string(values.size()));
        met_.push_back(&record);
        const double error = difference(digest(values), record.digest, record.count) / record.scale;
        if (!(error <= error_)) {
            error_ = error;
            worst_ = what;
        }
    }
    template <class Scalar>
    void operator()(std::string_view result, std::string_view name, const std::vector<Scalar>& values) {
        (*this)(result, name, std::span<const Scalar>(values));
    }

    /// The largest error, relative to the largest value of its tensor, and the tensor that has it.
    double error() const { return error_; }
    std::string worst() const {
        std::ostringstream out;
        out << worst_ << " is off by " << error_ << " of its largest value";
        return out.str();
    }
    /// The records that nothing was compared with; empty where a test has done its work.
    std::string unmet() const {
        std::string names;
        for (const Record& record : fixture_.records)
            if (std::ranges::find(met_, &record) == met_.end()) names += record.result + " of " + record.name + "; ";
        return names;
    }

private:
    const Fixture& fixture_;
    std::vector<const Record*> met_;
    double error_ = 0;
    std::string worst_ = "nothing";
};

}  // namespace parity
