// SPDX-License-Identifier: BSD-3-Clause
//
// Proof of authority: validators seal in the order of their keys, one height after another. Who is
// away is passed over: the next one may step in after turn_ms, and so on around. Of n validators
// the one whose turn it is makes n units of work, the next one n - 1: where two have sealed, the
// branch that kept to the order has more.
#include "chain/consensus/rule.h"

namespace chain::consensus {
namespace {

class PoaRule final : public Rule {
public:
    explicit PoaRule(const ledger::Genesis &genesis) : Rule(genesis) {}

    Result<std::vector<Turn>> turns(const PublicKey &account, const ledger::Tip &parent,
                                    const ledger::StateReader &state) const override {
        CHAIN_ASSIGN(const ledger::ValidatorSet set, sealers(parent, state));
        if (set.find(account) == nullptr) return std::vector<Turn>();
        const std::uint32_t rank = rank_of(account, set, parent.height + 1);
        Turn turn;
        turn.not_before_ms = parent.time_ms + consensus_.spacing_ms + rank * consensus_.turn_ms;
        turn.weight = static_cast<std::uint32_t>(set.size()) - rank;
        return std::vector<Turn>{turn};
    }

    Result<Work> work_of(const ledger::Block &block, std::uint64_t) const override {
        const std::uint32_t weight = block.header.weight();
        if (weight == 0 || weight > consensus_.validators_max || block.header.nonce() != 0)
            return make_error(ErrorCode::kInvalidInput, "block ", block.header.height(),
                              " says weight ", weight, " where validators take turns");
        return Work{weight};
    }

    bool is_free(const ledger::Block &) const override { return true; }
};

}  // namespace

std::shared_ptr<const Rule> make_poa_rule(const ledger::Genesis &genesis) {
    return std::make_shared<PoaRule>(genesis);
}

}  // namespace chain::consensus
