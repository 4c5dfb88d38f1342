// SPDX-License-Identifier: BSD-3-Clause
#include "chain/overlay/link.h"

#include <cstring>

#include "chain/base/bytes.h"
#include "chain/overlay/packet.h"

namespace chain::overlay {
namespace {

void put_length(char *room, std::uint32_t length) {
    for (std::size_t i = 0; i < kLengthBytes; ++i)
        room[i] = static_cast<char>(length >> (8 * i) & 0xffU);
}

}  // namespace

Link::Link(p2p::Channel channel) : channel_(std::move(channel)) {
    static_assert(kLinkReadBytes > kLengthBytes + kPacketBytesMax);
}

Result<bool> Link::send(char *room, std::size_t packet_bytes) {
    const std::size_t whole = kLengthBytes + packet_bytes;
    if (queue_.size() - sent_to_ + whole > kLinkQueueBytesMax) return false;
    put_length(room, static_cast<std::uint32_t>(packet_bytes));
    std::size_t sent = 0;
    while (!has_queue() && sent < whole) {
        CHAIN_ASSIGN(const std::size_t more, channel_.write(room + sent, whole - sent));
        if (more == 0) break;
        sent += more;
    }
    queue_.append(room + sent, whole - sent);
    return true;
}

// Without a packet. What waits in a queue says as much.
Status Link::mark(std::uint32_t length) {
    char room[kLengthBytes];
    put_length(room, length);
    if (has_queue()) return ok_status();
    CHAIN_ASSIGN(const std::size_t sent, channel_.write(room, sizeof room));
    queue_.append(room + sent, sizeof room - sent);
    return ok_status();
}

Status Link::ping() {
    // One question at a time: answers do not say which one they answer.
    if (has_queue() || !round_trip_.asked(monotonic_us())) return ok_status();
    return mark(0);
}

Status Link::flush() {
    while (has_queue()) {
        CHAIN_ASSIGN(const std::size_t more,
                     channel_.write(queue_.data() + sent_to_, queue_.size() - sent_to_));
        if (more == 0) break;
        sent_to_ += more;
    }
    // Moved to the front seldom: what is behind is at least as much as what is moved.
    if (sent_to_ * 2 >= queue_.size()) {
        queue_.erase(0, sent_to_);
        sent_to_ = 0;
    }
    return ok_status();
}

Result<bool> Link::receive(std::span<char> input,
                           const std::function<void(char *, std::size_t)> &take) {
    CHAIN_CHECK(input.size() >= kLinkReadBytes);
    std::size_t filled = rest_.size();
    rest_.copy(input.data(), filled);
    for (bool any = false;; any = true) {
        CHAIN_ASSIGN(const std::size_t got,
                     channel_.read(input.data() + filled, input.size() - filled));
        if (got == 0) {
            rest_.assign(input.data(), filled);
            return any;
        }
        filled += got;
        std::size_t at = 0;
        while (filled - at >= kLengthBytes) {
            const std::uint32_t length = read_u32_le({input.data() + at, kLengthBytes});
            if (length == 0 || length == kHereMark) {
                if (length == 0)
                    CHAIN_TRY(mark(kHereMark));
                else
                    round_trip_.answered(monotonic_us());
                at += kLengthBytes;
                continue;
            }
            if (length > kPacketBytesMax)
                return make_error(ErrorCode::kProtocol, "a packet of ", length, " bytes");
            if (filled - at < kLengthBytes + length) break;
            take(input.data() + at, length);
            at += kLengthBytes + length;
        }
        filled -= at;
        std::memmove(input.data(), input.data() + at, filled);
    }
}

}  // namespace chain::overlay
