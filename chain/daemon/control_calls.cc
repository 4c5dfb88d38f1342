// SPDX-License-Identifier: BSD-3-Clause
//
// What each call of the control socket answers. See docs/control_protocol.md.
#include <algorithm>

#include <unistd.h>

#include "chain/base/log.h"
#include "chain/daemon/bill.h"
#include "chain/daemon/daemon.h"
#include "incentive/reputation.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kLeasesListedMax = 1'000;
constexpr std::uint32_t kBlocksListedDefault = 20;
constexpr std::uint32_t kBlocksListedMax = 500;

void fill_offer(const market::Offer &offer, bool mine, wire::OfferView &view) {
    view.set_offer_id(to_hex(offer.id));
    view.set_provider(to_address(offer.provider));
    view.set_node_key(to_hex(offer.node_key));
    view.set_address(offer.address);
    view.set_host(offer.host);
    view.set_slot_count(offer.slot_count);
    view.set_slot_total(offer.slot_total);
    view.set_hz(offer.hz);
    *view.mutable_calibration() = offer.calibration;
    view.set_memory_bytes(offer.memory_bytes);
    view.set_ask_per_ghz_h(offer.ask_per_ghz_h.units);
    for (const PublicKey &renter : offer.free_for) view.add_free_for(to_address(renter));
    view.set_region(offer.region);
    view.set_isolation(offer.isolation);
    view.set_plain_network(offer.plain_network);
    for (const market::Gpu &gpu : offer.gpus) *view.add_gpus() = market::to_wire(gpu);
    view.set_meter_class(std::string(meter_class_name(offer.meter_class)));
    view.set_expires_at_ms(offer.expires_at_ms);
    view.set_mine(mine);
}

bool takes_part(const ledger::Lease &lease, const PublicKey &account) {
    return lease.renter == account ||
           std::any_of(lease.legs.begin(), lease.legs.end(),
                       [&](const ledger::Leg &leg) { return leg.provider == account; });
}

}  // namespace

void Daemon::on_request(const ControlConnectionPtr &client, const wire::ControlRequest &request) {
    switch (request.call_case()) {
        case wire::ControlRequest::kLeaseOpen:
            return renter_->open(client, request.id(), request.lease_open());
        case wire::ControlRequest::kLeaseLaunch:
            return renter_->launch(client, request.id(), request.lease_launch());
        case wire::ControlRequest::kLeaseReserve:
            return renter_->reserve(client, request.id(), request.lease_reserve());
        case wire::ControlRequest::kLeaseCancel:
            return renter_->cancel(client, request.id(), request.lease_cancel());
        case wire::ControlRequest::kLeaseAttach:
            return renter_->attach(client, request.id(), request.lease_attach());
        case wire::ControlRequest::kLeaseClose:
            return renter_->close(client, request.id(), request.lease_close());
        case wire::ControlRequest::kWalletSend:
            return wallet_send(client, request.id(), request.wallet_send());
        case wire::ControlRequest::kWalletStake:
            return wallet_stake(client, request.id(), request.wallet_stake());
        case wire::ControlRequest::kLeaseRate:
            return lease_rate(client, request.id(), request.lease_rate());
        case wire::ControlRequest::kLeaseFetch:
            return lease_fetch(client, request.id(), request.lease_fetch());
        case wire::ControlRequest::kTxSubmit:
            return tx_submit(client, request.id(), request.tx_submit());
        case wire::ControlRequest::kBlockVerify: return block_verify(client, request.id());
        case wire::ControlRequest::kPeerConnect:
            return peer_connect(client, request.id(), request.peer_connect());
        default: break;
    }
    auto reply = answer(request);
    if (reply.ok())
        client->reply(request.id(), std::move(*reply));
    else
        client->fail(request.id(), reply.error());
}

