// SPDX-License-Identifier: BSD-3-Clause
//
// Both ends of channels, between two Networks on loopback.
#pragma once

#include <optional>
#include <utility>

#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {

class ChannelMaker {
public:
    explicit ChannelMaker(Loop &loop)
        : loop_(loop), dials_(loop, options_of()), takes_(loop, options_of()) {
        takes_->on_channel([this](const PublicKey &, std::string_view, Channel channel) {
            taken_.emplace(std::move(channel));
        });
    }
    // Of who dialled, and of who took it.
    std::pair<Channel, Channel> make() {
        std::optional<Result<Channel>> dialled;
        dials_->open_channel(takes_.address(), takes_.key(), "test", true,
                             [&](Result<Channel> channel) { dialled.emplace(std::move(channel)); });
        EXPECT_TRUE(run_until(loop_, [&] { return dialled && taken_; }));
        std::pair<Channel, Channel> ends(std::move(**dialled), std::move(*taken_));
        taken_.reset();
        return ends;
    }

private:
    Loop &loop_;
    Node dials_;
    Node takes_;
    std::optional<Channel> taken_;
};

// All of it, with patience. False: the channel broke.
inline bool write_all(Channel &channel, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto put = channel.write(bytes.data(), bytes.size());
        if (!put.ok()) return false;
        bytes.remove_prefix(*put);
        if (*put == 0) usleep(200);
    }
    return true;
}

// So much of it, or what came within the time.
inline std::string read_bytes(Channel &channel, std::size_t size_bytes,
                              std::uint64_t limit_ms = kGenerousMs) {
    std::string all;
    const std::uint64_t until_ms = system_clock().steady_ms() + limit_ms;
    while (all.size() < size_bytes && system_clock().steady_ms() < until_ms) {
        char buffer[16384];
        const auto got = channel.read(buffer, std::min(sizeof buffer, size_bytes - all.size()));
        if (!got.ok()) break;
        all.append(buffer, *got);
        if (*got == 0) usleep(200);
    }
    return all;
}

}  // namespace chain::p2p::test
