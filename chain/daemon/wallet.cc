// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/wallet.h"

#include "chain/base/file.h"

namespace chain::daemon {

std::string_view Wallet::state() const {
    if (key_.has_value()) return "unlocked";
    return path_exists(path_) ? "locked" : "none";
}

Status Wallet::create(std::string_view password) {
    KeyPair key = KeyPair::generate();
    CHAIN_TRY(create_wallet(path_, key, password));
    key_.emplace(std::move(key));
    return ok_status();
}

Status Wallet::unlock(std::string_view password) {
    CHAIN_ASSIGN(KeyPair key, unlock_wallet(path_, password));
    key_.emplace(std::move(key));
    return ok_status();
}

Result<const KeyPair *> Wallet::key() const {
    if (key_.has_value()) return &*key_;
    if (!path_exists(path_))
        return make_error(ErrorCode::kNoWallet, "this daemon has no wallet yet");
    return make_error(ErrorCode::kWalletLocked, "the wallet ", path_, " is locked");
}

Result<PublicKey> Wallet::account() const {
    if (key_.has_value()) return key_->public_key();
    CHAIN_ASSIGN(const std::string address, read_wallet_address(path_));
    return parse_address(address);
}

}  // namespace chain::daemon
