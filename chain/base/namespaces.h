// SPDX-License-Identifier: BSD-3-Clause
//
// Namespaces of the kernel (user_namespaces(7), network_namespaces(7)). Everything here is
// async-signal-safe, for processes between fork and exec; false and null mean: errno says why.
#pragma once

namespace chain {

// The calling process, which has one thread, is itself in there, and has rights over nothing but
// what it makes there.
bool enter_user_namespace();

// A network with nothing but loopback. `needs_user_namespace`: for who is not root.
bool enter_empty_network(bool needs_user_namespace);

bool write_kernel_file(const char *path, const char *text);
bool set_interface_up(const char *name);
void close_keeping_errno(int fd);

}  // namespace chain
