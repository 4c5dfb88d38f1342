// SPDX-License-Identifier: BSD-3-Clause
//
// Engines over real channels; a pair of sockets stands for the device, where the kernel would be.
#include "chain/overlay/engine.h"

#include <cstring>
#include <map>
#include <random>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "chain/overlay/packet.h"
#include "tests/chain/overlay/packets.h"
#include "tests/chain/p2p/channel_pair.h"

namespace chain::overlay::test {
namespace {

using p2p::test::ChannelMaker;
using p2p::test::run_for;
using p2p::test::run_until;

struct Change {
    std::uint32_t member;
    bool up;
    std::string why;
};

// A member: an engine, and the kernel's end of its device.
struct Host {
    Host(Loop &loop, std::uint32_t own, std::uint32_t members, bool has_device = true)
        : engine(loop, own, members, [this](std::uint32_t member, bool up, const std::string &why) {
              changes.push_back({member, up, why});
          }) {
        if (!has_device) return;
        int ends[2];
        CHAIN_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        kernel = FileDescriptor(ends[0]);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        engine.attach(FileDescriptor(ends[1]));
    }
    bool send(const std::string &packet) {
        std::string bytes(sizeof(OffloadHeader), '\0');
        bytes += packet;
        return ::send(kernel.get(), bytes.data(), bytes.size(), 0) ==
               static_cast<ssize_t>(bytes.size());
    }
    // "": none came in time.
    std::string receive(int limit_ms = 5'000) {
        pollfd ready{kernel.get(), POLLIN, 0};
        if (poll(&ready, 1, limit_ms) != 1) return {};
        std::string bytes(sizeof(OffloadHeader) + kPacketBytesMax, '\0');
        const ssize_t got = recv(kernel.get(), bytes.data(), bytes.size(), 0);
        return got < 0 ? ""
                       : bytes.substr(sizeof(OffloadHeader),
                                      static_cast<std::size_t>(got) - sizeof(OffloadHeader));
    }
    bool is_up(std::uint32_t member) const {
        bool up = false;
        for (const Change &change : changes)
            if (change.member == member) up = change.up;
        return up;
    }

