// SPDX-License-Identifier: BSD-3-Clause
// The two ends between rank 0 and another rank: each hears once a second that the other is there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "examples/ranks/channel.h"
#include "examples/ranks/schedule.h"

namespace ranks {

inline constexpr double kAliveEverySeconds = 1;
// So much lies ready for a rank, at most, and one message: it gets no more while it takes nothing.
inline constexpr uint64_t kUnsentBytesMax = 64 << 20;

// What happened to a rank.
enum class News { kNothing, kAlive, kResult, kNonsense };

// Rank 0's end. What comes through it may be a stranger's.
class Link {
public:
    explicit Link(int rank) : channel_(rank) {}

    void send(Message message) { channel_.send(std::move(message)); }
    void say_alive();
    // At most one thing that happened. kResult: `answer` is a kResult or a kFailed.
    News poll(Message &answer, uint64_t bytes_max);
    size_t unsent_count() { return channel_.unsent_count(); }
    bool is_full() const { return channel_.unsent_bytes() > kUnsentBytesMax; }
    bool is_receiving(double now) const { return channel_.is_receiving(now); }

    const std::string &host() const { return host_; }  // printable
    int threads() const { return threads_; }

private:
    Channel channel_;
    std::string host_ = "?";
    int threads_ = 1;
};

// What a rank says may go to a terminal: ASCII only.
std::string printable(std::string text);

// Tells ranks that all is done, and waits a little for them to take it; never for the dead.
void send_home(const std::vector<Link *> &links);

// Rank 0's watch over the roster, whose first member is itself.
class Watch {
public:
    // `silent_s`: who says nothing for so long is not counted on.
    Watch(Roster &roster, double silent_s) : roster_(roster), silent_s_(silent_s) {}

    // False: not yet time for another look. `silent`: who is to be given up now.
    bool look(double now, std::vector<int> &silent);
    bool should_say_alive(double now);

private:
    Roster &roster_;
    double silent_s_;
    double looked_ = 0;
    double spoke_ = 0;
};

// Another rank's work: what it makes of messages, and what it has to say.
class Servant {
public:
    virtual ~Servant() = default;
    virtual int threads() const = 0;
    virtual void obey(const Message &message) = 0;  // kJob or kTask
    virtual std::optional<Message> answer() = 0;    // kResult or kFailed
    virtual void abandon() = 0;  // what is under way takes long yet, and nobody wants it
};

// The life of a rank other than 0. Returns when rank 0 says so: 0; or rank 0 was silent: 4.
// `servant` is not destroyed: MPI may still look at what was not sent.
int serve_rank_0(std::unique_ptr<Servant> servant, uint64_t bytes_max);

}  // namespace ranks
