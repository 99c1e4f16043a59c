// levels [CASES] [SEED] [scalar-only]: random cases at every level this machine has, without Python. Exit code 0 where all agree.
#include <cstdlib>

#include "cases.hpp"

namespace {

struct Stream : seatrial::tests::Choices {
    explicit Stream(std::uint64_t seed) : state(seed) {}
    // SplitMix64.
    std::uint32_t word() override {
        std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return static_cast<std::uint32_t>((z ^ (z >> 31)) >> 32);
    }
    std::uint64_t state;
};

}  // namespace

int main(int argc, char** argv) {
    const long cases = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 2000;
    const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    const bool scalar_only = argc > 3 && std::strcmp(argv[3], "scalar-only") == 0;  // no crash is all that is asked
    std::size_t levels = 0;
    const seatrial::Kernels* const* found = seatrial::available(&levels);
    if (levels < 2 && !scalar_only) {
        std::fprintf(stderr, "only the scalar level here: nothing to compare\n");
        return 2;
    }
    for (long i = 0; i < cases; ++i) {
        Stream stream(seed * 1000003u + static_cast<std::uint64_t>(i));
        if (!seatrial::tests::any_case(stream)) {
            std::fprintf(stderr, "case %ld of seed %llu\n", i, static_cast<unsigned long long>(seed));
            return 1;
        }
    }
    std::printf("%ld cases %s:", cases, levels < 2 ? "run" : "agree");
    for (std::size_t i = 0; i < levels; ++i) std::printf(" %s", found[i]->name);
    std::printf("\n");
    return 0;
}
