// SPDX-License-Identifier: BSD-3-Clause
#include "examples/ranks/channel.h"

#include <algorithm>
#include <climits>

#include "examples/ranks/process.h"

namespace ranks {
namespace {

constexpr uint32_t kMagic = 0x48504931;  // also tells a machine of the other byte order
constexpr int kHeaderTag = 1;
constexpr int kBytesTag = 2;
constexpr int kThrownAwayAtOnce = 64;
constexpr uint64_t kThrownAwayBytesMax = 64 << 20;

uint64_t limit_of(Word word, uint64_t bytes_max) {
    const bool is_large = word == Word::kJob || word == Word::kTask || word == Word::kResult;
    return std::min<uint64_t>(is_large ? bytes_max : kTextBytesMax, INT_MAX);
}

}  // namespace

Message text_message(Word word, const std::string &text) {
    return {{.word = word}, {text.begin(), text.end()}};
}

std::string text_of(const Message &message) {
    return {message.bytes.begin(), message.bytes.end()};
}

void Channel::send(Message message) {
    outgoing_.push_back(std::make_unique<Outgoing>());
    Outgoing &out = *outgoing_.back();
    out.message = std::move(message);
    out.message.header.magic = kMagic;
    out.message.header.bytes = out.message.bytes.size();
    unsent_bytes_ += out.message.bytes.size();
    MPI_Isend(&out.message.header, sizeof(Header), MPI_BYTE, peer_, kHeaderTag, MPI_COMM_WORLD,
              &out.requests[0]);
    if (!out.message.bytes.empty())
        MPI_Isend(out.message.bytes.data(), static_cast<int>(out.message.bytes.size()), MPI_BYTE,
                  peer_, kBytesTag, MPI_COMM_WORLD, &out.requests[1]);
}

size_t Channel::unsent_count() {
    // In their order: what lies behind one that is on its way is not there yet either.
    while (!outgoing_.empty()) {
        int sent = 0;
        MPI_Testall(2, outgoing_.front()->requests, &sent, MPI_STATUSES_IGNORE);
        if (!sent) break;
        unsent_bytes_ -= outgoing_.front()->message.bytes.size();
        outgoing_.pop_front();
    }
    return outgoing_.size();
}

Channel::Got Channel::fail() {
    is_broken_ = true;
    incoming_ = {};
    awaits_bytes_ = false;
    return Got::kNonsense;
}

// Otherwise what a rank sends that nobody receives would stay in MPI's memory. What is huge stays
// with its sender.
void Channel::throw_away() {
    for (int i = 0; i < kThrownAwayAtOnce; ++i) {
        int is_there = 0;
        MPI_Status status;
        MPI_Test(&request_, &is_there, MPI_STATUS_IGNORE);
        if (!is_there) return;
        MPI_Iprobe(peer_, MPI_ANY_TAG, MPI_COMM_WORLD, &is_there, &status);
        if (!is_there) return;
        int count = 0;
        MPI_Get_count(&status, MPI_BYTE, &count);
        if (count < 0 || static_cast<uint64_t>(count) > kThrownAwayBytesMax) return;
        incoming_.bytes.resize(static_cast<size_t>(count));
        MPI_Irecv(incoming_.bytes.data(), count, MPI_BYTE, peer_, status.MPI_TAG, MPI_COMM_WORLD,
                  &request_);
    }
}

// Whether what has to come next is there. It is looked at before it is received: what is longer
// than its room, Open MPI may write behind it (4.1, from a process of the same machine).
Channel::Got Channel::next_is_there() {
    int is_there = 0;
    MPI_Status status;
    if (MPI_Iprobe(peer_, MPI_ANY_TAG, MPI_COMM_WORLD, &is_there, &status) != MPI_SUCCESS)
        return fail();
    if (!is_there) return Got::kNothing;
    int count = 0;
    MPI_Get_count(&status, MPI_BYTE, &count);
    const size_t expected = awaits_bytes_ ? incoming_.bytes.size() : sizeof(Header);
    const bool is_it = status.MPI_TAG == (awaits_bytes_ ? kBytesTag : kHeaderTag) && count >= 0 &&
                       static_cast<size_t>(count) == expected;
    return is_it ? Got::kMessage : fail();
}

Channel::Got Channel::receive(Message &message, uint64_t bytes_max) {
    if (is_broken_) {
        throw_away();
        return Got::kNothing;
    }
    if (request_ == MPI_REQUEST_NULL) {
        if (const Got got = next_is_there(); got != Got::kMessage) return got;
        void *room =
            awaits_bytes_ ? static_cast<void *>(incoming_.bytes.data()) : &incoming_.header;
        const size_t size = awaits_bytes_ ? incoming_.bytes.size() : sizeof(Header);
        MPI_Irecv(room, static_cast<int>(size), MPI_BYTE, peer_, MPI_ANY_TAG, MPI_COMM_WORLD,
                  &request_);
    }
    int came = 0;
    if (MPI_Test(&request_, &came, MPI_STATUS_IGNORE) != MPI_SUCCESS) return fail();
    if (!came) return Got::kNothing;
    const Header &header = incoming_.header;
    if (!awaits_bytes_ &&
        (header.magic != kMagic || header.bytes > limit_of(header.word, bytes_max)))
        return fail();
    if (!awaits_bytes_ && header.bytes > 0) {
        incoming_.bytes.resize(header.bytes);
        awaits_bytes_ = true;
        awaited_until_ = now_s() + static_cast<double>(header.bytes) /
                                       static_cast<double>(kSlowestBytesPerSecond);
        return receive(message, bytes_max);
    }
    message = std::move(incoming_);
    incoming_ = {};
    awaits_bytes_ = false;
    return Got::kMessage;
}

}  // namespace ranks
