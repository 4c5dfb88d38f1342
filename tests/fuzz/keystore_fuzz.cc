// SPDX-License-Identifier: BSD-3-Clause
//
// What a user's folder holds: the text of a wallet file and of a node key, short of the password.
#include "chain/identity/keystore.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {

CHAIN_FUZZ_TARGET(keystore) {
    const auto address = parse_wallet_address("wallet", input);
    if (address.ok()) {
        const auto account = parse_address(*address);
        CHAIN_CHECK(account.ok() && parse_address(to_address(*account)).value() == *account);
    } else
        CHAIN_CHECK(address.error().code == ErrorCode::kCorrupt);
    const auto key = parse_node_key("node.key", input);
    if (key.ok())
        CHAIN_CHECK(from_hex(input.substr(0, 64)).value() == to_bytes(key->secret()));
    else
        CHAIN_CHECK(key.error().code == ErrorCode::kCorrupt);
}

}  // namespace chain::fuzz
