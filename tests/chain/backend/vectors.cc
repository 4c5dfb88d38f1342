// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/backend/vectors.h"

#include <algorithm>
#include <limits>
#include <set>

#include <google/protobuf/message.h>
#include <nlohmann/json.hpp>

#include "chain/ledger/state.pb.h"

namespace chain::vectors {
namespace {

using Json = nlohmann::json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::string_view kKeyTag = "ompi-chain/vector-key";
constexpr std::string_view kHashTag = "ompi-chain/vector-hash";
constexpr std::int64_t kNumberMax = std::numeric_limits<std::int64_t>::max();

Error wrong(std::string_view where, std::string_view what) {
    return make_error(ErrorCode::kInvalidInput, "vector: ", where, ": ", what);
}

std::string under(std::string_view where, std::string_view field) {
    return std::string(where) + "." + std::string(field.substr(0, kNameBytesMax * 2));
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kNameBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
           });
}

// Exactly the fields of `needed`, and any of `allowed`.
Status check_fields(const Json &json, std::string_view where,
                    const std::set<std::string_view> &needed,
                    const std::set<std::string_view> &allowed) {
    if (!json.is_object()) return wrong(where, "is no object");
    for (const std::string_view field : needed)
        if (!json.contains(field)) return wrong(under(where, field), "is missing");
    for (const auto &[field, value] : json.items())
        if (!needed.contains(field) && !allowed.contains(field))
            return wrong(under(where, field), "is no field that is known here");
    return ok_status();
}

Result<std::string> read_text(const Json &json, std::string_view where) {
    if (!json.is_string()) return wrong(where, "is no text");
    return json.get<std::string>();
}

Result<std::string> read_name(const Json &json, std::string_view where) {
    CHAIN_ASSIGN(std::string text, read_text(json, where));
    if (!is_name(text))
        return wrong(where, "is no name: 1 to 32 small letters, digits and hyphens");
    return text;
}

Result<std::uint64_t> read_whole(const Json &json, std::string_view where, std::uint64_t most) {
    if (!json.is_number_unsigned()) return wrong(where, "is no whole number from 0 on");
    if (json.get<std::uint64_t>() > most) return wrong(where, "is too large");
    return json.get<std::uint64_t>();
}

// ---- messages

// What a field of `bytes` holds in a vector.
enum class Naming { kAccount, kStep, kOther };

Naming naming_of(const FieldDescriptor &field) {
    const std::string &name = field.name();
    if (name == "provider" || name == "to" || name == "account" || name == "validator")
        return Naming::kAccount;
    return name == "lease_id" ? Naming::kStep : Naming::kOther;
}

// What a vector leaves out where the protocol's default says it: lists, flags, choices, and these.
bool may_be_left_out(const FieldDescriptor &field) {
    static const std::set<std::string_view> kOptional = {"offer_id", "manifest_hash", "replaces",
                                                         "starts_at_ms"};
    return field.is_repeated() || field.type() == FieldDescriptor::TYPE_BOOL ||
           field.type() == FieldDescriptor::TYPE_ENUM || kOptional.contains(field.name());
}

class Reader {
public:
    Status read(const Json &json);
    Vector take() { return std::move(vector_); }

private:
    Status read_genesis(const Json &json);
    Status read_step(const Json &json, std::string_view where);
    Status read_action(const Json &json, std::string_view where, Step &step);
    Status read_expected(const Json &json, std::string_view where, Step &step);
    Status read_message(const Json &json, std::string_view where, Message &message);
    Status read_signed(const Json &json, std::string_view where, Message &signed_message);
    Status read_value(const Json &json, std::string_view where, const FieldDescriptor &field,
                      Message &message);
    Result<std::string> read_reference(const Json &json, std::string_view where,
                                       const FieldDescriptor &field) const;
    Status read_check(const Json &json, std::string_view where, Check &check) const;
    Result<std::string> read_account(const Json &json, std::string_view where) const;
    Result<std::string> read_lease(const Json &json, std::string_view where) const;

    Vector vector_;
    std::map<std::string, std::string> renters_;  // by the step that opens the lease
    std::set<std::string> step_names_;
};

