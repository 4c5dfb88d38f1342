// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/relay_till.h"

#include <algorithm>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kReasonBytesMax = 200;

}  // namespace

Bytes relay_claim(const ledger::TxId &tx, const PublicKey &seeker) {
    return to_bytes(tx) + to_bytes(seeker);
}

RelayTill::RelayTill(const provider::RelaySettings &settings, Backend &backend,
                     const Wallet &wallet, const KeyPair &node_key)
    : settings_(settings),
      backend_(backend),
      wallet_(wallet),
      node_key_(node_key),
      floor_height_(backend.height()) {}

RelayTill::~RelayTill() {
    *alive_ = false;
}

// ---- at the meeting point

wire::RelayTerms RelayTill::terms(const PublicKey &seeker) const {
    wire::RelayTerms terms;
    const auto account = wallet_.account();
    if (is_free() || !account.ok()) return terms;
    terms.set_price_per_gib(settings_.price_per_gib.units);
    terms.set_quota_bytes(kRelayQuotaBytes);
    terms.set_account(to_bytes(*account));
    const auto found = credits_.find(seeker);
    if (found != credits_.end()) terms.set_credit_bytes(found->second.left_bytes);
    return terms;
}

Status RelayTill::may_carry(const PublicKey &seeker) {
    if (is_free()) return ok_status();
    const auto found = credits_.find(seeker);
    if (found == credits_.end() || found->second.left_bytes == 0)
        return make_error(ErrorCode::kRefused, "nothing is paid for");
    return ok_status();
}

bool RelayTill::carried(const PublicKey &seeker, std::uint64_t bytes) {
    if (is_free()) return true;
    const auto found = credits_.find(seeker);
    if (found == credits_.end()) return false;
    Credit &credit = found->second;
    credit.left_bytes -= std::min(credit.left_bytes, bytes);
    if (credit.left_bytes <= kRelayQuotaBytes / 2 && !credit.low_was_said) say_low(seeker, credit);
    if (credit.left_bytes > 0) return true;
    credits_.erase(found);
    return false;
}

void RelayTill::say_low(const PublicKey &seeker, Credit &credit) {
    credit.low_was_said = true;
    wire::MeetingMessage message;
    message.mutable_credit()->set_left_bytes(credit.left_bytes);
    static_cast<void>(send_(seeker, message));
}

void RelayTill::answer(const PublicKey &seeker, const ledger::TxId &tx,
                       const std::string &refused) {
    wire::MeetingMessage message;
    wire::RelayCredit &credit = *message.mutable_credit();
    const auto found = credits_.find(seeker);
    if (found != credits_.end()) credit.set_left_bytes(found->second.left_bytes);
    credit.set_tx_id(to_bytes(tx));
    credit.set_refused(plain_text(refused, kReasonBytesMax));
    static_cast<void>(send_(seeker, message));
}

Result<std::uint64_t> RelayTill::judge(const PublicKey &seeker, const ledger::Tx &tx,
                                       const wire::RelayPayment &payment) const {
    CHAIN_ASSIGN(const PublicKey own, wallet_.account());
    CHAIN_ASSIGN(const SignatureBytes claim, to_bytes64(payment.claim(), "RelayPayment.claim"));
    if (is_free()) return make_error(ErrorCode::kRefused, "nothing has to be paid here");
    if (!tx.body.has_transfer() || tx.body.transfer().to() != to_bytes(own))
        return make_error(ErrorCode::kRefused, "it is no transfer to this node's account");
    if (!verify(kRelayClaimTag, relay_claim(tx.id, seeker), tx.sender, claim))
        return make_error(ErrorCode::kRefused, "who paid does not say that it was for this peer");
    CHAIN_ASSIGN(const Amount amount, amount_from_units(tx.body.transfer().amount()));
    const wire::RelayTerms own_terms = terms(seeker);
    CHAIN_ASSIGN(const Amount due, cost(own_terms));
    if (amount < due)
        return make_error(ErrorCode::kRefused, "it pays ", format_tokens(amount),
                          " and a quota is ", format_tokens(due));
    // What is more than a quota is a present: credit is never more than what is at risk.
    return own_terms.quota_bytes();
}

// What no block takes does not keep others out for ever: it may be sent again.
bool RelayTill::has_room_for(const PublicKey &seeker) {
    const std::uint64_t now_ms = backend_.chain_time_ms();
    if (pending_.size() >= kRelayPaymentsPendingMax)
        std::erase_if(pending_, [&](const auto &entry) {
            return now_ms > entry.second.since_ms + kRelayPaymentPendingMs;
        });
    return pending_.size() < kRelayPaymentsPendingMax &&
           (credits_.contains(seeker) || credits_.size() < kRelayAccountsMax);
}

