// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/pipeline.h"

#include <gtest/gtest.h>

#include "examples/hpips/plan.h"
#include "tests/hpips/random_images.h"

namespace hpips::testing {
namespace {

std::string error_of(const std::string &text) {
    try {
        Pipeline::parse(text);
        return "none";
    } catch (const Failure &failure) {
        return failure.what();
    }
}

TEST(Pipeline, EveryParameterIsInItsText) {
    const Pipeline pipeline = Pipeline::parse("denoise strength=7|  sharpen amount=.5 radius=2.0");
    EXPECT_EQ(pipeline.text(),
              "denoise strength=7 search=10 patch=3 | sharpen radius=2 amount=0.5 threshold=0");
    EXPECT_EQ(Pipeline::parse(pipeline.text()).text(), pipeline.text());
}

TEST(Pipeline, LinesAndComments) {
    EXPECT_EQ(Pipeline::parse("# faces\n\n  blur sigma=3 # soft\n\ninvert |\n invert\n").text(),
              "blur sigma=3 | invert | invert");
}

TEST(Pipeline, TextsOfRandomOnesParseToThemselves) {
    Chance chance;
    for (int round = 0; round < 300; ++round) {
        const std::string text = Pipeline::parse(chance.step() + " | " + chance.step()).text();
        EXPECT_EQ(Pipeline::parse(text).text(), text);
    }
}

TEST(Pipeline, ErrorsPointAtThePlace) {
    EXPECT_EQ(error_of("invert | sharpn radius=2"),
              "no operator is named sharpn; did you mean sharpen?\n"
              "  invert | sharpn radius=2\n"
              "           ^");
    EXPECT_EQ(error_of("blur sigma=1\nblur sigma=x"),
              "sigma is a number, 0.1 to 100 (line 2)\n"
              "  blur sigma=x\n"
              "             ^");
    EXPECT_EQ(error_of("median radius=1.5").substr(0, 40),
              "radius is a whole number, 1 to 100\n  med");
    EXPECT_EQ(error_of("blur sigma="),
              "the value of sigma is missing here\n  blur sigma=\n             ^");
}

TEST(Pipeline, Refuses) {
    for (const char *text : {"",
                             "  # nothing",
                             "|",
                             "invert |",
                             "invert || invert",
                             "| invert",
                             "blur sigma",
                             "=",
                             "blur =3",
                             "blur sigma=1 sigma=2",
                             "blur sigma=1e999",
                             "blur sigma=nan",
                             "blur sigma=inf",
                             "blur sigma=0x10",
                             "blur sigma=1000",
                             "blur sigma=-1",
                             "invert x=1",
                             "erode shape=round",
                             "blur; rm",
                             "blur sigma='1'",
                             "blur sigma=1 2"})
        EXPECT_NE(error_of(text), "none") << text;
    EXPECT_NE(error_of(std::string("invert\0", 7)), "none");
    EXPECT_NE(error_of(std::string(kPipelineTextMax + 1, ' ')), "none");
    std::string many = "invert";
    for (int i = 0; i < kStepsMax; ++i) many += " | invert";
    EXPECT_NE(error_of(many).find("more than 64 steps"), std::string::npos);
}

// Whatever is thrown at it: a pipeline or a Failure.
TEST(Pipeline, AnyBytes) {
    Chance chance;
    const std::string alphabet = "blursigma=12.|\n\t# -+e\xC3\xA4\"";
    for (int round = 0; round < 20'000; ++round) {
        std::string text = chance.below(2) == 0 ? chance.step() : "";
        for (int more = chance.below(12); more > 0; --more)
            text.insert(
                text.begin() + chance.below(static_cast<int>(text.size()) + 1),
                alphabet[static_cast<size_t>(chance.below(static_cast<int>(alphabet.size())))]);
        error_of(text);
    }
}

TEST(Pipeline, NearestName) {
    EXPECT_EQ(nearest_name("sharpn", {"blur", "sharpen"}), "sharpen");
    EXPECT_EQ(nearest_name("xyz", {"blur", "sharpen"}), "");
    EXPECT_EQ(nearest_name("x", {"y"}), "");
}

TEST(Plan, RegionsGoBackwards) {
    const Format format{Depth::kU8, 3, false};
    const Plan plan(Pipeline::parse("crop x=10 y=20 | shrink factor=4 | blur sigma=1"), format,
                    {1000, 800});
    EXPECT_EQ(plan.output_size(), cv::Size(248, 195));
    EXPECT_EQ(plan.scale(), 4);
    EXPECT_EQ(plan.origin(), cv::Point(10, 20));
    EXPECT_EQ(plan.radius(), 12);
    EXPECT_EQ(plan.input_region({0, 0, 10, 10}), cv::Rect(10, 20, 52, 52));
    EXPECT_EQ(plan.input_region({100, 100, 10, 10}), cv::Rect(398, 408, 64, 64));
    // At the far edge as far as the image goes.
    EXPECT_EQ(plan.input_region({238, 185, 10, 10}).br(), cv::Point(1000, 800));
}

TEST(Plan, AnOperatorThatLiesIsFound) {
    Operator liar;
    liar.name = "test_liar";
    liar.apply = [](const cv::Mat &pixels, const Tile &) {
        return cv::Mat(pixels.rows + 1, pixels.cols, pixels.type());
    };
    add_operator(liar);
    EXPECT_THROW(add_operator(liar), std::logic_error);
    const Plan plan(Pipeline::parse("test_liar"), {Depth::kU8, 1, false}, {8, 8});
    EXPECT_THROW(plan.run(cv::Mat::zeros(8, 8, CV_8U), {0, 0, 8, 8}), Failure);
    EXPECT_THROW(plan.run(cv::Mat::zeros(8, 7, CV_8U), {0, 0, 8, 8}), Failure);
}

TEST(Grid, CoversEveryPixelOnce) {
    Chance chance;
    for (int round = 0; round < 200; ++round) {
        const cv::Size size = chance.size(90);
        const Grid grid(size, chance.between(1, 40));
        cv::Mat hits = cv::Mat::zeros(size, CV_8U);
        for (int64_t tile = 0; tile < grid.count(); ++tile) hits(grid.tile(tile)) += 1;
        EXPECT_EQ(cv::countNonZero(hits == 1), size.area());
    }
}

TEST(Grid, SidesSuitThePipeline) {
    const Format format{Depth::kF32, 4, false};
    for (const char *text : {"invert", "blur sigma=100", "deconvolve sigma=3 iterations=60",
                             "shrink factor=1024", "shrink factor=64 | shrink factor=64"}) {
        const Plan plan(Pipeline::parse(text), format, {200'000, 150'000});
        const int side = suitable_tile_side(plan, 8);
        EXPECT_GE(side, kTileSideMin) << text;
        EXPECT_LE(side, kTileSideMax) << text;
    }
}

}  // namespace
}  // namespace hpips::testing
