// SPDX-License-Identifier: BSD-3-Clause
//
// A stand-in for the renter's daemon, for tests of mpirun's side alone: speaks control.proto on a
// Unix socket to one mpirun after the other and "leases" peers by starting orteds here, each with a
// host name, pids and a TMPDIR of its own. No market, no ledger, no money.
//
//   fake_lease SOCKET FOLDER HOST:SLOTS,... [KEY=VALUE ...]
//
// Keys: refuse=CODE (answer to a lease), refuse_launch=CODE, lose=LEG@MS (kill -9),
// freeze=LEG@MS (SIGSTOP, then reported as lost), end=MS, vanish=MS, notice=TEXT, include=NETWORK,
// memory=BYTES, components=PATH (where orted and ranks find MCA components). Times count from the
// launch. FOLDER/calls.txt gets what was asked for.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "chain/base/bytes.h"
#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/units.h"
#include "chain/meter/rank_file.h"
#include "chain/provider/orted_command.h"
#include "chain/wire/control.pb.h"
#include "chain/wire/frame.h"

namespace chain {
namespace {

constexpr int kTickMs = 10;

struct Peer {
    std::string host;
    std::uint32_t slot_count = 0;
    pid_t pid = -1;
    bool lost = false;
};

struct Timed {
    std::uint32_t leg = 0;
    std::uint64_t at_ms = UINT64_MAX;
};

class FakeLease {
public:
    FakeLease(std::string folder, std::map<std::string, std::string> keys)
        : folder_(std::move(folder)), keys_(std::move(keys)) {}

    void add_peer(const std::string &text) {
        const std::size_t colon = text.find(':');
        CHAIN_CHECK(colon != std::string::npos);
        peers_.push_back({text.substr(0, colon),
                          static_cast<std::uint32_t>(std::stoul(text.substr(colon + 1))), -1,
                          false});
    }

    void serve(FileDescriptor client) {
        client_ = std::move(client);
        while (client_.valid()) {
            pollfd watched{client_.get(), POLLIN, 0};
            if (::poll(&watched, 1, kTickMs) > 0) read_some();
            tick();
        }
        kill_peers();
        note("closed");
    }

private:
    std::string key(const std::string &name) const {
        const auto row = keys_.find(name);
        return row == keys_.end() ? std::string() : row->second;
    }

    // "LEG@MS", or "MS".
    Timed timed(const std::string &name) const {
        const std::string text = key(name);
        if (text.empty()) return {};
        const std::size_t at = text.find('@');
        if (at == std::string::npos) return {0, std::stoull(text)};
        return {static_cast<std::uint32_t>(std::stoul(text)), std::stoull(text.substr(at + 1))};
    }

    void note(const std::string &line) {
        std::ofstream(folder_ + "/calls.txt", std::ios::app) << line << "\n";
    }

    void send(const wire::ControlReply &reply) {
        const Bytes payload = reply.SerializeAsString();
        Bytes frame;
        append_u32_le(frame, static_cast<std::uint32_t>(payload.size()));
        frame += payload;
        if (client_.valid() && !write_all(client_.get(), frame, "reply").ok()) client_.reset();
    }

    void read_some() {
        char buffer[65536];
        const ssize_t got = ::read(client_.get(), buffer, sizeof buffer);
        if (got <= 0) return client_.reset();
        input_.append(buffer, static_cast<std::size_t>(got));
        while (input_.size() >= 4 && input_.size() - 4 >= read_u32_le(input_)) {
            const std::size_t size = read_u32_le(input_);
            wire::ControlRequest request;
            const auto parsed = wire::parse_strict(std::string_view(input_).substr(4, size),
                                                   wire::kMaxControlFrameBytes, "call", request);
            input_.erase(0, 4 + size);
            if (!parsed.ok()) return client_.reset();
            answer(request);
        }
    }

    void fail(std::uint64_t id, const std::string &code) {
        wire::ControlReply reply;
        reply.set_id(id);
        reply.mutable_error()->set_code(code);
        reply.mutable_error()->set_message("the fake peers say " + code);
        send(reply);
    }

    void answer(const wire::ControlRequest &request) {
        if (request.has_lease_explain()) return explain(request.id());
        if (request.has_lease_open()) return open(request.id(), request.lease_open());
        if (request.has_lease_launch()) return launch(request.id(), request.lease_launch());
        if (request.has_lease_close()) return close(request.id(), request.lease_close());
        fail(request.id(), "not-yet");
    }

