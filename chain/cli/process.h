// SPDX-License-Identifier: BSD-3-Clause
//
// Processes that outlive the program that started them, known again by pid, start time and boot:
// a number that was given to somebody else meanwhile is never signalled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "chain/base/result.h"

namespace chain::cli {

struct ProcessIdentity {
    pid_t pid = 0;
    std::uint64_t start_ticks = 0;  // since boot, proc(5) stat field 22
    std::string boot_id;
};

struct DaemonSpec {
    std::vector<std::string> argv;  // argv[0] is a path
    std::string log_path;           // standard output and error are appended
    std::string pid_path;           // written before the program runs
    bool dies_with_parent = false;  // SIGTERM when this process ends, however it ends
};

// Starts a daemon: own session, working folder "/", standard input /dev/null, no other descriptor.
// It runs only once its pid file is written. Errors: kIo, kDiskFull, kPermission, kNotFound (no
// such program).
Result<ProcessIdentity> spawn_daemon(const DaemonSpec &spec);

// What a pid file names, if that process still runs; nullopt: it does not, or there is no file.
std::optional<ProcessIdentity> running_process(const std::string &pid_path);
bool is_running(const ProcessIdentity &process);
// False if it is gone.
bool send_signal(const ProcessIdentity &process, int signal_number);
bool wait_until_gone(const ProcessIdentity &process, std::uint64_t timeout_ms);

// How a child of this process that is gone ended: "exit code 1", "signal 9"; empty if not known.
std::string how_it_ended(const ProcessIdentity &process);

}  // namespace chain::cli