    std::vector<Change> changes;
    FileDescriptor kernel;
    Engine engine;
};

// What a member says that has taken a channel and was asked whether it is there.
std::string answer() {
    std::string mark;
    append_u32_le(mark, kHereMark);
    return mark;
}

// As a member that has taken the channel: answers the first questions.
void take_up(p2p::Channel &mine) {
    for (int question = 0; question < 3; ++question) {
        ASSERT_EQ(p2p::test::read_bytes(mine, 4, 1'000), std::string(4, '\0'));
        ASSERT_TRUE(p2p::test::write_all(mine, answer()));
    }
}

// `one` dials `other`.
void join(Loop &loop, ChannelMaker &maker, Host &one, std::uint32_t one_number, Host &other,
          std::uint32_t other_number) {
    auto [dialled, taken] = maker.make();
    one.engine.add_channel(other_number, true, std::move(dialled));
    other.engine.add_channel(one_number, false, std::move(taken));
    ASSERT_TRUE(
        run_until(loop, [&] { return one.is_up(other_number) && other.is_up(one_number); }));
}

TEST(Engine, PacketsGoToWhoTheyAreFor) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 4), two(loop, 2, 4), three(loop, 3, 4);
    join(loop, maker, two, 2, one, 1);
    join(loop, maker, three, 3, one, 1);
    join(loop, maker, three, 3, two, 2);
    for (const std::size_t size : {1u, 8u, 1'000u, 16'384u, 65'515u}) {
        const std::string packet = make_packet(1, 3, std::string(size, 'a'));
        ASSERT_TRUE(one.send(packet));
        EXPECT_TRUE(three.receive() == packet) << size;
        const std::string answer = make_packet(3, 1, std::string(size, 'b'));
        ASSERT_TRUE(three.send(answer));
        EXPECT_TRUE(one.receive() == answer) << size;
    }
    EXPECT_EQ(two.receive(20), "");
    const Engine::Counters counters = one.engine.counters();
    EXPECT_EQ(counters.sent_packets, 5u);
    EXPECT_EQ(counters.received_packets, 5u);
    EXPECT_EQ(counters.dropped_packets, 0u);
}

// What a program in a lease may send, and what another member may claim.
TEST(Engine, DropsWhatIsForNobodyOrFromSomebodyElse) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 4), two(loop, 2, 4);
    join(loop, maker, two, 2, one, 1);
    std::string to_lan = make_packet(1, 2, "x");
    put_address(to_lan, 16, 0xc0a80001);  // 192.168.0.1
    std::string fragment_of_ipv6 = make_packet(1, 2, "x");
    fragment_of_ipv6[0] = 0x60;
    std::uint64_t dropped = 0;
    for (const std::string &packet :
         {to_lan, fragment_of_ipv6, make_packet(1, 1, "own"), make_packet(1, 3, "not there"),
          make_packet(1, 0, "the renter"), make_packet(1, 4, "no member"), std::string("x")}) {
        ASSERT_TRUE(one.send(packet));
        ++dropped;
        EXPECT_TRUE(run_until(loop, [&] {
            return one.engine.counters().dropped_packets == dropped;
        })) << dropped;
    }
    // The receiver looks again: its peer may be anybody's program.
    std::string from_lan = make_packet(2, 1, "x");
    put_address(from_lan, 12, 0xc0a80001);
    dropped = one.engine.counters().dropped_packets;
    for (const std::string &packet :
         {from_lan, make_packet(3, 1, "as another"), make_packet(1, 1, "as you"),
          make_packet(2, 3, "for another")}) {
        auto [mine, theirs] = maker.make();
        one.engine.add_channel(2, false, std::move(theirs));
        std::string frame;
        append_u32_le(frame, static_cast<std::uint32_t>(packet.size()));
        ASSERT_TRUE(p2p::test::write_all(mine, frame + packet));
        ++dropped;
        EXPECT_TRUE(run_until(loop, [&] {
            return one.engine.counters().dropped_packets == dropped;
        })) << dropped;
    }
    EXPECT_EQ(one.receive(20), "");
}

TEST(Engine, AFrameThatIsNoneEndsTheChannel) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 3);
    auto [mine, theirs] = maker.make();
    one.engine.add_channel(2, false, std::move(theirs));
    take_up(mine);
    ASSERT_TRUE(run_until(loop, [&] { return one.is_up(2); }));
    std::string frame;
    append_u32_le(frame, kPacketBytesMax + 1);
    ASSERT_TRUE(p2p::test::write_all(mine, frame));
    ASSERT_TRUE(run_until(loop, [&] { return one.changes.size() == 2; }));
    EXPECT_TRUE(one.changes[0].up);
    EXPECT_FALSE(one.changes[1].up);
    EXPECT_NE(one.changes[1].why.find("65536"), std::string::npos) << one.changes[1].why;
}

TEST(Engine, TheRenterPassesOnBetweenThoseWhoCannotReachEachOther) {
    Loop loop;
    ChannelMaker maker(loop);
    Host renter(loop, 0, 4, false), one(loop, 1, 4), two(loop, 2, 4);
    join(loop, maker, one, 1, renter, 0);
    join(loop, maker, renter, 0, two, 2);
    const std::string packet = make_packet(1, 2, "by way of the renter");
    ASSERT_TRUE(one.send(packet));
    EXPECT_EQ(two.receive(50), "") << "nobody asked for that";
    one.engine.pass_through_renter(2);
    ASSERT_TRUE(run_until(loop, [&] {
        one.send(packet);
        return two.receive(20) == packet;
    }));
    EXPECT_GE(renter.engine.counters().passed_packets, 1u);
    // Whoever uses it says who it is.
    const std::uint64_t dropped = renter.engine.counters().dropped_packets;
    auto [mine, theirs] = maker.make();
    renter.engine.add_channel(1, true, std::move(theirs));
    const std::string spoofed = make_packet(3, 2, "as another");
    std::string frame;
    append_u32_le(frame, static_cast<std::uint32_t>(spoofed.size()));
    ASSERT_TRUE(p2p::test::write_all(mine, frame + spoofed));
    EXPECT_TRUE(
        run_until(loop, [&] { return renter.engine.counters().dropped_packets > dropped; }));
    while (!two.receive(20).empty()) continue;
    // A better way is taken once it is there.
    const std::uint64_t passed = renter.engine.counters().passed_packets;
    join(loop, maker, two, 2, one, 1);
    ASSERT_TRUE(one.send(packet));
    EXPECT_EQ(two.receive(), packet);
    EXPECT_EQ(renter.engine.counters().passed_packets, passed);
}

