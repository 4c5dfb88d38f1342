// SPDX-License-Identifier: BSD-3-Clause
// Loaded before a rank of examples/task_farm: its results (examples/ranks/channel.h: a header, then
// bytes) become something else, as LYING_RANK says.
#include <mpi.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { kHeaderTag = 1, kBytesTag = 2, kResult = 5, kFailed = 6 };

// ranks::Header.
struct header {
    uint32_t magic, word;
    uint64_t job;
    int64_t task;
    uint64_t bytes;
    double seconds;
    int64_t threads;
};

static int lie_is(const char *name) {
    const char *lie = getenv("LYING_RANK");
    return lie != NULL && strcmp(lie, name) == 0;
}

// What was sent instead lives as long as the process: nobody knows here when it has gone.
static void *copy_of(const void *bytes, size_t size) {
    void *copy = malloc(size);
    if (copy == NULL) abort();
    return memcpy(copy, bytes, size);
}

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request) {
    static int is_result;
    if (tag == kHeaderTag) {
        struct header *header = copy_of(data, sizeof *header);
        is_result = header->word == kResult;
        if (is_result && lie_is("huge")) header->bytes = UINT64_C(1) << 60;
        if (is_result && lie_is("elsewhere")) header->task += 1000;
        if (is_result && lie_is("failing")) {
            header->word = kFailed;
            header->bytes = 4;
        }
        data = header;
    } else if (is_result && lie_is("garbage")) {
        data = memset(copy_of(data, (size_t)count), 0xFF, (size_t)count);
    } else if (is_result && lie_is("failing")) {
        data = "why?";
        count = 4;
    } else if (is_result && lie_is("short")) {
        count /= 2;
    }
    if (is_result && lie_is("mute")) {
        *request = MPI_REQUEST_NULL;
        return MPI_SUCCESS;
    }
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}
