// SPDX-License-Identifier: BSD-3-Clause
//
// Meetings between whole Networks: who cannot be dialled is reached, by a call or by a relay; and
// what a relay can and cannot do to those who use it.
#include <atomic>

#include <poll.h>

#include "chain/p2p/limits.h"
#include "chain/p2p/preamble.h"
#include "chain/p2p/relay_policy.h"
#include "tests/chain/p2p/channel_pair.h"
#include "tests/chain/p2p/raw_peer.h"

namespace chain::p2p::test {
namespace {

// As behind a router: nobody can dial it.
Options at_home() {
    Options options = options_of();
    options.listen = false;
    return options;
}

Options relaying() {
    Options options = options_of();
    options.relay.when = RelayOptions::When::kAlways;
    return options;
}

constexpr char kNobody[] = "127.0.0.1:1";

class Meeting : public ::testing::Test {
protected:
    void introduce(Node &point, Node &node, const std::string &address = {}) {
        ASSERT_TRUE(connect_now(loop_, *node, address.empty() ? point.address() : address).ok());
    }
    // Ann seeks, Bob is sought.
    void introduce_all() {
        introduce(point_, ann_);
        introduce(point_, bob_);
        be_sought(bob_);
    }
    void be_sought(Node &node) {
        node->be_sought(true);
        run_for(loop_, 30);
    }
    static std::optional<PublicKey> relay_of(Node &node, const PublicKey &peer) {
        for (const PeerView &view : node->peers())
            if (view.node_key == peer) return view.relay;
        ADD_FAILURE() << "no session";
        return std::nullopt;
    }
    Result<Channel> open(Node &from, const std::string &address, const PublicKey &key,
                         bool may_relay = true) {
        std::optional<Result<Channel>> outcome;
        from->open_channel(address, key, "label", may_relay,
                           [&](Result<Channel> channel) { outcome.emplace(std::move(channel)); });
        EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
        return std::move(*outcome);
    }

