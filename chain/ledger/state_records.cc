// SPDX-License-Identifier: BSD-3-Clause
//
// The records of the state: values to bytes and back (chain/ledger/state.proto).
#include "chain/ledger/state.h"
#include "chain/ledger/state.pb.h"

namespace chain::ledger {
namespace {

// The same bytes for the same values: fields go out in the order of their numbers, and no record
// has a map, the one kind of field whose order is left open (tests pin the bytes).
template <class Message>
Bytes serialise(const Message &message) {
    return message.SerializeAsString();
}

Error corrupt_record(std::string_view what) {
    return make_error(ErrorCode::kCorrupt, "the ledger's store holds a damaged ", what);
}

record::LegRecord to_record(const Leg &leg) {
    record::LegRecord out;
    out.set_provider(to_bytes(leg.provider));
    out.set_slot_count(leg.slot_count);
    out.set_hz_max(leg.hz_max);
    out.set_cycles_max(leg.cycles_max);
    out.set_escrow(leg.escrow.units);
    out.set_collateral(leg.collateral.units);
    out.set_state(static_cast<std::uint32_t>(leg.state));
    out.set_closes_at_ms(leg.closes_at_ms);
    out.set_voucher_sequence(leg.voucher_sequence);
    out.set_cycles(leg.cycles);
    out.set_waited_cycles(leg.waited_cycles);
    out.set_meter_class(static_cast<std::uint32_t>(leg.meter_class));
    out.set_payment(leg.payment.units);
    out.set_burned(leg.burned.units);
    out.set_started(leg.started);
    out.set_has_final_voucher(leg.has_final_voucher);
    out.set_accused(leg.accused);
    out.set_voided(leg.voided);
    out.set_reclaimed_at_ms(leg.reclaimed_at_ms);
    out.set_end(static_cast<std::uint32_t>(leg.end));
    out.set_forfeit(leg.forfeit.units);
    out.set_settled_at_ms(leg.settled_at_ms);
    out.set_rated(leg.rated);
    out.set_penalty(leg.penalty.units);
    out.set_free(leg.free);
    out.set_released(leg.released);
    return out;
}

Result<Leg> from_record(const record::LegRecord &in) {
    Leg leg;
    const auto provider = to_bytes32(in.provider(), "provider");
    if (!provider.ok() || in.state() > static_cast<std::uint32_t>(LegState::kSettled) ||
        in.end() >= incentive::kLegEndCount ||
        !wire::MeterClass_IsValid(static_cast<int>(in.meter_class())))
        return corrupt_record("leg of a lease");
    leg.provider = *provider;
    leg.slot_count = in.slot_count();
    leg.hz_max = in.hz_max();
    leg.cycles_max = in.cycles_max();
    leg.state = static_cast<LegState>(in.state());
    leg.closes_at_ms = in.closes_at_ms();
    leg.voucher_sequence = in.voucher_sequence();
    leg.cycles = in.cycles();
    leg.waited_cycles = in.waited_cycles();
    leg.meter_class = static_cast<wire::MeterClass>(in.meter_class());
    CHAIN_ASSIGN(leg.escrow, amount_from_units(in.escrow()));
    CHAIN_ASSIGN(leg.collateral, amount_from_units(in.collateral()));
    CHAIN_ASSIGN(leg.payment, amount_from_units(in.payment()));
    CHAIN_ASSIGN(leg.burned, amount_from_units(in.burned()));
    CHAIN_ASSIGN(leg.forfeit, amount_from_units(in.forfeit()));
    CHAIN_ASSIGN(leg.penalty, amount_from_units(in.penalty()));
    leg.started = in.started();
    leg.has_final_voucher = in.has_final_voucher();
    leg.accused = in.accused();
    leg.voided = in.voided();
    leg.reclaimed_at_ms = in.reclaimed_at_ms();
    leg.end = static_cast<LegEnd>(in.end());
    leg.settled_at_ms = in.settled_at_ms();
    leg.rated = in.rated();
    leg.free = in.free();
    leg.released = in.released();
    return leg;
}

template <class Message>
bool parse(std::string_view bytes, Message &message) {
    return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

Bytes encode_account(const Account &account) {
    record::AccountRecord out;
    out.set_balance(account.balance.units);
    out.set_nonce(account.nonce);
    out.set_escrow(account.escrow.units);
    out.set_collateral(account.collateral.units);
    out.set_resource_count(account.resource_count);
    out.set_staked(account.staked.units);
    out.set_unbonding(account.unbonding.units);
    out.set_unbonds_at_ms(account.unbonds_at_ms);
    return serialise(out);
}

Result<Account> decode_account(std::string_view bytes) {
    record::AccountRecord in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return corrupt_record("account");
    Account account;
    CHAIN_ASSIGN(account.balance, amount_from_units(in.balance()));
    CHAIN_ASSIGN(account.escrow, amount_from_units(in.escrow()));
    CHAIN_ASSIGN(account.collateral, amount_from_units(in.collateral()));
    CHAIN_ASSIGN(account.staked, amount_from_units(in.staked()));
    CHAIN_ASSIGN(account.unbonding, amount_from_units(in.unbonding()));
    account.unbonds_at_ms = in.unbonds_at_ms();
    account.nonce = in.nonce();
    account.resource_count = in.resource_count();
    return account;
}

Bytes encode_lease(const Lease &lease) {
    record::LeaseRecord out;
    out.set_renter(to_bytes(lease.renter));
    out.set_price_per_ghz_h(lease.price_per_ghz_h.units);
    out.set_opened_at_ms(lease.opened_at_ms);
    out.set_duration_ms(lease.duration_ms);
    out.set_expires_at_ms(lease.expires_at_ms);
    out.set_ended_at_ms(lease.ended_at_ms);
    out.set_starts_at_ms(lease.starts_at_ms);
    for (const Leg &leg : lease.legs) *out.add_legs() = to_record(leg);
    return serialise(out);
}

Result<Lease> decode_lease(const LeaseId &id, std::string_view bytes) {
    record::LeaseRecord in;
    if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return corrupt_record("lease");
    Lease lease;
    lease.id = id;
    const auto renter = to_bytes32(in.renter(), "renter");
    if (!renter.ok()) return corrupt_record("lease");
    lease.renter = *renter;
    CHAIN_ASSIGN(lease.price_per_ghz_h, amount_from_units(in.price_per_ghz_h()));
    lease.opened_at_ms = in.opened_at_ms();
    lease.duration_ms = in.duration_ms();
    lease.expires_at_ms = in.expires_at_ms();
    lease.ended_at_ms = in.ended_at_ms();
    lease.starts_at_ms = in.starts_at_ms();
    for (const auto &leg_record : in.legs()) {
        CHAIN_ASSIGN(Leg leg, from_record(leg_record));
        lease.legs.push_back(leg);
    }
    return lease;
}

Bytes encode_resource(const Resource &resource) {
    record::ResourceRecord out;
    out.set_host(resource.host);
    out.set_slot_count(resource.slot_count);
    out.set_hz(resource.hz);
    out.set_memory_bytes(resource.memory_bytes);
    return serialise(out);
}

Result<Resource> decode_resource(const PublicKey &node_key, std::string_view bytes) {
    record::ResourceRecord in;
    if (!parse(bytes, in)) return corrupt_record("resource");
    Resource resource;
    resource.node_key = node_key;
    resource.host = in.host();
    resource.slot_count = in.slot_count();
    resource.hz = in.hz();
    resource.memory_bytes = in.memory_bytes();
    return resource;
}

Bytes encode_reputation(const incentive::Reputation &reputation) {
    record::ReputationRecord out;
    out.set_shares(reputation.shares);
    out.set_burned_as_provider(reputation.burned_as_provider.units);
    out.set_burned_as_renter(reputation.burned_as_renter.units);
    out.set_done(reputation.done.units);
    out.set_failed(reputation.failed.units);
    out.set_on_time(reputation.on_time.units);
    out.set_late(reputation.late.units);
    out.set_audit_score(reputation.audit_score);
    out.set_satisfied(reputation.satisfied.units);
    out.set_dissatisfied(reputation.dissatisfied.units);
    out.set_step(reputation.step);
    return serialise(out);
}

Result<incentive::Reputation> decode_reputation(std::string_view bytes) {
    record::ReputationRecord in;
    if (!parse(bytes, in)) return corrupt_record("reputation");
    incentive::Reputation reputation;
    reputation.shares = in.shares();
    CHAIN_ASSIGN(reputation.burned_as_provider, amount_from_units(in.burned_as_provider()));
    CHAIN_ASSIGN(reputation.burned_as_renter, amount_from_units(in.burned_as_renter()));
    CHAIN_ASSIGN(reputation.done, amount_from_units(in.done()));
    CHAIN_ASSIGN(reputation.failed, amount_from_units(in.failed()));
    CHAIN_ASSIGN(reputation.on_time, amount_from_units(in.on_time()));
    CHAIN_ASSIGN(reputation.late, amount_from_units(in.late()));
    reputation.audit_score = in.audit_score();
    CHAIN_ASSIGN(reputation.satisfied, amount_from_units(in.satisfied()));
    CHAIN_ASSIGN(reputation.dissatisfied, amount_from_units(in.dissatisfied()));
    reputation.step = in.step();
    return reputation;
}

Bytes encode_validator(const Validator &validator) {
    record::ValidatorRecord out;
    if (validator.last_vote) out.set_last_vote(serialise(*validator.last_vote));
    out.set_slashed_through_height(validator.slashed_through_height);
    return serialise(out);
}

Result<Validator> decode_validator(std::string_view bytes) {
    record::ValidatorRecord in;
    if (!parse(bytes, in)) return corrupt_record("validator");
    Validator validator;
    validator.slashed_through_height = in.slashed_through_height();
    if (in.last_vote().empty()) return validator;
    wire::SignedVote vote;
    if (!parse(in.last_vote(), vote)) return corrupt_record("vote");
    validator.last_vote = std::move(vote);
    return validator;
}

Bytes encode_payout(const Payout &payout) {
    record::PayoutRecord out;
    out.set_reward(payout.reward.units);
    out.set_cycles(payout.cycles);
    out.set_share_count(payout.share_count);
    out.set_paid_at_ms(payout.paid_at_ms);
    return serialise(out);
}

Result<Payout> decode_payout(std::string_view bytes) {
    record::PayoutRecord in;
    if (!parse(bytes, in)) return corrupt_record("payout");
    Payout payout;
    CHAIN_ASSIGN(payout.reward, amount_from_units(in.reward()));
    payout.cycles = in.cycles();
    payout.share_count = in.share_count();
    payout.paid_at_ms = in.paid_at_ms();
    return payout;
}

Bytes encode_validator_set(const ValidatorSet &set) {
    record::ValidatorSetRecord out;
    for (const ValidatorEntry &entry : set.entries()) {
        auto *one = out.add_entries();
        one->set_account(to_bytes(entry.account));
        one->set_stake(entry.stake.units);
        one->set_quality_q16(entry.quality_q16);
    }
    return serialise(out);
}

Result<ValidatorSet> decode_validator_set(std::string_view bytes) {
    record::ValidatorSetRecord in;
    if (!parse(bytes, in)) return corrupt_record("set of validators");
    std::vector<ValidatorEntry> entries;
    for (const auto &one : in.entries()) {
        ValidatorEntry &entry = entries.emplace_back();
        CHAIN_ASSIGN(entry.account, to_bytes32(one.account(), "validator"));
        CHAIN_ASSIGN(entry.stake, amount_from_units(one.stake()));
        entry.quality_q16 = one.quality_q16();
    }
    return ValidatorSet(std::move(entries));
}

Bytes encode_candidates(const std::vector<PublicKey> &accounts) {
    Bytes joined;
    for (const PublicKey &account : accounts) joined += to_bytes(account);
    record::CandidatesRecord out;
    out.set_accounts(std::move(joined));
    return serialise(out);
}

Result<std::vector<PublicKey>> decode_candidates(std::string_view bytes) {
    record::CandidatesRecord in;
    if (!parse(bytes, in) || in.accounts().size() % sizeof(PublicKey) != 0)
        return corrupt_record("list of candidates");
    std::vector<PublicKey> accounts;
    for (std::string_view left = in.accounts(); !left.empty();
         left.remove_prefix(sizeof(PublicKey))) {
        CHAIN_ASSIGN(accounts.emplace_back(),
                     to_bytes32(left.substr(0, sizeof(PublicKey)), "candidate"));
    }
    return accounts;
}

Bytes encode_sealed(std::uint64_t height) {
    record::SealedRecord out;
    out.set_height(height);
    return serialise(out);
}

Result<std::uint64_t> decode_sealed(std::string_view bytes) {
    record::SealedRecord in;
    if (!parse(bytes, in)) return corrupt_record("height of an account's last block");
    return in.height();
}

Bytes encode_shares(const ShareRecord &shares) {
    record::ShareRecord out;
    out.set_epoch(shares.epoch);
    out.set_count(shares.count);
    out.set_root(to_bytes(shares.root));
    out.set_opened(shares.opened);
    out.set_is_false(shares.is_false);
    return serialise(out);
}

Result<ShareRecord> decode_shares(std::string_view bytes) {
    record::ShareRecord in;
    if (!parse(bytes, in)) return corrupt_record("record of shares");
    ShareRecord shares{
        .epoch = in.epoch(), .count = in.count(), .opened = in.opened(), .is_false = in.is_false()};
    CHAIN_ASSIGN(shares.root, to_bytes32(in.root(), "root of shares"));
    return shares;
}

Bytes encode_pool(const Pool &pool) {
    record::PoolRecord out;
    out.set_reward_left(pool.reward_left.units);
    out.set_burned(pool.burned.units);
    return serialise(out);
}

Result<Pool> decode_pool(std::string_view bytes) {
    record::PoolRecord in;
    if (!parse(bytes, in)) return corrupt_record("pool");
    Pool pool;
    CHAIN_ASSIGN(pool.reward_left, amount_from_units(in.reward_left()));
    CHAIN_ASSIGN(pool.burned, amount_from_units(in.burned()));
    return pool;
}

}  // namespace chain::ledger
