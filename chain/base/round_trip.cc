// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/round_trip.h"

#include <algorithm>
#include <ctime>

namespace chain {

std::uint64_t monotonic_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

bool RoundTrip::asked(std::uint64_t now_us) {
    if (is_open_ && now_us - asked_at_us_ < kLostAfterUs) return false;
    is_open_ = true;
    asked_at_us_ = now_us;
    return true;
}

void RoundTrip::answered(std::uint64_t now_us) {
    if (!is_open_) return;
    is_open_ = false;
    const std::uint64_t took_us = now_us > asked_at_us_ ? now_us - asked_at_us_ : 0;
    samples_us_[next_] =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(took_us, 1, UINT32_MAX));
    next_ = (next_ + 1) % kSamples;
    count_ = std::min(count_ + 1, kSamples);
}

std::uint32_t RoundTrip::us() const {
    if (count_ == 0) return 0;
    return *std::min_element(samples_us_.begin(),
                             samples_us_.begin() + static_cast<std::ptrdiff_t>(count_));
}

}  // namespace chain