TEST(Engine, ALostChannelIsSaidOnceAndMayBeReplaced) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 3), two(loop, 2, 3);
    join(loop, maker, two, 2, one, 1);
    join(loop, maker, one, 1, two, 2);  // the other direction as well
    EXPECT_EQ(one.changes.size(), 1u) << "there is a way already";
    {
        auto [mine, theirs] = maker.make();
        one.engine.add_channel(2, false, std::move(theirs));
        take_up(mine);
        run_for(loop, 50);
    }  // closed: the other one of the two is left
    run_for(loop, 50);
    EXPECT_TRUE(one.is_up(2));
    const std::string packet = make_packet(2, 1, "goes on");
    ASSERT_TRUE(two.send(packet));
    EXPECT_EQ(one.receive(), packet);
}

TEST(Engine, SilenceEndsAChannelAfterThreeSeconds) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 3);
    auto [mine, theirs] = maker.make();
    one.engine.add_channel(2, false, std::move(theirs));
    take_up(mine);
    ASSERT_TRUE(run_until(loop, [&] { return one.is_up(2); }));
    const std::uint64_t began_ms = system_clock().steady_ms();
    ASSERT_TRUE(run_until(loop, [&] { return !one.is_up(2); }));
    EXPECT_GE(system_clock().steady_ms() - began_ms, kSilentAfterMs - 10);
    EXPECT_NE(one.changes.back().why.find("silent"), std::string::npos);
    // Until then it has asked once more, and waited for the answer.
    EXPECT_EQ(p2p::test::read_bytes(mine, 8, 100), std::string(4, '\0'));
}

