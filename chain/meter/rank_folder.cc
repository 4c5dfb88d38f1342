// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <charconv>
#include <map>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/meter/meter.h"
#include "chain/meter/rank_file.h"

namespace chain::meter {
namespace {

using Wide = unsigned __int128;

// Entries looked at, of whatever kind: a program can make millions of them.
constexpr std::size_t kEntriesMax = 2 * CHAIN_RANK_FILES_MAX;

struct Claim {
    Wide cpu_ns = 0;
    Wide waited_ns = 0;
};

// "<jobid>.<rank>", decimal, nothing else.
bool parse_name(std::string_view name, std::uint32_t &rank) {
    std::uint32_t jobid = 0;
    const char *end = name.data() + name.size();
    const auto job = std::from_chars(name.data(), end, jobid);
    if (job.ec != std::errc() || job.ptr == end || *job.ptr != '.') return false;
    const auto number = std::from_chars(job.ptr + 1, end, rank);
    return number.ec == std::errc() && number.ptr == end;
}

// O_NONBLOCK: a pipe under this name must not hold the daemon. pread, not mmap: the file may be
// cut short at any moment.
bool read_rank_file(int folder, const char *name, chain_rank_file &file) {
    FileDescriptor fd(openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    return fd.valid() && fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) &&
           status.st_size == sizeof file && pread(fd.get(), &file, sizeof file, 0) == sizeof file &&
           file.magic == CHAIN_RANK_FILE_MAGIC;
}

std::map<std::uint32_t, Claim> read_claims(DIR *folder) {
    std::map<std::uint32_t, Claim> claims;
    std::size_t entry_count = 0;
    std::size_t file_count = 0;
    while (const dirent *entry = readdir(folder)) {
        if (++entry_count > kEntriesMax || file_count >= CHAIN_RANK_FILES_MAX) break;
        std::uint32_t rank = 0;
        chain_rank_file file{};
        if (!parse_name(entry->d_name, rank) || !read_rank_file(dirfd(folder), entry->d_name, file))
            continue;
        if (file.rank != rank) continue;
        ++file_count;
        Claim &claim = claims[rank];  // the same rank of a later job adds to it
        claim.cpu_ns += file.cpu_ns;
        claim.waited_ns += std::min(file.waited_ns, file.cpu_ns);
    }
    return claims;
}

}  // namespace

std::vector<RankUsage> read_rank_folder(const std::string &folder, const Usage &lease_usage) {
    FileDescriptor fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return {};
    DIR *entries = fdopendir(fd.get());
    if (entries == nullptr) return {};
    fd.release();
    const auto claims = read_claims(entries);
    closedir(entries);

    Wide claimed_ns = 0;
    for (const auto &[rank, claim] : claims) claimed_ns += claim.cpu_ns;
    // Ranks that claim more than the lease used share what it used.
    const Wide whole_ns = std::max<Wide>(claimed_ns, lease_usage.cpu_time_ns);
    // 64 bits times 76 (4096 sums of 64) would overflow: both are halved until it fits.
    int shift = 0;
    while ((whole_ns >> shift) >> 64 != 0) ++shift;
    std::vector<RankUsage> usages;
    for (const auto &[rank, claim] : claims) {
        RankUsage usage{rank};
        if (const Wide whole = whole_ns >> shift; whole > 0) {
            usage.cycles =
                static_cast<Cycles>((claim.cpu_ns >> shift) * lease_usage.cycles / whole);
            usage.waited_cycles =
                static_cast<Cycles>((claim.waited_ns >> shift) * lease_usage.cycles / whole);
        }
        usages.push_back(usage);
    }
    return usages;
}

}  // namespace chain::meter
