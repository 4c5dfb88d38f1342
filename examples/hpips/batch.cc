// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/batch.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "examples/hpips/exact.h"
#include "examples/ranks/process.h"

namespace hpips {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kAheadBytesMax = 512 << 20;  // of the next image, in memory beside this one

// What `--resume` must not do again when a batch was interrupted between two images: one line for
// each that is finished, in a file beside the outputs that goes when all are.
class DoneList {
public:
    explicit DoneList(const std::string &output)
        : path_((fs::path(output).parent_path() / "hpips-done").string()) {}

    const std::string &path() const { return path_; }

    bool has(const std::string &line) const {
        std::ifstream file(path_);
        std::string one;
        while (std::getline(file, one))
            if (one == line) return true;
        return false;
    }
    void add(const std::string &line) const { std::ofstream(path_, std::ios::app) << line << '\n'; }
    void remove() const {
        std::error_code error;
        fs::remove(path_, error);
    }

private:
    std::string path_;
};

std::string identity_of(const Job &job, const Pipeline &pipeline) {
    return file_identity(job.input) + " " +
           (job.page == 0 ? "" : "page " + std::to_string(job.page) + " ") + pipeline.text();
}

std::string done_line(const Opened &opened, const std::string &identity) {
    return opened.path + " " + identity + " quality=" + std::to_string(opened.spec.quality);
}

}  // namespace

Pipeline pipeline_of(const std::string &word) {
    return word.ends_with(".hpips") ? Pipeline::read(word) : Pipeline::parse(word);
}

Opened open_job(const Job &job, const Pipeline &pipeline, const Options &options, int ranks) {
    Opened opened;
    opened.image = open_image(job.input, job.page);
    const ImageInfo &info = opened.image->info();
    opened.plan = std::make_shared<const Plan>(pipeline, info.format, info.size);
    opened.spec = output_of(*opened.plan, info, job.extension);
    opened.spec.quality = options.quality;
    opened.path = output_path(job, opened.spec.extension);
    const auto interrupted =
        options.resume && options.tile == 0 ? interrupted_tile_side(opened.path) : std::nullopt;
    opened.side = options.tile != 0 ? options.tile
                  : interrupted     ? *interrupted
                                    : suitable_tile_side(*opened.plan, ranks);
    tile_input_bytes(*opened.plan, opened.side);
    return opened;
}

Batch::Batch(const Options &options, Pipeline pipeline, Farm &farm, Progress &progress,
             ranks::VerifyPlan verify)
    : options_(options),
      pipeline_(std::move(pipeline)),
      farm_(farm),
      progress_(progress),
      verify_(verify),
      jobs_(jobs_of(options)) {}

int Batch::run() {
    const double began = ranks::now_s();
    farm_.beside([this] { jobs_ = jobs_of_pages(jobs_); });
    done_.resize(jobs_.size());
    for (size_t i = 0; i < jobs_.size(); ++i) do_image(i);
    redo_what_odd_ranks_did();
    const int code = summary();
    if (code != kExitImageFailed)
        for (const Done &done : done_) DoneList(done.output).remove();
    if (!options_.report.empty()) write_report(ranks::now_s() - began);
    return code;
}

void Batch::do_image(size_t number) {
    const Job &job = jobs_[number];
    Done &done = done_[number];
    done = {};
    done.input = job.input;
    progress_.begin(job.input, number + 1, jobs_.size());
    const double began = ranks::now_s();
    try {
        compute(number, done);
        done.seconds = ranks::now_s() - began;
        const std::string kept =
            done.kept_tiles == 0 ? "" : ", " + std::to_string(done.kept_tiles) + " of them kept,";
        char text[96];
        std::snprintf(text, sizeof text, "%lld tiles%s in %.1f s -> ",
                      static_cast<long long>(done.tiles), kept.c_str(), done.seconds);
        progress_.end(done.tiles > 0 ? text + done.output : done.output + " is there already");
    } catch (const std::exception &problem) {
        done.error = problem.what();
        progress_.say(job.input + ": " + done.error);
    }
}

Opened Batch::open(size_t number) {
    Opened opened;
    farm_.beside([&] {
        opened = ahead_.valid() && ahead_number_ == number
                     ? ahead_.get()
                     : open_job(jobs_[number], pipeline_, options_, farm_.rank_count());
    });
    return opened;
}

// `not_this`: a file that is about to be replaced.
void Batch::open_ahead(size_t number, const std::string &not_this) {
    std::error_code error;
    if (number >= jobs_.size() || fs::equivalent(jobs_[number].input, not_this, error)) return;
    ahead_number_ = number;
    ahead_ = std::async(std::launch::async, [this, number] {
        set_arithmetic();
        Opened opened = open_job(jobs_[number], pipeline_, options_, farm_.rank_count());
        const ImageInfo &info = opened.image->info();
        const auto bytes = static_cast<int64_t>(info.size.width) * info.size.height *
                           static_cast<int64_t>(info.format.pixel_bytes());
        // Some formats are decoded as a whole at the first look.
        if (bytes <= kAheadBytesMax) opened.image->read({0, 0, 1, 1});
        return opened;
    });
}

