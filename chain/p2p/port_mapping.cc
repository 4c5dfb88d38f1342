// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/port_mapping.h"

#include <algorithm>

#include "chain/base/log.h"

namespace chain::p2p {

PortMapping::PortMapping(Loop &loop, std::uint16_t port,
                         std::vector<std::unique_ptr<PortMapper>> mappers, Changed changed,
                         std::uint64_t pause_min_ms)
    : loop_(loop),
      changed_(std::move(changed)),
      pause_min_ms_(pause_min_ms),
      work_(std::make_shared<Work>(Work{port, std::move(mappers)})),
      worker_(std::make_unique<WorkerPool>(loop, 1)),
      self_(std::make_shared<PortMapping *>(this)) {
    ask();
}

PortMapping::~PortMapping() {
    *self_ = nullptr;
    worker_.reset();  // waits for what runs there; `work_` is ours then
    work_->remove();
}

void PortMapping::ask() {
    worker_->run([work = work_] { work->renew(); },
                 [self = self_] {
                     if (*self != nullptr) (*self)->answered();
                 });
}

// The mapper that did it last goes first.
void PortMapping::Work::renew() {
    why_not.clear();
    for (std::size_t i = 0; i < mappers.size(); ++i) {
        const std::size_t index = (used + i) % mappers.size();
        auto got = mappers[index]->map(port, kMappingLifetimeS);
        if (got.ok()) {
            if (mapped && index != used) mappers[used]->remove(port, *mapped);
            used = index;
            mapped = *got;
            return;
        }
        why_not +=
            (i > 0 ? "; " : "") + std::string(mappers[index]->name()) + ": " + got.error().message;
    }
    mapped.reset();
}

void PortMapping::Work::remove() {
    if (mapped) mappers[used]->remove(port, *mapped);
    mapped.reset();
}

void PortMapping::answered() {
    std::uint64_t pause_ms = kMappingRetryMs;
    std::optional<PeerAddress> outside;
    if (work_->mapped) {
        outside = work_->mapped->outside;
        const std::uint64_t lifetime_s =
            work_->mapped->lifetime_s > 0 ? work_->mapped->lifetime_s : kMappingLifetimeS;
        pause_ms = std::max<std::uint64_t>(lifetime_s * 1000 / 2, pause_min_ms_);
    } else if (!std::exchange(warned_, true)) {
        log(LogLevel::kWarning, "p2p", "no router maps the port: ", work_->why_not);
    }
    if (outside != told_) {
        told_ = outside;
        if (outside) {
            warned_ = false;
            log(LogLevel::kNote, "p2p", "the router passes ", to_text(*outside), " on to us (",
                work_->mappers[work_->used]->name(), ")");
        }
        changed_(outside);
    }
    timer_ = loop_.after_ms(pause_ms, [this] { ask(); });
}

}  // namespace chain::p2p
