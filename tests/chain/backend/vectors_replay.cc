// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/backend/vectors_replay.h"

#include <algorithm>

#include <google/protobuf/text_format.h>

#include "chain/identity/schnorr.h"
#include "chain/ledger/block.h"
#include "chain/ledger/state.pb.h"

namespace chain::vectors {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Votes stand in the state with their signatures, so these are made without chance.
Bytes signature_of(const KeyPair &key, std::string_view tag, std::string_view bytes) {
    const Bytes64 made = schnorr::sign(key.secret(), tagged_hash(tag, bytes), Bytes32{});
    return {reinterpret_cast<const char *>(made.data()), made.size()};
}

class Replay {
public:
    Replay(const Vector &vector, Subject &subject) : vector_(vector), subject_(subject) {}
    Outcome run();

private:
    void play(const Step &step);
    wire::SignedTx make_tx(const Step &step);
    void resolve(Message &message) const;
    void resolve_bytes(Message &message, const FieldDescriptor &field) const;
    void sign(Message &message) const;
    void check(const Step &step);
    void check_leases(const Step &step);
    void compare(const Step &step, const std::string &what, const Fields &expected,
                 const Message &found);
    void say(const Step &step, const std::string &what) {
        outcome_.wrong.push_back("step " + step.name + ": " + what);
    }
    const KeyPair &key(const std::string &name) const { return vector_.accounts.at(name); }

