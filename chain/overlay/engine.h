// SPDX-License-Identifier: BSD-3-Clause
//
// Engine: one member's end of the network of a lease. Passes packets between its device and the
// channels to the other members; where two members cannot reach each other, the renter's engine
// passes theirs on. The renter's has a device only if the job has ranks on its machine, and lets
// nothing in but what is between ranks. A thread of its own: what ranks say to each other waits
// for nothing that the daemon does.
//
// A packet is taken from a channel only if its sender's address is the channel's member's, or any
// member's where the channel is the renter's; what is for nobody here is dropped.
//
// Thread-safe. Limits: two channels for each member, one of each direction of dialling;
// kEngineQueueBytesMax that wait to be sent, and those of Link. A channel that was silent for
// kSilentAfterMs is closed.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/overlay/address.h"
#include "chain/overlay/link.h"

namespace chain::overlay {

inline constexpr std::uint64_t kPingEveryMs = 1'000;
inline constexpr std::uint64_t kSilentAfterMs = 3'000;
inline constexpr std::size_t kEngineQueueBytesMax = 64u << 20;  // on all links together

class Engine {
public:
    // `on_change`: the member has answered over a channel; or its channel is gone, why, and no
    // other one with it is left. From the loop, and never after the engine is destroyed.
    using ChangeHandler =
        std::function<void(std::uint32_t member, bool up, const std::string &why)>;
    Engine(Loop &loop, std::uint32_t own, std::uint32_t member_count, ChangeHandler on_change);
    ~Engine();
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;

    // As of enter_lease_network.
    void attach(FileDescriptor device);
    // `dialled`: by this side. An earlier one of that direction makes room.
    void add_channel(std::uint32_t member, bool dialled, p2p::Channel channel);
    // While there is no channel with the member: its packets go through the renter.
    void pass_through_renter(std::uint32_t member);

    struct Counters {
        std::uint64_t sent_packets = 0;  // into channels, passed on ones too
        std::uint64_t sent_bytes = 0;
        std::uint64_t received_packets = 0;  // into the device
        std::uint64_t received_bytes = 0;
        std::uint64_t passed_packets = 0;   // from a channel into another one
        std::uint64_t dropped_packets = 0;  // no way, no room, or not what it should be
    };
    Counters counters() const;
    // To a member and back, over the channel that is taken; 0: not known (chain/base/round_trip.h).
    std::uint32_t round_trip_us(std::uint32_t member) const;

private:
    struct Way {
        std::unique_ptr<Link> link;
        std::uint64_t heard_at_ms = 0;
        bool is_up = false;  // the other side has taken it, and answers
        bool waits_to_send = false;
    };
    struct Member {
        std::array<Way, 2> ways;  // dialled by the other, dialled by us
        bool through_renter = false;
    };

    void run();
    void post(std::function<void()> command);
    void take_commands();
    void read_device();
    void read_way(std::uint32_t member, std::size_t direction);
    void take_packet(std::uint32_t from, char *room, std::size_t packet_bytes);
    void send_to(std::uint32_t member, char *room, std::size_t packet_bytes);
    Way *way_to(std::uint32_t member);
    void tell(std::uint32_t member, bool up, const std::string &why);
    void watch(Way &way, std::uint32_t member, std::size_t direction, int operation);
    // Of that link, by what `work` does with it.
    template <typename Work>
    auto counting(Link &link, Work work);
    void lose(std::uint32_t member, std::size_t direction, const std::string &why);
    bool ping(Way &way);
    void tick();
    void count(std::atomic<std::uint64_t> &counter, std::uint64_t by = 1) {
        counter.fetch_add(by, std::memory_order_relaxed);
    }

    Loop &loop_;
    const Clock &clock_ = system_clock();
    const std::uint32_t own_;
    const std::shared_ptr<ChangeHandler> on_change_;  // emptied when this is destroyed

    // The thread's own.
    std::vector<Member> members_;
    FileDescriptor device_;
    FileDescriptor epoll_;
    std::vector<char> room_;   // a packet from the device
    std::vector<char> input_;  // what is read of a link
    std::uint64_t ticked_at_ms_ = 0;
    std::size_t queued_bytes_ = 0;  // of all links
    bool stops_ = false;

    // Shared.
    FileDescriptor wake_;
    std::mutex mutex_;
    std::vector<std::function<void()>> commands_;
    std::atomic<std::uint64_t> sent_packets_{0};
    std::atomic<std::uint64_t> sent_bytes_{0};
    std::atomic<std::uint64_t> received_packets_{0};
    std::atomic<std::uint64_t> received_bytes_{0};
    std::atomic<std::uint64_t> passed_packets_{0};
    std::atomic<std::uint64_t> dropped_packets_{0};
    std::vector<std::atomic<std::uint32_t>> round_trips_us_;  // of members
    std::thread thread_;
};

}  // namespace chain::overlay
