// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/control_stream.h"

#include <algorithm>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

// A word on what was taken for so much of it, and not for every few bytes.
constexpr std::uint64_t kSayTakenBytes = wire::kStreamWindowBytes / 4;

}  // namespace

ControlStream::ControlStream(Node &node, LegKey key, PublicKey peer, End end)
    : node_(node), key_(key), peer_(peer), end_(end) {}

ControlStream::~ControlStream() {
    close_socket();
}

void ControlStream::close_socket() {
    if (socket_ != nullptr) bufferevent_free(std::exchange(socket_, nullptr));
}

void ControlStream::attach(FileDescriptor socket) {
    if (is_attached()) return;
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(socket.get(), F_SETFL, O_NONBLOCK);
    socket_ = bufferevent_socket_new(node_.loop.base(), socket.release(), BEV_OPT_CLOSE_ON_FREE);
    CHAIN_CHECK(socket_ != nullptr);
    bufferevent_setcb(
        socket_, [](bufferevent *, void *self) { static_cast<ControlStream *>(self)->pump(); },
        [](bufferevent *, void *self) { static_cast<ControlStream *>(self)->on_written(); },
        [](bufferevent *, short, void *self) {
            static_cast<ControlStream *>(self)->on_local_end();
        },
        this);
    bufferevent_setwatermark(socket_, EV_READ, 0, wire::kStreamWindowBytes);
    bufferevent_enable(socket_, EV_READ | EV_WRITE);
    bufferevent_write(socket_, early_.data(), early_.size());
    early_.clear();
}

// From the socket into the session, as far as both the other end and the session's queue have room.
void ControlStream::pump() {
    if (end_sent_) return;
    evbuffer *input = socket_ == nullptr ? nullptr : bufferevent_get_input(socket_);
    while (input != nullptr) {
        const std::size_t window =
            wire::kStreamWindowBytes - static_cast<std::size_t>(sent_bytes_ - taken_bytes_);
        const std::size_t size =
            std::min({evbuffer_get_length(input), wire::kStreamPieceBytes, window});
        if (size == 0) break;
        wire::TradeMessage message = trade_message(key_);
        std::string &content = *message.mutable_stream()->mutable_content();
        content.resize(size);
        evbuffer_copyout(input, content.data(), size);
        if (!node_.send_trade(peer_, message).ok()) return;  // on_drained() goes on
        evbuffer_drain(input, size);
        sent_bytes_ += size;
    }
    const bool all_sent = input == nullptr || evbuffer_get_length(input) == 0;
    if (!local_ended_ || !all_sent) return;
    wire::TradeMessage message = trade_message(key_);
    message.mutable_stream()->set_end(true);
    if (!node_.send_trade(peer_, message).ok()) return;
    end_sent_ = true;
    close_socket();
}

void ControlStream::on_local_end() {
    local_ended_ = true;
    bufferevent_disable(socket_, EV_READ | EV_WRITE);
    pump();
}

void ControlStream::on_written() {
    say_taken();
    if (remote_ended_ && !local_ended_ &&
        evbuffer_get_length(bufferevent_get_output(socket_)) == 0) {
        local_ended_ = end_sent_ = true;
        close_socket();
    }
}

void ControlStream::say_taken() {
    const std::size_t waiting =
        socket_ == nullptr ? early_.size() : evbuffer_get_length(bufferevent_get_output(socket_));
    const std::uint64_t taken = received_bytes_ - waiting;
    if (taken - said_taken_bytes_ < kSayTakenBytes) return;
    wire::TradeMessage message = trade_message(key_);
    message.mutable_stream()->set_taken_bytes(taken);
    if (node_.send_trade(peer_, message).ok()) said_taken_bytes_ = taken;
}

Status ControlStream::check(const std::string &content, Bytes &passed) {
    if (end_ == End::kMpirun && !content.empty()) {
        if (!guard_)
            return make_error(ErrorCode::kProtocol, "it speaks to mpirun before it was launched");
        return guard_->take(content, passed);
    }
    passed = content;
    return ok_status();
}

Status ControlStream::on_message(const wire::Stream &message) {
    const std::string &content = message.content();
    if (message.taken_bytes() > sent_bytes_)
        return make_error(ErrorCode::kProtocol, "more of a stream was taken than was sent");
    if (!content.empty() && remote_ended_)
        return make_error(ErrorCode::kProtocol, "something of a stream after its end");
    taken_bytes_ = std::max(taken_bytes_, message.taken_bytes());
    received_bytes_ += content.size();
    if (received_bytes_ - said_taken_bytes_ > wire::kStreamWindowBytes)
        return make_error(ErrorCode::kProtocol, "more of a stream than its window");
    Bytes passed;
    CHAIN_TRY(check(content, passed));
    if (socket_ != nullptr)
        bufferevent_write(socket_, passed.data(), passed.size());
    else if (!local_ended_)
        early_ += passed;
    remote_ended_ = remote_ended_ || message.end();
    if (socket_ != nullptr && !local_ended_) on_written();
    pump();
    return ok_status();
}

}  // namespace chain::daemon
