// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/results_desk.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "chain/base/log.h"
#include "chain/base/text.h"
#include "chain/daemon/log_categories.h"
#include "chain/host/scratch_volume.h"
#include "chain/provider/lease_folder.h"

namespace chain::daemon {
namespace {

constexpr std::uint64_t kResultsJanitorEveryMs = 60'000;

std::string job_folder_of(const std::string &lease_folder) {
    return lease_folder + "/job";
}

Bytes list_text(const LegKey &key, const PublicKey &peer, std::uint64_t until_ms,
                const std::vector<stage::StagedFile> &files) {
    wire::KeptResults list;
    list.set_lease_id(to_bytes(key.lease));
    list.set_leg(key.leg);
    list.set_peer(to_bytes(peer));
    list.set_until_ms(until_ms);
    for (const stage::StagedFile &file : files) {
        wire::KeptFile &kept = *list.add_files();
        kept.set_name(file.name);
        kept.set_size_bytes(file.size_bytes);
        kept.set_mode(file.mode);
        kept.set_sha256(to_bytes(file.sha256));
        kept.set_modified_at_ns(file.modified_at_ns);
    }
    return list.SerializeAsString();
}

Result<std::vector<stage::StagedFile>> listed_files(const wire::KeptResults &list,
                                                    const std::string &lease_folder) {
    std::vector<stage::StagedFile> files;
    for (const wire::KeptFile &kept : list.files()) {
        stage::StagedFile file;
        file.name = kept.name();
        file.source_root = job_folder_of(lease_folder);
        file.source_path = file.source_root + "/" + file.name;
        file.size_bytes = kept.size_bytes();
        file.mode = kept.mode();
        file.modified_at_ns = kept.modified_at_ns();
        CHAIN_ASSIGN(file.sha256, to_bytes32(kept.sha256(), "hash"));
        files.push_back(std::move(file));
    }
    return files;
}

std::shared_ptr<const std::vector<stage::StagedFile>> share(std::vector<stage::StagedFile> files) {
    return std::make_shared<const std::vector<stage::StagedFile>>(std::move(files));
}

}  // namespace

void remove_on_worker(Node &node, const std::string &lease_folder) {
    node.workers.run(
        [lease_folder] {
            if (const Status removed = provider::remove_lease_folder(lease_folder); !removed.ok())
                log(LogLevel::kWarning, kProviderLog, removed.error().message);
        },
        [] {});
}

ResultsDesk::~ResultsDesk() {
    *alive_ = false;
}

void ResultsDesk::recover(const std::string &scratch_folder) {
    for (const std::string &folder : provider::folders_with_results(scratch_folder)) {
        const auto text = provider::read_results_list(folder);
        wire::KeptResults list;
        Entry entry;
        entry.lease_folder = folder;
        entry.is_collected = true;
        if (text.ok() && list.ParseFromString(*text)) {
            const auto lease = to_bytes32(list.lease_id(), "lease");
            const auto peer = to_bytes32(list.peer(), "peer");
            auto files = listed_files(list, folder);
            if (lease.ok() && peer.ok() && files.ok()) {
                entry.key = {*lease, list.leg()};
                entry.peer = *peer;
                entry.until_ms = list.until_ms();
                entry.files = share(std::move(*files));
                log(LogLevel::kNote, kProviderLog, "lease ", short_hex(*lease), ": ",
                    entry.files->size(), " results wait for their renter");
                entries_.emplace(entry.key, std::move(entry));
                continue;
            }
        }
        log(LogLevel::kWarning, kProviderLog, "what is kept in ", folder,
            " cannot be read; it goes");
        static_cast<void>(provider::remove_lease_folder(folder));
    }
    remove_old();
    janitor_timer_ = node_.loop.every_ms(kResultsJanitorEveryMs, [this] { remove_old(); });
}

void ResultsDesk::take_over(Job job, std::function<void()> on_end) {
    const LegKey key = job.key;
    Entry &entry = entries_[key];
    entry.key = key;
    entry.peer = job.peer;
    entry.lease_folder = std::move(job.lease_folder);
    entry.renter_waits = job.renter_is_here;
    entry.until_ms = node_.clock.unix_ms() + kResultsKeptMs;
    entry.on_end = std::move(on_end);
    collect(entry, std::move(job.globs), std::move(job.staged));
    if (!job.renter_is_here) end(entry);
}

// The list is on the disk before anything is sent: whatever happens then, they are found again.
void ResultsDesk::collect(Entry &entry, std::vector<std::string> globs,
                          std::vector<stage::StagedFile> staged) {
    auto files = std::make_shared<std::optional<Result<std::vector<stage::StagedFile>>>>();
    node_.workers.run(
        [files, key = entry.key, peer = entry.peer, folder = entry.lease_folder,
         until_ms = entry.until_ms, globs = std::move(globs), staged = std::move(staged)] {
            files->emplace(
                stage::collect_results(job_folder_of(folder), staged, globs, kResultsBytesMax));
            if (!(*files)->ok() || (**files)->empty()) return;
            const Status written =
                provider::write_results_list(folder, list_text(key, peer, until_ms, ***files));
            if (!written.ok())  // sent all the same, but lost with this process
                log(LogLevel::kWarning, kProviderLog, written.error().message);
            host::trim_volume(folder);  // it may be kept for a day
        },
        [this, files, key = entry.key, alive = alive_] {
            if (*alive) on_collected(key, std::move(**files));
        });
}

void ResultsDesk::on_collected(const LegKey &key, Result<std::vector<stage::StagedFile>> files) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    Entry &entry = found->second;
    entry.is_collected = true;
    if (!files.ok()) return fail(key, files.error().message);
    entry.files = share(std::move(*files));
    if (entry.renter_waits) return send(entry);
    // Without results only the answer is kept: that there are none.
    if (!entry.has_files()) remove_on_worker(node_, std::exchange(entry.lease_folder, {}));
    remove_old();
}

