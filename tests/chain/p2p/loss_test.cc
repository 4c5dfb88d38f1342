// SPDX-License-Identifier: BSD-3-Clause
//
// Loss of a peer that is a process of its own: killed, stopped, asleep.
#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {
namespace {

// A daemon in another process, which dials `address` until it is killed.
class OtherProcess {
public:
    OtherProcess(const std::string &address, const Options &options) {
        pid_ = fork();
        if (pid_ != 0) return;
        {
            Loop loop;
            const KeyPair key = KeyPair::generate();
            auto network = Network::start(loop, key, options);
            if (!network.ok()) _exit(1);
            (*network)->keep_connected(address);
            const LoopHandle limit = loop.after_ms(30'000, [&] { loop.stop(); });
            loop.run();
        }
        _exit(0);
    }
    ~OtherProcess() { end(); }
    void signal(int number) const { kill(pid_, number); }
    void end() {
        if (pid_ <= 0) return;
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

private:
    pid_t pid_ = -1;
};

TEST(Loss, AKilledPeerIsNoticedAtOnce) {
    Loop loop;
    Node node(loop, options_of());
    OtherProcess other(node.address(), options_of());
    ASSERT_TRUE(run_until(loop, [&] { return node.count(true) == 1; }));
    const std::uint64_t killed_at_ms = system_clock().steady_ms();
    other.end();
    ASSERT_TRUE(run_until(loop, [&] { return node.count(false) == 1; }));
    const std::uint64_t took_ms = system_clock().steady_ms() - killed_at_ms;
    std::printf("killed: noticed after %llu ms\n", static_cast<unsigned long long>(took_ms));
    EXPECT_LT(took_ms, 1000u);
    EXPECT_NE(node.events.back().why.find("closed by the peer"), std::string::npos)
        << node.events.back().why;
}

TEST(Loss, AStoppedPeerIsLostAfterTheSilence) {
    Loop loop;
    Node node(loop, options_of());
    OtherProcess other(node.address(), options_of());
    ASSERT_TRUE(run_until(loop, [&] { return node.count(true) == 1; }));
    run_for(loop, 1500);  // pings keep an idle session up
    EXPECT_EQ(node.count(false), 0u);
    const std::uint64_t stopped_at_ms = system_clock().steady_ms();
    other.signal(SIGSTOP);
    ASSERT_TRUE(run_until(loop, [&] { return node.count(false) == 1; }));
    const std::uint64_t took_ms = system_clock().steady_ms() - stopped_at_ms;
    std::printf("stopped: noticed after %llu ms\n", static_cast<unsigned long long>(took_ms));
    EXPECT_GT(took_ms, 1500u);
    EXPECT_LE(took_ms, 4000u);
    EXPECT_EQ(node.events.back().why, "silent for 2700 ms");
    // It comes back when it goes on.
    other.signal(SIGCONT);
    ASSERT_TRUE(run_until(loop, [&] { return node.count(true) == 2; }));
}

TEST(Loss, WhereNothingDependsOnItSilenceMayLastLonger) {
    Loop loop;
    Options options = options_of();
    options.young_ms = 200;
    Node node(loop, options);
    OtherProcess other(node.address(), options_of());
    ASSERT_TRUE(run_until(loop, [&] { return node.count(true) == 1; }));
    run_for(loop, 500);
    other.signal(SIGSTOP);
    run_for(loop, 4'000);
    EXPECT_EQ(node.count(false), 0u);
    // Something about a lease: now it matters, and the time until now does not count.
    const std::uint64_t asked_at_ms = system_clock().steady_ms();
    ASSERT_TRUE(node->send(node.events.back().peer, wire::Topic::kTrade, "to be answered").ok());
    ASSERT_TRUE(run_until(loop, [&] { return node.count(false) == 1; }));
    const std::uint64_t took_ms = system_clock().steady_ms() - asked_at_ms;
    EXPECT_GT(took_ms, 1500u);
    EXPECT_LE(took_ms, 4000u);
    other.signal(SIGCONT);
}

TEST(Loss, OwnStandstillIsNotHeldAgainstThePeer) {
    Loop loop;
    Options options = options_of();
    options.ping_every_ms = 100;
    options.silent_after_ms = 300;
    Node node(loop, options);
    OtherProcess other(node.address(), options_of());  // itself more patient
    ASSERT_TRUE(run_until(loop, [&] { return node.count(true) == 1; }));
    for (int i = 0; i < 3; ++i) {
        const LoopHandle block = loop.after_ms(1, [] { usleep(700'000); });
        run_for(loop, 400);
    }
    EXPECT_EQ(node.count(false), 0u) << node.events.back().why;
}

}  // namespace
}  // namespace chain::p2p::test
