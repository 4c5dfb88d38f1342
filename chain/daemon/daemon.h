// SPDX-License-Identifier: BSD-3-Clause
//
// Daemon: the one place that wires everything: wallet, ledger, offer book, peers, the renter's and
// the provider's agents, and the control socket.
//
// Owner: the thread that calls run(), which is the loop's.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "chain/backend/ledger_backend.h"
#include "chain/base/loop.h"
#include "chain/daemon/chain_sync.h"
#include "chain/daemon/control_server.h"
#include "chain/daemon/node.h"
#include "chain/daemon/provider_agent.h"
#include "chain/daemon/relay_till.h"
#include "chain/daemon/renter_agent.h"

namespace chain::daemon {

inline constexpr std::uint64_t kStopWaitMs = 5'000;
inline constexpr std::size_t kWaitingSendsMax = 1'000;
inline constexpr std::string_view kSoftware = "ompi-chaind 0.1.0";

struct DaemonOptions {
    std::string data_folder;
    std::string genesis_path;      // empty: the one in the data folder
    std::string listen_address;    // host:port; empty: listens to no peers
    std::string announce_address;  // host:port under which others reach it; empty: found out
    std::vector<std::string> connect;
    std::vector<std::string> seeds;
    bool discover_lan = false;
    bool map_port = false;
    std::uint64_t peer_silence_ms = 0;  // 0: as p2p::Options has it
    std::string password_file;          // empty: the wallet stays locked until `wallet unlock`
    bool seal = false;
    unsigned mining_threads = 0;
    std::string checkpoint;  // HEIGHT:ID; empty: none
    // Gives up the ledger that this node has for the one with the checkpoint, once.
    bool override_finality = false;
    ProviderOptions provider;
};

class Daemon {
public:
    // Opens and checks everything; nothing runs yet. Errors: with what to do, for the terminal.
    static Result<std::unique_ptr<Daemon>> open(DaemonOptions options);
    ~Daemon();

    // Until SIGTERM, SIGINT or NodeStopCall.
    void run();

private:
    explicit Daemon(DaemonOptions options) : options_(std::move(options)) {}
    Status open_identity();
    Status open_ledger();
    // Errors: kInvalidInput (no --checkpoint), kIo.
    Status override_finality(const ledger::Genesis &genesis);
    Status open_network();
    Status open_agents();

    void on_request(const ControlConnectionPtr &client, const wire::ControlRequest &request);
    void on_trade(const PublicKey &peer, std::string_view payload);

    // Calls that answer at once; each fills one reply.
    Result<wire::ControlReply> answer(const wire::ControlRequest &request);
    Result<wire::ControlReply> node_status();
    Result<wire::ControlReply> wallet_show(const wire::WalletShowCall &call);
    Result<wire::ControlReply> offer_list(const wire::OfferListCall &call);
    Result<wire::ControlReply> lease_list(const wire::LeaseListCall &call);
    Result<wire::ControlReply> lease_show(const wire::LeaseShowCall &call);
    Result<wire::ControlReply> validator_list();
    void fill_consensus(wire::NodeStatus &status) const;
    std::string voting_text(const ledger::ValidatorSet &set) const;
    std::string lag_text(const ledger::ValidatorSet &set) const;
    std::string catching_up_text() const;
    void watch_finality();
    Result<wire::ControlReply> peer_list();
    Result<wire::ControlReply> block_list(const wire::BlockListCall &call);
    Result<wire::ControlReply> block_show(const wire::BlockShowCall &call);
    Result<wire::ControlReply> tx_show(const wire::TxShowCall &call);
    Result<wire::ControlReply> wallet_history(const wire::WalletHistoryCall &call);
    Result<wire::ControlReply> market_price(const wire::MarketPriceCall &call);
    wire::Bill bill_of(const ledger::Lease &lease, const PublicKey &account);
    // By its whole id, or of `account`'s by the beginning. Errors: kInvalidInput, kNotFound.
    Result<ledger::Lease> find_lease(const PublicKey &account, const std::string &id_text) const;
    // Answers when the blocks were replayed; a worker does it.
    void block_verify(const ControlConnectionPtr &client, std::uint64_t id);
    // Answers when a block includes the transaction, or refuses it.
    void wallet_send(const ControlConnectionPtr &client, std::uint64_t id,
                     const wire::WalletSendCall &call);
    void wallet_stake(const ControlConnectionPtr &client, std::uint64_t id,
                      const wire::WalletStakeCall &call);
    void lease_fetch(const ControlConnectionPtr &client, std::uint64_t id,
                     const wire::LeaseFetchCall &call);
    void lease_rate(const ControlConnectionPtr &client, std::uint64_t id,
                    const wire::LeaseRateCall &call);
    // Signs with the wallet and answers as above; a failed `body` is the answer.
    void send_tx(const ControlConnectionPtr &client, std::uint64_t id, Result<wire::TxBody> body,
                 TxStatus wanted = TxStatus::kIncluded);
    // The same for a transaction that was signed anywhere: this daemon needs no wallet for it.
    void tx_submit(const ControlConnectionPtr &client, std::uint64_t id,
                   const wire::TxSubmitCall &call);
    Status check_nonce(const ledger::Tx &tx) const;
    void answer_when(TxStatus wanted, const ControlConnectionPtr &client, std::uint64_t id,
                     const ledger::TxId &tx);
    // Errors: kRefused (leases run, which are bound to the old key), those of replace_node_key.
    Result<wire::ControlReply> rotate_node_key();
    void peer_connect(const ControlConnectionPtr &client, std::uint64_t id,
                      const wire::PeerConnectCall &call);
    void answer_waiting_sends();
    // Of the sealer: settles leases that both sides have left behind, so that nothing stays locked.
    void settle_expired_leases();
    // Ends what runs, in order, and then the loop: within kStopWaitMs.
    void begin_stop();

    struct WaitingSend {
        ControlConnectionPtr client;
        std::uint64_t request_id;
        ledger::TxId tx;
        std::uint64_t give_up_at_ms;  // steady
        TxStatus wanted;
    };

    const DaemonOptions options_;
    std::uint64_t started_at_ms_ = 0;
    std::uint64_t stop_at_ms_ = 0;  // steady; 0: nobody has asked
    // In the order in which they are made; the agents go first.
    Loop loop_;
    std::optional<WorkerPool> workers_;
    std::optional<WorkerPool> web_workers_;
    std::optional<KeyPair> node_key_;
    std::optional<Wallet> wallet_;
    std::optional<Journal> journal_;
    std::unique_ptr<LedgerBackend> ledger_;
    std::optional<market::OfferBook> book_;
    std::optional<RelayTill> till_;
    std::unique_ptr<p2p::Network> network_;
    std::unique_ptr<ChainSync> sync_;
    std::optional<Node> node_;
    std::unique_ptr<RenterAgent> renter_;
    std::unique_ptr<ProviderAgent> provider_;
    std::unique_ptr<ControlServer> control_;
    std::vector<WaitingSend> waiting_sends_;
    bool finality_lags_ = false;
    bool verifying_ = false;
    std::atomic<bool> stop_verifying_{false};
    std::vector<LoopHandle> watches_;
    std::string own_scratch_folder_;  // made because none was named
};

}  // namespace chain::daemon