void ResultsDesk::send(Entry &entry) {
    entry.again_timer.cancel();
    entry.renter_waits = true;
    entry.sent_at_ms = node_.clock.steady_ms();
    entry.pump = std::make_unique<StagePump>(
        node_, entry.key, entry.peer, entry.files, stores_,
        [this, key = entry.key](const Error &error) { fail(key, error.message); });
    entry.pump->pump();
}

// The renter is told that there is no more to wait for, and why. From within a pump's own call.
void ResultsDesk::fail(const LegKey &key, const std::string &why) {
    log(LogLevel::kWarning, kProviderLog, "results of lease ", short_hex(key.lease), ": ", why);
    wire::TradeMessage message = trade_message(key);
    message.mutable_stage_done()->set_error(plain_text(why, 2 * stage::kTextBytesMax));
    static_cast<void>(node_.send_trade(entries_.at(key).peer, message));
    node_.loop.post([this, key, alive = alive_] {
        if (!*alive) return;
        const auto found = entries_.find(key);
        if (found == entries_.end()) return;
        if (found->second.files == nullptr) return remove(key);  // there is nothing to send
        rest(found->second);
    });
}

// No transfer any more: it is kept like all others whose renter is gone.
void ResultsDesk::rest(Entry &entry) {
    entry.again_timer.cancel();
    entry.pump.reset();
    entry.renter_waits = false;
    end(entry);
}

bool ResultsDesk::has(const PublicKey &peer, const LegKey &key) const {
    const auto found = entries_.find(key);
    return found != entries_.end() && found->second.peer == peer;
}

