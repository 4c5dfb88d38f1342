// SPDX-License-Identifier: BSD-3-Clause
//
// The half of NetworkImpl that dials: single tries, and addresses that are kept connected.
#include <algorithm>

#include "chain/base/log.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/network_impl.h"
#include "chain/p2p/random.h"

namespace chain::p2p {

void NetworkImpl::connect(const std::string &address, const PublicKey *expected, Done done) {
    if (expected != nullptr && up_.contains(*expected)) {
        later([done = std::move(done), key = *expected] { done(key); });
        return;
    }
    if (expected == nullptr) return dial(address, std::move(done));
    reach({address, *expected, std::move(done), {}, {}}, true);
}

void NetworkImpl::open_channel(const std::string &address, const PublicKey &expected,
                               std::string_view label, bool may_relay, ChannelDone done) {
    CHAIN_CHECK(!label.empty() && label.size() <= kMaxChannelLabelBytes);
    reach({address, expected, {}, Bytes(label), std::move(done)}, may_relay);
}

void NetworkImpl::Dial::fail(const Error &why) const {
    if (channel.empty())
        done(why);
    else
        channel_done(why);
}

void NetworkImpl::dial(Dial dial) {
    const auto parsed = parse_host_port(dial.address);
    if (!parsed.ok()) {
        later([dial = std::move(dial), why = parsed.error()] { dial.fail(why); });
        return;
    }
    const auto numeric = resolve(parsed.value(), true);
    if (numeric.ok()) {
        dial_resolved(numeric, std::move(dial));
        return;
    }
    auto found = std::make_shared<Result<SocketAddress>>(numeric.error());
    worker().run([found, host_port = parsed.value()] { *found = resolve(host_port, false); },
                 [self = self_, found, dial = std::move(dial)]() mutable {
                     if (*self != nullptr) (*self)->dial_resolved(*found, std::move(dial));
                 });
}

WorkerPool &NetworkImpl::worker() {
    if (worker_ == nullptr) worker_ = std::make_unique<WorkerPool>(loop_, 1);
    return *worker_;
}

void NetworkImpl::dial_resolved(const Result<SocketAddress> &to, Dial dial) {
    if (!to.ok()) {
        later([dial = std::move(dial), why = to.error()] { dial.fail(why); });
        return;
    }
    if (dial.attempt != 0 && !attempts_.contains(dial.attempt)) return;  // over by now
    const auto session = Session::dial(*setup_, to->get(), to->size_bytes, dial.address,
                                       dial.expected, dial.channel);
    start(session, std::move(dial));
}

void NetworkImpl::start(const std::shared_ptr<Session> &session, Dial dial) {
    sessions_.emplace(session.get(), session);
    if (const auto attempt = attempts_.find(dial.attempt); attempt != attempts_.end())
        attempt->second.sessions.push_back(session);
    if (dial.channel.empty())
        dials_[session.get()].push_back(std::move(dial.done));
    else
        channel_dials_[session.get()] = std::move(dial.channel_done);
}

void NetworkImpl::finish_channel(Session &session, Result<Channel> outcome) {
    const auto found = channel_dials_.find(&session);
    if (found == channel_dials_.end()) return;
    // From the loop, and not from inside of the session; std::function wants what can be copied.
    auto held = std::make_shared<Result<Channel>>(std::move(outcome));
    later([done = std::move(found->second), held] { done(std::move(*held)); });
    channel_dials_.erase(found);
}

void NetworkImpl::finish_dials(Session &session, const Result<PublicKey> &outcome) {
    const auto found = dials_.find(&session);
    if (found == dials_.end()) return;
    auto waiting = std::move(found->second);
    dials_.erase(found);
    for (auto &done : waiting) later([done = std::move(done), outcome] { done(outcome); });
}

void NetworkImpl::keep_connected(const std::string &address) {
    const bool known = std::any_of(kept_.begin(), kept_.end(),
                                   [&](const Kept &kept) { return kept.address == address; });
    if (known) return;
    kept_.emplace_back();
    kept_.back().address = address;
    try_kept(kept_.back());
}

void NetworkImpl::try_kept(Kept &kept) {
    dial({kept.address,
          std::nullopt,
          [this, &kept](const Result<PublicKey> &outcome) {
              if (outcome.ok() && up_.contains(outcome.value())) {
                  kept.peer = outcome.value();
                  kept.up_since_ms = system_clock().steady_ms();
                  return;
              }
              if (!outcome.ok())
                  log(LogLevel::kDebug, "p2p", kept.address, ": ", outcome.error().message);
              retry_kept(kept);
          },
          {},
          {}});
}

void NetworkImpl::retry_kept(Kept &kept) {
    kept.backoff_ms =
        kept.backoff_ms == 0 ? kBackoffFirstMs : std::min(kept.backoff_ms * 2, kBackoffLastMs);
    kept.retry = loop_.after_ms(jittered_ms(kept.backoff_ms), [this, &kept] { try_kept(kept); });
}

void NetworkImpl::peer_left(const PublicKey &peer) {
    if (up_.contains(peer)) return;  // it is back already
    connector_->peer_left(peer);
    for (Kept &kept : kept_) {
        if (kept.peer != peer) continue;
        kept.peer.reset();
        if (system_clock().steady_ms() - kept.up_since_ms >= kGoodSessionMs) kept.backoff_ms = 0;
        retry_kept(kept);
    }
}

}  // namespace chain::p2p
