// SPDX-License-Identifier: BSD-3-Clause
//
// ControlGroup: the cgroups around all processes of one leg of a lease: they bound its processors,
// memory and processes, count its CPU time, let it give way, freeze it and end it, and nothing
// inside can leave them. One object stands for the folders in each hierarchy that the machine has
// (cgroup_layout.h); GroupTree makes them below a group of the daemon's own, which holds all that
// is lent together below the owner's cap.
//
// What a machine does not allow is left out and named (GroupSupport): an ordinary user without a
// delegated group gets nothing of it.
//
// Owner: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chain/base/result.h"
#include "chain/host/cgroup_layout.h"

namespace chain::host {

struct GroupLimits {
    std::uint32_t cpu_percent = 0;    // of one core's time: 150 is a core and a half; 0: no limit
    std::uint32_t cpu_weight = 100;   // where others want the processor, too; a session's is 100
    std::uint64_t memory_bytes = 0;   // with swap; 0: no limit
    std::uint32_t processes_max = 0;  // and threads; 0: no limit
};

// Which of them hold here.
struct GroupSupport {
    bool cpu = false;  // the limit, and giving way
    bool memory = false;
    bool processes = false;
    bool cpu_time = false;
    bool freezer = false;
    bool is_full() const { return cpu && memory && processes && cpu_time && freezer; }
    std::string missing() const;  // "memory, freezer"; empty if all hold
    friend bool operator==(const GroupSupport &, const GroupSupport &) = default;
};

class ControlGroup {
public:
    ~ControlGroup();  // kills what is left inside
    ControlGroup(const ControlGroup &) = delete;
    ControlGroup &operator=(const ControlGroup &) = delete;

    const GroupSupport &support() const { return support_; }
    // Puts a process with all its threads inside; what it starts is born there. Errors: kNotFound
    // (it has ended), kPermission, kIo.
    Status adopt(int pid);
    // Of all that ever were inside. Errors: kNotFound (not counted here), kIo.
    Result<std::uint64_t> cpu_time_ns() const;
    // Its processes run only where nobody else wants the processor. Errors: kNotFound (no such
    // control here), kIo.
    Status set_yielding(bool yields);
    // Returns when all have stopped. Errors: kNotFound (no such control), kTimeout (some have not
    // stopped within a second; they will), kIo.
    Status set_frozen(bool frozen);
    // Events so far, 0 where they are not counted: processes that the kernel killed because the
    // memory was used up, and such that were not started because there were too many.
    std::uint64_t memory_kills() const;
    // Its own, at one time: what is killed without that died of the machine's being short.
    bool used_up_memory() const;
    std::uint64_t refused_forks() const;
    std::uint64_t memory_bytes() const;  // in use now; 0 where not counted
    std::vector<int> processes() const;  // pids, as this process sees them
    void kill();                         // SIGKILL to everything inside, frozen or not

private:
    friend class GroupTree;
    struct Place {
        std::string folder;
        int version = 0;  // 0: nowhere
        bool exists() const { return version != 0; }
    };
    struct Places {
        Place core;  // in version 2: what needs no controller
        Place of[kControllerCount];
        std::vector<std::string> folders() const;  // each once
    };
    ControlGroup(const Places &parent, const std::string &name);
    void find_support();
    Status set_weight(std::uint32_t weight);
    Status set_limits(const GroupLimits &limits);
    const Place &of(Controller controller) const {
        return places_.of[static_cast<std::size_t>(controller)];
    }

    Places places_;
    GroupSupport support_;
    std::uint32_t weight_ = 100;
};

class GroupTree {
public:
    // `cap` holds for all groups together. They are made below those that this process is in; a
    // daemon of root makes those that share out processors below the top, so that giving way is
    // giving way to everybody. Removes what daemons that were killed have left.
    GroupTree(const CgroupLayout &layout, const GroupLimits &cap);
    GroupTree(const GroupTree &) = delete;
    GroupTree &operator=(const GroupTree &) = delete;

    // What groups made here will have.
    const GroupSupport &support() const { return all_->support(); }
    // Everything that is lent, together.
    ControlGroup &all() { return *all_; }
    // Precondition: this object outlives the group. Errors: kPermission, kIo.
    Result<std::unique_ptr<ControlGroup>> make(const GroupLimits &limits);

private:
    const GroupLimits cap_;
    std::unique_ptr<ControlGroup> all_;
    unsigned sequence_ = 0;
};

}  // namespace chain::host
