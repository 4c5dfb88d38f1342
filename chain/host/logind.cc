// SPDX-License-Identifier: BSD-3-Clause
#include "chain/host/logind.h"

#include <ctime>
#include <utility>

#include "chain_config.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-bus.h>
#endif

namespace chain::host {

#ifdef HAVE_SYSTEMD
namespace {

constexpr const char *kService = "org.freedesktop.login1";
constexpr const char *kObject = "/org/freedesktop/login1";
constexpr const char *kManager = "org.freedesktop.login1.Manager";
constexpr std::uint64_t kUsPerMs = 1'000;

// As logind counts: CLOCK_MONOTONIC.
std::uint64_t monotonic_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

}  // namespace

struct Logind::Bus {
    sd_bus *bus = nullptr;
    ~Bus() { sd_bus_flush_close_unref(bus); }

    bool open(const std::string &address) {
        int rc = 0;
        if (address.empty()) {
            rc = sd_bus_open_system(&bus);
        } else {
            rc = sd_bus_new(&bus);
            if (rc >= 0) rc = sd_bus_set_address(bus, address.c_str());
            if (rc >= 0) rc = sd_bus_set_bus_client(bus, 1);
            if (rc >= 0) rc = sd_bus_start(bus);
        }
        return rc >= 0 && sd_bus_set_method_call_timeout(bus, kLogindWaitMs * kUsPerMs) >= 0;
    }

    std::optional<std::uint64_t> idle_ms() {
        int is_idle = 0;  // sd-bus's boolean
        std::uint64_t since_us = 0;
        if (sd_bus_get_property_trivial(bus, kService, kObject, kManager, "IdleHint", nullptr, 'b',
                                        &is_idle) < 0)
            return std::nullopt;
        if (is_idle == 0) return 0;
        if (sd_bus_get_property_trivial(bus, kService, kObject, kManager, "IdleSinceHintMonotonic",
                                        nullptr, 't', &since_us) < 0)
            return std::nullopt;
        const std::uint64_t now_us = monotonic_us();
        return now_us > since_us ? (now_us - since_us) / kUsPerMs : 0;
    }
};
#else
struct Logind::Bus {
    bool open(const std::string &) { return false; }
    std::optional<std::uint64_t> idle_ms() { return std::nullopt; }
};
#endif

Logind::Logind(const Clock &clock, std::string address)
    : clock_(&clock), address_(std::move(address)) {}

Logind::~Logind() = default;
Logind::Logind(Logind &&) noexcept = default;

std::optional<std::uint64_t> Logind::idle_ms() {
    const std::uint64_t now_ms = clock_->steady_ms();
    if (now_ms < not_before_ms_) return std::nullopt;
    if (bus_ == nullptr) {
        bus_ = std::make_unique<Bus>();
        if (!bus_->open(address_)) bus_.reset();
    }
    std::optional<std::uint64_t> idle;
    if (bus_ != nullptr) idle = bus_->idle_ms();
    if (idle) return idle;
    bus_.reset();
    not_before_ms_ = now_ms + kLogindAgainMs;
    return std::nullopt;
}

}  // namespace chain::host
