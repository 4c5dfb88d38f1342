// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/stage_pump.h"

#include <utility>

namespace chain::daemon {

StagePump::StagePump(Node &node, LegKey key, PublicKey peer,
                     std::shared_ptr<const std::vector<stage::StagedFile>> files,
                     stage::WebRules stores, std::function<void(const Error &)> on_error,
                     std::string image)
    : node_(node),
      key_(key),
      peer_(peer),
      sender_(std::move(files), std::move(image)),
      stores_(std::move(stores)),
      on_error_(std::move(on_error)) {}

StagePump::~StagePump() {
    *gone_ = true;
}

void StagePump::pump() {
    constexpr std::size_t kQueueEnoughBytes = 2u << 20;
    while (node_.network.queued_bytes(peer_) < kQueueEnoughBytes) {
        auto next = sender_.next();
        if (!next.ok()) return on_error_(next.error());
        if (!next->has_value()) return;  // the peer is to speak
        wire::TradeMessage message = std::move(**next);
        message.set_lease_id(to_bytes(key_.lease));
        message.set_leg(key_.leg);
        if (!node_.send_trade(peer_, message).ok()) return;  // lost, as everybody is told
    }
}

// All of them to stores, on a worker, and then the end.
void StagePump::put(const wire::StageNeed &need) {
    struct Put {
        stage::StagedFile file;
        std::string url;
        bool may_be_private;
    };
    auto puts = std::make_shared<std::vector<Put>>();
    std::uint32_t least = 0;
    for (const wire::StageRange &range : need.ranges()) {
        const auto &files = sender_.files();
        if (range.file() < least || range.file() >= files.size() || range.put_url().empty() ||
            range.offset() != 0 || puts_)
            return node_.network.disconnect(peer_, "results were sent to a store that is none");
        least = range.file() + 1;
        if (const Status allowed = stores_.check(range.put_url()); !allowed.ok())
            return on_error_(allowed.error());
        puts->push_back(
            {files[range.file()], range.put_url(), stores_.names_host(range.put_url())});
    }
    puts_ = true;
    auto done = std::make_shared<Status>(ok_status());
    node_.web_workers.run(
        [puts, done, gone = gone_] {
            for (const Put &put : *puts) {
                *done = stage::put_file(put.file, put.url, {*gone, put.may_be_private});
                if (!done->ok()) return;
            }
        },
        [this, done, gone = gone_] {
            if (*gone) return;
            puts_ = false;
            if (!done->ok()) return on_error_(done->error());
            wire::TradeMessage message = trade_message(key_);
            message.mutable_stage_done()->set_file_count(
                static_cast<std::uint32_t>(sender_.files().size()));
            static_cast<void>(node_.send_trade(peer_, message));
        });
}

void StagePump::on_need(const wire::StageNeed &need) {
    if (need.ranges_size() > 0 && !need.ranges(0).put_url().empty()) return put(need);
    if (const Status fits = sender_.on_need(need); !fits.ok())
        return node_.network.disconnect(peer_, fits.error().message);
    pump();
}

}  // namespace chain::daemon
