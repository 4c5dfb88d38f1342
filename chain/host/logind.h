// SPDX-License-Identifier: BSD-3-Clause
//
// Logind: what systemd's login manager knows of the people at this machine, over D-Bus: desktops
// tell it when nobody has touched them for a while, and it looks at terminals itself.
// (org.freedesktop.login1.Manager: IdleHint, IdleSinceHintMonotonic.)
//
// Owner: one thread. A call waits for logind kLogindWaitMs at most, and after one that failed none
// is made for kLogindAgainMs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "chain/base/clock.h"

namespace chain::host {

inline constexpr std::uint64_t kLogindWaitMs = 100;
inline constexpr std::uint64_t kLogindAgainMs = 60'000;

class Logind {
public:
    // `address` of a D-Bus, as "unix:path=/run/dbus/system_bus_socket"; empty: the system's.
    Logind(const Clock &clock, std::string address);
    ~Logind();
    Logind(Logind &&) noexcept;
    Logind &operator=(Logind &&) = delete;

    // For how long nobody has used any session; 0: somebody does. nullopt: it is not known (no
    // logind, no bus, or this program was built without libsystemd).
    std::optional<std::uint64_t> idle_ms();

private:
    struct Bus;
    const Clock *clock_;
    std::string address_;
    std::unique_ptr<Bus> bus_;
    std::uint64_t not_before_ms_ = 0;  // steady
};

}  // namespace chain::host
