// SPDX-License-Identifier: BSD-3-Clause
// Finds the faces in an archive of photographs, on as many ranks as there are: a contact sheet of
// all of them, and a table that says where each one is. `mpirun -n 4 faces …` here, or `mpirun
// --chain-lease 4 --chain-home 1 faces …` on rented slots, which get one photograph at a time.
#include <algorithm>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>
#include <stdexcept>

#include "examples/task_farm/bytes.h"
#include "examples/task_farm/files.h"
#include "examples/task_farm/opencv.h"
#include "examples/task_farm/task_farm.h"

namespace {

namespace fs = std::filesystem;
using task_farm::Bytes;

constexpr char kUsage[] =
    "usage: faces [-o FOLDER] [--cascade FILE] PHOTO...\n"
    "  -o FOLDER       faces.png, a contact sheet, and faces.csv go there (out)\n"
    "  --cascade FILE  what a face looks like: a cascade of OpenCV, of the newer format\n";
constexpr char kCascade[] = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_alt2.xml";
constexpr int kPhotosMax = 100'000;
constexpr int kLongSideMax = 2'000;  // pixels; larger photographs are looked at in this size
constexpr int kFaceSideMin = 24;     // pixels of that size
constexpr int kThumbSide = 96;
constexpr int kCaptionHeight = 14;
constexpr int kSheetColumns = 12;
constexpr size_t kFacesOfPhotoMax = 1'000;
constexpr size_t kFacesOnSheetMax = 12 * 400;  // a sheet of 44,000 rows; the table has all

struct Options {
    std::string folder = "out";
    std::string cascade = kCascade;
    std::vector<std::string> photos;
};

struct Face {
    cv::Rect place;  // in the photograph
    cv::Mat thumb;
};

// Nothing: `why` says what is wrong, or is empty when help was asked for.
bool parse(int argc, char **argv, Options &options, std::string &why) {
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "-h" || word == "--help") return false;
        if (word == "-o" || word == "--cascade") {
            if (++i == argc) {
                why = word + " needs a value";
                return false;
            }
            (word == "-o" ? options.folder : options.cascade) = argv[i];
        } else if (word.starts_with("-")) {
            why = word + " is not an option";
            return false;
        } else {
            options.photos.push_back(word);
        }
    }
    if (options.photos.empty()) why = "no photographs are given";
    if (options.photos.size() > kPhotosMax) why = "more than 100,000 photographs";
    return why.empty();
}

cv::CascadeClassifier make_detector(const Bytes &cascade) {
    cv::CascadeClassifier detector;
    const cv::FileStorage file(std::string(cascade.begin(), cascade.end()),
                               cv::FileStorage::READ | cv::FileStorage::MEMORY);
    if (!file.isOpened() || !detector.read(file.getFirstTopLevelNode()))
        throw std::runtime_error("not a cascade of OpenCV's newer format");
    return detector;
}

std::vector<Face> find_faces(cv::CascadeClassifier &detector, const cv::Mat &photo) {
    const double scale =
        std::min(1.0, static_cast<double>(kLongSideMax) / std::max(photo.cols, photo.rows));
    cv::Mat grey;
    cv::cvtColor(photo, grey, cv::COLOR_BGR2GRAY);
    if (scale < 1) cv::resize(grey, grey, {}, scale, scale, cv::INTER_AREA);
    cv::equalizeHist(grey, grey);
    std::vector<cv::Rect> found;
    detector.detectMultiScale(grey, found, 1.1, 4, 0, {kFaceSideMin, kFaceSideMin});
    std::sort(found.begin(), found.end(), [](const cv::Rect &a, const cv::Rect &b) {
        return std::tie(a.y, a.x, a.width) < std::tie(b.y, b.x, b.width);
    });
    std::vector<Face> faces;
    for (const cv::Rect &one : found) {
        const auto in_photo = [&](int value) { return static_cast<int>(value / scale); };
        const cv::Rect place =
            cv::Rect(in_photo(one.x), in_photo(one.y), in_photo(one.width), in_photo(one.height)) &
            cv::Rect({0, 0}, photo.size());
        cv::Mat thumb;
        cv::resize(photo(place), thumb, {kThumbSide, kThumbSide}, 0, 0, cv::INTER_AREA);
        faces.push_back({place, thumb});
    }
    faces.resize(std::min(faces.size(), kFacesOfPhotoMax));
    return faces;
}

Bytes look_at(cv::CascadeClassifier &detector, const Bytes &file) {
    const cv::Mat photo = cv::imdecode(file, cv::IMREAD_COLOR);
    if (photo.empty()) throw std::runtime_error("not a picture that can be decoded");
    task_farm::Writer result;
    const auto faces = find_faces(detector, photo);
    result.number(photo.cols).number(photo.rows);
    result.number(static_cast<int64_t>(faces.size()));
    for (const Face &face : faces) {
        result.number(face.place.x).number(face.place.y);
        result.number(face.place.width).number(face.place.height);
        result.blob(face.thumb.data, face.thumb.total() * face.thumb.elemSize());
    }
    return result.take();
}

std::vector<Face> read_faces(const Bytes &bytes) {
    constexpr size_t kThumbBytes = kThumbSide * kThumbSide * 3;
    task_farm::Reader reader(bytes);
    const int width = reader.number(1, INT_MAX);
    const int height = reader.number(1, INT_MAX);
    std::vector<Face> faces(reader.count(kThumbBytes));
    if (faces.size() > kFacesOfPhotoMax)
        throw std::runtime_error("sent more faces than there can be");
    for (Face &face : faces) {
        face.place.x = reader.number(0, width);
        face.place.y = reader.number(0, height);
        face.place.width = reader.number(1, width - face.place.x);
        face.place.height = reader.number(1, height - face.place.y);
        const Bytes pixels = reader.blob();
        if (pixels.size() != kThumbBytes) throw std::runtime_error("sent a face of another size");
        face.thumb.create(kThumbSide, kThumbSide, CV_8UC3);
        std::copy(pixels.begin(), pixels.end(), face.thumb.data);
    }
    return faces;
}

