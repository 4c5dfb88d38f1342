// SPDX-License-Identifier: BSD-3-Clause
// Messages between rank 0 and another one, by MPI: non-blocking ones only, and nothing collective,
// so that a rank that is gone makes nobody wait. Used by the thread that called MPI_Init.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace ranks {

enum class Word : uint32_t {
    kHello = 1,  // to rank 0: host name; threads
    kAlive,      // both ways, when there is nothing else to say
    kJob,        // to a rank: what all tasks from now on are of
    kTask,       // to a rank: what it needs for one
    kResult,     // to rank 0: what came out
    kFailed,     // to rank 0: why there are none
    kStop        // to a rank
};

struct Header {
    uint32_t magic = 0;
    Word word = Word::kAlive;
    uint64_t job = 0;
    int64_t task = 0;
    uint64_t bytes = 0;  // of what follows
    double seconds = 0;
    int64_t threads = 0;
};

using Bytes = std::vector<uint8_t>;

inline constexpr uint64_t kTextBytesMax = 64 * 1024;  // of a host's name, an error
// Who awaits a message's bytes counts on so many a second: until then the sender is not silent.
inline constexpr uint64_t kSlowestBytesPerSecond = 32 * 1024;

// No more than 2 GiB.
struct Message {
    Header header;
    Bytes bytes;
};

Message text_message(Word word, const std::string &text);
std::string text_of(const Message &message);

class Channel {
public:
    explicit Channel(int peer) : peer_(peer) {}
    Channel(const Channel &) = delete;
    Channel &operator=(const Channel &) = delete;

    // Messages arrive in their order, or, at a rank that is gone, never: then they stay in memory.
    void send(Message message);
    // Messages that the other side has not taken yet, and their bytes.
    size_t unsent_count();
    uint64_t unsent_bytes() const { return unsent_bytes_; }

    enum class Got { kNothing, kMessage, kNonsense };
    // kNonsense: what came is no message, or larger than `bytes_max` (kTextBytesMax, where it is
    // neither a job, a task nor a result); from then on what comes is thrown away.
    Got receive(Message &message, uint64_t bytes_max);
    // A message's beginning is there, and its bytes may still be on their way.
    bool is_receiving(double now) const { return awaits_bytes_ && now < awaited_until_; }

private:
    struct Outgoing {
        Message message;
        MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    };
    Got fail();
    void throw_away();
    Got next_is_there();

    int peer_;
    bool is_broken_ = false;
    uint64_t unsent_bytes_ = 0;
    double awaited_until_ = 0;
    std::deque<std::unique_ptr<Outgoing>> outgoing_;
    Message incoming_;
    MPI_Request request_ = MPI_REQUEST_NULL;  // of what is awaited now
    bool awaits_bytes_ = false;
};

}  // namespace ranks
