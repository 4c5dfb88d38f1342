// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/discouraged.h"

#include "chain/p2p/limits.h"

namespace chain::p2p {
namespace {

Bytes host_key(const PeerAddress &address) {
    constexpr std::size_t kV6CustomerBytes = 8;
    return Bytes(reinterpret_cast<const char *>(address.host.data()),
                 address.is_v4() ? address.host.size() : kV6CustomerBytes);
}

}  // namespace

void Discouraged::add(const PeerAddress &address) {
    if (reach_of(address) == Reach::kLoopback && !loopback_too_) return;
    const Bytes key = host_key(address);
    if (until_ms_.erase(key) > 0) std::erase(oldest_first_, key);
    until_ms_[key] = clock_.steady_ms() + kDiscourageMs;
    oldest_first_.push_back(key);
    while (oldest_first_.size() > kDiscouragedMax ||
           until_ms_[oldest_first_.front()] <= clock_.steady_ms()) {
        until_ms_.erase(oldest_first_.front());
        oldest_first_.pop_front();
    }
}

bool Discouraged::contains(const PeerAddress &address) const {
    const auto found = until_ms_.find(host_key(address));
    return found != until_ms_.end() && clock_.steady_ms() < found->second;
}

}  // namespace chain::p2p
