// SPDX-License-Identifier: BSD-3-Clause
//
// Where this process stands in the cgroups of this machine: version 2 alone, version 1, or both
// beside each other (hybrid), as /proc/self/mounts and /proc/self/cgroup say (cgroups(7)).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace chain::host {

enum class Controller { kCpu, kCpuAccounting, kMemory, kProcesses, kFreezer };
inline constexpr std::size_t kControllerCount = 5;
std::string_view controller_name(Controller controller);  // as version 1 has it: "cpuacct"

struct CgroupLayout {
    struct Hierarchy {
        std::string root;  // where it is mounted; empty: it is not
        std::string own;   // the folder of the group that this process is in; empty: not below root
    };
    Hierarchy v1[kControllerCount];  // those of one mount are the same
    Hierarchy v2;
};

// `mounts` as /proc/self/mounts, `groups` as /proc/self/cgroup. What cannot be read is left out.
CgroupLayout parse_cgroup_layout(std::string_view mounts, std::string_view groups);
CgroupLayout read_cgroup_layout();  // of this process

}  // namespace chain::host
