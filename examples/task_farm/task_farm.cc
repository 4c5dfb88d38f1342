// SPDX-License-Identifier: BSD-3-Clause
#include "examples/task_farm/task_farm.h"

#include <mpi.h>
#include <time.h>

#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <future>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <optional>
#include <stdexcept>

namespace task_farm {
namespace {

constexpr int kToRank0Tag = 1;
constexpr int kTaskTag = 2;
constexpr int kNoTask = -1;

// What goes over the wire: a task's number, whether it failed, and bytes.
struct Message {
    int task = kNoTask;
    bool failed = false;
    Bytes bytes;
};

void sleep_a_little() {
    const timespec pause{0, 300'000};
    nanosleep(&pause, nullptr);
}

void send(const Message &message, int rank, int tag) {
    Writer writer;
    writer.number(message.task).number(message.failed ? 1 : 0);
    writer.blob(message.bytes.data(), message.bytes.size());
    const Bytes packed = writer.take();
    MPI_Send(packed.data(), static_cast<int>(packed.size()), MPI_BYTE, rank, tag, MPI_COMM_WORLD);
}

std::optional<Message> receive(int from, int tag, int *rank = nullptr) {
    int is_there = 0;
    MPI_Status status;
    MPI_Iprobe(from, tag, MPI_COMM_WORLD, &is_there, &status);
    if (is_there == 0) return std::nullopt;
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    Bytes packed(static_cast<size_t>(size));
    MPI_Recv(packed.data(), size, MPI_BYTE, status.MPI_SOURCE, tag, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    if (rank != nullptr) *rank = status.MPI_SOURCE;
    Reader reader(packed);
    Message message;
    message.task = static_cast<int>(reader.number());
    message.failed = reader.number() != 0;
    message.bytes = reader.blob();
    return message;
}

Message failure(int task, const std::string &why) {
    return {task, true, {why.begin(), why.end()}};
}

Message work_on(const Farm &farm, const Message &task) {
    try {
        Message result{task.task, false, farm.work(task.bytes)};
        if (result.bytes.size() > INT_MAX / 2)
            return failure(task.task, "the result is too large to be sent");
        return result;
    } catch (const std::exception &problem) {
        return failure(task.task, problem.what());
    }
}

void serve(const Farm &farm) {
    send({}, 0, kToRank0Tag);
    for (;;) {
        const auto task = receive(0, kTaskTag);
        if (!task) {
            sleep_a_little();
            continue;
        }
        if (task->task == kNoTask) return;
        send(work_on(farm, *task), 0, kToRank0Tag);
    }
}

class Master {
public:
    explicit Master(const Farm &farm) : farm_(farm) {
        MPI_Comm_size(MPI_COMM_WORLD, &at_work_);
        --at_work_;
    }

    void run() {
        while (done_ < farm_.count || at_work_ > 0) {
            bool moved = serve_ranks();
            moved |= work_here();
            if (!moved) sleep_a_little();
        }
    }

private:
    bool serve_ranks() {
        int rank = 0;
        const auto said = receive(MPI_ANY_SOURCE, kToRank0Tag, &rank);
        if (!said) return false;
        if (const auto given = given_.extract(rank)) {
            if (said->task == given.mapped())
                finish(*said);
            else
                finish(failure(given.mapped(), "a rank answered with another task"));
        }
        const auto task = next();
        if (task) given_[rank] = task->task;
        send(task ? *task : Message{}, rank, kTaskTag);
        if (!task) --at_work_;
        return true;
    }

    // One task at a time on a thread, so that ranks need not wait for its end.
    bool work_here() {
        if (own_.valid()) {
            if (own_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
            finish(own_.get());
            return true;
        }
        auto task = next();
        if (!task) return false;
        own_ = std::async(std::launch::async,
                          [this, task = std::move(*task)] { return work_on(farm_, task); });
        return true;
    }

    // Tasks that cannot be made have failed.
    std::optional<Message> next() {
        while (next_ < farm_.count) {
            const int task = next_++;
            try {
                Message message{task, false, farm_.make(task)};
                if (message.bytes.size() <= INT_MAX / 2) return message;
                finish(failure(task, "too large to be sent to a rank"));
            } catch (const std::exception &problem) {
                finish(failure(task, problem.what()));
            }
        }
        return std::nullopt;
    }

    void finish(Message result) {
        ++done_;
        if (result.failed)
            farm_.failed(result.task, {result.bytes.begin(), result.bytes.end()});
        else
            farm_.take(result.task, std::move(result.bytes));
    }

    const Farm &farm_;
    std::future<Message> own_;
    std::map<int, int> given_;  // by rank: its task. Ranks may be anybody's
    int next_ = 0;
    int done_ = 0;
    int at_work_ = 0;  // ranks that have not been sent home
};

}  // namespace

void run(const Farm &farm) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        Master(farm).run();
    else
        serve(farm);
    // Who asks for work of the next farm must not be heard in this one.
    MPI_Request all_are_done = MPI_REQUEST_NULL;
    MPI_Ibarrier(MPI_COMM_WORLD, &all_are_done);
    for (int is_done = 0; is_done == 0;) {
        MPI_Test(&all_are_done, &is_done, MPI_STATUS_IGNORE);
        if (is_done == 0) sleep_a_little();
    }
}

int program(int argc, char **argv, const char *name, int (*start)(int argc, char **argv)) {
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    // A rank is one slot: more threads would be in each other's way, and change what is found.
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    int code = 1;
    try {
        code = start(argc, argv);
    } catch (const std::exception &problem) {
        // The other ranks may be waiting for this one: they have to go too.
        std::fprintf(stderr, "%s: %s\n", name, problem.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
    return code;
}

int explain(const char *name, const std::string &why, const char *usage) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0 && !why.empty()) std::fprintf(stderr, "%s: %s\n", name, why.c_str());
    if (rank == 0) std::fputs(usage, why.empty() ? stdout : stderr);
    return why.empty() ? 0 : 2;
}

Writer &Writer::number(int64_t value) {
    const auto *data = reinterpret_cast<const uint8_t *>(&value);
    bytes_.insert(bytes_.end(), data, data + sizeof value);
    return *this;
}

Writer &Writer::blob(const void *data, size_t size) {
    number(static_cast<int64_t>(size));
    const auto *bytes = static_cast<const uint8_t *>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
    return *this;
}

const uint8_t *Reader::next(size_t size) {
    if (size > bytes_.size() - at_) throw std::runtime_error("a message that ends too early");
    const uint8_t *data = bytes_.data() + at_;
    at_ += size;
    return data;
}

int64_t Reader::number() {
    int64_t value = 0;
    std::memcpy(&value, next(sizeof value), sizeof value);
    return value;
}

Bytes Reader::blob() {
    const auto size = static_cast<size_t>(number());
    const uint8_t *data = next(size);
    return {data, data + size};
}

}  // namespace task_farm
