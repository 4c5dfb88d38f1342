// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <atomic>

#include <fcntl.h>
#include <unistd.h>

#include "chain/backend/ledger_backend.h"
#include "chain/base/file.h"
#include "chain/identity/schnorr.h"
#include "incentive/settlement.h"
#include "tests/bench/ledger_bench.h"

namespace chain::bench {
namespace {

constexpr std::size_t kAccounts = 10'000;
constexpr std::size_t kTransfers = 30'000;   // three of each account's; fits into the cache
constexpr std::size_t kAdmitted = 15'000;    // at once: fits into the pool
constexpr std::size_t kTxsPerBlock = 4'000;  // near a block's limit in bytes
constexpr std::size_t kBlocksPerCall = 8;
constexpr std::size_t kTxsPerCall = 1'000;

// Transfers among many accounts, and what is signed of them.
struct Transfers {
    std::vector<KeyPair> keys;
    ledger::Genesis genesis;
    std::vector<Bytes> signed_bytes;
    std::vector<std::string_view> views;
    ledger::TxList decoded;
    std::vector<Bytes> blocks;
};

Transfers make_transfers() {
    Transfers out;
    for (std::uint32_t i = 0; i < kAccounts; ++i) out.keys.push_back(numbered_key(i));
    out.genesis = genesis_of(out.keys);
    out.signed_bytes.resize(kTransfers);
    Parallel &pool = Parallel::all_cores();
    pool.for_each(kTransfers, 64, [&](std::size_t i) {
        const KeyPair &from = out.keys[i % kAccounts];
        const KeyPair &to = out.keys[(i * 7'919 + 1) % kAccounts];
        out.signed_bytes[i] =
            ledger::sign_tx(transfer(out.genesis, from.public_key(), i / kAccounts, to.public_key(),
                                     static_cast<std::int64_t>(1 + i % 1'000)),
                            from)
                .SerializeAsString();
    });
    out.views.assign(out.signed_bytes.begin(), out.signed_bytes.end());
    for (auto &tx : ledger::decode_txs(out.views, out.genesis.chain_id, nullptr))
        out.decoded.push_back(must(std::move(tx)));
    return out;
}

ledger::TxList part_of(const ledger::TxList &txs, std::size_t begin, std::size_t count) {
    ledger::TxList part;
    for (std::size_t i = begin; i < std::min(begin + count, txs.size()); ++i)
        part.push_back(txs.ref(i));
    return part;
}

// libsecp256k1 and nothing else, on every core: parsing the key and verifying, 32 bytes of message.
struct RawInput {
    PublicKey key;
    Bytes32 message;
    SignatureBytes signature;
};

std::vector<RawInput> raw_input(const Transfers &transfers) {
    std::vector<RawInput> out;
    for (std::size_t i = 0; i < kAdmitted; ++i) {
        wire::SignedTx tx;
        CHAIN_CHECK(tx.ParseFromString(transfers.signed_bytes[i]));
        out.push_back({transfers.decoded[i].sender, tagged_hash(sign_tag::kTx, tx.body()),
                       must(to_bytes64(tx.signatures(0).signature(), "signature"))});
    }
    return out;
}

double raw_verifications_per_s(const std::vector<RawInput> &input) {
    std::atomic<std::size_t> right{0};
    const double start = now_s();
    Parallel::all_cores().for_each(input.size(), 64, [&](std::size_t i) {
        const auto *message = reinterpret_cast<const char *>(input[i].message.data());
        right += schnorr::verify(input[i].key, {message, sizeof(Bytes32)}, input[i].signature);
    });
    const double took = now_s() - start;
    CHAIN_CHECK(right == input.size());
    return static_cast<double>(input.size()) / took;
}

std::unique_ptr<LedgerBackend> open_backend(Loop &loop, const std::string &folder,
                                            const ledger::Genesis &genesis, bool seals) {
    std::optional<KeyPair> key;
    if (seals) key = sealer_key();
    return must(LedgerBackend::open(loop, system_clock(), must(open_leveldb_store(folder)), genesis,
                                    std::move(key)));
}

double admissions_per_s(const Transfers &transfers, const std::string &folder) {
    Loop loop;
    const auto backend = open_backend(loop, folder, transfers.genesis, false);
    const std::span<const std::string_view> all(transfers.views);
    const double start = now_s();
    for (std::size_t at = 0; at < kAdmitted; at += kTxsPerCall)
        for (const auto &taken : backend->accept_txs(all.subspan(at, kTxsPerCall)))
            CHAIN_CHECK(taken.ok() && *taken);
    const double took = now_s() - start;
    CHAIN_CHECK(backend->mempool_count() == kAdmitted);
    return static_cast<double>(kAdmitted) / took;
}

// From the first submission until all are in durable blocks, on the node that seals.
double durable_per_s(const Transfers &transfers, const std::string &folder) {
    Loop loop;
    const auto backend = open_backend(loop, folder, transfers.genesis, true);
    const std::span<const std::string_view> all(transfers.views);
    std::size_t sent = 0, durable = 0;
    backend->on_new_block([&](std::uint64_t height) {
        durable += must(backend->block_view(height)).tx_count();
        if (durable == kAdmitted) loop.stop();
    });
    const std::function<void()> client = [&] {
        for (const auto &taken : backend->accept_txs(all.subspan(sent, kTxsPerCall)))
            CHAIN_CHECK(taken.ok() && *taken);
        sent += kTxsPerCall;
        if (sent < kAdmitted) loop.post(client);
    };
    loop.post(client);
    const double start = now_s();
    loop.run();
    return static_cast<double>(kAdmitted) / (now_s() - start);
}

void make_blocks(Transfers &transfers, const std::string &folder) {
    const auto chain = open_chain(folder, transfers.genesis);
    for (std::size_t at = 0; at < kTransfers; at += kTxsPerBlock)
        transfers.blocks.push_back(
            append(*chain, part_of(transfers.decoded, at, kTxsPerBlock)).signed_bytes);
}

// Stored blocks onto an empty ledger on disk whose cache knows the transactions: parsing of blocks,
// roots, execution, digests, writes. The synced way has one fsync per block; in the other one
// kBlocksPerCall blocks are written while the next are executed, as many at once as have come.
double replayed_per_s(const Transfers &transfers, const std::string &folder, std::size_t group) {
    const auto chain = open_chain(folder, transfers.genesis);
    for (std::size_t i = 0; i < kTransfers; ++i)
        chain->tx_cache().insert(ledger::tx_bytes_hash(transfers.views[i]),
                                 transfers.decoded.ref(i));
    const double start = now_s();
    std::vector<ledger::Block> blocks;
    for (std::size_t i = 0; i < transfers.blocks.size(); ++i) {
        blocks.push_back(must(
            ledger::decode_block(transfers.blocks[i], transfers.genesis, &chain->signatures())));
        if (blocks.size() < group && i + 1 < transfers.blocks.size()) continue;
        must(group == 1 ? chain->apply(blocks[0]) : chain->apply_all(blocks));
        blocks.clear();
    }
    const double took = now_s() - start;
    CHAIN_CHECK(chain->tx_cache().hit_count() == kTransfers);
    return static_cast<double>(kTransfers) / took;
}

double verified_per_s(const Transfers &transfers, const std::string &folder) {
    const auto chain = open_chain(folder, transfers.genesis);
    const double start = now_s();
    CHAIN_CHECK(must(chain->verify_all()).ok);
    return static_cast<double>(kTransfers) / (now_s() - start);
}

void bench_transfers(const std::string &folder, int rounds) {
    Transfers transfers = make_transfers();
    make_blocks(transfers, folder + "/sealed");
    const std::vector<RawInput> input = raw_input(transfers);
    std::vector<double> raw, admission, durable, synced, grouped, verified;
    for (int round = 0; round <= rounds; ++round) {
        const std::string here = folder + "/round" + std::to_string(round);
        must(make_folders(here, 0700));
        // Raw verification is measured before and after: what the machine does meanwhile counts.
        const double raw_before = raw_verifications_per_s(input);
        const double admitted = admissions_per_s(transfers, here + "/admitted");
        const double raw_after = raw_verifications_per_s(input);
        const double durable_now = durable_per_s(transfers, here + "/durable");
        const double synced_now = replayed_per_s(transfers, here + "/synced", 1);
        const double grouped_now = replayed_per_s(transfers, here + "/grouped", kBlocksPerCall);
        const double verified_now = verified_per_s(transfers, folder + "/sealed");
        must(remove_tree(here));
        if (round == 0) continue;  // warms caches
        raw.push_back((raw_before + raw_after) / 2);
        admission.push_back(admitted);
        durable.push_back(durable_now);
        synced.push_back(synced_now);
        grouped.push_back(grouped_now);
        verified.push_back(verified_now);
    }
    const double bound = median(raw);
    figure("ledger_raw_verify", bound, "signatures/s");
    figure("ledger_admission", median(admission), "tx/s");
    figure_at_least("ledger_admission_to_raw", median(admission) / bound, "times", 0.85);
    figure("ledger_durable_transfers", median(durable), "tx/s");
    figure("ledger_durable_to_raw", median(durable) / bound, "times");
    figure("ledger_replay_sync_each_block", median(synced), "tx/s");
    figure_at_least("ledger_replay", median(grouped), "tx/s", 200'000);
    figure("ledger_replay_to_raw", median(grouped) / bound, "times");
    figure("ledger_verify_all", median(verified), "tx/s");
    figure("ledger_verify_all_to_raw", median(verified) / bound, "times");
}

// ---- settlement

constexpr std::size_t kLeasesPerRound = 50;
constexpr std::size_t kProbeBytes = 4'096;  // about what the block of one settlement writes

struct Leased {
    const ledger::Genesis &genesis;
    const KeyPair &renter;
    const KeyPair &provider;
    std::vector<ledger::LeaseId> ids;
};

void submit_and_wait(Loop &loop, LedgerBackend &backend, const wire::SignedTx &tx) {
    const ledger::TxId id = must(backend.submit(tx));
    while (backend.outcome(id).status == TxStatus::kPending) loop.run();  // each new block stops it
}

constexpr Amount kPrice{30'000};

void open_leases(Loop &loop, LedgerBackend &backend, Leased &leased, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        wire::TxBody body = open_lease(leased.genesis, leased.provider.public_key(),
                                       backend.chain_time_ms(), kPrice);
        body.set_sender(to_bytes(leased.renter.public_key()));
        body.set_nonce(i);
        wire::SignedTx tx = ledger::sign_tx(body, leased.renter);
        ledger::add_signature(tx, leased.provider);
        leased.ids.push_back(ledger::tx_id(tx.body()));
        submit_and_wait(loop, backend, tx);
    }
}

wire::SignedTx close_tx(const Leased &leased, std::size_t number) {
    constexpr Cycles kCycles = 1'000'000;  // of less than a millisecond
    wire::VoucherBody voucher;
    voucher.set_lease_id(to_bytes(leased.ids[number]));
    voucher.set_sequence(1);
    voucher.set_cycles(kCycles);
    voucher.set_amount(must(incentive::payment(kPrice, kCycles)).units);
    voucher.set_meter_class(wire::METER_CLASS_HW);
    wire::TxBody body;
    body.set_chain_id(to_bytes(leased.genesis.chain_id));
    body.set_sender(to_bytes(leased.provider.public_key()));
    body.set_nonce(number);
    body.mutable_close_lease()->set_lease_id(to_bytes(leased.ids[number]));
    *body.mutable_close_lease()->add_vouchers() = ledger::sign_voucher(voucher, leased.renter);
    return ledger::sign_tx(body, leased.provider);
}

double probe_write_s(int fd) {
    static const Bytes block(kProbeBytes, 'b');
    const double start = now_s();
    CHAIN_CHECK(write(fd, block.data(), block.size()) == static_cast<ssize_t>(block.size()));
    CHAIN_CHECK(fdatasync(fd) == 0);
    return now_s() - start;
}

double percentile(std::vector<double> values, std::size_t percent) {
    std::sort(values.begin(), values.end());
    return values[(values.size() - 1) * percent / 100];
}

void bench_settle(const std::string &folder, int rounds) {
    std::vector<KeyPair> keys;
    for (std::uint32_t i = 0; i < 2; ++i) keys.push_back(numbered_key(i));
    const ledger::Genesis genesis = genesis_of(keys, 1'000'000'000'000);
    Loop loop;
    const auto backend = open_backend(loop, folder + "/settle", genesis, true);
    backend->on_new_block([&](std::uint64_t) { loop.stop(); });
    const FileDescriptor probe(
        open((folder + "/probe").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600));
    CHAIN_CHECK(probe.get() >= 0);
    const std::size_t count = kLeasesPerRound * static_cast<std::size_t>(rounds);
    Leased leased{genesis, keys[0], keys[1], {}};
    open_leases(loop, *backend, leased, count);
    std::vector<double> settled, written;
    for (std::size_t i = 0; i < count; ++i) {
        written.push_back(probe_write_s(probe.get()));
        // Settlements come one by one, with quiet between them.
        const LoopHandle quiet =
            loop.after_ms(2 * LedgerOptions{}.block_spacing_ms, [&] { loop.stop(); });
        loop.run();
        const wire::SignedTx tx = close_tx(leased, i);
        const double start = now_s();
        submit_and_wait(loop, *backend, tx);
        settled.push_back(now_s() - start);
        CHAIN_CHECK(must(backend->lease(leased.ids[i])).settled());
    }
    for (const std::size_t percent : {50u, 99u}) {
        const std::string name = "_p" + std::to_string(percent);
        const double ours = percentile(settled, percent), bound = percentile(written, percent);
        figure("ledger_settle" + name, ours * 1e3, "ms");
        figure("ledger_write_fdatasync" + name, bound * 1e3, "ms");
        figure("ledger_settle_to_fdatasync" + name, ours / bound, "times");
    }
}

}  // namespace

void bench_speed(const std::string &folder, int rounds) {
    bench_transfers(folder, rounds);
    bench_settle(folder, rounds);
}

}  // namespace chain::bench
