// SPDX-License-Identifier: BSD-3-Clause
//
// Attacks over real sessions that once worked: who makes honest peers blame each other, keeps a
// node busy for nothing, or keeps from it what others would send.
#include <algorithm>
#include <set>

#include "chain/daemon/chain_sync.h"
#include "chain/daemon/gossip_relay.h"
#include "tests/attack/attack.h"
#include "tests/chain/p2p/net_fixture.h"

namespace chain::daemon {
namespace {

using consensus::HeaderWords;
using consensus::key_of;
using ledger::ConsensusKind;
using p2p::test::connect_now;
using p2p::test::Node;
using p2p::test::run_until;
using wire::Topic;

p2p::Options options_for(const Bytes32 &chain_id) {
    p2p::Options options = p2p::test::options_of();
    options.chain_id = chain_id;
    options.silent_after_ms = 60'000;  // a slow machine is no attack
    return options;
}

// The part of a daemon that follows the ledger and the offers.
struct Honest {
    Honest(Loop &loop, const Clock &clock, const ledger::Genesis &genesis)
        : node(loop, options_for(genesis.chain_id)),
          backend(LedgerBackend::open(loop, clock, make_memory_store(), genesis, {}).value()),
          book(backend->chain_id(), clock,
               [this](const PublicKey &provider) {
                   return backend->account(provider)->balance.units > 0;
               }),
          sync(loop, *backend, book, *node) {
        node->on_peer([this](const PublicKey &, bool up, const std::string &why) {
            if (!up) ended.push_back(why);
        });
    }
    ~Honest() { node.stop(); }  // before what it calls

