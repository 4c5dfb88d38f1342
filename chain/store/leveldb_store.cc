// SPDX-License-Identifier: BSD-3-Clause
//
// LevelDB, with three things added.
//
// A failed write leaves LevelDB's log in an unknown state: part of the record may be in the file,
// even all of it when only fsync failed, and what is appended after it can be lost at the next
// recovery. So after a failure nothing more is written to that log: the next write first closes and
// opens the database again, which starts a new log, and takes back whatever of the failed batch
// came through. Reads go on meanwhile.
//
// LevelDB syncs the log that it writes to, not one that it has left for a new one before: after a
// loss of power a synced write could be there, and one before it that was not synced be missing. So
// before the first durable write after others the database is opened again, too: LevelDB then
// makes synced tables of all its logs.
//
// Checksums are always verified: silently skipping a bad record could lose a committed block.
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>
#include <sys/statvfs.h>

#include "chain/base/file.h"
#include "chain/base/log.h"
#include "chain/store/store.h"

namespace chain {
namespace {

constexpr unsigned kLockTries = 20;
constexpr std::chrono::milliseconds kLockPause(100);

// A read looks into one table of many, not into one of each level: 1 of 100 in vain.
constexpr int kFilterBitsPerKey = 10;
// Of tables read: the accounts that are in use.
constexpr std::size_t kCacheBytes = 32u << 20;
// LevelDB keeps up to two of them in memory. Twice its default: half as much is merged later.
constexpr std::size_t kMemoryTableBytes = 8u << 20;
// Opening writes a new manifest and log, and may have to write out a full memory table. (If it
// fails for want of more, it is tried again.)
constexpr std::uint64_t kFreeBytesToReopen = kMemoryTableBytes + (2u << 20);

Error to_error(const leveldb::Status &status, const std::string &doing) {
    const std::string text = status.ToString();
    ErrorCode code = ErrorCode::kIo;
    if (text.find(std::strerror(ENOSPC)) != std::string::npos ||
        text.find(std::strerror(EDQUOT)) != std::string::npos)
        code = ErrorCode::kDiskFull;
    else if (text.find("lock ") != std::string::npos)
        code = ErrorCode::kConflict;
    else if (status.IsCorruption())
        code = ErrorCode::kCorrupt;
    if (code == ErrorCode::kConflict)
        return make_error(code, "cannot ", doing, ": another process has it open");
    return make_error(code, "cannot ", doing, ": ", text);
}

// kPermission is for opening alone: later it is an error of the store, and a transaction that has
// no permission is not (is_of_store).
Error to_open_error(const leveldb::Status &status, const std::string &folder) {
    Error error = to_error(status, "open the ledger's store " + folder);
    if (status.ToString().find(std::strerror(EACCES)) != std::string::npos)
        error.code = ErrorCode::kPermission;
    return error;
}

leveldb::Slice slice_of(std::string_view text) {
    return {text.data(), text.size()};
}

std::string_view view_of(const leveldb::Slice &slice) {
    return {slice.data(), slice.size()};
}

leveldb::ReadOptions read_options() {
    leveldb::ReadOptions options;
    options.verify_checksums = true;
    return options;
}

// A database and what it uses, which must go after it.
struct Database {
    std::unique_ptr<const leveldb::FilterPolicy> filter{
        leveldb::NewBloomFilterPolicy(kFilterBitsPerKey)};
    std::unique_ptr<leveldb::Cache> cache{leveldb::NewLRUCache(kCacheBytes)};
    std::unique_ptr<leveldb::DB> handle;
};

Result<Database> open_database(const std::string &folder) {
    Database database;
    leveldb::Options options;
    options.create_if_missing = true;
    options.paranoid_checks = true;
    options.write_buffer_size = kMemoryTableBytes;
    options.filter_policy = database.filter.get();
    options.block_cache = database.cache.get();
    // Keys, hashes and signatures: there is nothing to compress, only time to lose.
    options.compression = leveldb::kNoCompression;
    leveldb::DB *handle = nullptr;
    const leveldb::Status status = leveldb::DB::Open(options, folder, &handle);
    if (!status.ok()) return to_open_error(status, folder);
    database.handle.reset(handle);
    return database;
}

class LevelDbStore final : public KeyValueStore {
public:
    LevelDbStore(std::string folder, Database database)
        : folder_(std::move(folder)), database_(std::move(database)) {}

    Result<std::optional<Bytes>> get(std::string_view key) const override {
        {
            const std::shared_lock lock(mutex_);
            if (database_.handle) return read(key);
        }
        CHAIN_TRY(open_if_closed());
        const std::shared_lock lock(mutex_);
        return read(key);
    }

    Status write(const WriteBatch &batch, bool durable) override {
        const std::lock_guard writing(write_mutex_);
        if (is_log_torn_)
            return make_error(ErrorCode::kIo, "the ledger's store ", folder_,
                              " can be neither written nor read; mend the disk, then restart");
        if (failed_batch_ || !database_.handle || (durable && any_unsynced_)) {
            const std::unique_lock lock(mutex_);
            CHAIN_TRY(open_again());
        }
        leveldb::WriteOptions options;
        options.sync = durable;
        const std::shared_lock lock(mutex_);  // reads go on meanwhile
        const leveldb::Status status = database_.handle->Write(options, to_leveldb(batch).get());
        if (status.ok()) {
            any_unsynced_ = any_unsynced_ || !durable;
            return ok_status();
        }
        if (const Status remembered = remember_failure(batch); !remembered.ok()) {
            is_log_torn_ = true;
            return remembered;
        }
        return to_error(status, "write to the ledger's store " + folder_);
    }

