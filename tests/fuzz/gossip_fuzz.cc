// SPDX-License-Identifier: BSD-3-Clause
//
// What peers say to a node of what is on the ledger: messages of Gossip and Sync, right ones and
// wrong ones, to ChainSync on a ledger in memory. The network is one that hears what it is told.
#include "chain/daemon/chain_sync.h"

#include <event2/event.h>

#include "tests/fuzz/validators.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

constexpr unsigned kMessagesMax = 8;
constexpr unsigned kPeers = 2;

PublicKey peer_of(unsigned number) {
    PublicKey peer{};
    peer[0] = static_cast<std::uint8_t>(number + 1);
    return peer;
}

class Heard final : public p2p::Network {
public:
    std::string listen_address() const override { return {}; }
    std::string reachable_address() const override { return {}; }
    void keep_connected(const std::string &) override {}
    void connect(const std::string &, const PublicKey *,
                 std::function<void(Result<PublicKey>)>) override {}
    Status send(const PublicKey &, wire::Topic topic, std::string_view payload) override {
        note(topic, payload);
        return ok_status();
    }
    std::size_t queued_bytes(const PublicKey &) const override { return 0; }
    void broadcast(wire::Topic topic, std::string_view payload, const PublicKey *) override {
        note(topic, payload);
    }
    void open_channel(const std::string &, const PublicKey &, std::string_view, bool,
                      ChannelDone) override {}
    void be_sought(bool) override {}
    Status send_meeting(const PublicKey &, const wire::MeetingMessage &) override {
        return ok_status();
    }
    void on_channel(ChannelHandler) override {}
    void on_message(wire::Topic topic, MessageHandler handler) override {
        (topic == wire::Topic::kGossip ? gossip_ : sync_) = std::move(handler);
    }
    void on_peer(PeerHandler handler) override { peer_ = std::move(handler); }
    void on_drained(DrainHandler) override {}
    void greet_anew(const std::string &) override {}
    void disconnect(const PublicKey &peer, const std::string &why) override {
        CHAIN_CHECK(!why.empty());
        disconnected_.push_back(peer);
    }
    bool connected(const PublicKey &) const override { return true; }
    std::vector<p2p::PeerView> peers() const override {
        std::vector<p2p::PeerView> views(kPeers);
        for (unsigned i = 0; i < kPeers; ++i) views[i].node_key = peer_of(i);
        return views;
    }

    void peer_up(unsigned peer) { peer_(peer_of(peer), true, ""); }
    void receive(unsigned peer, wire::Topic topic, std::string_view payload) {
        sent_ = 0;
        (topic == wire::Topic::kGossip ? gossip_ : sync_)(peer_of(peer), payload);
    }
    bool is_disconnected(unsigned peer) const {
        return std::find(disconnected_.begin(), disconnected_.end(), peer_of(peer)) !=
               disconnected_.end();
    }

private:
    // What goes out is what others take in, and no message is answered by many.
    void note(wire::Topic topic, std::string_view payload) {
        CHAIN_CHECK(payload.size() < wire::kMaxPeerFrameBytes);
        CHAIN_CHECK(++sent_ < 64);
        wire::Gossip gossip;
        wire::SyncMessage sync;
        CHAIN_CHECK(wire::parse_strict(payload, wire::kMaxPeerFrameBytes, "ours",
                                       topic == wire::Topic::kGossip
                                           ? static_cast<google::protobuf::Message &>(gossip)
                                           : sync)
                        .ok());
    }

    MessageHandler gossip_, sync_;
    PeerHandler peer_;
    std::vector<PublicKey> disconnected_;
    unsigned sent_ = 0;
};

class Node {
public:
    explicit Node(const ledger::Genesis &genesis)
        : clock_(kGenesisTimeMs + 60'000), book_(genesis.chain_id, clock_) {
        ledger_ =
            LedgerBackend::open(loop(), clock_, make_memory_store(), genesis, std::nullopt).value();
        sync_.emplace(loop(), *ledger_, book_, network_);
        for (unsigned peer = 0; peer < kPeers; ++peer) network_.peer_up(peer);
    }

    // `is_right`: an honest peer says it, and must not be blamed for it.
    void say(unsigned peer, wire::Topic topic, std::string_view payload, bool is_right) {
        const bool was_disconnected = network_.is_disconnected(peer);
        network_.receive(peer, topic, payload);
        turn();
        if (is_right) CHAIN_CHECK(was_disconnected || !network_.is_disconnected(peer));
        CHAIN_CHECK(ledger::check_conservation(ledger_->tip().totals).ok());
    }
    void later(std::uint64_t ms) {
        clock_.advance_ms(ms);
        sync_->try_again();
        turn();
    }
    void check() const { CHAIN_CHECK(ledger_->check_recount().ok()); }
    const LedgerBackend &ledger() const { return *ledger_; }

private:
    static Loop &loop() {
        static Loop made;
        return made;
    }
    static void turn() { event_base_loop(loop().base(), EVLOOP_NONBLOCK); }