void ResultsDesk::on_trade(const PublicKey &peer, const LegKey &key,
                           const wire::TradeMessage &message) {
    if (!has(peer, key)) {
        if (!message.has_fetch_results()) return;
        wire::TradeMessage answer = trade_message(key);
        answer.mutable_stage_done()->set_error(
            "nothing of this lease is kept: its job made nothing, all of it was sent, or that was "
            "more than " +
            std::to_string(kResultsKeptMs / 3'600'000) + " hours ago");
        static_cast<void>(node_.send_trade(peer, answer));
        return;
    }
    Entry &entry = entries_.at(key);
    if (message.has_fetch_results()) {
        entry.renter_waits = true;
        if (!entry.is_collected || entry.again_timer.active()) return;
        // Naming every file anew costs something: not more often than this.
        const std::uint64_t since_ms = node_.clock.steady_ms() - entry.sent_at_ms;
        if (entry.sent_at_ms == 0 || since_ms >= kSendAgainMs) return send(entry);
        entry.pump.reset();
        entry.again_timer = node_.loop.after_ms(kSendAgainMs - since_ms, [this, key] {
            if (const auto found = entries_.find(key); found != entries_.end()) send(found->second);
        });
    } else if (message.has_stage_need() && entry.pump != nullptr) {
        entry.pump->on_need(message.stage_need());
    } else if (message.has_stage_done()) {
        // All is there, or the renter cannot take it, and has said so to its user. It asks again
        // if it thinks better of it.
        if (message.stage_done().error().empty()) return remove(key);
        rest(entry);
        remove_old();
    }
}

void ResultsDesk::on_drained(const PublicKey &peer) {
    for (auto &[key, entry] : entries_)
        if (entry.peer == peer && entry.pump != nullptr) entry.pump->pump();
}

void ResultsDesk::on_peer_lost(const PublicKey &peer) {
    for (auto &[key, entry] : entries_) {
        if (entry.peer == peer) rest(entry);
    }
    remove_old();
}

void ResultsDesk::end(Entry &entry) {
    if (const auto on_end = std::exchange(entry.on_end, nullptr)) on_end();
}

void ResultsDesk::remove(const LegKey &key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    Entry entry = std::move(found->second);
    entries_.erase(found);
    if (!entry.lease_folder.empty()) remove_on_worker(node_, entry.lease_folder);
    end(entry);
}

std::size_t ResultsDesk::kept_count() const {
    return static_cast<std::size_t>(
        std::count_if(entries_.begin(), entries_.end(),
                      [](const auto &row) { return !row.second.renter_waits; }));
}

std::size_t ResultsDesk::count_of(const PublicKey &peer) const {
    return static_cast<std::size_t>(
        std::count_if(entries_.begin(), entries_.end(),
                      [&](const auto &row) { return row.second.peer == peer; }));
}

// What costs nobody anything first, then of whoever has most here the oldest.
bool ResultsDesk::goes_before(const Entry &a, const Entry &b) const {
    const auto rank = [&](const Entry &entry) {
        return std::tuple(entry.has_files(), kResultsEntriesMax - count_of(entry.peer),
                          entry.until_ms);
    };
    return rank(a) < rank(b);
}

bool ResultsDesk::make_room() {
    const Entry *oldest = nullptr;
    for (const auto &[key, entry] : entries_)
        if (!entry.renter_waits && entry.is_collected &&
            (oldest == nullptr || goes_before(entry, *oldest)))
            oldest = &entry;
    if (oldest == nullptr) return false;
    if (oldest->has_files())
        log(LogLevel::kNote, kProviderLog, "the results of lease ", short_hex(oldest->key.lease),
            " were not fetched, and give way");
    remove(LegKey(oldest->key));
    return true;
}

void ResultsDesk::remove_old() {
    const std::uint64_t now_ms = node_.clock.unix_ms(), steady_ms = node_.clock.steady_ms();
    for (auto &[key, entry] : entries_)
        if (entry.pump != nullptr && steady_ms - entry.sent_at_ms > kResultsTransferMs) rest(entry);
    const bool any_old = std::any_of(entries_.begin(), entries_.end(), [&](const auto &row) {
        return !row.second.renter_waits && row.second.is_collected && row.second.until_ms <= now_ms;
    });
    if ((any_old || kept_count() > kResultsKeptMax) && make_room()) remove_old();
}

}  // namespace chain::daemon