Result<wire::ControlReply> Daemon::answer(const wire::ControlRequest &request) {
    wire::ControlReply done;
    done.mutable_done();
    switch (request.call_case()) {
        case wire::ControlRequest::kNodeStatus: return node_status();
        case wire::ControlRequest::kNodeStop: begin_stop(); return done;
        case wire::ControlRequest::kNodeRotateKey: return rotate_node_key();
        case wire::ControlRequest::kNodePolicy: {
            wire::ControlReply reply;
            provider_->fill_policy(*reply.mutable_node_policy());
            return reply;
        }
        case wire::ControlRequest::kNodePause:
            CHAIN_TRY(provider_->pause(request.node_pause().pause()));
            return done;
        case wire::ControlRequest::kWalletNew:
            CHAIN_TRY(wallet_->create(request.wallet_new().password()));
            return wallet_show({});
        case wire::ControlRequest::kWalletUnlock:
            CHAIN_TRY(wallet_->unlock(request.wallet_unlock().password()));
            return wallet_show({});
        case wire::ControlRequest::kWalletShow: return wallet_show(request.wallet_show());
        case wire::ControlRequest::kOfferList: return offer_list(request.offer_list());
        case wire::ControlRequest::kOfferSet:
            CHAIN_TRY(provider_->set_offer(request.offer_set()));
            return done;
        case wire::ControlRequest::kLeaseList: return lease_list(request.lease_list());
        case wire::ControlRequest::kLeaseShow: return lease_show(request.lease_show());
        case wire::ControlRequest::kLeaseExplain: {
            CHAIN_ASSIGN(wire::Explanation explanation,
                         renter_->explain(request.lease_explain().spec()));
            wire::ControlReply reply;
            *reply.mutable_explanation() = std::move(explanation);
            return reply;
        }
        case wire::ControlRequest::kPeerList: return peer_list();
        case wire::ControlRequest::kValidatorList: return validator_list();
        case wire::ControlRequest::kBlockList: return block_list(request.block_list());
        case wire::ControlRequest::kBlockShow: return block_show(request.block_show());
        case wire::ControlRequest::kTxShow: return tx_show(request.tx_show());
        case wire::ControlRequest::kWalletHistory: return wallet_history(request.wallet_history());
        case wire::ControlRequest::kMarketPrice: return market_price(request.market_price());
        default:
            return make_error(ErrorCode::kProtocol,
                              "the daemon does not know this call; is it older than the program?");
    }
}

Result<wire::ControlReply> Daemon::node_status() {
    wire::ControlReply reply;
    wire::NodeStatus &status = *reply.mutable_node_status();
    status.set_software(std::string(kSoftware));
    status.set_node_key(to_hex(node_key_->public_key()));
    status.set_data_folder(options_.data_folder);
    status.set_listen_address(network_->listen_address());
    status.set_chain_id(to_hex(ledger_->chain_id()));
    status.set_chain_name(ledger_->genesis().chain_name);
    status.set_height(ledger_->height());
    fill_consensus(status);
    status.set_tip_id(to_hex(ledger_->tip().id));
    status.set_state_digest(to_hex(ledger_->state_digest()));
    status.set_tip_time_ms(ledger_->tip().time_ms);
    status.set_is_sealer(options_.seal);
    status.set_peer_count(static_cast<std::uint32_t>(network_->peers().size()));
    status.set_mempool_count(static_cast<std::uint32_t>(ledger_->mempool_count()));
    status.set_wallet_state(std::string(wallet_->state()));
    provider_->fill_status(status);
    status.set_started_at_ms(started_at_ms_);
    status.set_pid(static_cast<std::uint32_t>(getpid()));
    return reply;
}

