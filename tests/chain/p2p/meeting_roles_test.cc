// SPDX-License-Identifier: BSD-3-Clause
//
// The three roles of a meeting, one at a time: what they say, what they refuse, and where their
// limits are.
#include <set>

#include "chain/p2p/limits.h"
#include "chain/p2p/meeting_point.h"
#include "chain/p2p/preamble.h"
#include "chain/p2p/seeker.h"
#include "chain/p2p/sought.h"
#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {
namespace {

using wire::MeetingMessage;
constexpr PublicKey kAnn{1}, kBob{2}, kCem{3}, kPoint{9};

class FakeNetwork final : public MeetingNetwork {
public:
    Status send_meeting(const PublicKey &peer, const MeetingMessage &message) override {
        if (gone.contains(peer)) return make_error(ErrorCode::kPeerLost, "gone");
        // What is sent is what is taken.
        EXPECT_TRUE(parse_meeting_message(message.SerializeAsString()).ok())
            << message.ShortDebugString();
        sent.emplace_back(peer, message);
        return ok_status();
    }
    std::vector<PublicKey> meeting_points() const override { return points; }
    std::optional<PeerAddress> reached_at(const PublicKey &) const override {
        return parse_peer_address(point_address);
    }
    std::optional<PeerAddress> seen_at(const PublicKey &peer) const override {
        const auto found = seen.find(peer);
        return found == seen.end() ? std::nullopt : parse_peer_address(found->second);
    }
    std::uint16_t call_port() const override { return port; }
    bool relays() const override { return carries; }
    void serve(MetSocket met, const PublicKey &, std::function<void(bool)> done) override {
        served.push_back(std::move(met));
        served_done.push_back(std::move(done));
    }
    // The last that `peer` was told; and forgets it all.
    MeetingMessage last(const PublicKey &peer) {
        MeetingMessage found;
        for (const auto &[to, message] : sent)
            if (to == peer) found = message;
        sent.clear();
        return found;
    }

    std::vector<std::pair<PublicKey, MeetingMessage>> sent;
    std::vector<PublicKey> points;
    std::string point_address = "127.0.0.1:1";  // where nobody listens
    std::map<PublicKey, std::string> seen;
    std::uint16_t port = 0;
    bool carries = true;
    std::set<PublicKey> gone;
    std::vector<MetSocket> served;
    std::vector<std::function<void(bool)>> served_done;
};

wire::Seek seek_of(const PublicKey &key) {
    wire::Seek seek;
    seek.set_node_key(to_bytes(key));
    return seek;
}

wire::Meet meet_of(const PublicKey &key, std::uint32_t port = 0, bool relay = true) {
    wire::Meet meet;
    meet.set_node_key(to_bytes(key));
    meet.set_meeting(to_bytes(new_token()));
    meet.set_call_port(port);
    meet.set_relay(relay);
    return meet;
}

wire::Willing willing_of(bool willing) {
    wire::Willing message;
    message.set_willing(willing);
    return message;
}

// ---- messages

TEST(MeetingMessage, WhatIsOutOfFormIsRefused) {
    const auto refused = [](const std::function<void(MeetingMessage &)> &fill) {
        MeetingMessage message;
        fill(message);
        const auto parsed = parse_meeting_message(message.SerializeAsString());
        return !parsed.ok() && parsed.error().code == ErrorCode::kProtocol;
    };
    const Bytes key(32, 'k');
    EXPECT_TRUE(refused([](MeetingMessage &) {}));
    EXPECT_TRUE(refused([](MeetingMessage &m) { m.mutable_seek()->set_node_key("short"); }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) { m.mutable_meet()->set_node_key(key); }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) {
        m.mutable_meet()->set_node_key(key);
        m.mutable_meet()->set_meeting(key);
        m.mutable_meet()->set_call_port(65'536);
    }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) {
        m.mutable_invitation()->set_meeting(key);
        m.mutable_invitation()->set_seeker(key);
        m.mutable_invitation()->mutable_call()->set_host("1234");  // port 0
    }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) {
        m.mutable_invitation()->set_meeting(key);
        m.mutable_invitation()->set_seeker(key);
        m.mutable_invitation()->set_relay_token("short");
    }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) {
        m.mutable_found()->set_node_key(key);
        m.mutable_found()->mutable_terms()->set_price_per_gib(-1);
    }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) {
        m.mutable_found()->set_node_key(key);
        m.mutable_found()->mutable_terms()->set_price_per_gib(1);  // to no account
    }));
    EXPECT_TRUE(refused([&](MeetingMessage &m) {
        m.mutable_declined()->set_meeting(key);
        m.mutable_declined()->set_reason(std::string(kMaxByeBytes + 1, 'x'));
    }));
    EXPECT_TRUE(refused([](MeetingMessage &m) { m.mutable_payment()->set_claim("x"); }));
    EXPECT_EQ(parse_meeting_message(Bytes(kMaxMeetingMessageBytes + 1, 'x')).error().code,
              ErrorCode::kTooLarge);
    EXPECT_FALSE(parse_meeting_message("\xff\xff").ok());
}