// In the order of the photographs; below each face the number of its photograph in the table.
cv::Mat contact_sheet(const std::map<int, std::vector<Face>> &by_photo) {
    int count = 0;
    for (const auto &[_, faces] : by_photo) count += static_cast<int>(faces.size());
    count = std::min(count, static_cast<int>(kFacesOnSheetMax));
    const int rows = std::max(1, (count + kSheetColumns - 1) / kSheetColumns);
    const int columns = std::clamp(count, 1, kSheetColumns);
    const int height = kThumbSide + kCaptionHeight;
    cv::Mat sheet(rows * height, columns * kThumbSide, CV_8UC3, cv::Scalar::all(255));
    int at = 0;
    for (const auto &[photo, faces] : by_photo)
        for (const Face &face : faces) {
            if (at == count) return sheet;
            const cv::Point corner(at % kSheetColumns * kThumbSide, at / kSheetColumns * height);
            face.thumb.copyTo(sheet({corner, cv::Size(kThumbSide, kThumbSide)}));
            cv::putText(sheet, std::to_string(photo + 1),
                        corner + cv::Point(3, kThumbSide + kCaptionHeight - 4),
                        cv::FONT_HERSHEY_SIMPLEX, 0.35, cv::Scalar::all(60), 1, cv::LINE_AA);
            ++at;
        }
    return sheet;
}

// The sheet has the first faces only, and memory an end. How many are left.
size_t drop_what_is_on_no_sheet(std::map<int, std::vector<Face>> &by_photo) {
    size_t count = 0;
    for (auto &[_, faces] : by_photo)
        for (Face &face : faces)
            if (++count > kFacesOnSheetMax) face.thumb.release();
    return std::min<size_t>(count, kFacesOnSheetMax);
}

// RFC 4180.
std::string csv_field(const std::string &text) {
    std::string field = "\"";
    for (const char c : text) field += c == '"' ? "\"\"" : std::string(1, c);
    return field + "\"";
}

bool write_results(const Options &options, const std::map<int, std::vector<Face>> &by_photo) {
    std::error_code error;
    fs::create_directories(options.folder, error);
    std::string table = "number,photo,x,y,width,height\r\n";
    for (const auto &[photo, faces] : by_photo)
        for (const Face &face : faces)
            table += std::to_string(photo + 1) + "," +
                     csv_field(options.photos[static_cast<size_t>(photo)]) + "," +
                     std::to_string(face.place.x) + "," + std::to_string(face.place.y) + "," +
                     std::to_string(face.place.width) + "," + std::to_string(face.place.height) +
                     "\r\n";
    std::vector<uchar> png;
    cv::imencode(".png", contact_sheet(by_photo), png);
    try {
        task_farm::write_file(options.folder + "/faces.csv", table.data(), table.size());
        task_farm::write_file(options.folder + "/faces.png", png.data(), png.size());
        return true;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "faces: %s\n", problem.what());
        return false;
    }
}

// Empty: it is of no use, which has been said.
Bytes read_cascade(const std::string &path) {
    try {
        Bytes cascade = task_farm::read_file(path);
        make_detector(cascade);
        return cascade;
    } catch (const std::exception &problem) {
        std::fprintf(stderr, "faces: %s: %s (apt-get install opencv-data)\n", path.c_str(),
                     problem.what());
        return {};
    }
}

int look_for_faces(const Options &options, task_farm::Ranks &ranks) {
    const Bytes cascade = read_cascade(options.cascade);
    if (cascade.empty()) return 1;
    const auto path = [&](int task) { return options.photos[static_cast<size_t>(task)]; };
    std::map<int, std::vector<Face>> by_photo;
    size_t thumbs = 0;
    int failed = 0;
    ranks.run({.count = static_cast<int>(options.photos.size()),
               .shared = cascade,
               .result_bytes_max = 32 << 20,
               .make = [&](int task) { return task_farm::read_file(path(task)); },
               .take =
                   [&](int task, const Bytes &result) {
                       by_photo[task] = read_faces(result);
                       thumbs += by_photo[task].size();
                       if (thumbs > 2 * kFacesOnSheetMax)
                           thumbs = drop_what_is_on_no_sheet(by_photo);
                   },
               .failed =
                   [&](int task, const std::string &why) {
                       std::fprintf(stderr, "faces: %s: %s\n", path(task).c_str(), why.c_str());
                       ++failed;
                   }});
    size_t count = 0;
    for (const auto &[_, faces] : by_photo) count += faces.size();
    bool is_written = false;
    ranks.beside([&] { is_written = write_results(options, by_photo); });
    if (!is_written) return 1;
    std::printf("%zu faces in %zu photographs: %s/faces.png\n", count, by_photo.size(),
                options.folder.c_str());
    return failed == 0 ? 0 : 1;
}

task_farm::Work make_work(const Bytes &cascade) {
    // std::function wants what can be copied.
    const auto detector = std::make_shared<cv::CascadeClassifier>(make_detector(cascade));
    return [detector](const Bytes &photo) { return look_at(*detector, photo); };
}

}  // namespace

int main(int argc, char **argv) {
    task_farm::one_thread_each();
    const auto lead = [&](task_farm::Ranks &ranks) {
        Options options;
        std::string why;
        if (!parse(argc, argv, options, why)) return task_farm::explain("faces", why, kUsage);
        return look_for_faces(options, ranks);
    };
    task_farm::program(argc, argv, "faces", lead, make_work);
}
