// SPDX-License-Identifier: BSD-3-Clause
//
// What lies where in a daemon's data folder: the daemon writes it, the CLI and `devnet` read it.
#pragma once

namespace chain::client::layout {

inline constexpr char kControlSocket[] = "control.sock";    // mode 0600
inline constexpr char kWallet[] = "wallet.json";            // chain/identity/keystore.h
inline constexpr char kNodeKey[] = "node.key";              // likewise
inline constexpr char kJoin[] = "join.json";                // of `ompi-chaind --join`
inline constexpr char kListenAddress[] = "listen.address";  // host:port, once it listens

}  // namespace chain::client::layout
