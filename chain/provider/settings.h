// SPDX-License-Identifier: BSD-3-Clause
//
// Settings: what a machine lends and what its owner wants, from one commented TOML file
// (DATA/settings.toml). What the command line says goes before it.
#pragma once

#include <string>
#include <vector>

#include "chain/base/units.h"
#include "chain/identity/keys.h"
#include "chain/provider/lease_folder.h"
#include "chain/provider/owner_policy.h"
#include "chain/provider/owner_watch.h"
#include "chain/stage/web.h"

namespace chain::provider {

inline constexpr std::size_t kSettingsBytesMax = 64u << 10;
inline constexpr std::size_t kSettingsLineBytesMax = 4u << 10;  // the parser recurses into a.a.a…
inline constexpr std::uint64_t kScratchBytesMin = kLeaseVolumeBytesMin;
inline constexpr std::uint64_t kScratchBytesMax = 64ULL << 30;
inline constexpr std::uint64_t kScratchBytesDefault = 4ULL << 30;
inline constexpr std::uint64_t kCacheBytesMin = 1ULL << 20;
inline constexpr std::uint64_t kCacheBytesMax = 1ULL << 40;
inline constexpr std::uint64_t kCacheBytesDefault = 4ULL << 30;
inline constexpr std::int64_t kSlotsMax = 4'096;

inline constexpr std::uint64_t kRelayRateMin = 64ULL << 10;
inline constexpr std::uint64_t kRelayRateMax = 64ULL << 30;
inline constexpr std::uint64_t kRelayRateDefault = 4ULL << 20;

// What this machine carries between peers that cannot connect to each other, and what its owner
// pays for being carried.
struct RelaySettings {
    enum class When { kIfPublic, kAlways, kNever };  // kIfPublic: if its own address is
    When when = When::kIfPublic;
    std::uint64_t bytes_per_second = kRelayRateDefault;  // in all
    Amount price_per_gib;                                // that others pay; 0: nothing
    // To others: for a GiB, and in all while the daemon runs. 0: only what costs nothing is used.
    Amount pay_per_gib_most;
    Amount pay_most;
};

struct LendSettings {
    std::uint32_t slot_count = 0;  // 0: lends nothing
    Amount ask_per_ghz_h;
    std::vector<PublicKey> free_for;  // accounts that pay nothing: the owner's, for own machines
    std::uint64_t memory_bytes = 0;   // of all leases together; 0: half of the machine's
    std::string host;                 // empty: the machine's name
    std::string region;
    std::uint32_t cap_percent = 80;  // of all processors together, for all that is lent
    std::uint64_t scratch_bytes = kScratchBytesDefault;  // of disk, for each lease at most
    std::uint64_t cache_bytes = kCacheBytesDefault;      // of disk, for what renters sent; 0: none
    // Leases that ask for it see the machine's network; all others have one of their own.
    bool plain_network = false;
    bool lends_gpus = false;  // all that NVIDIA's driver sees and its owner does not use
    std::string gpu_library;  // of the driver; empty: kNvmlLibrary
    stage::WebRules stores = stage::WebRules::usual();  // that it fetches from for renters
    OwnerRules owner_rules = OwnerRules::none();
    OwnerPaths owner_paths;
    RelaySettings relay;
};

// Of `text`, an account's address, to `accounts`. Errors: kInvalidInput, also for one too many.
Status add_free_for(std::string_view text, std::vector<PublicKey> &accounts);

// Into `settings`. Errors, each with the file and the line: kInvalidInput (no TOML, a name that is
// not known, a value that makes no sense), kTooLarge.
Status parse_settings(const std::string &path, std::string_view text, LendSettings &settings);
// A missing file is fine where it was not asked for by name. Errors: also kNotFound, kIo.
Status read_settings(const std::string &path, bool must_exist, LendSettings &settings);

// "public", "always", "never". Errors: kInvalidInput.
Result<RelaySettings::When> parse_relay_when(std::string_view text);

// Of a lease's disk: "4G". Errors: kInvalidInput, also outside of kScratchBytesMin and
// kScratchBytesMax.
Result<std::uint64_t> parse_scratch_size(std::string_view text);

// Of what renters sent, kept for the next time: "4G"; "0": nothing. Errors: kInvalidInput.
Result<std::uint64_t> parse_cache_size(std::string_view text);

// "Mon-Fri 18:00-08:00": one window for each day, which may end on the next; "daily 22:00-06:00",
// "Sat-Sun 00:00-24:00". Errors: kInvalidInput.
Result<std::vector<WeekWindow>> parse_windows(std::string_view text);
// Few texts that parse_windows takes, for windows that it made.
std::vector<std::string> format_windows(const std::vector<WeekWindow> &windows);

// All of it as a commented file, which parse_settings reads as the same.
std::string format_settings(const LendSettings &settings);

}  // namespace chain::provider