// ---- the meeting point

class MeetingPointTest : public ::testing::Test {
protected:
    MeetingPointTest() {
        network_.seen = {{kAnn, "20.0.0.7:40001"}, {kBob, "20.0.0.8:7660"}};
        point_.take_willing(kBob, willing_of(true));
    }
    // What the seeker hears of it.
    MeetingMessage ask(const PublicKey &sought, std::uint32_t port = 0, bool relay = true) {
        point_.take_meet(kAnn, meet_of(sought, port, relay));
        for (const auto &[to, message] : network_.sent)
            if (to == kBob) invitation_ = message.invitation();
        return network_.last(kAnn);
    }

    Loop loop_;
    ManualClock clock_;
    FakeNetwork network_;
    RelayPolicy policy_;
    Relay relay_{loop_, clock_, RelayOptions{}, policy_};
    MeetingPoint point_{clock_, network_, relay_, policy_};
    wire::Invitation invitation_;
};

TEST_F(MeetingPointTest, TellsOfTheWillingOnly) {
    const auto here = [&](const PublicKey &sought) {
        point_.take_seek(kAnn, seek_of(sought));
        const MeetingMessage answer = network_.last(kAnn);
        EXPECT_TRUE(answer.has_found());
        EXPECT_EQ(answer.found().node_key(), to_bytes(sought));
        return answer.found().here();
    };
    EXPECT_TRUE(here(kBob));
    EXPECT_FALSE(here(kCem));  // no session
    EXPECT_FALSE(here(kAnn));  // itself
    network_.seen[kCem] = "20.0.0.9:1";
    EXPECT_FALSE(here(kCem));  // not willing
    point_.take_willing(kCem, willing_of(true));
    EXPECT_TRUE(here(kCem));
    network_.seen.erase(kCem);  // its session comes by a relay
    EXPECT_FALSE(here(kCem));
    point_.take_willing(kBob, willing_of(false));
    EXPECT_FALSE(here(kBob));
}

TEST_F(MeetingPointTest, GivesEachSideATokenOfItsOwn) {
    const MeetingMessage answer = ask(kBob);
    ASSERT_TRUE(answer.has_arranged()) << answer.ShortDebugString();
    EXPECT_EQ(answer.arranged().meeting(), invitation_.meeting());
    EXPECT_EQ(invitation_.seeker(), to_bytes(kAnn));
    EXPECT_FALSE(invitation_.has_call());
    EXPECT_NE(answer.arranged().relay_token(), invitation_.relay_token());
    EXPECT_EQ(relay_.count(), 1u);
}

