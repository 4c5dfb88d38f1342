// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/world.h"

#include "incentive/settlement.h"

namespace chain::fuzz {
namespace {

constexpr std::int64_t kStartUnits = 1'000'000'000'000;
constexpr std::int64_t kPrice = 30'000'000;

// Tags by which signed parts of transactions are signed; others are signed as transactions are.
std::string_view tag_of(std::string_view type) {
    if (type == "SignedVoucher") return sign_tag::kVoucher;
    if (type == "SignedOffer") return sign_tag::kOffer;
    return sign_tag::kTx;
}

// The exact sums, which no random number hits.
void make_plausible(wire::OpenLease &action, const incentive::Params &params,
                    std::uint64_t now_ms) {
    action.set_price_per_ghz_h(action.price_per_ghz_h() & 0xffffffff);
    action.set_duration_ms(1 + action.duration_ms() % params.lease_duration_max_ms);
    std::uint64_t earliest_ms = now_ms + action.duration_ms();
    if (action.starts_at_ms() > 0) {
        action.set_starts_at_ms(now_ms + 1 +
                                action.starts_at_ms() % params.reservation_ahead_max_ms);
        earliest_ms = action.starts_at_ms() + action.duration_ms();
    }
    action.set_expires_at_ms(earliest_ms + action.expires_at_ms() % params.settle_grace_ms);
    action.clear_manifest_hash();
    for (auto &leg : *action.mutable_legs()) {
        leg.set_slot_count(1 + leg.slot_count() % 8);
        leg.set_hz_max(1 + leg.hz_max() % 4'000'000'000);
        const Cycles bound =
            incentive::cycles_bound(leg.slot_count(), leg.hz_max(), action.duration_ms());
        leg.set_cycles_max(1 + leg.cycles_max() % std::max<Cycles>(bound, 1));
        leg.clear_offer_id();
        leg.set_escrow(0);
        leg.set_collateral(0);
        if (leg.free()) continue;
        const auto escrow = incentive::escrow(Amount{action.price_per_ghz_h()}, leg.cycles_max());
        if (!escrow.ok()) continue;
        leg.set_escrow(escrow->units);
        // A newcomer's: enough whoever the provider is.
        const auto collateral = incentive::collateral(
            {Amount{action.price_per_ghz_h()}, leg.slot_count(), leg.hz_max(), leg.cycles_max()}, 0,
            params);
        if (collateral.ok()) leg.set_collateral(collateral->units);
    }
}

void make_plausible(wire::VoucherBody &voucher, const ledger::StateReader &state) {
    const auto id = to_bytes32(voucher.lease_id(), "lease id");
    if (!id.ok()) return;
    const auto lease = state.lease(*id);
    if (!lease.ok() || lease->legs.empty()) return;
    voucher.set_leg(voucher.leg() % static_cast<std::uint32_t>(lease->legs.size()));
    const ledger::Leg &leg = lease->legs[voucher.leg()];
    voucher.set_cycles(voucher.cycles() % (leg.cycles_max + 1));
    voucher.set_waited_cycles(voucher.waited_cycles() % (voucher.cycles() + 1));
    const auto due = incentive::payment(lease->price_of(leg), voucher.cycles());
    if (due.ok()) voucher.set_amount(due->units);
    if (voucher.meter_class() == wire::METER_CLASS_UNSPECIFIED)
        voucher.set_meter_class(wire::METER_CLASS_HW);
}

WriteBatch batch_of(const ledger::Changes &changes) {
    WriteBatch batch;
    ledger::put_changes(changes, batch);
    return batch;
}

wire::TxBody empty_body(const World &world, unsigned sender, std::uint64_t nonce) {
    wire::TxBody body;
    body.set_chain_id(to_bytes(world.genesis.chain_id));
    body.set_sender(to_bytes(world.keys[sender].public_key()));
    body.set_nonce(nonce);
    return body;
}

wire::TxBody open_lease(const World &world, unsigned renter, std::vector<unsigned> providers) {
    wire::TxBody body = empty_body(world, renter, 0);
    wire::OpenLease &action = *body.mutable_open_lease();
    action.set_price_per_ghz_h(kPrice);
    action.set_duration_ms(60'000);
    for (const unsigned provider : providers) {
        wire::LeaseLeg *leg = action.add_legs();
        leg->set_provider(to_bytes(world.keys[provider].public_key()));
        leg->set_slot_count(1);
        leg->set_hz_max(2'000'000'000);
        leg->set_cycles_max(100'000'000'000);
    }
    make_plausible(action, world.genesis.params, kGenesisTimeMs + 1'000);
    return body;
}

// The state is the same bytes on every node: a record has one encoding.
bool is_same_when_rewritten(std::string_view key, std::string_view value) {
    const auto same = [&](const auto &decoded, const auto &encode) {
        return decoded.ok() && encode(*decoded) == value;
    };
    const std::string_view rest = key.substr(2);
    if (key.starts_with("sa")) return same(ledger::decode_account(value), ledger::encode_account);
    if (key.starts_with("sl"))
        return same(ledger::decode_lease(to_bytes32(rest, "lease id").value(), value),
                    ledger::encode_lease);
    if (key.starts_with(ledger::pool_key()))
        return same(ledger::decode_pool(value), ledger::encode_pool);
    return true;
}

}  // namespace

// Not one of those that other tests make from numbers: their corpora stay apart.
KeyPair numbered_key(unsigned number) {
    Bytes32 secret{};
    secret[0] = 2;
    secret[31] = static_cast<std::uint8_t>(number + 1);
    return std::move(KeyPair::from_secret(secret)).value();
}

const World &World::get() {
    static const World *const world = new World;
    return *world;
}

World::World() {
    ledger::Genesis made;
    made.chain_name = "fuzz";
    made.time_ms = kGenesisTimeMs;
    made.params.fee_per_byte_units = 3;
    made.params.reward_pool_units = 1'000'000'000'000;
    KeyPair sealer_key = numbered_key(kSealer);
    made.sealer = sealer_key.public_key();
    sealer.emplace(std::move(sealer_key));
    for (unsigned i = 0; i < kAccounts; ++i) {
        keys.push_back(numbered_key(i));
        made.allocations.emplace_back(keys.back().public_key(), Amount{kStartUnits});
    }
    genesis = std::move(ledger::parse_genesis(ledger::format_genesis(made))).value();

    std::vector<wire::TxBody> bodies{open_lease(*this, 0, {1, 2}), open_lease(*this, 1, {2, 3})};
    for (const wire::TxBody &body : bodies)
        leases.push_back(ledger::tx_id(body.SerializeAsString()));
    bodies.push_back(empty_body(*this, 1, 1));
    bodies.back().mutable_close_lease()->set_lease_id(to_bytes(leases[1]));
    bodies.push_back(empty_body(*this, 3, 0));
    wire::PublishResource &resource = *bodies.back().mutable_publish_resource();
    resource.set_node_key(Bytes(32, 'n'));
    resource.set_host("node-1");
    resource.set_slot_count(4);
    resource.set_hz(2'000'000'000);
    std::vector<ledger::Tx> txs;
    for (const wire::TxBody &body : bodies) {
        auto tx = sign_and_decode(body);
        CHAIN_CHECK(tx.ok());
        txs.push_back(std::move(tx).value());
    }
    const auto chain = std::move(ledger::Chain::open(make_memory_store(), genesis)).value();
    const auto block = sealer->seal(*chain, txs, kGenesisTimeMs + 1'000);
    CHAIN_CHECK(block.ok() && chain->apply(*block).ok());
    first_block_bytes_ = block->signed_bytes;

    store_ = make_memory_store();
    reader_.emplace(*store_);
    const auto begun = ledger::execute_genesis(genesis);
    CHAIN_CHECK(begun.ok());
    write(begun->changes);
    const auto first = ledger::execute(*reader_, begun->tip, genesis,
                                       {kGenesisTimeMs + 1'000, genesis.sealer, {}}, txs, nullptr);
    CHAIN_CHECK(first.ok() && first->tip.digest == chain->tip().digest);
    write(first->changes);
    tip_ = first->tip;
}

void World::write(const ledger::Changes &changes) {
    CHAIN_CHECK(store_->write(batch_of(changes), false).ok());
}

void World::check_recount(const ledger::Changes &changes, const ledger::Tip &tip) const {
    const auto whole = make_memory_store();
    WriteBatch batch;
    const Status copied =
        store_->scan(ledger::kStatePrefix, [&](std::string_view key, std::string_view value) {
            batch.put(Bytes(key), Bytes(value));
            return true;
        });
    CHAIN_CHECK(copied.ok() && whole->write(batch, false).ok());
    CHAIN_CHECK(whole->write(batch_of(changes), false).ok());
    auto counted = ledger::recount(*whole);
    CHAIN_CHECK(counted.ok());
    counted->totals.minted = tip.totals.minted;
    CHAIN_CHECK(counted->totals == tip.totals);
    CHAIN_CHECK(counted->digest == tip.digest);
}

std::unique_ptr<ledger::Chain> World::make_chain() const {
    auto chain = ledger::Chain::open(make_memory_store(), genesis);
    CHAIN_CHECK(chain.ok());
    const auto block = ledger::decode_block(first_block_bytes_, genesis);
    CHAIN_CHECK(block.ok() && (*chain)->apply(*block).ok());
    return std::move(chain).value();
}

const KeyPair *World::key_of(std::string_view public_key) const {
    for (const KeyPair &key : keys)
        if (to_bytes(key.public_key()) == public_key) return &key;
    return nullptr;
}

Hints World::hints(const ledger::StateReader &state, std::uint64_t now_ms) const {
    Hints hints;
    hints.now_ms = now_ms;
    for (const KeyPair &key : keys) hints.names.push_back(to_bytes(key.public_key()));
    for (const auto &id : leases) hints.names.push_back(to_bytes(id));
    hints.names.push_back(Bytes(32, 'n'));
    hints.repair = [this, &state](google::protobuf::Message &body, const Hints &current) {
        if (auto *voucher = dynamic_cast<wire::VoucherBody *>(&body))
            make_plausible(*voucher, state);
        if (auto *tx = dynamic_cast<wire::TxBody *>(&body); tx != nullptr && tx->has_open_lease())
            make_plausible(*tx->mutable_open_lease(), genesis.params, current.now_ms);
    };
    hints.sign = [this](std::string_view type, std::string_view body_bytes, Choices &choices) {
        return to_bytes(keys[choices.below(kAccounts)].sign(tag_of(type), body_bytes));
    };
    return hints;
}

wire::TxBody World::pick_body(Choices &choices, const ledger::StateReader &state,
                              const Hints &its_hints) const {
    const KeyPair &sender = keys[choices.below(kAccounts)];
    wire::TxBody body;
    // Fields that all transactions share come after: filled at random, nothing would be applied.
    fill(body, choices, its_hints);
    body.set_sender(to_bytes(sender.public_key()));
    if (!choices.one_in(32)) body.set_chain_id(to_bytes(genesis.chain_id));
    if (!choices.one_in(16)) {
        const auto account = state.account(sender.public_key());
        CHAIN_CHECK(account.ok());
        body.set_nonce(account->nonce);
    }
    if (!choices.one_in(8)) its_hints.repair(body, its_hints);
    return body;
}

wire::SignedTx World::sign(const Bytes &body_bytes, const wire::TxBody &body) const {
    wire::SignedTx tx;
    tx.set_body(body_bytes);
    if (const KeyPair *sender = key_of(body.sender())) ledger::add_signature(tx, *sender);
    for (const KeyPair &key : keys) {
        const Bytes name = to_bytes(key.public_key());
        if (name != body.sender() && body_bytes.find(name) != Bytes::npos)
            ledger::add_signature(tx, key);
    }
    return tx;
}

Result<ledger::Tx> World::sign_and_decode(const wire::TxBody &body) const {
    const Bytes body_bytes = body.SerializePartialAsString();
    wire::SignedTx everybody = sign(body_bytes, body);
    if (everybody.signatures_size() > 1) {
        auto tx = ledger::decode_tx(everybody.SerializePartialAsString(), genesis.chain_id);
        if (tx.ok()) return tx;
        everybody.mutable_signatures()->DeleteSubrange(1, everybody.signatures_size() - 1);
    }
    return ledger::decode_tx(everybody.SerializePartialAsString(), genesis.chain_id);
}

bool is_refusal(const Error &error) {
    return is_one_of(error, {ErrorCode::kConflict, ErrorCode::kInsufficientFunds,
                             ErrorCode::kNotFound, ErrorCode::kInvalidInput, ErrorCode::kPermission,
                             ErrorCode::kBadSignature, ErrorCode::kTooLarge, ErrorCode::kProtocol});
}

void check_decoded(const Result<ledger::Tx> &tx, std::string_view signed_bytes,
                   const Bytes32 &chain_id) {
    if (!tx.ok()) {
        CHAIN_CHECK(is_one_of(tx.error(), {ErrorCode::kTooLarge, ErrorCode::kProtocol,
                                           ErrorCode::kBadSignature, ErrorCode::kInvalidInput}));
        return;
    }
    CHAIN_CHECK(tx->signed_bytes == signed_bytes);
    const auto again = ledger::decode_tx(tx->signed_bytes, chain_id);
    CHAIN_CHECK(again.ok() && again->id == tx->id && again->signers == tx->signers);
    // Not every right encoding is the one that is written here, but they mean the same.
    const Bytes written = tx->body.SerializeAsString();
    wire::TxBody read;
    CHAIN_CHECK(read.ParseFromString(written) && read.SerializeAsString() == written);
    CHAIN_CHECK(again->body.SerializeAsString() == written);
}

Status apply_checked(ledger::Overlay &state, ledger::Tip &tip, const ledger::Tx &tx,
                     const ledger::TxContext &context) {
    ledger::Overlay attempt(state.as_reader());
    const Status applied = ledger::apply_tx(attempt, tx, context);
    if (!applied.ok()) {
        CHAIN_CHECK(attempt.changes().empty());
        CHAIN_CHECK(is_refusal(applied.error()));
        return applied;
    }
    const ledger::Changes changes = attempt.changes();
    // Slower than applying it: after some, by their ids.
    if (tx.id[0] % 4 == 0)
        for (const auto &[key, value] : changes)
            if (value) CHAIN_CHECK(is_same_when_rewritten(key, *value));
    const auto old_values = ledger::values_under(state, changes);
    CHAIN_CHECK(old_values.ok());
    const Status accounted = ledger::account_for(changes, *old_values, tip.digest, tip.totals);
    CHAIN_CHECK(accounted.ok());
    CHAIN_CHECK(ledger::check_conservation(tip.totals).ok());
    for (const auto &[key, value] : changes) state.put(key, value);
    return ok_status();
}

}  // namespace chain::fuzz
