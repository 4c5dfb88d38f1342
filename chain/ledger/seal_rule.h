// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "chain/ledger/block.h"

namespace chain::ledger {

// Who may seal a block, and when: a rule of consensus (chain/consensus) that a chain asks before it
// takes one. Pure: no clock.
class SealRule {
public:
    virtual ~SealRule() = default;
    // `state` is that after `parent`, to which the block attaches. Errors: kPermission (not this
    // sealer, or not yet), kInvalidInput (not enough work, wrong weight), kIo, kCorrupt.
    virtual Status check(const Block &block, const Tip &parent, const StateReader &state) const = 0;
    // The proof-of-work hash of a header. Errors: kInvalidInput (blocks take no work here),
    // kIo (no memory for it).
    virtual Result<Bytes32> work_of_header(std::string_view header_bytes) const = 0;
};

}  // namespace chain::ledger
