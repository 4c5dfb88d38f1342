// SPDX-License-Identifier: BSD-3-Clause
//
// The network namespace of a lease: loopback, and one TUN device whose other end the daemon holds.
// Nothing else is in it, so nothing else can be reached, and from nowhere else can it be reached.
#pragma once

#include <cstdint>

#include <sys/types.h>

namespace chain::overlay {

inline constexpr int kDeviceMtu = 65'520;
inline constexpr std::uint16_t kMpirunPort = 10'000;

struct DevicePlan {
    std::uint32_t member = 0;
    // Not root: the namespace lies in a user namespace in which the caller is itself, and has
    // rights over nothing but that network.
    bool needs_user_namespace = false;
};

// Belong to the namespace, wherever they are.
struct DeviceSockets {
    int device = -1;    // packets, each behind an OffloadHeader
    int listener = -1;  // TCP, kMpirunPort of the member's address: who connects there means mpirun
};

// Between fork and exec: makes the namespace, and the calling process its first. /sys shows it, in
// a mount namespace of its own; IPv6 is off. Async-signal-safe. Null, or the step that failed, with
// errno; then the caller ends.
const char *enter_lease_network(const DevicePlan &plan, DeviceSockets &sockets);

// Makes the calling process the first in a network namespace with the renter's device, for mpirun
// and ranks on its machine: no mount namespace, and no listener. Single-threaded callers only.
// Null, or the step that failed, with errno; `device` stays open.
const char *enter_home_network(bool needs_user_namespace, int &device);

}  // namespace chain::overlay
