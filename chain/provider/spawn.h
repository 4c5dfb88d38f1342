// SPDX-License-Identifier: BSD-3-Clause
//
// Starts bubblewrap as a leg's uid: fork, meter, drop of rights, exec. What happens between fork
// and exec is async-signal-safe, for the daemon has other threads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "chain/base/file.h"
#include "chain/meter/meter.h"
#include "chain/overlay/device.h"

namespace chain::provider {

// Descriptors of bwrap's process beside 0, 1, 2.
inline constexpr int kArgumentsFd = 3;
inline constexpr int kSeccompFd = 4;
inline constexpr int kInfoFd = 5;
inline constexpr int kBlockFd = 6;

struct SpawnPlan {
    std::string program;             // bwrap
    std::vector<std::string> words;  // its arguments before the command: through a descriptor,
                                     // so that they show in no process list
    std::vector<std::string> command;
    uid_t uid = 0;  // and gid; 0: as the daemon
    FileDescriptor seccomp;
    FileDescriptor info;    // bwrap writes the inner pid to it
    FileDescriptor block;   // bwrap starts the command when it can read a byte from it
    FileDescriptor output;  // stdout and stderr
    std::optional<overlay::DevicePlan> network;  // bwrap runs in it; none: where the daemon runs
};

// Where bubblewrap is. Errors: kNotFound, with what to install.
Result<std::string> find_bwrap();

// A child on its way to bwrap. It makes its network itself, which takes long where many are made.
struct Spawning {
    int pid = 0;
    FileDescriptor status;  // readable: step() has something to do
    FileDescriptor go;
    FileDescriptor device;  // with a network, from its first word on: as overlay::DeviceSockets
    FileDescriptor listener;
    bool is_attached = false;  // it is in its groups

    // True: exec has succeeded. Waits while there is nothing to be read. Errors: kPermission, kIo;
    // the child ends then, and is still to be waited for.
    Result<bool> step(host::ControlGroup *group, meter::LeaseMeter *meter);
};

// Returns when the child runs. `meter` may be null. Errors: kIo.
Result<Spawning> start_bwrap(SpawnPlan plan, meter::LeaseMeter *meter);

}  // namespace chain::provider
