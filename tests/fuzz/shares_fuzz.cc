// SPDX-License-Identifier: BSD-3-Clause
//
// An account commits to shares, right ones and others, opens them as it should or nearly so, and is
// accused, rightly or not.
#include <algorithm>

#include "chain/ledger/seal_rule.h"
#include "chain/ledger/shares.h"
#include "chain/ledger/transition.h"
#include "chain/store/store.h"
#include "tests/fuzz/validators.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

using ledger::ShareLeaf;

constexpr std::uint32_t kLength = 4;  // of a share epoch
constexpr std::uint32_t kOpenings = 2;
constexpr unsigned kSharesMax = 9;
constexpr unsigned kMiner = 0, kAccuser = 1;

ledger::BlockId block_at(std::uint64_t height) {
    ledger::BlockId id{};
    id[0] = static_cast<std::uint8_t>(height);
    return id;
}

// The state of the validators' genesis, as if the blocks up to the second epoch's end were there.
class ShareWorld {
public:
    static const ShareWorld &get() {
        static const ShareWorld made;
        return made;
    }
    const Validators &world = Validators::get(ledger::ConsensusKind::kPor);
    ledger::Genesis genesis = world.genesis;
    std::unique_ptr<KeyValueStore> store = make_memory_store();

private:
    ShareWorld() {
        genesis.consensus.share_epoch_blocks = kLength;
        genesis.consensus.share_bits = 0;
        genesis.consensus.share_openings = kOpenings;
        WriteBatch batch;
        const auto first = ledger::execute_genesis(genesis);
        for (const auto &[key, value] : first->changes) batch.put(key, *value);
        for (std::uint64_t height = 0; height <= 2 * kLength; ++height)
            batch.put(ledger::recent_block_key(height), to_bytes(block_at(height)));
        CHAIN_CHECK(store->write(batch, false).ok());
    }
};

struct Share {
    ShareLeaf leaf;
    Bytes header;
};

class Life {
public:
    explicit Life(Choices &choices)
        : choices_(choices), own_(ShareWorld::get()), reader_(*own_.store), state_(reader_) {}

    void play() {
        pick_shares();
        commit();
        if (const auto opening = open()) accuse(*opening);
        // Nothing was made or lost.
        std::int64_t now = burned();
        for (const KeyPair &key : own_.world.keys) now += held(key);
        std::int64_t before = 0;
        for (const auto &[_, amount] : own_.genesis.allocations) before += amount.units;
        for (const auto &[_, amount] : own_.genesis.validators) before += amount.units;
        CHAIN_CHECK(now == before);
    }

private:
    PublicKey key(unsigned number) const { return own_.world.keys[number].public_key(); }
    std::int64_t held(const KeyPair &of) const {
        const auto account = state_.account(of.public_key()).value();
        return account.balance.units + account.staked.units + account.unbonding.units;
    }
    std::int64_t burned() const { return state_.pool()->burned.units; }
    Bytes32 real_work(const Bytes &header) const {
        return own_.world.rule->work_of_header(header).value();
    }

    void pick_shares() {
        const unsigned count = 1 + choices_.byte() % kSharesMax;
        const bool invents = choices_.one_in(3), repeats = choices_.one_in(3);
        for (unsigned i = 0; i < count; ++i) {
            const unsigned number = repeats ? choices_.byte() % 4 : i;
            wire::BlockHeader header;
            header.set_height(1 + number % kLength);
            header.set_previous(to_bytes(block_at(number % kLength)));
            header.set_chain_id(to_bytes(own_.genesis.chain_id));
            header.set_sealer(to_bytes(key(kMiner)));
            header.set_nonce(number + 1);
            Share &share = shares_.emplace_back();
            share.header = header.SerializeAsString();
            share.leaf = {real_work(share.header), ledger::header_id(share.header)};
            if (invents && choices_.one_in(2)) {
                share.leaf.work[0] = choices_.byte();
                share.leaf.work[1] = 0;
            }
        }
        if (!choices_.one_in(4))
            std::sort(shares_.begin(), shares_.end(),
                      [](const Share &a, const Share &b) { return a.leaf < b.leaf; });
        std::vector<ShareLeaf> leaves;
        for (const Share &share : shares_) leaves.push_back(share.leaf);
        is_strict_ = std::adjacent_find(leaves.begin(), leaves.end(),
                                        [](const ShareLeaf &a, const ShareLeaf &b) {
                                            return a.work >= b.work;
                                        }) == leaves.end();
        tree_.emplace(std::move(leaves));
    }

    Status apply(unsigned sender, std::uint64_t height, wire::TxBody body) {
        ledger::Tx tx;
        body.set_nonce(state_.account(key(sender))->nonce);
        tx.body = std::move(body);
        tx.sender = key(sender);
        tx.signers = {tx.sender};
        const ledger::Changes before = state_.changes();
        const ledger::TxContext context{.genesis = own_.genesis,
                                        .height = height,
                                        .time_ms = kGenesisTimeMs + height,
                                        .final_height = height - 1,
                                        .rule = own_.world.rule.get()};
        const Status status = ledger::apply_tx(state_, tx, context);
        if (!status.ok()) {
            CHAIN_CHECK(state_.changes() == before);
            CHAIN_CHECK(is_one_of(status.error(), {ErrorCode::kConflict, ErrorCode::kInvalidInput,
                                                   ErrorCode::kNotFound, ErrorCode::kTooLarge,
                                                   ErrorCode::kProtocol, ErrorCode::kPermission}));
        }
        return status;
    }