    const Vector &vector_;
    Subject &subject_;
    std::map<std::string, ledger::LeaseId> leases_;  // by opening step
    Outcome outcome_;
};

template <class Record>
Record record_of(const Bytes &bytes) {
    Record record;
    CHAIN_CHECK(record.ParseFromString(bytes));
    return record;
}

ledger::record::AccountRecord account_record(const Backend &backend, const PublicKey &who) {
    const auto account = backend.account(who);
    CHAIN_CHECK(account.ok());
    return record_of<ledger::record::AccountRecord>(ledger::encode_account(*account));
}

// Times since the genesis; 0 is no time.
std::string text_of(const Message &record, const FieldDescriptor &field, std::uint64_t genesis_ms) {
    if (field.name().ends_with("_at_ms")) {
        const std::uint64_t at_ms = record.GetReflection()->GetUInt64(record, &field);
        return std::to_string(at_ms == 0 ? 0 : at_ms - genesis_ms);
    }
    std::string text;
    google::protobuf::TextFormat::PrintFieldValueToString(record, &field, -1, &text);
    if (record.GetDescriptor()->name() != "LegRecord") return text;
    const auto &leg = static_cast<const ledger::record::LegRecord &>(record);
    if (field.name() == "end")
        return std::string(ledger::leg_end_name(static_cast<ledger::LegEnd>(leg.end())));
    if (field.name() != "state") return text;
    switch (static_cast<ledger::LegState>(leg.state())) {
        case ledger::LegState::kOpen: return "open";
        case ledger::LegState::kClosing: return "closing";
        case ledger::LegState::kSettled: return "settled";
    }
    CHAIN_CHECK(false);
}

// ---- names to keys, ids and hashes

void Replay::resolve_bytes(Message &message, const FieldDescriptor &field) const {
    const google::protobuf::Reflection &as = *message.GetReflection();
    const std::string name = as.GetString(message, &field);
    const std::string &what = field.name();
    Bytes value;
    if (what == "chain_id")
        value = to_bytes(vector_.genesis.chain_id);
    else if (name.empty())
        return;
    else if (what == "lease_id")
        value = to_bytes(leases_.at(name));
    else if (what == "provider" || what == "to" || what == "account" || what == "validator" ||
             what == "node_key" || what == "replaces")
        value = to_bytes(key_of_name(name).public_key());
    else
        value = to_bytes(hash_of_name(name));
    as.SetString(&message, &field, std::move(value));
}

void Replay::resolve(Message &message) const {
    const google::protobuf::Reflection &as = *message.GetReflection();
    const google::protobuf::Descriptor &type = *message.GetDescriptor();
    if (type.name() == "SignedVoucher" || type.name() == "SignedVote") return sign(message);
    for (int i = 0; i < type.field_count(); ++i) {
        const FieldDescriptor &field = *type.field(i);
        if (field.type() == FieldDescriptor::TYPE_BYTES) resolve_bytes(message, field);
        if (field.type() != FieldDescriptor::TYPE_MESSAGE) continue;
        if (!field.is_repeated()) {
            if (as.HasField(message, &field)) resolve(*as.MutableMessage(&message, &field));
            continue;
        }
        for (int j = 0; j < as.FieldSize(message, &field); ++j)
            resolve(*as.MutableRepeatedMessage(&message, &field, j));
    }
}

void Replay::sign(Message &message) const {
    const auto finish = [&](auto &signed_message, auto body, std::string_view tag) {
        CHAIN_CHECK(body.ParseFromString(signed_message.body()));
        resolve(body);
        signed_message.set_body(body.SerializeAsString());
        signed_message.set_signature(
            signature_of(key(signed_message.signature()), tag, signed_message.body()));
    };
    if (auto *voucher = dynamic_cast<wire::SignedVoucher *>(&message))
        finish(*voucher, wire::VoucherBody(), sign_tag::kVoucher);
    else
        finish(dynamic_cast<wire::SignedVote &>(message), wire::VoteBody(), sign_tag::kVote);
}

wire::SignedTx Replay::make_tx(const Step &step) {
    wire::TxBody body = step.body;
    std::vector<std::string> signers{step.by};
    for (const wire::LeaseLeg &leg : body.open_lease().legs())
        if (std::find(signers.begin(), signers.end(), leg.provider()) == signers.end())
            signers.push_back(leg.provider());
    const PublicKey sender = key(step.by).public_key();
    resolve(body);
    body.set_sender(to_bytes(sender));
    const auto nonce = subject_.backend().next_nonce(sender);
    CHAIN_CHECK(nonce.ok());
    body.set_nonce(*nonce);
    if (body.has_open_lease()) {
        wire::OpenLease &lease = *body.mutable_open_lease();
        lease.set_expires_at_ms(vector_.genesis.time_ms + lease.expires_at_ms());
        if (lease.starts_at_ms() > 0)
            lease.set_starts_at_ms(vector_.genesis.time_ms + lease.starts_at_ms());
    }
    wire::SignedTx tx;
    tx.set_body(body.SerializeAsString());
    for (const std::string &signer : signers) ledger::add_signature(tx, key(signer));
    if (body.has_open_lease()) leases_[step.name] = ledger::tx_id(tx.body());
    return tx;
}

// ---- what came of it

void Replay::compare(const Step &step, const std::string &what, const Fields &expected,
                     const Message &found) {
    for (const auto &[name, value] : expected) {
        const std::string there =
            text_of(found, *found.GetDescriptor()->FindFieldByName(name), vector_.genesis.time_ms);
        if (there != value) say(step, what + "." + name + " is " + there + ", not " + value);
    }
}

void Replay::check_leases(const Step &step) {
    for (const auto &[name, legs] : step.check.leases) {
        const auto lease = subject_.backend().lease(leases_.at(name));
        if (!lease.ok()) {
            say(step, "there is no lease " + name);
            continue;
        }
        const auto record = record_of<ledger::record::LeaseRecord>(ledger::encode_lease(*lease));
        if (legs.size() != lease->legs.size()) say(step, "lease " + name + " has other legs");
        for (int i = 0; i < record.legs_size() && i < static_cast<int>(legs.size()); ++i)
            compare(step, name + "[" + std::to_string(i) + "]", legs[static_cast<std::size_t>(i)],
                    record.legs(i));
    }
}

void Replay::check(const Step &step) {
    const Backend &backend = subject_.backend();
    for (const auto &[name, fields] : step.check.accounts) {
        const PublicKey who = key(name).public_key();
        const auto record = account_record(backend, who);
        compare(step, name, fields, record);
        const auto locked = backend.locked(who);
        if (!locked.ok() || locked->escrow.units != record.escrow() ||
            locked->collateral.units != record.collateral())
            say(step, name + ": the back end contradicts itself about what is locked");
    }
    for (const auto &[name, fields] : step.check.reputations) {
        const auto known = backend.reputation(key(name).public_key());
        CHAIN_CHECK(known.ok());
        compare(step, "reputation of " + name, fields,
                record_of<ledger::record::ReputationRecord>(ledger::encode_reputation(*known)));
    }
    check_leases(step);
    const ledger::Totals totals = subject_.totals();
    const auto total = [&](const char *name, Amount there) {
        const auto expected = step.check.totals.find(name);
        if (expected != step.check.totals.end() && std::to_string(there.units) != expected->second)
            say(step, std::string(name) + " is " + std::to_string(there.units) + ", not " +
                          expected->second);
    };
    total("burned", totals.burned);
    total("pool", totals.pool);
    if (const Status sum = ledger::check_conservation(totals); !sum.ok())
        say(step, sum.error().message);
}

void Replay::play(const Step &step) {
    const std::uint64_t height = subject_.backend().height();
    const auto played = subject_.play(make_tx(step), vector_.genesis.time_ms + step.at_ms);
    const std::string expected =
        step.is_refused ? std::string(error_traits(step.error).name) : "ok";
    const std::string found =
        played.ok() ? "ok" : std::string(error_traits(played.error().code).name);
    if (found != expected)
        say(step,
            found + " instead of " + expected + (played.ok() ? "" : ": " + played.error().message));
    if (played.ok() && subject_.backend().outcome(*played).status != TxStatus::kFinal)
        say(step, "is not final");
    if (subject_.backend().height() != height + (played.ok() ? 1 : 0))
        say(step, "is not a block of its own");
    check(step);
}

Outcome Replay::run() {
    for (const Step &step : vector_.steps) play(step);
    for (const auto &[name, key] : vector_.accounts)
        outcome_.accounts[name] =
            account_record(subject_.backend(), key.public_key()).ShortDebugString();
    outcome_.state_digest = subject_.state_digest();
    return std::move(outcome_);
}

}  // namespace

Outcome replay(const Vector &vector, Subject &subject) {
    return Replay(vector, subject).run();
}

}  // namespace chain::vectors