// Words are not enough: a member that never answers may not have taken the channel.
TEST(Engine, AMemberIsUpOnceItAnswers) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 3);
    auto [mine, theirs] = maker.make();
    one.engine.add_channel(2, false, std::move(theirs));
    ASSERT_TRUE(p2p::test::write_all(mine, std::string(4, '\0')));    // asks, itself
    const std::string heard = p2p::test::read_bytes(mine, 8, 1'000);  // in either order
    EXPECT_TRUE(heard == std::string(4, '\0') + answer() ||
                heard == answer() + std::string(4, '\0'));
    run_for(loop, 50);
    EXPECT_FALSE(one.is_up(2));
    EXPECT_EQ(one.engine.round_trip_us(2), 0u);
    ASSERT_TRUE(p2p::test::write_all(mine, answer()));  // after its time: it was busy
    run_for(loop, 50);
    EXPECT_FALSE(one.is_up(2)) << "one answer says little";
    for (int question = 0; question < 2; ++question) {
        EXPECT_EQ(p2p::test::read_bytes(mine, 4, 1'000), std::string(4, '\0'));
        ASSERT_TRUE(p2p::test::write_all(mine, answer()));
    }
    ASSERT_TRUE(run_until(loop, [&] { return one.is_up(2); }));
    EXPECT_GT(one.engine.round_trip_us(2), 0u);
    EXPECT_LT(one.engine.round_trip_us(2), 50'000u);
}

// A member that does not read: what waits for it has a limit, and the others do not wait.
TEST(Engine, OneWhoDoesNotReadHoldsUpNobody) {
    Loop loop;
    ChannelMaker maker(loop);
    Host one(loop, 1, 4), three(loop, 3, 4);
    join(loop, maker, three, 3, one, 1);
    auto [mine, theirs] = maker.make();
    one.engine.add_channel(2, false, std::move(theirs));
    take_up(mine);
    ASSERT_TRUE(run_until(loop, [&] { return one.is_up(2); }));
    const std::string large = make_packet(1, 2, std::string(60'000, 'x'));
    // Far more than sockets and queue take.
    for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(one.send(large));
    ASSERT_TRUE(run_until(loop, [&] { return one.engine.counters().dropped_packets > 0; }));
    const std::string packet = make_packet(1, 3, "not held up");
    ASSERT_TRUE(one.send(packet));
    EXPECT_EQ(three.receive(), packet);
    // Once it reads, all that was kept comes, whole.
    std::size_t whole = 0;
    const std::uint64_t until_ms = system_clock().steady_ms() + 8'000;
    std::string input;
    std::uint64_t sent = one.engine.counters().sent_packets - 1;
    while (whole < sent && system_clock().steady_ms() < until_ms) {
        input += p2p::test::read_bytes(mine, 64'000, 5);
        while (input.size() >= 4) {
            const std::size_t length = read_u32_le(input);
            if (input.size() < 4 + length) break;
            if (length > 0) {
                EXPECT_TRUE(input.compare(4, length, large) == 0);
                ++whole;
            }
            input.erase(0, 4 + length);
        }
        sent = one.engine.counters().sent_packets - 1;
    }
    EXPECT_EQ(whole, sent);
}

// The renter's machine may have ranks: then it is a member like others, for what they say.
TEST(Engine, TheRentersRanksAreReachedByRanks) {
    Loop loop;
    ChannelMaker maker(loop);
    Host renter(loop, 0, 3), one(loop, 1, 3), two(loop, 2, 3);
    join(loop, maker, one, 1, renter, 0);
    join(loop, maker, two, 2, renter, 0);
    std::string tcp(20, '\0');
    put_u16(tcp, 0, 40'000);
    put_u16(tcp, 2, kRankPortFirst);
    const std::string packet = make_packet(1, 0, tcp, 6);
    ASSERT_TRUE(one.send(packet));
    EXPECT_EQ(renter.receive(), packet);
    put_u16(tcp, 0, kRankPortFirst);
    put_u16(tcp, 2, 40'000);
    const std::string answer = make_packet(0, 1, tcp, 6);
    ASSERT_TRUE(renter.send(answer));
    EXPECT_EQ(one.receive(), answer);
    const std::uint64_t dropped = renter.engine.counters().dropped_packets;
    ASSERT_TRUE(one.send(make_packet(1, 0, "for mpirun")));
    EXPECT_TRUE(
        run_until(loop, [&] { return renter.engine.counters().dropped_packets > dropped; }));
    // And it passes on, as ever.
    one.engine.pass_through_renter(2);
    const std::string through = make_packet(1, 2, "by way of the renter");
    EXPECT_TRUE(run_until(loop, [&] {
        one.send(through);
        return two.receive(20) == through;
    }));
}

// Random traffic among all: each packet arrives once, unchanged, in the order of its pair.
TEST(Engine, RandomTrafficArrivesOnceAndInOrder) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    constexpr std::uint32_t kHosts = 4;
    Loop loop;
    ChannelMaker maker(loop);
    std::vector<std::unique_ptr<Host>> hosts;
    for (std::uint32_t i = 1; i <= kHosts; ++i)
        hosts.push_back(std::make_unique<Host>(loop, i, kHosts + 1));
    for (std::uint32_t i = 1; i <= kHosts; ++i)
        for (std::uint32_t j = 1; j < i; ++j) join(loop, maker, *hosts[i - 1], i, *hosts[j - 1], j);
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::vector<std::string>> under_way;
    std::size_t waiting = 0;
    std::size_t waiting_bytes = 0;
    constexpr std::size_t kWaitingBytesMax = 100'000;  // a pair of sockets takes about twice that
    const auto take_one = [&](std::uint32_t to, int limit_ms) {
        const std::string packet = hosts[to - 1]->receive(limit_ms);
        if (packet.empty()) return false;
        const auto parsed = parse_packet(packet);
        EXPECT_TRUE(parsed.has_value());
        auto &queue = under_way[{member_at(parsed->source), to}];
        EXPECT_FALSE(queue.empty());
        if (queue.empty()) return false;
        EXPECT_TRUE(queue.front() == packet);
        queue.erase(queue.begin());
        --waiting;
        waiting_bytes -= packet.size();
        return true;
    };
    for (int i = 0; i < 4'000 && !HasFailure(); ++i) {
        const std::uint32_t from = 1 + random() % kHosts;
        std::uint32_t to = 1 + random() % (kHosts - 1);
        if (to >= from) ++to;
        const std::size_t size = random() % 8 == 0 ? random() % 60'000 : random() % 200;
        std::string content(size, '\0');
        for (char &byte : content) byte = static_cast<char>(random());
        const std::string packet = make_packet(from, to, content);
        ASSERT_TRUE(hosts[from - 1]->send(packet));
        under_way[{from, to}].push_back(packet);
        ++waiting;
        waiting_bytes += packet.size();
        while (waiting_bytes > kWaitingBytesMax && !HasFailure())
            for (std::uint32_t host = 1; host <= kHosts; ++host) take_one(host, 1);
    }
    for (std::uint32_t host = 1; host <= kHosts; ++host)
        while (waiting > 0 && take_one(host, 200)) continue;
    EXPECT_EQ(waiting, 0u);
}

}  // namespace
}  // namespace chain::overlay::test
