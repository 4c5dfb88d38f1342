// SPDX-License-Identifier: BSD-3-Clause
//
// network_bench ROUNDS: what the peer network costs, one figure a line, each beside what bounds it,
// measured in the same run: blocks against a round trip, catching up against replaying, gossip
// against sending each thing once. docs/benchmarks.md says what each means.
#include "tests/bench/network_nodes.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/store/store.h"

namespace chain::bench {
namespace {

constexpr std::uint32_t kNodes = 7;
constexpr std::uint64_t kLinkMs = 25;  // one way
constexpr std::uint32_t kOffers = 1'000;
constexpr double kOfferRefreshS = 60;
constexpr std::uint64_t kFullBlocks = 40;

wire::SignedTx transfer(const ledger::Genesis &genesis, std::uint32_t from, std::uint64_t nonce) {
    wire::TxBody body;
    body.set_chain_id(to_bytes(genesis.chain_id));
    body.set_sender(to_bytes(numbered_key(from).public_key()));
    body.set_nonce(nonce);
    body.mutable_transfer()->set_to(to_bytes(numbered_key(from + 1).public_key()));
    body.mutable_transfer()->set_amount(1);
    return ledger::sign_tx(body, numbered_key(from));
}

// Seven nodes, each with a session to each other one through a link.
struct Mesh {
    Mesh(const std::string &folder, const ledger::Genesis &genesis, bool seal,
         std::uint64_t link_ms, Arrivals *arrivals) {
        for (std::uint32_t i = 0; i < kNodes; ++i)
            nodes.push_back(std::make_unique<BenchNode>(
                BenchNode::Setup{genesis, seal ? std::optional(i) : std::nullopt,
                                 folder + "/node-" + std::to_string(i), i, arrivals}));
        for (std::uint32_t a = 0; a < kNodes; ++a)
            for (std::uint32_t b = 0; b < a; ++b) {
                links.push_back(std::make_unique<DelayedLink>(nodes[b]->address(), link_ms));
                nodes[a]->connect(links.back()->address());
            }
        for (auto &node : nodes)
            CHAIN_CHECK(
                node->wait_for([&] { return node->network().peers().size() == kNodes - 1; }, 30));
    }
    std::uint64_t sent_bytes() {
        std::uint64_t sum = 0;
        for (auto &node : nodes)
            node->call([&] {
                for (const p2p::PeerView &peer : node->network().peers()) sum += peer.sent_bytes;
            });
        return sum;
    }
    std::vector<std::unique_ptr<BenchNode>> nodes;
    std::vector<std::unique_ptr<DelayedLink>> links;
};

void bench_propagation(const std::string &folder, int rounds) {
    const double round_trip = round_trip_ms(kLinkMs);
    const auto genesis = validators_genesis(kNodes, system_clock().unix_ms(), 300);
    Arrivals arrivals;
    {
        Mesh mesh(folder + "/blocks", genesis, true, kLinkMs, &arrivals);
        std::uint64_t nonce = 0;
        for (int round = 0; round < 8 * rounds; ++round) {
            // A few transactions, so that there is a block, and it is not empty.
            ledger::TxId last{};
            mesh.nodes[0]->call([&] {
                for (int i = 0; i < 10; ++i)
                    last = must(mesh.nodes[0]->ledger().submit(transfer(genesis, 0, nonce++)));
            });
            CHAIN_CHECK(mesh.nodes[0]->wait_for(
                [&] { return mesh.nodes[0]->ledger().outcome(last).status == TxStatus::kFinal; },
                60));
        }
    }
    const std::vector<double> delays = arrivals.delays_ms(kNodes);
    CHAIN_CHECK(delays.size() >= kNodes);
    figure("network_round_trip", round_trip, "ms");
    figure("network_block_p50", percentile(delays, 500'000), "ms");
    figure("network_block_p99", percentile(delays, 990'000), "ms");
    figure_at_most("network_block_p50_to_round_trip", percentile(delays, 500'000) / round_trip,
                   "times", 1.0);
    figure_at_most("network_block_p99_to_round_trip", percentile(delays, 990'000) / round_trip,
                   "times", 2.0);
}

// Blocks of four validators who vote, with `tx_count` transfers in each.
std::vector<Bytes> make_blocks(const ledger::Genesis &genesis, std::uint64_t count,
                               std::uint32_t tx_count) {
    const auto rule = must(consensus::Rule::make(genesis));
    const auto chain = must(ledger::Chain::open(make_memory_store(), genesis, rule));
    const ledger::ConsensusParams &params = genesis.consensus;
    std::vector<Bytes> blocks;
    std::vector<std::uint64_t> nonces(4);
    for (std::uint64_t height = 1; height <= count; ++height) {
        std::uint32_t sealer = 0;
        consensus::Turn turn;
        for (std::uint32_t i = 0; i < 4; ++i) {
            const auto turns =
                must(rule->turns(numbered_key(i).public_key(), chain->tip(), chain->state()));
            if (turn.not_before_ms == 0 || turns[0].not_before_ms < turn.not_before_ms) {
                turn = turns[0];
                sealer = i;
            }
        }
        std::vector<wire::SignedVote> votes;
        const std::uint64_t deep =
            height - 1 - std::min<std::uint64_t>(height - 1, params.vote_depth);
        if (deep > 0 && deep % params.epoch_blocks == 0) {
            const auto target = must(chain->checkpoint_at(deep));
            const auto source = must(chain->checkpoint_at(target.justified_height));
            for (std::uint32_t i = 0; i < 3; ++i) {
                const auto body =
                    ledger::vote_body(genesis.chain_id, numbered_key(i).public_key(),
                                      {source.height, source.id, target.height, target.id});
                votes.push_back(ledger::sign_vote(body, numbered_key(i)));
            }
        }
        ledger::TxList txs;
        for (std::uint32_t i = 0; i < tx_count; ++i) {
            const std::uint32_t from = i % 4;
            const Bytes bytes = transfer(genesis, from, nonces[from]++).SerializeAsString();
            txs.push_back(std::make_shared<const ledger::Tx>(
                must(ledger::decode_tx(bytes, genesis.chain_id))));
        }
        const auto drafted = must(consensus::draft_block(
            *chain, numbered_key(sealer).public_key(), turn, std::move(txs), std::move(votes), 0));
        const auto block = ledger::sign_block(drafted.header, drafted.draft, numbered_key(sealer));
        must(chain->apply(block));
        blocks.push_back(block.signed_bytes);
    }
    return blocks;
}

double replay_s(const ledger::Genesis &genesis, const std::vector<Bytes> &blocks,
                const std::string &folder) {
    const auto chain = must(ledger::Chain::open(must(open_leveldb_store(folder + "/ledger")),
                                                genesis, must(consensus::Rule::make(genesis))));
    const double began = now_s();
    std::vector<ledger::Block> batch;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        batch.push_back(must(ledger::decode_block(blocks[i], genesis, &chain->signatures())));
        if (batch.size() < daemon::kBlocksPerReply && i + 1 < blocks.size()) continue;
        must(chain->apply_all(batch));
        batch.clear();
    }
    return now_s() - began;
}

double sync_s(const ledger::Genesis &genesis, BenchNode &source, std::uint64_t height,
              const std::string &folder) {
    BenchNode node({genesis, std::nullopt, folder, 1, nullptr});
    const double began = now_s();
    node.connect(source.address());
    CHAIN_CHECK(node.wait_for([&] { return node.ledger().height() >= height; }, 3'600));
    return now_s() - began;
}

void bench_sync(const std::string &folder, int rounds, const std::string &name, std::uint64_t count,
                std::uint32_t tx_count) {
    const std::uint64_t start_ms =
        system_clock().unix_ms() - (count + 100) * 2'000;  // all turns are past
    const auto genesis = validators_genesis(4, start_ms, 1'000);
    const std::vector<Bytes> blocks = make_blocks(genesis, count, tx_count);
    BenchNode source({genesis, std::nullopt, folder + "/source-" + name, 0, nullptr});
    source.call([&] {
        for (std::size_t at = 0; at < blocks.size(); at += 64) {
            std::vector<std::string_view> views;
            for (std::size_t i = at; i < std::min(blocks.size(), at + 64); ++i)
                views.push_back(blocks[i]);
            must(source.ledger().accept_blocks(views));
        }
        CHAIN_CHECK(source.ledger().height() == count);
    });
    std::vector<double> sync, replay;
    for (int round = 0; round < rounds; ++round) {
        const std::string here = folder + "/" + name + std::to_string(round);
        sync.push_back(sync_s(genesis, source, count, here + "-sync"));
        replay.push_back(replay_s(genesis, blocks, here + "-replay"));
    }
    const auto per_s = [&](std::uint64_t of, const std::vector<double> &times) {
        return static_cast<double>(of) / median(times);
    };
    figure("network_sync_" + name, per_s(count, sync), "blocks/s");
    figure("network_replay_" + name, per_s(count, replay), "blocks/s");
    if (tx_count > 0)
        figure("network_sync_" + name + "_txs", per_s(count * tx_count, sync), "tx/s");
    figure_at_least("network_sync_to_replay_" + name, median(replay) / median(sync), "times", 0.5);
}

void bench_offers(const std::string &folder) {
    const std::uint64_t now_ms = system_clock().unix_ms();
    const auto genesis = validators_genesis(4, now_ms, 1'000);
    Mesh mesh(folder + "/offers", genesis, false, 0, nullptr);
    std::vector<wire::SignedOffer> offers;
    std::size_t size_bytes = 0;
    for (std::uint32_t i = 0; i < kOffers; ++i) {
        const KeyPair provider = numbered_key(i);
        wire::OfferBody body;
        body.set_chain_id(to_bytes(genesis.chain_id));
        body.set_provider(to_bytes(provider.public_key()));
        body.set_node_key(to_bytes(provider.public_key()));
        body.set_address("192.0.2.1:7660");
        body.set_host("host-" + std::to_string(i));
        body.set_slot_count(8);
        body.set_hz(3'000'000'000);
        body.set_memory_bytes(8ULL << 30);
        body.set_ask_per_ghz_h(10'000'000);
        body.set_isolation("partial");
        body.set_meter_class(wire::METER_CLASS_CALIBRATED);
        body.set_sequence(1);
        body.set_issued_at_ms(now_ms);
        body.set_expires_at_ms(now_ms + market::kOfferLifeMs);
        offers.push_back(market::sign_offer(body, provider));
        size_bytes += offers.back().ByteSizeLong();
    }
    const std::uint64_t before = mesh.sent_bytes();
    for (std::uint32_t i = 0; i < kOffers; ++i) {
        BenchNode &node = *mesh.nodes[i % kNodes];
        node.call([&] {
            static_cast<void>(must(node.book().accept(offers[i])));
            node.sync().publish_offer(offers[i]);
        });
    }
    for (auto &node : mesh.nodes)
        CHAIN_CHECK(node->wait_for([&] { return node->book().offers().size() == kOffers; }, 60));
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // announcements that follow
    const double sent = static_cast<double>(mesh.sent_bytes() - before);
    const double once = static_cast<double>(size_bytes) * (kNodes - 1);
    figure("network_offers_sent_by_node", sent / kNodes / kOfferRefreshS, "B/s");
    figure_at_most("network_offers_to_once_each", sent / once, "times", 2.0);
}

}  // namespace
}  // namespace chain::bench

int main(int argc, char **argv) {
    using namespace chain;
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 3;
    set_log_level(LogLevel::kError);
    char folder[] = "/tmp/ompi-network-bench-XXXXXX";
    CHAIN_CHECK(mkdtemp(folder) != nullptr);
    bench::bench_propagation(folder, rounds);
    // Long on demand: BENCH_BLOCKS=100000.
    const char *const blocks = std::getenv("BENCH_BLOCKS");
    const std::uint64_t count = blocks != nullptr ? std::strtoull(blocks, nullptr, 10) : 3'000;
    bench::bench_sync(folder, std::min(rounds, 3), "empty_blocks", count, 0);
    bench::bench_sync(folder, std::min(rounds, 3), "full_blocks", bench::kFullBlocks, 1'000);
    bench::bench_offers(folder);
    bench::must(remove_tree(folder));
    return 0;
}
