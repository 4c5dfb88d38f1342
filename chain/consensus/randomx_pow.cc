// SPDX-License-Identifier: BSD-3-Clause
//
// RandomX in light mode: each hash computes the items of the dataset that it reads from a cache of
// 256 MiB. Miners could keep the whole dataset instead: a sixth of the time for a hash (6 for 37
// ms, measured), for 2 GiB more memory and a minute of CPU time at each start. A machine that is
// lent to others has neither to spare. The hashes are the same, so no rule stands in the way.
#include "chain_config.h"

#include <mutex>
#include <vector>

#include "chain/consensus/pow.h"

#ifdef HAVE_RANDOMX
#include <randomx.h>
#endif

namespace chain::consensus {

#ifdef HAVE_RANDOMX
namespace {

struct Release {
    void operator()(randomx_cache *cache) const { randomx_release_cache(cache); }
    void operator()(randomx_vm *machine) const { randomx_destroy_vm(machine); }
};
using Cache = std::unique_ptr<randomx_cache, Release>;
using Machine = std::unique_ptr<randomx_vm, Release>;

class RandomxPow final : public PowFunction {
public:
    explicit RandomxPow(std::string_view key) : key_(key) {}

    std::string_view name() const override { return "randomx"; }

    Result<Bytes32> hash(std::string_view header_bytes) const override {
        CHAIN_ASSIGN(Machine machine, take());
        Bytes32 hash;
        randomx_calculate_hash(machine.get(), header_bytes.data(), header_bytes.size(),
                               hash.data());
        const std::lock_guard lock(mutex_);
        idle_.push_back(std::move(machine));
        return hash;
    }

private:
    // A machine that nobody else uses: an idle one, or a new one. The first caller fills the cache,
    // and the others wait for it, as they cannot do anything without.
    Result<Machine> take() const {
        const std::lock_guard lock(mutex_);
        if (cache_ == nullptr) {
            cache_.reset(randomx_alloc_cache(flags()));
            if (cache_ == nullptr) return no_memory("cache", kRandomxCacheBytes);
            randomx_init_cache(cache_.get(), key_.data(), key_.size());
        }
        if (!idle_.empty()) {
            Machine machine = std::move(idle_.back());
            idle_.pop_back();
            return machine;
        }
        Machine machine(randomx_create_vm(flags(), cache_.get(), nullptr));
        if (machine == nullptr) return no_memory("machine of a thread", kRandomxMachineBytes);
        return machine;
    }

    // What this CPU can do; and programs, which come from headers of strangers, are never in pages
    // that are writable and executable at once.
    static randomx_flags flags() { return randomx_get_flags() | RANDOMX_FLAG_SECURE; }

    static Error no_memory(std::string_view what, std::uint64_t size_bytes) {
        return make_error(ErrorCode::kIo, "the ", what, " of RandomX needs ", size_bytes >> 20,
                          " MiB of memory, which cannot be had");
    }

    const Bytes key_;
    mutable std::mutex mutex_;
    mutable Cache cache_;  // read by all machines, so destroyed after them
    mutable std::vector<Machine> idle_;
};

}  // namespace

Result<std::unique_ptr<PowFunction>> make_randomx(std::string_view key) {
    CHAIN_CHECK(!key.empty() && key.size() <= 60);
    return std::unique_ptr<PowFunction>(std::make_unique<RandomxPow>(key));
}

#else

Result<std::unique_ptr<PowFunction>> make_randomx(std::string_view) {
    return make_error(ErrorCode::kNotFound,
                      "this build has no RandomX: apt-get install "
                      "librandomx-dev, then configure and build again");
}

#endif

}  // namespace chain::consensus
