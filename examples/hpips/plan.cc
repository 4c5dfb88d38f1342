// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/plan.h"

#include <algorithm>

#include "examples/hpips/exact.h"

namespace hpips {
namespace {

std::string size_text(cv::Size size) {
    return std::to_string(size.width) + " x " + std::to_string(size.height);
}

cv::Rect clipped(int64_t left, int64_t top, int64_t right, int64_t bottom, cv::Size size) {
    const auto within = [](int64_t value, int most) {
        return static_cast<int>(std::clamp<int64_t>(value, 0, most));
    };
    return {cv::Point(within(left, size.width), within(top, size.height)),
            cv::Point(within(right, size.width), within(bottom, size.height))};
}

}  // namespace

Plan::Plan(Pipeline pipeline, Format format, cv::Size size)
    : pipeline_(std::move(pipeline)), input_format_(format), input_size_(size) {
    int64_t radius = 0;
    int64_t scale = 1;
    for (const Step &step : pipeline_.steps()) {
        const Operator &op = *step.op;
        Stage stage{&step, format, size, format, {size, 1, {}}, 0};
        if (op.format) stage.out_format = op.format(step.values, format);
        if (op.geometry) stage.geometry = op.geometry(step.values, size);
        if (op.radius) stage.radius = op.radius(step.values, format);
        if (stage.radius < 0 || stage.geometry.scale < 1 || stage.geometry.size.empty() ||
            (stage.geometry.scale > 1 && stage.radius > 0))
            throw Failure(op.name + " declares a radius or a geometry that cannot be");
        if (stage.out_format.bands < 1 || stage.out_format.bands > kBandsMax)
            throw Failure(op.name + ": an image has at most " + std::to_string(kBandsMax) +
                          " bands");
        radius += stage.radius * scale;
        origin_ += stage.geometry.origin * static_cast<int>(scale);
        scale *= stage.geometry.scale;
        if (radius > kRadiusMax)
            throw Failure("from " + op.name + " on, a pixel needs those " + std::to_string(radius) +
                          " pixels around; at most " + std::to_string(kRadiusMax) + " are done");
        if (scale > kSideMax) throw Failure(op.name + ": the image is shrunk too much");
        format = stage.out_format;
        size = stage.geometry.size;
        stages_.push_back(stage);
    }
    radius_ = static_cast<int>(radius);
    scale_ = static_cast<int>(scale);
}

cv::Rect Plan::before(const Stage &stage, cv::Rect output) {
    const int64_t scale = stage.geometry.scale;
    const cv::Point origin = stage.geometry.origin;
    return clipped(origin.x + output.x * scale - stage.radius,
                   origin.y + output.y * scale - stage.radius,
                   origin.x + (output.x + output.width) * scale + stage.radius,
                   origin.y + (output.y + output.height) * scale + stage.radius, stage.in_size);
}

cv::Rect Plan::input_region(cv::Rect output) const {
    for (auto stage = stages_.rbegin(); stage != stages_.rend(); ++stage)
        output = before(*stage, output);
    return output;
}

cv::Mat Plan::run_stage(const Stage &stage, const cv::Mat &pixels, cv::Rect place,
                        cv::Rect wanted) {
    const Operator &op = *stage.step->op;
    const cv::Mat result =
        op.apply(pixels, {stage.step->values, stage.in_format, place, stage.in_size});
    const int scale = stage.geometry.scale;
    const cv::Size size((place.width + scale - 1) / scale, (place.height + scale - 1) / scale);
    if (result.size() != size || result.type() != stage.out_format.cv_type())
        throw Failure("operator " + op.name + " made " + size_text(result.size()) +
                      " pixels of a format or a number that it had not declared, out of " +
                      size_text(place.size()));
    const cv::Point first = (place.tl() - stage.geometry.origin) / scale;
    const cv::Rect inner(wanted.tl() - first, wanted.size());
    if (inner.size() == result.size()) return result.isContinuous() ? result : result.clone();
    // A copy: OpenCV's filters would look at what lies around a part of an image.
    return result(inner).clone();
}

cv::Mat Plan::run(const cv::Mat &input, cv::Rect output) const {
    std::vector<cv::Rect> regions(stages_.size() + 1);
    regions.back() = output;
    for (size_t i = stages_.size(); i > 0; --i) regions[i - 1] = before(stages_[i - 1], regions[i]);
    if (input.size() != regions.front().size() || input.type() != input_format_.cv_type())
        throw Failure("a tile came with " + size_text(input.size()) + " pixels instead of " +
                      size_text(regions.front().size()));
    cv::Mat pixels = input;
    for (size_t i = 0; i < stages_.size(); ++i)
        pixels = run_stage(stages_[i], pixels, regions[i], regions[i + 1]);
    if (pixels.data == input.data) pixels = pixels.clone();
    unify_nans(pixels);
    return pixels;
}

cv::Rect Grid::tile(int64_t index) const {
    const int x = static_cast<int>(index % columns()) * side_;
    const int y = static_cast<int>(index / columns()) * side_;
    return {x, y, std::min(side_, size_.width - x), std::min(side_, size_.height - y)};
}

int64_t tile_input_bytes(const Plan &plan, int side) {
    const int64_t needed = static_cast<int64_t>(side) * plan.scale() + 2LL * plan.radius();
    const int64_t width = std::min<int64_t>(needed, plan.input_size().width);
    const int64_t height = std::min<int64_t>(needed, plan.input_size().height);
    const int64_t bytes = width * height * static_cast<int64_t>(plan.input_format().pixel_bytes());
    if (bytes > kTileBytesMax)
        throw Failure("a tile of " + std::to_string(side) + " pixels needs " +
                      std::to_string(bytes >> 20) + " MiB of input, more than " +
                      std::to_string(kTileBytesMax >> 20) + ": take a smaller --tile");
    return bytes;
}

int suitable_tile_side(const Plan &plan, int ranks) {
    constexpr int kUsual = 512;
    constexpr int kLargest = 2048;
    constexpr int64_t kBytes = 64LL << 20;
    const int reach = plan.radius() / plan.scale();
    int side = kUsual;
    while (side < kLargest && side < 8 * reach) side *= 2;
    const auto too_large = [&] {
        const int64_t needed = static_cast<int64_t>(side) * plan.scale() + 2LL * plan.radius();
        return needed * needed * static_cast<int64_t>(plan.input_format().pixel_bytes()) > kBytes;
    };
    while (side > kTileSideMin && side > 4 * reach && too_large()) side /= 2;
    // Four tiles for each rank, as long as the halo stays the smaller part.
    while (side > 128 && side > 4 * reach && Grid(plan.output_size(), side).count() < 4LL * ranks)
        side /= 2;
    return side;
}

}  // namespace hpips
