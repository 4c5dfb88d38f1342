// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/join.h"

#include "chain/base/file.h"
#include "chain/client/join_file.h"
#include "chain/client/layout.h"
#include "chain/identity/keystore.h"

namespace chain::daemon {
namespace {

Status keep_genesis(const std::string &folder, const client::JoinFile &join) {
    const std::string path = folder + "/genesis.json";
    if (!path_exists(path)) return write_file_atomic(path, join.genesis, 0644);
    CHAIN_ASSIGN(const Bytes own, read_file(path, ledger::kMaxGenesisBytes));
    if (own == join.genesis) return ok_status();
    return make_error(ErrorCode::kConflict, folder,
                      " belongs to another network; use another --data");
}

Status keep_wallet(const std::string &folder, const client::JoinFile &join) {
    if (join.wallet.empty()) return ok_status();
    const std::string path = folder + "/" + client::layout::kWallet;
    CHAIN_ASSIGN(const std::string given, parse_wallet_address("the wallet", join.wallet));
    if (!path_exists(path)) return write_file_atomic(path, join.wallet, 0600);
    CHAIN_ASSIGN(const std::string own, read_wallet_address(path));
    if (own == given) return ok_status();
    return make_error(ErrorCode::kConflict, path, " is of ", own, ", and the network has ", given,
                      " for this machine; use another --data");
}

}  // namespace

Status apply_join_file(DaemonOptions &options, const std::string &join_path) {
    const std::string &folder = options.data_folder;
    const std::string kept_path = folder + "/" + client::layout::kJoin;
    const bool is_new = !join_path.empty();
    if (!is_new && !path_exists(kept_path)) return ok_status();
    const std::string &path = is_new ? join_path : kept_path;
    CHAIN_ASSIGN(const Bytes text, read_file(path, client::kJoinFileBytesMax));
    CHAIN_ASSIGN(client::JoinFile join, client::parse_join_file(path, text));
    if (is_new) {
        if (const auto genesis = ledger::parse_genesis(join.genesis); !genesis.ok())
            return make_error(genesis.error().code, path, ": ", genesis.error().message);
        CHAIN_TRY(make_folders(folder, 0700));
        CHAIN_TRY(keep_genesis(folder, join));
        CHAIN_TRY(keep_wallet(folder, join));
        join.wallet.clear();  // it has its own place now
        CHAIN_TRY(write_file_atomic(kept_path, client::format_join_file(join), 0600));
    }
    if (options.listen_address.empty()) options.listen_address = join.listen_address;
    if (options.announce_address.empty()) options.announce_address = join.announce_address;
    options.seeds.insert(options.seeds.end(), join.seeds.begin(), join.seeds.end());
    options.seal |= join.seal;
    if (options.checkpoint.empty()) options.checkpoint = join.checkpoint;
    return ok_status();
}

}  // namespace chain::daemon
