// SPDX-License-Identifier: BSD-3-Clause
// hpips with an operator of one's own: everything that hpips can do, and `posterize`.
//   my_operator run 'posterize tones=4 | median' photo.jpg -o poster.png
#include "examples/hpips/hpips.h"

namespace {

// Pixel by pixel, so its radius is 0; as it only counts in integers it is exact.
cv::Mat posterize(const cv::Mat &pixels, const hpips::Tile &tile) {
    const int tones = tile.values.integer("tones");
    return hpips::keep_alpha(pixels, tile.format, [tones](const cv::Mat &colour) {
        cv::Mat table(1, 256, CV_8U);
        for (int i = 0; i < 256; ++i)
            table.at<uchar>(i) = static_cast<uchar>(i * tones / 256 * 255 / (tones - 1));
        cv::Mat flat;
        cv::LUT(colour, table, flat);
        return flat;
    });
}

}  // namespace

int main(int argc, char **argv) {
    hpips::Operator op;
    op.name = "posterize";
    op.help = "a few tones instead of all";
    op.parameters = {{.name = "tones",
                      .kind = hpips::Parameter::Kind::kInteger,
                      .standard = "4",
                      .least = 2,
                      .most = 64,
                      .help = "how many"}};
    op.cost = hpips::Cost::kIo;
    op.format = [](const hpips::Values &, const hpips::Format &format) {
        if (format.depth != hpips::Depth::kU8)
            throw hpips::Failure("posterize takes 8 bit: put `depth to=8` before it");
        return format;
    };
    op.apply = posterize;
    hpips::add_operator(op);
    return hpips::main(argc, argv);
}