Result<wire::ControlReply> Daemon::wallet_show(const wire::WalletShowCall &call) {
    PublicKey account{};
    if (call.address().empty()) {
        CHAIN_ASSIGN(account, wallet_->account());
    } else {
        CHAIN_ASSIGN(account, parse_address(call.address()));
    }
    CHAIN_ASSIGN(const ledger::Account state, ledger_->account(account));
    CHAIN_ASSIGN(const LockedFunds locked, ledger_->locked(account));
    wire::ControlReply reply;
    wire::WalletView &view = *reply.mutable_wallet();
    view.set_address(to_address(account));
    view.set_balance(state.balance.units);
    view.set_locked_escrow(locked.escrow.units);
    view.set_locked_collateral(locked.collateral.units);
    view.set_nonce(state.nonce);
    CHAIN_ASSIGN(const std::uint64_t next_nonce, ledger_->next_nonce(account));
    view.set_waiting_count(next_nonce - state.nonce);
    view.set_staked(state.staked.units);
    view.set_unbonding(state.unbonding.units);
    view.set_unbonds_at_ms(state.unbonds_at_ms);
    CHAIN_ASSIGN(const incentive::Reputation reputation, ledger_->reputation(account));
    view.set_quality_q16(incentive::quality_q16(reputation, ledger_->params()));
    if (call.address().empty()) view.set_state(std::string(wallet_->state()));
    return reply;
}

Result<wire::ControlReply> Daemon::offer_list(const wire::OfferListCall &call) {
    const auto account = wallet_->account();
    wire::ControlReply reply;
    reply.mutable_offers();
    for (const market::Offer &offer : book_->offers()) {
        const bool mine = account.ok() && offer.provider == *account;
        if (call.mine() && !mine) continue;
        fill_offer(offer, mine, *reply.mutable_offers()->add_offers());
    }
    return reply;
}

wire::Bill Daemon::bill_of(const ledger::Lease &lease, const PublicKey &account) {
    return lease.renter == account ? renter_->bill_of(lease) : provider_->bill_of(lease);
}

Result<wire::ControlReply> Daemon::lease_list(const wire::LeaseListCall &call) {
    CHAIN_ASSIGN(const PublicKey account, wallet_->account());
    CHAIN_ASSIGN(const auto leases, ledger_->leases_of(account, kLeasesListedMax));
    wire::ControlReply reply;
    wire::LeaseList &list = *reply.mutable_leases();
    list.set_reservation_ahead_max_ms(ledger_->params().reservation_ahead_max_ms);
    for (wire::Bill &bill : renter_->bills_under_way()) *list.add_leases() = std::move(bill);
    for (const ledger::Lease &lease : leases)
        if (call.all() || !lease.settled()) *list.add_leases() = bill_of(lease, account);
    return reply;
}

Result<ledger::Lease> Daemon::find_lease(const PublicKey &account,
                                         const std::string &id_text) const {
    if (id_text.size() == 2 * sizeof(ledger::LeaseId)) {
        CHAIN_ASSIGN(const ledger::LeaseId id, bytes32_from_hex(id_text, "lease id"));
        return ledger_->lease(id);
    }
    if (id_text.empty())
        return make_error(ErrorCode::kInvalidInput,
                          "which lease? see `ompi-chain lease list --all`");
    CHAIN_ASSIGN(const auto leases, ledger_->leases_of(account, kLeasesListedMax));
    const ledger::Lease *found = nullptr;
    for (const ledger::Lease &lease : leases) {
        if (!to_hex(lease.id).starts_with(id_text)) continue;
        if (found != nullptr)
            return make_error(ErrorCode::kInvalidInput, "several leases begin with ", id_text,
                              "; give more digits");
        found = &lease;
    }
    if (found == nullptr)
        return make_error(ErrorCode::kNotFound, "no lease of yours begins with \"", id_text,
                          "\"; see `ompi-chain lease list --all`");
    return *found;
}

Result<wire::ControlReply> Daemon::lease_show(const wire::LeaseShowCall &call) {
    CHAIN_ASSIGN(const PublicKey account, wallet_->account());
    CHAIN_ASSIGN(const ledger::Lease found, find_lease(account, call.lease_id()));
    wire::ControlReply reply;
    if (takes_part(found, account)) {
        *reply.mutable_bill() = bill_of(found, account);
    } else {
        reply.mutable_bill()->set_state(found.settled() ? "settled" : "running");
        bring_bill_up_to(found, *reply.mutable_bill());
    }
    return reply;
}

