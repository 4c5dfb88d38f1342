// SPDX-License-Identifier: BSD-3-Clause
//
// The history of accounts and prices, recomputed in the plainest way: every transaction is
// applied to a store of its own, and every account and every lease is looked at before and after.
// What the index says is held against it.
#pragma once

#include <map>

#include "chain/ledger/chain.h"
#include "tests/chain/ledger/ledger_fixture.h"

namespace chain::ledger {

// Every key of the indexes, and their mark.
inline std::map<Bytes, Bytes> index_keys(const KeyValueStore &store) {
    std::map<Bytes, Bytes> keys;
    for (const char *prefix : {"a", "p", "i", "r", "mhistory"})
        CHAIN_CHECK(store
                        .scan(prefix,
                              [&](std::string_view key, std::string_view value) {
                                  keys[Bytes(key)] = Bytes(value);
                                  return true;
                              })
                        .ok());
    return keys;
}

class NaiveHistory {
public:
    explicit NaiveHistory(const World &world) : world_(world), time_ms_(world.genesis.time_ms) {
        for (const auto &[account, amount] : world.genesis.allocations) {
            now_[account].balance = amount;
            lines_[account].push_back({0, 0, amount.units, now_[account]});
        }
        WriteBatch batch;
        const auto genesis = execute_genesis(world.genesis);
        for (const auto &[key, value] : genesis->changes) batch.put(key, *value);
        CHAIN_CHECK(store_->write(batch, false).ok());
    }

    void apply(const Block &block) {
        const StoreReader reader(*store_);
        for (int i = 0; i < block.signed_block.txs_size(); ++i) {
            const auto tx = decode_tx(block.signed_block.txs(i), world_.genesis.chain_id);
            const auto index = static_cast<std::uint32_t>(i);
            const TxContext context{world_.genesis, block.header.height(), index,
                                    block.header.time_ms(), nullptr};
            Overlay written(reader);  // by this transaction alone
            CHAIN_CHECK(tx.ok() && apply_tx(written, *tx, context).ok());
            write(written);
            if (tx->body.has_open_lease()) leases_[tx->id] = {};
            note_accounts(written, reader, block.header.height(), index);
            compare_leases(reader, block.header.time_ms());
        }
        Overlay rewarded(reader);
        CHAIN_CHECK(apply_block_reward(rewarded, world_.genesis, world_.genesis.sealer, time_ms_,
                                       block.header.time_ms())
                        .ok());
        write(rewarded);
        note_accounts(rewarded, reader, block.header.height(), kBlockRewardIndex);
        time_ms_ = block.header.time_ms();
    }

    // Empty: `chain` says the same of every account and every hour.
    std::string difference(const Chain &chain) const {
        for (const KeyPair &key : world_.keys) {
            const std::string found = difference_of(chain, key.public_key());
            if (!found.empty()) return found;
        }
        const auto hours = chain.prices(0, ~0ULL, kPriceHoursMax);
        if (!hours.ok()) return "prices: " + hours.error().message;
        if (hours->size() != trades_.size()) return "the hours with trade are others";
        auto at = trades_.begin();
        for (const PriceHour &hour : *hours)
            if (const auto &[number, trades] = *at++; number != hour.hour || !same(trades, hour))
                return "hour " + std::to_string(hour.hour) + " is another";
        return {};
    }

private:
    struct Line {
        std::uint64_t height;
        std::uint32_t tx_index;
        std::int64_t delta;
        Account after;
    };
    struct Trade {
        std::int64_t price;
        Cycles cycles;
        std::int64_t paid;
    };

    void write(const Overlay &written) {
        WriteBatch batch;
        put_changes(written.changes(), batch);
        CHAIN_CHECK(store_->write(batch, false).ok());
    }

    void note_accounts(const Overlay &written, const StateReader &state, std::uint64_t height,
                       std::uint32_t tx_index) {
        for (const KeyPair &key : world_.keys) {
            Account &before = now_[key.public_key()];
            const Account after = *state.account(key.public_key());
            if (written.changes().find(account_key(key.public_key())) == nullptr) {
                CHAIN_CHECK(after == before);
                continue;
            }
            lines_[key.public_key()].push_back(
                {height, tx_index, after.balance.units - before.balance.units, after});
            before = after;
        }
    }

    void compare_leases(const StateReader &state, std::uint64_t time_ms) {
        for (auto &[id, settled] : leases_) {
            const Lease lease = *state.lease(id);
            settled.resize(lease.legs.size());
            for (std::size_t i = 0; i < lease.legs.size(); ++i) {
                const Leg &leg = lease.legs[i];
                if (settled[i] || leg.state != LegState::kSettled) continue;
                settled[i] = true;
                if (leg.cycles > 0 && !leg.free)
                    trades_[time_ms / 3'600'000].push_back(
                        {lease.price_per_ghz_h.units, leg.cycles, leg.payment.units});
            }
        }
    }

    static bool same(const std::vector<Trade> &trades, const PriceHour &hour) {
        unsigned __int128 cycles = 0, paid = 0, weighted = 0;
        Amount low{kMaxAmountUnits}, high;
        for (const Trade &trade : trades) {
            cycles += trade.cycles;
            paid += static_cast<unsigned __int128>(trade.paid);
            weighted += static_cast<unsigned __int128>(trade.price) * trade.cycles;
            low = std::min(low, Amount{trade.price});
            high = std::max(high, Amount{trade.price});
        }
        const auto price = static_cast<std::int64_t>((2 * weighted + cycles) / (2 * cycles));
        return hour.leg_count == trades.size() && hour.cycles == cycles &&
               static_cast<unsigned __int128>(hour.paid.units) == paid && hour.price_min == low &&
               hour.price_max == high && hour.price.units == price;
    }

    std::string difference_of(const Chain &chain, const PublicKey &account) const {
        const auto page = chain.history_of(account, std::nullopt, kHistoryEntriesMax);
        if (!page.ok()) return "history: " + page.error().message;
        std::vector<Line> said;
        Account balance;
        for (auto entry = page->entries.rbegin(); entry != page->entries.rend(); ++entry) {
            if (entry->after.balance.units - balance.balance.units != entry->delta)
                return "a running balance does not follow from its amount";
            said.push_back({entry->place.height, entry->place.index, entry->delta, entry->after});
            balance = entry->after;
        }
        if (balance != *chain.state().account(account))
            return "the running balance is not the account's";
        const std::vector<Line> &lines = lines_.at(account);
        const auto same_line = [](const Line &a, const Line &b) {
            return a.height == b.height && a.tx_index == b.tx_index && a.delta == b.delta &&
                   a.after == b.after;
        };
        if (!std::equal(said.begin(), said.end(), lines.begin(), lines.end(), same_line))
            return "the history of " + to_address(account) + " is another";
        return {};
    }

    const World &world_;
    std::uint64_t time_ms_;  // of the block before
    std::unique_ptr<KeyValueStore> store_ = make_memory_store();
    std::map<PublicKey, Account> now_;
    std::map<PublicKey, std::vector<Line>> lines_;
    std::map<LeaseId, std::vector<bool>> leases_;
    std::map<std::uint64_t, std::vector<Trade>> trades_;
};

}  // namespace chain::ledger