    Loop loop_;
    Node point_{loop_, relaying()};
    Node ann_{loop_, at_home()};
    Node bob_{loop_, at_home()};
};

TEST_F(Meeting, ASessionGoesThroughTheRelay) {
    introduce_all();
    for (const char *address : {kNobody, ""}) {
        const auto reached = connect_now(loop_, *ann_, address, &bob_.key());
        ASSERT_TRUE(reached.ok()) << reached.error().message;
        EXPECT_EQ(*reached, bob_.key());
        ASSERT_TRUE(run_until(loop_, [&] { return bob_->connected(ann_.key()); }));
        EXPECT_EQ(relay_of(ann_, bob_.key()), point_.key());
        EXPECT_EQ(relay_of(bob_, ann_.key()), point_.key());
        EXPECT_FALSE(relay_of(ann_, point_.key()).has_value());
        const std::string said(300'000, 's');
        bob_.messages.clear();
        ASSERT_TRUE(ann_->send(bob_.key(), wire::Topic::kGossip, said).ok());
        ASSERT_TRUE(run_until(loop_, [&] { return bob_.messages.size() == 1; }));
        EXPECT_EQ(bob_.messages[0], said);
        // It stays for longer than silence would be borne.
        run_for(loop_, 1'000);
        EXPECT_TRUE(ann_->connected(bob_.key()));
        ann_->disconnect(bob_.key(), "done");
        ASSERT_TRUE(run_until(loop_, [&] { return !bob_->connected(ann_.key()); }));
    }
    EXPECT_TRUE(point_.messages.empty());
}

TEST_F(Meeting, AChannelGoesThroughTheRelay) {
    introduce_all();
    std::optional<Channel> taken;
    PublicKey from{};
    bob_->on_channel([&](const PublicKey &peer, std::string_view label, Channel channel) {
        EXPECT_EQ(label, "label");
        from = peer;
        taken.emplace(std::move(channel));
    });
    auto channel = open(ann_, kNobody, bob_.key());
    ASSERT_TRUE(channel.ok()) << channel.error().message;
    ASSERT_TRUE(run_until(loop_, [&] { return taken.has_value(); }));
    EXPECT_EQ(from, ann_.key());
    // The channel is out of the loop, the relay in it.
    std::string heard;
    std::thread talks([&] {
        write_all(*channel, "through");
        heard = read_bytes(*channel, 4);
    });
    std::string got;
    EXPECT_TRUE(run_until(loop_, [&] { return (got += read_bytes(*taken, 7, 1)).size() == 7; }));
    write_all(*taken, "back");
    run_until(
        loop_, [&] { return !heard.empty(); }, 1'000);
    talks.join();
    EXPECT_EQ(got, "through");
    EXPECT_EQ(heard, "back");
    EXPECT_FALSE(ann_->connected(bob_.key()));
    const auto refused = open(ann_, kNobody, bob_.key(), false);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("neither side can be called"), std::string::npos)
        << refused.error().message;
}

TEST_F(Meeting, WhoCanBeReachedIsCalledBackWithoutARelay) {
    Options options = options_of();
    Node open_one(loop_, options);
    introduce(point_, open_one);
    introduce(point_, bob_);
    be_sought(bob_);
    const auto reached = connect_now(loop_, *open_one, kNobody, &bob_.key());
    ASSERT_TRUE(reached.ok()) << reached.error().message;
    EXPECT_FALSE(relay_of(open_one, bob_.key()).has_value());
    ASSERT_TRUE(run_until(loop_, [&] { return bob_->connected(open_one.key()); }));
    // A channel, too, and even where no relay is wanted.
    std::optional<Channel> taken;
    bob_->on_channel([&](const PublicKey &, std::string_view, Channel channel) {
        taken.emplace(std::move(channel));
    });
    auto channel = open(open_one, "", bob_.key(), false);
    ASSERT_TRUE(channel.ok()) << channel.error().message;
    ASSERT_TRUE(run_until(loop_, [&] { return taken.has_value(); }));
    ASSERT_TRUE(write_all(*channel, "direct"));
    EXPECT_EQ(read_bytes(*taken, 6), "direct");
}

TEST_F(Meeting, TheAddressGoesFirst) {
    Node open_one(loop_, options_of());
    introduce(point_, open_one);
    introduce(point_, ann_);
    be_sought(open_one);
    const auto reached = connect_now(loop_, *ann_, open_one.address(), &open_one.key());
    ASSERT_TRUE(reached.ok());
    EXPECT_FALSE(relay_of(ann_, open_one.key()).has_value());
}

// A port that swallows what comes, as behind many a router, does not hold up the meeting.
TEST_F(Meeting, ASilentAddressIsNotWaitedFor) {
    introduce_all();
    const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SocketAddress bound = resolve({"127.0.0.1", 0}, true).value();
    ASSERT_EQ(bind(listener.get(), bound.get(), bound.size_bytes), 0);
    ASSERT_EQ(listen(listener.get(), 4), 0);
    getsockname(listener.get(), reinterpret_cast<sockaddr *>(&bound.storage), &bound.size_bytes);
    const std::uint64_t began_ms = system_clock().steady_ms();
    const auto reached =
        connect_now(loop_, *ann_, format_address(bound.get(), bound.size_bytes), &bob_.key());
    ASSERT_TRUE(reached.ok()) << reached.error().message;
    EXPECT_LT(system_clock().steady_ms() - began_ms, at_home().handshake_timeout_ms);
}

TEST_F(Meeting, WhyNobodyIsMetIsSaid) {
    const auto why = [&](Node &from, const std::string &address) {
        const auto got = connect_now(loop_, *from, address, &bob_.key());
        return got.ok() ? std::string("reached") : got.error().message;
    };
    EXPECT_NE(why(ann_, "").find("no peer could arrange"), std::string::npos);
    introduce(point_, ann_);
    introduce(point_, bob_);
    run_for(loop_, 30);
    const std::string unwilling = why(ann_, kNobody);
    EXPECT_NE(unwilling.find("refused; not met: no peer here knows it"), std::string::npos)
        << unwilling;
    run_for(loop_, kSearchAgainMs);
    Node thrifty(loop_, options_of());  // carries nothing: it is not public
    introduce(thrifty, ann_);
    introduce(thrifty, bob_);
    point_.stop();
    ASSERT_TRUE(run_until(loop_, [&] { return ann_->peers().size() == 1; }));
    be_sought(bob_);
    const std::string nothing = why(ann_, kNobody);
    EXPECT_NE(nothing.find("who knows both carries nothing"), std::string::npos) << nothing;
}

TEST_F(Meeting, ARelayThatDiesIsNoticedAndNamed) {
    introduce_all();
    ASSERT_TRUE(connect_now(loop_, *ann_, kNobody, &bob_.key()).ok());
    point_.stop();
    const std::uint64_t began_ms = system_clock().steady_ms();
    ASSERT_TRUE(run_until(loop_, [&] { return !ann_->connected(bob_.key()); }));
    EXPECT_LT(system_clock().steady_ms() - began_ms, at_home().silent_after_ms + 500);
    const auto lost = std::find_if(ann_.events.begin(), ann_.events.end(), [&](const auto &event) {
        return !event.up && event.peer == bob_.key();
    });
    ASSERT_NE(lost, ann_.events.end());
    EXPECT_NE(lost->why.find("relay 127.0.0.1:"), std::string::npos) << lost->why;
}

// Breaks a rule through the relay: the session ends, and the relay's host is not to blame.
TEST_F(Meeting, WhoBreaksRulesThroughARelayDiscouragesNobodyElse) {
    Options strict = at_home();
    strict.discourage_loopback = true;
    Node carl(loop_, strict);
    introduce(point_, ann_);
    introduce(point_, carl);
    be_sought(carl);
    ASSERT_TRUE(connect_now(loop_, *ann_, kNobody, &carl.key()).ok());
    ASSERT_TRUE(run_until(loop_, [&] { return carl->connected(ann_.key()); }));
    carl->disconnect(ann_.key(), "you said a wrong word");
    ASSERT_TRUE(run_until(loop_, [&] { return !ann_->connected(carl.key()); }));
    EXPECT_TRUE(carl->connected(point_.key()));
    EXPECT_TRUE(connect_now(loop_, *ann_, kNobody, &carl.key()).ok());
}

class Dear final : public RelayPolicy {
public:
    wire::RelayTerms terms(const PublicKey &) const override {
        wire::RelayTerms terms;
        terms.set_price_per_gib(5);
        terms.set_account(Bytes(32, 'a'));
        return terms;
    }
};

TEST_F(Meeting, ARelayThatWantsMoneyIsNotUsedByWhoPaysNone) {
    Dear dear;
    Options options = relaying();
    options.relay_policy = &dear;
    Node shop(loop_, options);
    introduce(shop, ann_);
    introduce(shop, bob_);
    be_sought(bob_);
    const auto refused = connect_now(loop_, *ann_, kNobody, &bob_.key());
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("it wants to be paid"), std::string::npos)
        << refused.error().message;
    shop.stop();
}

TEST_F(Meeting, APeerThatSaysNonsenseIsEnded) {
    introduce(point_, ann_);
    // By hand: the Network sends only what is in form.
    const KeyPair key = KeyPair::generate();
    std::string answer;
    std::atomic<bool> finished = false;
    std::thread stranger([&, address = point_.address()] {
        RawPeer raw(address);
        if (raw.tls_as(Role::kClient)) {
            raw.write(
                frame_of(wire::Topic::kHello, make_hello(Role::kClient, raw.secret(),
                                                         options_of().chain_id, key, 0, "raw/1")) +
                frame_of(wire::Topic::kPing, "") +
                frame_of(wire::Topic::kMeeting, std::string("\x12\x02\x0a\x00", 4)));
            answer = raw.read_to_end();
        }
        finished = true;
    });
    EXPECT_TRUE(run_until(loop_, [&] { return finished.load(); }));
    stranger.join();
    EXPECT_NE(answer.find("Seek.node_key"), std::string::npos) << printable(answer, 300);
}

// ---- attacks on the way

// Between the peers and the meeting point: passes everything on, and spoils what comes in the
// clear behind a preamble.
class Spoiler {
public:
    explicit Spoiler(const std::string &to) : to_(to) {
        listener_ = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        SocketAddress bound = resolve({"127.0.0.1", 0}, true).value();
        CHAIN_CHECK(bind(listener_.get(), bound.get(), bound.size_bytes) == 0);
        CHAIN_CHECK(listen(listener_.get(), 16) == 0);
        getsockname(listener_.get(), reinterpret_cast<sockaddr *>(&bound.storage),
                    &bound.size_bytes);
        address_ = format_address(bound.get(), bound.size_bytes);
        thread_ = std::thread([this] { run(); });
    }
    ~Spoiler() {
        ends_ = true;
        thread_.join();
    }
    const std::string &address() const { return address_; }
    std::atomic<std::size_t> spoil_from_byte = SIZE_MAX;  // behind the preamble
    std::atomic<std::size_t> spoiled = 0;

private:
    struct Pair {
        FileDescriptor near, far;
        bool is_met = false, begun = false;
        std::size_t passed = 0;
    };
    void run() {
        std::vector<Pair> pairs;
        while (!ends_) {
            std::vector<pollfd> polls{{listener_.get(), POLLIN, 0}};
            for (const Pair &pair : pairs) {
                polls.push_back({pair.near.get(), POLLIN, 0});
                polls.push_back({pair.far.get(), POLLIN, 0});
            }
            poll(polls.data(), polls.size(), 20);
            for (std::size_t i = 0; i < pairs.size(); ++i) {
                if (polls[1 + 2 * i].revents != 0) pass(pairs[i], true);
                if (pairs[i].near.valid() && polls[2 + 2 * i].revents != 0) pass(pairs[i], false);
            }
            if ((polls[0].revents & POLLIN) != 0) {
                Pair pair;
                pair.near = FileDescriptor(accept(listener_.get(), nullptr, nullptr));
                const auto to = resolve(parse_host_port(to_).value(), true);
                pair.far = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                if (connect(pair.far.get(), to->get(), to->size_bytes) == 0)
                    pairs.push_back(std::move(pair));
            }
            std::erase_if(pairs, [](const Pair &pair) { return !pair.near.valid(); });
        }
    }
    void pass(Pair &pair, bool outward) {
        char buffer[16384];
        FileDescriptor &from = outward ? pair.near : pair.far;
        FileDescriptor &to = outward ? pair.far : pair.near;
        const ssize_t got = recv(from.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got <= 0) {
            pair.near.reset();
            pair.far.reset();
            return;
        }
        if (!std::exchange(pair.begun, true)) pair.is_met = buffer[0] == kPreambleMagic.front();
        if (pair.is_met && outward) {
            const std::size_t at = kPreambleBytes + spoil_from_byte.load();
            const auto size = static_cast<std::size_t>(got);
            if (spoil_from_byte != SIZE_MAX && pair.passed + size > at) {
                buffer[at > pair.passed ? at - pair.passed : 0] ^= 0x20;
                ++spoiled;
            }
            pair.passed += size;
        }
        static_cast<void>(send(to.get(), buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL));
    }

    const std::string to_;
    std::string address_;
    FileDescriptor listener_;
    std::atomic<bool> ends_ = false;
    std::thread thread_;
};

TEST_F(Meeting, ARelayThatAltersBytesGetsNowhere) {
    Spoiler spoiler(point_.address());
    introduce(point_, ann_, spoiler.address());
    introduce(point_, bob_);
    be_sought(bob_);
    // Through it, unspoiled.
    ASSERT_TRUE(connect_now(loop_, *ann_, kNobody, &bob_.key()).ok());
    ASSERT_TRUE(run_until(loop_, [&] { return bob_->connected(ann_.key()); }));
    // In the middle of a session: TLS notices, and not a word of it is taken.
    spoiler.spoil_from_byte = 5'000;
    ASSERT_TRUE(ann_->send(bob_.key(), wire::Topic::kGossip, std::string(50'000, 'x')).ok());
    ASSERT_TRUE(run_until(loop_, [&] { return !bob_->connected(ann_.key()); }));
    EXPECT_GT(spoiler.spoiled, 0u);
    EXPECT_TRUE(bob_.messages.empty());
    ASSERT_TRUE(run_until(loop_, [&] { return !ann_->connected(bob_.key()); }));
    // In the handshake.
    for (const std::size_t from_byte : {20u, 100u, 200u}) {
        run_for(loop_, kSearchAgainMs);
        spoiler.spoil_from_byte = from_byte;
        const auto got = connect_now(loop_, *ann_, kNobody, &bob_.key());
        EXPECT_FALSE(got.ok()) << from_byte;
        EXPECT_FALSE(bob_->connected(ann_.key()));
    }
    EXPECT_TRUE(ann_->connected(point_.key()));
}

// Runs `stranger` on its own thread while the loop turns.
void with_stranger(Loop &loop, const std::function<void()> &stranger) {
    std::atomic<bool> finished = false;
    std::thread thread([&] {
        stranger();
        finished = true;
    });
    EXPECT_TRUE(run_until(
        loop, [&] { return finished.load(); }, 2 * kGenerousMs));
    thread.join();
}

TEST(MeetingStranger, TokensOfNobodyAreClosed) {
    Loop loop;
    Node node(loop, relaying());
    with_stranger(loop, [&] {
        RawPeer raw(node.address());
        raw.write_plain(format_preamble(new_token()));
        EXPECT_TRUE(raw.plain_closed());
    });
}

TEST(MeetingStranger, HalfPreamblesAreHandshakesAsAny) {
    Loop loop;
    Options options = relaying();
    options.handshake_timeout_ms = 2 * kGenerousMs;  // none is closed for being slow
    Node node(loop, options);
    Node friendly(loop, options_of());
    ASSERT_TRUE(connect_now(loop, *node, friendly.address()).ok());
    with_stranger(loop, [&] {
        std::vector<std::unique_ptr<RawPeer>> crowd;
        for (std::size_t i = 0; i < kHandshakesMax + 1; ++i) {
            crowd.push_back(std::make_unique<RawPeer>(node.address()));
            if (i < kHandshakesMax) crowd.back()->write_plain("ompi");
        }
        EXPECT_TRUE(crowd.back()->plain_closed());
    });
    EXPECT_TRUE(node->connected(friendly.key()));
}

}  // namespace
}  // namespace chain::p2p::test
