#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# make_seed_words.sh LIST OUTPUT: writes the English word list of BIP 39 as a C++ table. Any other
# list would make words that no other program understands, so it must be the official one.
set -eu

list=$1
output=$2
official=2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda

found=$(sha256sum "$list" | cut -d ' ' -f 1)
if [ "$found" != "$official" ]; then
    printf '%s is not the English word list of BIP 39: its SHA-256 is %s\n' "$list" "$found" >&2
    exit 1
fi
trap 'rm -f "$output.new"' EXIT
{
    echo "// Made by make_seed_words.sh from the English word list of BIP 39."
    echo '#include "chain/identity/mnemonic.h"'
    echo "namespace chain::mnemonic {"
    echo "const std::array<std::string_view, kListWords> kWords = {"
    sed 's/.*/    "&",/' "$list"
    echo "};"
    echo "}  // namespace chain::mnemonic"
} >"$output.new"
mv "$output.new" "$output"
