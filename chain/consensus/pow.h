// SPDX-License-Identifier: BSD-3-Clause
//
// PowFunction: the hash that a header must have below its target. Which one is a chain's choice,
// in its genesis.
//   sha256d  SHA-256 twice, about a microsecond: for tests and devnets, as special machines are
//            millions of times faster at it than a CPU
//   randomx  random programs that a CPU is made for, tens of milliseconds in light mode
#pragma once

#include <memory>

#include "chain/base/bytes.h"

namespace chain::consensus {

class PowFunction {
public:
    virtual ~PowFunction() = default;
    virtual std::string_view name() const = 0;
    // Any thread, several at once. Errors: kIo when the memory that it needs cannot be had (randomx
    // only; the next call tries again): that says nothing of the header.
    virtual Result<Bytes32> hash(std::string_view header_bytes) const = 0;
};

// What randomx takes at its first hash: a cache that all threads share, and a machine for each
// thread that hashes at the same time. They are kept until the function is destroyed.
inline constexpr std::uint64_t kRandomxCacheBytes = std::uint64_t{256} << 20;
inline constexpr std::uint64_t kRandomxMachineBytes = std::uint64_t{2} << 20;

// "sha256d" or "randomx", keyed by the chain's id: each chain has programs of its own. (RandomX's
// authors advise a key that also changes from time to time, against special machines.)
// Errors: kInvalidInput (no such function), kNotFound (this build has no RandomX).
Result<std::unique_ptr<PowFunction>> make_pow(std::string_view name, const Bytes32 &chain_id);

// randomx with any key of 1 to 60 bytes: for RandomX's own test vectors. Errors: as make_pow.
Result<std::unique_ptr<PowFunction>> make_randomx(std::string_view key);

}  // namespace chain::consensus
