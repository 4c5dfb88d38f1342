// SPDX-License-Identifier: BSD-3-Clause
//
// What the control socket tells of validators, and why a node or its network lags.
#include <map>

#include "chain/daemon/daemon.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kBlocksLookedAt = 64;
constexpr std::size_t kNamesShown = 3;
// Blocks without finality that are nothing to speak of: votes travel.
constexpr std::uint64_t kUsualEpochs = 4;

// Whoever votes now: the set after the final checkpoint.
Result<ledger::ValidatorSet> present_set(const LedgerBackend &backend) {
    return backend.validator_set(backend.tip().finality.final.height);
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
            names += (names.empty() ? "" : ", ") + to_address(entry.account).substr(0, 12) + "…";
    }
    if (count == 0) return {};
    return std::to_string(count) + " of " + std::to_string(set.size()) +
           " validators have not voted for block " + std::to_string(due) + " (" + names + ")";
}

}  // namespace

void Daemon::fill_consensus(wire::NodeStatus &status) const {
    const ledger::ConsensusParams &params = ledger_->genesis().consensus;
    status.set_consensus(std::string(ledger::consensus_name(params.kind)));
    status.set_final_height(ledger_->height());
    status.set_justified_height(ledger_->height());
    if (const std::uint64_t told = sync_->told_height(); told > ledger_->height() + 1)
        status.set_lag("catching up: block " + std::to_string(ledger_->height()) + " of " +
                       std::to_string(told));
    if (!ledger_->has_validators()) return;
    const consensus::Engine &engine = *ledger_->engine();
    const auto &consensus = engine.consensus();
    status.set_final_height(engine.final().height);
    if (engine.final().height > 0) status.set_final_id(to_hex(engine.final().id));
    if (const auto mining = ledger_->mining()) {
        status.set_mines(true);
        status.set_hashes_per_s(mining->hashes_per_s);
        status.set_shares(mining->shares);
        status.set_mining_paused(mining->pause_reason);
    }
    status.set_justified_height(consensus.votes().justified().height);
    const auto set = present_set(*ledger_);
    if (!set.ok()) return;
    status.set_validator_count(static_cast<std::uint32_t>(set->size()));
    status.set_is_validator(consensus.voter() != nullptr &&
                            set->find(consensus.voter()->account()) != nullptr);
    const std::uint64_t usual = kUsualEpochs * params.epoch_blocks + params.vote_depth;
    if (consensus.votes().conflict()) {
        status.set_lag(
            "two blocks have become final that exclude each other: more than a third of "
            "the weight has broken the rules; see docs/consensus.md");
    } else if (!status.lag().empty()) {
        return;
    } else if (!ledger_->missing_blocks(1).empty()) {
        status.set_lag("fetching blocks of a better branch");
    } else if (!engine.knows_trusted()) {
        status.set_lag("the history here has not come to the block of --checkpoint");
    } else if (network_->peers().empty() && set->size() > 1) {
        status.set_lag("no peers: nobody tells of newer blocks");
    } else if (ledger_->height() > engine.final().height + usual) {
        const std::string away = missing_votes(*ledger_, *set);
        status.set_lag("block " + std::to_string(engine.final().height + 1) + " is not final yet" +
                       (away.empty() ? "" : ": " + away));
    }
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
    }
    return reply;
}

}  // namespace chain::daemon
