// SPDX-License-Identifier: BSD-3-Clause
//
// Keystore: secret keys on disk.
//
// The wallet file is JSON: version, address, scrypt parameters and salt, and the secret key under
// AES-256-GCM with the address as associated data. Written atomically, mode 0600. The node key is a
// plain file (mode 0600): it names this node to its peers and moves no money.
#pragma once

#include <string>
#include <string_view>

#include "chain/identity/keys.h"

namespace chain {

// Errors: kConflict if the file exists (a wallet is never overwritten), kDiskFull, kPermission,
// kIo.
Status create_wallet(const std::string &path, const KeyPair &key, std::string_view password);

// The address that the file names, without the password. Errors: kNoWallet, kPermission, kCorrupt.
Result<std::string> read_wallet_address(const std::string &path);

// The same of a wallet file's text; `path` is for the message. Errors: kCorrupt.
Result<std::string> parse_wallet_address(const std::string &path, std::string_view text);

// Errors: kNoWallet (no file), kPermission (unreadable, or readable by others), kWrongPassword,
// kCorrupt.
Result<KeyPair> unlock_wallet(const std::string &path, std::string_view password);

// The text of a file that must be private: what others can read is as good as published. Errors:
// `if_missing`, kPermission (unreadable, or readable by others), kCorrupt (no regular file),
// kTooLarge, kIo.
Result<Bytes> read_private_file(const std::string &path, std::size_t limit_bytes,
                                ErrorCode if_missing, std::string_view what);

// Reads the node key, or makes one at the first start. Errors: kPermission, kCorrupt, kDiskFull.
Result<KeyPair> load_or_create_node_key(const std::string &path);

// Puts `key` in the old one's place: the file holds one or the other at every moment. Errors:
// kDiskFull, kPermission, kIo; after each of them but a failed fsync the old one stands.
Status replace_node_key(const std::string &path, const KeyPair &key);
// The key of a node key file's text; `path` is for the message. Errors: kCorrupt.
Result<KeyPair> parse_node_key(const std::string &path, std::string_view text);

}  // namespace chain
