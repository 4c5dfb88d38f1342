// SPDX-License-Identifier: BSD-3-Clause
// One picture of photographs that overlap, taken from one place. What takes long when there are
// many of them is on the ranks: the features of each, and for each pair whether and how they fit.
// Rank 0 then puts them together. `mpirun -n 4 panorama …`, or `mpirun --chain-lease 4 --chain-home
// 1 panorama …`.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/stitching.hpp>
#include <set>
#include <stdexcept>

#include "examples/task_farm/bytes.h"
#include "examples/task_farm/files.h"
#include "examples/task_farm/opencv.h"
#include "examples/task_farm/task_farm.h"

namespace {

using cv::detail::ImageFeatures;
using cv::detail::MatchesInfo;
using task_farm::Bytes;
using task_farm::Reader;
using task_farm::Writer;

constexpr char kUsage[] =
    "usage: panorama [-o FILE] PHOTO PHOTO...\n"
    "  -o FILE   .png, .jpg or .tif (panorama.jpg)\n";
constexpr size_t kPhotosMax = 200;
constexpr double kMatchedPixels =
    600'000;                         // of the largest photograph, while features are looked for
constexpr int kFeaturesMax = 1'500;  // of a photograph
constexpr int kMatSideMax = 1 << 16;
constexpr int kDescriptorBytes = 32;      // of ORB
constexpr float kMatchConfidence = 0.3F;  // of a feature: the second best must be so much worse
constexpr float kPairConfidence = 1.0F;   // from which two photographs belong together
constexpr double kFitPixels = 12;         // of a photograph as it was looked at
constexpr double kPanoramaPixelsMax = 2e8;

struct Options {
    std::string output = "panorama.jpg";
    std::vector<std::string> photos;
};

bool parse(int argc, char **argv, Options &options, std::string &why) {
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "-h" || word == "--help") return false;
        if (word == "-o") {
            if (++i == argc) {
                why = "-o needs a value";
                return false;
            }
            options.output = argv[i];
        } else if (word.starts_with("-")) {
            why = word + " is not an option";
            return false;
        } else {
            options.photos.push_back(word);
        }
    }
    const std::string extension = std::filesystem::path(options.output).extension().string();
    if (extension != ".png" && extension != ".jpg" && extension != ".tif")
        why = options.output + " ends neither in .png nor in .jpg or .tif";
    if (options.photos.size() < 2) why = "two photographs at least are needed";
    if (options.photos.size() > kPhotosMax) why = "more than 200 photographs";
    return why.empty();
}

// ---- what goes to ranks and back

void write_mat(Writer &writer, const cv::Mat &mat) {
    const cv::Mat whole = mat.isContinuous() ? mat : mat.clone();
    writer.number(whole.rows).number(whole.cols).number(whole.type());
    writer.blob(whole.data, whole.total() * whole.elemSize());
}

cv::Mat read_mat(Reader &reader) {
    const int rows = reader.number(0, kMatSideMax);
    const int cols = reader.number(0, kMatSideMax);
    const int type = reader.number(0, CV_MAT_TYPE_MASK);
    const Bytes bytes = reader.blob();
    if (rows == 0 || cols == 0) return {};
    if (bytes.size() !=
        static_cast<uint64_t>(rows) * static_cast<uint64_t>(cols) * CV_ELEM_SIZE(type))
        throw std::runtime_error("sent a matrix of another size");
    return cv::Mat(rows, cols, type, const_cast<uint8_t *>(bytes.data())).clone();
}

template <typename Item>
void write_items(Writer &writer, const std::vector<Item> &items) {
    writer.blob(items.data(), items.size() * sizeof(Item));
}

template <typename Item>
std::vector<Item> read_items(Reader &reader) {
    const Bytes bytes = reader.blob();
    std::vector<Item> items(bytes.size() / sizeof(Item));
    std::copy_n(bytes.data(), items.size() * sizeof(Item),
                reinterpret_cast<uint8_t *>(items.data()));
    return items;
}

void write_features(Writer &writer, const ImageFeatures &features) {
    writer.number(features.img_size.width).number(features.img_size.height);
    write_items(writer, features.keypoints);
    write_mat(writer, features.descriptors.getMat(cv::ACCESS_READ));
}

ImageFeatures read_features(Reader &reader, int number) {
    ImageFeatures features;
    features.img_idx = number;
    features.img_size.width = reader.number(1, INT_MAX);
    features.img_size.height = reader.number(1, INT_MAX);
    features.keypoints = read_items<cv::KeyPoint>(reader);
    read_mat(reader).copyTo(features.descriptors);
    return features;
}