Status RelayTill::take_payment(const PublicKey &seeker, const wire::RelayPayment &payment) {
    CHAIN_ASSIGN(const ledger::Tx tx, ledger::decode_tx(payment.signed_tx(), backend_.chain_id()));
    if (used_.contains(tx.id) || pending_.contains(tx.id)) {
        const auto waits = pending_.find(tx.id);
        if (waits != pending_.end() && waits->second.seeker == seeker) return ok_status();
        answer(seeker, tx.id, "it was used already");
        return ok_status();
    }
    const auto bytes = judge(seeker, tx, payment);
    if (!bytes.ok()) {
        answer(seeker, tx.id, bytes.error().message);
        return ok_status();
    }
    if (!has_room_for(seeker)) {
        answer(seeker, tx.id, "too many pay at once");
        return ok_status();
    }
    // It may have come here before its news did; if it is known already, that is as well.
    wire::SignedTx signed_tx;
    CHAIN_CHECK(signed_tx.ParseFromString(payment.signed_tx()));
    const auto submitted = backend_.submit(signed_tx);
    const TxStatus status = backend_.outcome(tx.id).status;
    if (!submitted.ok() && status != TxStatus::kPending &&
        !is_at_least(status, TxStatus::kIncluded)) {
        answer(seeker, tx.id, submitted.error().message);
        return ok_status();
    }
    pending_[tx.id] = {seeker, backend_.chain_time_ms()};
    const Status watched = backend_.watch(
        tx.id, [this, alive = alive_, seeker, id = tx.id, paid = *bytes](const TxOutcome &outcome) {
            if (*alive) on_outcome(seeker, id, paid, outcome);
        });
    if (!watched.ok()) {
        pending_.erase(tx.id);
        answer(seeker, tx.id, watched.error().message);
    }
    return ok_status();
}

void RelayTill::on_outcome(const PublicKey &seeker, const ledger::TxId &tx, std::uint64_t bytes,
                           const TxOutcome &outcome) {
    if (!pending_.contains(tx)) return;  // it counted, and its block becomes surer
    if (outcome.status == TxStatus::kRejected) {
        pending_.erase(tx);
        return answer(seeker, tx, outcome.reason);
    }
    if (!is_at_least(outcome.status, TxStatus::kIncluded)) return;
    pending_.erase(tx);
    if (outcome.height <= floor_height_) return answer(seeker, tx, "it was paid long ago");
    remember(tx, outcome.height);
    Credit &credit = credits_[seeker];
    credit.left_bytes += bytes;
    credit.low_was_said = false;
    log(LogLevel::kNote, kRelayLog, "peer ", short_hex(seeker), " has paid for ", bytes >> 20,
        " MiB");
    answer(seeker, tx, {});
}

// What is forgotten is older than all that counts from then on.
void RelayTill::remember(const ledger::TxId &tx, std::uint64_t height) {
    used_[tx] = height;
    used_oldest_first_.push_back(tx);
    if (used_oldest_first_.size() <= kRelayPaymentsMax) return;
    const auto oldest = used_.find(used_oldest_first_.front());
    floor_height_ = std::max(floor_height_, oldest->second);
    used_.erase(oldest);
    used_oldest_first_.pop_front();
}

// ---- at the seeker

std::uint64_t RelayTill::Purse::left_bytes() const {
    const std::uint64_t bytes = *carried;
    return paid_bytes > bytes ? paid_bytes - bytes : 0;
}

std::uint64_t RelayTill::Purse::slack_bytes() const {
    return std::min<std::uint64_t>(kRelayCountSlackBytes, terms.quota_bytes() / 8) +
           *carried / kRelayCountSlackDivisor;
}

void RelayTill::Purse::write_off() {
    const std::uint64_t left = left_bytes();
    forgotten_bytes += left;
    paid_bytes -= left;
}

Result<Amount> RelayTill::cost(const wire::RelayTerms &terms) const {
    CHAIN_ASSIGN(const Amount price, amount_from_units(terms.price_per_gib()));
    return scale_up(price, terms.quota_bytes(), kBytesPerGib);
}

Status RelayTill::accepts(const wire::RelayTerms &terms) const {
    if (terms.price_per_gib() == 0) return ok_status();
    const auto refuse = [](const std::string &why) {
        return Status(make_error(ErrorCode::kRefused, why));
    };
    CHAIN_ASSIGN(const Amount price, amount_from_units(terms.price_per_gib()));
    if (price > settings_.pay_per_gib_most)
        return refuse("it wants " + format_tokens(price) + " for a GiB, and at most " +
                      format_tokens(settings_.pay_per_gib_most) +
                      " are allowed (pay_per_gib in the settings)");
    if (terms.quota_bytes() < kRelayQuotaBytesMin || terms.quota_bytes() > kRelayQuotaBytesMax)
        return refuse("it wants an odd quota paid in advance");
    if (terms.credit_bytes() > 0) return ok_status();
    CHAIN_ASSIGN(const Amount quota_cost, cost(terms));
    CHAIN_ASSIGN(const Amount then, add(spent_, quota_cost));
    if (then > settings_.pay_most)
        return refuse("what may be paid for relays is used up (pay_at_most in the settings)");
    const auto key = wallet_.key();
    return key.ok() ? ok_status() : Status(key.error());
}

