// SPDX-License-Identifier: BSD-3-Clause
//
// The system calls that a sandbox has to do without (provider.md 2): allowed by default, because
// MPI programs use much of the kernel; denied is what reaches around the namespaces.
#pragma once

#include "chain/base/file.h"

namespace chain::provider {

// A BPF program as bwrap --seccomp reads it, in an anonymous file at offset 0.
// Errors: kIo with libseccomp's word for it.
Result<FileDescriptor> make_seccomp_filter();

}  // namespace chain::provider
