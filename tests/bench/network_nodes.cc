// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/network_nodes.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <list>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/store/store.h"

namespace chain::bench {

ledger::Genesis validators_genesis(std::uint32_t count, std::uint64_t time_ms,
                                   std::uint64_t spacing_ms) {
    ledger::Genesis genesis;
    genesis.chain_name = "bench";
    genesis.time_ms = time_ms;
    genesis.consensus.kind = ledger::ConsensusKind::kPoa;
    genesis.consensus.spacing_ms = spacing_ms;
    genesis.consensus.turn_ms = 2 * spacing_ms;
    for (std::uint32_t i = 0; i < count; ++i) {
        const PublicKey key = numbered_key(i).public_key();
        genesis.allocations.emplace_back(key, Amount{kStartUnits});
        genesis.validators.emplace_back(key, Amount{kStakeUnits});
    }
    return must(ledger::parse_genesis(ledger::format_genesis(genesis)));
}

void Arrivals::note(std::size_t node, const Bytes &block) {
    const double now = now_s();
    const std::lock_guard lock(mutex_);
    seen_s_[tagged_hash("bench", block)].try_emplace(node, now);
}

std::vector<double> Arrivals::delays_ms(std::size_t nodes) const {
    const std::lock_guard lock(mutex_);
    std::vector<double> delays;
    for (const auto &[block, seen] : seen_s_) {
        if (seen.size() < nodes) continue;
        double first = seen.begin()->second;
        for (const auto &[node, at] : seen) first = std::min(first, at);
        bool is_first = true;
        std::vector<double> times;
        for (const auto &[node, at] : seen) times.push_back(at);
        std::sort(times.begin(), times.end());
        for (const double at : times) {
            if (!std::exchange(is_first, false)) delays.push_back((at - first) * 1e3);
        }
    }
    return delays;
}

// ---- a node

BenchNode::BenchNode(Setup setup) : setup_(std::move(setup)) {
    loop_ = std::make_unique<Loop>();
    thread_ = std::thread([this] {
        open();
        loop_->run();
        sync_.reset();
        network_.reset();
        ledger_.reset();
    });
    call([] {});
}

BenchNode::~BenchNode() {
    loop_->post([this] { loop_->stop(); });
    thread_.join();
}

void BenchNode::open() {
    node_key_.emplace(KeyPair::generate());
    LedgerOptions options;
    auto store = must(open_leveldb_store(setup_.folder + "/ledger"));
    options.consensus_folder = setup_.folder + "/consensus";
    must(make_folders(options.consensus_folder, 0700));
    options.consensus_every_ms = 5;
    std::optional<KeyPair> key;
    if (setup_.key) key.emplace(numbered_key(*setup_.key));
    ledger_ = must(LedgerBackend::open(*loop_, system_clock(), std::move(store), setup_.genesis,
                                       std::move(key), options));
    book_ = std::make_unique<market::OfferBook>(ledger_->chain_id(), system_clock());
    p2p::Options network;
    network.chain_id = ledger_->chain_id();
    network.software = "bench";
    network_ = must(p2p::Network::start(*loop_, *node_key_, network));
    address_ = network_->listen_address();
    sync_ = std::make_unique<daemon::ChainSync>(*loop_, *ledger_, *book_, *network_);
    if (setup_.arrivals != nullptr)
        ledger_->on_block(
            [this](const Bytes &block) { setup_.arrivals->note(setup_.number, block); });
}

void BenchNode::call(const std::function<void()> &fn) {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    loop_->post([&] {
        fn();
        const std::lock_guard lock(mutex);
        done = true;
        changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
}

void BenchNode::connect(const std::string &address) {
    call([&] { network_->keep_connected(address); });
}

bool BenchNode::wait_for(const std::function<bool()> &condition, double limit_s) {
    const double until = now_s() + limit_s;
    for (;;) {
        bool met = false;
        call([&] { met = condition(); });
        if (met) return true;
        if (now_s() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

// ---- links

namespace {

constexpr std::size_t kPieceBytes = 64u << 10;

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

std::uint16_t port_of(const std::string &address) {
    return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

int listen_anywhere() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(0);
    CHAIN_CHECK(fd >= 0 &&
                bind(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0 &&
                listen(fd, 16) == 0);
    return fd;
}

std::string address_of(int listener) {
    sockaddr_in bound{};
    socklen_t size = sizeof bound;
    CHAIN_CHECK(getsockname(listener, reinterpret_cast<sockaddr *>(&bound), &size) == 0);
    return "127.0.0.1:" + std::to_string(ntohs(bound.sin_port));
}

int connect_to(const std::string &to) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port_of(to));
    CHAIN_CHECK(fd >= 0);
    if (connect(fd, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void set_no_delay(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

// One direction of a connection.
struct DelayedLink::Pipe {
    int from = -1, to = -1;
    std::deque<std::pair<double, Bytes>> pieces;  // when they are due
    bool ended = false;
};

DelayedLink::DelayedLink(std::string to_address, std::uint64_t delay_ms)
    : to_address_(std::move(to_address)), delay_ms_(delay_ms), listener_(listen_anywhere()) {
    CHAIN_CHECK(pipe2(stop_, O_CLOEXEC) == 0);
    thread_ = std::thread([this] { run(); });
}

DelayedLink::~DelayedLink() {
    close(stop_[1]);
    thread_.join();
    close(stop_[0]);
    close(listener_);
}

std::string DelayedLink::address() const {
    return address_of(listener_);
}

void DelayedLink::run() {
    std::list<Pipe> pipes;
    const auto end = [&pipes](int a, int b) {
        for (Pipe &pipe : pipes)
            if (pipe.from == a || pipe.from == b) pipe.ended = true;
    };
    for (;;) {
        std::vector<pollfd> fds = {{stop_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
        std::vector<Pipe *> of_fd;
        double due = now_s() + 1;
        for (Pipe &pipe : pipes) {
            fds.push_back({pipe.from, POLLIN, 0});
            of_fd.push_back(&pipe);
            if (!pipe.pieces.empty()) due = std::min(due, pipe.pieces.front().first);
        }
        const double wait_ms = std::max(0.0, (due - now_s()) * 1e3);
        poll(fds.data(), fds.size(), static_cast<int>(wait_ms + 0.5));
        if (fds[0].revents != 0) break;
        if ((fds[1].revents & POLLIN) != 0) {
            const int from = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            const int to = connect_to(to_address_);
            if (from < 0 || to < 0) {
                if (from >= 0) close(from);
                if (to >= 0) close(to);
            } else {
                set_no_delay(from);
                set_no_delay(to);
                pipes.push_back({from, to, {}, false});
                pipes.push_back({to, from, {}, false});
            }
        }
        const double now = now_s();
        for (std::size_t i = 0; i < of_fd.size(); ++i) {
            if (fds[i + 2].revents == 0 || of_fd[i]->ended) continue;
            Bytes piece(kPieceBytes, '\0');
            const ssize_t got = read(of_fd[i]->from, piece.data(), piece.size());
            if (got <= 0) {
                end(of_fd[i]->from, of_fd[i]->to);
                continue;
            }
            piece.resize(static_cast<std::size_t>(got));
            of_fd[i]->pieces.emplace_back(now + static_cast<double>(delay_ms_) / 1e3,
                                          std::move(piece));
        }
        for (Pipe &pipe : pipes) {
            while (!pipe.ended && !pipe.pieces.empty() && pipe.pieces.front().first <= now_s()) {
                const Bytes &piece = pipe.pieces.front().second;
                for (std::size_t sent = 0; sent < piece.size() && !pipe.ended;) {
                    const ssize_t put =
                        send(pipe.to, piece.data() + sent, piece.size() - sent, MSG_NOSIGNAL);
                    if (put <= 0)
                        end(pipe.from, pipe.to);
                    else
                        sent += static_cast<std::size_t>(put);
                }
                pipe.pieces.pop_front();
            }
        }
        // Both directions end together; each fd is closed by the pipe that reads it.
        for (Pipe &pipe : pipes)
            if (pipe.ended) close(pipe.from);
        pipes.remove_if([](const Pipe &pipe) { return pipe.ended; });
    }
    for (Pipe &pipe : pipes) close(pipe.from);
}

double round_trip_ms(std::uint64_t delay_ms) {
    const int listener = listen_anywhere();
    DelayedLink link(address_of(listener), delay_ms);
    const int here = connect_to(link.address());
    const int there = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    set_no_delay(here);
    set_no_delay(there);
    std::vector<double> times;
    char byte = 'x';
    for (int i = 0; i < 20; ++i) {
        const double began = now_s();
        CHAIN_CHECK(write(here, &byte, 1) == 1 && read(there, &byte, 1) == 1 &&
                    write(there, &byte, 1) == 1 && read(here, &byte, 1) == 1);
        times.push_back((now_s() - began) * 1e3);
    }
    close(here);
    close(there);
    close(listener);
    return median(times);
}

}  // namespace chain::bench
