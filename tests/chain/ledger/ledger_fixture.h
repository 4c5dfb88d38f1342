// SPDX-License-Identifier: BSD-3-Clause
//
// A small world for the ledger's tests: a few keyed accounts, a genesis, and builders that make
// right transactions, which a test then makes wrong in one place.
#pragma once

#include <random>

#include <gtest/gtest.h>

#include "chain/consensus/sealer.h"
#include "chain/ledger/chain.h"
#include "incentive/settlement.h"
#include "tests/chain/base/temporary_folder.h"

namespace chain::ledger {

inline constexpr std::uint64_t kGenesisTimeMs = 1'700'000'000'000;
inline constexpr std::int64_t kStartUnits = 1'000'000'000'000;

// Keys are made from numbers, so that a seed gives the same run again.
inline KeyPair numbered_key(unsigned number) {
    Bytes32 secret{};
    secret[0] = 1;
    secret[31] = static_cast<std::uint8_t>(number);
    secret[30] = static_cast<std::uint8_t>(number >> 8);
    return std::move(KeyPair::from_secret(secret)).value();
}

struct World {
    explicit World(unsigned account_count = 4) : sealer_key(numbered_key(999)) {
        Genesis made;
        made.chain_name = "test";
        made.time_ms = kGenesisTimeMs;
        made.sealer = sealer_key.public_key();
        for (unsigned i = 0; i < account_count; ++i) {
            keys.push_back(numbered_key(i + 1));
            made.allocations.emplace_back(keys.back().public_key(), Amount{kStartUnits});
        }
        auto parsed = parse_genesis(format_genesis(made));
        CHAIN_CHECK(parsed.ok());
        genesis = *parsed;
    }

    wire::TxBody body(unsigned sender, std::uint64_t nonce) const {
        wire::TxBody out;
        out.set_chain_id(to_bytes(genesis.chain_id));
        out.set_sender(to_bytes(keys[sender].public_key()));
        out.set_nonce(nonce);
        return out;
    }

    wire::TxBody transfer(unsigned sender, std::uint64_t nonce, unsigned to,
                          std::int64_t units) const {
        wire::TxBody out = body(sender, nonce);
        out.mutable_transfer()->set_to(to_bytes(keys[to].public_key()));
        out.mutable_transfer()->set_amount(units);
        return out;
    }

    // One leg per provider: 2 slots of 2 GHz; the running time is one minute.
    wire::TxBody open_lease(unsigned renter, std::uint64_t nonce,
                            const std::vector<unsigned> &providers, std::uint64_t now_ms,
                            std::int64_t price = 30'000'000) const {
        wire::TxBody out = body(renter, nonce);
        wire::OpenLease *action = out.mutable_open_lease();
        action->set_price_per_ghz_h(price);
        action->set_duration_ms(60'000);
        action->set_expires_at_ms(now_ms + 60'000 + 120'000);
        for (const unsigned provider : providers) {
            wire::LeaseLeg *leg = action->add_legs();
            leg->set_provider(to_bytes(keys[provider].public_key()));
            leg->set_slot_count(2);
            leg->set_hz_max(2'000'000'000);
            leg->set_cycles_max(incentive::cycles_bound(2, 2'000'000'000, 60'000));
            set_money(*leg, price);
        }
        return out;
    }

    void set_money(wire::LeaseLeg &leg, std::int64_t price) const {
        const Amount escrow = *incentive::escrow(Amount{price}, leg.cycles_max());
        leg.set_escrow(escrow.units);
        // Of a provider without reputation: never too little.
        leg.set_collateral(
            incentive::collateral({Amount{price}, leg.slot_count(), leg.hz_max(), leg.cycles_max()},
                                  0, genesis.params)
                ->units);
    }

    wire::SignedTx sign(const wire::TxBody &tx_body, const std::vector<unsigned> &signers) const {
        wire::SignedTx tx;
        tx.set_body(tx_body.SerializeAsString());
        for (const unsigned signer : signers) add_signature(tx, keys[signer]);
        return tx;
    }

    wire::SignedVoucher voucher(unsigned renter, const LeaseId &lease, std::uint32_t leg,
                                std::uint64_t sequence, Cycles cycles,
                                std::int64_t price = 30'000'000) const {
        return sign_voucher(voucher_body(lease, leg, sequence, cycles, price), keys[renter]);
    }

    wire::VoucherBody voucher_body(const LeaseId &lease, std::uint32_t leg, std::uint64_t sequence,
                                   Cycles cycles, std::int64_t price = 30'000'000) const {
        wire::VoucherBody out;
        out.set_lease_id(to_bytes(lease));
        out.set_leg(leg);
        out.set_sequence(sequence);
        out.set_cycles(cycles);
        out.set_waited_cycles(cycles / 3);
        out.set_amount(incentive::payment(Amount{price}, cycles)->units);
        out.set_meter_class(wire::METER_CLASS_HW);
        return out;
    }

    wire::TxBody claim(unsigned sender, std::uint64_t nonce,
                       const wire::SignedVoucher &signed_voucher) const {
        wire::TxBody out = body(sender, nonce);
        *out.mutable_claim_voucher()->mutable_voucher() = signed_voucher;
        return out;
    }

    wire::TxBody close(unsigned sender, std::uint64_t nonce, const LeaseId &lease,
                       const std::vector<wire::SignedVoucher> &vouchers = {}) const {
        wire::TxBody out = body(sender, nonce);
        out.mutable_close_lease()->set_lease_id(to_bytes(lease));
        for (const auto &one : vouchers) *out.mutable_close_lease()->add_vouchers() = one;
        return out;
    }

    wire::TxBody expire(unsigned sender, std::uint64_t nonce, const LeaseId &lease) const {
        wire::TxBody out = body(sender, nonce);
        out.mutable_expire_lease()->set_lease_id(to_bytes(lease));
        return out;
    }

    Tx decode(const wire::SignedTx &tx) const {
        auto decoded = decode_tx(tx.SerializeAsString(), genesis.chain_id);
        if (!decoded.ok()) ADD_FAILURE() << decoded.error().message;
        CHAIN_CHECK(decoded.ok());
        return *decoded;
    }

    std::unique_ptr<Chain> open_chain(std::unique_ptr<KeyValueStore> store) const {
        auto chain = Chain::open(std::move(store), genesis);
        if (!chain.ok()) ADD_FAILURE() << chain.error().message;
        CHAIN_CHECK(chain.ok());
        return std::move(chain).value();
    }

    consensus::SoloSealer sealer() const { return consensus::SoloSealer(numbered_key(999)); }

    KeyPair sealer_key;
    std::vector<KeyPair> keys;
    Genesis genesis;
};

}  // namespace chain::ledger
