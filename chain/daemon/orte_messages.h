// SPDX-License-Identifier: BSD-3-Clause
//
// What the messages of an orted to mpirun look like, one function for each kind: whether this is
// one, from its first byte to its last, and names nobody but its own leg and ranks. Pure.
#pragma once

#include <string_view>

#include "chain/base/result.h"
#include "chain/daemon/orte_guard.h"
#include "chain/daemon/orte_reader.h"

namespace chain::daemon {

// One of a job that this mpirun started, and not one of its daemons.
bool is_rank(const OrteLeg &leg, const OrteName &name);

// That it is there: its name, where it listens, its host, what kind of machine that is.
bool is_report(const OrteLeg &leg, std::string_view payload);
bool is_topology_report(std::string_view payload);
// The first byte of what it says of processes, orte::PlmCommand; 0: none.
std::uint8_t plm_command(std::string_view payload);
// How its ranks fare.
bool is_state_update(const OrteLeg &leg, std::string_view payload);
bool is_registration(const OrteLeg &leg, std::string_view payload);
// What a rank wrote, or that it takes more, or no more, of standard input. `writer`: who wrote;
// unchanged when nobody did.
bool is_output(const OrteLeg &leg, std::string_view payload, OrteName &writer);
// A text for the terminal, once for each topic.
bool is_help(std::string_view payload);
// Its part of what all ranks tell all: whose, and a blob for PMIx.
bool is_gathered(const OrteLeg &leg, std::string_view payload);
// What ranks publish for each other, and look up.
bool is_data_request(const OrteLeg &leg, std::string_view payload);
// What a rank needs to know of one on another orted, and the answer.
bool is_modex_request(std::string_view payload);
bool is_modex_response(std::string_view payload);

}  // namespace chain::daemon
