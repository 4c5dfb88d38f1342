// SPDX-License-Identifier: BSD-3-Clause
//
// ResultsTaker: gets the results of one leg from its peer and puts them into the renter's folder.
// When the peer is lost meanwhile it connects again and goes on where it was; when it gives up,
// what has come stays in a folder of its own for the next one to go on with.
//
// Owner: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "chain/daemon/node.h"
#include "chain/daemon/stage_intake.h"
#include "chain/stage/s3.h"

namespace chain::daemon {

inline constexpr std::uint64_t kFetchAgainMs = 1'000;
// Without a word of the peer: then it is left for `ompi-chain lease fetch`.
inline constexpr std::uint64_t kFetchForMs = 10'000;
// A peer that is there, and sends nothing of what it should.
inline constexpr std::uint64_t kResultsSilenceMs = 120'000;
inline constexpr std::size_t kPlacedSaidMax = 100;     // of one kind; the rest is counted
inline constexpr std::size_t kPlacedNamesMax = 1'000;  // that are told

struct ResultsPlan {
    LegKey key;
    PublicKey peer{};
    std::string address;     // of the peer
    std::string host;        // as the lease calls it
    std::string job_folder;  // where the results go
    std::uint64_t bytes_max = 0;
    std::map<std::string, Bytes32> staged;  // what was sent: the job may have changed it
    std::vector<std::string> globs;         // what was asked for; empty: everything
    std::string results_url;  // s3://BUCKET/PREFIX: the peer puts them there; empty: they come here
    stage::S3Access s3_access;
    bool is_fetch = false;  // of `ompi-chain lease fetch`, whose user need not hear of it
};

inline constexpr std::uint32_t kStoreValidS = 3'600;  // of an address that a peer may use
inline constexpr std::size_t kPutsAtOnceMax = 256;    // addresses in one message

class ResultsTaker {
public:
    struct Listener {
        std::function<void(const std::string &)> on_notice;  // for the user; nothing is lost
        std::function<void(const std::string &)> on_loss;    // a result did not come
        std::function<void(const std::string &)> on_placed;  // its name, where it belongs
        std::function<void()> on_all;  // everything is in its place; the peer is told next
        std::function<void()> on_end;  // once; may destroy the taker
    };

    ResultsTaker(Node &node, ResultsPlan plan, Listener listener);
    ~ResultsTaker();

    // Connects and asks for what is there.
    void fetch();
    // StageFile, StageList, StageChunk, StageDone.
    void on_message(const wire::TradeMessage &message);
    void on_peer_lost(const std::string &why);
    // Leaves the rest for another time.
    void give_up(const std::string &why);
    // The lease is over, and the peer has not even said that there are none.
    void say_none_came();

    bool has_begun() const { return has_begun_; }
    bool has_ended() const { return has_ended_; }
    bool has_all() const { return has_all_; }
    // Results were lost because of that, and not by what was done with them.
    bool is_peer_gone() const { return is_peer_gone_; }
    std::uint64_t received_bytes() const;  // since the last connection
    const ResultsPlan &plan() const { return plan_; }

private:
    void begin_intake();
    void watch_silence();
    void take_names(const wire::TradeMessage &message);
    void put_more();
    void check_puts();
    stage::S3Object object_of(const stage::StagedFile &file) const;
    void acknowledge(const Status &taken, std::size_t file_count);
    void fetch_soon(const std::string &why);
    void give_up_peer(const std::string &why);
    std::string how_to_go_on() const;
    void on_taken(const Status &taken);
    void say_what_was_placed();
    void end();

    struct Placed;  // what workers say

    Node &node_;
    const ResultsPlan plan_;
    const Listener listener_;
    std::string folder_;
    std::shared_ptr<Placed> placed_;
    std::unique_ptr<StageIntake> intake_;
    std::unique_ptr<stage::ContentStore> names_store_;  // these three for results_url
    std::unique_ptr<stage::Receiver> names_;
    std::size_t put_count_ = 0;
    bool has_begun_ = false;
    bool has_ended_ = false;
    bool has_all_ = false;
    bool is_peer_gone_ = false;
    std::uint64_t heard_at_ms_ = 0;  // steady
    bool checks_puts_ = false;
    LoopHandle again_timer_;
    LoopHandle silence_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Where what has come of a leg's results waits, below Node::results_folder.
std::string results_folder_of(const Node &node, const LegKey &key);

}  // namespace chain::daemon
