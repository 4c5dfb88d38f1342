// SPDX-License-Identifier: BSD-3-Clause
//
// hostile GENESIS WALLET PASSWORD-FILE PEER[,PEER…] WHAT [NUMBER]: a node that follows the ledger
// as any other, with the key of WALLET, and then does what no honest one does. For tests.
//   double-vote      two votes for one height           surround   a vote around an earlier one
//   withhold MS      seals in its turns, and shows its blocks so much later
//   wrong-digest     seals a block that says another state than it leads to
//   gossip, sync     payloads that are no messages      frame      a frame of 4 GiB
//   oversized        a transaction above every limit
//   headers N        so many headers that nobody with a turn has signed
//   signatures N     transactions: each with a wrong signature,
//   funds N          … of accounts that have nothing,
//   nonces N         … with a gap before them
//   transfers MS     and, to measure by: honest transfers, as many as fit, for so long
// Prints what it did and what became of it, a line each. Ends when a peer has ended the session, or
// when it has nothing left to do.
#include <cstdlib>
#include <iostream>
#include <map>

#include "chain/backend/ledger_backend.h"
#include "chain/base/clock.h"
#include "chain/base/log.h"
#include "chain/daemon/chain_sync.h"
#include "chain/identity/keystore.h"
#include "chain/p2p/network.h"
#include "tests/chain/p2p/raw_peer.h"

namespace chain {
namespace {

constexpr std::uint64_t kLookMs = 5;
constexpr std::uint64_t kStandsStillMs = 1'500;
constexpr std::uint64_t kGiveUpMs = 60'000;
constexpr std::size_t kTransfersAtOnce = 900;  // of the 1000 that a pool takes of one sender
constexpr std::size_t kHeadersPerMessage = 1'000;

void say(const std::string &text) {
    std::cout << text << std::endl;
}

// What a liar changes of a network: blocks of its own leave late.
class LateNetwork final : public p2p::Network {
public:
    LateNetwork(Loop &loop, p2p::Network &inner) : loop_(loop), inner_(inner) {}
    std::uint64_t late_ms = 0;
    PublicKey sealer{};

