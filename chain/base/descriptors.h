// SPDX-License-Identifier: BSD-3-Clause
//
// File descriptors that travel with a message over a Unix socket (unix(7), SCM_RIGHTS). Everything
// here is async-signal-safe, for processes between fork and exec, too.
#pragma once

#include <cstddef>
#include <span>

#include <sys/types.h>

namespace chain {

inline constexpr std::size_t kDescriptorsPerMessageMax = 2;

// One sendmsg of the whole message. False: errno, EMSGSIZE if only a part of it went.
bool send_descriptors(int socket, const void *message, std::size_t size_bytes,
                      std::span<const int> descriptors);

// One message and exactly as many descriptors as `descriptors` has room for, close-on-exec; all of
// them are -1 where another number came. `flags` of recv(2), as MSG_DONTWAIT. The bytes; 0: the
// other end is closed; -1: errno.
ssize_t receive_descriptors(int socket, void *message, std::size_t size_bytes,
                            std::span<int> descriptors, int flags = 0);

}  // namespace chain
