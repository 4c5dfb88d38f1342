// SPDX-License-Identifier: BSD-3-Clause
// The operators that are built in, by kind; and what they share. All are exact: integers, or floats
// in a fixed order with what IEEE 754 defines to the bit. OpenCV only where it computes in
// integers: its float filters round otherwise in the middle of a row than at its end, and on
// another processor.
#pragma once

#include "examples/hpips/hpips.h"

namespace hpips {

std::vector<Operator> tone_operators();      // pixel by pixel
std::vector<Operator> geometry_operators();  // crop, shrink
std::vector<Operator> filter_operators();    // weighted sums of neighbours
std::vector<Operator> rank_operators();      // neighbours in order: median, morphology
std::vector<Operator> denoise_operators();
std::vector<Operator> band_operators();

Parameter integer_parameter(std::string name, int standard, int least, int most, std::string help);
Parameter real_parameter(std::string name, std::string standard, double least, double most,
                         std::string help);
// The first word is the standard.
Parameter word_parameter(std::string name, std::vector<std::string> words, std::string help);

}  // namespace hpips
