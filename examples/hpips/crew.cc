// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/crew.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <sstream>

#include "examples/hpips/channel.h"

namespace hpips {
namespace {

constexpr uint64_t kTextBytesMax = 64 * 1024;  // of a job, a host's name, an error
constexpr double kAliveEverySeconds = 1;
constexpr double kOrphanAfterSeconds = 90;  // without a word of rank 0, which says one every second
constexpr double kFarewellSeconds = 3;
constexpr int64_t kThreadsMax = 1024;
constexpr size_t kHostNameMax = 64;

Message text_message(Word word, const std::string &text) {
    return {{.word = word}, {text.begin(), text.end()}};
}

std::string text_of(const Message &message) {
    return {message.bytes.begin(), message.bytes.end()};
}

std::vector<uint8_t> bytes_of(const cv::Mat &pixels) {
    std::vector<uint8_t> bytes(pixels.total() * pixels.elemSize());
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

class HomeWorker : public Worker {
public:
    explicit HomeWorker(int threads) : pool_(threads), threads_(threads) {}
    void start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid) override {
        pool_.start(job, std::move(plan), grid);
    }
    void give(int64_t tile, const cv::Mat &input) override { pool_.add(tile, input); }
    News poll(TileResult &result) override {
        return pool_.take(result) ? News::kResult : News::kNothing;
    }
    std::string host() const override { return host_name(); }
    int threads() const override { return threads_; }

private:
    Pool pool_;
    int threads_;
};

class RemoteWorker : public Worker {
public:
    explicit RemoteWorker(int rank) : channel_(rank) {}

    void start(uint64_t job, std::shared_ptr<const Plan> plan, const Grid &grid) override {
        job_ = job;
        plan_ = std::move(plan);
        grid_ = grid;
        // Results of an earlier job may still come: what they were allowed stays so.
        const auto side = static_cast<uint64_t>(grid.side());
        bytes_max_ = std::max(bytes_max_, side * side * plan_->output_format().pixel_bytes());
        Message message = text_message(Word::kJob, job_text(*plan_, grid));
        message.header.job = job;
        channel_.send(std::move(message));
    }

    void give(int64_t tile, const cv::Mat &input) override {
        channel_.send({{.word = Word::kTile, .job = job_, .tile = tile}, bytes_of(input)});
    }

    // To one that takes nothing there is no need to say more.
    void say_alive() override {
        if (channel_.unsent_count() == 0) channel_.send({{.word = Word::kAlive}, {}});
    }

    News poll(TileResult &result) override {
        channel_.unsent_count();
        Message message;
        const Channel::Got got = channel_.receive(message, bytes_max_);
        if (got == Channel::Got::kNothing) return News::kNothing;
        if (got == Channel::Got::kNonsense) return News::kNonsense;
        return understand(message, result);
    }

    std::string host() const override { return host_; }
    int threads() const override { return threads_; }
    Channel &channel() { return channel_; }

private:
    News understand(const Message &message, TileResult &result) {
        const Header &header = message.header;
        if (header.word == Word::kHello) {
            host_ = printable(text_of(message).substr(0, kHostNameMax));
            if (header.threads < 1 || header.threads > kThreadsMax) return News::kNonsense;
            threads_ = static_cast<int>(header.threads);
            return News::kAlive;
        }
        if (header.word == Word::kAlive) return News::kAlive;
        if (header.word != Word::kResult && header.word != Word::kFailed) return News::kNonsense;
        if (header.job != job_) return News::kAlive;
        if (header.tile < 0 || header.tile >= grid_.count()) return News::kNonsense;
        result = {job_, header.tile, {}, 0, {}};
        result.seconds = header.seconds >= 0 && header.seconds < 1e9 ? header.seconds : 0;
        if (header.word == Word::kFailed) {
            result.error = printable(text_of(message).substr(0, 1000));
            return News::kResult;
        }
        result.pixels = pixels_of(message, grid_.tile(header.tile).size(), plan_->output_format());
        return result.pixels.empty() ? News::kNonsense : News::kResult;
    }

    // It goes to a terminal, and comes from a stranger.
    static std::string printable(std::string text) {
        for (char &c : text)
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
        return text.empty() ? "?" : text;
    }