void RelayTill::pay(const PublicKey &meeting_point, const wire::RelayTerms &terms,
                    std::function<void(Status)> done) {
    if (terms.price_per_gib() == 0) return done(ok_status());
    if (!purses_.contains(meeting_point) && purses_.size() >= kRelayPursesMax)
        return done(make_error(ErrorCode::kRefused, "too many relays are paid already"));
    Purse &purse = purses_[meeting_point];
    purse.terms = terms;
    if (terms.credit_bytes() > 0) return done(ok_status());
    if (purse.payment.empty()) purse.write_off();
    purse.waiting.push_back(std::move(done));
    if (!purse.payment.empty()) {
        // It may have been lost with a session.
        wire::MeetingMessage again;
        CHAIN_CHECK(again.ParseFromString(purse.payment));
        static_cast<void>(send_(meeting_point, again));
        return;
    }
    const Status paid = pay_quota(meeting_point, purse);
    if (paid.ok()) return;
    const auto waiting = std::exchange(purse.waiting, {});
    for (const auto &one : waiting) one(paid);
}

Status RelayTill::pay_quota(const PublicKey &meeting_point, Purse &purse) {
    wire::RelayTerms terms = purse.terms;
    terms.clear_credit_bytes();
    CHAIN_TRY(accepts(terms));
    // One that forgets once what was paid for may have been restarted; who carries much may forget
    // more.
    if (purse.forgotten_bytes >
        terms.quota_bytes() / 2 * 3 + purse.slack_bytes() + *purse.carried / kRelayForgivenDivisor)
        return make_error(ErrorCode::kRefused, "it was paid for ", purse.forgotten_bytes >> 20,
                          " MiB that it did not carry: it gets no more");
    CHAIN_ASSIGN(const Amount due, cost(terms));
    CHAIN_ASSIGN(const KeyPair *key, wallet_.key());
    CHAIN_ASSIGN(const std::uint64_t nonce, backend_.next_nonce(key->public_key()));
    wire::TxBody body;
    body.set_chain_id(to_bytes(backend_.chain_id()));
    body.set_sender(to_bytes(key->public_key()));
    body.set_nonce(nonce);
    body.mutable_transfer()->set_to(terms.account());
    body.mutable_transfer()->set_amount(due.units);
    const wire::SignedTx tx = ledger::sign_tx(body, *key);
    CHAIN_ASSIGN(const ledger::TxId id, backend_.submit(tx));
    CHAIN_ASSIGN(spent_, add(spent_, due));
    wire::MeetingMessage message;
    wire::RelayPayment &payment = *message.mutable_payment();
    payment.set_signed_tx(tx.SerializeAsString());
    payment.set_claim(to_bytes(key->sign(kRelayClaimTag, relay_claim(id, node_key_.public_key()))));
    purse.paid_bytes += terms.quota_bytes();
    purse.tx = id;
    purse.payment = message.SerializeAsString();
    log(LogLevel::kNote, kRelayLog, "pays ", format_tokens(due), " tokens to the relay of peer ",
        short_hex(meeting_point), " for ", terms.quota_bytes() >> 20, " MiB; ",
        format_tokens(spent_), " for relays so far");
    return send_(meeting_point, message);
}

void RelayTill::take_credit(const PublicKey &meeting_point, const wire::RelayCredit &credit) {
    const auto found = purses_.find(meeting_point);
    if (found == purses_.end()) return;
    Purse &purse = found->second;
    if (credit.tx_id().empty()) {
        // It runs low, it says. While a payment is under way there is none beside it.
        if (!purse.payment.empty()) return;
        if (purse.left_bytes() > purse.terms.quota_bytes() / 2 + purse.slack_bytes()) {
            log(LogLevel::kWarning, kRelayLog, "the relay of peer ", short_hex(meeting_point),
                " wants to be paid again before it has carried what it was paid for: it is not");
            return;
        }
        if (const Status paid = pay_quota(meeting_point, purse); !paid.ok())
            log(LogLevel::kWarning, kRelayLog, "the relay of peer ", short_hex(meeting_point),
                " will end what it carries: ", paid.error().message);
        return;
    }
    if (purse.payment.empty() || credit.tx_id() != to_bytes(purse.tx)) return;
    purse.payment.clear();
    const std::string refused = plain_text(credit.refused(), kReasonBytesMax);
    const Status outcome =
        refused.empty() ? ok_status()
                        : Status(make_error(ErrorCode::kRefused,
                                            "the relay does not take the payment: ", refused));
    if (!outcome.ok()) log(LogLevel::kWarning, kRelayLog, outcome.error().message);
    if (backend_.outcome(purse.tx).status == TxStatus::kRejected)
        purse.paid_bytes -= std::min(purse.paid_bytes, purse.terms.quota_bytes());
    const auto waiting = std::exchange(purse.waiting, {});
    for (const auto &one : waiting) one(outcome);
}

std::shared_ptr<std::atomic<std::uint64_t>> RelayTill::counter(const PublicKey &meeting_point) {
    const auto found = purses_.find(meeting_point);
    return found == purses_.end() ? nullptr : found->second.carried;
}

Status RelayTill::take(const PublicKey &peer, const wire::MeetingMessage &message) {
    if (message.has_payment()) return take_payment(peer, message.payment());
    take_credit(peer, message.credit());
    return ok_status();
}

}  // namespace chain::daemon