Result<wire::ControlReply> Daemon::peer_list() {
    wire::ControlReply reply;
    reply.mutable_peers();
    for (const p2p::PeerView &peer : network_->peers()) {
        wire::PeerView &view = *reply.mutable_peers()->add_peers();
        view.set_node_key(to_hex(peer.node_key));
        view.set_address(peer.address);
        view.set_inbound(peer.inbound);
        view.set_connected_at_ms(peer.connected_at_ms);
        view.set_heard_at_ms(peer.heard_at_ms);
        view.set_received_bytes(peer.received_bytes);
        view.set_sent_bytes(peer.sent_bytes);
        view.set_software(peer.software);
        view.set_round_trip_us(peer.round_trip_us);
    }
    return reply;
}

void Daemon::peer_connect(const ControlConnectionPtr &client, std::uint64_t id,
                          const wire::PeerConnectCall &call) {
    network_->connect(call.address(), nullptr,
                      [this, client, id, address = call.address()](const Result<PublicKey> &peer) {
                          if (!peer.ok()) return client->fail(id, peer.error());
                          network_->keep_connected(address);
                          client->done(id);
                      });
}

Result<wire::ControlReply> Daemon::block_list(const wire::BlockListCall &call) {
    const std::uint32_t count =
        std::min(call.count() == 0 ? kBlocksListedDefault : call.count(), kBlocksListedMax);
    CHAIN_ASSIGN(auto views, ledger_->block_views(call.before_height(), count));
    wire::ControlReply reply;
    reply.mutable_blocks();
    for (wire::BlockView &view : views) *reply.mutable_blocks()->add_blocks() = std::move(view);
    return reply;
}

Result<wire::ControlReply> Daemon::block_show(const wire::BlockShowCall &call) {
    wire::ControlReply reply;
    if (call.block_id().empty()) {
        CHAIN_ASSIGN(*reply.mutable_block(), ledger_->block_view(call.height()));
        return reply;
    }
    CHAIN_ASSIGN(*reply.mutable_block(), ledger_->block_view(call.block_id()));
    return reply;
}

Result<wire::ControlReply> Daemon::tx_show(const wire::TxShowCall &call) {
    wire::ControlReply reply;
    CHAIN_ASSIGN(*reply.mutable_tx_state(), ledger_->tx_state(call.tx_id()));
    return reply;
}

void Daemon::block_verify(const ControlConnectionPtr &client, std::uint64_t id) {
    if (verifying_)
        return client->fail(id, make_error(ErrorCode::kConflict, "the blocks are being verified"));
    verifying_ = true;
    struct Replay {
        ledger::Tip tip;
        std::optional<Result<ledger::Chain::Verification>> result;
    };
    auto replay = std::make_shared<Replay>();
    replay->tip = ledger_->tip();
    workers_->run(
        [this, replay] { replay->result = ledger_->replay_to(replay->tip, stop_verifying_); },
        [this, replay, client, id] {
            verifying_ = false;
            if (!replay->result->ok()) return client->fail(id, replay->result->error());
            ledger::Chain::Verification found = **replay->result;
            // Of the present state, which nobody changes while this thread counts.
            if (const Status counted = ledger_->check_recount(); found.ok && !counted.ok())
                found = {false, ledger_->height(), counted.error().message};
            wire::ControlReply reply;
            wire::BlockVerification &view = *reply.mutable_block_verification();
            view.set_ok(found.ok);
            view.set_height(replay->tip.height);
            view.set_tip_id(to_hex(replay->tip.id));
            view.set_state_digest(to_hex(replay->tip.digest.digest()));
            view.set_wrong_height(found.wrong_height);
            view.set_reason(found.reason);
            client->reply(id, std::move(reply));
        });
}

}  // namespace chain::daemon
