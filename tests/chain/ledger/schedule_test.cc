// SPDX-License-Identifier: BSD-3-Clause
//
// Random schedules of transactions, right and wrong ones: whatever comes in whatever order, no unit
// is made or lost, the incremental books agree with a full recount, and every block can be taken
// back. A failing schedule is shrunk by leaving out steps for as long as it still fails.
#include <sstream>

#include "chain/ledger/mempool.h"
#include "tests/chain/ledger/ledger_fixture.h"
#include "tests/chain/ledger/naive_history.h"

namespace chain::ledger {
namespace {

constexpr unsigned kPlayers = 4;

enum class Kind { kTransfer, kOpen, kClaim, kClose, kExpire, kWait, kCount };

// Numbers are read modulo what is possible at that moment, so a step means something whatever was
// left out before it.
struct Move {
    Kind kind;
    std::uint32_t a, b, c;
};

std::string describe(const std::vector<Move> &steps) {
    std::ostringstream out;
    for (const Move &step : steps)
        out << "{" << static_cast<int>(step.kind) << "," << step.a << "," << step.b << "," << step.c
            << "} ";
    return out.str();
}

std::vector<Move> random_steps(std::mt19937_64 &random) {
    std::vector<Move> steps(4 + random() % 16);
    for (Move &step : steps) {
        step = {static_cast<Kind>(random() % static_cast<unsigned>(Kind::kCount)),
                static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random()),
                static_cast<std::uint32_t>(random())};
        if (random() % 4 == 0) step.kind = Kind::kOpen;
    }
    return steps;
}

// Turns steps into transactions against the state as it is.
class Player {
public:
    explicit Player(const World &world) : world_(world) {}

    // nullopt: the step only lets time pass.
    std::optional<wire::SignedTx> play(const Move &step, const StateReader &state) {
        const unsigned sender = step.a % kPlayers;
        const std::uint64_t nonce = state.account(world_.keys[sender].public_key())->nonce;
        switch (step.kind) {
            case Kind::kTransfer:
                return world_.sign(
                    world_.transfer(sender, nonce, step.b % kPlayers, amount_of(step.c)), {sender});
            case Kind::kOpen: return open(step, sender, nonce);
            case Kind::kClaim:
                if (leases_.empty()) return std::nullopt;
                return world_.sign(world_.claim(sender, nonce, voucher(step)), {sender});
            case Kind::kClose: {
                if (leases_.empty()) return std::nullopt;
                std::vector<wire::SignedVoucher> vouchers;
                if (step.c % 2 == 0) vouchers.push_back(voucher(step));
                return world_.sign(world_.close(sender, nonce, lease_of(step).id, vouchers),
                                   {sender});
            }
            case Kind::kExpire:
                if (leases_.empty()) return std::nullopt;
                return world_.sign(world_.expire(sender, nonce, lease_of(step).id), {sender});
            case Kind::kWait:
            case Kind::kCount: break;
        }
        now_ms += step.b % 120'000;
        return std::nullopt;
    }

    std::uint64_t now_ms = kGenesisTimeMs + 1;

private:
    struct Opened {
        LeaseId id;
        unsigned renter;
        std::int64_t price;
        unsigned leg_count;
        bool first_is_free;
    };

    // From nothing to more than anybody has.
    static std::int64_t amount_of(std::uint32_t number) {
        return static_cast<std::int64_t>(number) << number % 10;
    }

