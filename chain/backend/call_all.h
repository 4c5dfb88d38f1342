// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace chain {

// Callbacks may add callbacks, so they run from a copy.
template <class Fns, class Argument>
void call_all(const Fns &fns, const Argument &argument) {
    const Fns copy = fns;
    for (const auto &fn : copy) fn(argument);
}

}  // namespace chain
