// SPDX-License-Identifier: BSD-3-Clause
#include "chain/ledger/chain_records.h"

#include "chain/ledger/state.pb.h"

namespace chain::ledger {

Bytes encode_tip(const Tip &tip) {
    record::TipRecord out;
    out.set_height(tip.height);
    out.set_block_id(to_bytes(tip.id));
    out.set_time_ms(tip.time_ms);
    out.set_lanes(tip.digest.lane_bytes());
    out.set_minted(tip.totals.minted.units);
    out.set_balances(tip.totals.balances.units);
    out.set_escrow(tip.totals.escrow.units);
    out.set_collateral(tip.totals.collateral.units);
    out.set_burned(tip.totals.burned.units);
    out.set_stake(tip.totals.stake.units);
    out.set_pool(tip.totals.pool.units);
    return out.SerializeAsString();
}

Result<Tip> decode_tip(std::string_view bytes) {
    record::TipRecord in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return make_error(ErrorCode::kCorrupt,
                          "the ledger's store is damaged: its tip is unreadable");
    Tip tip;
    tip.height = in.height();
    CHAIN_ASSIGN(tip.id, to_bytes32(in.block_id(), "block id"));
    tip.time_ms = in.time_ms();
    CHAIN_ASSIGN(tip.digest, StateDigest::from_lane_bytes(in.lanes()));
    CHAIN_ASSIGN(tip.totals.minted, amount_from_units(in.minted()));
    CHAIN_ASSIGN(tip.totals.balances, amount_from_units(in.balances()));
    CHAIN_ASSIGN(tip.totals.escrow, amount_from_units(in.escrow()));
    CHAIN_ASSIGN(tip.totals.collateral, amount_from_units(in.collateral()));
    CHAIN_ASSIGN(tip.totals.burned, amount_from_units(in.burned()));
    CHAIN_ASSIGN(tip.totals.stake, amount_from_units(in.stake()));
    CHAIN_ASSIGN(tip.totals.pool, amount_from_units(in.pool()));
    return tip;
}

}  // namespace chain::ledger
