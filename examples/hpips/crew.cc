// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/crew.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <sstream>

#include "examples/hpips/exact.h"
#include "examples/ranks/pool.h"
#include "examples/ranks/process.h"

namespace hpips {
namespace {

using ranks::Message;
using ranks::News;
using ranks::Word;

constexpr size_t kErrorBytesMax = 1000;

ranks::Bytes bytes_of(const cv::Mat &pixels) {
    ranks::Bytes bytes(pixels.total() * pixels.elemSize());
    const size_t row_bytes = pixels.cols * pixels.elemSize();
    for (int y = 0; y < pixels.rows; ++y)
        std::memcpy(bytes.data() + y * row_bytes, pixels.ptr(y), row_bytes);
    return bytes;
}

// Empty: not so many bytes as the pixels should have.
cv::Mat pixels_of(const Message &message, cv::Size size, const Format &format) {
    cv::Mat pixels(size, format.cv_type());
    if (message.bytes.size() != pixels.total() * pixels.elemSize()) return {};
    std::memcpy(pixels.data, message.bytes.data(), message.bytes.size());
    return pixels;
}

std::string job_text(const Plan &plan, const Grid &grid) {
    const Format format = plan.input_format();
    std::ostringstream text;
    text << static_cast<int>(format.depth) << ' ' << format.bands << ' ' << format.has_alpha << ' '
         << plan.input_size().width << ' ' << plan.input_size().height << ' ' << grid.side() << '\n'
         << plan.pipeline().text();
    return text.str();
}

struct Job {
    std::shared_ptr<const Plan> plan;
    Grid grid{{1, 1}, 1};
};

Job read_job(const std::string &text) {
    std::istringstream in(text);
    int depth = 0;
    Format format;
    cv::Size size;
    int side = 0;
    in >> depth >> format.bands >> format.has_alpha >> size.width >> size.height >> side;
    std::string pipeline;
    in.ignore(1);
    std::getline(in, pipeline);
    if (!in || depth < 0 || depth > 2 || side < 1) throw Failure("a job that cannot be read");
    format.depth = static_cast<Depth>(depth);
    Job job;
    job.plan = std::make_shared<const Plan>(Pipeline::parse(pipeline), format, size);
    job.grid = Grid(job.plan->output_size(), side);
    return job;
}

// Where tiles are computed, on rank 0 and on the others alike.
class TilePool {
public:
    explicit TilePool(int threads) : pool_(threads, set_arithmetic) {}

    void start(uint64_t number, Job job) {
        number_ = number;
        job_ = std::move(job);
        pool_.clear();
    }
    void add(int64_t tile, cv::Mat input) {
        pool_.add(
            [number = number_, plan = job_.plan, tile, place = job_.grid.tile(tile),
             input = std::move(input)] { return compute(number, *plan, tile, place, input); });
    }
    std::optional<TileResult> take() { return pool_.take(); }
    const Job &job() const { return job_; }
    uint64_t number() const { return number_; }
    int threads() const { return pool_.threads(); }
    void abandon() { pool_.abandon(); }

private:
    static TileResult compute(uint64_t number, const Plan &plan, int64_t tile, cv::Rect place,
                              const cv::Mat &input) {
        TileResult result{number, tile, {}, 0, {}};
        const double begin = ranks::now_s();
        try {
            result.pixels = plan.run(input, place);
        } catch (const std::exception &problem) {
            result.error = problem.what();
            if (result.error.empty()) result.error = "failed";
        }
        result.seconds = ranks::now_s() - begin;
        return result;
    }

    ranks::Pool<TileResult> pool_;
    uint64_t number_ = 0;
    Job job_;
};

class HomeWorker : public Worker {
public:
    explicit HomeWorker(int threads) : pool_(threads) {}
    void start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid) override {
        pool_.start(job, {std::move(plan), grid});
    }
    void give(int64_t tile, const cv::Mat &input) override { pool_.add(tile, input); }
    News poll(TileResult &result) override {
        auto taken = pool_.take();
        if (!taken) return News::kNothing;
        result = std::move(*taken);
        return News::kResult;
    }
    std::string host() const override { return ranks::host_name(); }
    int threads() const override { return pool_.threads(); }

private:
    TilePool pool_;
};

class RemoteWorker : public Worker {
public:
    explicit RemoteWorker(int rank) : link_(rank) {}

