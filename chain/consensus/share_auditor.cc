// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/share_auditor.h"

#include "chain/base/log.h"

namespace chain::consensus {

void ShareAuditor::look_at(const PublicKey &account, const wire::OpenShares &action) {
    for (const wire::ShareOpening &opening : action.openings()) {
        if (waiting_ >= kWaitingMax) return;
        ++waiting_;
        const auto hash = std::make_shared<std::optional<Result<Bytes32>>>();
        worker_.run([this, hash, header = opening.header()] { *hash = pow_.hash(header); },
                    [this, hash, account, opening, epoch = action.epoch()] {
                        --waiting_;
                        if (!(*hash)->ok()) {
                            log(LogLevel::kDebug, "consensus",
                                "a share is not looked at: ", (*hash)->error().message);
                            return;
                        }
                        if (to_bytes(***hash) == opening.work()) return;
                        wire::ShareFault fault;
                        fault.set_account(to_bytes(account));
                        fault.set_epoch(epoch);
                        *fault.mutable_leaf() = opening;
                        on_fault_(fault);
                    });
    }
}

}  // namespace chain::consensus
