// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/account_cache.h"

namespace chain::ledger {

Result<std::optional<Bytes>> AccountCache::get(std::string_view key) const {
    const auto account = account_of_key(key);
    if (!account) return store_.get(key);
    if (const Bytes *const record = find(*account)) return std::optional<Bytes>(*record);
    if (has_all_) return std::optional<Bytes>();
    return store_.get(key);
}

const Bytes *AccountCache::find(const PublicKey &account) const {
    for (const Records *records : {&young_, &old_})
        if (const auto found = records->find(account); found != records->end())
            return &found->second;
    return nullptr;
}

Status AccountCache::fill() {
    forget_all();
    has_all_ = true;
    return store_.scan(kAccountPrefix, [this](std::string_view key, std::string_view record) {
        if (const auto account = account_of_key(key)) put(*account, record);
        return has_all_;
    });
}

void AccountCache::put(const Changes &changes) {
    for (const auto &[key, record] : changes) {
        const auto account = account_of_key(key);
        if (!account) continue;
        if (record)
            put(*account, *record);
        else
            remove(*account);
    }
}

void AccountCache::put(const PublicKey &account, std::string_view record) {
    if (const auto young = young_.find(account); young != young_.end()) {
        young->second = record;
        return;
    }
    old_.erase(account);
    if (young_.size() == generation_max_) {
        has_all_ = has_all_ && old_.empty();
        old_ = std::exchange(young_, {});
    }
    young_.emplace(account, record);
}

void AccountCache::remove(const PublicKey &account) {
    young_.erase(account);
    old_.erase(account);
}

Status AccountCache::check() const {
    if (!has_all_ && count() == 0) return ok_status();
    std::size_t met = 0;
    bool is_same = true;
    CHAIN_TRY(store_.scan(kAccountPrefix, [&](std::string_view key, std::string_view record) {
        const auto account = account_of_key(key);
        const Bytes *const cached = account ? find(*account) : nullptr;
        if (cached != nullptr) ++met;
        is_same = cached != nullptr ? *cached == record : !has_all_;
        return is_same;
    }));
    if (is_same && met == count()) return ok_status();
    return make_error(ErrorCode::kCorrupt, "an account in memory is not as it is stored");
}

void AccountCache::forget_all() {
    young_.clear();
    old_.clear();
    has_all_ = false;
}

}  // namespace chain::ledger
