/* SPDX-License-Identifier: BSD-3-Clause */
#include "oshmem/mca/sshmem/chain/sshmem_chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "chain/meter/rank_file.h"

extern "C" {
#include "orte/util/proc_info.h"
#include "orte/util/show_help.h"
#include "oshmem/constants.h"
}

/* Texts for the user are here and in no file: a sandbox has no file of ours. Open MPI 4.1 does not
 * know the name SHMEM_SYMMETRIC_SIZE. */
static const char kTooLarge[] =
    "The symmetric heap does not fit into the memory of the lease.\n"
    "\n"
    "  host                 %s\n"
    "  heap of each PE      %llu bytes (SHMEM_SYMMETRIC_HEAP_SIZE)\n"
    "  PEs on this host     %llu\n"
    "  memory of the lease  %llu bytes\n"
    "\n"
    "Set SHMEM_SYMMETRIC_HEAP_SIZE to %llu or less (oshrun -x SHMEM_SYMMETRIC_HEAP_SIZE=...), or\n"
    "lease more memory for each slot with --chain-lease N,mem=SIZE.\n";
static const char kNoMemory[] =
    "The symmetric heap could not be made.\n"
    "\n"
    "  host    %s\n"
    "  size    %llu bytes (SHMEM_SYMMETRIC_HEAP_SIZE)\n"
    "  reason  %s\n"
    "\n"
    "Set SHMEM_SYMMETRIC_HEAP_SIZE to less (oshrun -x SHMEM_SYMMETRIC_HEAP_SIZE=...), or lease "
    "more\n"
    "memory for each slot with --chain-lease N,mem=SIZE.\n";

/* Once for all ranks, by mpirun. */
template <typename... Facts>
static void say(const char *topic, const char *format, Facts... facts) {
    char text[1024];
    snprintf(text, sizeof text, format, facts...);
    orte_show_help_norender("sshmem/chain", topic, true, text);
}

static int module_init(void) {
    return OSHMEM_SUCCESS;
}

static int module_finalize(void) {
    return OSHMEM_SUCCESS;
}

/* The heaps of all PEs of this peer must fit into the memory of the leg. */
static int check_size(size_t size_bytes) {
    const char *text = getenv(CHAIN_ENV_MEMORY_BYTES);
    const unsigned long long memory_bytes = text == nullptr ? 0 : strtoull(text, nullptr, 10);
    const unsigned long long pe_count = 1ULL + orte_process_info.num_local_peers;
    if (memory_bytes == 0 || size_bytes <= memory_bytes / pe_count) return OSHMEM_SUCCESS;
    say("too-large", kTooLarge, orte_process_info.nodename,
        static_cast<unsigned long long>(size_bytes), pe_count, memory_bytes,
        memory_bytes / pe_count);
    return OSHMEM_ERR_OUT_OF_RESOURCE;
}

static int segment_create(map_segment_t *segment, const char *file_name, size_t size_bytes,
                          long hint) {
    (void)file_name;
    if (hint != 0) return OSHMEM_ERR_NOT_IMPLEMENTED;
    if (const int rc = check_size(size_bytes); rc != OSHMEM_SUCCESS) return rc;
    shmem_ds_reset(segment);
    /* Every PE needs its heap at the same address. */
    void *address = mmap(mca_sshmem_base_start_address, size_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (address == MAP_FAILED) {
        say("no-memory", kNoMemory, orte_process_info.nodename,
            static_cast<unsigned long long>(size_bytes), strerror(errno));
        return OSHMEM_ERR_OUT_OF_RESOURCE;
    }
    segment->type = MAP_SEGMENT_ALLOC_MMAP;
    segment->seg_id = MAP_SEGMENT_SHM_INVALID;
    segment->super.va_base = address;
    segment->seg_size = size_bytes;
    segment->super.va_end = static_cast<char *>(address) + size_bytes;
    return OSHMEM_SUCCESS;
}

/* The segment is private to its PE: others reach it through the network layer. */
static void *segment_attach(map_segment_t *segment, sshmem_mkey_t *mkey) {
    (void)segment;
    return mkey->va_base;
}

static int segment_detach(map_segment_t *segment, sshmem_mkey_t *mkey) {
    (void)mkey;
    munmap(segment->super.va_base, segment->seg_size);
    shmem_ds_reset(segment);
    return OSHMEM_SUCCESS;
}

static int segment_unlink(map_segment_t *segment) {
    segment->seg_id = MAP_SEGMENT_SHM_INVALID;
    MAP_SEGMENT_INVALIDATE(segment);
    return OSHMEM_SUCCESS;
}

mca_sshmem_base_module_t oshmem_sshmem_chain_module = {
    .module_init = module_init,
    .segment_create = segment_create,
    .segment_attach = segment_attach,
    .segment_detach = segment_detach,
    .unlink = segment_unlink,
    .module_finalize = module_finalize,
};
