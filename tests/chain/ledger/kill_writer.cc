// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chain/ledger/kill_writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chain/base/log.h"
#include "chain/ledger/chain_records.h"

namespace chain::ledger {
namespace {

constexpr std::size_t kBlocksFileBytesMax = 1u << 30;
constexpr useconds_t kDiskFullPauseUs = 500;

// Tells where the process is: whoever kills it counts what it hit.
class MarkedStore final : public KeyValueStore {
public:
    MarkedStore(std::unique_ptr<KeyValueStore> store, Progress &progress)
        : store_(std::move(store)), progress_(progress) {}
    Result<std::optional<Bytes>> get(std::string_view key) const override {
        return store_->get(key);
    }
    Status write(const WriteBatch &batch, bool durable) override {
        const std::optional<std::uint64_t> height = height_after(batch);
        if (!height) return store_->write(batch, durable);
        ++progress_.writes;
        progress_.writing = *height;
        progress_.phase = static_cast<int>(Phase::kWriting);
        Status status = store_->write(batch, durable);
        (status.ok() ? progress_.written : progress_.refused) = *height;
        const bool is_last = *height == progress_.target;
        progress_.phase = static_cast<int>(is_last ? Phase::kWritten : Phase::kExecuting);
        return status;
    }
    Status scan_from(std::string_view prefix, std::string_view first,
                     const Visit &visit) const override {
        return store_->scan_from(prefix, first, visit);
    }

private:
    // Of blocks and what takes them back; nullopt: a batch of something else.
    static std::optional<std::uint64_t> height_after(const WriteBatch &batch) {
        std::optional<std::uint64_t> height;
        batch.each([&](std::string_view key, std::optional<std::string_view> value) {
            if (key == kTipKey && value) height = decode_tip(*value).value().height;
        });
        return height;
    }

    std::unique_ptr<KeyValueStore> store_;
    Progress &progress_;
};

class Writer {
public:
    Writer(std::unique_ptr<Chain> chain, const Genesis &genesis, std::vector<Bytes> blocks,
           Progress &progress, std::uint64_t seed)
        : chain_(std::move(chain)),
          genesis_(genesis),
          blocks_(std::move(blocks)),
          progress_(progress),
          random_(seed) {}

    [[noreturn]] void run() {
        for (;;) {
            const std::uint64_t height = chain_->tip().height;
            if (height > 0 && random_() % 8 == 0) {
                commit(height - 1, [&] { return chain_->undo_tip(); });
                continue;
            }
            const std::uint64_t count =
                random_() % 2 == 0
                    ? 1
                    : 1 + random_() % std::min<std::uint64_t>(Chain::kBlocksPerCallMax,
                                                              2ULL << random_() % 6);
            if (height + count > blocks_.size()) {
                usleep(kDiskFullPauseUs);  // at the end: goes back, and on again
                if (height > 0) commit(height - 1, [&] { return chain_->undo_tip(); });
                continue;
            }
            std::vector<Block> group;
            for (std::uint64_t i = 0; i < count; ++i) group.push_back(decode(blocks_[height + i]));
            commit(height + count, [&] {
                // What a full disk cut short is in part there.
                const auto rest = std::span(group).subspan(chain_->tip().height - height);
                return count == 1 && random_() % 2 == 0 ? chain_->apply(rest[0])
                                                        : chain_->apply_all(rest);
            });
        }
    }

private:
    Block decode(const Bytes &bytes) const {
        auto block = decode_block(bytes, genesis_);
        if (!block.ok()) _exit(4);
        return std::move(block).value();
    }

    template <class Write>
    void commit(std::uint64_t target, const Write &write) {
        progress_.target = target;
        for (;;) {
            progress_.phase = static_cast<int>(Phase::kExecuting);
            const Status written = write();
            if (written.ok()) break;
            progress_.phase = static_cast<int>(Phase::kBetween);
            if (written.error().code != ErrorCode::kDiskFull) {
                log(LogLevel::kError, "test", written.error().message);
                _exit(6);
            }
            // As a daemon does: it tries again until there is space.
            ++progress_.disk_full_hits;
            usleep(kDiskFullPauseUs);
        }
        if (chain_->tip().height != target) _exit(7);
        progress_.committed = target;
        progress_.phase = static_cast<int>(Phase::kBetween);
    }

