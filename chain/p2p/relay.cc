// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/relay.h"

#include <algorithm>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "chain/base/log.h"
#include "chain/p2p/preamble.h"

namespace chain::p2p {
namespace {

constexpr std::uint64_t kIdleChecks = 4;  // in the time after which a splice counts as idle

std::size_t output_bytes(bufferevent *events) {
    return evbuffer_get_length(bufferevent_get_output(events));
}

}  // namespace

Relay::Splice::~Splice() {
    for (End &end : ends)
        if (end.events != nullptr) bufferevent_free(end.events);
}

Relay::Relay(Loop &loop, const Clock &clock, const RelayOptions &options, RelayPolicy &policy,
             std::uint64_t token_ms)
    : loop_(loop),
      clock_(clock),
      options_(options),
      policy_(policy),
      token_ms_(token_ms),
      bytes_(options.bytes_per_second, options.bytes_per_second, clock.steady_ms()) {
    CHAIN_CHECK(options.idle_ms >= kIdleChecks);
    idle_timer_ = loop_.every_ms(options_.idle_ms / kIdleChecks, [this] { drop_idle(); });
}

Relay::~Relay() = default;

Status Relay::room_for(const PublicKey &seeker) const {
    const auto of_seeker = static_cast<std::size_t>(
        std::count_if(splices_.begin(), splices_.end(),
                      [&](const auto &entry) { return entry.second->seeker == seeker; }));
    if (of_seeker >= options_.of_one_peer_max)
        return make_error(ErrorCode::kRefused, "it carries ", of_seeker,
                          " connections for this peer already");
    if (splices_.size() >= options_.connections_max)
        return make_error(ErrorCode::kRefused, "its relay is full");
    return ok_status();
}

Result<Relay::Grant> Relay::grant(const PublicKey &seeker, const PublicKey &sought) {
    CHAIN_TRY(room_for(seeker));
    CHAIN_TRY(policy_.may_carry(seeker));
    const std::uint64_t number = next_++;
    auto splice = std::make_unique<Splice>();
    splice->relay = this;
    splice->number = number;
    splice->seeker = seeker;
    splice->sought = sought;
    for (const Side side : {kSeeker, kSought}) {
        splice->tokens[side] = new_token();
        splice->ends[side].splice = splice.get();
        splice->ends[side].side = side;
        tokens_[splice->tokens[side]] = {number, side};
    }
    splice->deadline =
        loop_.after_ms(token_ms_, [this, number] { drop(number, "one side did not come"); });
    const Grant granted{number, splice->tokens[kSeeker], splice->tokens[kSought]};
    splices_[number] = std::move(splice);
    return granted;
}

void Relay::revoke(std::uint64_t number) {
    const auto found = splices_.find(number);
    if (found != splices_.end() && !found->second->stands) drop(number, "it was declined");
}

bool Relay::take(const Bytes32 &token, FileDescriptor &socket) {
    const auto found = tokens_.find(token);
    if (found == tokens_.end()) return false;
    const auto [number, side] = found->second;
    tokens_.erase(found);
    Splice &splice = *splices_.at(number);
    splice.ends[side].waiting = std::move(socket);
    if (splice.ends[1 - side].waiting.valid()) begin(splice);
    return true;
}

void Relay::begin(Splice &splice) {
    splice.deadline.cancel();
    splice.stands = true;
    splice.moved_at_ms = clock_.steady_ms();
    log(LogLevel::kDebug, "p2p", "carries what ", short_hex(splice.seeker), " and ",
        short_hex(splice.sought), " say");
    for (End &end : splice.ends) attach(end);
}

void Relay::attach(End &end) {
    const int on = 1;  // small packets go on at once; both sides have asked for that, too
    setsockopt(end.waiting.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    end.events = bufferevent_socket_new(loop_.base(), end.waiting.release(),
                                        BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    CHAIN_CHECK(end.events != nullptr);
    bufferevent_set_max_single_read(end.events, kRelayBatchBytes);
    // No further reading while a batch waits for its callback, and a call when the queue is short.
    bufferevent_setwatermark(end.events, EV_READ, 0, kRelayBatchBytes);
    bufferevent_setwatermark(end.events, EV_WRITE, kRelayQueueBytes / 4, 0);
    bufferevent_setcb(
        end.events,
        [](bufferevent *, void *argument) {
            End &read = *static_cast<End *>(argument);
            read.splice->relay->read(read);
        },
        [](bufferevent *, void *argument) {
            End &written = *static_cast<End *>(argument);
            written.splice->relay->written(written);
        },
        [](bufferevent *, short what, void *argument) {
            End &ended = *static_cast<End *>(argument);
            if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) ended.splice->relay->ended(ended);
        },
        &end);
    bufferevent_enable(end.events, EV_WRITE);
    listen_again(end);
}

// Unless all pause, or the other side has enough to read.
void Relay::listen_again(End &end) {
    const End &other = end.splice->ends[1 - end.side];
    const bool may_read =
        !resume_.active() && !end.gone &&
        (other.events == nullptr || output_bytes(other.events) <= kRelayQueueBytes);
    if (may_read)
        bufferevent_enable(end.events, EV_READ);
    else
        bufferevent_disable(end.events, EV_READ);
}

void Relay::read(End &end) {
    Splice &splice = *end.splice;
    End &other = splice.ends[1 - end.side];
    evbuffer *input = bufferevent_get_input(end.events);
    const std::size_t size_bytes = evbuffer_get_length(input);
    if (size_bytes == 0 || other.events == nullptr) return;
    if (other.gone) return static_cast<void>(evbuffer_drain(input, size_bytes));
    bufferevent_write_buffer(other.events, input);
    splice.carried_bytes += size_bytes;
    splice.moved_at_ms = clock_.steady_ms();
    carried_bytes_ += size_bytes;
    const std::uint64_t wait_ms = bytes_.take(size_bytes, clock_.steady_ms());
    if (splice.carried_bytes > options_.bytes_per_connection_max)
        return drop(splice.number, "it has carried as much as one connection may");
    const PublicKey seeker = splice.seeker;
    if (!policy_.carried(seeker, size_bytes)) return cut(seeker, "nobody has paid for more");
    listen_again(end);
    if (wait_ms > 0) pause_all(wait_ms);
}

void Relay::written(End &end) {
    Splice &splice = *end.splice;
    End &other = splice.ends[1 - end.side];
    if (other.gone) {
        if (output_bytes(end.events) == 0) drop(splice.number, "one side has closed");
    } else if (other.events != nullptr) {
        listen_again(other);
    }
}

// What one side said last still reaches the other.
void Relay::ended(End &end) {
    Splice &splice = *end.splice;
    const std::uint64_t number = splice.number;
    read(end);
    if (!splices_.contains(number)) return;
    end.gone = true;
    const End &other = splice.ends[1 - end.side];
    if (other.gone || output_bytes(other.events) == 0)
        return drop(splice.number, "one side has closed");
    bufferevent_disable(end.events, EV_READ | EV_WRITE);
    splice.deadline =
        loop_.after_ms(kLingerMs, [this, number] { drop(number, "one side has closed"); });
}

void Relay::pause_all(std::uint64_t ms) {
    resume_ = loop_.after_ms(ms, [this] {
        resume_.cancel();
        for (auto &[number, splice] : splices_)
            for (End &end : splice->ends)
                if (end.events != nullptr) listen_again(end);
    });
    for (auto &[number, splice] : splices_)
        for (End &end : splice->ends)
            if (end.events != nullptr) listen_again(end);
}

void Relay::drop_idle() {
    std::vector<std::uint64_t> idle;
    for (const auto &[number, splice] : splices_)
        if (splice->stands && clock_.steady_ms() - splice->moved_at_ms >= options_.idle_ms)
            idle.push_back(number);
    for (const std::uint64_t number : idle) drop(number, "nobody says anything");
}

void Relay::cut(const PublicKey &seeker, const std::string &why) {
    std::vector<std::uint64_t> theirs;
    for (const auto &[number, splice] : splices_)
        if (splice->seeker == seeker) theirs.push_back(number);
    for (const std::uint64_t number : theirs) drop(number, why);
}

void Relay::drop(std::uint64_t number, const std::string &why) {
    const auto found = splices_.find(number);
    if (found == splices_.end()) return;
    const Splice &splice = *found->second;
    log(LogLevel::kDebug, "p2p", "no longer carries what ", short_hex(splice.seeker), " and ",
        short_hex(splice.sought), " say, after ", splice.carried_bytes, " bytes: ", why);
    for (const Bytes32 &token : splice.tokens) tokens_.erase(token);
    splices_.erase(found);
}

}  // namespace chain::p2p
