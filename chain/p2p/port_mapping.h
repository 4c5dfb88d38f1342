// SPDX-License-Identifier: BSD-3-Clause
//
// PortMapping: asks the router in front of this machine to pass a TCP port of its public address on
// to us, by NAT-PMP (RFC 6886), and where that has no answer by UPnP IGD. The lease is renewed at
// half its life, and given back at the end.
//
// Owner: the loop's thread. Everything that waits happens on a thread of its own. What the router
// says is believed as far as it goes: an address that others try, and that is no use to them if it
// was a lie.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chain/base/clock.h"
#include "chain/base/loop.h"
#include "chain/p2p/limits.h"
#include "chain/p2p/peer_address.h"

namespace chain::p2p {

struct MappedPort {
    PeerAddress outside;
    std::uint32_t lifetime_s = 0;  // 0: until it is removed
};

// One way to a router. Each call blocks, for some seconds at most.
class PortMapper {
public:
    virtual ~PortMapper() = default;
    virtual const char *name() const = 0;
    // `port` from outside to `port` of this machine; the router may choose another one outside.
    // Also renews. Errors: kNotFound (no such router), kTimeout, kRefused.
    virtual Result<MappedPort> map(std::uint16_t port, std::uint32_t lifetime_s) = 0;
    virtual void remove(std::uint16_t port, const MappedPort &mapped) = 0;
};

// Those that this program was built with, in the order in which they are tried.
std::vector<std::unique_ptr<PortMapper>> port_mappers();

class PortMapping {
public:
    // `changed` gets the address outside, or nothing when it is lost.
    using Changed = std::function<void(const std::optional<PeerAddress> &)>;
    PortMapping(Loop &loop, std::uint16_t port, std::vector<std::unique_ptr<PortMapper>> mappers,
                Changed changed, std::uint64_t pause_min_ms = kMappingPauseMinMs);
    ~PortMapping();  // removes the mapping: waits for that, some seconds at most

private:
    // What the worker does, shared with it: it touches the rest of this in its jobs only.
    struct Work {
        std::uint16_t port;
        std::vector<std::unique_ptr<PortMapper>> mappers;
        std::size_t used = 0;  // index of the mapper that made `mapped`
        std::optional<MappedPort> mapped;
        std::string why_not;
        void renew();
        void remove();
    };
    void ask();
    void answered();

    Loop &loop_;
    const Changed changed_;
    const std::uint64_t pause_min_ms_;  // whatever lifetime the router gives
    const std::shared_ptr<Work> work_;
    std::optional<PeerAddress> told_;
    bool warned_ = false;
    LoopHandle timer_;
    std::unique_ptr<WorkerPool> worker_;
    std::shared_ptr<PortMapping *> self_;  // empty target once destroyed: for what was posted
};

}  // namespace chain::p2p
