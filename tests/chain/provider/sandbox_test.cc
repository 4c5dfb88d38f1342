// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/sandbox.h"

#include <csignal>
#include <functional>
#include <set>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/provider/lease_folder.h"
#include "tests/chain/provider/support.h"

namespace chain::provider {
namespace {

constexpr char kLease[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
constexpr char kJobFolder[] = "/root/somebody/work";

// Processes on the host whose command line holds `marker`.
std::set<int> processes_with(const std::string &marker) {
    std::set<int> pids;
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
        const int pid = std::atoi(entry.path().filename().c_str());
        if (pid > 0 && pid != getpid() &&
            read_text(entry.path() / "cmdline").find(marker) != std::string::npos)
            pids.insert(pid);
    }
    return pids;
}

std::string unique_marker() {
    std::uint64_t number;
    fill_random(&number, sizeof number);
    return "marker-" + std::to_string(number);
}

template <class Condition>
bool becomes_true(int patience_ms, Condition condition) {
    for (int waited_ms = 0; waited_ms < patience_ms; waited_ms += 10) {
        if (condition()) return true;
        usleep(10'000);
    }
    return condition();
}

class SandboxTest : public ::testing::Test {
protected:
    void SetUp() override {
        const Status possible = probe_sandbox();
        if (!possible.ok()) GTEST_SKIP() << possible.error().message;
        write_text(root_ / "components/mca_hook_chain.so", "not really");
        setenv("OMPI_CHAIN_COMPONENTS", (root_ / "components").c_str(), 1);
        auto folder = prepare_lease_folder(root_ / "scratch", kLease, 0);
        ASSERT_TRUE(folder.ok()) << folder.error().message;
        spec_.lease_folder = *folder;
        spec_.host_name = "leased-7";
        spec_.job_folder = kJobFolder;
        spec_.environment = {{"PATH", "/usr/bin:/bin"}, {"WORD", "given"}};
        spec_.memory_bytes = 8 << 20;
        auto meter = meter::make_lease_meter(1'000'000'000);
        ASSERT_TRUE(meter.ok());
        meter_ = std::move(meter).value();
    }

    Result<std::unique_ptr<Sandbox>> start(std::vector<std::string> argv) {
        spec_.argv = std::move(argv);
        return Sandbox::start(loop_, spec_, *meter_, nullptr, [this](int status) {
            ++exit_count_;
            wait_status_ = status;
            loop_.stop();
        });
    }

    void run_loop(std::uint64_t limit_ms = 15'000) {
        const LoopHandle limit = loop_.after_ms(limit_ms, [this] { loop_.stop(); });
        loop_.run();
    }

    // Runs the loop until `condition` holds. False: it never did.
    bool loop_until(const std::function<bool()> &condition) {
        bool held = false;  // asked anew it may not: processes come and go
        const LoopHandle look = loop_.every_ms(10, [&] {
            held = condition();
            if (held) loop_.stop();
        });
        run_loop(5000);
        return held;
    }

    // What a shell script prints inside. (The shell is the test's own program here.)
    std::string output_of(const std::string &script) {
        auto sandbox = start({"/bin/bash", "-c", script + "\ntrue"});
        EXPECT_TRUE(sandbox.ok()) << sandbox.error().message;
        if (!sandbox.ok()) return {};
        exit_count_ = 0;
        run_loop();
        EXPECT_EQ(exit_count_, 1);
        EXPECT_TRUE(WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0)
            << wait_status_ << (*sandbox)->last_words();
        return (*sandbox)->last_words();
    }

    TestFolder root_;
    Loop loop_;
    SandboxSpec spec_;
    std::unique_ptr<meter::LeaseMeter> meter_;
    int exit_count_ = 0;
    int wait_status_ = -1;
};

TEST_F(SandboxTest, HasItsOwnHostNameUserAndFolder) {
    EXPECT_EQ(output_of("hostname; id -u; id -un; pwd; getent hosts leased-7 | cut -d' ' -f1"),
              "leased-7\n1000\nrank\n" + std::string(kJobFolder) + "\n127.0.1.1\n");
}

TEST_F(SandboxTest, SeesNothingOfTheHost) {
    write_text(root_ / "scratch/daemon.key", "secret");
    const auto other = prepare_lease_folder(root_ / "scratch", kLease, 1);
    ASSERT_TRUE(other.ok());
    EXPECT_EQ(output_of("ls -A /root /home /root/somebody 2>&1"),
              "ls: cannot access '/home': No such file or directory\n/root:\nsomebody\n\n"
              "/root/somebody:\nwork\n");
    EXPECT_EQ(output_of("ls -A " + root_.path() + " " + *other + " 2>&1 | grep -c 'No such'"),
              "2\n");
    EXPECT_EQ(output_of("cat /etc/shadow 2>&1; ls -A /run; ls -A /run/ompi-chain"),
              "cat: /etc/shadow: No such file or directory\nompi-chain\ncomponents\nranks\n");
}

TEST_F(SandboxTest, ShowsOnlyItsOwnProcesses) {
    EXPECT_EQ(output_of("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | cut -d' ' -f1; done "
                        "| sort -u | grep -v -e bash -e '^tr' -e grep -e cut -e sort"),
              "bwrap\n");
}

TEST_F(SandboxTest, HasTheEnvironmentThatWasGivenAndNoOther) {
    setenv("DAEMON_SECRET", "swordfish", 1);
    const std::string words = output_of(
        "/usr/bin/env | sort; echo --; tr '\\0' '\\n' "
        "</proc/1/environ; tr '\\0' ' ' </proc/1/cmdline");
    unsetenv("DAEMON_SECRET");
    EXPECT_NE(words.find("WORD=given\n"), std::string::npos);
    EXPECT_EQ(words.find("swordfish"), std::string::npos);
    // PWD, SHLVL and _ are the shell's own.
    EXPECT_EQ(words.substr(0, words.find("bwrap")),
              "PATH=/usr/bin:/bin\nPWD=" + std::string(kJobFolder) +
                  "\nSHLVL=1\nWORD=given\n_=/usr/bin/env\n--\n");
}

TEST_F(SandboxTest, HasNoRights) {
    EXPECT_EQ(output_of("grep -e CapEff -e CapPrm -e CapBnd -e NoNewPrivs -e Seccomp: "
                        "/proc/self/status | tr -s '\\t' ' '"),
              "CapPrm: 0000000000000000\nCapEff: 0000000000000000\n"
              "CapBnd: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n");
    if (geteuid() == 0) {
        EXPECT_EQ(output_of("id -G"), "1000\n");
    }
}

TEST_F(SandboxTest, RunsAsAUidOfItsOwnOnTheHost) {
    auto sandbox = start({"/bin/sleep", "30"});
    ASSERT_TRUE(sandbox.ok());
    const std::string folder = "/proc/" + std::to_string((*sandbox)->pid());
    const LoopHandle look = loop_.every_ms(5, [&] {
        if (read_text(folder + "/comm") == "bwrap\n") loop_.stop();
    });
    run_loop();
    const std::string text = read_text(folder + "/status");
    EXPECT_EQ(text.find("Uid:\t0"), std::string::npos);
    if (geteuid() == 0) {
        EXPECT_NE(text.find("Uid:\t" + std::to_string(*leg_uid(spec_.lease_folder))),
                  std::string::npos);
    }
}

TEST_F(SandboxTest, InheritsNoDescriptors) {
    const int leaked = open("/etc/passwd", O_RDONLY);                     // no O_CLOEXEC
    EXPECT_EQ(output_of("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");  // 3: ls lists itself
    EXPECT_EQ(output_of("readlink /proc/self/fd/0; ulimit -c; test $(ulimit -n) -le 65536 && "
                        "echo bounded"),
              "/dev/null\n0\nbounded\n");
    close(leaked);
}

TEST_F(SandboxTest, WritesInTheJobFolderAndNowhereElse) {
    EXPECT_EQ(output_of("echo text >result && cat result; echo x >/run/ompi-chain/ranks/1.0; "
                        "for f in /x /root/x /dev/x /run/x /usr/x /etc/x /etc/passwd "
                        "/run/ompi-chain/components/x /proc/x "
                        "/sys/devices/system/x; do (echo x >$f) 2>/dev/null && echo $f; done"),
              "text\n");
    EXPECT_EQ(read_text(spec_.lease_folder + "/job/result"), "text\n");
    EXPECT_EQ(read_text(spec_.lease_folder + "/ranks/1.0"), "x\n");
}

TEST_F(SandboxTest, BoundsItsTemporaryFolders) {
    for (const std::string folder : {"/tmp", "/dev/shm"}) {
        EXPECT_EQ(output_of("head -c 4M /dev/zero >" + folder +
                            "/a && echo fits; head -c 8M "
                            "/dev/zero 2>/dev/null >" +
                            folder + "/b || echo full"),
                  "fits\nfull\n")
            << folder;
    }
}

TEST_F(SandboxTest, RefusesWhatReachesAroundNamespaces) {
    EXPECT_EQ(output_of(R"(python3 - <<'PY'
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    libc.syscall(number, *[ctypes.c_long(a) for a in arguments])
    return errno.errorcode.get(ctypes.get_errno(), "ok")
for name, number, *arguments in (
        ("mount", 165, 0, 0, 0, 0, 0), ("unshare", 272, 0x10000000), ("setns", 308, 0, 0),
        ("ptrace", 101, 16, 1, 0, 0), ("bpf", 321, 0, 0, 0), ("perf", 298, 0, 0, -1, -1, 0),
        ("io_uring", 425, 1, 0), ("keyctl", 250, 0, 0), ("userfaultfd", 323, 0),
        ("chroot", 161, 0), ("clone newuser", 56, 0x10000011, 0, 0, 0, 0),
        ("clone3", 435, 0, 0), ("vsock", 41, 40, 1, 0), ("packet", 41, 17, 3, 0),
        ("odd family", 41, (1 << 32) | 40, 1, 0), ("inet", 41, 2, 1, 0),
        ("sticky ioctl", 16, 0, 0x5412, 0), ("wide ioctl", 16, 0, (1 << 40) | 0x5412, 0)):
    print(name, call(number, *arguments))
PY
)"),
              "mount EPERM\nunshare EPERM\nsetns EPERM\nptrace EPERM\nbpf EPERM\nperf EPERM\n"
              "io_uring EPERM\nkeyctl EPERM\nuserfaultfd EPERM\nchroot EPERM\n"
              "clone newuser EPERM\nclone3 ENOSYS\nvsock EAFNOSUPPORT\npacket EAFNOSUPPORT\n"
              "odd family EAFNOSUPPORT\ninet ok\nsticky ioctl EPERM\nwide ioctl EPERM\n");
}

TEST_F(SandboxTest, BindsFilesFromOutsideReadOnly) {
    write_text(spec_.lease_folder + "/outside/data/set/in.txt", "input");
    const auto bindings = outside_bindings(spec_.lease_folder);
    ASSERT_TRUE(bindings.ok());
    spec_.read_only = *bindings;
    EXPECT_EQ(output_of("cat /data/set/in.txt; (echo x >/data/set/in.txt) 2>/dev/null || echo no; "
                        "chmod 777 /data/set/in.txt 2>/dev/null || echo no"),
              "inputno\nno\n");
}

TEST_F(SandboxTest, RefusesSpecsThatReachOutside) {
    const SandboxSpec good = spec_;
    const auto refused = [&](auto change) {
        spec_ = good;
        change(spec_);
        const auto sandbox = start({"/bin/true"});
        return !sandbox.ok() && sandbox.error().code == ErrorCode::kInvalidInput;
    };
    for (const char *folder : {"/", "/usr", "/usr/lib/x", "/etc", "/proc/1", "/dev/shm", "/run",
                               "/run/ompi-chain/ranks", "/a/../usr", "relative", "", "/a//b"})
        EXPECT_TRUE(refused([&](SandboxSpec &spec) { spec.job_folder = folder; })) << folder;
    EXPECT_TRUE(refused([](SandboxSpec &spec) { spec.host_name = "a b"; }));
    EXPECT_TRUE(refused([](SandboxSpec &spec) { spec.environment.emplace_back("A=B", "x"); }));
    EXPECT_TRUE(
        refused([](SandboxSpec &spec) { spec.read_only.emplace_back("/etc/shadow", "/etc/x"); }));
    spec_ = good;
}

TEST_F(SandboxTest, KillLeavesNothing) {
    const std::string marker = unique_marker();
    auto sandbox =
        start({"/bin/bash", "-c",
               "trap '' TERM INT HUP; for i in 1 2 3; do (setsid bash -c 'trap \"\" "
               "TERM HUP INT; (while :; do sleep 1; done) & exec -a " +
                   marker + " sleep 1000' " + marker + " &) ; done; while :; do sleep 1; done"});
    ASSERT_TRUE(sandbox.ok()) << sandbox.error().message;
    ASSERT_TRUE(loop_until([&] { return processes_with(marker).size() >= 6; }))
        << (*sandbox)->last_words();
    const LoopHandle killer = loop_.after_ms(100, [&] { (*sandbox)->kill(); });
    run_loop();
    EXPECT_EQ(exit_count_, 1);
    EXPECT_TRUE(WIFSIGNALED(wait_status_));
    EXPECT_TRUE(processes_with(marker).empty());
    const auto usage = meter_->read();
    ASSERT_TRUE(usage.ok());
    EXPECT_GT(usage->cpu_time_ns, 0u);
}

TEST_F(SandboxTest, KillInItsFirstMomentsLeavesNothing) {
    for (int delay_ms : {0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20}) {
        const std::string marker = unique_marker();
        auto sandbox = start({"/bin/bash", "-c", "sleep 1000; : " + marker});
        ASSERT_TRUE(sandbox.ok());
        exit_count_ = 0;
        const LoopHandle killer = loop_.after_ms(delay_ms, [&] { (*sandbox)->kill(); });
        run_loop();
        EXPECT_EQ(exit_count_, 1) << delay_ms;
        EXPECT_TRUE(processes_with(marker).empty()) << delay_ms;
    }
}

TEST_F(SandboxTest, EndsWithItsCommandEvenIfItLeftDaemons) {
    const std::string marker = unique_marker();
    auto sandbox = start({"/bin/bash", "-c",
                          "(setsid sleep 1000 " + marker +
                              " 2>/dev/null & setsid bash -c 'sleep 1000; : " + marker +
                              "' &); sleep 0.2; exit 3"});
    ASSERT_TRUE(sandbox.ok());
    run_loop();
    EXPECT_EQ(exit_count_, 1);
    EXPECT_TRUE(WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 3);
    EXPECT_TRUE(processes_with(marker).empty());
}

TEST_F(SandboxTest, DestructionKillsWithoutCallingBack) {
    const std::string marker = unique_marker();
    {
        auto sandbox = start({"/bin/bash", "-c", ">ready; sleep 1000; : " + marker});
        ASSERT_TRUE(sandbox.ok());
        ASSERT_TRUE(loop_until([&] { return path_exists(spec_.lease_folder + "/job/ready"); }));
    }
    EXPECT_TRUE(processes_with(marker).empty());
    EXPECT_EQ(exit_count_, 0);
}

TEST_F(SandboxTest, DiesWithADaemonThatIsKilled) {
    const std::string marker = unique_marker();
    const pid_t daemon = fork();
    if (daemon == 0) {
        Loop loop;
        spec_.argv = {"/bin/bash", "-c",
                      "trap '' TERM; setsid sleep 1000 & >ready; sleep 1000; : " + marker};
        auto sandbox = Sandbox::start(loop, spec_, *meter_, nullptr, [](int) {});
        if (!sandbox.ok()) _exit(1);
        loop.run();
        _exit(0);
    }
    ASSERT_TRUE(becomes_true(5000, [&] { return path_exists(spec_.lease_folder + "/job/ready"); }));
    ASSERT_EQ(::kill(daemon, SIGKILL), 0);
    ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
    EXPECT_TRUE(becomes_true(1000, [&] { return processes_with(marker).empty(); }));
    const auto reaped = reap_leftovers(root_ / "scratch");
    ASSERT_TRUE(reaped.ok());
    EXPECT_EQ(*reaped, 1u);
    EXPECT_FALSE(path_exists(spec_.lease_folder));
}

TEST_F(SandboxTest, ADaemonThatIsKilledAtAnyMomentLeavesNothingForTheNext) {
    for (int delay_us = 0; delay_us < 30'000; delay_us += 1500) {
        const std::string marker = unique_marker();
        const auto folder = prepare_lease_folder(root_ / "other", kLease, 0);
        ASSERT_TRUE(folder.ok());
        const pid_t daemon = fork();
        if (daemon == 0) {
            Loop loop;
            spec_.lease_folder = *folder;
            spec_.argv = {"/bin/bash", "-c", "sleep 1000; : " + marker};
            auto sandbox = Sandbox::start(loop, spec_, *meter_, nullptr, [](int) {});
            loop.run();
            _exit(0);
        }
        usleep(static_cast<useconds_t>(delay_us));
        ASSERT_EQ(::kill(daemon, SIGKILL), 0);
        ASSERT_EQ(waitpid(daemon, nullptr, 0), daemon);
        ASSERT_TRUE(reap_leftovers(root_ / "other").ok());
        // Without root there is no uid to find by what was never written down.
        if (geteuid() == 0) {
            EXPECT_TRUE(becomes_true(100, [&] { return processes_with(marker).empty(); }))
                << delay_us;
        }
        for (const int pid : processes_with(marker)) ::kill(pid, SIGKILL);
    }
}

TEST_F(SandboxTest, LastWordsAreBoundedAndPlain) {
    const std::string words =
        output_of("head -c 300000 /dev/zero | tr '\\0' a; printf '\\033[31mred\\n' >&2");
    EXPECT_LE(words.size(), 8u << 10);
    EXPECT_TRUE(words.ends_with("a?[31mred\n"));
}

TEST_F(SandboxTest, HoldsAnOpenMpiJob) {
    spec_.memory_bytes = 512 << 20;
    spec_.environment = launch_environment(kLease, kJobFolder, 1'000'000'000, 512 << 20, 2);
    // The fixture's component is none.
    spec_.environment.emplace_back("OMPI_MCA_mca_base_component_show_load_errors", "0");
    EXPECT_EQ(output_of("timeout 60 mpirun --oversubscribe -np 2 hostname"),
              "leased-7\nleased-7\n");
}

TEST_F(SandboxTest, SaysWhyACommandCannotStart) {
    auto sandbox = start({"/no/such/program"});
    ASSERT_TRUE(sandbox.ok());
    run_loop();
    EXPECT_EQ(exit_count_, 1);
    EXPECT_NE((*sandbox)->last_words().find("/no/such/program"), std::string::npos);
}

}  // namespace
}  // namespace chain::provider
