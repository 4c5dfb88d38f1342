// SPDX-License-Identifier: BSD-3-Clause
//
// What a user's folder and memory hold: the text of a wallet file and of a node key, short of the
// password, and seed words.
#include "chain/identity/keystore.h"
#include "chain/identity/mnemonic.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {

static std::string phrase_of(const Bytes32 &secret) {
    std::string text;
    for (const std::string_view word : mnemonic::to_words(secret)) text.append(word).append(" ");
    return text;
}

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
    const auto secret = mnemonic::from_words(input);
    if (secret.ok())
        CHAIN_CHECK(mnemonic::from_words(phrase_of(*secret)).value() == *secret);
    else
        CHAIN_CHECK(is_one_of(secret.error(), {ErrorCode::kInvalidInput, ErrorCode::kTooLarge}));
}

}  // namespace chain::fuzz
