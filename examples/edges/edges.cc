// SPDX-License-Identifier: BSD-3-Clause
// An ordinary MPI and OpenCV program. It knows nothing of leases: run it with
// `mpirun -n 4` on this machine, or with `mpirun --chain-lease 4` on rented ones.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include "examples/edges/drawing.h"
#include "examples/edges/options.h"

namespace edges {
namespace {

constexpr int kBandTag = 1;

// Rows [first, last) of a picture.
struct Rows {
    int first;
    int last;
    int count() const { return last - first; }
};

// The rows that a rank draws; with more ranks than rows, some draw none.
Rows rows_of(int rank, int rank_count, int row_count) {
    const auto cut = [&](int64_t i) { return static_cast<int>(i * row_count / rank_count); };
    return {cut(rank), cut(rank + 1)};
}

// The rows that a rank must see to draw its own.
Rows with_halo(Rows own, int row_count, int halo) {
    if (own.count() == 0) return own;
    return {std::max(0, own.first - halo), std::min(row_count, own.last + halo)};
}

// One row as an MPI type: counts are rows, so that pictures over 2 GiB need no 64 bit counts.
class RowType {
public:
    explicit RowType(int size_bytes) {
        MPI_Type_contiguous(size_bytes, MPI_BYTE, &type_);
        MPI_Type_commit(&type_);
    }
    ~RowType() { MPI_Type_free(&type_); }
    RowType(const RowType &) = delete;
    RowType &operator=(const RowType &) = delete;
    MPI_Datatype get() const { return type_; }

private:
    MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

class Program {
public:
    explicit Program(const Options &options) : options_(options) {
        MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
        MPI_Comm_size(MPI_COMM_WORLD, &rank_count_);
    }

    // Every rank returns the same: 0, or 1 if any picture failed.
    int run() {
        int failed_count = 0;
        for (const Job &job : options_.jobs)
            if (!draw(job)) ++failed_count;
        MPI_Bcast(&failed_count, 1, MPI_INT, 0, MPI_COMM_WORLD);
        return failed_count == 0 ? 0 : 1;
    }

private:
    bool draw(const Job &job);
    cv::Mat read(const Job &job) const;
    bool write(const Job &job, const cv::Mat &drawing) const;
    cv::Mat scatter(const cv::Mat &picture, int rows, int cols, int type) const;
    cv::Mat gather(const cv::Mat &own, int rows, int cols) const;

