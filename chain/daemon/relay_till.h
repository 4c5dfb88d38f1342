// SPDX-License-Identifier: BSD-3-Clause
//
// RelayTill: what relaying costs, and who has paid (docs/peer_protocol.md, "Relays that are paid").
// A seeker pays in advance for a quota of bytes by a transfer on the ledger; what is carried for it
// is taken from its credit, and without credit nothing is carried. It is told when half of a quota
// is left, so that it can pay again before the connection is cut. The seeker counts, too: who wants
// to be paid again too early is not, and who says that nothing is left of what was paid for has
// forgotten it; of two quotas, and then it gets no more. While nothing has a price, nothing here
// does anything.
//
// A payment counts for the node key that the paying account names in a signed claim, once, and only
// if its block is younger than this daemon: so nothing needs to be kept on disk.
//
// Owner: the loop's thread. Limits: kRelayAccountsMax credits, kRelayPaymentsMax payments that are
// remembered, kRelayPaymentsPendingMax that are not in a block yet; kRelayPursesMax meeting points
// that are paid, each with no more that wait than there are searches.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "chain/backend/backend.h"
#include "chain/daemon/wallet.h"
#include "chain/p2p/relay_policy.h"
#include "chain/provider/settings.h"

namespace chain::daemon {

inline constexpr std::uint64_t kBytesPerGib = 1ULL << 30;
inline constexpr std::uint64_t kRelayQuotaBytes = 256ULL << 20;
// What a meeting point may ask a seeker to pay for at a time: its risk.
inline constexpr std::uint64_t kRelayQuotaBytesMax = 1ULL << 30;
inline constexpr std::uint64_t kRelayQuotaBytesMin = 1ULL << 20;
// Who counts at the other end counts a little otherwise: by that, or an eighth of a quota, and by a
// part of what was carried.
inline constexpr std::uint64_t kRelayCountSlackBytes = 16ULL << 20;
inline constexpr std::uint64_t kRelayCountSlackDivisor = 64;
inline constexpr std::uint64_t kRelayForgivenDivisor = 8;
inline constexpr std::size_t kRelayPursesMax = 256;
inline constexpr std::size_t kRelayAccountsMax = 1'024;
inline constexpr std::size_t kRelayPaymentsMax = 4'096;
inline constexpr std::size_t kRelayPaymentsPendingMax = 64;
inline constexpr std::uint64_t kRelayPaymentPendingMs = 60'000;
inline constexpr std::string_view kRelayClaimTag = "ompi-chain/relay-claim";

// What the paying account signs: that this transfer is for what is carried for that node key.
Bytes relay_claim(const ledger::TxId &tx, const PublicKey &seeker);

class RelayTill final : public p2p::RelayPolicy {
public:
    using Send = std::function<Status(const PublicKey &, const wire::MeetingMessage &)>;
    // All of them outlive this. `node_key` may become another one.
    RelayTill(const provider::RelaySettings &settings, Backend &backend, const Wallet &wallet,
              const KeyPair &node_key);
    ~RelayTill() override;

    // Before the first peer comes.
    void send_with(Send send) { send_ = std::move(send); }

    wire::RelayTerms terms(const PublicKey &seeker) const override;
    Status may_carry(const PublicKey &seeker) override;
    bool carried(const PublicKey &seeker, std::uint64_t bytes) override;
    Status accepts(const wire::RelayTerms &terms) const override;
    void pay(const PublicKey &meeting_point, const wire::RelayTerms &terms,
             std::function<void(Status)> done) override;
    std::shared_ptr<std::atomic<std::uint64_t>> counter(const PublicKey &meeting_point) override;
    Status take(const PublicKey &peer, const wire::MeetingMessage &message) override;

    Amount spent() const { return spent_; }

private:
    struct Credit {
        std::uint64_t left_bytes = 0;
        bool low_was_said = false;
    };
    struct Pending {
        PublicKey seeker{};
        std::uint64_t since_ms = 0;  // chain time
    };
    // At the meeting point.
    bool is_free() const { return settings_.price_per_gib.units == 0; }
    Status take_payment(const PublicKey &seeker, const wire::RelayPayment &payment);
    // Bytes that it pays for. Errors: kRefused, with a reason for the seeker.
    Result<std::uint64_t> judge(const PublicKey &seeker, const ledger::Tx &tx,
                                const wire::RelayPayment &payment) const;
    bool has_room_for(const PublicKey &seeker);
    void on_outcome(const PublicKey &seeker, const ledger::TxId &tx, std::uint64_t bytes,
                    const TxOutcome &outcome);
    void answer(const PublicKey &seeker, const ledger::TxId &tx, const std::string &refused);
    void say_low(const PublicKey &seeker, Credit &credit);
    void remember(const ledger::TxId &tx, std::uint64_t height);

    // At the seeker: what is under way to one meeting point.
    struct Purse {
        wire::RelayTerms terms;
        Bytes payment;  // a MeetingMessage that was not answered yet; empty: none
        ledger::TxId tx{};
        std::vector<std::function<void(Status)>> waiting;
        // Since this daemon's start: paid for and not forgotten; forgotten; carried.
        std::uint64_t paid_bytes = 0;
        std::uint64_t forgotten_bytes = 0;
        std::shared_ptr<std::atomic<std::uint64_t>> carried =
            std::make_shared<std::atomic<std::uint64_t>>(0);
        std::uint64_t left_bytes() const;   // that it should carry yet
        std::uint64_t slack_bytes() const;  // by so much the two ends may count differently
        void write_off();                   // it says that nothing is left
    };
    Result<Amount> cost(const wire::RelayTerms &terms) const;
    Status pay_quota(const PublicKey &meeting_point, Purse &purse);
    void take_credit(const PublicKey &meeting_point, const wire::RelayCredit &credit);

    const provider::RelaySettings settings_;
    Backend &backend_;
    const Wallet &wallet_;
    const KeyPair &node_key_;
    Send send_;
    std::uint64_t floor_height_;  // payments in blocks up to here are too old
    std::map<PublicKey, Credit> credits_;
    std::map<ledger::TxId, Pending> pending_;     // payments that are in no block yet
    std::map<ledger::TxId, std::uint64_t> used_;  // with the height of their block
    std::deque<ledger::TxId> used_oldest_first_;
    std::map<PublicKey, Purse> purses_;
    Amount spent_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::daemon