    ManualClock clock_;
    market::OfferBook book_;
    Heard network_;
    std::unique_ptr<LedgerBackend> ledger_;
    std::optional<daemon::ChainSync> sync_;
};

// ---- what is said

wire::SignedVote right_vote(const Validators &world, unsigned voter) {
    const auto target = world.chain->checkpoint_at(2).value();
    const auto source = world.chain->checkpoint_at(0).value();
    const auto body = ledger::vote_body(world.genesis.chain_id, world.keys[voter].public_key(),
                                        {source.height, source.id, target.height, target.id});
    return ledger::sign_vote(body, world.keys[voter]);
}

wire::SignedBlock header_of(std::string_view block_bytes) {
    wire::SignedBlock block;
    CHAIN_CHECK(block.ParseFromArray(block_bytes.data(), static_cast<int>(block_bytes.size())));
    block.clear_txs();
    block.clear_votes();
    return block;
}

void say_right(Node &node, Choices &choices, const Validators &world, unsigned peer) {
    const unsigned number = choices.byte() % static_cast<unsigned>(world.blocks.size());
    wire::Gossip gossip;
    wire::SyncMessage sync;
    switch (choices.below(6)) {
        case 0: gossip.set_block(world.blocks[number]); break;
        case 1: *gossip.mutable_vote() = right_vote(world, choices.byte() % kValidators); break;
        case 2:
            for (unsigned i = 0; i <= number; ++i)
                sync.mutable_blocks()->add_blocks(world.blocks[i]);
            break;
        case 3:
            for (unsigned i = 0; i <= number; ++i)
                *sync.mutable_headers()->add_headers() = header_of(world.blocks[i]);
            break;
        case 4:
            sync.mutable_tip()->set_height(number + 1);
            sync.mutable_tip()->set_block_id(to_bytes(world.chain->checkpoint_at(number + 1)->id));
            break;
        default:
            sync.mutable_get_headers()->add_known(to_bytes(world.chain->checkpoint_at(number)->id));
    }
    if (sync.what_case() == wire::SyncMessage::WHAT_NOT_SET)
        node.say(peer, wire::Topic::kGossip, gossip.SerializeAsString(), true);
    else
        node.say(peer, wire::Topic::kSync, sync.SerializeAsString(), true);
}

void say_anything(Node &node, Choices &choices, const Validators &world, unsigned peer) {
    const Hints &hints = world.hints;
    wire::Gossip gossip;
    wire::SyncMessage sync;
    switch (choices.below(5)) {
        case 0: fill(gossip, choices, hints); break;
        case 1: {
            wire::TxBody body;
            fill(body, choices, hints);
            const KeyPair &sender = world.keys[choices.below(kVoters)];
            body.set_chain_id(to_bytes(world.genesis.chain_id));
            body.set_sender(to_bytes(sender.public_key()));
            if (!choices.one_in(4)) body.set_nonce(0);
            gossip.set_tx(ledger::sign_tx(body, sender).SerializeAsString());
            break;
        }
        case 2: {
            if (!node.ledger().has_validators()) return;
            const auto &parent = node.ledger().engine()->consensus().tip();
            const wire::SignedBlock header = world.pick_header(choices, parent);
            if (choices.one_in(2))
                gossip.set_block(header.SerializeAsString());
            else
                *sync.mutable_headers()->add_headers() = header;
            break;
        }
        default: fill(sync, choices, hints);
    }
    if (sync.what_case() == wire::SyncMessage::WHAT_NOT_SET)
        node.say(peer, wire::Topic::kGossip, gossip.SerializePartialAsString(), false);
    else
        node.say(peer, wire::Topic::kSync, sync.SerializePartialAsString(), false);
}

}  // namespace

CHAIN_FUZZ_TARGET(gossip) {
    Choices choices(input);
    const unsigned mode = choices.byte();
    const Validators &world =
        Validators::get(mode % 2 == 0 ? ledger::ConsensusKind::kPoa : ledger::ConsensusKind::kPor);
    // Where one key seals all blocks, what is right elsewhere is wrong.
    const bool is_solo = mode % 8 >= 6;
    Node node(is_solo ? World::get().genesis : world.genesis);
    if (mode >= 224) {
        const auto topic = mode % 16 < 8 ? wire::Topic::kGossip : wire::Topic::kSync;
        node.say(0, topic, choices.rest(), false);
        return;
    }
    for (unsigned i = 0; i < kMessagesMax && !choices.exhausted(); ++i) {
        const unsigned what = choices.byte();
        const unsigned peer = what / 128;
        if (what % 8 == 7)
            node.later(std::uint64_t{choices.byte()} * 100);
        else if (what % 2 == 0 && !is_solo)
            say_right(node, choices, world, peer);
        else
            say_anything(node, choices, world, peer);
    }
    if (input.size() % 16 == 0) node.check();
}

}  // namespace chain::fuzz