void write_matches(Writer &writer, const MatchesInfo &matches) {
    write_items(writer, matches.matches);
    write_items(writer, matches.inliers_mask);
    write_mat(writer, matches.H);
}

MatchesInfo read_matches(Reader &reader) {
    MatchesInfo matches;
    matches.matches = read_items<cv::DMatch>(reader);
    matches.inliers_mask = read_items<uchar>(reader);
    matches.H = read_mat(reader);
    return matches;
}

// ---- what ranks do

Bytes find_features(const Bytes &task) {
    Reader reader(task);
    cv::Size size;
    for (int *side : {&size.width, &size.height}) *side = reader.number(1, INT_MAX);
    const cv::Mat photo = cv::imdecode(reader.blob(), cv::IMREAD_COLOR);
    if (photo.empty()) throw std::runtime_error("not a picture that can be decoded");
    cv::Mat small;
    cv::resize(photo, small, size, 0, 0, cv::INTER_LINEAR_EXACT);
    ImageFeatures features;
    cv::detail::computeImageFeatures(cv::ORB::create(kFeaturesMax), small, features);
    Writer result;
    write_features(result, features);
    return result.take();
}

Bytes match_pair(const Bytes &task) {
    Reader reader(task);
    const ImageFeatures one = read_features(reader, 0);
    const ImageFeatures other = read_features(reader, 1);
    // Its index is made by chance, which is the thread's: what came before is not to matter.
    cv::theRNG() = cv::RNG();
    MatchesInfo matches;
    if (!one.keypoints.empty() && !other.keypoints.empty()) {
        cv::detail::BestOf2NearestMatcher matcher(false, kMatchConfidence);
        matcher(one, other, matches);
    }
    Writer result;
    write_matches(result, matches);
    return result.take();
}

// What all tasks of a job share: which kind they are.
const Bytes kFeatures{'f'}, kPairs{'p'};

task_farm::Work make_work(const Bytes &kind) {
    return kind == kFeatures ? find_features : match_pair;
}

// ---- what ranks answer. OpenCV looks nothing up before it uses it, and they may be anybody's.

void demand(bool holds, const char *why) {
    if (!holds) throw std::runtime_error(why);
}

void check_features(const ImageFeatures &features, cv::Size size) {
    const size_t count = features.keypoints.size();
    const auto &descriptors = features.descriptors;
    demand(features.img_size == size && count <= 2 * kFeaturesMax, "looked at something else");
    demand(
        static_cast<size_t>(descriptors.rows) == count &&
            (count == 0 || (descriptors.cols == kDescriptorBytes && descriptors.type() == CV_8U)),
        "sent features of another kind");
    const cv::Rect2f inside(0, 0, static_cast<float>(size.width), static_cast<float>(size.height));
    for (const cv::KeyPoint &point : features.keypoints)
        demand(inside.contains(point.pt), "sent features that lie outside");
}

// How far from where it should be the homography puts a feature; both from the photographs' middle.
double distance(const cv::Matx33d &homography, const ImageFeatures &one, const ImageFeatures &other,
                const cv::DMatch &match) {
    const auto from_middle = [](const ImageFeatures &features, int index) {
        const cv::Point2f at = features.keypoints[static_cast<size_t>(index)].pt;
        return cv::Point2d(at.x - features.img_size.width * 0.5,
                           at.y - features.img_size.height * 0.5);
    };
    const cv::Point2d from = from_middle(one, match.queryIdx);
    const cv::Vec3d to = homography * cv::Vec3d(from.x, from.y, 1);
    return cv::norm(cv::Point2d(to[0] / to[2], to[1] / to[2]) - from_middle(other, match.trainIdx));
}

void check_matches(const MatchesInfo &matches, const ImageFeatures &one,
                   const ImageFeatures &other) {
    demand(matches.matches.size() <= 4 * kFeaturesMax, "sent more matches than there can be");
    std::set<std::pair<int, int>> pairs;
    for (const cv::DMatch &match : matches.matches) {
        demand(pairs.insert({match.queryIdx, match.trainIdx}).second, "sent a match twice");
        demand(match.queryIdx >= 0 && match.trainIdx >= 0 &&
                   static_cast<size_t>(match.queryIdx) < one.keypoints.size() &&
                   static_cast<size_t>(match.trainIdx) < other.keypoints.size(),
               "matched features that there are not");
    }
    if (matches.H.empty()) return;
    demand(matches.inliers_mask.size() == matches.matches.size() &&
               matches.H.size() == cv::Size(3, 3) && matches.H.type() == CV_64F,
           "sent matches of another kind");
}

