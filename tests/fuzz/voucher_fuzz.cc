// SPDX-License-Identifier: BSD-3-Clause
//
// Vouchers: decode_voucher, and claims on the open lease of the small world. Either the input is a
// SignedVoucher, or choices for a row of them.
#include "chain/wire/frame.h"
#include "incentive/settlement.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

namespace chain::fuzz {
namespace {

constexpr unsigned kVouchersMax = 3;

// What was recorded may only rise, and is always what it should cost.
void check_legs(const ledger::Lease &before, const ledger::Lease &after) {
    CHAIN_CHECK(before.legs.size() == after.legs.size());
    for (std::size_t i = 0; i < after.legs.size(); ++i) {
        const ledger::Leg &leg = after.legs[i];
        // The one with the most cycles counts; of as many, the later one.
        CHAIN_CHECK(leg.cycles >= before.legs[i].cycles);
        if (leg.cycles == before.legs[i].cycles)
            CHAIN_CHECK(leg.voucher_sequence >= before.legs[i].voucher_sequence);
        CHAIN_CHECK(leg.cycles <= leg.cycles_max && leg.waited_cycles <= leg.cycles);
        CHAIN_CHECK(leg.payment == *incentive::payment(after.price_per_ghz_h, leg.cycles));
        CHAIN_CHECK(leg.payment <= leg.escrow);
    }
}

class Claims {
public:
    Claims() : state_(World::get().state()), tip_(World::get().tip()), lease_(read()) {}

    const ledger::Overlay &state() const { return state_; }
    void claim(const wire::SignedVoucher &voucher, unsigned sender) {
        const World &world = World::get();
        const auto decoded = ledger::decode_voucher(voucher, lease_.renter);
        if (decoded.ok()) {
            const Bytes written = decoded->body.SerializeAsString();
            wire::VoucherBody read;
            CHAIN_CHECK(read.ParseFromString(written) && read.SerializeAsString() == written);
            CHAIN_CHECK(decoded->signed_voucher.body() == voucher.body());
        } else {
            CHAIN_CHECK(is_one_of(decoded.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol,
                                                    ErrorCode::kBadSignature}));
        }
        ledger::Tx tx;  // put together by hand: the voucher is what is tested
        tx.sender = world.keys[sender].public_key();
        tx.signers.push_back(tx.sender);
        tx.body.set_nonce(state_.account(tx.sender)->nonce);
        *tx.body.mutable_claim_voucher()->mutable_voucher() = voucher;
        CHAIN_CHECK(!ledger::describe_tx(tx.body).empty());
        const ledger::TxContext context{world.genesis, tip_.height + 1, 0, kGenesisTimeMs + 10'000,
                                        nullptr};
        if (!apply_checked(state_, tip_, tx, context).ok()) return;
        ledger::Lease after = read();
        check_legs(lease_, after);
        // It may have been for the other lease, whose renter signed it.
        if (decoded.ok() && decoded->lease_id == lease_.id)
            CHAIN_CHECK(after.legs[decoded->body.leg()].cycles == decoded->body.cycles());
        lease_ = std::move(after);
    }
    void check_recount() const { World::get().check_recount(state_.changes(), tip_); }

private:
    ledger::Lease read() const {
        auto lease = state_.lease(World::get().leases[0]);
        CHAIN_CHECK(lease.ok());
        return std::move(lease).value();
    }

    ledger::Overlay state_;
    ledger::Tip tip_;
    ledger::Lease lease_;
};

}  // namespace

CHAIN_FUZZ_TARGET(voucher) {
    const World &world = World::get();
    Claims claims;
    Choices choices(input);
    if (choices.below(4) == 0) {
        wire::SignedVoucher voucher;
        if (!wire::parse_strict(choices.rest(), wire::kMaxTxBytes, "voucher", voucher).ok()) return;
        claims.claim(voucher, 1);
        // The same body, with the renter's signature.
        voucher.set_signature(to_bytes(world.keys[0].sign(sign_tag::kVoucher, voucher.body())));
        claims.claim(voucher, 1);
        return;
    }
    Hints hints = world.hints(claims.state(), kGenesisTimeMs + 10'000);
    // Mostly the renter's and of its lease: the others are refused early.
    hints.sign = [&](std::string_view, std::string_view body_bytes, Choices &more) {
        const unsigned signer = more.one_in(8) ? 1 : 0;
        return to_bytes(world.keys[signer].sign(sign_tag::kVoucher, body_bytes));
    };
    hints.repair = [&, plausible = hints.repair](google::protobuf::Message &body,
                                                 const Hints &current) {
        dynamic_cast<wire::VoucherBody &>(body).set_lease_id(to_bytes(world.leases[0]));
        plausible(body, current);
    };
    for (unsigned i = 0; i < kVouchersMax && !choices.exhausted(); ++i) {
        const auto sender = static_cast<unsigned>(choices.below(kAccounts));
        wire::SignedVoucher voucher;
        fill(voucher, choices, hints);
        claims.claim(voucher, sender);
    }
    if (input.size() % 64 == 1) claims.check_recount();
}

}  // namespace chain::fuzz