    std::optional<wire::SignedTx> open(const Move &step, unsigned sender, std::uint64_t nonce) {
        std::vector<unsigned> providers, signers{sender};
        for (unsigned i = 0; i < 1 + step.b % 3; ++i) {
            const unsigned provider = (sender + 1 + (step.b >> 4 * i) % kPlayers) % kPlayers;
            providers.push_back(provider);
            if (std::find(signers.begin(), signers.end(), provider) == signers.end())
                signers.push_back(provider);
        }
        const std::int64_t price = amount_of(step.c);
        wire::TxBody body = world_.open_lease(sender, nonce, providers, now_ms, price);
        wire::OpenLease &action = *body.mutable_open_lease();
        if (step.c % 3 == 0) {
            action.set_starts_at_ms(now_ms + 1 + step.b % 60'000);
            action.set_expires_at_ms(action.starts_at_ms() + 180'000);
        }
        const bool is_free = step.c % 5 == 0;
        if (is_free) {
            action.mutable_legs(0)->set_free(true);
            action.mutable_legs(0)->set_escrow(0);
            action.mutable_legs(0)->set_collateral(0);
        }
        const wire::SignedTx tx = world_.sign(body, signers);
        leases_.push_back(
            {tx_id(tx.body()), sender, price, static_cast<unsigned>(providers.size()), is_free});
        return tx;
    }

    const Opened &lease_of(const Move &step) const { return leases_[step.b % leases_.size()]; }

    wire::SignedVoucher voucher(const Move &step) const {
        const Opened &lease = lease_of(step);
        const std::uint64_t sequence = 1 + step.c % 8;
        const unsigned leg = step.c / 8 % (lease.leg_count + 1);
        const std::int64_t price = leg == 0 && lease.first_is_free ? 0 : lease.price;
        return world_.voucher(lease.renter, lease.id, leg, sequence, sequence * 30'000'000'000,
                              price);
    }

    const World &world_;
    std::vector<Opened> leases_;
};

// Empty: all is well. Otherwise what went wrong.
std::string run_in_memory(const World &world, const std::vector<Move> &steps) {
    const auto store = make_memory_store();
    const StoreReader reader(*store);
    auto genesis = execute_genesis(world.genesis);
    if (!genesis.ok()) return genesis.error().message;
    Tip tip = genesis->tip;
    WriteBatch allocations;
    for (const auto &[key, value] : genesis->changes) allocations.put(key, *value);
    if (!store->write(allocations, false).ok()) return "the store does not write";
    Player player(world);
    for (const Move &step : steps) {
        const auto signed_tx = player.play(step, reader);
        if (!signed_tx) continue;
        Tx tx;  // put together by hand: decoding would spend the time on signatures
        if (!tx.body.ParseFromString(signed_tx->body())) return "a body does not parse";
        tx.id = tx_id(signed_tx->body());
        for (const auto &signature : signed_tx->signatures())
            tx.signers.push_back(*to_bytes32(signature.public_key(), "key"));
        tx.sender = tx.signers[0];
        player.now_ms = std::max(player.now_ms, tip.time_ms + 1);
        auto done = execute(reader, tip, world.genesis, {player.now_ms, world.genesis.sealer, {}},
                            {tx}, nullptr);
        if (!done.ok()) {
            if (done.error().code == ErrorCode::kInternal) return done.error().message;
            continue;
        }
        WriteBatch batch;
        for (const auto &[key, value] : done->changes) {
            if (value)
                batch.put(key, *value);
            else
                batch.remove(key);
        }
        if (!store->write(batch, false).ok()) return "the store does not write";
        tip = done->tip;
    }
    auto counted = recount(*store);
    if (!counted.ok()) return counted.error().message;
    counted->totals.minted = tip.totals.minted;
    if (counted->totals != tip.totals) return "the totals are not those of a recount";
    if (counted->digest != tip.digest) return "the digest is not that of a recount";
    return {};
}

template <class Run>
void expect_well(const Run &run, std::vector<Move> steps, std::uint64_t seed) {
    std::string wrong = run(steps);
    if (wrong.empty()) return;
    for (std::size_t i = 0; i < steps.size();) {
        std::vector<Move> fewer = steps;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        const std::string still = run(fewer);
        if (still.empty()) {
            ++i;
            continue;
        }
        steps = std::move(fewer);
        wrong = still;
    }
    FAIL() << "seed " << seed << ": " << wrong << "\nsteps: " << describe(steps);
}

TEST(Schedules, NoUnitIsMadeOrLost) {
    const World world(kPlayers);
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << "\n";
    std::mt19937_64 random(seed);
    for (int i = 0; i < 2'000 && !testing::Test::HasFatalFailure(); ++i)
        expect_well([&](const auto &steps) { return run_in_memory(world, steps); },
                    random_steps(random), seed);
}

// What a chain was after each block, so that undo and redo can be compared with it.
struct Past {
    std::vector<Tip> tips;
    std::vector<std::map<Bytes, Bytes>> indexes;
    std::vector<Block> blocks;  // the one at [i] leads to tips[i + 1]
};

// Back to the genesis block by block, then forth again.
std::string undo_and_redo(Chain &chain, const KeyValueStore &store, const Past &past) {
    for (std::size_t height = past.tips.size() - 1; height > 0; --height) {
        if (chain.tip().height != height) return "a block is missing";
        if (index_keys(store) != past.indexes[height]) return "the index is another";
        if (const Status undone = chain.undo_tip(); !undone.ok())
            return "undo: " + undone.error().message;
        const Tip &before = past.tips[height - 1];
        if (chain.tip().digest != before.digest || chain.tip().totals != before.totals ||
            chain.tip().id != before.id || chain.tip().time_ms != before.time_ms)
            return "undoing does not give the parent's state";
        if (index_keys(store) != past.indexes[height - 1])
            return "undoing does not give the parent's index";
        if (const Status counted = chain.check_recount(); !counted.ok())
            return counted.error().message;
    }
    if (chain.undo_tip().ok()) return "the genesis was taken back";
    for (const Block &block : past.blocks)
        if (const Status applied = chain.apply(block); !applied.ok())
            return "redo: " + applied.error().message;
    if (index_keys(store) != past.indexes.back()) return "redoing does not give the same index";
    return {};
}

// Plays the steps on both chains. Empty: all is well.
std::string play_on(const World &world, const std::vector<Move> &steps, Chain &memory,
                    Chain &leveldb, const KeyValueStore &store, Past &past) {
    const auto sealer = world.sealer();
    past.tips.push_back(memory.tip());
    past.indexes.push_back(index_keys(store));
    NaiveHistory naive(world);
    Player player(world);
    player.now_ms += 40 * 60'000;  // so that some schedules cross an hour
    Mempool pool(memory);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (const auto tx = player.play(steps[i], memory.state()))
            (void)pool.add(world.decode(*tx), player.now_ms).ok();
        if (i % 3 != 2) continue;
        EXPECT_TRUE(pool.rebuild(player.now_ms)
                        .ok());  // what was right when it came may not be at the block's time
        if (pool.count() == 0) continue;
        const auto block = sealer.seal(memory, pool.take(100, 1 << 19), player.now_ms);
        if (!block.ok()) return "seal: " + block.error().message;
        const auto decoded = decode_block(block->signed_bytes, world.genesis);
        if (!decoded.ok() || decoded->id != block->id) return "the sealed block does not decode";
        for (Chain *chain : {&memory, &leveldb})
            if (const Status applied = chain->apply(*decoded); !applied.ok())
                return "apply: " + applied.error().message;
        player.now_ms = std::max(player.now_ms, memory.tip().time_ms);
        EXPECT_TRUE(pool.rebuild(player.now_ms).ok());
        past.tips.push_back(memory.tip());
        past.indexes.push_back(index_keys(store));
        past.blocks.push_back(*decoded);
        if (leveldb.tip().digest != memory.tip().digest) return "the stores disagree";
        naive.apply(*decoded);
        if (const std::string wrong = naive.difference(memory); !wrong.empty()) return wrong;
    }
    return {};
}

// The same schedule as blocks, on both stores, and back to the genesis block by block.
std::string run_on_chains(const World &world, const std::vector<Move> &steps) {
    const TemporaryFolder folder;
    auto memory_store = make_memory_store();
    const KeyValueStore &memory_keys = *memory_store;
    const auto memory = world.open_chain(std::move(memory_store));
    auto leveldb_store = open_leveldb_store(folder.path() + "/chain");
    if (!leveldb_store.ok()) return leveldb_store.error().message;
    auto leveldb = world.open_chain(std::move(leveldb_store).value());
    Past past;
    if (const auto wrong = play_on(world, steps, *memory, *leveldb, memory_keys, past);
        !wrong.empty())
        return wrong;
    leveldb.reset();
    leveldb_store = open_leveldb_store(folder.path() + "/chain");
    if (!leveldb_store.ok()) return leveldb_store.error().message;
    const KeyValueStore &leveldb_keys = **leveldb_store;
    if (index_keys(leveldb_keys) != past.indexes.back()) return "the stores' indexes disagree";
    // As of an older program: opening makes the index from the blocks.
    if (steps.size() % 2 == 0 && !drop_index(**leveldb_store).ok()) return "the index stays";
    leveldb = world.open_chain(std::move(leveldb_store).value());
    const auto verified = leveldb->verify_all();
    if (!verified.ok() || !verified->ok) return "verify_all fails after opening again";
    if (const auto wrong = undo_and_redo(*memory, memory_keys, past); !wrong.empty()) return wrong;
    return undo_and_redo(*leveldb, leveldb_keys, past);
}

TEST(Schedules, BothStoresAgreeAndEveryBlockCanBeTakenBack) {
    const World world(kPlayers);
    const std::uint64_t seed = std::random_device{}();
    std::cout << "seed " << seed << "\n";
    std::mt19937_64 random(seed);
    for (int i = 0; i < 15 && !testing::Test::HasFatalFailure(); ++i)
        expect_well([&](const auto &steps) { return run_on_chains(world, steps); },
                    random_steps(random), seed);
}

}  // namespace
}  // namespace chain::ledger