Result<std::string> Reader::read_account(const Json &json, std::string_view where) const {
    CHAIN_ASSIGN(std::string name, read_name(json, where));
    if (!vector_.accounts.contains(name)) return wrong(where, "names no account of this vector");
    return name;
}

Result<std::string> Reader::read_lease(const Json &json, std::string_view where) const {
    CHAIN_ASSIGN(std::string name, read_name(json, where));
    if (!renters_.contains(name)) return wrong(where, "names no earlier step that opens a lease");
    return name;
}

Result<std::string> Reader::read_reference(const Json &json, std::string_view where,
                                           const FieldDescriptor &field) const {
    switch (naming_of(field)) {
        case Naming::kAccount: return read_account(json, where);
        case Naming::kStep: return read_lease(json, where);
        case Naming::kOther: return read_name(json, where);
    }
    CHAIN_CHECK(false);
}

// "hw" is METER_CLASS_HW of MeterClass.
const google::protobuf::EnumValueDescriptor *value_of(const FieldDescriptor &field,
                                                      std::string_view text) {
    const auto *values = field.enum_type();
    for (int i = 1; i < values->value_count(); ++i) {
        // All begin like the first, which is unspecified.
        const std::size_t prefix = values->value(0)->name().size() - sizeof "UNSPECIFIED" + 1;
        std::string name = values->value(i)->name().substr(prefix);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c == '_' ? '-' : static_cast<char>(c | 0x20); });
        if (name == text) return values->value(i);
    }
    return nullptr;
}

// One value; of a list, one more.
Status Reader::read_value(const Json &json, std::string_view where, const FieldDescriptor &field,
                          Message &message) {
    const Reflection &as = *message.GetReflection();
    switch (field.type()) {
        case FieldDescriptor::TYPE_BOOL:
            if (!json.is_boolean()) return wrong(where, "is neither true nor false");
            as.SetBool(&message, &field, json.get<bool>());
            return ok_status();
        case FieldDescriptor::TYPE_UINT32: {
            CHAIN_ASSIGN(const std::uint64_t number,
                         read_whole(json, where, std::numeric_limits<std::uint32_t>::max()));
            const auto value = static_cast<std::uint32_t>(number);
            if (field.is_repeated())
                as.AddUInt32(&message, &field, value);
            else
                as.SetUInt32(&message, &field, value);
            return ok_status();
        }
        case FieldDescriptor::TYPE_UINT64: {
            CHAIN_ASSIGN(const std::uint64_t number,
                         read_whole(json, where, std::numeric_limits<std::uint64_t>::max()));
            as.SetUInt64(&message, &field, number);
            return ok_status();
        }
        case FieldDescriptor::TYPE_INT64:
            if (!json.is_number_integer()) return wrong(where, "is no whole number");
            if (json.is_number_unsigned() && json.get<std::uint64_t>() > kNumberMax)
                return wrong(where, "is too large");
            as.SetInt64(&message, &field, json.get<std::int64_t>());
            return ok_status();
        case FieldDescriptor::TYPE_STRING: {
            CHAIN_ASSIGN(std::string text, read_text(json, where));
            as.SetString(&message, &field, std::move(text));
            return ok_status();
        }
        case FieldDescriptor::TYPE_BYTES: {
            CHAIN_ASSIGN(std::string name, read_reference(json, where, field));
            as.SetString(&message, &field, std::move(name));
            return ok_status();
        }
        case FieldDescriptor::TYPE_ENUM: {
            CHAIN_ASSIGN(const std::string text, read_text(json, where));
            const auto *value = value_of(field, text);
            if (value == nullptr) return wrong(where, "is none of the words that are known here");
            as.SetEnum(&message, &field, value);
            return ok_status();
        }
        default: break;
    }
    Message *inner =
        field.is_repeated() ? as.AddMessage(&message, &field) : as.MutableMessage(&message, &field);
    const std::string &type = inner->GetDescriptor()->name();
    return type == "SignedVoucher" || type == "SignedVote" ? read_signed(json, where, *inner)
                                                           : read_message(json, where, *inner);
}

