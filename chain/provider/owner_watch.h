// SPDX-License-Identifier: BSD-3-Clause
//
// OwnerWatch: what this machine shows of its owner (OwnerSigns): input devices as their events
// come, or where none may be read logind's word, terminals by the time of their last key, load of
// the owner's programs = what is busy less what leases and this daemon use, memory pressure, power,
// named applications.
//
// Keys are not looked at: that there was an event is all that is kept of it.
//
// Owner: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/host/logind.h"
#include "chain/provider/owner_policy.h"

namespace chain::provider {

// Roots of what is read; others in tests.
struct OwnerPaths {
    std::string proc = "/proc";
    std::string dev = "/dev";
    std::string sys = "/sys";
    std::string bus;  // address of the D-Bus with logind; empty: the system's
};

class OwnerWatch {
public:
    struct Leases {
        std::function<std::uint64_t()> cpu_time_ns;  // of all together, so far
        std::function<bool(int pid)> has_process;
    };

    // `on_input` is called when an input device has something, but not twice within a second.
    OwnerWatch(Loop &loop, const Clock &clock, OwnerPaths paths,
               std::vector<std::string> applications, Leases leases,
               std::function<void()> on_input);

    // As of now. `paused` is not of the machine and stays false.
    OwnerSigns look();
    // Which ways to see input there are here, in words: "3 input devices, terminals".
    std::string input_sources() const;

private:
    void find_devices();
    void on_device(const std::string &path);
    std::optional<std::uint64_t> input_idle_ms();
    std::uint32_t load_permille(std::uint64_t now_ms);
    std::uint32_t memory_stall_permille() const;
    bool is_on_battery() const;
    std::string running_application() const;
    std::vector<std::string> terminals() const;

    struct Device {
        FileDescriptor file;
        LoopHandle watch;
    };
    struct Busy {
        std::uint64_t at_ms = 0;  // 0: not yet
        std::uint64_t busy_ns = 0;
        std::uint64_t not_owners_ns = 0;
    };

    Loop &loop_;
    const Clock &clock_;
    const OwnerPaths paths_;
    const std::vector<std::string> applications_;
    const Leases leases_;
    const std::function<void()> on_input_;
    std::map<std::string, Device> devices_;
    host::Logind logind_;
    bool logind_speaks_ = false;  // when it was looked last
    std::uint64_t devices_found_at_ms_ = 0;
    std::uint64_t started_ms_ = 0;
    std::optional<std::uint64_t> last_event_ms_;
    std::uint64_t told_ms_ = 0;
    Busy before_;
    std::uint64_t load_millionths_ = 0;  // of a core, smoothed
};

}  // namespace chain::provider
