// SPDX-License-Identifier: BSD-3-Clause
//
// Text that comes from strangers, or from file names, made fit for messages, logs and terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace chain {

// Well-formed UTF-8 (RFC 3629) of at most `bytes_max` bytes: what is no character, and control
// characters, become '?'; what is too long ends in "…", never within a character.
std::string plain_text(std::string_view text, std::size_t bytes_max);

}  // namespace chain
