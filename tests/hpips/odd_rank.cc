// SPDX-License-Identifier: BSD-3-Clause
// hpips with two operators for tests: `odd` copies, but on the ranks that HPIPS_TEST_ODD names
// ("1,3") it changes a sample; `slow` copies, slowly. What hpips itself must never have.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "examples/hpips/hpips.h"

namespace {

bool is_odd_rank() {
    const char *odd = std::getenv("HPIPS_TEST_ODD");
    const char *rank = std::getenv("OMPI_COMM_WORLD_RANK");
    return odd != nullptr && rank != nullptr &&
           ("," + std::string(odd) + ",").find("," + std::string(rank) + ",") != std::string::npos;
}

hpips::Operator odd() {
    hpips::Operator op;
    op.name = "odd";
    op.help = "copies; or lies";
    op.cost = hpips::Cost::kIo;
    op.apply = [](const cv::Mat &pixels, const hpips::Tile &) {
        cv::Mat copy = pixels.clone();
        // Each in its own way: two that lie do not agree.
        if (is_odd_rank())
            copy.data[0] ^= static_cast<uchar>(1 + std::atoi(std::getenv("OMPI_COMM_WORLD_RANK")));
        return copy;
    };
    return op;
}

hpips::Operator slow() {
    hpips::Operator op;
    op.name = "slow";
    op.help = "copies, slowly";
    op.parameters = {{.name = "ms",
                      .kind = hpips::Parameter::Kind::kInteger,
                      .standard = "50",
                      .least = 0,
                      .most = 100'000,
                      .help = "for each tile"}};
    op.cost = hpips::Cost::kHeavy;
    op.apply = [](const cv::Mat &pixels, const hpips::Tile &tile) {
        usleep(static_cast<useconds_t>(tile.values.integer("ms")) * 1000);
        return pixels;
    };
    return op;
}

}  // namespace

int main(int argc, char **argv) {
    hpips::add_operator(odd());
    hpips::add_operator(slow());
    return hpips::main(argc, argv);
}
