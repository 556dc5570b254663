#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include <resnet/engine/plan.hpp>
#include <resnet/kernels/isa.hpp>

using namespace resnet;

namespace {

/// Sets RESNET_ISA and puts back what was there. Tests of one program run one after another.
class Environment {
public:
    explicit Environment(const char* value)
        : had_{std::getenv(name) != nullptr},
          before_{had_ ? std::getenv(name) : ""} {
        value != nullptr ? setenv(name, value, 1) : unsetenv(name);
    }
    ~Environment() { had_ ? setenv(name, before_.c_str(), 1) : unsetenv(name); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

private:
    static constexpr const char* name = "RESNET_ISA";
    bool had_;
    std::string before_;
};

}  // namespace

TEST_CASE("isa: instructions that the CPU lacks are an error before they would end the program") {
    CHECK_NOTHROW(check_isa(Isa::avx2, Isa::avx2));
    CHECK_NOTHROW(check_isa(cpu_isa()));
    CHECK_THROWS_WITH_AS(check_isa(Isa::avx512, Isa::avx2),
                         "isa: expected instructions that the CPU has, up to avx2, found avx512", Error);
}

TEST_CASE("isa: RESNET_ISA lowers the instruction set and never raises it above the CPU's") {
    for (const Isa wish : {Isa::baseline, Isa::avx2, Isa::avx512}) {
        const Environment environment{std::string{name_of(wish)}.c_str()};
        CHECK(current_isa() == std::min(wish, cpu_isa()));
        CHECK(PlanOptions{}.isa == current_isa());
    }
}

TEST_CASE("isa: without RESNET_ISA, or with an empty one, it is the CPU's") {
    for (const char* value : {static_cast<const char*>(nullptr), ""}) {
        const Environment environment{value};
        CHECK(current_isa() == cpu_isa());
    }
}

TEST_CASE("isa: another word in RESNET_ISA is an error") {
    const Environment environment{"avx1024"};
    CHECK_THROWS_WITH_AS(current_isa(), "RESNET_ISA: expected baseline, avx2 or avx512, found avx1024", Error);
}