Status Reader::read_message(const Json &json, std::string_view where, Message &message) {
    if (!json.is_object()) return wrong(where, "is no object");
    const Descriptor &type = *message.GetDescriptor();
    for (const auto &[name, value] : json.items()) {
        const FieldDescriptor *field = type.FindFieldByName(name);
        if (field == nullptr || name == "chain_id")
            return wrong(under(where, name), "is no field that is known here");
        if (!field->is_repeated()) {
            CHAIN_TRY(read_value(value, under(where, name), *field, message));
            continue;
        }
        if (!value.is_array()) return wrong(under(where, name), "is no list");
        for (const Json &entry : value)
            CHAIN_TRY(read_value(entry, under(where, name), *field, message));
    }
    for (int i = 0; i < type.field_count(); ++i) {
        const FieldDescriptor &field = *type.field(i);
        if (!may_be_left_out(field) && field.name() != "chain_id" && !json.contains(field.name()))
            return wrong(under(where, field.name()), "is missing");
    }
    return ok_status();
}

// A voucher or a vote: its body, and the name of the signer in place of the signature.
Status Reader::read_signed(const Json &json, std::string_view where, Message &signed_message) {
    if (!json.is_object()) return wrong(where, "is no object");
    Json body = json;
    std::string signer;
    if (json.contains("signed_by")) {
        CHAIN_ASSIGN(signer, read_account(json["signed_by"], under(where, "signed_by")));
        body.erase("signed_by");
    }
    if (auto *voucher = dynamic_cast<wire::SignedVoucher *>(&signed_message)) {
        wire::VoucherBody read;
        CHAIN_TRY(read_message(body, where, read));
        voucher->set_body(read.SerializeAsString());
        voucher->set_signature(signer.empty() ? renters_.at(read.lease_id()) : signer);
        return ok_status();
    }
    wire::VoteBody read;
    CHAIN_TRY(read_message(body, where, read));
    auto &vote = dynamic_cast<wire::SignedVote &>(signed_message);
    vote.set_body(read.SerializeAsString());
    vote.set_signature(signer.empty() ? read.validator() : signer);
    return ok_status();
}

// ---- what is checked

const std::set<std::string_view> kEnds = {"running",    "completed", "left",      "reclaimed",
                                          "lost",       "expired",   "voided",    "not-started",
                                          "never-seen", "disputed",  "cancelled", "no-show"};
const std::set<std::string_view> kStates = {"open", "closing", "settled"};

Result<std::string> read_checked_word(const Json &json, std::string_view where,
                                      const std::set<std::string_view> &words) {
    CHAIN_ASSIGN(std::string text, read_text(json, where));
    if (!words.contains(text)) return wrong(where, "is none of the words that are known here");
    return text;
}

// Fields of `type` as text, as a record of that type prints them.
Result<Fields> read_checked(const Json &json, std::string_view where, const Descriptor &type) {
    if (!json.is_object()) return wrong(where, "is no object");
    const bool is_leg = type.name() == "LegRecord";
    Fields fields;
    for (const auto &[name, value] : json.items()) {
        const std::string place = under(where, name);
        const FieldDescriptor *field = type.FindFieldByName(name);
        if (field == nullptr || field->type() == FieldDescriptor::TYPE_BYTES)
            return wrong(place, "is no field that is known here");
        if (is_leg && (name == "end" || name == "state")) {
            CHAIN_ASSIGN(fields[name],
                         read_checked_word(value, place, name == "end" ? kEnds : kStates));
        } else if (field->type() == FieldDescriptor::TYPE_BOOL) {
            if (!value.is_boolean()) return wrong(place, "is neither true nor false");
            fields[name] = value.get<bool>() ? "true" : "false";
        } else {
            CHAIN_ASSIGN(const std::uint64_t number,
                         read_whole(value, place, std::numeric_limits<std::uint64_t>::max()));
            fields[name] = std::to_string(number);
        }
    }
    return fields;
}

