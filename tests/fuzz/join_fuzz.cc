// SPDX-License-Identifier: BSD-3-Clause
//
// The file with which a machine joins a network: it comes from somebody else.
#include "chain/client/join_file.h"
#include "chain/identity/keystore.h"
#include "chain/ledger/types.h"
#include "tests/fuzz/target.h"

namespace chain::fuzz {

CHAIN_FUZZ_TARGET(join) {
    const auto join = client::parse_join_file("lab.join", input);
    if (!join.ok()) {
        CHAIN_CHECK(is_one_of(join.error(), {ErrorCode::kCorrupt, ErrorCode::kTooLarge}));
        return;
    }
    CHAIN_CHECK(!join->genesis.empty() && join->seeds.size() <= client::kJoinSeedsMax);
    const std::string written = client::format_join_file(*join);
    const auto again = client::parse_join_file("lab.join", written);
    CHAIN_CHECK(again.ok() && client::format_join_file(*again) == written);
    CHAIN_CHECK(again->genesis == join->genesis && again->wallet == join->wallet &&
                again->listen_address == join->listen_address &&
                again->announce_address == join->announce_address && again->seeds == join->seeds &&
                again->seal == join->seal);
    const auto genesis = ledger::parse_genesis(join->genesis);
    if (!genesis.ok())
        CHAIN_CHECK(is_one_of(genesis.error(), {ErrorCode::kCorrupt, ErrorCode::kTooLarge}));
    if (!join->wallet.empty()) {
        const auto address = parse_wallet_address("wallet", join->wallet);
        if (!address.ok()) CHAIN_CHECK(address.error().code == ErrorCode::kCorrupt);
    }
}

}  // namespace chain::fuzz
