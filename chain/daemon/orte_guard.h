// SPDX-License-Identifier: BSD-3-Clause
//
// OrteGuard: what comes from the orted of one leg, before mpirun sees it. ORTE trusts everybody who
// is connected: mpirun starts programs, reads files and gives up at anybody's word. This lets
// through only what an orted of Open MPI 4.1 has to say about itself and its ranks, message by
// message, and only when all of it is here; see docs/mpirun_guard.md. Pure: no I/O, no clock.
//
// Owner: the loop's thread. Limits: kOrteMessageBytesMax is what it holds back; kOrteKeptBytesMax,
// kOrteKeptMessagesMax and kOrteWritersMax are what it lets a leg leave in mpirun's memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>

#include "chain/base/bytes.h"

namespace chain::daemon {

inline constexpr std::size_t kOrteHeaderBytes = 64;
inline constexpr std::size_t kOrteMessageBytesMax = 4u << 20;  // of which ranks are most
inline constexpr std::uint64_t kOrteKeptBytesMax = 64ull << 20;
inline constexpr std::uint32_t kOrteKeptMessagesMax = 100'000;
inline constexpr std::uint32_t kOrteRanksMax = 1u << 16;
inline constexpr std::size_t kOrteWritersMax = 1u << 14;  // ranks of a leg that wrote anything
inline constexpr std::size_t kOrteNameBytesMax = 1024;    // of a machine, of where an orted listens
inline constexpr std::uint64_t kOrteTopologyBytesMax = 8ull << 20;

// Who is at the other end: what the leg's Launch says.
struct OrteLeg {
    std::uint32_t jobid = 0;
    std::uint32_t vpid = 0;
    std::uint32_t daemon_count = 0;
};

class OrteGuard {
public:
    explicit OrteGuard(const OrteLeg &leg) : leg_(leg) {}

    // Appends to `passed` the messages that became whole and may go on. Errors: kProtocol, with
    // what it was that no orted says; nothing of that message is in `passed`, and no more may be
    // taken.
    Status take(std::string_view bytes, Bytes &passed);

private:
    struct Header;

    Status check_header();
    Status check_whole();
    Status check_greeting(const Header &header, std::string_view payload);
    Status check_relayed(const Header &header, std::string_view payload);
    Status check_for_mpirun(std::uint32_t tag, std::string_view payload);
    Status check_plm(std::string_view payload);
    Status check_output(std::string_view payload);
    Status count_kept(std::size_t size_bytes);

    const OrteLeg leg_;
    Bytes held_;                 // a message that is not whole yet
    std::size_t due_bytes_ = 0;  // of which it is, header and all; 0: not known yet
    bool greeted_ = false;
    bool reported_ = false;  // its orted called back
    bool has_topology_ = false;
    std::uint64_t kept_bytes_ = 0;
    std::uint32_t kept_count_ = 0;
    std::unordered_set<std::uint64_t> writers_;
};

}  // namespace chain::daemon
