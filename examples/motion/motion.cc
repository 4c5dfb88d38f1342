// SPDX-License-Identifier: BSD-3-Clause
// Finds what moves in the video of a camera that stands still, on as many ranks as there are: a
// clip with the moments in which something moves, marked, and a table of them. `mpirun -n 4 motion
// …` here, or `mpirun --chain-lease 4 --chain-home 1 motion …` on rented slots, which get small
// grey frames.
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/video.hpp>
#include <opencv2/videoio.hpp>
#include <sstream>
#include <stdexcept>

#include "examples/task_farm/bytes.h"
#include "examples/task_farm/files.h"
#include "examples/task_farm/opencv.h"
#include "examples/task_farm/task_farm.h"

namespace {

namespace fs = std::filesystem;
using task_farm::Bytes;

constexpr char kUsage[] =
    "usage: motion [-o FOLDER] [--area PERCENT] VIDEO\n"
    "  -o FOLDER       motion.avi and motion.csv go there (out)\n"
    "  --area PERCENT  of the picture; what is smaller does not count (0.1)\n"
    "VIDEO may be pictures: frame-%04d.png\n";
constexpr int kLongSideMax = 480;  // pixels of what is looked at
constexpr int kChunkFrames = 100;  // of a task
// Before each task's own frames: what is still there is the background. The same for any number of
// ranks, so that what is found is the same, too.
constexpr int kWarmUpFrames = 50;
constexpr size_t kFramesMax = 100'000'000;
constexpr int kBoxesMax = 50;         // of a frame
constexpr double kMarginSeconds = 1;  // of the clip, before and after
constexpr double kDefaultFps = 25;    // where a video does not say it

struct Options {
    std::string folder = "out";
    std::string video;
    double area = 0.001;  // of the picture
};

using Boxes = std::vector<cv::Rect>;  // in the video's pixels

bool parse(int argc, char **argv, Options &options, std::string &why) {
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "-h" || word == "--help") return false;
        if (word == "-o" || word == "--area") {
            if (++i == argc) {
                why = word + " needs a value";
                return false;
            }
            if (word == "-o") {
                options.folder = argv[i];
                continue;
            }
            char *end = nullptr;
            options.area = std::strtod(argv[i], &end) / 100;
            if (*end != '\0' || !(options.area > 0 && options.area <= 1)) {
                why = "--area is a number above 0, up to 100";
                return false;
            }
        } else if (word.starts_with("-")) {
            why = word + " is not an option";
            return false;
        } else if (!options.video.empty()) {
            why = "one video at a time";
            return false;
        } else {
            options.video = word;
        }
    }
    if (options.video.empty()) why = "no video is given";
    return why.empty();
}

// Rank 0's: the frames in their order, as often as they are asked for.
class Video {
public:
    explicit Video(std::string path) : path_(std::move(path)) { rewind(); }

    void rewind() {
        if (!capture_.open(path_))
            throw std::runtime_error("no such file, or not a video that can be decoded");
    }
    bool read(cv::Mat &frame) { return capture_.read(frame) && !frame.empty(); }
    double fps() const {
        const double fps = capture_.get(cv::CAP_PROP_FPS);
        return std::isfinite(fps) && fps >= 1 && fps <= 1000 ? fps : kDefaultFps;
    }
    // By decoding: what a header says is not always so.
    size_t count() {
        cv::Mat frame;
        size_t count = 0;
        while (count < kFramesMax && read(frame)) {
            size_ = frame.size();
            ++count;
        }
        rewind();
        return count;
    }
    cv::Size size() const { return size_; }

private:
    std::string path_;
    cv::VideoCapture capture_;
    cv::Size size_;
};

// Makes tasks, in order: the frames of a chunk, small and grey, after those of the warm-up.
class Chunks {
public:
    Chunks(Video &video, double area) : video_(video), area_(area) {
        const cv::Size size = video.size();
        const double scale =
            std::min(1.0, static_cast<double>(kLongSideMax) / std::max(size.width, size.height));
        small_ = {std::max(1, cvRound(size.width * scale)),
                  std::max(1, cvRound(size.height * scale))};
    }

    // Once for each chunk, in their order.
    Bytes make(int chunk) {
        if (chunk != made_++) throw std::logic_error("a chunk out of its turn");
        std::deque<cv::Mat> frames = before_;
        cv::Mat frame;
        bool is_odd = false;
        for (int i = 0; i < kChunkFrames && video_.read(frame); ++i) {
            is_odd |= frame.size() != video_.size();
            cv::Mat grey, small;
            cv::cvtColor(frame, grey, cv::COLOR_BGR2GRAY);
            cv::resize(grey, small, small_, 0, 0, cv::INTER_AREA);
            frames.push_back(small);
        }
        if (is_odd) throw std::runtime_error("a frame of another size than the last one");
        task_farm::Writer writer;
        writer.number(static_cast<int64_t>(before_.size()));
        writer.number(static_cast<int64_t>(frames.size()));
        writer.number(small_.width).number(small_.height);
        writer.number(video_.size().width).number(video_.size().height);
        writer.number(static_cast<int64_t>(area_ * small_.area()) + 1);
        for (const cv::Mat &one : frames) writer.blob(one.data, one.total());
        while (frames.size() > kWarmUpFrames) frames.pop_front();
        before_ = frames;
        return writer.take();
    }

private:
    Video &video_;
    double area_;
    cv::Size small_;
    std::deque<cv::Mat> before_;
    int made_ = 0;
};

