/* SPDX-License-Identifier: BSD-3-Clause */
#include "opal/mca/pstat/chain/pstat_chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "chain/meter/rank_file.h"

extern "C" {
#include "opal/constants.h"
#include "opal/dss/dss_types.h"
#include "opal/util/show_help.h"
}

/* 0: not set, or not a number. */
static uint64_t lease_hz(void) {
    const char *text = getenv(CHAIN_ENV_HZ);
    char *end = nullptr;
    if (text == nullptr || text[0] < '0' || text[0] > '9') return 0;
    errno = 0;
    const unsigned long long hz = strtoull(text, &end, 10);
    return errno != 0 || *end != '\0' ? 0 : hz;
}

static int chain_init(void) {
    const char *text = getenv(CHAIN_ENV_HZ);
    if (text != nullptr && lease_hz() == 0) {
        opal_show_help_add_dir(CHAIN_COMPONENT_SOURCE_DIR);
        opal_show_help_add_dir(CHAIN_HELP_DIR);
        opal_show_help("help-pstat-chain.txt", "bad-frequency", true, CHAIN_ENV_HZ, text);
    }
    return OPAL_SUCCESS;
}

static int chain_finalize(void) {
    return OPAL_SUCCESS;
}

static int cpu_ns_of(pid_t pid, uint64_t *cpu_ns) {
    clockid_t clock;
    struct timespec time = {};
    if (cpu_ns == nullptr) return OPAL_ERR_BAD_PARAM;
    if (clock_getcpuclockid(pid, &clock) != 0) return OPAL_ERR_NOT_FOUND;
    if (clock_gettime(clock, &time) != 0) return OPAL_ERR_NOT_FOUND;
    *cpu_ns =
        static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(time.tv_nsec);
    return OPAL_SUCCESS;
}

static int cycles_of(pid_t pid, uint64_t *cycles) {
    uint64_t cpu_ns = 0;
    if (cycles == nullptr) return OPAL_ERR_BAD_PARAM;
    const uint64_t hz = lease_hz();
    if (hz == 0) return OPAL_ERR_NOT_AVAILABLE;
    if (const int rc = cpu_ns_of(pid, &cpu_ns); rc != OPAL_SUCCESS) return rc;
    const unsigned __int128 product = static_cast<unsigned __int128>(cpu_ns) * hz / 1'000'000'000U;
    *cycles = product > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(product);
    return OPAL_SUCCESS;
}

/* Reads a file of /proc whole; 0 when there is nothing. The text ends with NUL. */
static size_t read_proc(const char *path, char *text, size_t size_bytes) {
    FILE *file = fopen(path, "re");
    if (file == nullptr) return 0;
    const size_t length = fread(text, 1, size_bytes - 1, file);
    fclose(file);
    text[length] = '\0';
    return length;
}

/* proc(5), /proc/PID/stat; the name in parentheses may contain anything, also parentheses. */
static int fill_from_stat(pid_t pid, opal_pstats_t *stats) {
    char path[64];
    char text[2048];
    snprintf(path, sizeof path, "/proc/%ld/stat", static_cast<long>(pid));
    if (read_proc(path, text, sizeof text) == 0) return OPAL_ERR_NOT_FOUND;
    char *name = strchr(text, '(');
    char *name_end = strrchr(text, ')');
    if (name == nullptr || name_end == nullptr || name_end < name) return OPAL_ERR_BAD_PARAM;
    *name_end = '\0';
    snprintf(stats->cmd, sizeof stats->cmd, "%s", name + 1);

    int field = 3; /* counted as in proc(5) */
    char *rest = nullptr;
    for (char *word = strtok_r(name_end + 1, " \n", &rest); word != nullptr;
         word = strtok_r(nullptr, " \n", &rest), ++field) {
        switch (field) {
            case 3:
                stats->state[0] = word[0];
                stats->state[1] = '\0';
                break;
            case 18: stats->priority = static_cast<int32_t>(strtol(word, nullptr, 10)); break;
            case 20: stats->num_threads = static_cast<int16_t>(strtol(word, nullptr, 10)); break;
            case 39: stats->processor = static_cast<int16_t>(strtol(word, nullptr, 10)); break;
            default: break;
        }
    }
    return OPAL_SUCCESS;
}

/* The value of "KEY:   123 kB" in mebibytes; 0 when it is not there. */
static float mebibytes_of(const char *text, const char *key) {
    const size_t length = strlen(key);
    for (const char *line = text; line != nullptr && *line != '\0';) {
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            return static_cast<float>(strtoull(line + length + 1, nullptr, 10)) / 1024.0F;
        line = strchr(line, '\n');
        if (line != nullptr) ++line;
    }
    return 0.0F;
}

static void fill_memory(pid_t pid, opal_pstats_t *stats) {
    char path[64];
    char text[8192];
    snprintf(path, sizeof path, "/proc/%ld/status", static_cast<long>(pid));
    if (read_proc(path, text, sizeof text) > 0) {
        stats->vsize = mebibytes_of(text, "VmSize");
        stats->peak_vsize = mebibytes_of(text, "VmPeak");
        stats->rss = mebibytes_of(text, "VmRSS");
    }
    snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", static_cast<long>(pid));
    if (read_proc(path, text, sizeof text) > 0) stats->pss = mebibytes_of(text, "Pss");
}

static void fill_node(opal_node_stats_t *node) {
    char text[8192];
    if (read_proc("/proc/loadavg", text, sizeof text) > 0) {
        char *rest = text;
        node->la = strtof(rest, &rest);
        node->la5 = strtof(rest, &rest);
        node->la15 = strtof(rest, &rest);
    }
    if (read_proc("/proc/meminfo", text, sizeof text) > 0) {
        node->total_mem = mebibytes_of(text, "MemTotal");
        node->free_mem = mebibytes_of(text, "MemFree");
        node->buffers = mebibytes_of(text, "Buffers");
        node->cached = mebibytes_of(text, "Cached");
        node->swap_cached = mebibytes_of(text, "SwapCached");
        node->swap_total = mebibytes_of(text, "SwapTotal");
        node->swap_free = mebibytes_of(text, "SwapFree");
        node->mapped = mebibytes_of(text, "Mapped");
    }
}

static int chain_query(pid_t pid, opal_pstats_t *stats, opal_node_stats_t *node) {
    struct timeval now = {};
    gettimeofday(&now, nullptr);
    if (stats != nullptr) {
        uint64_t cpu_ns = 0;
        if (const int rc = cpu_ns_of(pid, &cpu_ns); rc != OPAL_SUCCESS) return rc;
        stats->sample_time = now;
        stats->pid = pid;
        stats->time.tv_sec = static_cast<time_t>(cpu_ns / 1'000'000'000ULL);
        stats->time.tv_usec = static_cast<suseconds_t>(cpu_ns % 1'000'000'000ULL / 1000);
        if (const int rc = fill_from_stat(pid, stats); rc != OPAL_SUCCESS) return rc;
        fill_memory(pid, stats);
    }
    if (node != nullptr) {
        node->sample_time = now;
        fill_node(node);
    }
    return OPAL_SUCCESS;
}

opal_pstat_chain_module_t opal_pstat_chain_module = {
    .super = {.init = chain_init, .query = chain_query, .finalize = chain_finalize},
    .cpu_ns = cpu_ns_of,
    .cycles = cycles_of,
};
