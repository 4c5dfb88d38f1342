// SPDX-License-Identifier: BSD-3-Clause
// The first word of what the daemon writes into its log: which of its parts speaks.
#pragma once

#include <string_view>

namespace chain::daemon {

inline constexpr std::string_view kProviderLog = "provider";
inline constexpr std::string_view kRenterLog = "renter";
inline constexpr std::string_view kSyncLog = "sync";
inline constexpr std::string_view kDaemonLog = "daemon";
inline constexpr std::string_view kNetworkLog = "network";
inline constexpr std::string_view kRelayLog = "relay";
inline constexpr std::string_view kConsensusLog = "consensus";

}  // namespace chain::daemon
