// SPDX-License-Identifier: BSD-3-Clause
//
// Settings: what a machine lends and what its owner wants, from one commented TOML file
// (DATA/settings.toml). What the command line says goes before it.
#pragma once

#include <string>

#include "chain/daemon/provider_agent.h"

namespace chain::daemon {

inline constexpr std::size_t kSettingsBytesMax = 64u << 10;

// Into `options`. Errors, each with the file and the line: kInvalidInput (no TOML, a name that is
// not known, a value that makes no sense), kTooLarge.
Status parse_settings(const std::string &path, std::string_view text, ProviderOptions &options);
// A missing file is fine where it was not asked for by name. Errors: also kNotFound, kIo.
Status read_settings(const std::string &path, bool must_exist, ProviderOptions &options);

// Of a lease's disk: "4G". Errors: kInvalidInput, also outside of kScratchBytesMin and
// kStageBytesMax.
Result<std::uint64_t> parse_scratch_size(std::string_view text);

// "Mon-Fri 18:00-08:00": one window for each day, which may end on the next; "daily 22:00-06:00",
// "Sat-Sun 00:00-24:00". Errors: kInvalidInput.
Result<std::vector<provider::WeekWindow>> parse_windows(std::string_view text);

}  // namespace chain::daemon
