// SPDX-License-Identifier: BSD-3-Clause
//
// Wallet: the account of this daemon: none, locked or unlocked. Owner: the loop's thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chain/identity/keystore.h"

namespace chain::daemon {

class Wallet {
public:
    explicit Wallet(std::string path) : path_(std::move(path)) {}

    std::string_view state() const;  // "none" | "locked" | "unlocked"
    // Makes a key and leaves it unlocked. Errors: kConflict (there is one), kDiskFull, kPermission.
    Status create(std::string_view password);
    // Errors: kNoWallet, kWrongPassword, kPermission, kCorrupt.
    Status unlock(std::string_view password);
    // Errors: kNoWallet, kWalletLocked.
    Result<const KeyPair *> key() const;
    // Of the wallet, locked or not. Errors: kNoWallet, kPermission, kCorrupt.
    Result<PublicKey> account() const;

private:
    std::string path_;
    std::optional<KeyPair> key_;
};

}  // namespace chain::daemon