    void broadcast(wire::Topic topic, std::string_view payload, const PublicKey *except) override {
        wire::Gossip gossip;
        const bool is_block = topic == wire::Topic::kGossip &&
                              gossip.ParseFromString(Bytes(payload)) &&
                              gossip.item_case() == wire::Gossip::kBlock;
        if (late_ms == 0 || !is_block) return inner_.broadcast(topic, payload, except);
        wire::SignedBlock block;
        wire::BlockHeader header;
        if (!block.ParseFromString(gossip.block()) || !header.ParseFromString(block.header()))
            return;
        if (header.sealer() != to_bytes(sealer)) return inner_.broadcast(topic, payload, except);
        const std::size_t at = later_.size();
        later_[at] =
            loop_.after_ms(late_ms, [this, bytes = Bytes(payload), height = header.height()] {
                say("published late " + std::to_string(height));
                inner_.broadcast(wire::Topic::kGossip, bytes, nullptr);
            });
    }
    std::string listen_address() const override { return inner_.listen_address(); }
    std::string reachable_address() const override { return inner_.reachable_address(); }
    void keep_connected(const std::string &address) override { inner_.keep_connected(address); }
    void connect(const std::string &address, const PublicKey *expected,
                 std::function<void(Result<PublicKey>)> done) override {
        inner_.connect(address, expected, std::move(done));
    }
    Status send(const PublicKey &peer, wire::Topic topic, std::string_view payload) override {
        return inner_.send(peer, topic, payload);
    }
    std::size_t queued_bytes(const PublicKey &peer) const override {
        return inner_.queued_bytes(peer);
    }
    void open_channel(const std::string &address, const PublicKey &expected, std::string_view label,
                      bool may_relay, ChannelDone done) override {
        inner_.open_channel(address, expected, label, may_relay, std::move(done));
    }
    void be_sought(bool willing) override { inner_.be_sought(willing); }
    Status send_meeting(const PublicKey &peer, const wire::MeetingMessage &message) override {
        return inner_.send_meeting(peer, message);
    }
    void on_channel(ChannelHandler handler) override { inner_.on_channel(std::move(handler)); }
    void on_message(wire::Topic topic, MessageHandler handler) override {
        inner_.on_message(topic, std::move(handler));
    }
    void on_peer(PeerHandler handler) override { inner_.on_peer(std::move(handler)); }
    void on_drained(DrainHandler handler) override { inner_.on_drained(std::move(handler)); }
    void greet_anew(const std::string &why) override { inner_.greet_anew(why); }
    void disconnect(const PublicKey &peer, const std::string &why) override {
        inner_.disconnect(peer, why);
    }
    bool connected(const PublicKey &peer) const override { return inner_.connected(peer); }
    std::vector<p2p::PeerView> peers() const override { return inner_.peers(); }

private:
    Loop &loop_;
    p2p::Network &inner_;
    std::map<std::size_t, LoopHandle> later_;
};

class Hostile {
public:
    Hostile(ledger::Genesis genesis, KeyPair key, std::vector<std::string> peers, bool seals)
        : key_(std::move(key)), node_key_(KeyPair::generate()), peers_(std::move(peers)) {
        p2p::Options options;
        options.listen = false;
        options.chain_id = genesis.chain_id;
        options.software = "hostile";
        std::optional<KeyPair> sealing;
        if (seals) sealing.emplace(KeyPair::from_secret(key_.secret()).value());
        backend_ = LedgerBackend::open(loop_, system_clock(), make_memory_store(),
                                       std::move(genesis), std::move(sealing))
                       .value();
        book_.emplace(backend_->chain_id(), system_clock());
        inner_ = p2p::Network::start(loop_, node_key_, options).value();
        network_.emplace(loop_, *inner_);
        network_->sealer = key_.public_key();
        sync_.emplace(loop_, *backend_, *book_, *network_);
        network_->on_peer([this](const PublicKey &, bool up, const std::string &why) {
            if (!up) ended_.push_back(why);
        });
        again_ = loop_.every_ms(1'000, [this] { sync_->try_again(); });
    }

    // Follows until something is final. False: not in time.
    bool follow() {
        std::size_t answers = 0;
        for (const std::string &peer : peers_)
            network_->connect(peer, nullptr, [&](Result<PublicKey>) { ++answers; });
        if (!run_until([&] { return answers == peers_.size(); }, kGiveUpMs)) return false;
        if (network_->peers().empty()) {
            say("nobody takes the session");
            return false;
        }
        // Level with its peers: the chain moves, or has long stood still.
        std::uint64_t seen = 0, since_ms = system_clock().steady_ms();
        const bool has = run_until(
            [&] {
                const std::uint64_t now_ms = system_clock().steady_ms();
                if (std::exchange(seen, backend_->height()) != seen) since_ms = now_ms;
                return backend_->engine()->final().height >= 1 &&
                       (now_ms > since_ms + kStandsStillMs ||
                        backend_->tip().time_ms + kStandsStillMs > system_clock().unix_ms());
            },
            kGiveUpMs);
        say("follows at " + std::to_string(backend_->height()) + " with " +
            std::to_string(network_->peers().size()) + " peers");
        return has;
    }

    int act(const std::string &what, std::uint64_t number) {
        if (what == "double-vote" || what == "surround") return vote(what == "surround");
        if (what == "withhold") return withhold(number);
        if (what == "wrong-digest") return wrong_digest();
        if (what == "gossip") return send_once(wire::Topic::kGossip, "\xff\xff no message");
        if (what == "sync") return send_once(wire::Topic::kSync, "\xff\xff no message");
        if (what == "oversized") return oversized();
        if (what == "frame") return frame();
        if (what == "headers") return headers(number);
        if (what == "transfers") return transfers(number);
        if (what == "signatures" || what == "funds" || what == "nonces") return junk(what, number);
        return 2;
    }

private:
    bool run_until(const std::function<bool()> &done, std::uint64_t ms) {
        if (done()) return true;
        bool in_time = true;
        const LoopHandle stop = loop_.after_ms(ms, [&] {
            in_time = false;
            loop_.stop();
        });
        const LoopHandle look = loop_.every_ms(kLookMs, [&] {
            if (done()) loop_.stop();
        });
        loop_.run();
        return in_time;
    }

    void to_all(wire::Topic topic, const Bytes &payload) {
        inner_->broadcast(topic, payload, nullptr);
    }

    // What peers do about it: those who ended the session, and whether they take another one.
    int await_end(std::uint64_t ms) {
        const std::size_t before = network_->peers().size() + ended_.size();
        run_until([&] { return ended_.size() >= before; }, ms);
        say("sessions ended " + std::to_string(ended_.size()) + " of " + std::to_string(before) +
            (ended_.empty() ? "" : ": " + ended_.front()));
        if (ended_.empty()) return 0;
        std::size_t answers = 0, taken = 0;
        for (const std::string &peer : peers_)
            network_->connect(peer, nullptr, [&](Result<PublicKey> got) {
                ++answers;
                taken += got.ok();
            });
        run_until([&] { return answers == peers_.size(); }, kGiveUpMs);
        say("taken again by " + std::to_string(taken) + " of " + std::to_string(peers_.size()));
        return 0;
    }

    wire::SignedVote signed_vote(std::uint64_t source_height, std::uint64_t target_height,
                                 std::uint8_t number) {
        const auto view = backend_->block_view(source_height).value();
        const auto source = to_bytes32(from_hex(view.block_id()).value(), "block id").value();
        Bytes32 target{};
        target.fill(number);
        return ledger::sign_vote(ledger::vote_body(backend_->chain_id(), key_.public_key(),
                                                   {source_height, source, target_height, target}),
                                 key_);
    }

    int vote(bool surround) {
        run_until([&] { return backend_->engine()->final().height >= 2; }, kGiveUpMs);
        const std::uint64_t final = backend_->engine()->final().height;
        const std::uint64_t far = backend_->height() + 8;
        std::vector<wire::SignedVote> votes = {signed_vote(final, far, 1)};
        votes.push_back(surround ? signed_vote(final - 1, far + 1, 2) : signed_vote(final, far, 2));
        const ledger::Account before = backend_->account(key_.public_key()).value();
        for (const wire::SignedVote &one : votes) {
            wire::Gossip gossip;
            *gossip.mutable_vote() = one;
            to_all(wire::Topic::kGossip, gossip.SerializeAsString());
        }
        say("staked " + std::to_string(before.staked.units));
        const std::uint64_t started_ms = system_clock().steady_ms();
        const bool slashed = run_until(
            [&] { return backend_->account(key_.public_key()).value().staked.units == 0; },
            kGiveUpMs);
        say((slashed ? "slashed after " : "not slashed after ") +
            std::to_string(system_clock().steady_ms() - started_ms) + " ms");
        return 0;
    }

    int withhold(std::uint64_t late_ms) {
        network_->late_ms = late_ms;
        run_until([] { return false; }, 8 * late_ms);
        return 0;
    }

    wire::BlockHeader header_on(const Bytes &parent, std::uint64_t height, std::uint64_t time_ms,
                                const KeyPair &sealer) const {
        const ledger::Finality &finality = backend_->tip().finality;
        wire::BlockHeader header;
        header.set_version(ledger::kBlockVersion);
        header.set_height(height);
        header.set_previous(parent);
        header.set_chain_id(to_bytes(backend_->chain_id()));
        header.set_time_ms(time_ms);
        header.set_tx_root(to_bytes(ledger::tx_root(wire::SignedBlock())));
        header.set_state_digest(Bytes(32, 'x'));
        header.set_sealer(to_bytes(sealer.public_key()));
        header.set_justified_height(finality.justified.height);
        header.set_final_height(finality.final.height);
        header.set_previous_final_height(finality.previous_final_height);
        return header;
    }

    int wrong_digest() {
        const auto set = backend_->validator_set(backend_->tip().finality.previous_final_height);
        const std::size_t size = set.value().size(), mine = set.value().index_of(key_.public_key());
        const ledger::Tip tip = backend_->tip();
        const std::uint64_t height = tip.height + 1;
        const std::size_t rank = (mine + size - height % size) % size;
        const ledger::ConsensusParams &params = backend_->genesis().consensus;
        const std::uint64_t turn_ms = tip.time_ms + params.spacing_ms + rank * params.turn_ms;
        run_until([&] { return system_clock().unix_ms() >= turn_ms; }, kGiveUpMs);
        wire::BlockHeader header = header_on(to_bytes(tip.id), height, turn_ms, key_);
        header.set_weight(static_cast<std::uint32_t>(size - rank));
        wire::Gossip gossip;
        gossip.set_block(ledger::sign_block(header, {}, key_).signed_bytes);
        to_all(wire::Topic::kGossip, gossip.SerializeAsString());
        say("sealed " + std::to_string(height) + " with a wrong digest");
        return await_end(10'000);
    }

    int send_once(wire::Topic topic, const Bytes &payload) {
        to_all(topic, payload);
        return await_end(10'000);
    }

    int oversized() {
        wire::TxBody body = transfer(key_, 0);
        body.mutable_transfer()->set_to(Bytes(wire::kMaxTxBytes, 'x'));
        return send_once(wire::Topic::kGossip, gossip_of(ledger::sign_tx(body, key_)));
    }

    int frame() {
        p2p::test::RawPeer raw(peers_.front());
        if (!raw.connected() || !raw.tls_as(p2p::Role::kClient)) return 1;
        const Bytes hello = p2p::make_hello(p2p::Role::kClient, raw.secret(), backend_->chain_id(),
                                            KeyPair::generate(), 0, "hostile");
        raw.write(p2p::test::frame_of(wire::Topic::kHello, hello) + Bytes(4, '\xff'));
        const std::string said = raw.read_to_end();
        say("sessions ended 1 of 1: " + p2p::printable(said, 4'000));
        p2p::test::RawPeer again(peers_.front());
        say("taken again by " + std::to_string(again.tls_as(p2p::Role::kClient)) + " of 1");
        return 0;
    }

    // A branch of headers that would be much better, if anybody with a turn had signed one.
    int headers(std::uint64_t count) {
        Bytes parent = to_bytes(backend_->tip().id);
        const ledger::Tip tip = backend_->tip();
        std::vector<Bytes> messages;
        wire::SyncMessage message;
        for (std::uint64_t at = 1; at <= count; ++at) {
            wire::BlockHeader header =
                header_on(parent, tip.height + at, tip.time_ms + at, key_of_);
            header.set_weight(7);
            const ledger::Block block = ledger::sign_block(header, {}, key_of_);
            parent = to_bytes(block.id);
            *message.mutable_headers()->add_headers() = ledger::only_header(block.signed_block);
            if (at % kHeadersPerMessage != 0 && at != count) continue;
            messages.push_back(message.SerializeAsString());
            message.Clear();
        }
        say("has " + std::to_string(count) + " headers");
        for (const Bytes &one : messages) {
            to_all(wire::Topic::kSync, one);
            run_until([] { return false; }, 50);
        }
        return await_end(5'000);
    }

    wire::TxBody transfer(const KeyPair &from, std::uint64_t nonce) const {
        wire::TxBody body;
        body.set_chain_id(to_bytes(backend_->chain_id()));
        body.set_sender(to_bytes(from.public_key()));
        body.set_nonce(nonce);
        body.mutable_transfer()->set_to(to_bytes(key_of_.public_key()));
        body.mutable_transfer()->set_amount(1);
        return body;
    }

    static Bytes gossip_of(const wire::SignedTx &tx) {
        wire::Gossip gossip;
        gossip.set_tx(tx.SerializeAsString());
        return gossip.SerializeAsString();
    }

    int junk(const std::string &what, std::uint64_t count) {
        std::vector<Bytes> all;
        const std::uint64_t gap = backend_->next_nonce(key_.public_key()).value() + 2;
        const auto make = [&] {
            if (what == "funds") {
                const KeyPair nobody = KeyPair::generate();
                return gossip_of(ledger::sign_tx(transfer(nobody, 0), nobody));
            }
            wire::SignedTx tx = ledger::sign_tx(transfer(key_, gap + all.size()), key_);
            if (what == "signatures") (*tx.mutable_signatures(0)->mutable_signature())[9] ^= 1;
            return gossip_of(tx);
        };
        // Bit by bit: who is silent for 3 s has lost its sessions.
        run_until(
            [&] {
                for (int i = 0; i < 500 && all.size() < count; ++i) all.push_back(make());
                return all.size() == count;
            },
            kGiveUpMs);
        say("has " + std::to_string(count) + " transactions");
        std::map<PublicKey, std::size_t> sent;
        for (const p2p::PeerView &peer : network_->peers()) sent[peer.node_key] = 0;
        const std::uint64_t started_ms = system_clock().steady_ms();
        run_until(
            [&] {
                bool all_sent = true;
                for (auto &[peer, at] : sent) {
                    while (at < count && inner_->send(peer, wire::Topic::kGossip, all[at]).ok())
                        ++at;
                    all_sent &= at == count || !inner_->connected(peer);
                }
                return all_sent;
            },
            kGiveUpMs);
        run_until(
            [&] {
                for (const auto &[peer, _] : sent)
                    if (inner_->queued_bytes(peer) > 0) return false;
                return true;
            },
            kGiveUpMs);
        say("sent in " + std::to_string(system_clock().steady_ms() - started_ms) + " ms");
        return await_end(1'000);
    }

    int transfers(std::uint64_t duration_ms) {
        const auto included = [&] { return backend_->account(key_.public_key()).value().nonce; };
        std::uint64_t next = included();
        const auto top_up = [&] {
            for (; next < included() + kTransfersAtOnce; ++next)
                to_all(wire::Topic::kGossip,
                       gossip_of(ledger::sign_tx(transfer(key_, next), key_)));
            return false;
        };
        // Measured from block to block: the first ones fill the pools.
        run_until([&] { return top_up(), included() > next - kTransfersAtOnce; }, 2'000);
        const std::uint64_t first = included(), from_ms = system_clock().steady_ms();
        run_until(top_up, duration_ms);
        const std::uint64_t count = included() - first;
        say("included " + std::to_string(count) + " in " +
            std::to_string(system_clock().steady_ms() - from_ms) + " ms");
        return 0;
    }

    Loop loop_;
    const KeyPair key_, node_key_;
    const KeyPair key_of_ = KeyPair::generate();  // of somebody who is nobody
    const std::vector<std::string> peers_;
    std::unique_ptr<LedgerBackend> backend_;
    std::optional<market::OfferBook> book_;
    std::unique_ptr<p2p::Network> inner_;
    std::optional<LateNetwork> network_;
    std::optional<daemon::ChainSync> sync_;
    std::vector<std::string> ended_;
    LoopHandle again_;
};

int run(int argc, char **argv) {
    if (argc < 6) return 2;
    set_log_level(LogLevel::kError);
    const auto text = read_file(argv[1], ledger::kMaxGenesisBytes);
    const auto genesis = ledger::parse_genesis(text.value());
    Bytes password = read_file(argv[3], 1'000).value();
    while (!password.empty() && password.back() == '\n') password.pop_back();
    KeyPair key = unlock_wallet(argv[2], password).value();
    std::vector<std::string> peers;
    for (std::string list = argv[4]; !list.empty();) {
        const std::size_t comma = std::min(list.find(','), list.size());
        peers.push_back(list.substr(0, comma));
        list.erase(0, comma + 1);
    }
    const std::string what = argv[5];
    Hostile hostile(*genesis, std::move(key), std::move(peers), what == "withhold");
    if (!hostile.follow()) return 1;
    return hostile.act(what, argc > 6 ? std::strtoull(argv[6], nullptr, 10) : 0);
}

}  // namespace
}  // namespace chain

int main(int argc, char **argv) {
    return chain::run(argc, argv);
}
