// SPDX-License-Identifier: BSD-3-Clause
//
// Networks on one loop, with real sockets on loopback.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/p2p/network.h"

namespace chain::p2p::test {

inline constexpr std::uint64_t kGenerousMs = 10'000;

// Runs `loop` until `ready()`; false after `limit_ms`.
inline bool run_until(Loop &loop, const std::function<bool()> &ready,
                      std::uint64_t limit_ms = kGenerousMs) {
    if (ready()) return true;
    bool in_time = true;
    const LoopHandle poll = loop.every_ms(2, [&] {
        if (ready()) loop.stop();
    });
    const LoopHandle limit = loop.after_ms(limit_ms, [&] {
        in_time = false;
        loop.stop();
    });
    loop.run();
    return in_time || ready();
}

inline void run_for(Loop &loop, std::uint64_t ms) {
    run_until(
        loop, [] { return false; }, ms);
}

struct PeerEvent {
    PublicKey peer;
    bool up;
    std::string why;
};

// One daemon's worth of networking, which notes everything that it is told.
class Node {
public:
    Node(Loop &loop, const Options &options, KeyPair key = KeyPair::generate())
        : key_(std::move(key)) {
        auto started = Network::start(loop, key_, options);
        EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message);
        network_ = std::move(started).value();
        network_->on_peer([this](const PublicKey &peer, bool up, const std::string &why) {
            events.push_back({peer, up, why});
        });
        network_->on_message(wire::Topic::kGossip,
                             [this](const PublicKey &, std::string_view payload) {
                                 messages.emplace_back(payload);
                             });
    }
    Network *operator->() { return network_.get(); }
    Network &operator*() { return *network_; }
    const PublicKey &key() const { return key_.public_key(); }
    KeyPair &pair() { return key_; }
    std::string address() const { return network_->listen_address(); }
    void stop() { network_.reset(); }
    std::size_t count(bool up) const {
        std::size_t found = 0;
        for (const auto &event : events) found += event.up == up;
        return found;
    }

    std::vector<PeerEvent> events;
    std::vector<std::string> messages;

private:
    KeyPair key_;
    std::unique_ptr<Network> network_;
};

inline Options options_of(std::uint8_t chain = 1) {
    Options options;
    options.chain_id.fill(chain);
    options.software = "test/1";
    return options;
}

// One connect(), waited for.
inline Result<PublicKey> connect_now(Loop &loop, Network &from, const std::string &address,
                                     const PublicKey *expected = nullptr) {
    std::optional<Result<PublicKey>> outcome;
    from.connect(address, expected,
                 [&](Result<PublicKey> got) { outcome.emplace(std::move(got)); });
    EXPECT_FALSE(outcome.has_value()) << "done() from inside connect()";
    if (!run_until(
            loop, [&] { return outcome.has_value(); }, 2 * kGenerousMs))
        return make_error(ErrorCode::kInternal, "connect() never ended");
    return *outcome;
}

}  // namespace chain::p2p::test
