// SPDX-License-Identifier: BSD-3-Clause
//
// ShareAuditor: computes again the hashes of the shares that others open, which executing a block
// does not (RandomX takes 40 ms for each), and says which are false.
//
// Owner: the loop's thread; what it finds comes there. Loop and function outlive it.
#pragma once

#include <functional>

#include "chain/base/loop.h"
#include "chain/consensus/pow.h"
#include "chain/ledger/types.h"

namespace chain::consensus {

class ShareAuditor {
public:
    // Openings that wait; further ones are passed over: others look at them too.
    static constexpr std::size_t kWaitingMax = 1'024;

    ShareAuditor(Loop &loop, const PowFunction &pow_function,
                 std::function<void(const wire::ShareFault &)> on_fault)
        : pow_(pow_function), on_fault_(std::move(on_fault)), worker_(loop, 1) {}

    // All that are opened in a transaction of `account`, on a thread of its own.
    void look_at(const PublicKey &account, const wire::OpenShares &action);

private:
    const PowFunction &pow_;
    const std::function<void(const wire::ShareFault &)> on_fault_;
    std::size_t waiting_ = 0;
    WorkerPool worker_;  // last: its end waits for what still uses the above
};

}  // namespace chain::consensus
