// SPDX-License-Identifier: BSD-3-Clause
// What operators promise: an image is the same, byte for byte, however it was cut. And that each
// does what its name says.
#include <gtest/gtest.h>

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "examples/hpips/exact.h"
#include "tests/hpips/random_images.h"

namespace hpips::testing {
namespace {

constexpr int kRounds = 150;

cv::Mat apply(const std::string &pipeline, const cv::Mat &image, const Format &format) {
    return untiled(Plan(Pipeline::parse(pipeline), format, image.size()), image);
}

constexpr Format kGrey8{Depth::kU8, 1, false};
constexpr Format kRgb8{Depth::kU8, 3, false};
constexpr Format kGreyFloat{Depth::kF32, 1, false};

// Nothing: these steps cannot be done on this image, which is fine.
std::unique_ptr<Plan> plan_if_possible(const std::string &text, const Format &format,
                                       cv::Size size) {
    try {
        return std::make_unique<Plan>(Pipeline::parse(text), format, size);
    } catch (const Failure &) {
        return nullptr;
    }
}

TEST(Operators, EveryOneIsTheSameTiledAndUntiled) {
    Chance chance;
    std::set<std::string> done;
    for (int round = 0; round < 4 * kRounds; ++round) {
        const std::string text = chance.step();
        const Format format = chance.format();
        const cv::Size size = chance.size(round % 10 == 0 ? 300 : 70);
        const auto plan = plan_if_possible(text, format, size);
        if (!plan) continue;
        const cv::Mat image = chance.image(size, format);
        const int side = chance.between(1, 60) + (size.area() > 10'000 ? 40 : 0);
        ASSERT_TRUE(same_bytes(untiled(*plan, image), tiled(*plan, image, side)))
            << text << " on " << format.text() << ", " << size << ", tiles of " << side;
        done.insert(plan->pipeline().steps().front().op->name);
    }
    EXPECT_EQ(done.size(), all_operators().size());
}

TEST(Operators, PipelinesAreTheSameTiledAndUntiled) {
    Chance chance;
    int done = 0;
    while (done < kRounds) {
        std::string text = chance.step();
        for (int more = chance.below(4); more > 0; --more) text += " | " + chance.step();
        const Format format = chance.format();
        const cv::Size size = chance.size(60);
        const auto plan = plan_if_possible(text, format, size);
        if (!plan) continue;
        ++done;
        const cv::Mat image = chance.image(size, format);
        const int side = chance.between(3, 50);
        ASSERT_TRUE(same_bytes(untiled(*plan, image), tiled(*plan, image, side)))
            << text << " on " << format.text() << ", " << size << ", tiles of " << side;
    }
}

// The threads that OpenCV may use do not matter either.
TEST(Operators, ThreadsOfOpenCvDoNotMatter) {
    Chance chance;
    const cv::Mat image = chance.image({210, 160}, kRgb8);
    const char *texts[] = {"denoise search=5", "median radius=9", "bilateral", "blur sigma=5"};
    std::vector<cv::Mat> by_four;
    cv::setNumThreads(4);
    for (const char *text : texts) by_four.push_back(apply(text, image, kRgb8));
    cv::setNumThreads(1);
    for (size_t i = 0; i < std::size(texts); ++i)
        EXPECT_TRUE(same_bytes(by_four[i], apply(texts[i], image, kRgb8))) << texts[i];
}

// A halo that is one pixel too small would be seen: the property above is not an empty one.
TEST(Operators, TheRadiusIsNeeded) {
    // Strong noise for the far end of a Gaussian, weak for patches to be alike.
    const std::pair<const char *, int> cases[] = {{"blur sigma=2", 255},
                                                  {"median radius=3", 255},
                                                  {"erode radius=4 shape=square", 255},
                                                  {"sobel", 255},
                                                  {"denoise search=4 patch=1 strength=20", 40}};
    for (const auto &[text, range] : cases) {
        cv::Mat image(90, 90, CV_8U);
        cv::RNG(7).fill(image, cv::RNG::UNIFORM, 0, range);
        const Plan plan(Pipeline::parse(text), kGrey8, image.size());
        const cv::Rect place(40, 40, 20, 20);
        cv::Rect less = plan.input_region(place);
        const cv::Mat right = plan.run(image(less).clone(), place);
        less += cv::Point(1, 1);
        less -= cv::Size(2, 2);
        const Tile tile{plan.pipeline().steps().front().values, kGrey8, less, image.size()};
        const cv::Mat narrow = plan.pipeline().steps().front().op->apply(image(less).clone(), tile);
        EXPECT_FALSE(same_bytes(right, narrow(cv::Rect(place.tl() - less.tl(), place.size()))))
            << text;
    }
}

TEST(Operators, Tones) {
    const cv::Mat image = (cv::Mat_<uchar>(1, 4) << 0, 64, 128, 255);
    const auto bytes = [&](const std::string &pipeline) {
        const cv::Mat result = apply(pipeline, image, kGrey8);
        return std::vector<int>(result.begin<uchar>(), result.end<uchar>());
    };
    EXPECT_EQ(bytes("invert"), (std::vector<int>{255, 191, 127, 0}));
    EXPECT_EQ(bytes("threshold level=0.5"), (std::vector<int>{0, 0, 255, 255}));
    EXPECT_EQ(bytes("levels black=0.25 white=0.75"), (std::vector<int>{0, 1, 129, 255}));
    EXPECT_EQ(bytes("gamma value=1"), (std::vector<int>{0, 64, 128, 255}));
    EXPECT_EQ(bytes("depth to=16 | depth to=8"), (std::vector<int>{0, 64, 128, 255}));
    EXPECT_EQ(bytes("depth to=float | depth to=8"), (std::vector<int>{0, 64, 128, 255}));
    EXPECT_EQ(apply("depth to=16", image, kGrey8).at<uint16_t>(3), 65535);
}

TEST(Operators, GrayscaleAndAlpha) {
    const Format format{Depth::kU8, 4, true};
    const cv::Mat image(1, 1, CV_8UC4, cv::Scalar(255, 0, 0, 77));
    const cv::Mat grey = apply("grayscale", image, format);
    ASSERT_EQ(grey.type(), CV_8UC2);
    EXPECT_EQ(grey.at<cv::Vec2b>(0), cv::Vec2b(76, 77));
    EXPECT_EQ(apply("invert | blur", image, format).at<cv::Vec4b>(0), cv::Vec4b(0, 255, 255, 77));
}

TEST(Operators, CropAndShrink) {
    cv::Mat image(5, 7, CV_8U);
    for (int i = 0; i < 35; ++i) image.data[i] = static_cast<uchar>(i);
    EXPECT_TRUE(same_bytes(apply("crop x=2 y=1 width=3 height=2", image, kGrey8),
                           image(cv::Rect(2, 1, 3, 2)).clone()));
    const cv::Mat small = apply("shrink factor=3", image, kGrey8);
    ASSERT_EQ(small.size(), cv::Size(3, 2));
    EXPECT_EQ(small.at<uchar>(0, 0), 8);
    EXPECT_EQ(small.at<uchar>(1, 2), 31);  // the cell of two pixels in the corner: 27 and 34
    EXPECT_THROW(apply("crop x=7", image, kGrey8), Failure);
    EXPECT_THROW(apply("crop x=1 width=7", image, kGrey8), Failure);
}

// Against OpenCV's own, where it has the same filter, to within rounding.
TEST(Operators, AgreeWithOpenCv) {
    Chance chance;
    const cv::Mat image = chance.image({64, 48}, kRgb8);
    cv::Mat expected;
    // In floats: of bytes OpenCV makes its own approximation, which is off by 2 now and then.
    cv::Mat floats;
    image.convertTo(floats, CV_32F);
    cv::GaussianBlur(floats, floats, {13, 13}, 2, 2);
    floats.convertTo(expected, CV_8U);
    EXPECT_LE(cv::norm(expected, apply("blur sigma=2", image, kRgb8), cv::NORM_INF), 1);
    cv::bilateralFilter(image, expected, 11, 30, 2.5);
    EXPECT_LE(
        cv::norm(expected, apply("bilateral radius=5 strength=30", image, kRgb8), cv::NORM_INF), 2);
    cv::erode(image, expected, cv::Mat::ones(7, 7, CV_8U));
    EXPECT_TRUE(same_bytes(expected, apply("erode radius=3 shape=square", image, kRgb8)));
    cv::medianBlur(image, expected, 5);
    EXPECT_TRUE(same_bytes(expected, apply("median radius=2", image, kRgb8)));
    cv::Mat wide;
    cv::Mat wide_median;
    image.convertTo(wide, CV_16U);
    cv::medianBlur(image, expected, 7);
    expected.convertTo(wide_median, CV_16U);
    EXPECT_TRUE(same_bytes(wide_median, apply("median radius=3", wide, {Depth::kU16, 3, false})));
}

TEST(Operators, DeconvolveSharpensWhatWasBlurred) {
    cv::Mat image(40, 40, CV_32F, cv::Scalar(0.1));
    image(cv::Rect(15, 15, 10, 10)).setTo(0.9);
    const cv::Mat blurred = apply("blur sigma=1.5", image, kGreyFloat);
    const cv::Mat restored = apply("deconvolve sigma=1.5 iterations=30", blurred, kGreyFloat);
    EXPECT_LT(cv::norm(restored, image, cv::NORM_L2), 0.8 * cv::norm(blurred, image, cv::NORM_L2));
}

TEST(Operators, SayWhatTheyCannotDo) {
    EXPECT_THROW(Plan(Pipeline::parse("denoise"), kGreyFloat, {9, 9}), Failure);
    EXPECT_THROW(Plan(Pipeline::parse("median radius=20"), kGreyFloat, {9, 9}), Failure);
    EXPECT_THROW(Plan(Pipeline::parse("grayscale"), {Depth::kU8, 6, false}, {9, 9}), Failure);
    EXPECT_THROW(Plan(Pipeline::parse("levels black=1"), kGrey8, {9, 9}), Failure);
    EXPECT_THROW(Plan(Pipeline::parse("deconvolve sigma=20 iterations=200"), kGrey8, {9, 9}),
                 Failure);
}

TEST(Exact, ExponentialsAndLogarithms) {
    for (double x = -30; x < 30; x += 0.0371)
        EXPECT_NEAR(exact_exp(x) / std::exp(x), 1, 1e-14) << x;
    for (double x = 1e-6; x < 1e6; x *= 1.137)
        EXPECT_NEAR(exact_ln(x), std::log(x), 1e-14 * std::max(1.0, std::abs(std::log(x)))) << x;
    EXPECT_EQ(exact_pow(0, 0.5), 0);
    EXPECT_EQ(exact_exp(0), 1);
    EXPECT_EQ(exact_exp(-1e9), 0);
}

// The very bits: another machine or compiler that rounds otherwise is noticed here.
TEST(Exact, KnownBits) {
    EXPECT_EQ(exact_exp(-0.5), 0x1.368b2fc6f960ap-1);
    EXPECT_EQ(exact_ln(2.5), 0x1.d5240f0e0e078p-1);
}

TEST(Exact, OrderKeysKeepTheOrder) {
    const float values[] = {
        -std::numeric_limits<float>::infinity(), -2.5F, -1e-40F, -0.0F, 0.0F, 1e-40F, 3.0F,
        std::numeric_limits<float>::infinity()};
    for (size_t i = 0; i + 1 < std::size(values); ++i)
        EXPECT_LT(order_key(values[i]), order_key(values[i + 1]));
    for (const float value : values) EXPECT_EQ(from_order_key(order_key(value)), value);
}

TEST(Exact, MirroredIndices) {
    EXPECT_EQ(mirrored(-1, 5), 1);
    EXPECT_EQ(mirrored(5, 5), 3);
    EXPECT_EQ(mirrored(-7, 1), 0);
    EXPECT_EQ(mirrored(9, 3), 1);
}

}  // namespace
}  // namespace hpips::testing