    Node node;
    std::unique_ptr<LedgerBackend> backend;
    market::OfferBook book;
    ChainSync sync;
    std::vector<std::string> ended;  // its sessions: why
};

Bytes gossip_of(const wire::SignedTx &tx) {
    wire::Gossip gossip;
    gossip.set_tx(tx.SerializeAsString());
    return gossip.SerializeAsString();
}

Bytes gossip_of(const wire::SignedOffer &offer) {
    wire::Gossip gossip;
    *gossip.mutable_offer() = offer;
    return gossip.SerializeAsString();
}

class NetworkAttack : public testing::Test {
protected:
    std::unique_ptr<Honest> make_honest() {
        return std::make_unique<Honest>(loop_, clock_, genesis_);
    }
    std::unique_ptr<Node> make_stranger() {
        return std::make_unique<Node>(loop_, options_for(genesis_.chain_id));
    }
    void connect(Node &from, Node &to) {
        ASSERT_TRUE(connect_now(loop_, *from, to.address()).ok());
        ASSERT_TRUE(run_until(loop_, [&] { return to->connected(from.key()); }));
    }
    void send(Node &from, Node &to, Topic topic, const Bytes &payload) {
        ASSERT_TRUE(from->send(to.key(), topic, payload).ok());
    }
    wire::SignedTx transfer(std::uint8_t from, std::uint64_t nonce, std::int64_t units) const {
        wire::TxBody body;
        body.set_chain_id(to_bytes(genesis_.chain_id));
        body.set_sender(to_bytes(key_of(from).public_key()));
        body.set_nonce(nonce);
        body.mutable_transfer()->set_to(to_bytes(key_of(7).public_key()));
        body.mutable_transfer()->set_amount(units);
        return ledger::sign_tx(body, key_of(from));
    }
    wire::SignedOffer offer_of(const KeyPair &provider) const {
        wire::OfferBody body;
        body.set_chain_id(to_bytes(genesis_.chain_id));
        body.set_provider(to_bytes(provider.public_key()));
        body.set_node_key(to_bytes(provider.public_key()));
        body.set_address("10.0.0.1:7411");
        body.set_host("nobody");
        body.set_slot_count(4);
        body.set_hz(3'000'000'000);
        body.set_ask_per_ghz_h(1);
        body.set_isolation("full");
        body.set_meter_class(wire::METER_CLASS_HW);
        body.set_sequence(1);
        body.set_issued_at_ms(clock_.unix_ms());
        body.set_expires_at_ms(clock_.unix_ms() + 9 * 60'000);
        return market::sign_offer(body, provider);
    }
    // Of one stranger of many, without funds.
    wire::SignedOffer offer_of_stranger(std::uint32_t number) const {
        Bytes32 secret{};
        secret[0] = 1;
        for (int i = 0; i < 4; ++i) secret[31 - i] = static_cast<std::uint8_t>(number >> 8 * i);
        return offer_of(KeyPair::from_secret(secret).value());
    }
    // By a header's own words, a little work upon the genesis.
    HeaderWords first_words(const Honest &node) const {
        HeaderWords words = consensus::words_on(node.backend->tip());
        words.time_ms = genesis_.time_ms + 1'000;
        words.weight = incentive::kQ16;
        return words;
    }
    void use_proof_of_work(const std::string &function, std::uint32_t target_bits) {
        genesis_ = consensus::ValidatorChain(ConsensusKind::kPor).genesis();
        genesis_.consensus.proof_of_work = function;
        genesis_.consensus.first_target_bits = target_bits;
        genesis_ = ledger::parse_genesis(ledger::format_genesis(genesis_)).value();
        clock_.advance_ms(100'000);
    }
    // A transaction of that account, which has sent nothing yet, comes from one to the other. By
    // then the other has looked at all that was sent before, too, and nobody is blamed for it.
    void expect_on_terms(Honest &from, Honest &to, std::uint8_t account) {
        const std::size_t before = to.backend->mempool_count();
        ASSERT_TRUE(from.backend->submit(transfer(account, 0, 1)).ok());
        EXPECT_TRUE(run_until(loop_, [&] { return to.backend->mempool_count() > before; }));
        for (const Honest *one : {&from, &to})
            EXPECT_TRUE(one->ended.empty()) << "a session ended: " << one->ended.front();
    }

    Loop loop_;
    ledger::Genesis genesis_ = consensus::ValidatorChain(ConsensusKind::kPoa).genesis();
    ManualClock clock_{genesis_.time_ms + 500};
};

// ---- blame

// Two nodes get different transactions of one account, as many as a pool has room for. Each passes
// its own on, as it must, and the other has no room: none of them has done anything wrong.
TEST_F(NetworkAttack, NobodyIsBlamedForAFullPool) {
    const auto a = make_honest(), b = make_honest();
    const auto attacker = make_stranger();
    for (Honest *const to : {a.get(), b.get()}) {
        connect(*attacker, to->node);
        for (std::uint64_t nonce = 0; nonce < ledger::Mempool::kTxsPerSenderMax; ++nonce)
            send(*attacker, to->node, Topic::kGossip,
                 gossip_of(transfer(6, nonce, to == a.get() ? 1 : 2)));
        ASSERT_TRUE(run_until(loop_, [&] {
            return to->backend->mempool_count() == ledger::Mempool::kTxsPerSenderMax;
        }));
    }
    connect(a->node, b->node);
    expect_on_terms(*a, *b, 5);
    expect_on_terms(*b, *a, 8);
}

// The same with one transaction, which an honest peer passes on while it is new.
TEST_F(NetworkAttack, WhoPassesOnOneTransactionTooManyIsNotBlamed) {
    const auto victim = make_honest();
    const auto relay = make_stranger();
    for (std::uint64_t nonce = 0; nonce < ledger::Mempool::kTxsPerSenderMax; ++nonce)
        ASSERT_TRUE(victim->backend->submit(transfer(6, nonce, 1)).ok());
    connect(*relay, victim->node);
    send(*relay, victim->node, Topic::kGossip, gossip_of(transfer(6, 0, 3)));
    send(*relay, victim->node, Topic::kGossip, gossip_of(transfer(5, 0, 1)));
    EXPECT_TRUE(run_until(loop_, [&] {
        return victim->backend->mempool_count() > ledger::Mempool::kTxsPerSenderMax;
    })) << "the second one did not come";
    EXPECT_TRUE(victim->ended.empty());
}

// Offers cost a stranger a signature each: ten thousand fill the book of a node. Whoever tells it
// of one more, as all do when a session begins, is not blamed; and who has funds finds room.
TEST_F(NetworkAttack, NobodyIsBlamedForAFullBookOfOffers) {
    const auto a = make_honest(), b = make_honest();
    std::size_t told_bytes = 0;
    for (std::uint32_t i = 0; i < market::kOffersMax; ++i) {
        const wire::SignedOffer offer = offer_of_stranger(i);
        told_bytes += gossip_of(offer).size();
        ASSERT_TRUE(a->book.accept(offer).ok());
    }
    ASSERT_TRUE(b->book.accept(offer_of_stranger(market::kOffersMax)).ok());
    connect(a->node, b->node);
    ASSERT_TRUE(run_until(loop_, [&] {
        const auto peers = b->node->peers();
        return !b->ended.empty() || (!peers.empty() && peers[0].received_bytes >= told_bytes);
    }));
    expect_on_terms(*a, *b, 5);
    expect_on_terms(*b, *a, 6);
    ASSERT_EQ(b->book.signed_offers().size(), market::kOffersMax) << "this one is full, too";

    const KeyPair provider = key_of(8);
    const wire::SignedOffer real = offer_of(provider);
    ASSERT_TRUE(b->book.accept(real).ok());
    b->sync.publish_offer(real);
    expect_on_terms(*b, *a, 7);
    const auto offers = a->book.offers();
    EXPECT_EQ(offers.size(), market::kOffersMax);
    EXPECT_TRUE(std::any_of(offers.begin(), offers.end(), [&](const market::Offer &offer) {
        return offer.provider == provider.public_key();
    }));
}

// ---- work for nothing

// Two bytes ask for all offers, which may be megabytes: they are sent once in a while.
TEST_F(NetworkAttack, AllOffersAreNotSentAgainAndAgain) {
    const auto victim = make_honest();
    const auto attacker = make_stranger();
    const Bytes offer = gossip_of(offer_of_stranger(1)), last = gossip_of(transfer(6, 0, 1));
    wire::Gossip parsed;
    ASSERT_TRUE(parsed.ParseFromString(offer) && victim->book.accept(parsed.offer()).ok());
    connect(*attacker, victim->node);
    wire::SyncMessage question;
    question.mutable_get_offers();
    for (int i = 0; i < 20; ++i)
        send(*attacker, victim->node, Topic::kSync, question.SerializeAsString());
    send(*attacker, victim->node, Topic::kGossip, gossip_of(transfer(5, 0, 1)));
    ASSERT_TRUE(run_until(loop_, [&] { return victim->backend->mempool_count() == 1; }));
    // All questions have come, and this comes after all answers.
    ASSERT_TRUE(parsed.ParseFromString(last) && victim->backend->accept_tx(parsed.tx()).ok());
    const auto count = [&](const Bytes &item) {
        return std::count(attacker->messages.begin(), attacker->messages.end(), item);
    };
    ASSERT_TRUE(run_until(loop_, [&] { return count(last) > 0; }));
    EXPECT_EQ(count(offer), 1);
}

// A header without work costs its sender nothing, and whoever looks a slow hash: it is the last one
// that this peer sends.
TEST_F(NetworkAttack, AHeaderWithoutWorkEndsTheSession) {
    use_proof_of_work("sha256d", 40);
    const auto victim = make_honest();
    const auto attacker = make_stranger();
    connect(*attacker, victim->node);
    wire::SyncMessage message;
    *message.mutable_headers()->add_headers() =
        consensus::header_of(consensus::made_up_block(genesis_, first_words(*victim), key_of(200)));
    send(*attacker, victim->node, Topic::kSync, message.SerializeAsString());
    ASSERT_TRUE(run_until(loop_, [&] { return !victim->ended.empty(); }));
    EXPECT_NE(victim->ended.front().find("not enough work"), std::string::npos)
        << victim->ended.front();
}

// Headers of a RandomX network take some 20 ms each, and a thousand come at once. Were they looked
// at in one go, everybody would take this node for dead.
TEST_F(NetworkAttack, TheLoopGoesOnWhileHeadersAreLookedAt) {
    if (!consensus::make_pow("randomx", {}).ok()) GTEST_SKIP() << "built without RandomX";
    constexpr std::size_t kHeaders = 40;
    use_proof_of_work("randomx", 0);
    const auto victim = make_honest();
    const auto peer = make_stranger();
    connect(*peer, victim->node);
    const auto branch = consensus::made_up_branch(
        genesis_, first_words(*victim), kHeaders, {200},
        [&](HeaderWords &words) { words.time_ms = genesis_.time_ms + 2'000 * words.height; });
    wire::SyncMessage message;
    for (const auto &header : consensus::headers_of(branch))
        *message.mutable_headers()->add_headers() = header;
    send(*peer, victim->node, Topic::kSync, message.SerializeAsString());
    std::set<std::size_t> sizes;  // of the tree, as the loop sees it meanwhile
    ASSERT_TRUE(run_until(
        loop_,
        [&] {
            sizes.insert(victim->backend->engine()->consensus().tree().size());
            return sizes.contains(1 + kHeaders);
        },
        60'000));
    EXPECT_GT(sizes.size(), 4u) << "the loop stood still";
    EXPECT_TRUE(victim->ended.empty());
}

// ---- what is kept from a node

// One that passes on what it hears.
class Member {
public:
    explicit Member(Loop &loop) : node(loop, p2p::test::options_of()), relay(loop, *node) {
        node->on_message(Topic::kGossip, [this](const PublicKey &peer, std::string_view bytes) {
            wire::Gossip gossip;
            ASSERT_TRUE(gossip.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
            if (gossip.has_announce())
                static_cast<void>(relay.on_announce(peer, gossip.announce()));
            else if (gossip.has_want())
                static_cast<void>(relay.on_want(peer, gossip.want()));
            else if (relay.on_item(peer, gossip) && items.insert(gossip.tx()).second)
                relay.spread(gossip);
        });
    }
    ~Member() { node.stop(); }

    Node node;
    GossipRelay relay;
    std::set<std::string> items;
};

// A stranger says first that he has a vote, again and again, and keeps it. The next one who has it
// is asked, without saying so twice.
TEST_F(NetworkAttack, AnItemComesThoughItsFirstAnnouncerKeepsIt) {
    Member source(loop_), relay(loop_), victim(loop_);
    Node stranger(loop_, p2p::test::options_of());
    ASSERT_TRUE(connect_now(loop_, *relay.node, source.node.address()).ok());
    ASSERT_TRUE(connect_now(loop_, *relay.node, victim.node.address()).ok());
    ASSERT_TRUE(connect_now(loop_, *stranger, victim.node.address()).ok());
    wire::Gossip vote, announcement;
    vote.set_tx("a validator's vote");
    announcement.mutable_announce()->add_ids(
        to_bytes(tagged_hash("ompi-chain/gossip", vote.SerializeAsString())));
    const auto announce = [&] {
        static_cast<void>(
            stranger->send(victim.node.key(), Topic::kGossip, announcement.SerializeAsString()));
    };
    announce();
    ASSERT_TRUE(run_until(loop_, [&] { return !stranger.messages.empty(); })) << "is asked";
    const LoopHandle again = loop_.every_ms(1, announce);
    source.relay.spread(vote);
    ASSERT_TRUE(run_until(loop_, [&] { return !relay.items.empty(); }));
    EXPECT_TRUE(run_until(loop_, [&] { return !victim.items.empty(); }));
}

// An honest peer is asked for headers each time that it tells a new tip, and answers with a
// thousand each time. While the first thousand are still looked at, that is no fault of its.
TEST_F(NetworkAttack, APeerThatTellsNewTipsIsNotBlamed) {
    if (!consensus::make_pow("randomx", {}).ok()) GTEST_SKIP() << "built without RandomX";
    use_proof_of_work("randomx", 0);
    clock_.advance_ms(10'000'000);
    const auto victim = make_honest();
    const auto peer = make_stranger();
    const auto branch = consensus::made_up_branch(
        genesis_, first_words(*victim), 1'000, {200, 201},
        [&](HeaderWords &words) { words.time_ms = genesis_.time_ms + 2'000 * words.height; });
    wire::SyncMessage answer;
    for (const auto &header : consensus::headers_of(branch))
        *answer.mutable_headers()->add_headers() = header;
    const Bytes bytes = answer.SerializeAsString();
    (**peer).on_message(Topic::kSync, [&](const PublicKey &who, std::string_view payload) {
        wire::SyncMessage message;
        if (message.ParseFromArray(payload.data(), static_cast<int>(payload.size())) &&
            message.has_get_headers())
            static_cast<void>((**peer).send(who, Topic::kSync, bytes));
    });
    connect(*peer, victim->node);
    for (std::uint64_t i = 0; i < 3; ++i) {
        wire::SyncMessage tip;
        tip.mutable_tip()->set_height(2'000 + i);
        tip.mutable_tip()->set_block_id(to_bytes(consensus::block_id(i)));
        send(*peer, victim->node, Topic::kSync, tip.SerializeAsString());
    }
    EXPECT_FALSE(run_until(
        loop_, [&] { return !victim->ended.empty(); }, 3'000))
        << victim->ended.front();
}

}  // namespace
}  // namespace chain::daemon