// Those that the homography does not put where they should be are none, whatever was said.
void keep_what_fits(MatchesInfo &matches, const ImageFeatures &one, const ImageFeatures &other) {
    matches.num_inliers = 0;
    if (matches.H.empty()) return;
    for (size_t i = 0; i < matches.matches.size(); ++i) {
        uchar &is_inlier = matches.inliers_mask[i];
        if (!(distance(matches.H, one, other, matches.matches[i]) < kFitPixels)) is_inlier = 0;
        matches.num_inliers += is_inlier != 0 ? 1 : 0;
    }
}

// ---- rank 0

class Panorama {
public:
    Panorama(const Options &options, task_farm::Ranks &ranks) : options_(options), ranks_(ranks) {}

    int make() {
        ranks_.beside([this] { decode(); });
        if (failed_ == 0) look_for_features();
        if (failed_ == 0) match_pairs();
        if (failed_ == 0) ranks_.beside([this] { put_together(); });
        return failed_ == 0 ? 0 : 1;
    }

private:
    const std::string &path(int photo) const { return options_.photos[static_cast<size_t>(photo)]; }

    void fail(const std::string &what, const std::string &why) {
        std::fprintf(stderr, "panorama: %s: %s\n", what.c_str(), why.c_str());
        ++failed_;
    }

    void decode() {
        for (const std::string &path : options_.photos) {
            try {
                files_.push_back(task_farm::read_file(path));
                photos_.push_back(cv::imdecode(files_.back(), cv::IMREAD_COLOR));
                if (photos_.back().empty())
                    throw std::runtime_error("not a picture that can be decoded");
            } catch (const std::exception &problem) {
                fail(path, problem.what());
            }
        }
        if (failed_ == 0)
            for (const cv::Mat &photo : photos_)
                scale_ = std::min(scale_, std::sqrt(kMatchedPixels / photo.size().area()));
    }

    cv::Size looked_at(int photo) const {
        const cv::Size size = photos_[static_cast<size_t>(photo)].size();
        return {std::max(1, cvRound(size.width * scale_)),
                std::max(1, cvRound(size.height * scale_))};
    }

    void look_for_features() {
        features_.resize(photos_.size());
        ranks_.run(
            {.count = static_cast<int>(photos_.size()),
             .shared = kFeatures,
             .make =
                 [this](int photo) {
                     const Bytes &file = files_[static_cast<size_t>(photo)];
                     const cv::Size size = looked_at(photo);
                     Writer task;
                     task.number(size.width).number(size.height);
                     return task.blob(file.data(), file.size()).take();
                 },
             .take =
                 [this](int photo, const Bytes &result) {
                     Reader reader(result);
                     ImageFeatures features = read_features(reader, photo);
                     check_features(features, looked_at(photo));
                     features_[static_cast<size_t>(photo)] = std::move(features);
                 },
             .failed = [this](int photo, const std::string &why) { fail(path(photo), why); }});
        files_.clear();
    }

    void match_pairs() {
        const int count = static_cast<int>(features_.size());
        std::vector<std::pair<int, int>> pairs;
        for (int i = 0; i < count; ++i)
            for (int j = i + 1; j < count; ++j) pairs.emplace_back(i, j);
        matches_.resize(static_cast<size_t>(count) * count);
        ranks_.run({.count = static_cast<int>(pairs.size()),
                    .shared = kPairs,
                    .make =
                        [&](int pair) {
                            Writer task;
                            for (const int photo : {pairs[pair].first, pairs[pair].second})
                                write_features(task, features_[static_cast<size_t>(photo)]);
                            return task.take();
                        },
                    .take =
                        [&](int pair, const Bytes &result) {
                            Reader reader(result);
                            keep(pairs[pair].first, pairs[pair].second, read_matches(reader));
                        },
                    .failed = [&](int pair,
                                  const std::string &why) { fail(path(pairs[pair].first), why); }});
    }

    // In both directions, as OpenCV wants it.
    void keep(int one, int other, MatchesInfo there) {
        const size_t count = features_.size();
        const ImageFeatures &of_one = features_[static_cast<size_t>(one)];
        const ImageFeatures &of_other = features_[static_cast<size_t>(other)];
        check_matches(there, of_one, of_other);
        keep_what_fits(there, of_one, of_other);
        there.src_img_idx = one;
        there.dst_img_idx = other;
        // Brown and Lowe 2007. OpenCV leaves out pairs that fit very well, as shots of a camera
        // that was not turned.
        if (!there.H.empty())
            there.confidence =
                there.num_inliers / (8 + 0.3 * static_cast<double>(there.matches.size()));
        MatchesInfo back = there;
        std::swap(back.src_img_idx, back.dst_img_idx);
        if (!back.H.empty()) back.H = back.H.inv();
        for (cv::DMatch &match : back.matches) std::swap(match.queryIdx, match.trainIdx);
        matches_[one * count + other] = std::move(there);
        matches_[other * count + one] = std::move(back);
    }

