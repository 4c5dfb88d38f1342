// SPDX-License-Identifier: BSD-3-Clause
//
// Sandbox: one per leg of a lease, around orted and every rank that it starts. bubblewrap with
// user, mount, pid, ipc, uts and cgroup namespaces, an unprivileged uid, an empty environment and
// nothing of the host but /usr read-only (provider.md 2).
//
// Owner: the daemon's loop thread; must be the thread that lives as long as the daemon, because the
// sandbox dies with its parent thread (PR_SET_PDEATHSIG).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chain/base/bytes.h"
#include "chain/base/file.h"
#include "chain/base/loop.h"
#include "chain/host/control_group.h"
#include "chain/meter/meter.h"
#include "chain/wire/peer.pb.h"

namespace chain::provider {

// What of a network is inside.
enum class SandboxNetwork {
    kNone,   // loopback
    kLease,  // and the lease's (chain/overlay)
    kHost    // the machine's own: everything that it can reach
};

struct SandboxSpec {
    std::string lease_folder;  // host path; made by prepare_lease_folder
    std::string host_name;
    std::string job_folder;         // path inside, where <lease_folder>/job is bound, writable
    std::vector<std::string> argv;  // inside
    std::vector<std::pair<std::string, std::string>> environment;  // the whole of it
    std::vector<std::pair<std::string, std::string>> read_only;    // {host path, path inside}
    std::vector<std::pair<std::string, std::string>> writable;  // the leg's own, in the same form
    std::vector<std::string> devices;                           // device files, the same inside
    std::string root_folder;  // host path of a root that is not this system's; empty: this one's
    SandboxNetwork network = SandboxNetwork::kNone;
    std::uint32_t member = 0;               // of the lease's
    std::vector<std::string> member_hosts;  // names of members 1, 2 … in /etc/hosts
    std::uint64_t memory_bytes = 0;         // of /dev/shm and /tmp; 0: a quarter of the machine's
    host::ControlGroup *group = nullptr;    // around all processes; it must outlive the sandbox
};

// Why nothing can be lent here, in words (no bwrap, no user namespaces); ok otherwise.
Status probe_sandbox();
// Why no lease can have a network of its own here.
Status probe_lease_network();

class Sandbox {
public:
    // Of a lease's network: its ends that belong to the daemon.
    struct NetworkEnds {
        FileDescriptor device;
        FileDescriptor listener;
    };
    // Starts argv. Errors: kPermission, kIo, kNotFound with what to install; what fails later is in
    // last_words(). `on_network`: once, when there is a lease's network, which takes a while.
    // `on_exit`: once, when the last process is gone: exit status as of waitpid. Both from the
    // loop.
    static Result<std::unique_ptr<Sandbox>> start(Loop &loop, const SandboxSpec &spec,
                                                  meter::LeaseMeter &meter,
                                                  std::function<void(NetworkEnds)> on_network,
                                                  std::function<void(int wait_status)> on_exit);
    virtual ~Sandbox() = default;  // kills what is left
    // SIGKILL to every process inside; on_exit follows.
    virtual void kill() = 0;
    virtual int pid() const = 0;  // of the outermost process, on the host
    // The last lines that orted wrote to its stderr: for messages.
    virtual std::string last_words() const = 0;
};

}  // namespace chain::provider
