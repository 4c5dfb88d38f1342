// SPDX-License-Identifier: BSD-3-Clause
//
// Lease spec: from the words after mpirun's --chain-* flags to what the daemon is asked for.
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chain/base/result.h"
#include "chain/wire/control.pb.h"

namespace chain::client {

inline constexpr std::uint64_t kLeaseSlotsMax = 65'536;
inline constexpr std::size_t kLeaseProvidersMax = 64;
inline constexpr std::uint64_t kGpusPerSlotMax = 16;
inline constexpr std::uint64_t kHomeSlotsMax = 4'096;

// The flags as typed; an empty text means that the flag was not given.
struct LeaseFlags {
    std::string lease;
    std::string max_price;
    std::string budget;
    std::string time;
    std::string wait;
    std::string start;
    std::string reservation;
    std::string home;
    std::string stage_in;
    std::string stage_out;
    std::string stage_max;
    std::string relaunch;
    std::string net;
    std::string report;
    bool explain = false;
    bool tolerate_loss = false;
};

// The flags, understood.
struct LeaseOrder {
    wire::LeaseSpec spec;
    std::string reservation;  // which one begins; empty: none, `spec` says what is wanted
    bool explain = false;
    bool stage_program_only = false;     // --chain-stage-in none
    std::vector<std::string> stage_in;   // paths as typed
    std::vector<std::string> stage_out;  // globs; empty: every new or changed file
    std::string results_url;             // s3://BUCKET/PREFIX; empty: the working folder
    std::uint64_t stage_max_bytes = 0;
    std::string report_path;
    unsigned relaunch = 0;  // how often the job starts again when a peer is lost
};

// "16,mem=2G,ghz=2.5,gpu=1,notice=30s,region=eu,provider=a+b". Errors: kInvalidInput names the part
// and shows the right form; kNotYet for conditions that a later version will have.
Result<wire::LeaseSpec> parse_lease_spec(std::string_view text);

// All flags; times are counted from `now_ms`, Unix time. Errors: as above, with the flag's name.
Result<LeaseOrder> parse_lease_flags(const LeaseFlags &flags, std::uint64_t now_ms);

// Hex digits of a lease's id, or `next`. Errors: kInvalidInput.
Status check_reservation(std::string_view text);

}  // namespace chain::client
