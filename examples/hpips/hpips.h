// SPDX-License-Identifier: BSD-3-Clause
// hpips as a library: what an operator on images is, and how to add one of your own.
//
// An operator says how far it looks (its radius), what comes out (format, geometry), and computes
// one piece of an image. Everything else is done for it: reading, tiles with their halo, ranks,
// resuming, checking, writing. examples/my_operator is a whole program.
//
// The one rule: an output pixel depends on the input pixels within the radius of it, on its place
// in the image, and on nothing else. Then an image is the same, byte for byte, however it was cut.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <opencv2/core.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hpips {

// What a person can act on: one sentence, with the facts. Thrown; what goes wrong with one image
// does not end the others.
class Failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Named limits: of what a file, a pipeline or another rank may ask for.
inline constexpr int kBandsMax = 16;
inline constexpr int kSideMax = 10'000'000;               // pixels, as libvips
inline constexpr int64_t kPixelsMax = 100'000'000'000;    // of one image: 100 gigapixels
inline constexpr int64_t kWholeDecodeMax = 4LL << 30;     // bytes, where no part can be decoded
inline constexpr int64_t kBlockBytesMax = 256LL << 20;    // one strip or tile of a TIFF, decoded
inline constexpr int64_t kTileBytesMax = 1LL << 30;       // what is sent to a rank for one tile
inline constexpr int64_t kMetadataBytesMax = 64LL << 20;  // profiles and the like, each
inline constexpr int kPagesMax = 20'000;                  // of one TIFF
inline constexpr int kRadiusMax = 4096;                   // of a whole pipeline, in input pixels
inline constexpr int kStepsMax = 64;
inline constexpr size_t kPipelineTextMax = 16 * 1024;

enum class Depth { kU8, kU16, kF32 };

struct Format {
    Depth depth = Depth::kU8;
    int bands = 1;           // alpha included
    bool has_alpha = false;  // then it is the last band

    int colour_bands() const { return bands - (has_alpha ? 1 : 0); }
    int cv_type() const;
    size_t pixel_bytes() const;
    std::string text() const;  // "8 bit, 3 bands and alpha"
    bool operator==(const Format &) const = default;
};

// White: 255, 65535, 1.0.
double full_scale(Depth depth);

struct Parameter {
    enum class Kind { kInteger, kReal, kWord };
    std::string name;
    Kind kind = Kind::kReal;
    std::string standard;  // what it is when it is not given
    double least = 0;      // numbers only
    double most = 0;
    std::vector<std::string> words;  // kWord only
    std::string help;
};

// The parameters of one step of a pipeline, all of them, checked against their ranges. Asking for a
// name that the operator did not declare is a mistake of the operator: std::logic_error.
class Values {
public:
    int integer(const std::string &name) const;
    double real(const std::string &name) const;
    const std::string &word(const std::string &name) const;

    void set(const std::string &name, std::string token, double number);

private:
    struct Value {
        std::string token;
        double number = 0;
    };
    const Value &at(const std::string &name) const;
    std::map<std::string, Value> values_;
};

// What a step does to coordinates: output pixel (x, y) is made of the scale x scale input pixels
// from origin + scale * (x, y) on, and of those within the radius of them.
struct Geometry {
    cv::Size size;  // of the output
    int scale = 1;  // other than 1 only with radius 0
    cv::Point origin;
};

// Where the pixels that an operator gets come from.
struct Tile {
    const Values &values;
    Format format;  // of the input
    cv::Rect
        place;  // in the step's input image; begins and ends at the image's edge or a radius away
    cv::Size image;  // the step's whole input image
};

// io: reading and sending takes longer than computing, a lease does not pay. heavy: it does.
enum class Cost { kIo, kLight, kHeavy };

struct Operator {
    std::string name;
    std::string help;  // one line
    std::vector<Parameter> parameters;
    Cost cost = Cost::kLight;
    // How far two machines may differ in one sample, in units of it. 0: not by a bit.
    double tolerance = 0;
    // These may be left out: radius 0, format and geometry as the input. They throw Failure for
    // what the operator cannot do.
    std::function<int(const Values &, const Format &)> radius;
    std::function<Format(const Values &, const Format &)> format;
    std::function<Geometry(const Values &, cv::Size)> geometry;
    // Pixels in, pixels out, of the output's format and 1 / scale of the size, rounded up. At the
    // edges of `pixels` it does what it does at the edges of an image; what lies within a radius of
    // a cut is thrown away. Called by several threads at once. Bands are in the order of the file
    // (red first).
    std::function<cv::Mat(const cv::Mat &pixels, const Tile &tile)> apply;
};

// Before main(). A name twice, or an operator without apply, is a std::logic_error.
void add_operator(Operator added);
const Operator *find_operator(std::string_view name);  // nullptr: none
std::vector<const Operator *> all_operators();         // by name

// Runs `per_band_group` on the colour bands and puts alpha back as it was. For operators that keep
// the size.
cv::Mat keep_alpha(const cv::Mat &pixels, const Format &format,
                   const std::function<cv::Mat(const cv::Mat &)> &change);

// The whole program: the operators that are built in, and those that were added.
int main(int argc, char **argv);

}  // namespace hpips
