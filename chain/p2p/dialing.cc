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
    dial(address, expected != nullptr ? std::optional(*expected) : std::nullopt, std::move(done));
}

void NetworkImpl::dial(const std::string &address, std::optional<PublicKey> expected, Done done) {
    const auto parsed = parse_host_port(address);
    if (!parsed.ok()) {
        later([done = std::move(done), why = parsed.error()] { done(why); });
        return;
    }
    const auto numeric = resolve(parsed.value(), true);
    if (numeric.ok()) {
        dial_resolved(numeric, address, expected, std::move(done));
        return;
    }
    auto found = std::make_shared<Result<SocketAddress>>(numeric.error());
    worker().run([found, host_port = parsed.value()] { *found = resolve(host_port, false); },
                 [self = self_, found, address, expected, done = std::move(done)]() mutable {
                     if (*self != nullptr)
                         (*self)->dial_resolved(*found, address, expected, std::move(done));
                 });
}

WorkerPool &NetworkImpl::worker() {
    if (worker_ == nullptr) worker_ = std::make_unique<WorkerPool>(loop_, 1);
    return *worker_;
}

void NetworkImpl::dial_resolved(const Result<SocketAddress> &to, const std::string &address,
                                std::optional<PublicKey> expected, Done done) {
    if (!to.ok()) {
        later([done = std::move(done), why = to.error()] { done(why); });
        return;
    }
    auto session = Session::dial(*setup_, to->get(), to->size_bytes, address, expected);
    sessions_.emplace(session.get(), session);
    dials_[session.get()].push_back(std::move(done));
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
    dial(kept.address, std::nullopt, [this, &kept](const Result<PublicKey> &outcome) {
        if (outcome.ok() && up_.contains(outcome.value())) {
            kept.peer = outcome.value();
            kept.up_since_ms = system_clock().steady_ms();
            return;
        }
        if (!outcome.ok())
            log(LogLevel::kDebug, "p2p", kept.address, ": ", outcome.error().message);
        retry_kept(kept);
    });
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
