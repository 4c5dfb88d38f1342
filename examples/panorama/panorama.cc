// SPDX-License-Identifier: BSD-3-Clause
// One picture of photographs that overlap, taken from one place. What takes long when there are
// many of them is on the ranks: the features of each, and for each pair whether and how they fit.
// Rank 0 then puts them together. `mpirun -n 4 panorama …`, or `mpirun --chain-lease 4 --chain-home
// 1 panorama …`.
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/stitching.hpp>
#include <set>
#include <stdexcept>

#include "examples/task_farm/files.h"
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
    600'000;                              // of the first photograph, while features are looked for
constexpr int kFeaturesMax = 1'500;       // of a photograph
constexpr float kMatchConfidence = 0.3F;  // of a feature: the second best must be so much worse
constexpr float kPairConfidence = 1.0F;   // from which two photographs belong together

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
    const auto rows = static_cast<int>(reader.number());
    const auto cols = static_cast<int>(reader.number());
    const auto type = static_cast<int>(reader.number());
    const Bytes bytes = reader.blob();
    if (rows == 0 || cols == 0) return {};
    if (bytes.size() != static_cast<size_t>(rows) * cols * CV_ELEM_SIZE(type))
        throw std::runtime_error("a matrix of another size");
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
    features.img_size.width = static_cast<int>(reader.number());
    features.img_size.height = static_cast<int>(reader.number());
    features.keypoints = read_items<cv::KeyPoint>(reader);
    read_mat(reader).copyTo(features.descriptors);
    return features;
}

void write_matches(Writer &writer, const MatchesInfo &matches) {
    write_items(writer, matches.matches);
    write_items(writer, matches.inliers_mask);
    writer.number(matches.num_inliers);
    write_mat(writer, matches.H);
    writer.blob(&matches.confidence, sizeof matches.confidence);
}

MatchesInfo read_matches(Reader &reader) {
    MatchesInfo matches;
    matches.matches = read_items<cv::DMatch>(reader);
    matches.inliers_mask = read_items<uchar>(reader);
    matches.num_inliers = static_cast<int>(reader.number());
    matches.H = read_mat(reader);
    const auto confidence = reader.blob();
    if (confidence.size() != sizeof matches.confidence) throw std::runtime_error("no confidence");
    std::copy(confidence.begin(), confidence.end(),
              reinterpret_cast<uint8_t *>(&matches.confidence));
    return matches;
}

// ---- what ranks do: two kinds of tasks

enum Kind : int64_t { kFeatures, kPair };

Bytes find_features(Reader &task) {
    double scale = 1;
    const Bytes scale_bytes = task.blob();
    std::copy(scale_bytes.begin(), scale_bytes.end(), reinterpret_cast<uint8_t *>(&scale));
    const cv::Mat photo = cv::imdecode(task.blob(), cv::IMREAD_COLOR);
    if (photo.empty()) throw std::runtime_error("not a picture that can be decoded");
    cv::Mat small;
    cv::resize(photo, small, {}, scale, scale, cv::INTER_LINEAR_EXACT);
    ImageFeatures features;
    cv::detail::computeImageFeatures(cv::ORB::create(kFeaturesMax), small, features);
    Writer result;
    write_features(result, features);
    return result.take();
}

Bytes match_pair(Reader &task) {
    const ImageFeatures one = read_features(task, 0);
    const ImageFeatures other = read_features(task, 1);
    MatchesInfo matches;
    if (!one.keypoints.empty() && !other.keypoints.empty()) {
        cv::detail::BestOf2NearestMatcher matcher(false, kMatchConfidence);
        matcher(one, other, matches);
        // OpenCV leaves out pairs that fit very well, as shots of a camera that was not turned; its
        // formula (Brown and Lowe 2007) without that.
        if (!matches.H.empty() && matches.confidence == 0)
            matches.confidence =
                matches.num_inliers / (8 + 0.3 * static_cast<double>(matches.matches.size()));
    }
    Writer result;
    write_matches(result, matches);
    return result.take();
}

Bytes work(const Bytes &bytes) {
    Reader task(bytes);
    return task.number() == kFeatures ? find_features(task) : match_pair(task);
}

// ---- rank 0

class Panorama {
public:
    explicit Panorama(const Options &options) : options_(options) {}

    // Farms twice, whatever happens: the other ranks do, too.
    int make() {
        decode();
        look_for_features();
        match_pairs();
        if (failed_ > 0) return 1;
        try {
            return put_together() ? 0 : 1;
        } catch (const std::exception &problem) {
            fail(options_.output, problem.what());
            return 1;
        }
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
            scale_ = std::min(1.0, std::sqrt(kMatchedPixels / photos_[0].size().area()));
    }