    void explain(std::uint64_t id) {
        wire::ControlReply reply;
        reply.set_id(id);
        auto &explanation = *reply.mutable_explanation();
        for (const Peer &peer : peers_) {
            auto &verdict = *explanation.add_verdicts();
            verdict.set_host(peer.host);
            verdict.set_provider("ompc1" + peer.host);
            verdict.set_slots_offered(peer.slot_count);
            verdict.set_ask_per_ghz_h(20'000'000);
            verdict.set_matches(key("refuse").empty());
            if (!verdict.matches()) verdict.add_reasons("memory: 1 GiB is less than 2 GiB");
        }
        if (key("refuse").empty()) {
            explanation.set_cleared(true);
            explanation.set_price_per_ghz_h(20'000'000);
        }
        send(reply);
    }

    void open(std::uint64_t id, const wire::LeaseOpenCall &call) {
        note("open " + std::to_string(call.spec().slot_count()) + " " + call.job_folder() + " " +
             call.command());
        for (const auto &item : call.stage_in()) note("stage " + item.name());
        for (const auto &glob : call.stage_out()) note("stage-out " + glob);
        if (!key("refuse").empty()) return fail(id, key("refuse"));
        wire::ControlReply progress;
        progress.set_id(id);
        progress.mutable_lease_progress()->set_stage("funded");
        send(progress);
        wire::ControlReply reply;
        reply.set_id(id);
        auto &ready = *reply.mutable_lease_ready();
        ready.set_lease_id("f00d");
        ready.set_price_per_ghz_h(20'000'000);
        ready.set_plain_network(true);  // its orteds run where it does
        ready.set_network_include(key("include"));
        ready.set_job_folder(call.job_folder());
        for (std::size_t leg = 0; leg < peers_.size(); ++leg) {
            auto &node = *ready.add_nodes();
            node.set_leg(static_cast<std::uint32_t>(leg));
            node.set_host(peers_[leg].host);
            node.set_slot_count(peers_[leg].slot_count);
            node.set_provider("ompc1" + peers_[leg].host);
        }
        send(reply);
    }

    void launch(std::uint64_t id, const wire::LeaseLaunchCall &call) {
        if (!key("refuse_launch").empty()) return fail(id, key("refuse_launch"));
        launched_at_ms_ = system_clock().steady_ms();
        for (const auto &node : call.nodes()) {
            note("launch " + std::to_string(node.leg()) + " " + node.launch().job_folder());
            const auto argv = provider::orted_command(node.launch());
            if (!argv.ok()) {
                note("bad launch: " + argv.error().message);
                return fail(id, "protocol");
            }
            start(peers_.at(node.leg()), *argv);
        }
        wire::ControlReply reply;
        reply.set_id(id);
        reply.mutable_done();
        send(reply);
        if (!key("notice").empty()) send_event(wire::LeaseEvent::NOTICE, 0, key("notice"));
    }

