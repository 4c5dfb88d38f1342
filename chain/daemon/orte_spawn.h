// SPDX-License-Identifier: BSD-3-Clause
//
// MPI_Comm_spawn: what an orted asks mpirun for when a rank starts further ranks. mpirun takes from
// it machines to add, files to send, where output goes and who maps how, all of it on the renter's
// machine and with the renter's rights; here is what is left of that in a lease. Pure.
#pragma once

#include <string_view>

#include "chain/base/result.h"
#include "chain/daemon/orte_guard.h"

namespace chain::daemon {

inline constexpr std::uint32_t kSpawnAppsMax = 64;
inline constexpr std::uint32_t kSpawnWordsMax = 4096;  // arguments, and variables, of each

// Errors: kRefused, with what was asked for beyond further ranks on the peers of the lease: a
// program of the renter's may have done that.
Status check_spawn(const OrteLeg &leg, std::string_view payload);

}  // namespace chain::daemon