    void start(uint64_t number, std::shared_ptr<const Plan> plan, const Grid &grid) override {
        number_ = number;
        job_ = {std::move(plan), grid};
        // Results of an earlier job may still come: what they were allowed stays so.
        const auto side = static_cast<uint64_t>(grid.side());
        bytes_max_ = std::max(bytes_max_, side * side * job_.plan->output_format().pixel_bytes());
        Message message = text_message(Word::kJob, job_text(*job_.plan, grid));
        message.header.job = number;
        link_.send(std::move(message));
    }

    void give(int64_t tile, const cv::Mat &input) override {
        link_.send({{.word = Word::kTask, .job = number_, .task = tile}, bytes_of(input)});
    }

    News poll(TileResult &result) override {
        Message answer;
        const News news = link_.poll(answer, bytes_max_);
        return news == News::kResult ? understand(answer, result) : news;
    }

    ranks::Link *link() override { return &link_; }
    std::string host() const override { return link_.host(); }
    int threads() const override { return link_.threads(); }

private:
    News understand(const Message &answer, TileResult &result) {
        const ranks::Header &header = answer.header;
        if (header.job != number_) return News::kAlive;
        if (header.task < 0 || header.task >= job_.grid.count()) return News::kNonsense;
        result = {number_, header.task, {}, header.seconds, {}};
        if (header.word == Word::kFailed) {
            result.error = ranks::printable(text_of(answer).substr(0, kErrorBytesMax));
            return News::kResult;
        }
        result.pixels =
            pixels_of(answer, job_.grid.tile(header.task).size(), job_.plan->output_format());
        return result.pixels.empty() ? News::kNonsense : News::kResult;
    }

    ranks::Link link_;
    uint64_t number_ = 0;
    Job job_;
    uint64_t bytes_max_ = 0;
};

class TileServant : public ranks::Servant {
public:
    explicit TileServant(int threads) : pool_(threads) {}

    int threads() const override { return pool_.threads(); }

    void obey(const Message &message) override {
        if (message.header.word == Word::kJob) {
            error_.clear();
            Job job;
            try {
                job = read_job(text_of(message));
            } catch (const std::exception &problem) {
                error_ = problem.what();  // an operator that only rank 0 has, say
            }
            pool_.start(message.header.job, job);
        } else if (message.header.word == Word::kTask) {
            compute(message);
        }
    }

    std::optional<Message> answer() override {
        if (!failed_.empty()) {
            Message answer = std::move(failed_.front());
            failed_.pop_front();
            return answer;
        }
        const auto result = pool_.take();
        return result ? std::optional(answer_of(*result)) : std::nullopt;
    }

    void abandon() override { pool_.abandon(); }

private:
    void compute(const Message &message) {
        const int64_t tile = message.header.task;
        const Job &job = pool_.job();
        cv::Mat input;
        if (job.plan && tile >= 0 && tile < job.grid.count())
            input = pixels_of(message, job.plan->input_region(job.grid.tile(tile)).size(),
                              job.plan->input_format());
        if (!input.empty())
            pool_.add(tile, input);
        else
            failed_.push_back(answer_of(
                {pool_.number(), tile, {}, 0, error_.empty() ? "not a tile of this job" : error_}));
    }

    static Message answer_of(const TileResult &result) {
        const bool failed = !result.error.empty();
        return {{.word = failed ? Word::kFailed : Word::kResult,
                 .job = result.job,
                 .task = result.tile,
                 .seconds = result.seconds},
                failed ? ranks::Bytes(result.error.begin(), result.error.end())
                       : bytes_of(result.pixels)};
    }

    TilePool pool_;
    std::string error_;           // why there is no job
    std::deque<Message> failed_;  // answers to tiles that were not tried
};

}  // namespace

std::unique_ptr<Worker> make_home_worker(int threads) {
    return std::make_unique<HomeWorker>(threads);
}

std::unique_ptr<Worker> make_remote_worker(int rank) {
    return std::make_unique<RemoteWorker>(rank);
}

int serve_rank_0(int threads) {
    return ranks::serve_rank_0(std::make_unique<TileServant>(threads), kTileBytesMax);
}

}  // namespace hpips
