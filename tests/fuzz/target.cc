// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/target.h"

namespace chain::fuzz {
namespace {

const Target *newest = nullptr;

}  // namespace

Target::Target(const char *its_name, TargetFunction its_function)
    : name(its_name), function(its_function), next(newest) {
    newest = this;
}

const Target *first_target() {
    return newest;
}

}  // namespace chain::fuzz
