// SPDX-License-Identifier: BSD-3-Clause
// Between the thread that stores tiles and those that write the file: how many of an image's first
// rows are final.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace hpips {

class RowGate {
public:
    void open(int rows) {
        change([&] { rows_ = std::max(rows_, rows); });
    }
    // No row changes any more: what was written of them may take its place.
    void finish() {
        change([&] { is_finished_ = true; });
    }
    // The writing is called off.
    void close() {
        change([&] { is_closed_ = true; });
    }

    // Until they are final; false: called off.
    bool wait_rows(int rows) {
        return wait([&] { return rows_ >= rows; });
    }
    bool wait_finish() {
        return wait([&] { return is_finished_; });
    }

private:
    template <class Change>
    void change(Change make) {
        {
            const std::lock_guard lock(mutex_);
            make();
        }
        changed_.notify_all();
    }
    template <class Condition>
    bool wait(Condition is_met) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_closed_ || is_met(); });
        return !is_closed_;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    int rows_ = 0;
    bool is_finished_ = false;
    bool is_closed_ = false;
};

}  // namespace hpips
