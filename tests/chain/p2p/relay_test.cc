// SPDX-License-Identifier: BSD-3-Clause
//
// The parts of a meeting that touch sockets: the doorstep, calls with a preamble, and the relay
// with all its limits.
#include <map>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>

#include "chain/p2p/caller.h"
#include "chain/p2p/doorstep.h"
#include "chain/p2p/preamble.h"
#include "chain/p2p/relay.h"
#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {
namespace {

constexpr PublicKey kAnn{1}, kBob{2}, kCem{3};

// Both ends of a connection; ours blocks for two seconds at most.
struct Line {
    Line() {
        int ends[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ours = FileDescriptor(ends[0]);
        theirs = FileDescriptor(ends[1]);
        EXPECT_EQ(do_not_block(ends[1]), 0);
    }
    static int do_not_block(int fd) { return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }
    void say(std::string_view bytes) const {
        EXPECT_EQ(send(ours.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
                  static_cast<ssize_t>(bytes.size()));
    }
    // What has come; without waiting.
    std::string hear() const {
        std::string all(1 << 20, '\0');
        const ssize_t got = recv(ours.get(), all.data(), all.size(), MSG_DONTWAIT);
        all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return all;
    }
    bool is_closed() const {
        char byte;
        return recv(ours.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
    }
    FileDescriptor ours, theirs;
};

RelayOptions relaying() {
    RelayOptions options;
    options.when = RelayOptions::When::kAlways;
    return options;
}

class Meter final : public RelayPolicy {
public:
    Status may_carry(const PublicKey &seeker) override {
        return seeker == refused ? Status(make_error(ErrorCode::kRefused, "not paid"))
                                 : ok_status();
    }
    bool carried(const PublicKey &seeker, std::uint64_t bytes) override {
        return (carried_bytes[seeker] += bytes) <= allowed_bytes;
    }
    PublicKey refused{};
    std::uint64_t allowed_bytes = UINT64_MAX;
    std::map<PublicKey, std::uint64_t> carried_bytes;
};

class RelayTest : public ::testing::Test {
protected:
    void make(const RelayOptions &options, std::uint64_t token_ms = kRelayTokenMs) {
        relay_.emplace(loop_, system_clock(), options, meter_, token_ms);
    }
    // Ends of a splice that stands.
    std::pair<Line, Line> splice(const PublicKey &seeker = kAnn, const PublicKey &sought = kBob) {
        const auto grant = relay_->grant(seeker, sought);
        EXPECT_TRUE(grant.ok());
        std::pair<Line, Line> lines;
        EXPECT_TRUE(relay_->take(grant->seeker_token, lines.first.theirs));
        EXPECT_TRUE(relay_->take(grant->sought_token, lines.second.theirs));
        return lines;
    }
    std::string wait_for(const Line &line, std::size_t size_bytes) {
        std::string all;
        run_until(loop_, [&] { return (all += line.hear()).size() >= size_bytes; });
        return all;
    }

    Loop loop_;
    Meter meter_;
    std::optional<Relay> relay_;
};

TEST_F(RelayTest, CarriesBothWaysWhatWasSaidBeforeAndAfter) {
    make(relaying());
    const auto grant = relay_->grant(kAnn, kBob);
    ASSERT_TRUE(grant.ok());
    EXPECT_NE(grant->seeker_token, grant->sought_token);
    Line ann, bob;
    ASSERT_TRUE(relay_->take(grant->seeker_token, ann.theirs));
    ann.say("early");  // nobody reads it yet
    run_for(loop_, 20);
    ASSERT_TRUE(relay_->take(grant->sought_token, bob.theirs));
    EXPECT_EQ(wait_for(bob, 5), "early");
    bob.say("back");
    EXPECT_EQ(wait_for(ann, 4), "back");
    EXPECT_EQ(relay_->carried_bytes(), 9u);
    EXPECT_EQ(meter_.carried_bytes[kAnn], 9u);
    EXPECT_EQ(meter_.carried_bytes[kBob], 0u);
}

TEST_F(RelayTest, ATokenIsGoodOnceAndForItsSideOnly) {
    make(relaying());
    const auto grant = relay_->grant(kAnn, kBob);
    Line one, two, three;
    ASSERT_TRUE(relay_->take(grant->seeker_token, one.theirs));
    EXPECT_FALSE(relay_->take(grant->seeker_token, two.theirs));
    EXPECT_TRUE(two.theirs.valid());
    EXPECT_FALSE(relay_->take(Bytes32{}, two.theirs));
    EXPECT_FALSE(relay_->take(new_token(), two.theirs));
    ASSERT_TRUE(relay_->take(grant->sought_token, two.theirs));
    EXPECT_FALSE(relay_->take(grant->sought_token, three.theirs));
    one.say("x");
    EXPECT_EQ(wait_for(two, 1), "x");
}

TEST_F(RelayTest, TokensExpire) {
    make(relaying(), 50);
    const auto grant = relay_->grant(kAnn, kBob);
    Line ann, bob;
    ASSERT_TRUE(relay_->take(grant->seeker_token, ann.theirs));
    ASSERT_TRUE(run_until(loop_, [&] { return relay_->count() == 0; }));
    EXPECT_TRUE(ann.is_closed());
    EXPECT_FALSE(relay_->take(grant->sought_token, bob.theirs));
    // Who has come in time stays.
    auto stands = splice();
    run_for(loop_, 120);
    EXPECT_EQ(relay_->count(), 1u);
}

TEST_F(RelayTest, ARevokedGrantIsNone) {
    make(relaying());
    const auto grant = relay_->grant(kAnn, kBob);
    relay_->revoke(grant->number);
    Line line;
    EXPECT_FALSE(relay_->take(grant->seeker_token, line.theirs));
    auto stands = splice();
    relay_->revoke(grant->number + 1);  // both have come: it is theirs
    EXPECT_EQ(relay_->count(), 1u);
}

TEST_F(RelayTest, PlacesAreBounded) {
    RelayOptions options = relaying();
    options.connections_max = 3;
    options.of_one_peer_max = 2;
    make(options);
    ASSERT_TRUE(relay_->grant(kAnn, kBob).ok());
    ASSERT_TRUE(relay_->grant(kAnn, kBob).ok());
    EXPECT_FALSE(relay_->has_room(kAnn));
    EXPECT_EQ(relay_->grant(kAnn, kBob).error().code, ErrorCode::kRefused);
    ASSERT_TRUE(relay_->grant(kBob, kAnn).ok());
    EXPECT_EQ(relay_->grant(kCem, kAnn).error().message, "its relay is full");
    make(relaying());
    meter_.refused = kCem;
    EXPECT_EQ(relay_->grant(kCem, kAnn).error().message, "not paid");
    EXPECT_EQ(relay_->count(), 0u);
}

TEST_F(RelayTest, WhatOneSideSaidLastReachesTheOther) {
    make(relaying());
    auto [ann, bob] = splice();
    const std::string last(300'000, 'z');
    std::thread says([&, fd = ann.ours.get()] {
        for (std::size_t at = 0; at < last.size();) {
            const ssize_t put = send(fd, last.data() + at, last.size() - at, MSG_NOSIGNAL);
            if (put <= 0) return;
            at += static_cast<std::size_t>(put);
        }
        shutdown(fd, SHUT_RDWR);
    });
    EXPECT_EQ(wait_for(bob, last.size()), last);
    says.join();
    EXPECT_TRUE(run_until(loop_, [&] { return bob.is_closed() && relay_->count() == 0; }));
}

TEST_F(RelayTest, WhoDoesNotReadIsNotReadFor) {
    make(relaying());
    auto [ann, bob] = splice();
    std::size_t said = 0;
    const std::string batch(32 << 10, 'a');
    const std::uint64_t until_ms = system_clock().steady_ms() + 400;
    while (system_clock().steady_ms() < until_ms) {
        const ssize_t put =
            send(ann.ours.get(), batch.data(), batch.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0) said += static_cast<std::size_t>(put);
        run_for(loop_, 1);
    }
    // What both sockets hold, and the queue between them.
    EXPECT_LT(said, 2u << 20);
    EXPECT_EQ(wait_for(bob, said).size(), said);
}

TEST_F(RelayTest, BytesOfASecondAreBounded) {
    RelayOptions options = relaying();
    options.bytes_per_second = 100'000;
    make(options);
    auto [ann, bob] = splice();
    auto [cem, dan] = splice(kCem, kBob);
    std::size_t heard = 0;
    const std::string batch(16 << 10, 'a');
    const std::uint64_t until_ms = system_clock().steady_ms() + 1'000;
    while (system_clock().steady_ms() < until_ms) {
        for (const Line *line : {&ann, &cem})
            static_cast<void>(
                send(line->ours.get(), batch.data(), batch.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
        run_for(loop_, 2);
        heard += bob.hear().size() + dan.hear().size();
    }
    // The burst, a second's worth, and a batch of each beyond it.
    EXPECT_LE(heard, 200'000u + 4 * kRelayBatchBytes);
    EXPECT_GE(heard, 100'000u);
}

TEST_F(RelayTest, OneConnectionCarriesSoMuch) {
    RelayOptions options = relaying();
    options.bytes_per_connection_max = 10'000;
    make(options);
    auto [ann, bob] = splice();
    auto [cem, dan] = splice(kCem, kBob);
    ann.say(std::string(6'000, 'a'));
    EXPECT_EQ(wait_for(bob, 6'000).size(), 6'000u);
    bob.say(std::string(6'000, 'b'));
    EXPECT_TRUE(run_until(loop_, [&] { return relay_->count() == 1; }));
    cem.say("on");
    EXPECT_EQ(wait_for(dan, 2), "on");
}

TEST_F(RelayTest, WhoHasNotPaidIsCut) {
    make(relaying());
    meter_.allowed_bytes = 1'000;
    auto one = splice();
    auto two = splice(kAnn, kCem);
    auto other = splice(kBob, kCem);
    one.first.say(std::string(600, 'a'));
    EXPECT_EQ(wait_for(one.second, 600).size(), 600u);
    two.second.say(std::string(600, 'b'));
    EXPECT_TRUE(run_until(loop_, [&] { return relay_->count() == 1; }));
    EXPECT_TRUE(one.first.is_closed());
    other.first.say("on");
    EXPECT_EQ(wait_for(other.second, 2), "on");
}

TEST_F(RelayTest, TheSilentAreDropped) {
    RelayOptions options = relaying();
    options.idle_ms = 200;
    make(options);
    auto silent = splice();
    auto talks = splice(kCem, kBob);
    for (int i = 0; i < 10; ++i) {
        talks.first.say("x");
        run_for(loop_, 50);
    }
    EXPECT_EQ(relay_->count(), 1u);
    EXPECT_TRUE(silent.first.is_closed());
    EXPECT_FALSE(talks.first.is_closed());
}

// ---- the doorstep

class DoorstepTest : public ::testing::Test {
protected:
    void take(Line &line) {
        doorstep_.take({std::move(line.theirs), {}, "test", system_clock().steady_ms()});
    }
    Loop loop_;
    std::vector<Bytes32> tokens_;
    std::vector<Caught> tls_;
    Doorstep doorstep_{loop_, system_clock(), kGenerousMs,
                       [this](Caught caught) { tls_.push_back(std::move(caught)); },
                       [this](Caught, const Bytes32 &token) { tokens_.push_back(token); }};
};

TEST_F(DoorstepTest, TheFirstByteTells) {
    Line line;
    take(line);
    line.say("\x16\x03\x01");
    ASSERT_TRUE(run_until(loop_, [&] { return tls_.size() == 1; }));
    char buffer[8];
    // Not a byte of it was taken.
    EXPECT_EQ(recv(tls_[0].socket.get(), buffer, sizeof buffer, 0), 3);
    EXPECT_EQ(doorstep_.count(), 0u);
}

TEST_F(DoorstepTest, APreambleInSingleBytesIsUnderstood) {
    const Bytes32 token = new_token();
    Line line;
    take(line);
    for (const char byte : format_preamble(token)) {
        line.say(std::string(1, byte));
        run_for(loop_, 1);
    }
    ASSERT_TRUE(run_until(loop_, [&] { return tokens_.size() == 1; }));
    EXPECT_EQ(tokens_[0], token);
}

// What is behind the preamble is the other side's.
TEST_F(DoorstepTest, NotAByteTooMuchIsTaken) {
    Line line;
    FileDescriptor kept(dup(line.theirs.get()));
    take(line);
    line.say(format_preamble(new_token()) + "hello");
    ASSERT_TRUE(run_until(loop_, [&] { return tokens_.size() == 1; }));
    char buffer[16];
    EXPECT_EQ(recv(kept.get(), buffer, sizeof buffer, MSG_DONTWAIT), 5);
}

TEST_F(DoorstepTest, WhatIsNoPreambleIsClosed) {
    for (const std::string &words : {std::string("ompimeex") + std::string(32, 'x'),
                                     std::string("oooooooo"), std::string("o\0mpimeet", 9)}) {
        Line line;
        take(line);
        line.say(words);
        EXPECT_TRUE(run_until(loop_, [&] { return line.is_closed(); })) << words;
    }
    EXPECT_TRUE(tokens_.empty());
    EXPECT_TRUE(tls_.empty());
    EXPECT_EQ(doorstep_.count(), 0u);
}

TEST(Doorstep, TheSilentAndTheSlowAreClosedInTime) {
    Loop loop;
    bool was_taken = false;
    Doorstep doorstep(
        loop, system_clock(), 300, [&](Caught) { was_taken = true; },
        [&](Caught, const Bytes32 &) { was_taken = true; });
    Line silent, slow;
    for (Line *line : {&silent, &slow})
        doorstep.take({std::move(line->theirs), {}, "test", system_clock().steady_ms()});
    EXPECT_EQ(doorstep.count(), 2u);
    const Bytes preamble = format_preamble(new_token());
    // Each byte comes in time, all of them would take twice the patience.
    for (std::size_t i = 0; i < preamble.size() && doorstep.count() > 0; ++i) {
        static_cast<void>(send(slow.ours.get(), &preamble[i], 1, MSG_NOSIGNAL));
        run_for(loop, 15);
    }
    EXPECT_EQ(doorstep.count(), 0u);
    EXPECT_TRUE(silent.is_closed());
    EXPECT_FALSE(was_taken);
}

// ---- calls

TEST(Caller, SaysThePreambleOrWhyNot) {
    Loop loop;
    const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress bound = resolve({"127.0.0.1", 0}, true).value();
    ASSERT_EQ(bind(listener.get(), bound.get(), bound.size_bytes), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    getsockname(listener.get(), reinterpret_cast<sockaddr *>(&bound.storage), &bound.size_bytes);
    const PeerAddress address = *peer_address(bound.get());
    const Bytes32 token = new_token();
    Caller caller(loop);
    std::optional<Result<FileDescriptor>> outcome;
    const auto note = [&](Result<FileDescriptor> got) { outcome.emplace(std::move(got)); };
    caller.call(address, token, 1'000, note);
    EXPECT_FALSE(outcome.has_value());
    ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
    ASSERT_TRUE(outcome->ok());
    const FileDescriptor taken(accept(listener.get(), nullptr, nullptr));
    char buffer[64];
    ASSERT_EQ(recv(taken.get(), buffer, sizeof buffer, 0), static_cast<ssize_t>(kPreambleBytes));
    EXPECT_EQ(std::string(buffer, kPreambleBytes), format_preamble(token));

    outcome.reset();
    caller.call(*parse_peer_address("127.0.0.1:1"), token, 1'000, note);
    ASSERT_TRUE(run_until(loop, [&] { return outcome.has_value(); }));
    EXPECT_EQ(outcome->error().code, ErrorCode::kPeerLost);

    outcome.reset();
    caller.cancel(caller.call(address, token, 1'000, note));
    run_for(loop, 50);
    EXPECT_FALSE(outcome.has_value());
}

}  // namespace
}  // namespace chain::p2p::test
