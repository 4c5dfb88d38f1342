// SPDX-License-Identifier: BSD-3-Clause
//
// The rules are written twice. Random schedules of all transactions, right and wrong ones, on both:
// what one takes the other takes, what one refuses the other refuses with the same error, and after
// each both hold the same money, after the last the same state to the byte. A schedule that fails
// is shrunk by leaving out steps for as long as it still fails.
//
// CHAIN_SCHEDULES: how many; make check-schedules plays 100,000.
#include <cstdlib>
#include <sstream>

#include "chain/ledger/state.pb.h"
#include "tests/chain/backend/schedule_player.h"

namespace chain {
namespace {

using ledger::LegEnd;
using ledger::Tx;

constexpr unsigned kSchedules = 3'000;

struct Coverage {
    std::map<std::string, std::uint64_t> accepted, refused;  // by kind
    std::map<std::string, std::uint64_t> errors;             // by code
    std::array<std::uint64_t, incentive::kLegEndCount> ends{};
    // What reservations and free legs came to.
    std::map<std::string, std::uint64_t> ways;
};

void note_ways(const ledger::Lease &lease, const ledger::Leg &leg,
               std::map<std::string, std::uint64_t> &ways) {
    const bool is_settled = leg.state == ledger::LegState::kSettled;
    ways["free, the renter's own"] += is_settled && leg.free && leg.provider == lease.renter;
    ways["free, another's, worked"] +=
        is_settled && leg.cycles > 0 && leg.free && leg.provider != lease.renter;
    if (!is_settled || !lease.is_reserved() || leg.free || leg.escrow.units == 0) return;
    const auto signed_for = incentive::payment(lease.price_per_ghz_h, leg.cycles);
    const bool worked = leg.has_voucher();
    const bool is_completed = leg.end == LegEnd::kCompleted;
    const bool began = leg.settled_at_ms >= lease.starts_at_ms;
    ways["cancelled for nothing"] += leg.end == LegEnd::kCancelled && leg.payment.units == 0;
    ways["cancelled, paid"] += leg.end == LegEnd::kCancelled && leg.payment.units > 0 && !began;
    ways["not come, and said so"] += leg.end == LegEnd::kCancelled && began;
    ways["completed, more than signed for"] += is_completed && leg.payment > *signed_for;
    ways["completed, as signed for"] +=
        is_completed && leg.penalty.units == 0 && leg.payment == *signed_for;
    ways["answered, the rest burned"] += is_completed && leg.penalty.units > 0;
    ways["left, accused"] += leg.end == LegEnd::kLeft && leg.penalty.units > 0;
    ways["left in time, or with a voucher"] += leg.end == LegEnd::kLeft && leg.penalty.units == 0;
    ways["disputed"] += leg.end == LegEnd::kDisputed && worked;
    ways["voided, paid"] += is_completed && leg.voided;
    ways["withdrawn before the start"] += leg.end == LegEnd::kNotStarted && !began;
}

// The embedded ledger's rules on a store in memory, one block per transaction.
class Embedded {
public:
    explicit Embedded(const ledger::World &world)
        : world_(world), store_(make_memory_store()), reader_(*store_) {
        auto begun = ledger::execute_genesis(world.genesis);
        CHAIN_CHECK(begun.ok());
        take(std::move(begun).value());
    }

    Status apply(const Tx &tx, std::uint64_t time_ms, ledger::SignatureCache &signatures) {
        CHAIN_ASSIGN(ledger::Execution done,
                     ledger::execute(reader_, tip_, world_.genesis,
                                     {time_ms, world_.genesis.sealer, {}}, {tx}, &signatures));
        take(std::move(done));
        return ok_status();
    }

    const ledger::Tip &tip() const { return tip_; }
    const ledger::StateReader &state() const { return reader_; }
    const KeyValueStore &store() const { return *store_; }

private:
    void take(ledger::Execution done) {
        WriteBatch batch;
        ledger::put_changes(done.changes, batch);
        CHAIN_CHECK(store_->write(batch, false).ok());
        tip_ = std::move(done.tip);
    }