Status Reader::read_check(const Json &json, std::string_view where, Check &check) const {
    namespace record = ledger::record;
    CHAIN_TRY(check_fields(json, where, {}, {"accounts", "reputations", "leases", "totals"}));
    for (const auto &[group, entries] : json.items()) {
        const std::string place = under(where, group);
        if (!entries.is_object()) return wrong(place, "is no object");
        if (group == "totals") {
            CHAIN_TRY(check_fields(entries, place, {}, {"burned", "pool"}));
            for (const auto &[name, value] : entries.items()) {
                CHAIN_ASSIGN(const std::uint64_t number,
                             read_whole(value, under(place, name), kNumberMax));
                check.totals[name] = std::to_string(number);
            }
            continue;
        }
        for (const auto &[name, value] : entries.items()) {
            const std::string inner = under(place, name);
            if (group == "leases") {
                CHAIN_TRY(read_lease(name, inner));
                if (!value.is_array()) return wrong(inner, "is no list");
                for (const Json &leg : value) {
                    CHAIN_ASSIGN(Fields fields,
                                 read_checked(leg, inner, *record::LegRecord::descriptor()));
                    check.leases[name].push_back(std::move(fields));
                }
                continue;
            }
            CHAIN_TRY(read_account(name, inner));
            const bool is_account = group == "accounts";
            CHAIN_ASSIGN((is_account ? check.accounts : check.reputations)[name],
                         read_checked(value, inner,
                                      is_account ? *record::AccountRecord::descriptor()
                                                 : *record::ReputationRecord::descriptor()));
        }
    }
    return ok_status();
}

// ---- the whole

Status Reader::read_genesis(const Json &json) {
    ledger::Genesis genesis;
    genesis.chain_name = "vector";
    CHAIN_ASSIGN(genesis.time_ms, read_whole(json["time_ms"], "time_ms", kAtMsMax * 4));
    const Json &accounts = json["accounts"];
    if (!accounts.is_object()) return wrong("accounts", "is no object");
    if (accounts.size() > kAccountsMax)
        return make_error(ErrorCode::kTooLarge, "vector: accounts: at most ", kAccountsMax);
    for (const auto &[name, units] : accounts.items()) {
        const std::string where = under("accounts", name);
        CHAIN_TRY(read_name(name, where));
        CHAIN_ASSIGN(const std::uint64_t amount, read_whole(units, where, kMaxAmountUnits));
        KeyPair key = key_of_name(name);
        if (amount > 0)
            genesis.allocations.emplace_back(key.public_key(),
                                             Amount{static_cast<std::int64_t>(amount)});
        vector_.accounts.emplace(name, std::move(key));
    }
    CHAIN_ASSIGN(const std::string sealer, read_account(json["sealer"], "sealer"));
    genesis.sealer = vector_.accounts.at(sealer).public_key();
    Json file = Json::parse(ledger::format_genesis(genesis));
    if (json.contains("params")) {
        if (!json["params"].is_object()) return wrong("params", "is no object");
        file["params"].update(json["params"]);
    }
    auto parsed = ledger::parse_genesis(file.dump(2) + "\n");
    if (!parsed.ok()) return wrong("params", parsed.error().message);
    vector_.genesis = std::move(parsed).value();
    return ok_status();
}

Status Reader::read_action(const Json &json, std::string_view where, Step &step) {
    static const std::set<std::string_view> kOthers = {"name", "at_ms", "by", "expect", "then"};
    for (const auto &[name, value] : json.items()) {
        if (kOthers.contains(name)) continue;
        const FieldDescriptor *field = wire::TxBody::descriptor()->FindFieldByName(name);
        if (field == nullptr || field->containing_oneof() == nullptr)
            return wrong(under(where, name), "is no field that is known here");
        if (step.body.action_case() != wire::TxBody::ACTION_NOT_SET)
            return wrong(under(where, name), "is a second action in one step");
        CHAIN_TRY(read_value(value, under(where, name), *field, step.body));
    }
    if (step.body.action_case() == wire::TxBody::ACTION_NOT_SET)
        return wrong(where, "has no action");
    return ok_status();
}

