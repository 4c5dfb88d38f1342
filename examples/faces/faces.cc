// SPDX-License-Identifier: BSD-3-Clause
// Finds the faces in an archive of photographs, on as many ranks as there are: a contact sheet of
// all of them, and a table that says where each one is. `mpirun -n 4 faces …` here, or `mpirun
// --chain-lease 4 --chain-home 1 faces …` on rented slots, which get one photograph at a time.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>
#include <stdexcept>

#include "examples/task_farm/files.h"
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
constexpr int kFacesOnSheetMax = 12 * 400;  // a sheet of 44,000 rows; the table has all

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
    return faces;
}

Bytes look_at(cv::CascadeClassifier &detector, const Bytes &file) {
    const cv::Mat photo = cv::imdecode(file, cv::IMREAD_COLOR);
    if (photo.empty()) throw std::runtime_error("not a picture that can be decoded");
    task_farm::Writer result;
    const auto faces = find_faces(detector, photo);
    result.number(static_cast<int64_t>(faces.size()));
    for (const Face &face : faces) {
        result.number(face.place.x).number(face.place.y);
        result.number(face.place.width).number(face.place.height);
        result.blob(face.thumb.data, face.thumb.total() * face.thumb.elemSize());
    }
    return result.take();
}

std::vector<Face> read_faces(const Bytes &bytes) {
    task_farm::Reader reader(bytes);
    std::vector<Face> faces(static_cast<size_t>(reader.number()));
    for (Face &face : faces) {
        face.place.x = static_cast<int>(reader.number());
        face.place.y = static_cast<int>(reader.number());
        face.place.width = static_cast<int>(reader.number());
        face.place.height = static_cast<int>(reader.number());
        const Bytes pixels = reader.blob();
        face.thumb.create(kThumbSide, kThumbSide, CV_8UC3);
        if (pixels.size() != face.thumb.total() * face.thumb.elemSize())
            throw std::runtime_error("a rank's answer has another size");
        std::copy(pixels.begin(), pixels.end(), face.thumb.data);
    }
    return faces;
}

// In the order of the photographs; below each face the number of its photograph in the table.
cv::Mat contact_sheet(const std::map<int, std::vector<Face>> &by_photo) {
    int count = 0;
    for (const auto &[_, faces] : by_photo) count += static_cast<int>(faces.size());
    count = std::min(count, kFacesOnSheetMax);
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

// Rank 0's copy of the file, for all; empty: rank 0 has none, which it has said.
Bytes share_cascade(const Options &options, int rank) {
    Bytes cascade;
    if (rank == 0) {
        try {
            cascade = task_farm::read_file(options.cascade);
            make_detector(cascade);
        } catch (const std::exception &problem) {
            std::fprintf(stderr, "faces: %s: %s (apt-get install opencv-data)\n",
                         options.cascade.c_str(), problem.what());
            cascade.clear();
        }
    }
    auto size = static_cast<uint64_t>(cascade.size());
    MPI_Bcast(&size, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    cascade.resize(size);
    MPI_Bcast(cascade.data(), static_cast<int>(size), MPI_BYTE, 0, MPI_COMM_WORLD);
    return cascade;
}

int look_for_faces(const Options &options) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const Bytes cascade = share_cascade(options, rank);
    if (cascade.empty()) return 1;
    cv::CascadeClassifier detector = make_detector(cascade);
    std::map<int, std::vector<Face>> by_photo;
    int failed = 0;
    const auto fail = [&](int task, const std::string &why) {
        std::fprintf(stderr, "faces: %s: %s\n", options.photos[static_cast<size_t>(task)].c_str(),
                     why.c_str());
        ++failed;
    };
    task_farm::run({.count = static_cast<int>(options.photos.size()),
                    .make =
                        [&](int task) {
                            return task_farm::read_file(options.photos[static_cast<size_t>(task)]);
                        },
                    .work = [&](const Bytes &task) { return look_at(detector, task); },
                    .take =
                        [&](int task, const Bytes &result) {
                            try {
                                by_photo[task] = read_faces(result);
                            } catch (const std::exception &problem) {
                                fail(task, problem.what());
                            }
                        },
                    .failed = fail});
    int code = 0;
    if (rank == 0) {
        size_t count = 0;
        for (const auto &[_, faces] : by_photo) count += faces.size();
        if (!write_results(options, by_photo)) failed = 1;
        std::printf("%zu faces in %zu photographs: %s/faces.png\n", count, by_photo.size(),
                    options.folder.c_str());
        code = failed == 0 ? 0 : 1;
    }
    MPI_Bcast(&code, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return code;
}

int start(int argc, char **argv) {
    Options options;
    std::string why;
    if (!parse(argc, argv, options, why)) return task_farm::explain("faces", why, kUsage);
    return look_for_faces(options);
}

}  // namespace

int main(int argc, char **argv) {
    return task_farm::program(argc, argv, "faces", start);
}
