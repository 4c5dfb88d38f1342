// SPDX-License-Identifier: BSD-3-Clause
#include "examples/ranks/channel.h"

#include <climits>

namespace ranks {
namespace {

constexpr uint32_t kMagic = 0x48504931;  // also tells a machine of the other byte order
constexpr int kHeaderTag = 1;
constexpr int kBytesTag = 2;

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
        outgoing_.pop_front();
    }
    return outgoing_.size();
}

Channel::Got Channel::receive(Message &message, uint64_t bytes_max) {
    if (is_broken_) return Got::kNothing;
    if (request_ == MPI_REQUEST_NULL && !awaits_bytes_)
        MPI_Irecv(&incoming_.header, sizeof(Header), MPI_BYTE, peer_, kHeaderTag, MPI_COMM_WORLD,
                  &request_);
    int came = 0;
    MPI_Status status;
    const int error = MPI_Test(&request_, &came, &status);
    if (!came && error == MPI_SUCCESS) return Got::kNothing;
    int count = 0;
    if (error == MPI_SUCCESS) MPI_Get_count(&status, MPI_BYTE, &count);
    const uint64_t expected = awaits_bytes_ ? incoming_.bytes.size() : sizeof(Header);
    const Header &header = incoming_.header;
    if (error != MPI_SUCCESS || static_cast<uint64_t>(count) != expected ||
        header.magic != kMagic || header.bytes > bytes_max || header.bytes > INT_MAX) {
        is_broken_ = true;
        return Got::kNonsense;
    }
    if (!awaits_bytes_ && header.bytes > 0) {
        incoming_.bytes.resize(header.bytes);
        awaits_bytes_ = true;
        MPI_Irecv(incoming_.bytes.data(), static_cast<int>(header.bytes), MPI_BYTE, peer_,
                  kBytesTag, MPI_COMM_WORLD, &request_);
        return receive(message, bytes_max);
    }
    message = std::move(incoming_);
    incoming_ = {};
    awaits_bytes_ = false;
    return Got::kMessage;
}

}  // namespace ranks
