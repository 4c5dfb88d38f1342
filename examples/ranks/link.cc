// SPDX-License-Identifier: BSD-3-Clause
#include "examples/ranks/link.h"

#include <algorithm>

#include "examples/ranks/process.h"

namespace ranks {
namespace {

constexpr double kLookEverySeconds = 0.2;
constexpr double kOrphanAfterSeconds = 90;  // without a word of rank 0, which says one every second
constexpr double kFarewellSeconds = 3;
constexpr int64_t kThreadsMax = 64;
constexpr size_t kHostNameMax = 64;
constexpr double kTaskSecondsMax = 1e9;

}  // namespace

std::string printable(std::string text) {
    for (char &c : text)
        if (c < ' ' || c > '~') c = '?';
    return text.empty() ? "?" : text;
}

// To one that takes nothing there is no need to say more.
void Link::say_alive() {
    if (channel_.unsent_count() == 0) channel_.send({{.word = Word::kAlive}, {}});
}

News Link::poll(Message &answer, uint64_t bytes_max) {
    channel_.unsent_count();
    const Channel::Got got = channel_.receive(answer, bytes_max);
    if (got == Channel::Got::kNothing) return News::kNothing;
    if (got == Channel::Got::kNonsense) return News::kNonsense;
    double &seconds = answer.header.seconds;
    if (!(seconds >= 0 && seconds < kTaskSecondsMax)) seconds = 0;
    switch (answer.header.word) {
        case Word::kHello:
            if (answer.header.threads < 1 || answer.header.threads > kThreadsMax)
                return News::kNonsense;
            host_ = printable(text_of(answer).substr(0, kHostNameMax));
            threads_ = static_cast<int>(answer.header.threads);
            return News::kAlive;
        case Word::kAlive: return News::kAlive;
        case Word::kResult:
        case Word::kFailed: return News::kResult;
        default: return News::kNonsense;
    }
}

void send_home(const std::vector<Link *> &links) {
    for (Link *link : links) link->send({{.word = Word::kStop}, {}});
    const double until = now_s() + kFarewellSeconds;
    size_t waiting = links.size();
    while (waiting > 0 && now_s() < until) {
        waiting = 0;
        for (Link *link : links) waiting += link->unsent_count() > 0 ? 1 : 0;
        sleep_a_little();
    }
}

bool Watch::look(double now, std::vector<int> &silent) {
    if (now - looked_ < kLookEverySeconds) return false;
    // While this rank was busy with a file it heard nobody: that is nobody's fault.
    const double gap = looked_ > 0 ? now - looked_ - kLookEverySeconds : 0;
    looked_ = now;
    for (size_t rank = 1; rank < roster_.size(); ++rank) {
        Member &member = roster_[rank];
        if (gap > kAliveEverySeconds) member.heard += gap;
        if (member.is_usable() && now - member.heard > silent_s_)
            silent.push_back(static_cast<int>(rank));
    }
    return true;
}

bool Watch::should_say_alive(double now) {
    if (now - spoke_ <= kAliveEverySeconds) return false;
    spoke_ = now;
    return true;
}

int serve_rank_0(std::unique_ptr<Servant> owned, uint64_t bytes_max) {
    Servant &servant = *owned.release();
    Channel &channel = *new Channel(0);
    Message hello = text_message(Word::kHello, host_name());
    hello.header.threads = servant.threads();
    channel.send(std::move(hello));
    const auto leave = [&](int code) {
        servant.abandon();
        return code;
    };
    double heard = now_s();
    double spoke = heard;
    for (;;) {
        bool moved = false;
        Message message;
        while (channel.receive(message, bytes_max) == Channel::Got::kMessage) {
            heard = now_s();
            moved = true;
            if (message.header.word == Word::kStop) return leave(0);
            servant.obey(message);
        }
        while (auto answer = servant.answer()) {
            channel.send(std::move(*answer));
            spoke = now_s();
            moved = true;
        }
        const double now = now_s();
        if (now - spoke > kAliveEverySeconds && channel.unsent_count() == 0) {
            channel.send({{.word = Word::kAlive}, {}});
            spoke = now;
        }
        if (channel.is_receiving(now)) heard = std::max(heard, now - kOrphanAfterSeconds);
        if (now - heard > kOrphanAfterSeconds) return leave(4);
        channel.unsent_count();
        if (!moved) sleep_a_little();
    }
}

}  // namespace ranks
