// SPDX-License-Identifier: BSD-3-Clause
//
// Random schedules: a row of steps, each a kind and a seed, that a player turns into transactions
// against the state as it is at that moment, so a step means something whatever was left out before
// it. Most transactions could be right; some are wrong in one place.
#pragma once

#include <map>

#include "chain/backend/memory_model.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain {

enum class StepKind : std::uint8_t {
    kOpen,
    kStart,
    kClaim,
    kClose,
    kExpire,
    kReclaim,
    kRate,
    kTransfer,
    kPublish,
    kStake,
    kUnstake,
    kWithdraw,
    kVote,
    kEvidence,
    kPayout,
    kWait,
};

struct Step {
    StepKind kind;
    std::uint64_t seed;
};

std::vector<Step> random_steps(std::mt19937_64 &random);

// A small generator: a seed gives the same numbers on every machine.
class Dice {
public:
    explicit Dice(std::uint64_t seed) : state_(seed) {}
    std::uint64_t number();
    std::uint64_t below(std::uint64_t bound) { return number() % bound; }
    bool one_in(std::uint64_t many) { return below(many) == 0; }
    template <class T>
    T one_of(std::initializer_list<T> values) {
        return values.begin()[below(values.size())];
    }

private:
    std::uint64_t state_;
};

// The signatures of votes are the same in every schedule: made once.
class VoteBook {
public:
    explicit VoteBook(const ledger::World &world) : world_(world) {}
    // One of few: `validator` for a link source -> target, whose block ids `fork` picks.
    const wire::SignedVote &vote(unsigned validator, unsigned signer, std::uint64_t source,
                                 std::uint64_t target, unsigned fork);

private:
    const ledger::World &world_;
    std::map<std::tuple<unsigned, unsigned, std::uint64_t, std::uint64_t, unsigned>,
             wire::SignedVote>
        votes_;
};

// Parameters under which rules meet that are far apart under the usual ones. `variant`: 0, the
// usual ones, to kWorldVariants - 1.
inline constexpr unsigned kWorldVariants = 3;
ledger::World schedule_world(unsigned variant);

class Player {
public:
    Player(const ledger::World &world, VoteBook &votes) : world_(world), votes_(votes) {}

    // Put together by hand, as decoded: signatures of transactions are not what is tested here.
    // nullopt: the step only lets time pass, or there is nothing that it could be about.
    std::optional<ledger::Tx> play(const Step &step, const MemoryModel &model);

    // The time of the block that the transaction is meant for.
    std::uint64_t now_ms = ledger::kGenesisTimeMs + 1;

private:
    using Lease = ledger::Lease;
    bool fill(wire::TxBody &body, const Step &step, Dice &dice, const MemoryModel &model);
    void wait(Dice &dice, const MemoryModel &model);
    void open(wire::TxBody &body, Dice &dice, const MemoryModel &model);
    std::uint64_t start(wire::OpenLease &action, Dice &dice) const;
    wire::LeaseLeg leg(const wire::OpenLease &action, const PublicKey &provider, Dice &dice,
                       const MemoryModel &model) const;
    wire::SignedVoucher voucher(const Lease &lease, std::uint32_t leg, Dice &dice) const;
    bool on_lease(wire::TxBody &body, StepKind kind, Dice &dice, const MemoryModel &model);
    void close(wire::TxBody &body, const Lease &lease, Dice &dice);
    void rate(wire::TxBody &body, const Lease &lease, Dice &dice);
    void publish(wire::TxBody &body, Dice &dice);
    void payout(wire::TxBody &body, Dice &dice);
    const wire::SignedVote &vote(unsigned validator, Dice &dice, std::uint64_t target_max);
    // A lease of the model's, the newer ones more often; nullptr: there is none.
    const Lease *pick_lease(Dice &dice, const MemoryModel &model) const;
    static std::uint32_t pick_leg(const Lease &lease, Dice &dice);
    PublicKey pick_account(Dice &dice) const;
    // Mostly one of those that have something there; by its number in the world.
    unsigned pick_holder(Dice &dice, const MemoryModel &model, Amount ledger::Account::*held) const;
    const KeyPair &key_of(const PublicKey &account) const;

    const ledger::World &world_;
    VoteBook &votes_;
    std::vector<ledger::LeaseId> opened_;
};

}  // namespace chain