Boxes boxes_of(const cv::Mat &moving, cv::Size video, int64_t least_pixels) {
    std::vector<std::vector<cv::Point>> outlines;
    cv::findContours(moving, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_SIMPLE);
    Boxes boxes;
    for (const auto &outline : outlines) {
        const cv::Rect box = cv::boundingRect(outline);
        if (box.area() < least_pixels) continue;
        const auto across = [&](int x) { return x * video.width / moving.cols; };
        const auto down = [&](int y) { return y * video.height / moving.rows; };
        boxes.emplace_back(cv::Point(across(box.x), down(box.y)),
                           cv::Point(across(box.br().x), down(box.br().y)));
    }
    std::sort(boxes.begin(), boxes.end(), [](const cv::Rect &a, const cv::Rect &b) {
        return std::tie(a.y, a.x, a.height, a.width) < std::tie(b.y, b.x, b.height, b.width);
    });
    boxes.resize(std::min<size_t>(boxes.size(), kBoxesMax));
    return boxes;
}

Bytes watch(const Bytes &task) {
    task_farm::Reader reader(task);
    const int64_t warm_up = reader.number();
    const int64_t count = reader.number();
    cv::Size small, video;
    for (int *side : {&small.width, &small.height, &video.width, &video.height})
        *side = reader.number(1, INT_MAX);
    const int64_t least_pixels = reader.number();
    // Shadows are not told apart: in grey, dark clothes would be some.
    constexpr double kContrast = 16;
    const auto background = cv::createBackgroundSubtractorMOG2(kWarmUpFrames, kContrast, false);
    const cv::Mat disc = cv::getStructuringElement(cv::MORPH_ELLIPSE, {5, 5});
    task_farm::Writer result;
    for (int64_t i = 0; i < count; ++i) {
        Bytes pixels = reader.blob();
        if (pixels.size() != static_cast<size_t>(small.area()))
            throw std::runtime_error("a frame of another size");
        const cv::Mat frame(small, CV_8U, pixels.data());
        cv::Mat moving;
        // Who walks slowly is not to become background.
        constexpr double kByItself = -1, kSlowly = 0.002;
        background->apply(frame, moving, i < kWarmUpFrames ? kByItself : kSlowly);
        if (i < warm_up) continue;
        cv::morphologyEx(moving, moving, cv::MORPH_OPEN, cv::Mat::ones(3, 3, CV_8U));
        cv::morphologyEx(moving, moving, cv::MORPH_CLOSE, disc, {-1, -1}, 2);
        // The very first frame has no background.
        const Boxes boxes = warm_up + i == 0 ? Boxes{} : boxes_of(moving, video, least_pixels);
        result.number(static_cast<int64_t>(boxes.size()));
        for (const cv::Rect &box : boxes)
            result.number(box.x).number(box.y).number(box.width).number(box.height);
    }
    return result.take();
}

// What a rank says of so many frames of a video of that size.
std::vector<Boxes> read_boxes(const Bytes &bytes, size_t frames, cv::Size video) {
    task_farm::Reader reader(bytes);
    std::vector<Boxes> by_frame(frames);
    for (Boxes &boxes : by_frame) {
        boxes.resize(static_cast<size_t>(reader.number(0, kBoxesMax)));
        for (cv::Rect &box : boxes) {
            box.x = reader.number(0, video.width);
            box.y = reader.number(0, video.height);
            box.width = reader.number(0, video.width - box.x);
            box.height = reader.number(0, video.height - box.y);
        }
    }
    return by_frame;
}

struct Event {
    size_t first, last;  // frames, both with motion
    size_t boxes_most;
};

// What is closer together than the margins of the clip is one event.
std::vector<Event> events_of(const std::vector<Boxes> &by_frame, size_t gap) {
    std::vector<Event> events;
    for (size_t frame = 0; frame < by_frame.size(); ++frame) {
        if (by_frame[frame].empty()) continue;
        if (events.empty() || frame > events.back().last + gap) events.push_back({frame, frame, 0});
        events.back().last = frame;
        events.back().boxes_most = std::max(events.back().boxes_most, by_frame[frame].size());
    }
    return events;
}

std::string time_text(double seconds) {
    char text[32];
    const auto tenths = static_cast<long long>(seconds * 10 + 0.5);
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld.%lld", tenths / 36'000, tenths / 600 % 60,
                  tenths / 10 % 60, tenths % 10);
    return text;
}