    void start(Peer &peer, const std::vector<std::string> &orted) {
        const std::string own = folder_ + "/" + peer.host;
        CHAIN_CHECK(make_folders(own, 0700).ok());
        CHAIN_CHECK(make_folders(own + "/ranks", 0700).ok());
        const std::string memory = key("memory").empty() ? "1073741824" : key("memory");
        std::vector<std::string> argv{"bwrap",
                                      "--dev-bind",
                                      "/",
                                      "/",
                                      "--proc",
                                      "/proc",
                                      "--unshare-uts",
                                      "--unshare-pid",
                                      "--hostname",
                                      peer.host,
                                      "--die-with-parent",
                                      "--new-session",
                                      "--clearenv"};
        const auto set = [&argv](const std::string &name, const std::string &value) {
            argv.insert(argv.end(), {"--setenv", name, value});
        };
        set("PATH", "/usr/bin:/bin");
        set("OMPI_MCA_mca_base_component_path", key("components"));
        set("TMPDIR", own);
        set(CHAIN_ENV_LEASE, "f00d");
        set(CHAIN_ENV_RANK_DIR, own + "/ranks");
        set(CHAIN_ENV_HZ, "2000000000");
        set(CHAIN_ENV_MEMORY_BYTES, memory);
        set(CHAIN_ENV_SLOTS, std::to_string(peer.slot_count));
        argv.insert(argv.end(), orted.begin(), orted.end());
        std::vector<char *> pointers;
        for (std::string &word : argv) pointers.push_back(word.data());
        pointers.push_back(nullptr);
        peer.pid = ::fork();
        CHAIN_CHECK(peer.pid >= 0);
        if (peer.pid > 0) return;
        const int log = ::open((own + "/orted.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(::open("/dev/null", O_RDONLY), 0);
        ::dup2(log, 1);
        ::dup2(log, 2);
        ::execvp(pointers[0], pointers.data());
        ::_exit(127);
    }

    void send_event(wire::LeaseEvent::Kind kind, std::uint32_t leg, const std::string &reason,
                    bool over_limit = false) {
        wire::ControlReply reply;
        auto &event = *reply.mutable_lease_event();
        event.set_kind(kind);
        event.set_leg(leg);
        if (leg < peers_.size()) event.set_host(peers_[leg].host);
        event.set_reason(reason);
        event.set_over_limit(over_limit);
        send(reply);
    }

    void report_loss(std::uint32_t leg, const std::string &reason) {
        if (peers_[leg].lost) return;
        peers_[leg].lost = true;
        send_event(wire::LeaseEvent::LEG_LOST, leg, reason);
    }

    void tick() {
        for (std::size_t leg = 0; leg < peers_.size(); ++leg) {
            Peer &peer = peers_[leg];
            if (peer.pid > 0 && ::waitpid(peer.pid, nullptr, WNOHANG) == peer.pid) {
                peer.pid = -1;
                report_loss(static_cast<std::uint32_t>(leg), "orted ended");
            }
        }
        if (launched_at_ms_ == 0 || !client_.valid()) return;
        const std::uint64_t ran_ms = system_clock().steady_ms() - launched_at_ms_;
        if (const Timed lose = timed("lose"); ran_ms >= lose.at_ms && peers_[lose.leg].pid > 0)
            ::kill(peers_[lose.leg].pid, SIGKILL);
        if (const Timed freeze = timed("freeze"); ran_ms >= freeze.at_ms) {
            signal_sandbox(peers_[freeze.leg].pid, SIGSTOP);
            report_loss(freeze.leg, "no sign of life for 3 s");
        }
        if (const Timed end = timed("end"); ran_ms >= end.at_ms && !ended_) {
            ended_ = true;
            send_event(wire::LeaseEvent::LEASE_ENDING, UINT32_MAX, "the budget is used up", true);
        }
        if (timed("vanish").at_ms <= ran_ms) client_.reset();
    }

    // The processes of the sandbox are in a pid namespace whose first one is bwrap's child.
    static void signal_sandbox(pid_t bwrap, int signal_number) {
        if (bwrap <= 0) return;
        std::vector<pid_t> left{bwrap};
        while (!left.empty()) {
            const pid_t pid = left.back();
            left.pop_back();
            const std::string base = "/proc/" + std::to_string(pid);
            std::ifstream children(base + "/task/" + std::to_string(pid) + "/children");
            for (pid_t child; children >> child;) left.push_back(child);
            ::kill(pid, signal_number);
        }
    }

    void close(std::uint64_t id, const wire::LeaseCloseCall &call) {
        note("close " + std::to_string(call.exit_status()) + " " + call.ended_by() + " " +
             call.reason());
        kill_peers();
        wire::ControlReply reply;
        reply.set_id(id);
        auto &bill = *reply.mutable_bill();
        bill.set_lease_id("f00d");
        bill.set_state("settled");
        bill.set_ended_by(call.ended_by());
        bill.set_reason(call.reason());
        bill.set_role("renter");
        bill.set_paid(1'000'000);
        bill.set_price_per_ghz_h(20'000'000);
        send(reply);
    }

    void kill_peers() {
        for (Peer &peer : peers_) {
            if (peer.pid > 0) {
                ::kill(peer.pid, SIGKILL);
                ::waitpid(peer.pid, nullptr, 0);
            }
            peer.pid = -1;
            peer.lost = false;
        }
        launched_at_ms_ = 0;
        ended_ = false;
    }

    std::string folder_;
    std::map<std::string, std::string> keys_;
    std::vector<Peer> peers_;
    FileDescriptor client_;
    Bytes input_;
    std::uint64_t launched_at_ms_ = 0;
    bool ended_ = false;
};

int listen_at(const char *path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CHAIN_CHECK(std::strlen(path) < sizeof address.sun_path);
    std::strcpy(address.sun_path, path);
    ::unlink(path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHAIN_CHECK(fd >= 0);
    CHAIN_CHECK(::bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    CHAIN_CHECK(::listen(fd, 4) == 0);
    return fd;
}

}  // namespace
}  // namespace chain

int main(int argc, char **argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: fake_lease SOCKET FOLDER HOST:SLOTS,... [KEY=VALUE ...]\n");
        return 2;
    }
    ::signal(SIGPIPE, SIG_IGN);
    std::map<std::string, std::string> keys;
    for (int i = 4; i < argc; ++i) {
        const std::string word = argv[i];
        keys[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    const int listener = chain::listen_at(argv[1]);
    for (;;) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        chain::FakeLease lease(argv[2], keys);
        std::string peers = argv[3];
        for (std::size_t at; (at = peers.find(',')) != std::string::npos; peers.erase(0, at + 1))
            lease.add_peer(peers.substr(0, at));
        lease.add_peer(peers);
        lease.serve(chain::FileDescriptor(fd));
    }
}
