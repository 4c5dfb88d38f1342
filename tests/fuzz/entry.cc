// SPDX-License-Identifier: BSD-3-Clause
//
// What libFuzzer calls: the one target that is linked with it.
#include <cstddef>
#include <cstdint>

#include "chain/base/log.h"
#include "tests/fuzz/target.h"

// Most of a run is allocations: keep what finds errors, and leave where a block was allocated for a
// second run of the input that broke (ASAN_OPTIONS=malloc_context_size=30). Without a quarantine
// freed memory stays in the processor's cache, and a run takes half of the time: a block that was
// freed is still found out until it is handed out again.
extern "C" const char *__asan_default_options() {
    return "malloc_context_size=0:quarantine_size_mb=0:thread_local_quarantine_size_kb=0:max_"
           "malloc_fill_size=0";
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *input, std::size_t size_bytes) {
    static const chain::fuzz::Target *const target = [] {
        chain::set_log_level(chain::LogLevel::kError);
        return chain::fuzz::first_target();
    }();
    target->function({reinterpret_cast<const char *>(input), size_bytes});
    return 0;
}