void Batch::compute(size_t number, Done &done) {
    const Job &job = jobs_[number];
    Opened opened = open(number);
    done.output = opened.path;
    std::error_code error;
    if (fs::equivalent(job.input, opened.path, error))
        throw Failure("the output would replace the input");
    if (!written_.insert(fs::path(opened.path).lexically_normal().string()).second && !starts_anew_)
        throw Failure("another image was written to " + opened.path + " already");
    if (const fs::path folder = fs::path(opened.path).parent_path(); !folder.empty()) {
        fs::create_directories(folder, error);
        if (error) throw Failure(folder.string() + ": " + error.message());
    }
    compute_opened(number, opened, done);
}

void Batch::compute_opened(size_t number, Opened &opened, Done &done) {
    const bool resumes = options_.resume && !starts_anew_;
    const std::string identity = identity_of(jobs_[number], pipeline_);
    const DoneList finished(opened.path);
    if (resumes && fs::exists(opened.path) && finished.has(done_line(opened, identity))) return;
    if (!options_.resume && lists_.insert(finished.path()).second) finished.remove();
    const Grid grid(opened.plan->output_size(), opened.side);
    const auto store =
        TileStore::open(opened.path, identity, grid, opened.plan->output_format(),
                        resumes ? TileStore::Start::kResume : TileStore::Start::kNew);
    done.tiles = grid.count();
    done.kept_tiles = store->done_count();
    open_ahead(number + 1, opened.path);
    try {
        OutputWriter writer(*store, opened.spec, opened.path, farm_.home_threads());
        const Farm::Outcome outcome = farm_.compute(*opened.image, opened.plan, *store);
        done.contributors = outcome.contributors;
        done.verified_tiles = outcome.verified_tiles;
        farm_.beside([&] { writer.finish(); });
    } catch (const StoreFailure &) {
        throw;  // what is done is of use yet
    } catch (...) {
        store->remove();
        throw;
    }
    store->remove();
    if (jobs_.size() > 1) finished.add(done_line(opened, identity));
}

// A rank that is found out may have worked on images that are finished.
void Batch::redo_what_odd_ranks_did() {
    starts_anew_ = true;
    for (size_t i = 0; i < jobs_.size(); ++i)
        for (const int odd : farm_.odd_ranks())
            if (odd != 0 && done_[i].contributors.contains(odd)) {
                do_image(i);
                break;
            }
}

int Batch::summary() const {
    size_t failed = 0;
    for (const Done &done : done_) failed += done.error.empty() ? 0 : 1;
    if (failed > 0) {
        std::fprintf(stderr, "hpips: %zu of %zu images failed:\n", failed, done_.size());
        for (const Done &done : done_)
            if (!done.error.empty())
                std::fprintf(stderr, "  %s: %s\n", done.input.c_str(), done.error.c_str());
        return kExitImageFailed;
    }
    return farm_.odd_ranks().empty() ? kExitDone : kExitOddRank;
}

void Batch::write_report(double wall_s) const {
    using nlohmann::json;
    json ranks = json::array();
    for (size_t i = 0; i < farm_.accounts().size(); ++i) {
        const RankAccount &one = farm_.accounts()[i];
        ranks.push_back({{"rank", i},
                         {"host", one.host},
                         {"tiles", one.tiles},
                         {"pixels", static_cast<int64_t>(one.pixels)},
                         {"compute_s", one.compute_s},
                         {"lost", one.is_lost},
                         {"odd", one.is_odd}});
    }
    json images = json::array();
    for (const Done &one : done_) {
        images.push_back({{"input", one.input},
                          {"output", one.output},
                          {"tiles", one.tiles},
                          {"kept_tiles", one.kept_tiles},
                          {"verified_tiles", one.verified_tiles},
                          {"seconds", one.seconds}});
        if (!one.error.empty()) images.back()["error"] = one.error;
    }
    const json report{{"pipeline", pipeline_.text()},
                      {"wall_s", wall_s},
                      {"ranks", ranks},
                      {"images", images},
                      {"verify", {{"share", verify_.share}, {"seed", verify_.seed}}}};
    const std::string temporary = options_.report + ".hpips-new";
    std::ofstream file(temporary);
    file << report.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
    file.close();
    std::error_code error;
    if (file) fs::rename(temporary, options_.report, error);
    if (!file || error) progress_.say(options_.report + ": the report cannot be written");
}

}  // namespace hpips
