// SPDX-License-Identifier: BSD-3-Clause
//
// What a node knows of finality, in a file that is replaced at once and is on disk when a write
// returns.
#pragma once

#include "chain/consensus/consensus.h"

namespace chain::consensus {

// The bytes of such a file. Errors: kCorrupt, kConflict (another chain's). `path` is for the text.
Result<KnownFinality> parse_finality(const std::string &path, std::string_view bytes,
                                     const Bytes32 &chain_id);
Bytes format_finality(const KnownFinality &known, const Bytes32 &chain_id);

// Errors: kCorrupt, kConflict (another chain's), kIo. No file: nothing but the genesis is final.
Result<KnownFinality> read_finality_file(const std::string &path, const Bytes32 &chain_id);
// Errors: kDiskFull, kIo.
Status write_finality_file(const std::string &path, const Bytes32 &chain_id,
                           const KnownFinality &known);

}  // namespace chain::consensus
