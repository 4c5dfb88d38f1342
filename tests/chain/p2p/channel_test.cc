// SPDX-License-Identifier: BSD-3-Clause
//
// Channels: connections of their own beside the sessions.
#include <filesystem>
#include <random>
#include <thread>

#include "chain/p2p/limits.h"
#include "chain/wire/peer.pb.h"
#include "tests/chain/p2p/channel_pair.h"
#include "tests/chain/p2p/raw_peer.h"

namespace chain::p2p::test {
namespace {

std::string random_bytes(std::mt19937 &random, std::size_t size) {
    std::string bytes(size, '\0');
    for (char &byte : bytes) byte = static_cast<char>(random());
    return bytes;
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST(Channel, BothSidesGetItWithKeyAndLabel) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    std::optional<Channel> taken;
    std::string label;
    PublicKey peer{};
    b->on_channel([&](const PublicKey &key, std::string_view text, Channel channel) {
        peer = key;
        label = text;
        taken.emplace(std::move(channel));
    });
    std::optional<Result<Channel>> dialled;
    a->open_channel(b.address(), b.key(), std::string(kMaxChannelLabelBytes, 'x'), true,
                    [&](Result<Channel> channel) { dialled.emplace(std::move(channel)); });
    EXPECT_FALSE(dialled.has_value()) << "done() from inside open_channel()";
    ASSERT_TRUE(run_until(loop, [&] { return dialled && taken; }));
    ASSERT_TRUE(dialled->ok()) << dialled->error().message;
    EXPECT_EQ(peer, a.key());
    EXPECT_EQ(label, std::string(kMaxChannelLabelBytes, 'x'));
    // It is no session, and needs none.
    EXPECT_TRUE(a->peers().empty());
    EXPECT_TRUE(a.events.empty());
    EXPECT_TRUE(b.events.empty());
    ASSERT_TRUE(write_all(**dialled, "there"));
    EXPECT_EQ(read_bytes(*taken, 5), "there");
    ASSERT_TRUE(write_all(*taken, "and back"));
    EXPECT_EQ(read_bytes(**dialled, 8), "and back");
    // The Networks may go; the channel stays.
    a.stop();
    b.stop();
    ASSERT_TRUE(write_all(*taken, "still"));
    EXPECT_EQ(read_bytes(**dialled, 5), "still");
    dialled.reset();
    char byte;
    Result<std::size_t> got = std::size_t{0};
    for (int i = 0; i < 1000 && got.ok(); ++i) {
        got = taken->read(&byte, 1);
        usleep(1000);
    }
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::kPeerLost);
}

// What is said before the other side has its end is not lost; and a session of the pair goes on.
TEST(Channel, CarriesAllBytesInOrder) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Loop loop;
    ChannelMaker maker(loop);
    auto [one, other] = maker.make();
    constexpr std::size_t kBytes = 24u << 20;
    const std::string there = random_bytes(random, kBytes);
    const std::string back = random_bytes(random, kBytes / 3);
    bool wrote_there = false;
    bool wrote_back = false;
    const auto talk = [&](Channel &channel, const std::string &says, std::size_t hears, bool &wrote,
                          unsigned own_seed) {
        std::mt19937 sizes(own_seed);
        std::string heard;
        std::size_t at = 0;
        const std::uint64_t until_ms = system_clock().steady_ms() + kGenerousMs * 3;
        while ((at < says.size() || heard.size() < hears) &&
               system_clock().steady_ms() < until_ms) {
            const std::size_t piece = std::min<std::size_t>(says.size() - at, 1 + sizes() % 70'000);
            std::size_t put = 0;
            while (put < piece) {
                const auto more = channel.write(says.data() + at + put, piece - put);
                if (!more.ok()) return heard;
                put += *more;
                if (*more > 0) continue;
                char buffer[40'000];
                const auto got = channel.read(buffer, 1 + sizes() % sizeof buffer);
                if (!got.ok()) return heard;
                heard.append(buffer, *got);
            }
            at += put;
            char buffer[40'000];
            const auto got = channel.read(buffer, 1 + sizes() % sizeof buffer);
            if (!got.ok()) return heard;
            heard.append(buffer, *got);
        }
        wrote = at == says.size();
        return heard;
    };
    std::string heard_back;
    std::thread thread([&] { heard_back = talk(other, back, there.size(), wrote_back, seed + 1); });
    const std::string heard_there = talk(one, there, back.size(), wrote_there, seed + 2);
    thread.join();
    EXPECT_TRUE(wrote_there && wrote_back);
    EXPECT_TRUE(heard_back == there);
    EXPECT_TRUE(heard_there == back);
}

TEST(Channel, RefusalsSayWhyAndLeaveNothingOpen) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    Node other_network(loop, options_of(2));
    const auto open = [&](const std::string &address, const PublicKey &key) {
        std::optional<Result<Channel>> outcome;
        a->open_channel(address, key, "x", true,
                        [&](Result<Channel> channel) { outcome.emplace(std::move(channel)); });
        EXPECT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
        return outcome->ok() ? std::string() : outcome->error().message;
    };
    EXPECT_NE(open(b.address(), a.key()).find("expected was"), std::string::npos);
    EXPECT_NE(open("127.0.0.1:1", b.key()).find("refused"), std::string::npos);
    EXPECT_NE(open("nowhere", b.key()).find("host:port"), std::string::npos);
    EXPECT_NE(open(other_network.address(), other_network.key()).find("another network"),
              std::string::npos);
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 50; ++i) open(i % 2 == 0 ? b.address() : "127.0.0.1:1", a.key());
    run_for(loop, 50);
    EXPECT_LE(open_descriptors(), before + 2);
}

// Nobody there wants channels: closed unread, and the peer is none the worse for it.
TEST(Channel, IsDroppedWhereNobodyTakesIt) {
    Loop loop;
    Node a(loop, options_of());
    Node b(loop, options_of());
    ASSERT_TRUE(connect_now(loop, *a, b.address()).ok());
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 20; ++i) {
        std::optional<Result<Channel>> outcome;
        a->open_channel(b.address(), b.key(), "x", true,
                        [&](Result<Channel> channel) { outcome.emplace(std::move(channel)); });
        ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
        if (!outcome->ok()) continue;
        EXPECT_EQ(read_bytes(**outcome, 1, 1), "");
    }
    ASSERT_TRUE(run_until(loop, [&] { return open_descriptors() <= before; }));
    EXPECT_TRUE(a->connected(b.key()));
    EXPECT_EQ(a.events.size(), 1u);
}

TEST(Channel, ALabelThatIsTooLongIsAViolation) {
    Loop loop;
    Node b(loop, options_of());
    bool taken = false;
    b->on_channel([&](const PublicKey &, std::string_view, Channel) { taken = true; });
    std::string answer;
    std::thread stranger([&, address = b.address()] {
        const KeyPair key = KeyPair::generate();
        RawPeer raw(address);
        if (!raw.tls_as(Role::kClient)) return;
        wire::Hello hello;
        hello.ParseFromString(make_hello(Role::kClient, raw.secret(), options_of().chain_id, key, 0,
                                         "raw/1", "short"));
        hello.set_channel(std::string(kMaxChannelLabelBytes + 1, 'x'));
        raw.write(frame_of(wire::Topic::kHello, hello.SerializeAsString()));
        answer = raw.read_to_end();
    });
    const LoopHandle end = loop.after_ms(1'000, [&] { loop.stop(); });
    loop.run();
    stranger.join();
    EXPECT_NE(answer.find("out of bounds"), std::string::npos) << answer;
    EXPECT_FALSE(taken);
}

}  // namespace
}  // namespace chain::p2p::test