    void look_for_features() {
        features_.resize(photos_.size());
        task_farm::run(
            {.count = failed_ == 0 ? static_cast<int>(photos_.size()) : 0,
             .make =
                 [this](int photo) {
                     const Bytes &file = files_[static_cast<size_t>(photo)];
                     Writer task;
                     task.number(kFeatures).blob(&scale_, sizeof scale_);
                     return task.blob(file.data(), file.size()).take();
                 },
             .work = work,
             .take =
                 [this](int photo, const Bytes &result) {
                     Reader reader(result);
                     features_[static_cast<size_t>(photo)] = read_features(reader, photo);
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
        task_farm::run(
            {.count = failed_ == 0 ? static_cast<int>(pairs.size()) : 0,
             .make =
                 [&](int pair) {
                     Writer task;
                     task.number(kPair);
                     write_features(task, features_[static_cast<size_t>(pairs[pair].first)]);
                     write_features(task, features_[static_cast<size_t>(pairs[pair].second)]);
                     return task.take();
                 },
             .work = work,
             .take =
                 [&](int pair, const Bytes &result) {
                     Reader reader(result);
                     keep(pairs[pair].first, pairs[pair].second, read_matches(reader));
                 },
             .failed = [&](int pair,
                           const std::string &why) { fail(path(pairs[pair].first), why); }});
    }

    // In both directions, as OpenCV wants it. Of a rank that is anybody's: OpenCV looks nothing up
    // before it uses it.
    void keep(int one, int other, MatchesInfo there) {
        const size_t count = features_.size();
        for (const cv::DMatch &match : there.matches)
            if (match.queryIdx < 0 || match.trainIdx < 0 ||
                static_cast<size_t>(match.queryIdx) >= features_[one].keypoints.size() ||
                static_cast<size_t>(match.trainIdx) >= features_[other].keypoints.size())
                throw std::runtime_error("a rank matched features that there are not");
        if (there.confidence > 0 && (there.inliers_mask.size() != there.matches.size() ||
                                     there.H.size() != cv::Size(3, 3) || there.H.type() != CV_64F))
            throw std::runtime_error("a rank's answer makes no sense");
        there.src_img_idx = one;
        there.dst_img_idx = other;
        MatchesInfo back = there;
        std::swap(back.src_img_idx, back.dst_img_idx);
        if (!back.H.empty()) back.H = back.H.inv();
        for (cv::DMatch &match : back.matches) std::swap(match.queryIdx, match.trainIdx);
        matches_[one * count + other] = std::move(there);
        matches_[other * count + one] = std::move(back);
    }

    bool put_together() {
        const std::vector<int> used =
            cv::detail::leaveBiggestComponent(features_, matches_, kPairConfidence);
        if (used.size() < 2) {
            fail(options_.output, "no two of the photographs overlap enough");
            return false;
        }
        const std::set<int> is_used(used.begin(), used.end());
        for (int photo = 0; photo < static_cast<int>(photos_.size()); ++photo)
            if (!is_used.contains(photo))
                std::fprintf(stderr, "panorama: %s fits to none of the others: left out\n",
                             path(photo).c_str());
        std::vector<cv::Mat> photos;
        for (const int photo : used) photos.push_back(photos_[static_cast<size_t>(photo)]);
        return compose(photos);
    }

    bool compose(const std::vector<cv::Mat> &photos) {
        std::vector<cv::detail::CameraParams> cameras;
        cv::detail::HomographyBasedEstimator estimate;
        if (!estimate(features_, matches_, cameras)) {
            fail(options_.output, "how the camera was turned cannot be told");
            return false;
        }
        for (cv::detail::CameraParams &camera : cameras) camera.R.convertTo(camera.R, CV_32F);
        cv::detail::BundleAdjusterRay adjust;
        adjust.setConfThresh(kPairConfidence);
        if (!adjust(features_, matches_, cameras)) {
            fail(options_.output, "how the camera was turned cannot be told exactly enough");
            return false;
        }
        std::vector<cv::Mat> turns;
        for (const auto &camera : cameras) turns.push_back(camera.R.clone());
        cv::detail::waveCorrect(turns, cv::detail::WAVE_CORRECT_HORIZ);
        for (size_t i = 0; i < cameras.size(); ++i) cameras[i].R = turns[i];
        const auto stitcher = cv::Stitcher::create(cv::Stitcher::PANORAMA);
        cv::Mat panorama;
        if (stitcher->setTransform(photos, cameras) != cv::Stitcher::OK ||
            stitcher->composePanorama(panorama) != cv::Stitcher::OK) {
            fail(options_.output, "the photographs cannot be put together");
            return false;
        }
        return write(panorama, photos.size());
    }

    bool write(const cv::Mat &panorama, size_t count) {
        std::vector<uchar> file;
        cv::imencode(std::filesystem::path(options_.output).extension().string(), panorama, file);
        task_farm::write_file(options_.output, file.data(), file.size());
        std::printf("%d x %d pixels of %zu photographs: %s\n", panorama.cols, panorama.rows, count,
                    options_.output.c_str());
        return true;
    }

    const Options &options_;
    std::vector<Bytes> files_;
    std::vector<cv::Mat> photos_;
    std::vector<ImageFeatures> features_;
    std::vector<MatchesInfo> matches_;
    double scale_ = 1;
    int failed_ = 0;
};

int make_panorama(const Options &options) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    int code = 0;
    if (rank == 0) {
        code = Panorama(options).make();
    } else {
        for (int farm = 0; farm < 2; ++farm)
            task_farm::run({.count = 0, .make = {}, .work = work, .take = {}, .failed = {}});
    }
    MPI_Bcast(&code, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return code;
}

int start(int argc, char **argv) {
    Options options;
    std::string why;
    if (!parse(argc, argv, options, why)) return task_farm::explain("panorama", why, kUsage);
    return make_panorama(options);
}

}  // namespace

int main(int argc, char **argv) {
    return task_farm::program(argc, argv, "panorama", start);
}
