// SPDX-License-Identifier: BSD-3-Clause
//
// What the control socket tells of validators, and why a node or its network lags.
#include <map>

#include "chain/base/log.h"
#include "chain/daemon/daemon.h"
#include "chain/daemon/log_categories.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kBlocksLookedAt = 64;
constexpr std::size_t kNamesShown = 3;
// Blocks without finality that are nothing to speak of: votes travel.
constexpr std::uint64_t kUsualEpochs = 4;
// Blocks come at random by work; in turns within one spacing and some.
constexpr std::uint64_t kSilentSpacings = 4;

// Whoever votes now: the set after the final checkpoint.
Result<ledger::ValidatorSet> present_set(const LedgerBackend &backend) {
    return backend.validator_set(backend.tip().finality.final.height);
}

// As `validator list` shows it.
std::string short_form(const std::string &address) {
    return address.substr(0, 9) + "…" + address.substr(address.size() - 4);
}

std::string missing_votes(const LedgerBackend &backend, const ledger::ValidatorSet &set) {
    const auto &votes = backend.engine()->consensus().votes();
    const ledger::ConsensusParams &params = backend.genesis().consensus;
    const std::uint64_t deep_enough = backend.height() - params.vote_depth;
    const std::uint64_t due = deep_enough - deep_enough % params.epoch_blocks;
    std::string names;
    std::size_t count = 0;
    for (const ledger::ValidatorEntry &entry : set.entries()) {
        if (votes.newest_target(entry.account) >= due) continue;
        if (++count <= kNamesShown)
            names += (names.empty() ? "" : ", ") + short_form(to_address(entry.account));
    }
    if (count == 0) return {};
    return std::to_string(count) + " of " + std::to_string(set.size()) +
           " validators have not voted for block " + std::to_string(due) + " (" + names + ")";
}

}  // namespace

// Whether this account votes where it could or should; empty: nobody expects it to.
std::string Daemon::voting_text(const ledger::ValidatorSet &set) const {
    const consensus::Engine &engine = *ledger_->engine();
    const consensus::Voter *const voter = engine.consensus().voter();
    const auto account = wallet_->account();
    const bool is_member = account.ok() && set.find(*account) != nullptr;
    if (voter == nullptr)
        return is_member ? "no: this account is a validator, and counts as one that is away until "
                           "this node is started with --seal and --password-file"
                         : "";
    if (voter->has_stopped())
        return "no: somebody else votes with this validator's key. Stop one of the two daemons, "
               "and "
               "start this one again";
    if (!engine.knows_trusted()) return "not before the block of --checkpoint is here";
    if (is_member) return "yes";
    const auto record = ledger_->account(voter->account());
    const Amount least{
        static_cast<std::int64_t>(ledger_->genesis().consensus.validator_stake_min_units)};
    if (record.ok() && record->staked >= least)
        return "not yet: this account is a validator from the next final checkpoint on";
    return "no: it takes a stake of " + format_tokens(least) +
           " tokens (`ompi-chain wallet stake`)";
}

