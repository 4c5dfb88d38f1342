// SPDX-License-Identifier: BSD-3-Clause
// Images and pipelines by chance, for properties that hold for all of them. Each test prints its
// seed.
#pragma once

#include <opencv2/core.hpp>
#include <random>
#include <string>

#include "examples/hpips/plan.h"

namespace hpips::testing {

class Chance {
public:
    // Of HPIPS_SEED, or a new one; printed.
    Chance();
    int below(int count) { return static_cast<int>(engine_() % static_cast<unsigned>(count)); }
    int between(int least, int most) { return least + below(most - least + 1); }

    cv::Size size(int most);
    Format format();
    // Noise, steps and flat parts; floats with the odd infinity and not-a-number.
    cv::Mat image(cv::Size size, const Format &format);
    std::mt19937 &engine() { return engine_; }
    // A step that takes `format`, with parameters by chance.
    std::string step();

private:
    std::mt19937 engine_;
};

// The whole output as one tile, and put together from tiles.
cv::Mat untiled(const Plan &plan, const cv::Mat &image);
cv::Mat tiled(const Plan &plan, const cv::Mat &image, int side);
bool same_bytes(const cv::Mat &one, const cv::Mat &other);

}  // namespace hpips::testing
