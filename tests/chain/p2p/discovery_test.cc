// SPDX-License-Identifier: BSD-3-Clause
//
// Daemons that find each other on loopback, and what strangers try with addresses.
#include <cstdlib>
#include <random>

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

#include "chain/base/file.h"
#include "chain/p2p/address_exchange.h"
#include "chain/p2p/limits.h"
#include "tests/chain/p2p/net_fixture.h"
#include "tests/chain/p2p/raw_peer.h"

namespace chain::p2p::test {
namespace {

class Discovery : public ::testing::Test {
protected:
    void SetUp() override {
        char folder[] = "/tmp/ompi-peers-XXXXXX";
        ASSERT_NE(mkdtemp(folder), nullptr);
        folder_ = folder;
    }
    void TearDown() override { static_cast<void>(remove_tree(folder_)); }
    Options options_with_book(const std::string &name) const {
        Options options = options_of();
        options.address_book_path = folder_ + "/" + name;
        return options;
    }
    std::string folder_;
};

TEST(AddressMessage, WorkedBytes) {
    const PeerAddress address = *parse_peer_address("20.0.0.1:7660");
    EXPECT_EQ(to_hex(format_address_message(AddressesWanted{})), "0a00");
    EXPECT_EQ(to_hex(format_address_message(AddressesAnswered{{address}})),
              "120b0a090a041400000110ec3b");
    EXPECT_EQ(to_hex(format_address_message(AddressAnnounced{address})), "1a090a041400000110ec3b");
    const PeerAddress v6 = *parse_peer_address("[2001:470::1]:7660");
    const auto again = parse_address_message(format_address_message(AddressAnnounced{v6}));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(std::get<AddressAnnounced>(*again).address, v6);
}

TEST(AddressMessage, NoiseIsRefusedOrWithinItsBounds) {
    const unsigned seed = std::random_device{}();
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    AddressesAnswered answer;
    for (int i = 0; i < 20; ++i)
        answer.addresses.push_back(*parse_peer_address("20.0.0." + std::to_string(i) + ":7660"));
    const Bytes made = format_address_message(answer);
    std::size_t understood = 0;
    for (int round = 0; round < 20'000; ++round) {
        Bytes altered = made;
        for (unsigned changes = 1 + random() % 4; changes > 0; --changes)
            altered[random() % altered.size()] = static_cast<char>(random());
        if (round % 5 == 0) altered.resize(random() % altered.size());
        const auto parsed = parse_address_message(altered);
        if (!parsed.ok()) {
            ASSERT_EQ(parsed.error().code, ErrorCode::kProtocol);
            continue;
        }
        ++understood;
        if (const auto *told = std::get_if<AddressesAnswered>(&*parsed)) {
            ASSERT_LE(told->addresses.size(), kMaxAnswerAddresses);
            for (const PeerAddress &address : told->addresses) ASSERT_NE(address.port, 0);
        }
    }
    EXPECT_GT(understood, 100u);
}

TEST_F(Discovery, FromOneSeedEverybodyFindsEverybodyAndAgainAfterARestart) {
    Loop loop;
    constexpr std::size_t kNodes = 5;
    std::vector<std::unique_ptr<Node>> nodes;
    nodes.push_back(std::make_unique<Node>(loop, options_with_book("0")));
    const std::string seed = nodes[0]->address();
    for (std::size_t i = 1; i < kNodes; ++i) {
        Options options = options_with_book(std::to_string(i));
        options.seeds = {"localhost" + seed.substr(seed.rfind(':'))};
        nodes.push_back(std::make_unique<Node>(loop, options));
    }
    const auto everybody = [&] {
        for (const auto &node : nodes)
            if ((*node)->peers().size() + 1 < nodes.size()) return false;
        return true;
    };
    ASSERT_TRUE(run_until(loop, everybody, 2 * kGenerousMs));
    // The third one comes back, with its book and without a seed; the first one is gone.
    nodes[2].reset();
    nodes.erase(nodes.begin() + 2);
    nodes.erase(nodes.begin());
    nodes.push_back(std::make_unique<Node>(loop, options_with_book("2")));
    ASSERT_TRUE(run_until(loop, everybody, 2 * kGenerousMs));
}

TEST_F(Discovery, WithoutBookAndSeedsNobodyIsDialled) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    Node c(loop, options_with_book("c"));
    ASSERT_TRUE(connect_now(loop, *a, b.address()).ok());
    ASSERT_TRUE(connect_now(loop, *c, b.address()).ok());
    run_for(loop, 1000);
    EXPECT_EQ(a->peers().size(), 1u);
    EXPECT_EQ(b->peers().size(), 2u);
}

TEST_F(Discovery, PlacesAreKeptForOutboundSessions) {
    Loop loop;
    Options options = options_of();
    options.peers_max = 3;
    options.outbound_target = 1;
    options.seeds = {"127.0.0.1:1"};  // where nobody listens
    Node hub(loop, options);
    Node friendly(loop, options_of());
    std::vector<std::unique_ptr<Node>> spokes;
    for (int i = 0; i < 6; ++i) {
        spokes.push_back(std::make_unique<Node>(loop, options_of()));
        static_cast<void>(connect_now(loop, **spokes.back(), hub.address()));
        run_for(loop, 50);
        EXPECT_LE(hub->peers().size(), 2u);
    }
    EXPECT_TRUE(connect_now(loop, *hub, friendly.address()).ok());
    EXPECT_EQ(hub->peers().size(), 3u);
}

// A network namespace in which this machine has addresses of several networks. Who dials one of
// them comes from the same one.
class ManyNetworks {
public:
    ManyNetworks() : before_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
        made_ = before_.valid() && unshare(CLONE_NEWNET) == 0;
        if (!made_) return;
        made_ = std::system("ip link set lo up") == 0;
        for (int i = 1; i <= 6 && made_; ++i)
            made_ = std::system(("ip address add " + host(i) + "/32 dev lo").c_str()) == 0;
    }
    ~ManyNetworks() {
        if (!before_.valid()) return;
        EXPECT_EQ(setns(before_.get(), CLONE_NEWNET), 0);
    }
    bool made() const { return made_; }
    static std::string host(int network) { return "20." + std::to_string(network) + ".0.1"; }

private:
    FileDescriptor before_;
    bool made_ = false;
};

