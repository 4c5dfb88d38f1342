// SPDX-License-Identifier: BSD-3-Clause
//
// Clock: the one way to the time, so that tests can bring their own.
#pragma once

#include <cstdint>
#include <string>

namespace chain {

class Clock {
public:
    virtual ~Clock() = default;
    virtual std::uint64_t unix_ms() const = 0;    // may jump; for ledger and people
    virtual std::uint64_t steady_ms() const = 0;  // never goes back; for intervals
};

// The operating system's clocks. Thread-safe, never destroyed.
const Clock &system_clock();

class ManualClock final : public Clock {
public:
    explicit ManualClock(std::uint64_t unix_ms = 1'700'000'000'000ULL) : unix_ms_(unix_ms) {}
    void advance_ms(std::uint64_t ms) {
        unix_ms_ += ms;
        steady_ms_ += ms;
    }
    std::uint64_t unix_ms() const override { return unix_ms_; }
    std::uint64_t steady_ms() const override { return steady_ms_; }

private:
    std::uint64_t unix_ms_;
    std::uint64_t steady_ms_ = 0;
};

// "2026-11-22T10:03:07Z"
std::string format_utc(std::uint64_t unix_ms);

}  // namespace chain
