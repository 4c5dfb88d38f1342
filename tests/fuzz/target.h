// SPDX-License-Identifier: BSD-3-Clause
//
// A fuzz target: a function that takes any bytes, and aborts when our own logic breaks. It keeps
// nothing from one input to the next, so that an input says alone what it does. Each NAME_fuzz.cc
// registers one; libFuzzer runs it (entry.cc), and replay_test.cc runs the stored inputs of all of
// them in every build. docs/fuzzing.md says how to add one.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "chain/base/result.h"

namespace chain::fuzz {

using TargetFunction = void (*)(std::string_view input);

struct Target {
    Target(const char *its_name, TargetFunction its_function);
    const char *name;
    TargetFunction function;
    const Target *next;
};

// The newest of the targets that are linked into this program; `next` leads to the others.
const Target *first_target();

// A refusal says why with one of the codes that its function's header names.
inline bool is_one_of(const Error &error, std::initializer_list<ErrorCode> codes) {
    return std::find(codes.begin(), codes.end(), error.code) != codes.end();
}

#define CHAIN_FUZZ_TARGET(name)                                           \
    static void fuzz_##name(std::string_view input);                      \
    static const ::chain::fuzz::Target target_##name(#name, fuzz_##name); \
    static void fuzz_##name(std::string_view input)

}  // namespace chain::fuzz