// The host is the one from which its session comes, whatever it says.
TEST_F(MeetingPointTest, ASeekerIsCalledAtItsOwnHost) {
    const MeetingMessage answer = ask(kBob, 7'661, false);
    ASSERT_TRUE(answer.has_arranged());
    EXPECT_TRUE(answer.arranged().relay_token().empty());
    EXPECT_TRUE(invitation_.relay_token().empty());
    EXPECT_EQ(to_text(*read_address(invitation_.call())), "20.0.0.7:7661");
    EXPECT_EQ(relay_.count(), 0u);
}

TEST_F(MeetingPointTest, DeclinesWithAReason) {
    EXPECT_EQ(ask(kCem).declined().reason(), "no such peer is here");
    EXPECT_EQ(ask(kBob, 0, false).declined().reason(), "there is no way for them to meet");
    network_.carries = false;
    EXPECT_EQ(ask(kBob).declined().reason(), "nothing is carried here");
    network_.carries = true;
    network_.gone.insert(kBob);
    EXPECT_EQ(ask(kBob).declined().reason(), "the peer cannot be told now");
    EXPECT_EQ(relay_.count(), 0u);
}

TEST_F(MeetingPointTest, WhoAsksAgainAndAgainIsDeclined) {
    for (std::uint64_t i = 0; i < kMeetingsOfPairBurst; ++i)
        ASSERT_TRUE(ask(kBob, 1, false).has_arranged()) << i;
    EXPECT_EQ(ask(kBob, 1, false).declined().reason(), "too many meetings were asked for");
    // A new session does not help, another pair is another matter, and so is a little later.
    point_.peer_gone(kAnn);
    EXPECT_TRUE(ask(kBob, 1, false).has_declined());
    network_.seen[kCem] = "20.0.0.9:1";
    point_.take_willing(kCem, willing_of(true));
    EXPECT_TRUE(ask(kCem, 1, false).has_arranged());
    clock_.advance_ms(kMeetingsOfPairEveryMs);
    EXPECT_TRUE(ask(kBob, 1, false).has_arranged());
}

TEST_F(MeetingPointTest, QuestionsOfOnePeerAreBounded) {
    for (std::uint64_t i = 0; i < 2 * kMeetingQuestionsBurst; ++i)
        point_.take_seek(kAnn, seek_of(kBob));
    EXPECT_EQ(network_.sent.size(), kMeetingQuestionsBurst);
    point_.take_seek(kCem, seek_of(kBob));
    EXPECT_EQ(network_.sent.size(), kMeetingQuestionsBurst + 1);
}

TEST_F(MeetingPointTest, ARefusalReachesTheSeekerAndFreesThePlace) {
    ask(kBob);
    wire::Declined declined;
    declined.set_meeting(invitation_.meeting());
    declined.set_reason("not now\n");
    point_.take_declined(kCem, declined);  // who was not asked says nothing
    EXPECT_TRUE(network_.sent.empty());
    point_.take_declined(kBob, declined);
    EXPECT_EQ(network_.last(kAnn).declined().reason(), "not now?");
    EXPECT_EQ(relay_.count(), 0u);
    point_.take_declined(kBob, declined);  // once
    EXPECT_TRUE(network_.sent.empty());
}

// ---- the sought

class SoughtTest : public ::testing::Test {
protected:
    SoughtTest() { sought_.be_willing(true, {kPoint}); }
    wire::Invitation invitation(const std::string &call, bool relay) {
        wire::Invitation invitation;
        invitation.set_meeting(to_bytes(new_token()));
        invitation.set_seeker(to_bytes(kAnn));
        if (!call.empty()) write_address(*parse_peer_address(call), *invitation.mutable_call());
        if (relay) invitation.set_relay_token(to_bytes(new_token()));
        return invitation;
    }

    Loop loop_;
    ManualClock clock_;
    FakeNetwork network_;
    Caller caller_{loop_};
    Sought sought_{loop_, clock_, network_, caller_};
};

TEST_F(SoughtTest, SaysThatItIsWilling) {
    EXPECT_TRUE(network_.last(kPoint).willing().willing());
    sought_.be_willing(true, {kPoint});
    EXPECT_TRUE(network_.sent.empty());  // said already
    sought_.peer_came(kBob);
    EXPECT_TRUE(network_.last(kBob).willing().willing());
    sought_.be_willing(false, {kPoint, kBob});
    EXPECT_TRUE(network_.last(kBob).has_willing());
    sought_.peer_came(kCem);
    EXPECT_TRUE(network_.sent.empty());
    sought_.take_invitation(kPoint, invitation("", true));
    EXPECT_EQ(network_.last(kPoint).declined().reason(), "the peer does not want to be met");
}

// A stranger must not make this node knock at doors of its own network, or of this machine.
TEST_F(SoughtTest, DialsNoAddressOfItsOwnNetwork) {
    network_.point_address = "20.0.0.2:7660";
    for (const char *call :
         {"192.168.1.1:80", "10.0.0.1:22", "172.16.0.1:7660", "127.0.0.1:22", "169.254.1.1:80",
          "224.0.0.1:80", "0.0.0.0:80", "[::1]:22", "[fe80::1]:80", "[fd00::1]:80"}) {
        sought_.take_invitation(kPoint, invitation(call, false));
        EXPECT_EQ(network_.last(kPoint).declined().reason(), "there is no way to the seeker")
            << call;
    }
}

TEST_F(SoughtTest, GoesByTheRelayWhereTheSeekerDoesNotAnswer) {
    const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress bound = resolve({"127.0.0.1", 0}, true).value();
    ASSERT_EQ(bind(listener.get(), bound.get(), bound.size_bytes), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    getsockname(listener.get(), reinterpret_cast<sockaddr *>(&bound.storage), &bound.size_bytes);
    network_.point_address = format_address(bound.get(), bound.size_bytes);
    sought_.take_invitation(kPoint, invitation("127.0.0.1:1", true));  // refused at once
    ASSERT_TRUE(run_until(loop_, [&] { return network_.served.size() == 1; }));
    EXPECT_EQ(network_.served[0].relay, kPoint);
    // It answers, and does not prove its key: the same.
    sought_.take_invitation(kPoint, invitation(network_.point_address, true));
    ASSERT_TRUE(run_until(loop_, [&] { return network_.served.size() == 2; }));
    EXPECT_FALSE(network_.served[1].relay.has_value());
    network_.served_done[1](false);
    ASSERT_TRUE(run_until(loop_, [&] { return network_.served.size() == 3; }));
    EXPECT_EQ(network_.served[2].relay, kPoint);
    // It does prove it: that was all.
    sought_.take_invitation(kPoint, invitation(network_.point_address, true));
    ASSERT_TRUE(run_until(loop_, [&] { return network_.served.size() == 4; }));
    network_.served_done[3](true);
    run_for(loop_, kCallBackMs + 200);
    EXPECT_EQ(network_.served.size(), 4u);
}

TEST_F(SoughtTest, InvitationsAreBounded) {
    network_.sent.clear();
    for (std::uint64_t i = 0; i < kInvitationsBurst + 5; ++i)
        sought_.take_invitation(kPoint, invitation("", false));
    EXPECT_EQ(network_.last(kPoint).declined().reason(), "the peer is sought too often");
    clock_.advance_ms(1'000);
    for (std::uint64_t i = 0; i < kInvitationsPerSecond; ++i)
        sought_.take_invitation(kPoint, invitation("", false));
    EXPECT_EQ(network_.last(kPoint).declined().reason(), "there is no way to the seeker");
}

// ---- the seeker

class Buyer final : public RelayPolicy {
public:
    Status accepts(const wire::RelayTerms &terms) const override {
        return terms.price_per_gib() <= most ? ok_status()
                                             : Status(make_error(ErrorCode::kRefused, "too dear"));
    }
    void pay(const PublicKey &, const wire::RelayTerms &,
             std::function<void(Status)> done) override {
        paying.push_back(std::move(done));
    }
    std::int64_t most = 10;
    std::vector<std::function<void(Status)>> paying;
};

class SeekerTest : public ::testing::Test {
protected:
    SeekerTest() { network_.points = {kBob, kCem}; }
    void seek(bool may_relay = true) {
        outcome_.reset();
        seeker_.seek(kAnn, may_relay, [this](Result<MetSocket> got) {
            outcome_.emplace(got.ok() ? std::string("met") : got.error().message);
        });
        EXPECT_FALSE(outcome_.has_value());
    }
    void found(const PublicKey &point, bool here, bool relays = true, std::int64_t price = 0) {
        wire::Found found;
        found.set_node_key(to_bytes(kAnn));
        found.set_here(here);
        found.set_relays(relays);
        found.mutable_terms()->set_price_per_gib(price);
        seeker_.take_found(point, found);
    }
    // What was asked of `point`; its meeting is kept.
    bool was_asked(const PublicKey &point) {
        const MeetingMessage message = network_.last(point);
        if (message.has_meet()) meeting_ = message.meet().meeting();
        return message.has_meet();
    }
    void declined(const PublicKey &point, const std::string &why) {
        wire::Declined message;
        message.set_meeting(meeting_);
        message.set_reason(why);
        seeker_.take_declined(point, message);
    }

    Loop loop_;
    ManualClock clock_;
    FakeNetwork network_;
    Buyer policy_;
    Caller caller_{loop_};
    Seeker seeker_{loop_, clock_, network_, caller_, policy_};
    Bytes meeting_;
    std::optional<std::string> outcome_;
};

TEST_F(SeekerTest, AsksTheNextOneWhenOneDeclines) {
    seek();
    EXPECT_EQ(network_.sent.size(), 2u);
    found(kBob, true);
    ASSERT_EQ(policy_.paying.size(), 1u);
    policy_.paying[0](ok_status());
    ASSERT_TRUE(was_asked(kBob));
    found(kCem, true);
    EXPECT_EQ(policy_.paying.size(), 1u);  // one at a time
    declined(kCem, "not asked");           // says nothing
    declined(kBob, "full");
    ASSERT_EQ(policy_.paying.size(), 2u);
    policy_.paying[1](ok_status());
    ASSERT_TRUE(was_asked(kCem));
    declined(kCem, "full, too");
    EXPECT_EQ(outcome_, "full, too");
}

TEST_F(SeekerTest, SaysWhyItMetNobody) {
    seek();
    found(kBob, false);
    found(kCem, false);
    EXPECT_EQ(outcome_, "no peer here knows it");
    // Not again at once.
    network_.sent.clear();
    seek();
    ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
    EXPECT_EQ(outcome_, "it was sought a moment ago, and not met");
    EXPECT_TRUE(network_.sent.empty());
    clock_.advance_ms(kSearchAgainMs);
    seek();
    found(kBob, true, false);
    found(kCem, true, false);
    EXPECT_EQ(outcome_, "neither side can be called, and who knows both carries nothing");
    clock_.advance_ms(kSearchAgainMs);
    seek();
    found(kBob, true, true, 11);
    found(kCem, true, false);
    EXPECT_EQ(outcome_, "a relay: too dear");
    clock_.advance_ms(kSearchAgainMs);
    network_.points.clear();
    seek();
    ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
    EXPECT_EQ(outcome_, "there is no peer that could arrange a meeting");
}

TEST_F(SeekerTest, ALostMeetingPointIsGivenUp) {
    seek();
    found(kBob, true);
    policy_.paying[0](ok_status());
    seeker_.peer_gone(kBob);
    EXPECT_FALSE(outcome_.has_value());
    seeker_.peer_gone(kCem);
    EXPECT_EQ(outcome_, "who was to arrange the meeting is gone");
}

TEST_F(SeekerTest, ARelayThatIsNotPaidIsNotUsed) {
    network_.points = {kBob};
    seek();
    found(kBob, true, true, 10);
    policy_.paying[0](make_error(ErrorCode::kRefused, "the wallet is locked"));
    EXPECT_EQ(outcome_, "the wallet is locked");
    EXPECT_FALSE(was_asked(kBob));
}

TEST_F(SeekerTest, WithoutARelayItWaitsToBeCalled) {
    network_.points = {kBob};
    network_.port = 7'660;
    seek(false);
    found(kBob, true);
    ASSERT_TRUE(was_asked(kBob));
    MetSocket met;
    EXPECT_FALSE(seeker_.take_call(new_token(), met));
    EXPECT_TRUE(seeker_.take_call(to_bytes32(meeting_, "").value(), met));
    EXPECT_EQ(outcome_, "met");
    EXPECT_FALSE(seeker_.take_call(to_bytes32(meeting_, "").value(), met));
}

TEST_F(SeekerTest, OneThatIsNotCalledAtAllTakesNoCall) {
    network_.points = {kBob};
    seek();
    found(kBob, true);
    policy_.paying[0](ok_status());
    ASSERT_TRUE(was_asked(kBob));
    MetSocket met;
    EXPECT_FALSE(seeker_.take_call(to_bytes32(meeting_, "").value(), met));
}

TEST_F(SeekerTest, SearchesAreBounded) {
    std::size_t refused = 0;
    for (std::size_t i = 0; i < kSearchesMax + 3; ++i)
        seeker_.seek(kAnn, true, [&](Result<MetSocket> got) {
            refused += got.error().code == ErrorCode::kRefused;
        });
    EXPECT_TRUE(run_until(
        loop_, [&] { return refused == 3; }, 1'000));
}

}  // namespace
}  // namespace chain::p2p::test