    Status scan_from(std::string_view prefix, std::string_view first,
                     const Visit &visit) const override {
        CHAIN_TRY(open_if_closed());
        const std::shared_lock lock(mutex_);
        if (!database_.handle) return closed();
        const std::unique_ptr<leveldb::Iterator> at(database_.handle->NewIterator(read_options()));
        for (at->Seek(slice_of(first)); at->Valid() && at->key().starts_with(slice_of(prefix));
             at->Next())
            if (!visit(view_of(at->key()), view_of(at->value()))) break;
        if (!at->status().ok()) return to_error(at->status(), "read the ledger's store " + folder_);
        return ok_status();
    }

private:
    Error closed() const {
        return make_error(ErrorCode::kIo, "the ledger's store ", folder_,
                          " could not be opened again");
    }

    Result<std::optional<Bytes>> read(std::string_view key) const {
        if (!database_.handle) return closed();
        Bytes value;
        const leveldb::Status status = database_.handle->Get(read_options(), slice_of(key), &value);
        if (status.IsNotFound()) return std::optional<Bytes>();
        if (!status.ok()) return to_error(status, "read the ledger's store " + folder_);
        return std::optional<Bytes>(std::move(value));
    }

    static std::unique_ptr<leveldb::WriteBatch> to_leveldb(const WriteBatch &batch) {
        auto out = std::make_unique<leveldb::WriteBatch>();
        batch.each([&](std::string_view key, std::optional<std::string_view> value) {
            if (value)
                out->Put(slice_of(key), slice_of(*value));
            else
                out->Delete(slice_of(key));
        });
        return out;
    }

    // What the keys of the failed batch held, and hold still: LevelDB changes its memory only
    // after its log.
    Status remember_failure(const WriteBatch &batch) {
        WriteBatch before;
        Status status = ok_status();
        batch.each([&](std::string_view key, std::optional<std::string_view>) {
            const auto old = read(key);
            if (!old.ok())
                status = old.error();
            else if (*old)
                before.put(key, **old);
            else
                before.remove(key);
        });
        CHAIN_TRY(status);
        failed_batch_ = std::move(before);
        return ok_status();
    }

    // Whoever reads before it writes, as everybody does, would never come to the write that opens.
    Status open_if_closed() const {
        {
            const std::shared_lock lock(mutex_);
            if (database_.handle) return ok_status();
        }
        const std::lock_guard writing(write_mutex_);
        const std::unique_lock lock(mutex_);
        return database_.handle ? ok_status() : open_again();
    }

    Status open_again() const {
        struct statvfs status {};
        if (statvfs(folder_.c_str(), &status) == 0 &&
            static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize < kFreeBytesToReopen)
            return make_error(ErrorCode::kDiskFull, "cannot write to the ledger's store ", folder_,
                              ": No space left on device");
        database_.handle.reset();  // LevelDB allows one handle at a time
        CHAIN_ASSIGN(database_, open_database(folder_));
        any_unsynced_ = false;
        if (!failed_batch_) return ok_status();
        const Status taken_back = take_back();
        if (!taken_back.ok()) database_.handle.reset();  // nobody may read what was refused
        return taken_back;
    }

    Status take_back() const {
        leveldb::WriteOptions options;
        options.sync = true;
        const leveldb::Status taken_back =
            database_.handle->Write(options, to_leveldb(*failed_batch_).get());
        if (!taken_back.ok()) return to_error(taken_back, "write to the ledger's store " + folder_);
        failed_batch_.reset();
        log(LogLevel::kNote, "store", "opened ", folder_, " again after a failed write");
        return ok_status();
    }

    const std::string folder_;
    // Taken in this order.
    mutable std::mutex write_mutex_;
    mutable std::shared_mutex mutex_;  // of database_; exclusive: opening it again
    mutable Database database_;
    // Of who writes:
    mutable std::optional<WriteBatch> failed_batch_;  // writes its keys' old values
    mutable bool any_unsynced_ = false;               // since it was opened
    bool is_log_torn_ = false;                        // and what to take back is not known
};

}  // namespace

Result<std::unique_ptr<KeyValueStore>> open_leveldb_store(const std::string &folder) {
    CHAIN_TRY(make_folders(folder, 0700));
    Result<Database> database = open_database(folder);
    // A process that was just killed may hold it until its last thread is gone.
    for (unsigned tries = 0;
         !database.ok() && database.error().code == ErrorCode::kConflict && tries < kLockTries;
         ++tries) {
        std::this_thread::sleep_for(kLockPause);
        database = open_database(folder);
    }
    if (!database.ok()) return database.error();
    return std::unique_ptr<KeyValueStore>(
        std::make_unique<LevelDbStore>(folder, std::move(*database)));
}

}  // namespace chain
