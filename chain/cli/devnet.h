// SPDX-License-Identifier: BSD-3-Clause
//
// Devnet: a private network on loopback in one folder: a sealer, a renter and N providers, each an
// ompi-chaind with its own data folder, key and wallet.
//
//   FOLDER/devnet.json       what it consists of; marks the folder as a devnet's
//   FOLDER/genesis.json      the network's rules and first balances
//   FOLDER/NODE/…            a data folder, with wallet.password, ompi-chaind.log, ompi-chaind.pid
//
// One thread. Commands that change a devnet exclude each other by a lock on FOLDER/devnet.lock.
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chain/base/file.h"
#include "chain/base/units.h"
#include "chain/cli/process.h"
#include "chain/client/client.h"

namespace chain::cli {

inline constexpr unsigned kDevnetProvidersMax = 64;
inline constexpr unsigned kDevnetSlotsMax = 4096;

struct DevnetPlan {
    unsigned provider_count = 2;
    unsigned slot_count = 2;  // of each provider
    Amount ask_per_ghz_h;
    Amount tokens;             // that each node starts with
    unsigned port_base = 0;    // sealer's; the others follow. 0: any free ports
    std::string scratch_size;  // of disk for a lease, in the daemon's words; empty: its default
    // Of the genesis' params, those that are not a devnet's own.
    std::map<std::string, std::uint64_t> rules;
};

struct DevnetNode {
    enum class Role { kSealer, kRenter, kProvider };
    Role role = Role::kSealer;
    std::string name;
    std::string data_folder;
    unsigned index = 0;

    std::string path(std::string_view file) const { return data_folder + "/" + std::string(file); }
    std::string socket_path() const;
    std::string pid_path() const;
    std::string log_path() const;
    std::string password_path() const;
    std::optional<ProcessIdentity> process() const { return running_process(pid_path()); }
};

struct DevnetStart {
    std::string daemon_path;
    std::string log_level = "note";
    std::string peer_silence;  // in the daemon's words; empty: its default
    bool dies_with_parent = false;
    int timeout_ms = 60'000;
};

class Devnet {
public:
    // A folder that `create` made. Errors: kNotFound, kCorrupt, kPermission.
    static Result<Devnet> open(const std::string &folder);
    // Makes the folder, the wallets and the genesis; goes on where an interrupted one stopped.
    // Errors: kConflict (not empty and no devnet), kInvalidInput (path too long for sockets),
    // kPermission, kDiskFull.
    static Result<Devnet> create(const std::string &folder, const DevnetPlan &plan,
                                 std::ostream &talk);

    const std::string &folder() const { return folder_; }
    const DevnetPlan &plan() const { return plan_; }
    const std::vector<DevnetNode> &nodes() const { return nodes_; }
    const DevnetNode &sealer() const { return nodes_[0]; }
    const DevnetNode &renter() const { return nodes_[1]; }
    unsigned running_count() const;
    bool running() const { return running_count() == nodes_.size(); }

    // For a moment that changes the devnet. Errors: kConflict (another command holds it),
    // kCancelled.
    Result<FileDescriptor> lock() const;
    // Wallets and genesis that are not there yet.
    Status complete(std::ostream &talk);
    // Starts the nodes that do not run (all, where the sealer does not), and waits until all are at
    // one height, connected, and the renter sees every offer. On failure none of them is left
    // running. Errors: kIo with the end of the log of the
    // node that failed, kTimeout with what is missing, kCancelled (a signal).
    Status start(const DevnetStart &how, std::ostream &talk);
    // Asks each node to stop, then makes it, within a bounded time; the sealer last, so that
    // leases are settled. Fine if nothing runs. Errors: kTimeout: a process that SIGKILL does not
    // end.
    Status stop(std::ostream &talk);
    // Forgets everything. Precondition: stopped.
    Status purge();

private:
    Devnet(std::string folder, const DevnetPlan &plan);
    std::vector<std::string> command_line(const DevnetNode &node, const DevnetStart &how,
                                          const std::string &connect_to) const;
    Status launch(const DevnetNode &node, const DevnetStart &how, const std::string &connect_to);
    Status start_these(const std::vector<const DevnetNode *> &nodes, const DevnetStart &how,
                       std::uint64_t until_ms);
    Status wait_ready(const DevnetNode &node, std::uint64_t until_ms) const;
    Status wait_network(std::uint64_t until_ms) const;
    // Empty when the network is whole; else what is missing.
    Result<std::string> missing() const;
    Error ended_early(const DevnetNode &node, const ProcessIdentity &process) const;
    Status stop_nodes(const std::vector<const DevnetNode *> &nodes, std::ostream &talk);

    std::string folder_;
    DevnetPlan plan_;
    std::vector<DevnetNode> nodes_;
};

// One call to a node's daemon on a connection of its own.
Result<wire::ControlReply> ask_node(const DevnetNode &node, const wire::ControlRequest &request,
                                    int timeout_ms);

// SIGINT, SIGTERM and SIGHUP become an answer of `interrupted` while it lives, so that what was
// begun can be undone.
class InterruptGuard {
public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard &) = delete;
    InterruptGuard &operator=(const InterruptGuard &) = delete;
};
bool interrupted();

// ompi-chaind: $OMPI_CHAIND, else beside this program, else where it is installed, else in PATH.
// Errors: kNotFound with the places.
Result<std::string> find_daemon();
// Folder of this program; of a libtool build tree the one with the wrapper.
std::string program_folder();
// What a shell or program needs to be the devnet's renter.
std::vector<std::pair<std::string, std::string>> renter_environment(const Devnet &devnet);

// Runs `program` in `environment`, passes signals on, and returns its exit code (128 + n for a
// signal; 127 and 126 when it is not there or cannot be run, as a shell).
Result<int> run_program(const std::vector<std::string> &program,
                        const std::vector<std::pair<std::string, std::string>> &environment);

}  // namespace chain::cli