void mark(cv::Mat &frame, const Boxes &boxes, double seconds) {
    const int width = std::max(1, frame.cols / 320);
    for (const cv::Rect &box : boxes) cv::rectangle(frame, box, {0, 200, 255}, width);
    const cv::Point place(6 * width, frame.rows - 8 * width);
    const std::string text = time_text(seconds);
    cv::putText(frame, text, place, cv::FONT_HERSHEY_SIMPLEX, 0.45 * width, {0, 0, 0}, 3 * width,
                cv::LINE_AA);
    cv::putText(frame, text, place, cv::FONT_HERSHEY_SIMPLEX, 0.45 * width, {255, 255, 255}, width,
                cv::LINE_AA);
}

// Under another name first: nobody sees half a clip.
void write_clip(const std::string &folder, Video &video, const std::vector<Boxes> &by_frame,
                const std::vector<Event> &events, size_t margin) {
    const std::string part = folder + "/motion.part.avi";
    cv::VideoWriter clip(part, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), video.fps(),
                         video.size());
    if (!clip.isOpened()) throw std::runtime_error(part + " could not be written");
    video.rewind();
    cv::Mat frame;
    size_t event = 0;
    for (size_t i = 0; i < by_frame.size() && event < events.size() && video.read(frame); ++i) {
        if (i > events[event].last + margin) ++event;
        if (event == events.size()) break;
        if (i + margin < events[event].first) continue;
        mark(frame, by_frame[i], static_cast<double>(i) / video.fps());
        clip.write(frame);
    }
    clip.release();
    fs::rename(part, folder + "/motion.avi");
}

void write_table(const std::string &folder, const std::vector<Event> &events, double fps) {
    std::ostringstream table;
    table << "begin,end,first_frame,last_frame,most_at_once\r\n";
    for (const Event &event : events)
        table << time_text(static_cast<double>(event.first) / fps) << ','
              << time_text(static_cast<double>(event.last) / fps) << ',' << event.first << ','
              << event.last << ',' << event.boxes_most << "\r\n";
    const std::string text = table.str();
    task_farm::write_file(folder + "/motion.csv", text.data(), text.size());
}

void write_results(const Options &options, Video &video, const std::vector<Boxes> &by_frame) {
    const auto margin = static_cast<size_t>(kMarginSeconds * video.fps());
    const std::vector<Event> events = events_of(by_frame, 2 * margin);
    fs::create_directories(options.folder);
    write_table(options.folder, events, video.fps());
    if (!events.empty()) write_clip(options.folder, video, by_frame, events, margin);
    std::printf("%zu times something moved in %s of video: %s/motion.%s\n", events.size(),
                time_text(static_cast<double>(by_frame.size()) / video.fps()).c_str(),
                options.folder.c_str(), events.empty() ? "csv" : "avi");
}

std::vector<Boxes> find_motion(const Options &options, task_farm::Ranks &ranks, Video &video,
                               size_t count, int &failed) {
    Chunks chunks(video, options.area);
    std::vector<Boxes> by_frame(count);
    ranks.run({.count = static_cast<int>((count + kChunkFrames - 1) / kChunkFrames),
               .shared = {},
               .make = [&](int chunk) { return chunks.make(chunk); },
               .take =
                   [&](int task, const Bytes &result) {
                       const size_t first = static_cast<size_t>(task) * kChunkFrames;
                       auto boxes = read_boxes(
                           result, std::min<size_t>(kChunkFrames, count - first), video.size());
                       std::move(boxes.begin(), boxes.end(),
                                 by_frame.begin() + static_cast<ptrdiff_t>(first));
                   },
               .failed =
                   [&](int task, const std::string &why) {
                       std::fprintf(stderr, "motion: frames from %d on: %s\n", task * kChunkFrames,
                                    why.c_str());
                       ++failed;
                   }});
    return by_frame;
}

int watch_video(const Options &options, task_farm::Ranks &ranks) {
    int failed = 0;
    try {
        Video video(options.video);
        size_t count = 0;
        ranks.beside([&] { count = video.count(); });
        if (count == 0) throw std::runtime_error("no frame can be decoded");
        const auto by_frame = find_motion(options, ranks, video, count, failed);
        ranks.beside([&] { write_results(options, video, by_frame); });
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "motion: %s: %s\n", options.video.c_str(), problem.what());
        return 1;
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char **argv) {
    task_farm::one_thread_each();
    const auto lead = [&](task_farm::Ranks &ranks) {
        Options options;
        std::string why;
        if (!parse(argc, argv, options, why)) return task_farm::explain("motion", why, kUsage);
        return watch_video(options, ranks);
    };
    task_farm::program(argc, argv, "motion", lead,
                       [](const Bytes &) -> task_farm::Work { return watch; });
}