    const ledger::World &world_;
    std::unique_ptr<KeyValueStore> store_;
    ledger::StoreReader reader_;
    ledger::Tip tip_;
};

template <class Record>
std::string text_of(const Bytes &bytes) {
    Record record;
    CHAIN_CHECK(record.ParseFromString(bytes));
    return record.ShortDebugString();
}

// What differs, for people.
std::string difference(const ledger::World &world, const MemoryModel &model,
                       const ledger::StateReader &state) {
    std::ostringstream out;
    for (const KeyPair &key : world.keys) {
        const PublicKey &who = key.public_key();
        const Bytes ours = ledger::encode_account(model.account(who));
        const Bytes theirs = ledger::encode_account(*state.account(who));
        if (ours != theirs)
            out << "\naccount, model:  " << text_of<ledger::record::AccountRecord>(ours)
                << "\naccount, ledger: " << text_of<ledger::record::AccountRecord>(theirs);
        const Bytes known = ledger::encode_reputation(model.reputation(who, 0));
        const Bytes theirs_known = ledger::encode_reputation(*state.reputation(who, 0));
        if (known != theirs_known)
            out << "\nreputation, model:  " << text_of<ledger::record::ReputationRecord>(known)
                << "\nreputation, ledger: "
                << text_of<ledger::record::ReputationRecord>(theirs_known);
    }
    for (const auto &[id, entry] : model.leases()) {
        const auto lease = state.lease(id);
        const std::string ours =
            text_of<ledger::record::LeaseRecord>(ledger::encode_lease(entry.lease));
        const std::string theirs =
            lease.ok() ? text_of<ledger::record::LeaseRecord>(ledger::encode_lease(*lease))
                       : lease.error().message;
        if (ours != theirs) out << "\nlease, model:  " << ours << "\nlease, ledger: " << theirs;
    }
    return out.str();
}

class Comparison {
public:
    Comparison(const ledger::World &world, VoteBook &votes, ledger::SignatureCache &signatures)
        : world_(world),
          signatures_(signatures),
          player_(world, votes),
          model_(world.genesis),
          embedded_(world) {}

    // Empty: they agree.
    std::string play(const std::vector<Step> &steps, bool look_closely, Coverage *coverage) {
        for (const Step &step : steps) {
            const auto tx = player_.play(step, model_);
            if (!tx) continue;
            const Status expected = model_.apply_block(*tx, player_.now_ms, &signatures_);
            const Status found = embedded_.apply(*tx, player_.now_ms, signatures_);
            note(*tx, expected, found);
            if (expected.ok() != found.ok() ||
                (!expected.ok() && expected.error().code != found.error().code))
                return "the model and the ledger disagree";
            if (coverage != nullptr) count(*tx, expected, *coverage);
            if (!expected.ok()) continue;
            if (model_.totals() != embedded_.tip().totals)
                return "the totals differ" + difference(world_, model_, embedded_.state());
            if (const Status sum = ledger::check_conservation(model_.totals()); !sum.ok())
                return sum.error().message;
            if (look_closely && model_.state_digest() != embedded_.tip().digest.digest())
                return "the states differ" + difference(world_, model_, embedded_.state());
        }
        if (coverage != nullptr)
            for (const auto &[id, entry] : model_.leases())
                for (const ledger::Leg &leg : entry.lease.legs) {
                    coverage->ends[static_cast<std::size_t>(leg.end)] += 1;
                    note_ways(entry.lease, leg, coverage->ways);
                }
        if (model_.state_digest() != embedded_.tip().digest.digest())
            return "the states differ" + difference(world_, model_, embedded_.state());
        return look_closely ? recounted() : std::string();
    }

    std::string log() const { return log_.str(); }

private:
    std::string recounted() const {
        auto counted = ledger::recount(embedded_.store());
        if (!counted.ok()) return counted.error().message;
        counted->totals.minted = embedded_.tip().totals.minted;
        return counted->totals == embedded_.tip().totals ? "" : "a recount gives other totals";
    }

    static std::string text_of_status(const Status &status) {
        if (status.ok()) return "ok";
        return std::string(error_traits(status.error().code).name) + ": " + status.error().message;
    }

    void note(const Tx &tx, const Status &expected, const Status &found) {
        log_ << "at " << player_.now_ms - world_.genesis.time_ms << " ms, " << short_hex(tx.sender)
             << ": " << ledger::describe_tx(tx.body) << "\n    model: " << text_of_status(expected)
             << "\n    ledger: " << text_of_status(found) << "\n";
    }