    std::unique_ptr<Chain> chain_;
    const Genesis &genesis_;
    const std::vector<Bytes> blocks_;
    Progress &progress_;
    std::mt19937_64 random_;
};

[[noreturn]] void stop_at(const Error &error, int code) {
    if (error.code == ErrorCode::kDiskFull) _exit(kExitDiskFull);
    log(LogLevel::kError, "test", error.message);
    _exit(code);
}

}  // namespace

Progress &map_progress(const std::string &path) {
    const FileDescriptor file(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    CHAIN_CHECK(file.get() >= 0 && ftruncate(file.get(), sizeof(Progress)) == 0);
    void *const memory =
        mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    CHAIN_CHECK(memory != MAP_FAILED);
    return *static_cast<Progress *>(memory);  // zeros are a value of each of its atomics
}

void unmap_progress(Progress &progress) {
    munmap(&progress, sizeof progress);
}

void save_blocks(const std::string &path, const std::vector<Bytes> &blocks) {
    Bytes text;
    for (const Bytes &block : blocks) {
        append_u64_be(text, block.size());
        text += block;
    }
    CHAIN_CHECK(write_file_atomic(path, text, 0600).ok());
}

std::vector<Bytes> load_blocks(const std::string &path) {
    const Bytes text = read_file(path, kBlocksFileBytesMax).value();
    std::vector<Bytes> blocks;
    for (std::string_view left = text; !left.empty();) {
        const std::size_t size_bytes = read_u64_be(left.substr(0, 8));
        blocks.emplace_back(left.substr(8, size_bytes));
        left.remove_prefix(8 + size_bytes);
    }
    return blocks;
}

std::uint64_t ContentSum::entry(std::string_view key, std::string_view value) {
    Bytes text;
    append_u64_be(text, key.size());
    const Bytes32 hash = tagged_hash("ompi-chain/test-content", text.append(key).append(value));
    return read_u64_be(std::string_view(reinterpret_cast<const char *>(hash.data()), 8));
}

std::string text_of(const Tip &tip) {
    return "height " + std::to_string(tip.height) + ", block " + to_hex(tip.id) + ", digest " +
           to_hex(tip.digest.digest()) + ", balances " + std::to_string(tip.totals.balances.units) +
           ", escrow " + std::to_string(tip.totals.escrow.units) + ", collateral " +
           std::to_string(tip.totals.collateral.units) + ", burned " +
           std::to_string(tip.totals.burned.units);
}

void run_writer(const std::string &store_path, const std::string &blocks_path,
                const std::string &progress_path, std::uint64_t seed) {
    set_log_level(LogLevel::kError);
    Progress &progress = map_progress(progress_path);
    const World world;
    std::vector<Bytes> blocks = load_blocks(blocks_path);
    progress.phase = static_cast<int>(Phase::kOpening);
    auto store = open_leveldb_store(store_path);
    if (!store.ok()) stop_at(store.error(), 2);
    auto chain = Chain::open(std::make_unique<MarkedStore>(std::move(store).value(), progress),
                             world.genesis);
    if (!chain.ok()) stop_at(chain.error(), 3);
    const std::uint64_t height = (*chain)->tip().height;
    progress.committed = height;
    progress.target = height;
    progress.written = height;
    progress.writing = height;
    progress.refused = height;
    progress.phase = static_cast<int>(Phase::kBetween);
    progress.is_open = true;
    Writer(std::move(chain).value(), world.genesis, std::move(blocks), progress, seed).run();
}

void run_checker(const std::string &store_path, const std::string &how) {
    set_log_level(LogLevel::kError);
    const auto fail = [](const Error &error) {
        std::cout << "error " << (error.code == ErrorCode::kDiskFull ? "full" : error.message)
                  << std::endl;
        _exit(0);
    };
    const World world;
    auto store = open_leveldb_store(store_path);
    if (!store.ok()) fail(store.error());
    KeyValueStore &its_store = **store;  // the chain owns it, and outlives this use
    auto chain = Chain::open(std::move(store).value(), world.genesis);
    if (!chain.ok()) fail(chain.error());
    if (const Status counted = (*chain)->check_recount(); !counted.ok()) fail(counted.error());
    if (how == "all") {
        const auto verified = (*chain)->verify_all();
        if (!verified.ok()) fail(verified.error());
        if (!verified->ok) fail(make_error(ErrorCode::kCorrupt, verified->reason));
    }
    ContentSum content;
    const Status scanned = its_store.scan("", [&](std::string_view key, std::string_view value) {
        content.put(key, value);
        return true;
    });
    if (!scanned.ok()) fail(scanned.error());
    if (how == "forget") {
        WriteBatch batch;
        batch.remove("mhistory");
        if (const Status written = its_store.write(batch, true); !written.ok())
            fail(written.error());
    }
    std::cout << (*chain)->tip().height << " " << content.sum() << " " << text_of((*chain)->tip())
              << std::endl;
    _exit(0);
}

}  // namespace chain::ledger
