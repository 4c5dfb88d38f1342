// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/orted_command.h"
namespace chain::provider {
Result<std::vector<std::string>> orted_command(const wire::Launch &l) {
    return std::vector<std::string>{"/usr/bin/orted", "-mca", "ess", "env", "-mca", "ess_base_jobid", std::to_string(l.jobid()),
      "-mca", "ess_base_vpid", std::to_string(l.vpid()), "-mca", "ess_base_num_procs", std::to_string(l.daemon_count()),
      "-mca", "orte_node_regex", l.node_regex(), "-mca", "orte_hnp_uri", l.hnp_uri(), "-mca", "orte_leave_session_attached", "1"};
}
}