    static void count(const Tx &tx, const Status &status, Coverage &coverage) {
        const std::string kind(ledger::tx_kind(tx.body));
        coverage.accepted[kind] += status.ok();
        coverage.refused[kind] += !status.ok();
        if (!status.ok()) coverage.errors[std::string(error_traits(status.error().code).name)] += 1;
    }

    const ledger::World &world_;
    ledger::SignatureCache &signatures_;
    Player player_;
    MemoryModel model_;
    Embedded embedded_;
    std::ostringstream log_;
};

struct Field {
    explicit Field(unsigned variant) : world(schedule_world(variant)), votes(world) {}
    ledger::World world;
    VoteBook votes;
    ledger::SignatureCache signatures;
};

void expect_agreement(Field &field, std::vector<Step> steps, bool look_closely, Coverage &coverage,
                      std::uint64_t seed, unsigned variant) {
    Comparison first(field.world, field.votes, field.signatures);
    std::string wrong = first.play(steps, look_closely, &coverage);
    if (wrong.empty()) return;
    std::string log = first.log();
    for (std::size_t i = 0; i < steps.size();) {
        std::vector<Step> fewer = steps;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        Comparison again(field.world, field.votes, field.signatures);
        const std::string still = again.play(fewer, true, nullptr);
        if (still.empty()) {
            ++i;
            continue;
        }
        steps = std::move(fewer);
        wrong = still;
        log = again.log();
        i = 0;
    }
    FAIL() << "seed " << seed << ", parameters " << variant << ": " << wrong << "\n" << log;
}

void print(const Coverage &coverage) {
    std::cout << "accepted / refused:";
    for (const auto &[kind, count] : coverage.accepted)
        std::cout << "  " << kind << " " << count << " / " << coverage.refused.at(kind);
    std::cout << "\nerrors:";
    for (const auto &[name, count] : coverage.errors) std::cout << "  " << name << " " << count;
    std::cout << "\nends of legs:";
    for (std::size_t i = 0; i < coverage.ends.size(); ++i)
        std::cout << "  " << i << ": " << coverage.ends[i];
    std::cout << "\nof reservations and free legs:";
    for (const auto &[name, count] : coverage.ways) std::cout << "  " << name << " " << count;
    std::cout << "\n";
}

unsigned schedule_count() {
    const char *asked = std::getenv("CHAIN_SCHEDULES");
    return asked == nullptr ? kSchedules : static_cast<unsigned>(std::strtoul(asked, nullptr, 10));
}

TEST(Differential, TheModelAndTheLedgerAgreeOnRandomSchedules) {
    std::vector<std::unique_ptr<Field>> fields;
    for (unsigned variant = 0; variant < kWorldVariants; ++variant)
        fields.push_back(std::make_unique<Field>(variant));
    const char *given = std::getenv("CHAIN_SEED");
    const std::uint64_t seed =
        given == nullptr ? std::random_device{}() : std::strtoull(given, nullptr, 10);
    const unsigned count = schedule_count();
    std::cout << "seed " << seed << ", " << count << " schedules\n";
    std::mt19937_64 random(seed);
    Coverage coverage;
    for (unsigned i = 0; i < count && !testing::Test::HasFatalFailure(); ++i) {
        const unsigned variant = i % kWorldVariants;
        expect_agreement(*fields[variant], random_steps(random), i % 100 < kWorldVariants, coverage,
                         seed, variant);
    }
    print(coverage);
    if (testing::Test::HasFatalFailure()) return;
    EXPECT_EQ(coverage.accepted.size(), 15u) << "a kind of transaction was never tried";
    for (const auto &[kind, accepted] : coverage.accepted) {
        EXPECT_GT(accepted, 0u) << kind << " was never accepted";
        EXPECT_GT(coverage.refused.at(kind), 0u) << kind << " was never refused";
    }
    for (const char *name : {"bad-signature", "conflict", "insufficient-funds", "invalid-input",
                             "not-found", "permission", "protocol", "too-large"})
        EXPECT_GT(coverage.errors[name], 0u) << "nothing was refused with " << name;
    for (std::size_t i = 0; i < coverage.ends.size(); ++i)
        EXPECT_GT(coverage.ends[i], 0u) << "no leg came to end " << i;
    for (const auto &[name, count] : coverage.ways) EXPECT_GT(count, 0u) << "no leg was: " << name;
}

}  // namespace
}  // namespace chain