TEST_F(Discovery, AFloodFromOneNetworkKeepsNobodyElseOut) {
    const ManyNetworks networks;
    if (!networks.made()) GTEST_SKIP() << "no network namespaces here, or not root";
    Loop loop;
    Options options = options_of();
    options.listen_address = "0.0.0.0";
    options.peers_max = 5;
    options.outbound_target = 1;
    options.seeds = {"127.0.0.1:1"};  // where nobody listens
    Node hub(loop, options);
    const std::string port = hub.address().substr(hub.address().rfind(':'));
    std::vector<std::unique_ptr<Node>> others;
    const auto join = [&](int network) {
        others.push_back(std::make_unique<Node>(loop, options_of()));
        static_cast<void>(connect_now(loop, **others.back(), ManyNetworks::host(network) + port));
        run_for(loop, 20);  // connected_at_ms tells them apart
        return hub->connected(others.back()->key());
    };
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(join(1));
    EXPECT_FALSE(join(1)) << "there are enough of them";
    EXPECT_TRUE(join(2));
    EXPECT_FALSE(hub->connected(others[3]->key())) << "the youngest made room";
    // A lease hangs on the next one in turn.
    ASSERT_TRUE(hub->send(others[2]->key(), wire::Topic::kTrade, "x").ok());
    EXPECT_TRUE(join(3));
    EXPECT_TRUE(hub->connected(others[2]->key()));
    EXPECT_FALSE(hub->connected(others[1]->key()));
    EXPECT_TRUE(join(4));
    EXPECT_FALSE(hub->connected(others[0]->key()));
    EXPECT_FALSE(join(5)) << "everybody is alone in his network";
    EXPECT_EQ(hub->peers().size(), 4u);
}

// A session of a stranger, and what comes back over it until it ends or the time is over.
std::string say(Loop &loop, Node &node, const std::string &words) {
    std::string heard;
    std::atomic<bool> finished = false;
    std::thread thread([&] {
        RawPeer raw(node.address());
        const KeyPair key = KeyPair::generate();
        if (raw.tls_as(Role::kClient)) {
            raw.write(frame_of(wire::Topic::kHello, make_hello(Role::kClient, raw.secret(),
                                                               options_of().chain_id, key, 0, "")));
            raw.write(words);
            for (int i = 0; i < 20; ++i) {
                const std::string piece = raw.read_some();
                if (piece.empty()) break;
                heard += piece;
                if (heard.find("until here") != std::string::npos) break;
            }
        }
        finished = true;
    });
    EXPECT_TRUE(run_until(
        loop, [&] { return finished.load(); }, 2 * kGenerousMs));
    thread.join();
    return heard;
}

std::string addresses_frame(const AddressMessage &message) {
    return frame_of(wire::Topic::kAddresses, format_address_message(message));
}

// The addresses of the one answer in `heard`.
std::vector<PeerAddress> answered(std::string_view heard) {
    while (heard.size() >= 5) {
        const std::size_t size = read_u32_le(heard);
        if (heard.size() < 4 + size) break;
        if (heard[4] == static_cast<char>(wire::Topic::kAddresses)) {
            const auto message = parse_address_message(heard.substr(5, size - 1));
            EXPECT_TRUE(message.ok());
            if (const auto *answer = std::get_if<AddressesAnswered>(&*message))
                return answer->addresses;
        }
        heard.remove_prefix(4 + size);
    }
    ADD_FAILURE() << "no answer";
    return {};
}

