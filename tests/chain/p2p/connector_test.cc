// SPDX-License-Identifier: BSD-3-Clause
//
// Whom a Connector dials, in a network that is only made up.
#include <random>

#include "chain/p2p/connector.h"
#include "chain/p2p/limits.h"
#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {
namespace {

constexpr std::uint64_t kPauseMs = 20;

PeerAddress at(const std::string &text) {
    return parse_peer_address(text).value();
}

PublicKey key_of(std::uint32_t number) {
    PublicKey key{};
    for (std::size_t i = 0; i < 4; ++i) key[i] = static_cast<std::uint8_t>(number >> 8 * i);
    key[31] = 1;
    return key;
}

// Peers at addresses, of which each answers or not, and says so from the loop.
class MadeUpNetwork : public Dialler {
public:
    explicit MadeUpNetwork(Loop &loop) : loop_(loop) {}

    void dial(const std::string &host_port, std::function<void(Result<PublicKey>)> done) override {
        dialled.push_back(host_port);
        loop_.post([this, host_port, done = std::move(done)] {
            const auto found = peers.find(host_port);
            if (found == peers.end()) {
                done(make_error(ErrorCode::kPeerLost, "nobody there"));
                return;
            }
            up[found->second] = parse_peer_address(host_port).value_or(at("8.8.8.8:1"));
            done(found->second);
        });
    }
    bool connected(const PublicKey &peer) const override { return up.contains(peer); }
    std::set<PeerAddress> connected_addresses() const override {
        std::set<PeerAddress> addresses;
        for (const auto &[key, address] : up) addresses.insert(address);
        return addresses;
    }
    std::optional<PeerAddress> dialled_address(const PublicKey &peer) const override {
        const auto found = up.find(peer);
        return found == up.end() ? std::nullopt : std::optional(found->second);
    }
    bool is_discouraged(const PeerAddress &address) const override {
        return discouraged.contains(address);
    }
    bool is_own(const PeerAddress &address) const override { return address == own; }

    std::map<std::string, PublicKey> peers;
    std::map<PublicKey, PeerAddress> up;
    std::set<PeerAddress> discouraged;
    PeerAddress own;
    std::vector<std::string> dialled;

private:
    Loop &loop_;
};

TEST(Connector, HasAsManyAsItWantsAndOnePerGroup) {
    Loop loop;
    const ManualClock clock;
    AddressBook book(clock);
    MadeUpNetwork network(loop);
    std::uint32_t number = 0;
    for (int group = 1; group <= 6; ++group)
        for (int host = 1; host <= 40; ++host) {
            const std::string address =
                "20." + std::to_string(group) + ".0." + std::to_string(host) + ":7660";
            network.peers[address] = key_of(++number);
            // Told by many, so that all of a group find room.
            const PeerAddress teller = at("30." + std::to_string(host) + ".0.1:1");
            book.add(at(address), &teller);
        }
    network.discouraged.insert(at("20.1.0.1:7660"));
    network.own = at("20.2.0.1:7660");
    Connector connector(loop, system_clock(), network, &book, {}, 4, kPauseMs);
    ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 4; }));
    run_for(loop, 3 * kPauseMs);
    EXPECT_EQ(connector.chosen_count(), 4u) << "no more than it wants";
    std::set<Bytes> groups;
    for (const auto &[key, address] : network.up) groups.insert(network_group(address));
    EXPECT_EQ(groups.size(), 4u);
    for (const std::string &dialled : network.dialled) {
        EXPECT_NE(dialled, "20.1.0.1:7660");
        EXPECT_NE(dialled, "20.2.0.1:7660");
    }
    // One goes: another comes in its place.
    const PublicKey gone = network.up.begin()->first;
    network.up.erase(gone);
    connector.peer_left(gone);
    EXPECT_EQ(connector.chosen_count(), 3u);
    ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 4; }));
}

TEST(Connector, ManyOfOneLocalNetworkAndEachPeerOnce) {
    Loop loop;
    const ManualClock clock;
    AddressBook book(clock);
    MadeUpNetwork network(loop);
    for (std::uint32_t i = 1; i <= 3; ++i) {
        const std::string address = "10.0.0." + std::to_string(i) + ":7660";
        network.peers[address] = key_of(i);
        book.add(at(address), nullptr);
    }
    // The same peer as the first one, at another address.
    network.peers["10.0.0.9:7660"] = key_of(1);
    book.add(at("10.0.0.9:7660"), nullptr);
    Connector connector(loop, system_clock(), network, &book, {}, 8, kPauseMs);
    ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 3; }));
    run_for(loop, 4 * kPauseMs);
    EXPECT_LE(network.dialled.size(), 4u);
}

TEST(Connector, SeedsWhenThereIsNothingElseAndWhenNothingElseWorks) {
    Loop loop;
    const ManualClock clock;
    AddressBook book(clock);
    MadeUpNetwork network(loop);
    network.peers["seed.example:7660"] = key_of(1);
    {
        Connector connector(loop, system_clock(), network, &book,
                            {"gone.example:7660", "seed.example:7660"}, 2, kPauseMs);
        ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 1; }));
    }
    // Addresses that nobody answers at, and without an own session no failure counts against them.
    network.up.clear();
    network.dialled.clear();
    for (int i = 1; i <= 50; ++i) {
        const PeerAddress teller = at("30." + std::to_string(i) + ".0.1:1");
        book.add(at("40." + std::to_string(i) + ".0.1:7660"), &teller);
    }
    Connector connector(loop, system_clock(), network, &book, {"seed.example:7660"}, 2, kPauseMs);
    ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 1; }));
    EXPECT_GE(network.dialled.size(), kMissesBeforeSeed);
    EXPECT_LE(network.dialled.size(), kMissesBeforeSeed + kDialsAtOnce);
    EXPECT_EQ(book.size(), 50u);
}

TEST(Connector, WithoutATargetItIsSilentAndNeighboursComeFirst) {
    Loop loop;
    MadeUpNetwork network(loop);
    network.peers["seed.example:7660"] = key_of(1);
    network.peers["10.0.0.1:7660"] = key_of(2);
    Connector silent(loop, system_clock(), network, nullptr, {"seed.example:7660"}, 0, kPauseMs);
    run_for(loop, 2 * kPauseMs);
    EXPECT_TRUE(network.dialled.empty());
    Connector connector(loop, system_clock(), network, nullptr, {"seed.example:7660"}, 2, kPauseMs);
    for (int i = 1; i <= 100; ++i)
        connector.found_nearby(at("10.0.0." + std::to_string(i) + ":7660"));
    ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 1; }));
    EXPECT_EQ(network.dialled.front(), "10.0.0.1:7660");
    ASSERT_TRUE(run_until(loop, [&] { return connector.chosen_count() == 2; }));
    EXPECT_LE(network.dialled.size(), kFoundMax + 2);
}

}  // namespace
}  // namespace chain::p2p::test