    void commit() {
        wire::TxBody body;
        wire::CommitShares &action = *body.mutable_commit_shares();
        action.set_epoch(choices_.one_in(8) ? choices_.byte() : 0);
        action.set_count(choices_.one_in(8) ? choices_.byte()
                                            : static_cast<std::uint32_t>(shares_.size()));
        action.set_root(to_bytes(tree_->root()));
        const std::uint64_t height = kLength + 1 + choices_.byte() % kLength;
        // The last block of that epoch draws.
        const bool is_right = action.epoch() == 0 && action.count() == shares_.size() &&
                              height < ledger::share_draw_height(0, kLength);
        const bool is_taken = apply(kMiner, height, body).ok();
        CHAIN_CHECK(!is_right || is_taken);
        is_right_ = is_taken && is_right;
        committed_ = is_taken ? action.count() : 0;
    }

    // One that was accepted, of those that were drawn.
    std::optional<wire::ShareOpening> open() {
        wire::TxBody body;
        wire::OpenShares &action = *body.mutable_open_shares();
        bool is_changed = false;
        for (std::uint32_t draw = 0; draw < kOpenings; ++draw) {
            const std::uint32_t index =
                ledger::drawn_share(block_at(2 * kLength), key(kMiner), draw,
                                    static_cast<std::uint32_t>(shares_.size()));
            wire::ShareOpening &opening = *action.add_openings();
            opening = ledger::open_share(*tree_, index, shares_[index].leaf, shares_[index].header);
            if (choices_.one_in(3)) is_changed |= change(opening);
        }
        const std::uint64_t height = 2 * kLength + 1 + choices_.byte() % kLength;
        const bool is_taken = apply(kMiner, height, body).ok();
        const std::uint64_t counted = state_.reputation(key(kMiner), 0)->shares;
        CHAIN_CHECK(counted == (is_taken ? committed_ : 0));
        if (is_taken) CHAIN_CHECK(!is_changed);
        if (is_right_ && is_strict_ && !is_changed) CHAIN_CHECK(is_taken);
        if (is_taken) CHAIN_CHECK(!apply(kMiner, height, body).ok());
        return is_right_ ? std::optional(action.openings(0)) : std::nullopt;
    }

    // False: it is as it was.
    bool change(wire::ShareOpening &opening) {
        const wire::ShareOpening before = opening;
        const auto flip = [&](Bytes &bytes) {
            if (!bytes.empty())
                bytes[choices_.byte() % bytes.size()] ^= static_cast<char>(choices_.byte());
        };
        switch (choices_.below(6)) {
            case 0: opening.set_index(static_cast<std::uint32_t>(choices_.byte())); break;
            case 1: flip(*opening.mutable_header()); break;
            case 2: flip(*opening.mutable_work()); break;
            case 3:
                if (opening.path_size() > 0)
                    flip(*opening.mutable_path(choices_.byte() % opening.path_size()));
                break;
            case 4: opening.add_path(Bytes(choices_.byte() % 66, 'p')); break;
            default:
                if (opening.path_size() > 0) opening.mutable_path()->RemoveLast();
        }
        return before.SerializeAsString() != opening.SerializeAsString();
    }

    void accuse(wire::ShareOpening leaf) {
        if (choices_.one_in(3)) change(leaf);
        wire::TxBody body;
        wire::ShareFault &fault = *body.mutable_share_fault();
        fault.set_account(to_bytes(key(kMiner)));
        *fault.mutable_leaf() = leaf;
        const std::int64_t stake = state_.account(key(kMiner))->staked.units;
        const Status status =
            apply(kAccuser, 2 * kLength + 1 + choices_.byte() % (3 * kLength), body);
        const bool is_false = to_bytes(real_work(leaf.header())) != leaf.work();
        if (!status.ok()) return;
        CHAIN_CHECK(is_false);  // nobody who is right pays
        CHAIN_CHECK(stake > 0 && state_.account(key(kMiner))->staked.units == 0);
        CHAIN_CHECK(state_.reputation(key(kMiner), 0)->shares == 0);
        CHAIN_CHECK(!apply(kAccuser, 2 * kLength + 1, body).ok());
    }

    Choices &choices_;
    const ShareWorld &own_;
    const ledger::StoreReader reader_;
    ledger::Overlay state_;
    std::vector<Share> shares_;
    std::optional<ledger::ShareTree> tree_;
    bool is_strict_ = false;  // rising, and each once
    bool is_right_ = false;   // what was committed to
    std::uint32_t committed_ = 0;
};

}  // namespace

CHAIN_FUZZ_TARGET(shares) {
    Choices choices(input);
    Life(choices).play();
}

}  // namespace chain::fuzz
