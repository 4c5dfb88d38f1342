// SPDX-License-Identifier: BSD-3-Clause
//
// TokenBucket: at most `burst` at once and `per_second` in the long run. Belongs to one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "chain/base/result.h"

namespace chain::p2p {

class TokenBucket {
public:
    // Precondition: 0 < per_second, 0 < burst < 2^40.
    TokenBucket(std::uint64_t per_second, std::uint64_t burst, std::uint64_t now_ms)
        : per_second_(per_second), burst_(burst), tokens_(burst), refilled_at_ms_(now_ms) {
        CHAIN_CHECK(per_second > 0 && burst > 0 && burst < 1ULL << 40);
    }

    // Takes `count`, going into debt if need be, and returns for how many ms to wait before taking
    // again: 0 while there is no debt.
    std::uint64_t take(std::uint64_t count, std::uint64_t now_ms) {
        refill(now_ms);
        const std::uint64_t from_stock = std::min(count, tokens_);
        tokens_ -= from_stock;
        debt_ += count - from_stock;
        return debt_ == 0 ? 0 : debt_ * 1000 / per_second_ + 1;
    }

    // Takes `count` if so many are there.
    bool try_take(std::uint64_t count, std::uint64_t now_ms) {
        refill(now_ms);
        if (debt_ > 0 || tokens_ < count) return false;
        tokens_ -= count;
        return true;
    }
    bool is_full(std::uint64_t now_ms) const {
        TokenBucket then = *this;
        then.refill(now_ms);
        return then.tokens_ == burst_;
    }

private:
    void refill(std::uint64_t now_ms) {
        if (now_ms <= refilled_at_ms_) return;
        // A pause longer than this fills any bucket; it also keeps the product in 64 bits.
        const std::uint64_t passed_ms =
            std::min<std::uint64_t>(now_ms - refilled_at_ms_, 1000 * (burst_ / per_second_ + 2));
        std::uint64_t earned = passed_ms * per_second_ / 1000;
        // Too short a time for one token stays on account.
        if (earned == 0) return;
        refilled_at_ms_ = now_ms;
        const std::uint64_t repaid = std::min(earned, debt_);
        debt_ -= repaid;
        earned -= repaid;
        tokens_ = std::min(burst_, tokens_ + earned);
    }

    std::uint64_t per_second_;
    std::uint64_t burst_;
    std::uint64_t tokens_;
    std::uint64_t debt_ = 0;
    std::uint64_t refilled_at_ms_;
};

}  // namespace chain::p2p