    void put_together() {
        const std::vector<int> used =
            cv::detail::leaveBiggestComponent(features_, matches_, kPairConfidence);
        if (used.size() < 2)
            return fail(options_.output, "no two of the photographs overlap enough");
        const std::set<int> is_used(used.begin(), used.end());
        for (int photo = 0; photo < static_cast<int>(photos_.size()); ++photo)
            if (!is_used.contains(photo))
                std::fprintf(stderr, "panorama: %s fits to none of the others: left out\n",
                             path(photo).c_str());
        std::vector<cv::Mat> photos;
        for (const int photo : used) photos.push_back(photos_[static_cast<size_t>(photo)]);
        try {
            compose(photos);
        } catch (const std::exception &problem) {
            fail(options_.output, problem.what());
        }
    }

    std::vector<cv::detail::CameraParams> find_cameras() {
        std::vector<cv::detail::CameraParams> cameras;
        cv::detail::HomographyBasedEstimator estimate;
        demand(estimate(features_, matches_, cameras), "how the camera was turned cannot be told");
        for (cv::detail::CameraParams &camera : cameras) camera.R.convertTo(camera.R, CV_32F);
        cv::detail::BundleAdjusterRay adjust;
        adjust.setConfThresh(kPairConfidence);
        demand(adjust(features_, matches_, cameras),
               "how the camera was turned cannot be told exactly enough");
        std::vector<cv::Mat> turns;
        for (const auto &camera : cameras) turns.push_back(camera.R.clone());
        cv::detail::waveCorrect(turns, cv::detail::WAVE_CORRECT_HORIZ);
        for (size_t i = 0; i < cameras.size(); ++i) cameras[i].R = turns[i];
        return cameras;
    }

    // Of what OpenCV would make room for.
    double pixels_of(const std::vector<cv::detail::CameraParams> &cameras) const {
        std::vector<double> focals;
        for (const auto &camera : cameras) focals.push_back(camera.focal);
        std::nth_element(focals.begin(), focals.begin() + focals.size() / 2, focals.end());
        const double focal = focals[focals.size() / 2];
        demand(std::isfinite(focal) && focal > 0, "how the camera was turned cannot be told");
        cv::detail::SphericalWarper warper(static_cast<float>(focal));
        cv::Rect2d all;
        for (size_t i = 0; i < cameras.size(); ++i) {
            cv::Mat k;
            cameras[i].K().convertTo(k, CV_32F);
            all |= cv::Rect2d(warper.warpRoi(features_[i].img_size, k, cameras[i].R));
        }
        return all.area() / (scale_ * scale_);
    }

    void compose(const std::vector<cv::Mat> &photos) {
        const std::vector<cv::detail::CameraParams> cameras = find_cameras();
        demand(pixels_of(cameras) <= kPanoramaPixelsMax,
               "more than 200 megapixels: shrink the photographs first (hpips run 'shrink')");
        const auto stitcher = cv::Stitcher::create(cv::Stitcher::PANORAMA);
        // The scale in which the cameras were found, in its own terms.
        stitcher->setRegistrationResol(scale_ * scale_ * photos[0].size().area() / 1e6);
        cv::Mat panorama;
        demand(stitcher->setTransform(photos, cameras) == cv::Stitcher::OK &&
                   stitcher->composePanorama(panorama) == cv::Stitcher::OK,
               "the photographs cannot be put together");
        std::vector<uchar> file;
        cv::imencode(std::filesystem::path(options_.output).extension().string(), panorama, file);
        task_farm::write_file(options_.output, file.data(), file.size());
        std::printf("%d x %d pixels of %zu photographs: %s\n", panorama.cols, panorama.rows,
                    photos.size(), options_.output.c_str());
    }

    const Options &options_;
    task_farm::Ranks &ranks_;
    std::vector<Bytes> files_;
    std::vector<cv::Mat> photos_;
    std::vector<ImageFeatures> features_;
    std::vector<MatchesInfo> matches_;
    double scale_ = 1;
    int failed_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
    task_farm::one_thread_each();
    const auto lead = [&](task_farm::Ranks &ranks) {
        Options options;
        std::string why;
        if (!parse(argc, argv, options, why)) return task_farm::explain("panorama", why, kUsage);
        return Panorama(options, ranks).make();
    };
    task_farm::program(argc, argv, "panorama", lead, make_work);
}
