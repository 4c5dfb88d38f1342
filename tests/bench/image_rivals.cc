// SPDX-License-Identifier: BSD-3-Clause
// What hpips is measured against: the same operations with libvips and with OpenCV, each as its own
// documentation would have it done. image_rivals vips|opencv TASK IN.tif OUT.tif; and the images
// for it: image_rivals make SIDE PHOTOGRAPH OUT.tif. An OUT.deflate.tif is compressed.
#include <vips/vips.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>

namespace {

constexpr int kNone = 1;  // compressions of TIFF
constexpr int kDeflate = 8;
constexpr double kGaussLeast = 0.0111;  // three sigma, as hpips looks
constexpr double kLevelsFactor = 1 / 0.9;
constexpr double kLevelsOffset = -0.05 / 0.9 * 255;

[[noreturn]] void fail(const std::string &what) {
    std::fprintf(stderr, "image_rivals: %s\n", what.c_str());
    std::exit(1);
}

void must(int failed) {
    if (failed != 0) fail(vips_error_buffer());
}

VipsImage *blurred(VipsImage *in) {
    VipsImage *out = nullptr;
    must(vips_gaussblur(in, &out, 2.0, "min_ampl", kGaussLeast, nullptr));
    return out;
}

VipsImage *with_vips(VipsImage *in, const std::string &task) {
    VipsImage *out = nullptr;
    if (task == "shrink") {
        VipsImage *part = nullptr;
        must(vips_crop(in, &part, 100, 100, in->Xsize - 100, in->Ysize - 100, nullptr));
        must(vips_shrink(part, &out, 2, 2, nullptr));
    } else if (task == "levels") {
        must(vips_linear1(in, &out, kLevelsFactor, kLevelsOffset, "uchar", TRUE, nullptr));
    } else if (task == "blur") {
        out = blurred(in);
    } else if (task == "sharpen") {
        VipsImage *more = nullptr;
        VipsImage *less = nullptr;
        VipsImage *sum = nullptr;
        must(vips_linear1(in, &more, 1.5, 0, nullptr));
        must(vips_linear1(blurred(in), &less, 0.5, 0, nullptr));
        must(vips_subtract(more, less, &sum, nullptr));
        must(vips_cast(sum, &out, VIPS_FORMAT_UCHAR, nullptr));
    } else if (task == "median") {
        must(vips_median(in, &out, 3, nullptr));
    } else {
        fail("no such task: " + task);
    }
    return out;
}

bool is_compressed(const std::string &path) {
    return path.ends_with(".deflate.tif");
}

void save(VipsImage *image, const char *path) {
    const auto compression = is_compressed(path) ? VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE
                                                 : VIPS_FOREIGN_TIFF_COMPRESSION_NONE;
    must(vips_tiffsave(image, path, "tile", TRUE, "tile_width", 256, "tile_height", 256, "bigtiff",
                       TRUE, "compression", compression, nullptr));
}

// The photograph, side by side.
void make_image(const char *photograph, int side, const char *path) {
    VipsImage *in = vips_image_new_from_file(photograph, nullptr);
    if (in == nullptr) fail(vips_error_buffer());
    VipsImage *wall = nullptr;
    VipsImage *part = nullptr;
    must(vips_replicate(in, &wall, side / in->Xsize + 1, side / in->Ysize + 1, nullptr));
    must(vips_crop(wall, &part, 0, 0, side, side, nullptr));
    save(part, path);
}

cv::Mat with_opencv(const cv::Mat &in, const std::string &task) {
    cv::Mat out;
    if (task == "shrink") {
        cv::resize(in(cv::Rect(100, 100, in.cols - 100, in.rows - 100)), out, {}, 0.5, 0.5,
                   cv::INTER_AREA);
    } else if (task == "levels") {
        in.convertTo(out, -1, kLevelsFactor, kLevelsOffset);
    } else if (task == "blur") {
        cv::GaussianBlur(in, out, {13, 13}, 2, 2, cv::BORDER_REFLECT_101);
    } else if (task == "sharpen") {
        cv::Mat smooth;
        cv::GaussianBlur(in, smooth, {13, 13}, 2, 2, cv::BORDER_REFLECT_101);
        cv::addWeighted(in, 1.5, smooth, -0.5, 0, out);
    } else if (task == "median") {
        cv::medianBlur(in, out, 3);
    } else {
        fail("no such task: " + task);
    }
    return out;
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 5) fail("vips|opencv TASK IN OUT, or make SIDE PHOTOGRAPH OUT");
    const std::string with = argv[1];
    if (with == "opencv") {
        cv::setNumThreads(2);
        const cv::Mat in = cv::imread(argv[3], cv::IMREAD_UNCHANGED);
        if (in.empty()) fail(std::string("cannot read ") + argv[3]);
        const int compression = is_compressed(argv[4]) ? kDeflate : kNone;
        if (!cv::imwrite(argv[4], with_opencv(in, argv[2]),
                         {cv::IMWRITE_TIFF_COMPRESSION, compression}))
            fail(std::string("cannot write ") + argv[4]);
        return 0;
    }
    if (VIPS_INIT(argv[0]) != 0) fail("libvips");
    vips_concurrency_set(2);
    if (with == "make") {
        make_image(argv[3], std::atoi(argv[2]), argv[4]);
        return 0;
    }
    VipsImage *in = vips_image_new_from_file(argv[3], "access", VIPS_ACCESS_SEQUENTIAL, nullptr);
    if (in == nullptr) fail(vips_error_buffer());
    save(with_vips(in, argv[2]), argv[4]);
    return 0;
}
