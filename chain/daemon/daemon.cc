// SPDX-License-Identifier: BSD-3-Clause
//
// Start, wiring and stop. The calls of the control socket are in control_calls.cc.
#include "chain/daemon/daemon.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/daemon/log_categories.h"
#include "chain/wire/frame.h"

namespace chain::daemon {
namespace {

constexpr std::size_t kGenesisMaxBytes = 4u << 20;
constexpr std::size_t kPasswordMaxBytes = 4096;
constexpr std::size_t kOverridesBytesMax = 1u << 20;
constexpr std::uint64_t kLookAtLeasesMs = 250;

// host:port, also [v6]:port.
Result<std::pair<std::string, std::uint16_t>> split_address(const std::string &address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0)
        return make_error(ErrorCode::kInvalidInput, "\"", address,
                          "\" is no HOST:PORT such as 127.0.0.1:7660");
    CHAIN_ASSIGN(const std::uint64_t port,
                 parse_integer(address.substr(colon + 1), 0, 65535, "port"));
    std::string host = address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    return std::pair{host, static_cast<std::uint16_t>(port)};
}

// The first start takes the genesis from where it is told and keeps it: a node belongs to one
// network for good.
Result<Bytes> adopt_genesis(const std::string &given_path, const std::string &own_path) {
    if (path_exists(own_path)) {
        CHAIN_ASSIGN(const Bytes own, read_file(own_path, kGenesisMaxBytes));
        if (!given_path.empty()) {
            CHAIN_ASSIGN(const Bytes given, read_file(given_path, kGenesisMaxBytes));
            if (given != own)
                return make_error(ErrorCode::kConflict, given_path, " is not the genesis of ",
                                  own_path,
                                  ", to which this data folder belongs; use another --data");
        }
        return own;
    }
    if (given_path.empty())
        return make_error(ErrorCode::kNotFound, "there is no ", own_path,
                          " yet: name the network's genesis file with --genesis FILE, or try "
                          "everything on this machine with `ompi-chain devnet up`");
    CHAIN_ASSIGN(const Bytes given, read_file(given_path, kGenesisMaxBytes));
    if (const auto parsed = ledger::parse_genesis(given); !parsed.ok())
        return make_error(parsed.error().code, given_path, ": ", parsed.error().message);
    CHAIN_TRY(write_file_atomic(own_path, given, 0644));
    return given;
}

// "1234abcd, 5678cdef": each lease once.
std::string name_leases(std::vector<ledger::LeaseId> leases) {
    std::sort(leases.begin(), leases.end());
    leases.erase(std::unique(leases.begin(), leases.end()), leases.end());
    std::string names;
    for (const ledger::LeaseId &id : leases)
        names += (names.empty() ? "" : ", ") +
                 (id == ledger::LeaseId{} ? "one that is being made" : short_hex(id));
    return names;
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::open(DaemonOptions options) {
    std::unique_ptr<Daemon> daemon(new Daemon(std::move(options)));
    daemon->started_at_ms_ = system_clock().unix_ms();
    // At least two, so that one long job (results of a large lease) does not hold up the others.
    daemon->workers_.emplace(daemon->loop_, std::max(2u, std::thread::hardware_concurrency()));
    constexpr unsigned kWebThreads = 4;
    daemon->web_workers_.emplace(daemon->loop_, kWebThreads);
    CHAIN_TRY(make_folders(daemon->options_.data_folder, 0700));
    CHAIN_TRY(daemon->open_identity());
    CHAIN_TRY(daemon->open_ledger());
    CHAIN_TRY(daemon->open_network());
    CHAIN_TRY(daemon->open_agents());
    return daemon;
}

Status Daemon::open_identity() {
    const std::string &folder = options_.data_folder;
    CHAIN_ASSIGN(KeyPair node_key, load_or_create_node_key(folder + "/node.key"));
    node_key_.emplace(std::move(node_key));
    wallet_.emplace(folder + "/wallet.json");
    if (options_.password_file.empty()) return ok_status();
    CHAIN_ASSIGN(Bytes password, read_file(options_.password_file, kPasswordMaxBytes));
    while (!password.empty() && (password.back() == '\n' || password.back() == '\r'))
        password.pop_back();
    const Status unlocked = wallet_->unlock(password);
    wipe(password);
    return unlocked;
}

Status Daemon::open_ledger() {
    const std::string &folder = options_.data_folder;
    CHAIN_ASSIGN(const Bytes genesis,
                 adopt_genesis(options_.genesis_path, folder + "/genesis.json"));
    CHAIN_ASSIGN(ledger::Genesis parsed, ledger::parse_genesis(genesis));
    std::optional<KeyPair> sealer_key;
    if (options_.seal) {
        CHAIN_ASSIGN(const KeyPair *key, wallet_->key());
        if (parsed.consensus.kind == ledger::ConsensusKind::kSolo &&
            key->public_key() != parsed.sealer)
            return make_error(ErrorCode::kInvalidInput, "--seal: the genesis names ",
                              to_address(parsed.sealer), " as sealer and this wallet is ",
                              to_address(key->public_key()));
        CHAIN_ASSIGN(KeyPair copy, KeyPair::from_secret(key->secret()));
        sealer_key.emplace(std::move(copy));
    }
    LedgerOptions ledger_options;
    ledger_options.consensus_folder = folder + "/consensus";
    if (!options_.checkpoint.empty()) {
        if (parsed.consensus.kind == ledger::ConsensusKind::kSolo)
            return make_error(ErrorCode::kInvalidInput,
                              "--checkpoint: where one key seals all blocks there is one history");
        CHAIN_ASSIGN(ledger_options.trusted, consensus::parse_trusted_block(options_.checkpoint));
    }
    if (options_.override_finality) CHAIN_TRY(override_finality(parsed));
    CHAIN_ASSIGN(auto store, open_leveldb_store(folder + "/ledger"));
    ledger_options.mining_threads = options_.mining_threads;
    if (options_.mining_threads > 0 && parsed.consensus.kind != ledger::ConsensusKind::kPor)
        return make_error(ErrorCode::kInvalidInput,
                          "--mine: nothing is mined in this network, whose consensus is ",
                          ledger::consensus_name(parsed.consensus.kind));
    CHAIN_TRY(make_folders(ledger_options.consensus_folder, 0700));
    CHAIN_ASSIGN(ledger_,
                 LedgerBackend::open(loop_, system_clock(), std::move(store), std::move(parsed),
                                     std::move(sealer_key), std::move(ledger_options)));
    CHAIN_ASSIGN(Journal journal, Journal::open(folder + "/journal"));
    journal_.emplace(std::move(journal));
    book_.emplace(ledger_->chain_id(), system_clock(), [this](const PublicKey &provider) {
        const auto account = ledger_->account(provider);
        return account.ok() && account->balance.units >= kUnitsPerToken;
    });
    return ok_status();
}

// False also where the ledger cannot be read: then there is nothing to keep.
static bool has_block(const std::string &ledger_folder, const ledger::Genesis &genesis,
                      const ledger::BlockId &id) {
    if (!path_exists(ledger_folder)) return false;
    auto store = open_leveldb_store(ledger_folder);
    auto rule = consensus::Rule::make(genesis);
    if (!store.ok() || !rule.ok()) return false;
    const auto chain = ledger::Chain::open(std::move(*store), genesis, std::move(*rule));
    return chain.ok() && (*chain)->height_of(id).ok();
}

// What this node has come to believe is set aside, not removed, and the history with the checkpoint
// fetched anew. Its own votes stay: it never votes against them.
Status Daemon::override_finality(const ledger::Genesis &genesis) {
    const std::string &folder = options_.data_folder;
    if (options_.checkpoint.empty())
        return make_error(ErrorCode::kInvalidInput,
                          "--override-finality needs a --checkpoint: the "
                          "history to follow instead");
    CHAIN_ASSIGN(const auto trusted, consensus::parse_trusted_block(options_.checkpoint));
    if (has_block(folder + "/ledger", genesis, trusted.id)) {
        log(LogLevel::kNote, kDaemonLog,
            "--override-finality: the history here has the block of --checkpoint: there is "
            "nothing to give up");
        return ok_status();
    }
    const std::string log_path = folder + "/consensus/overrides";
    if (path_exists(log_path)) {
        CHAIN_ASSIGN(const Bytes done, read_file(log_path, kOverridesBytesMax));
        if (done.find(options_.checkpoint + "\n") != Bytes::npos) {
            // What was fetched since has not come to it either: it is fetched once more, and not
            // kept beside what was set aside the first time.
            log(LogLevel::kWarning, kDaemonLog, "--override-finality: block ", options_.checkpoint,
                " was not reached: the blocks that were fetched are given up again");
            CHAIN_TRY(remove_tree(folder + "/ledger"));
            return remove_tree(folder + "/consensus/finality");
        }
    }
    const std::uint64_t now_ms = system_clock().unix_ms();
    const std::string suffix = ".before-" + std::to_string(now_ms);
    for (const std::string &path : {folder + "/ledger", folder + "/consensus/finality"})
        if (path_exists(path) && std::rename(path.c_str(), (path + suffix).c_str()) != 0)
            return errno_error(errno, "rename " + path);
    const std::string said = format_utc(now_ms) +
                             ": the operator gave up this node's history (kept in *" + suffix +
                             ") for the one with block " + options_.checkpoint;
    CHAIN_TRY(make_folders(folder + "/consensus", 0700));
    CHAIN_ASSIGN(const FileDescriptor file, open_append(log_path));
    CHAIN_TRY(write_all(file.get(), said + "\n", "write " + log_path));
    log(LogLevel::kWarning, kDaemonLog, said);
    return ok_status();
}

static p2p::RelayOptions relay_options(const provider::RelaySettings &settings) {
    using When = p2p::RelayOptions::When;
    p2p::RelayOptions options;
    switch (settings.when) {
        case provider::RelaySettings::When::kIfPublic: options.when = When::kIfPublic; break;
        case provider::RelaySettings::When::kAlways: options.when = When::kAlways; break;
        case provider::RelaySettings::When::kNever: options.when = When::kNever; break;
    }
    options.bytes_per_second = settings.bytes_per_second;
    return options;
}

Status Daemon::open_network() {
    p2p::Options network_options;
    network_options.chain_id = ledger_->chain_id();
    network_options.software = kSoftware;
    network_options.listen = !options_.listen_address.empty();
    if (network_options.listen) {
        CHAIN_ASSIGN(const auto address, split_address(options_.listen_address));
        network_options.listen_address = address.first;
        network_options.listen_port = address.second;
        if (!options_.announce_address.empty()) {
            CHAIN_TRY(split_address(options_.announce_address).ok()
                          ? ok_status()
                          : Status(split_address(options_.announce_address).error()));
            network_options.announce_address = options_.announce_address;
        }
    }
    for (const std::string &seed : options_.seeds) {
        if (const auto parts = split_address(seed); !parts.ok()) return parts.error();
    }
    network_options.seeds = options_.seeds;
    network_options.discover_lan = options_.discover_lan;
    network_options.map_port = options_.map_port;
    if (options_.peer_silence_ms != 0) network_options.silent_after_ms = options_.peer_silence_ms;
    network_options.address_book_path = options_.data_folder + "/peers";
    network_options.relay = relay_options(options_.provider.relay);
    till_.emplace(options_.provider.relay, *ledger_, *wallet_, *node_key_);
    network_options.relay_policy = &*till_;
    CHAIN_ASSIGN(network_, p2p::Network::start(loop_, *node_key_, network_options));
    till_->send_with([this](const PublicKey &peer, const wire::MeetingMessage &message) {
        return network_->send_meeting(peer, message);
    });
    sync_ = std::make_unique<ChainSync>(loop_, *ledger_, *book_, *network_);
    return ok_status();
}

Status Daemon::open_agents() {
    const std::string results_folder = options_.data_folder + "/results";
    node_.emplace(Node{loop_, *workers_, *web_workers_, system_clock(), *ledger_, *network_, *book_,
                       *journal_, *wallet_, *node_key_, results_folder});
    renter_ = std::make_unique<RenterAgent>(*node_);
    ProviderOptions provider_options = options_.provider;
    if (provider_options.scratch_folder.empty()) {
        CHAIN_ASSIGN(own_scratch_folder_, provider::default_scratch_root(node_key_->public_key()));
        provider_options.scratch_folder = own_scratch_folder_;
    }
    provider_options.cache_folder = options_.data_folder + "/cache";
    provider_options.pause_path = options_.data_folder + "/lending.paused";
    CHAIN_TRY(provider::OwnerPolicy::check(provider_options.owner_rules));
    provider_ = std::make_unique<ProviderAgent>(*node_, provider_options,
                                                [this](const wire::SignedOffer &offer) {
                                                    network_->be_sought(provider_->lends());
                                                    sync_->publish_offer(offer);
                                                });
    provider_->recover();
    network_->on_message(
        wire::Topic::kTrade,
        [this](const PublicKey &peer, std::string_view bytes) { on_trade(peer, bytes); });
    network_->on_channel(
        [this](const PublicKey &peer, std::string_view text, p2p::Channel channel) {
            const auto label = ChannelLabel::parse(text);
            if (!label.ok()) return network_->disconnect(peer, label.error().message);
            if (label->to == overlay::kRenter)
                renter_->take_channel(peer, *label, std::move(channel));
            else
                provider_->take_channel(peer, *label, std::move(channel));
        });
    network_->on_peer([this](const PublicKey &peer, bool up, const std::string &why) {
        if (up) return provider_->on_peer_up();
        renter_->on_peer_lost(peer, why);
        provider_->on_peer_lost(peer, why);
    });
    network_->on_drained([this](const PublicKey &peer) {
        renter_->on_drained(peer);
        provider_->on_drained(peer);
    });
    ledger_->on_new_block([this](std::uint64_t) {
        renter_->on_new_block();
        provider_->on_new_block();
        answer_waiting_sends();
    });
    for (const std::string &address : options_.connect) {
        if (const auto parts = split_address(address); !parts.ok()) return parts.error();
        network_->keep_connected(address);
    }
    const std::string listening = network_->listen_address();
    if (!listening.empty())
        CHAIN_TRY(
            write_file_atomic(options_.data_folder + "/listen.address", listening + "\n", 0644));
    CHAIN_ASSIGN(control_, ControlServer::start(loop_, options_.data_folder + "/control.sock",
                                                [this](const ControlConnectionPtr &client,
                                                       const wire::ControlRequest &request) {
                                                    on_request(client, request);
                                                }));
    return ok_status();
}

Daemon::~Daemon() {
    // Clients first: a lease that ends because we stop must not call back into what is gone.
    control_.reset();
    watches_.clear();
    provider_.reset();
    renter_.reset();
    network_.reset();
    stop_verifying_ = true;
    web_workers_.reset();
    workers_.reset();  // what still runs there may read the ledger
    // What a worker was to remove, and had no time for.
    const std::string &scratch_folder =
        own_scratch_folder_.empty() ? options_.provider.scratch_folder : own_scratch_folder_;
    if (options_.provider.forget_results) provider::forget_results(scratch_folder);
    if (!scratch_folder.empty()) static_cast<void>(provider::reap_leftovers(scratch_folder));
    if (!own_scratch_folder_.empty()) rmdir(own_scratch_folder_.c_str());  // if it is empty
}

void Daemon::run() {
    for (const int signal_number : {SIGTERM, SIGINT})
        watches_.push_back(loop_.on_signal(signal_number, [this] { begin_stop(); }));
    watches_.push_back(loop_.every_ms(kLookAtLeasesMs, [this] {
        ledger_->pause_mining(provider_->slots_leased() > 0 ? "a lease runs" : "");
    }));
    watches_.push_back(loop_.every_ms(1'000, [this] {
        answer_waiting_sends();
        watch_finality();
        sync_->try_again();
        if (options_.seal) settle_expired_leases();
    }));
    log(LogLevel::kNote, kDaemonLog, kSoftware, " runs on ", options_.data_folder, ", chain ",
        short_hex(ledger_->chain_id()), " at height ", ledger_->height());
    loop_.run();
    log(LogLevel::kNote, kDaemonLog, "stops");
}

Result<wire::ControlReply> Daemon::rotate_node_key() {
    if (stop_at_ms_ != 0) return make_error(ErrorCode::kRefused, "this daemon is about to stop");
    // The two sides of a lease know each other by their node keys.
    std::vector<ledger::LeaseId> leases = renter_->live_leases();
    const auto lent = provider_->live_leases();
    leases.insert(leases.end(), lent.begin(), lent.end());
    if (!leases.empty())
        return make_error(ErrorCode::kRefused, "the node key is needed by leases that run (",
                          name_leases(leases),
                          "); try again when they have ended, see `ompi-chain lease list`");
    if (const std::size_t kept = provider_->kept_results(); kept > 0)
        return make_error(ErrorCode::kRefused, "renters find the results of ", kept,
                          " leases here by the node key; they are kept for a day at most");
    KeyPair fresh = KeyPair::generate();
    std::string scratch_folder = options_.provider.scratch_folder;
    if (scratch_folder.empty()) {
        CHAIN_ASSIGN(scratch_folder, provider::default_scratch_root(fresh.public_key()));
    }
    CHAIN_TRY(replace_node_key(options_.data_folder + "/node.key", fresh));
    // From here on nothing fails: what is on the disk is what runs.
    wire::ControlReply reply;
    wire::NodeKeyChange &change = *reply.mutable_node_key_change();
    change.set_old_node_key(to_hex(node_key_->public_key()));
    change.set_new_node_key(to_hex(fresh.public_key()));
    *node_key_ = std::move(fresh);
    if (!own_scratch_folder_.empty()) {
        rmdir(own_scratch_folder_.c_str());  // no lease runs: if it was made, it is empty
        own_scratch_folder_ = scratch_folder;
    }
    log(LogLevel::kNote, kDaemonLog, "the node key is now ", change.new_node_key(), ", no longer ",
        change.old_node_key());
    provider_->on_node_key_changed(scratch_folder);  // while the peers still hear it
    network_->greet_anew("the node changes its key");
    return reply;
}

void Daemon::settle_expired_leases() {
    constexpr std::size_t kExpiredAtOnceMax = 100;
    const auto expired = ledger_->expired_leases(kExpiredAtOnceMax);
    if (!expired.ok() || ledger_->mempool_count() > 0) return;  // what is pending may settle them
    for (const ledger::LeaseId &lease : *expired) {
        const auto found = ledger_->lease(lease);
        if (!found.ok() || !found->due_at(ledger_->chain_time_ms())) continue;
        wire::TxBody body;
        body.mutable_expire_lease()->set_lease_id(to_bytes(lease));
        const auto tx = node_->submit(std::move(body));
        log(tx.ok() ? LogLevel::kNote : LogLevel::kWarning, kDaemonLog, "lease ", short_hex(lease),
            " has expired", tx.ok() ? std::string() : ": " + tx.error().message);
    }
}

void Daemon::begin_stop() {
    if (stop_at_ms_ != 0) return loop_.stop();  // asked twice: at once
    stop_at_ms_ = system_clock().steady_ms() + kStopWaitMs;
    renter_->on_daemon_stops();
    provider_->on_daemon_stops();
    constexpr std::uint64_t kLookEveryMs = 50;
    watches_.push_back(loop_.every_ms(kLookEveryMs, [this] {
        const bool idle = renter_->idle() && provider_->idle();
        if (idle || system_clock().steady_ms() >= stop_at_ms_) loop_.stop();
    }));
}

void Daemon::on_trade(const PublicKey &peer, std::string_view payload) {
    wire::TradeMessage message;
    if (const Status parsed =
            wire::parse_strict(payload, wire::kMaxPeerFrameBytes, "trade message", message);
        !parsed.ok())
        return network_->disconnect(peer, parsed.error().message);
    const auto lease = to_bytes32(message.lease_id(), "lease id");
    if (!lease.ok()) return network_->disconnect(peer, lease.error().message);
    if (message.has_propose() || message.has_fetch_results() ||
        provider_->has_leg(peer, {*lease, message.leg()}))
        provider_->on_trade(peer, message);
    else
        renter_->on_trade(peer, message);
}

}  // namespace chain::daemon
