/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A rank that waits in MPI burns CPU: it calls opal_progress again and again. Every eighth call
 * comes here (callbacks of low priority: each call would cost a few percent of the shortest
 * latencies). Two of them within some ten microseconds are taken for waiting, and the time between
 * them is added up; a rank that works comes back later than that, or not at all. The sum is bounded
 * by CPU time, since a rank that the kernel does not run neither works nor waits at anybody's cost.
 */
#include "ompi/mca/hook/chain/hook_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "chain/meter/rank_file.h"

extern "C" {
#include "opal/runtime/opal_progress.h"
#include "opal/util/show_help.h"
#include "orte/runtime/orte_globals.h"
#include "orte/util/proc_info.h"
}

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Ticks are those of the time stamp counter; what one lasts is measured as the program runs. */
static struct chain_rank_file *rank_file = nullptr;
static uint64_t waited_ticks = 0; /* atomic: any thread may call opal_progress */
static uint64_t spin_max_ticks = 0;
static uint64_t update_ticks = 0;
static uint64_t updated_at_ticks = 0; /* atomic: who moves it, updates */
static uint64_t start_ticks = 0;
static uint64_t start_ns = 0;
static __thread uint64_t last_call_ticks = 0;

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now = {};
    if (clock_gettime(clock, &now) != 0) return 0;
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(now.tv_nsec);
}

static inline uint64_t now_ticks(void) {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return clock_ns(CLOCK_MONOTONIC);
#endif
}

static uint64_t scale(uint64_t value, uint64_t numerator, uint64_t denominator) {
    if (denominator == 0) return 0;
    return static_cast<uint64_t>(static_cast<unsigned __int128>(value) * numerator / denominator);
}

static void update_rank_file(uint64_t ticks) {
    const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    const uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    const uint64_t waited = __atomic_load_n(&waited_ticks, __ATOMIC_RELAXED);
    uint64_t waited_ns = scale(waited, now_ns - start_ns, ticks - start_ticks);
    if (waited_ns > cpu_ns) waited_ns = cpu_ns;
    /* CPU time first: a reader in between sees less waiting, never more than CPU time. */
    __atomic_store_n(&rank_file->cpu_ns, cpu_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&rank_file->waited_ns, waited_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&rank_file->updated_ns, now_ns, __ATOMIC_RELEASE);
}

static int on_progress(void) {
    const uint64_t ticks = now_ticks();
    const uint64_t between = ticks - last_call_ticks;
    last_call_ticks = ticks;
    if (between < spin_max_ticks) __atomic_fetch_add(&waited_ticks, between, __ATOMIC_RELAXED);
    uint64_t updated_at = __atomic_load_n(&updated_at_ticks, __ATOMIC_RELAXED);
    if (ticks - updated_at > update_ticks && ticks > updated_at &&
        __atomic_compare_exchange_n(&updated_at_ticks, &updated_at, ticks, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        update_rank_file(ticks);
    return 0;
}

static struct chain_rank_file *map_rank_file(const char *folder) {
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/%lu.%lu", folder,
                                static_cast<unsigned long>(ORTE_PROC_MY_NAME->jobid),
                                static_cast<unsigned long>(ORTE_PROC_MY_NAME->vpid));
    if (length < 0 || static_cast<size_t>(length) >= sizeof path) return nullptr;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return nullptr;
    void *memory = MAP_FAILED;
    /* posix_fallocate, so that a full disk is an error here and no SIGBUS later. */
    const int rc = posix_fallocate(fd, 0, sizeof(struct chain_rank_file));
    if (rc == 0)
        memory = mmap(nullptr, sizeof(struct chain_rank_file), PROT_READ | PROT_WRITE, MAP_SHARED,
                      fd, 0);
    else
        errno = rc;
    const int reason = errno;
    close(fd);
    errno = reason;
    return memory == MAP_FAILED ? nullptr : static_cast<struct chain_rank_file *>(memory);
}

/* Ticks in a nanosecond x 1000, over two milliseconds: good to a percent, enough for thresholds. */
static uint64_t measure_ticks_per_us(void) {
    constexpr uint64_t kSpanNs = 2'000'000;
    const uint64_t from_ns = clock_ns(CLOCK_MONOTONIC);
    const uint64_t from_ticks = now_ticks();
    uint64_t to_ns = from_ns;
    while (to_ns - from_ns < kSpanNs) to_ns = clock_ns(CLOCK_MONOTONIC);
    const uint64_t per_us = scale(now_ticks() - from_ticks, 1000, to_ns - from_ns);
    return per_us == 0 ? 1 : per_us;
}

/* Where a lease has no memory left the kernel takes a rank, whose end mpirun understands, and not
 * orted, without which the whole peer is lost. */
static void go_before_orted(void) {
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    (void)!write(fd, "500", 3);
    close(fd);
}

extern "C" void ompi_hook_chain_mpi_init_bottom(int argc, char **argv, int requested,
                                                int *provided) {
    (void)argc;
    (void)argv;
    (void)requested;
    (void)provided;
    const char *folder = getenv(CHAIN_ENV_RANK_DIR);
    if (getenv(CHAIN_ENV_LEASE) == nullptr || folder == nullptr || rank_file != nullptr) return;
    go_before_orted();
    const uint64_t per_us = measure_ticks_per_us();
    spin_max_ticks =
        scale(per_us, static_cast<uint64_t>(mca_hook_chain_component.spin_max_ns), 1000);
    update_ticks =
        per_us * 1000 * static_cast<uint64_t>(mca_hook_chain_component.update_interval_ms);
    struct chain_rank_file *file = map_rank_file(folder);
    if (file == nullptr) {
        opal_show_help_add_dir(CHAIN_COMPONENT_SOURCE_DIR);
        opal_show_help_add_dir(CHAIN_HELP_DIR);
        opal_show_help("help-hook-chain.txt", "no-rank-file", true,
                       static_cast<unsigned long>(ORTE_PROC_MY_NAME->vpid), folder,
                       strerror(errno));
        return;
    }
    start_ns = clock_ns(CLOCK_MONOTONIC);
    start_ticks = updated_at_ticks = now_ticks();
    file->rank = ORTE_PROC_MY_NAME->vpid;
    file->pid = static_cast<uint32_t>(getpid());
    rank_file = file;
    update_rank_file(start_ticks + 1);
    __atomic_store_n(&file->magic, CHAIN_RANK_FILE_MAGIC, __ATOMIC_RELEASE);
    (void)opal_progress_register_lp(on_progress);
}

extern "C" void ompi_hook_chain_mpi_finalize_top(void) {
    if (rank_file == nullptr) return;
    (void)opal_progress_unregister(on_progress);
    update_rank_file(now_ticks());
    /* Stays mapped: another thread may be in on_progress still. */
}