// Why this node is behind, or blocks are not final; empty: neither.
std::string Daemon::lag_text(const ledger::ValidatorSet &set) const {
    const ledger::ConsensusParams &params = ledger_->genesis().consensus;
    const consensus::Engine &engine = *ledger_->engine();
    const auto &consensus = engine.consensus();
    const std::uint64_t usual = kUsualEpochs * params.epoch_blocks + params.vote_depth;
    if (consensus.votes().conflict())
        return "two blocks have become final that exclude each other: more than a third of "
               "the weight has broken the rules; see docs/consensus.md";
    if (!engine.knows_trusted()) {
        const std::string height = std::to_string(engine.trusted()->height);
        if (engine.other_than_trusted())
            return "others have " + to_hex(*engine.other_than_trusted()) + " as block " + height +
                   ", and --checkpoint says " + to_hex(engine.trusted()->id) +
                   ": ask whoever gave it to you, and others, which is right";
        return "the history here has not come to block " + height + " of --checkpoint: block " +
               std::to_string(ledger_->height()) + " of " +
               std::to_string(std::max(sync_->told_height(), engine.trusted()->height));
    }
    if (const std::string behind = catching_up_text(); !behind.empty()) return behind;
    if (!ledger_->missing_blocks(1).empty()) return "fetching blocks of a better branch";
    if (network_->peers().empty() && set.size() > 1)
        return "no peers: nobody tells of newer blocks";
    if (ledger_->height() > engine.final().height + usual) {
        const std::string away = missing_votes(*ledger_, set);
        return "block " + std::to_string(engine.final().height + 1) + " is not final yet" +
               (away.empty() ? "" : ": " + away);
    }
    const std::uint64_t now_ms = system_clock().unix_ms(), tip_ms = ledger_->tip().time_ms;
    const std::uint64_t silent_ms = now_ms > tip_ms ? now_ms - tip_ms : 0;
    if (ledger_->mempool_count() == 0 || silent_ms < kSilentSpacings * params.spacing_ms) return {};
    std::string text =
        "transactions wait, and the last block is " + std::to_string(silent_ms / 1'000) + " s old";
    if (params.kind == ledger::ConsensusKind::kPor)
        text +=
            ": nobody has found one (ompi-chaind --mine); without work validators seal by "
            "turns after " +
            std::to_string(consensus::kRotationAfterSpacings * params.spacing_ms / 1'000) + " s";
    return text;
}

std::string Daemon::catching_up_text() const {
    const std::uint64_t told = sync_->told_height();
    if (told <= ledger_->height() + 1) return {};
    return "catching up: block " + std::to_string(ledger_->height()) + " of " +
           std::to_string(told);
}

void Daemon::fill_consensus(wire::NodeStatus &status) const {
    const ledger::ConsensusParams &params = ledger_->genesis().consensus;
    status.set_consensus(std::string(ledger::consensus_name(params.kind)));
    status.set_final_height(ledger_->height());
    status.set_justified_height(ledger_->height());
    if (!ledger_->has_validators()) return status.set_lag(catching_up_text());
    const consensus::Engine &engine = *ledger_->engine();
    const auto &consensus = engine.consensus();
    // Before the block of --checkpoint is here nothing is final, whatever others say.
    status.set_final_height(engine.knows_trusted() ? engine.final().height : 0);
    if (status.final_height() > 0) status.set_final_id(to_hex(engine.final().id));
    if (const auto mining = ledger_->mining()) {
        status.set_mines(true);
        status.set_hashes_per_s(mining->hashes_per_s);
        status.set_shares(mining->shares);
        status.set_mining_paused(mining->pause_reason);
    }
    status.set_justified_height(engine.knows_trusted() ? consensus.votes().justified().height : 0);
    const auto set = present_set(*ledger_);
    if (!set.ok()) return;
    status.set_validator_count(static_cast<std::uint32_t>(set->size()));
    status.set_is_validator(consensus.voter() != nullptr &&
                            set->find(consensus.voter()->account()) != nullptr);
    status.set_votes(voting_text(*set));
    status.set_lag(lag_text(*set));
}

// Into the log once when blocks stop becoming final, and once when they do again.
void Daemon::watch_finality() {
    if (!ledger_->has_validators()) return;
    const auto set = present_set(*ledger_);
    if (!set.ok()) return;
    const ledger::ConsensusParams &params = ledger_->genesis().consensus;
    const std::uint64_t lag =
        ledger_->height() - std::min(ledger_->height(), ledger_->engine()->final().height);
    const bool lags = lag > kUsualEpochs * params.epoch_blocks + params.vote_depth;
    if (lags && !finality_lags_) {
        log(LogLevel::kWarning, kConsensusLog, lag_text(*set), "; ", lag, " blocks wait, and at ",
            params.lag_blocks_max, " no payments are taken any more");
    } else if (!lags && finality_lags_) {
        log(LogLevel::kNote, kConsensusLog, "blocks become final again: up to ",
            ledger_->engine()->final().height);
    }
    finality_lags_ = lags;
}

Result<wire::ControlReply> Daemon::validator_list() {
    if (!ledger_->has_validators())
        return make_error(ErrorCode::kNotFound,
                          "this network has no validators: ", to_address(ledger_->genesis().sealer),
                          " seals all blocks");
    wire::ControlReply reply;
    wire::ValidatorList &list = *reply.mutable_validators();
    const auto &votes = ledger_->engine()->consensus().votes();
    list.set_height(ledger_->height());
    list.set_final_height(votes.final().height);
    list.set_justified_height(votes.justified().height);
    list.set_stake_min(
        static_cast<std::int64_t>(ledger_->genesis().consensus.validator_stake_min_units));
    CHAIN_ASSIGN(const ledger::ValidatorSet set, present_set(*ledger_));
    std::map<std::string, std::uint64_t> sealed;
    CHAIN_ASSIGN(const auto blocks, ledger_->block_views(0, kBlocksLookedAt));
    for (const wire::BlockView &block : blocks) sealed.try_emplace(block.sealer(), block.height());
    const auto own = wallet_->account();
    for (const ledger::ValidatorEntry &entry : set.entries()) {
        wire::ValidatorView &view = *list.add_validators();
        view.set_address(to_address(entry.account));
        view.set_stake(entry.stake.units);
        view.set_weight_ppm(
            static_cast<std::uint32_t>(ledger::vote_weight(entry) * kPpm / set.total()));
        view.set_quality_q16(entry.quality_q16);
        view.set_voted_height(votes.newest_target(entry.account));
        if (const auto found = sealed.find(view.address()); found != sealed.end())
            view.set_sealed_height(found->second);
        view.set_mine(own.ok() && *own == entry.account);
        CHAIN_ASSIGN(const auto turns, ledger_->engine()->turns_of(entry.account));
        for (const consensus::Turn &turn : turns)
            if (turn.needs_work) view.set_multiplier_q16(turn.weight);
    }
    return reply;
}

}  // namespace chain::daemon
