// SPDX-License-Identifier: BSD-3-Clause
//
// RoundTrip: how long a peer takes to answer, from questions of which at most one is open. The
// least of the last ones counts: what is above it, somebody was busy.
//
// No lock: one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace chain {

// Microseconds of a clock that never goes back.
std::uint64_t monotonic_us();

class RoundTrip {
public:
    // A question was sent. True: its answer is the one to wait for; false: an earlier one's still
    // is.
    bool asked(std::uint64_t now_us);
    // Its answer came; an answer to nothing is none.
    void answered(std::uint64_t now_us);

    std::size_t sample_count() const { return count_; }  // kSamples at most
    // 0: not known yet; else at least 1.
    std::uint32_t us() const;

    static constexpr std::size_t kSamples = 8;
    static constexpr std::uint64_t kLostAfterUs = 10'000'000;  // no answer comes any more

private:
    std::array<std::uint32_t, kSamples> samples_us_{};
    std::size_t next_ = 0;
    std::size_t count_ = 0;
    bool is_open_ = false;
    std::uint64_t asked_at_us_ = 0;
};

}  // namespace chain