TEST_F(Discovery, AnAnswerHoldsSomeAndOnlyWhatTheOtherMayBeTold) {
    Options options = options_with_book("told");
    options.outbound_target = 0;  // these addresses are not to be dialled
    AddressBook book(system_clock());
    for (int i = 0; i < 60; ++i) {
        const PeerAddress teller = *parse_peer_address("30." + std::to_string(i) + ".0.1:1");
        for (int j = 0; j < 10; ++j)
            book.add(*parse_peer_address("5" + std::to_string(j) + "." + std::to_string(i) +
                                         ".0.2:7660"),
                     &teller);
    }
    ASSERT_GT(book.size(), 2 * kMaxAnswerAddresses);
    write_address_book(options.address_book_path, book.format());
    Loop loop;
    Node node(loop, options);
    const std::string question =
        addresses_frame(AddressesWanted{}) + frame_of(wire::Topic::kPing, "until here");
    const auto first = answered(say(loop, node, question));
    const auto second = answered(say(loop, node, question));
    EXPECT_EQ(first.size(), kMaxAnswerAddresses);
    EXPECT_NE(first, second) << "another choice each time";
    for (const PeerAddress &address : first) EXPECT_NE(book.find(address), nullptr);
}

TEST_F(Discovery, ViolationsOfTheExchangeEndTheSession) {
    Loop loop;
    Options options = options_with_book("book");
    options.outbound_target = 0;
    Node node(loop, options);
    const PeerAddress address = *parse_peer_address("20.0.0.1:7660");
    AddressesAnswered many;
    many.addresses.assign(kMaxAnswerAddresses + 1, address);
    AddressesAnswered far_too_many;
    far_too_many.addresses.assign(4000, address);
    struct Case {
        std::string words;
        const char *answer;
    };
    const Case cases[] = {
        {addresses_frame(AddressesAnswered{{address}}), "nobody asked for"},
        {addresses_frame(AddressesAnswered{}), "nobody asked for"},
        {addresses_frame(many), "251 addresses exceed the limit of 250"},
        {addresses_frame(far_too_many), "exceeds the limit of 8192"},
        {addresses_frame(AddressesWanted{}) + addresses_frame(AddressesWanted{}), "once"},
        {frame_of(wire::Topic::kAddresses, ""), "nothing in it"},
        {frame_of(wire::Topic::kAddresses, "\xff\xff"), "malformed"},
        {addresses_frame(AddressAnnounced{}), "with port 0"},
    };
    for (const Case &c : cases) {
        const std::string heard = say(loop, node, c.words);
        EXPECT_NE(heard.find(c.answer), std::string::npos)
            << c.answer << ": " << printable(heard, 400);
        ASSERT_TRUE(run_until(loop, [&] { return node->peers().empty(); }));
    }
}

TEST_F(Discovery, WhoBreaksTheProtocolIsNotAcceptedAgainButForOne) {
    Loop loop;
    Options options = options_of();
    options.discourage_loopback = true;
    Node node(loop, options);
    Node friendly(loop, options_of());
    // What comes before a key is proved is nobody's fault.
    Node other_chain(loop, options_of(2));
    EXPECT_FALSE(connect_now(loop, *other_chain, node.address()).ok());
    ASSERT_TRUE(connect_now(loop, *friendly, node.address()).ok());
    const std::string heard = say(loop, node, frame_of(99, "x"));
    EXPECT_NE(heard.find("unknown topic 99"), std::string::npos);
    EXPECT_EQ(say(loop, node, frame_of(wire::Topic::kPing, "until here")), "");
    // Who was there stays, and whoever names an address reaches it.
    EXPECT_TRUE(node->connected(friendly.key()));
    Node third(loop, options_of());
    EXPECT_FALSE(connect_now(loop, *third, node.address()).ok());
    EXPECT_TRUE(connect_now(loop, *node, third.address()).ok());
}

TEST_F(Discovery, AnAnnouncementGoesToAFewAndFloodsNobody) {
    Loop loop;
    Options options = options_with_book("hub");
    options.outbound_target = 0;
    Node hub(loop, options);
    std::vector<std::unique_ptr<Node>> spokes;
    for (int i = 0; i < 5; ++i) {
        Options of_spoke = options_with_book("s" + std::to_string(i));
        of_spoke.outbound_target = 0;
        of_spoke.listen = false;
        spokes.push_back(std::make_unique<Node>(loop, of_spoke));
        ASSERT_TRUE(connect_now(loop, **spokes.back(), hub.address()).ok());
    }
    std::string words;
    for (int i = 0; i < 100; ++i)
        words += addresses_frame(
            AddressAnnounced{*parse_peer_address("20." + std::to_string(i) + ".0.1:7660")});
    say(loop, hub, words + frame_of(wire::Topic::kPing, "until here"));
    run_for(loop, 200);
    std::map<PeerAddress, std::size_t> heard_by;
    hub.stop();
    std::size_t spoke_count = 0;
    for (auto &spoke : spokes) {
        spoke->stop();
        const auto book =
            open_address_book(system_clock(), folder_ + "/s" + std::to_string(spoke_count++));
        for (const PeerAddress &address :
             book->sample(1000, [](const AddressEntry &entry) { return !entry.tried; }))
            ++heard_by[address];
    }
    EXPECT_EQ(heard_by.size(), kAnnouncesBurst);
    for (const auto &[address, count] : heard_by)
        EXPECT_EQ(count, kAnnouncePassedOnTo) << to_text(address);
}

}  // namespace
}  // namespace chain::p2p::test
