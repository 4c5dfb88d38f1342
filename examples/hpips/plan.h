// SPDX-License-Identifier: BSD-3-Clause
// A pipeline for images of one size and format: which input pixels each output pixel needs, the
// tiles, and the computing of one of them. The same on every rank: it is made of a few numbers and
// the pipeline's text.
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "examples/hpips/hpips.h"
#include "examples/hpips/pipeline.h"

namespace hpips {

class Plan {
public:
    // Failure: a step that cannot take what comes to it, or radii that are too large together.
    Plan(Pipeline pipeline, Format format, cv::Size size);

    const Pipeline &pipeline() const { return pipeline_; }
    Format input_format() const { return input_format_; }
    cv::Size input_size() const { return input_size_; }
    Format output_format() const { return stages_.back().out_format; }
    cv::Size output_size() const { return stages_.back().geometry.size; }
    int radius() const { return radius_; }        // of all steps together, in input pixels
    int scale() const { return scale_; }          // input pixels per output pixel, in one direction
    cv::Point origin() const { return origin_; }  // the input pixel of output pixel (0, 0)

    // The input pixels that `output` needs: with the halo, as far as the image goes.
    cv::Rect input_region(cv::Rect output) const;
    // `input` holds the pixels of input_region(output). Failure: an operator that did not do what
    // it had declared. Threads may call this at the same time.
    cv::Mat run(const cv::Mat &input, cv::Rect output) const;

private:
    struct Stage {
        const Step *step;
        Format in_format;
        cv::Size in_size;
        Format out_format;
        Geometry geometry;
        int radius;
    };
    static cv::Rect before(const Stage &stage, cv::Rect output);
    static cv::Mat run_stage(const Stage &stage, const cv::Mat &pixels, cv::Rect place,
                             cv::Rect wanted);

    Pipeline pipeline_;
    Format input_format_;
    cv::Size input_size_;
    std::vector<Stage> stages_;  // point into pipeline_: a Plan is not copied
    int radius_ = 0;
    int scale_ = 1;
    cv::Point origin_;

public:
    Plan(const Plan &) = delete;
    Plan &operator=(const Plan &) = delete;
};

// The output cut into squares, row by row.
class Grid {
public:
    Grid(cv::Size size, int side) : size_(size), side_(side) {}
    cv::Size size() const { return size_; }
    int side() const { return side_; }
    int64_t count() const { return static_cast<int64_t>(columns()) * rows(); }
    int columns() const { return (size_.width + side_ - 1) / side_; }
    cv::Rect tile(int64_t index) const;

private:
    int rows() const { return (size_.height + side_ - 1) / side_; }
    cv::Size size_;
    int side_;
};

inline constexpr int kTileSideMin = 16;
inline constexpr int kTileSideMax = 4096;

// A side for which the halo is a small part of what is sent, and which gives `ranks` enough to do.
int suitable_tile_side(const Plan &plan, int ranks);
// Bytes that go to a rank for one tile, at most. Failure: more than kTileBytesMax.
int64_t tile_input_bytes(const Plan &plan, int side);

}  // namespace hpips