Status Reader::read_expected(const Json &json, std::string_view where, Step &step) {
    CHAIN_ASSIGN(const std::string expected, read_text(json["expect"], under(where, "expect")));
    if (expected != "ok") {
        step.is_refused = true;
        step.error = error_code_from_name(expected);
        if (error_traits(step.error).name != expected)
            return wrong(under(where, "expect"), "is neither \"ok\" nor the name of an error");
    }
    if (json.contains("then")) return read_check(json["then"], under(where, "then"), step.check);
    return ok_status();
}

Status Reader::read_step(const Json &json, std::string_view where) {
    if (!json.is_object()) return wrong(where, "is no object");
    for (const char *field : {"name", "at_ms", "by", "expect"})
        if (!json.contains(field)) return wrong(under(where, field), "is missing");
    Step step;
    CHAIN_ASSIGN(step.name, read_name(json["name"], under(where, "name")));
    if (!step_names_.insert(step.name).second)
        return wrong(under(where, "name"), "is the name of an earlier step");
    CHAIN_ASSIGN(step.at_ms, read_whole(json["at_ms"], under(where, "at_ms"), kAtMsMax));
    if (step.at_ms <= (vector_.steps.empty() ? 0 : vector_.steps.back().at_ms))
        return wrong(under(where, "at_ms"), "is not later than the step before");
    CHAIN_ASSIGN(step.by, read_account(json["by"], under(where, "by")));
    CHAIN_TRY(read_action(json, where, step));
    if (step.body.has_open_lease()) renters_[step.name] = step.by;
    CHAIN_TRY(read_expected(json, where, step));
    vector_.steps.push_back(std::move(step));
    return ok_status();
}

Status Reader::read(const Json &json) {
    CHAIN_TRY(check_fields(json, "file",
                           {"about", "time_ms", "accounts", "sealer", "steps", "state_digest"},
                           {"params"}));
    CHAIN_ASSIGN(vector_.about, read_text(json["about"], "about"));
    CHAIN_TRY(read_genesis(json));
    if (!json["steps"].is_array()) return wrong("steps", "is no list");
    if (json["steps"].size() > kStepsMax)
        return make_error(ErrorCode::kTooLarge, "vector: steps: at most ", kStepsMax);
    for (std::size_t i = 0; i < json["steps"].size(); ++i)
        CHAIN_TRY(read_step(json["steps"][i], "steps[" + std::to_string(i) + "]"));
    CHAIN_ASSIGN(const std::string digest, read_text(json["state_digest"], "state_digest"));
    const auto read = bytes32_from_hex(digest, "state digest");
    if (!read.ok()) return wrong("state_digest", "is not 64 hexadecimal digits");
    vector_.state_digest = *read;
    return ok_status();
}

// nlohmann::json takes the last of equal names; people would not see which one counts.
class EqualNames {
public:
    bool operator()(int, Json::parse_event_t event, Json &json) {
        if (event == Json::parse_event_t::object_start) open_.emplace_back();
        if (event == Json::parse_event_t::object_end) open_.pop_back();
        if (event == Json::parse_event_t::key &&
            !open_.back().insert(json.get<std::string>()).second)
            found = json.get<std::string>();
        return true;
    }
    std::string found;

private:
    std::vector<std::set<std::string>> open_;
};

}  // namespace

KeyPair key_of_name(std::string_view name) {
    return std::move(KeyPair::from_secret(tagged_hash(kKeyTag, name))).value();
}

Bytes32 hash_of_name(std::string_view name) {
    return tagged_hash(kHashTag, name);
}

Result<Vector> parse(std::string_view text) {
    if (text.size() > kFileBytesMax)
        return make_error(ErrorCode::kTooLarge, "vector: more than ", kFileBytesMax, " bytes");
    EqualNames names;
    const Json json = Json::parse(text, std::ref(names), false);
    if (json.is_discarded()) return wrong("file", "is no JSON");
    if (!names.found.empty()) return wrong(names.found, "stands twice in one object");
    Reader reader;
    CHAIN_TRY(reader.read(json));
    return reader.take();
}

}  // namespace chain::vectors
