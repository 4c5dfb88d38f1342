// SPDX-License-Identifier: BSD-3-Clause
//
// StageIntake: takes one transfer of files from a peer: listens and answers on the loop, works on
// the disk on a worker.
//
// Owner: the loop's thread. May be destroyed at any time; what a worker still does then is of no
// consequence.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "chain/daemon/node.h"
#include "chain/stage/receiver.h"

namespace chain::daemon {

struct IntakePlan {
    std::string own_folder;                      // contents that `cache` does not take
    std::shared_ptr<stage::ContentStore> cache;  // may be none
    Bytes32 owner{};                             // whose contents they are
    bool allow_absolute = false;
    std::uint64_t bytes_max = 0;
    std::uint64_t disk_left_bytes = 0;      // of the disk of own_folder
    std::optional<stage::WebRules> stores;  // from which files may be fetched; none: from none
    std::function<Status(const stage::StagedFile &, const std::atomic<bool> &cancelled)> fetch;
    stage::Receiver::Place place;  // on a worker
};

class StageIntake {
public:
    // `on_end`: once; everything is in its place, or why not. May destroy the intake.
    StageIntake(Node &node, LegKey key, PublicKey peer, IntakePlan plan,
                std::function<void(Status)> on_end);
    ~StageIntake();

    void on_message(const wire::TradeMessage &message);
    const std::vector<stage::StagedFile> &files() const;
    const std::string &image() const;  // after on_end
    std::uint64_t received_bytes() const;

private:
    struct Desk;  // what workers share
    void ask();
    void place();
    void answer(const Result<wire::StageNeed> &need, bool was_placed);
    void run(std::function<Result<wire::StageNeed>(Desk &)> job, bool places);
    void end(Status status);

    Node &node_;
    const LegKey key_;
    const PublicKey peer_;
    std::shared_ptr<Desk> desk_;
    std::function<void(Status)> on_end_;
    bool works_ = false;  // a worker has the desk: the peer has to wait, too
    bool ended_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace chain::daemon