    Channel channel_;
    uint64_t job_ = 0;
    std::shared_ptr<const Plan> plan_;
    Grid grid_{{1, 1}, 1};
    uint64_t bytes_max_ = kTextBytesMax;
    std::string host_ = "?";
    int threads_ = 1;
};

// One rank other than 0: its main thread speaks MPI, the pool computes.
class Servant {
public:
    explicit Servant(int threads) : pool_(threads), channel_(0) {}

    int serve() {
        Message hello = text_message(Word::kHello, host_name());
        hello.header.threads = pool_.threads();
        channel_.send(std::move(hello));
        double heard = now_s();
        double spoke = heard;
        for (;;) {
            bool moved = false;
            Message message;
            while (channel_.receive(message, kTileBytesMax) == Channel::Got::kMessage) {
                heard = now_s();
                moved = true;
                if (message.header.word == Word::kStop) return leave(0);
                obey(message);
            }
            TileResult result;
            while (pool_.take(result)) {
                answer(result);
                spoke = now_s();
                moved = true;
            }
            const double now = now_s();
            if (now - spoke > kAliveEverySeconds && channel_.unsent_count() == 0) {
                channel_.send({{.word = Word::kAlive}, {}});
                spoke = now;
            }
            if (now - heard > kOrphanAfterSeconds) return leave(4);
            channel_.unsent_count();
            if (!moved) sleep_a_little();
        }
    }

private:
    // A tile that is being computed may take long yet, and nobody wants it.
    int leave(int code) {
        pool_.abandon();
        return code;
    }

    void obey(const Message &message) {
        if (message.header.word == Word::kJob) {
            number_ = message.header.job;
            job_ = {};
            error_.clear();
            try {
                job_ = read_job(text_of(message));
                pool_.start(number_, job_.plan, job_.grid);
            } catch (const std::exception &problem) {
                error_ = problem.what();  // an operator that only rank 0 has, say
            }
        } else if (message.header.word == Word::kTile) {
            compute(message);
        }
    }

    void compute(const Message &message) {
        const int64_t tile = message.header.tile;
        cv::Mat input;
        if (job_.plan && tile >= 0 && tile < job_.grid.count())
            input = pixels_of(message, job_.plan->input_region(job_.grid.tile(tile)).size(),
                              job_.plan->input_format());
        if (!input.empty()) {
            pool_.add(tile, input);
            return;
        }
        TileResult failed{number_, tile, {}, 0, error_.empty() ? "not a tile of this job" : error_};
        answer(failed);
    }

    void answer(const TileResult &result) {
        const bool failed = !result.error.empty();
        Message message{{.word = failed ? Word::kFailed : Word::kResult,
                         .job = result.job,
                         .tile = result.tile,
                         .seconds = result.seconds},
                        {}};
        if (failed)
            message.bytes.assign(result.error.begin(), result.error.end());
        else
            message.bytes = bytes_of(result.pixels);
        channel_.send(std::move(message));
    }

    Pool pool_;
    Channel channel_;
    uint64_t number_ = 0;
    Job job_;
    std::string error_;
};

}  // namespace

std::unique_ptr<Worker> make_home_worker(int threads) {
    return std::make_unique<HomeWorker>(threads);
}

std::unique_ptr<Worker> make_remote_worker(int rank) {
    return std::make_unique<RemoteWorker>(rank);
}

void send_home(const std::vector<std::unique_ptr<Worker>> &workers) {
    std::vector<Channel *> channels;
    for (const auto &worker : workers)
        if (auto *remote = dynamic_cast<RemoteWorker *>(worker.get()))
            channels.push_back(&remote->channel());
    for (Channel *channel : channels) channel->send({{.word = Word::kStop}, {}});
    const double until = now_s() + kFarewellSeconds;
    size_t waiting = channels.size();
    while (waiting > 0 && now_s() < until) {
        waiting = 0;
        for (Channel *channel : channels) waiting += channel->unsent_count() > 0 ? 1 : 0;
        sleep_a_little();
    }
}

int serve_rank_0(int threads) {
    // Never destroyed: MPI may still look at what was not sent.
    return (new Servant(threads))->serve();
}

std::string host_name() {
    char name[kHostNameMax + 1] = "";
    gethostname(name, sizeof name - 1);
    return name;
}

void sleep_a_little() {
    const timespec pause{0, 500'000};
    nanosleep(&pause, nullptr);
}

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace hpips