    Options options_;
    int rank_ = 0;
    int rank_count_ = 1;
};

// Empty on failure, which has been said.
cv::Mat Program::read(const Job &job) const {
    try {
        std::error_code error;
        if (std::filesystem::equivalent(job.input, job.output, error)) {
            std::fprintf(stderr, "edges: %s: the drawing would replace the picture\n",
                         job.input.c_str());
            return {};
        }
        const cv::Mat decoded = cv::imread(job.input, cv::IMREAD_UNCHANGED);
        if (!decoded.empty()) return to_8_bit(decoded);
        const char *why = std::filesystem::exists(job.input, error)
                              ? "not a picture that can be decoded"
                              : "no such file";
        std::fprintf(stderr, "edges: %s: %s\n", job.input.c_str(), why);
    } catch (const cv::Exception &e) {
        std::fprintf(stderr, "edges: %s: %s\n", job.input.c_str(), e.err.c_str());
    }
    return {};
}

// To a temporary name first: a reader never sees half a drawing.
bool Program::write(const Job &job, const cv::Mat &drawing) const {
    std::vector<uchar> png;
    std::error_code error;
    const std::string part = job.output + ".part";
    std::filesystem::create_directories(options_.output_dir, error);
    bool ok = !error && cv::imencode(".png", drawing, png);
    if (ok) {
        std::ofstream file(part, std::ios::binary);
        file.write(reinterpret_cast<const char *>(png.data()),
                   static_cast<std::streamsize>(png.size()));
        file.close();
        ok = file.good();
    }
    if (ok) std::filesystem::rename(part, job.output, error);
    if (ok && !error) return true;
    std::fprintf(stderr, "edges: %s could not be written\n", job.output.c_str());
    return false;
}

// Rank 0 sends each rank its band. Bands overlap, which MPI_Scatterv does not allow.
cv::Mat Program::scatter(const cv::Mat &picture, int rows, int cols, int type) const {
    const int halo = halo_row_count(options_.passes);
    const RowType row(cols * static_cast<int>(CV_ELEM_SIZE(type)));
    const Rows mine = with_halo(rows_of(rank_, rank_count_, rows), rows, halo);
    if (rank_ != 0) {
        cv::Mat band(mine.count(), cols, type);
        if (mine.count() > 0)
            MPI_Recv(band.data, mine.count(), row.get(), 0, kBandTag, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        return band;
    }
    std::vector<MPI_Request> sends;
    for (int rank = 1; rank < rank_count_; ++rank) {
        const Rows theirs = with_halo(rows_of(rank, rank_count_, rows), rows, halo);
        if (theirs.count() == 0) continue;
        sends.emplace_back();
        MPI_Isend(picture.ptr(theirs.first), theirs.count(), row.get(), rank, kBandTag,
                  MPI_COMM_WORLD, &sends.back());
    }
    MPI_Waitall(static_cast<int>(sends.size()), sends.data(), MPI_STATUSES_IGNORE);
    return picture.rowRange(mine.first, mine.last);
}

cv::Mat Program::gather(const cv::Mat &own, int rows, int cols) const {
    const RowType row(cols);
    std::vector<int> counts(rank_count_);
    std::vector<int> starts(rank_count_);
    for (int rank = 0; rank < rank_count_; ++rank) {
        const Rows theirs = rows_of(rank, rank_count_, rows);
        counts[rank] = theirs.count();
        starts[rank] = theirs.first;
    }
    cv::Mat drawing;
    if (rank_ == 0) drawing.create(rows, cols, CV_8UC1);
    MPI_Gatherv(own.data, own.rows, row.get(), drawing.data, counts.data(), starts.data(),
                row.get(), 0, MPI_COMM_WORLD);
    return drawing;
}

// Only rank 0 knows the answer; on the others it is always true.
bool Program::draw(const Job &job) {
    cv::Mat picture;
    if (rank_ == 0) picture = read(job);
    int shape[] = {picture.rows, picture.cols, picture.type()};
    MPI_Bcast(shape, 3, MPI_INT, 0, MPI_COMM_WORLD);
    const auto [rows, cols, type] = shape;
    if (rows == 0 || cols == 0) return rank_ != 0;

    const cv::Mat band = scatter(picture, rows, cols, type);
    const Rows own = rows_of(rank_, rank_count_, rows);
    const Rows seen = with_halo(own, rows, halo_row_count(options_.passes));
    cv::Mat drawn(0, cols, CV_8UC1);
    if (own.count() > 0)
        drawn = draw_edges(band, options_.passes, options_.strength)
                    .rowRange(own.first - seen.first, own.last - seen.first);
    const cv::Mat drawing = gather(drawn, rows, cols);
    return rank_ != 0 || write(job, drawing);
}

int start(int argc, char **argv) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    std::string error;
    const auto options = parse_options(argc, argv, error);
    if (!options) {
        if (rank == 0) std::fprintf(stderr, "edges: %s\n%s", error.c_str(), usage());
        return 2;
    }
    if (options->show_help) {
        if (rank == 0) std::fputs(usage(), stdout);
        return 0;
    }
    // A rank is one slot: more threads than the slot's processor would only be in its way.
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    return Program(*options).run();
}

}  // namespace
}  // namespace edges

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int code = 1;
    try {
        code = edges::start(argc, argv);
    } catch (const std::exception &e) {
        // The other ranks may be waiting for this one: they have to go too.
        std::fprintf(stderr, "edges: %s\n", e.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
    return code;
}
