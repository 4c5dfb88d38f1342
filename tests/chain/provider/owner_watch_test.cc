// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/owner_watch.h"

#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/chain/provider/support.h"

namespace chain::provider {
namespace {

constexpr std::uint64_t kMinute = 60'000;

// A made-up machine in a folder; an input device is a FIFO there.
class OwnerWatchTest : public ::testing::Test {
protected:
    OwnerWatchTest() {
        for (const char *folder :
             {"proc/pressure", "dev/input", "dev/pts", "sys/class/power_supply"})
            std::filesystem::create_directories(root_ / folder);
        set_busy_ticks(0);
    }
    OwnerWatch &watch(std::vector<std::string> applications = {}) {
        if (!watch_)
            watch_.emplace(loop_, clock_,
                           OwnerPaths{root_ / "proc", root_ / "dev", root_ / "sys", bus_},
                           std::move(applications),
                           OwnerWatch::Leases{[this] { return lease_ns_; },
                                              [this](int pid) { return pid == lease_pid_; }},
                           [this] {
                               ++input_count_;
                               loop_.stop();
                           });
        return *watch_;
    }
    void set_busy_ticks(std::uint64_t user, std::uint64_t steal = 0) {
        write_text(root_ / "proc/stat", "cpu  " + std::to_string(user) + " 0 0 99 5 0 0 " +
                                            std::to_string(steal) + " 0 0\ncpu0 1 2 3 4\n");
    }
    int make_device(const std::string &name) {
        const std::string path = root_ / ("dev/input/" + name);
        EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
        return open(path.c_str(), O_RDWR | O_NONBLOCK);  // so that a reader finds a writer
    }
    void turn(std::uint64_t ms = 100) {
        const LoopHandle limit = loop_.after_ms(ms, [this] { loop_.stop(); });
        loop_.run();
    }

    TestFolder root_;
    std::string bus_ = "unix:path=/nowhere/bus";
    Loop loop_;
    ManualClock clock_;
    std::uint64_t lease_ns_ = 0;
    int lease_pid_ = 0;
    int input_count_ = 0;
    std::optional<OwnerWatch> watch_;
};

TEST_F(OwnerWatchTest, WithoutDevicesAndTerminalsInputIsNotKnown) {
    EXPECT_FALSE(watch().look().input_idle_ms);
    EXPECT_EQ(watch().input_sources(), "0 input devices");
}

// A bus of our own, with python-dbusmock's logind on it.
class MockedLogind {
public:
    explicit MockedLogind(const TestFolder &root) : address_("unix:path=" + (root / "bus")) {
        pid_ = fork();
        if (pid_ == 0) {
            // The interpreter of the module; its bus ends with it.
            setpgid(0, 0);
            const std::string script =
                "dbus-daemon --session --nofork --nopidfile --address='" + address_ +
                "' > /dev/null 2>&1 & until [ -S '" + (root / "bus") +
                "' ]; do sleep 0.05; done; export "
                "DBUS_SYSTEM_BUS_ADDRESS='" +
                address_ +
                "'; exec /usr/bin/python3 -m dbusmock --system --template logind "
                "> /dev/null 2>&1";
            execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
            _exit(127);
        }
    }
    ~MockedLogind() {
        ::kill(-pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    static bool is_here() {
        return std::system(
                   "command -v dbus-daemon >/dev/null && "
                   "/usr/bin/python3 -c 'import dbusmock' 2>/dev/null") == 0;
    }
    const std::string &address() const { return address_; }
    void set(const std::string &type, const std::string &name, const std::string &value) const {
        const std::string command =
            "dbus-send --bus='" + address_ +
            "' --print-reply --dest=org.freedesktop.login1 /org/freedesktop/login1 "
            "org.freedesktop.DBus.Properties.Set string:org.freedesktop.login1.Manager string:" +
            name + " variant:" + type + ":" + value + " > /dev/null 2>&1";
        for (int i = 0; i < 200 && std::system(command.c_str()) != 0; ++i) usleep(50'000);
    }

private:
    const std::string address_;
    pid_t pid_ = -1;
};

TEST_F(OwnerWatchTest, AsksLogindWhereNoDeviceMayBeRead) {
    if (!MockedLogind::is_here()) GTEST_SKIP() << "apt-get install dbus python3-dbusmock";
    const MockedLogind logind(root_);
    bus_ = logind.address();
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t now_us = now.tv_sec * 1'000'000 + now.tv_nsec / 1'000;
    logind.set("boolean", "IdleHint", "false");
    EXPECT_EQ(watch().look().input_idle_ms, 0u);
    EXPECT_EQ(watch().input_sources(), "0 input devices, logind");
    logind.set("uint64", "IdleSinceHintMonotonic", std::to_string(now_us - 5'000'000));
    logind.set("boolean", "IdleHint", "true");
    const auto idle_ms = watch().look().input_idle_ms;
    ASSERT_TRUE(idle_ms);
    EXPECT_GE(*idle_ms, 5'000u);
    EXPECT_LT(*idle_ms, 60'000u);
    // Who can see the keyboard needs nobody's word.
    const FileDescriptor keyboard(make_device("event0"));
    clock_.advance_ms(20 * kMinute);
    EXPECT_GE(watch().look().input_idle_ms.value_or(0), 20 * kMinute);
    EXPECT_EQ(watch().input_sources(), "1 input device");
}

TEST_F(OwnerWatchTest, ALogindThatIsGoneIsNotAskedAllTheTime) {
    if (!MockedLogind::is_here()) GTEST_SKIP() << "apt-get install dbus python3-dbusmock";
    bus_ = "unix:path=" + (root_ / "bus");
    {
        const MockedLogind logind(root_);
        logind.set("boolean", "IdleHint", "false");
        EXPECT_EQ(watch().look().input_idle_ms, 0u);
    }
    EXPECT_FALSE(watch().look().input_idle_ms);
    std::filesystem::remove(root_ / "bus");
    const MockedLogind again(root_);
    again.set("boolean", "IdleHint", "false");
    EXPECT_FALSE(watch().look().input_idle_ms) << "asked again at once";
    clock_.advance_ms(host::kLogindAgainMs);
    EXPECT_EQ(watch().look().input_idle_ms, 0u);
}

TEST_F(OwnerWatchTest, HearsADeviceAtOnce) {
    const FileDescriptor keyboard(make_device("event0"));
    OwnerWatch &watch = this->watch();
    EXPECT_EQ(watch.input_sources(), "1 input device");
    clock_.advance_ms(20 * kMinute);
    EXPECT_EQ(watch.look().input_idle_ms, 20 * kMinute);
    ASSERT_EQ(write(keyboard.get(), "twenty-four bytes of it.", 24), 24);
    turn();
    EXPECT_EQ(input_count_, 1);
    EXPECT_EQ(watch.look().input_idle_ms, 0u);
    clock_.advance_ms(500);
    ASSERT_EQ(write(keyboard.get(), "x", 1), 1);
    turn();
    EXPECT_EQ(input_count_, 1) << "told twice within a second";
    EXPECT_EQ(watch.look().input_idle_ms, 0u);
    clock_.advance_ms(600);
    ASSERT_EQ(write(keyboard.get(), "x", 1), 1);
    turn();
    EXPECT_EQ(input_count_, 2);
}

TEST_F(OwnerWatchTest, FindsDevicesThatComeLaterAndForgetsThoseThatGo) {
    OwnerWatch &watch = this->watch();
    FileDescriptor mouse(make_device("event7"));
    make_device("mouse0");  // the same events once more: not read
    clock_.advance_ms(11'000);
    EXPECT_TRUE(watch.look().input_idle_ms);
    EXPECT_EQ(watch.input_sources(), "1 input device");
    mouse.reset();
    std::filesystem::remove(root_ / "dev/input/event7");
    turn();
    turn();
    EXPECT_EQ(watch.input_sources(), "0 input devices");
}

TEST_F(OwnerWatchTest, TerminalsTellWhenTheyWereRead) {
    for (const char *name : {"dev/tty", "dev/ttyS0", "dev/tty1", "dev/pts/0", "dev/pts/ptmx"})
        write_text(root_ / name, "");
    const auto read_at = [&](const char *name, std::uint64_t unix_ms) {
        const timespec times[2] = {{static_cast<std::time_t>(unix_ms / 1000), 0}, {0, UTIME_OMIT}};
        ASSERT_EQ(utimensat(AT_FDCWD, (root_ / name).c_str(), times, 0), 0);
    };
    const std::uint64_t now_ms = clock_.unix_ms();
    read_at("dev/tty1", now_ms - 50 * kMinute);
    read_at("dev/pts/0", now_ms - 30 * kMinute);
    EXPECT_EQ(watch().look().input_idle_ms, 30 * kMinute);
    EXPECT_EQ(watch().input_sources(), "0 input devices, terminals");
    read_at("dev/tty1", now_ms + 5 * kMinute);  // the clock was set
    EXPECT_EQ(watch().look().input_idle_ms, 0u);
}

TEST_F(OwnerWatchTest, LoadIsWhatOthersThanLeasesUse) {
    const auto ticks_per_s = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
    OwnerWatch &watch = this->watch();
    EXPECT_EQ(watch.look().load_permille, 0u);
    std::uint64_t ticks = 0;
    const auto pass = [&](int seconds, std::uint64_t cores_of_owner,
                          std::uint64_t cores_of_leases) {
        for (int i = 0; i < seconds; ++i) {
            clock_.advance_ms(1'000);
            ticks += ticks_per_s * (cores_of_owner + cores_of_leases);
            lease_ns_ += 1'000'000'000 * cores_of_leases;
            set_busy_ticks(ticks, ticks);  // stolen time is nobody's
            watch.look();
        }
        return watch.look().load_permille;
    };
    EXPECT_LE(pass(300, 0, 4), 10u);
    const std::uint32_t rising = pass(60, 2, 2);
    EXPECT_GT(rising, 1'000u);
    EXPECT_LT(rising, 1'500u);  // a minute has a memory of a minute
    EXPECT_NEAR(pass(600, 2, 0), 2'000, 30);
    EXPECT_LE(pass(600, 0, 0), 10u);
}

TEST_F(OwnerWatchTest, ReadsPressureAndPower) {
    EXPECT_EQ(watch().look().memory_stall_permille, 0u);
    EXPECT_FALSE(watch().look().on_battery);
    write_text(root_ / "proc/pressure/memory",
               "some avg10=12.34 avg60=0.00 avg300=0.00 total=1\nfull avg10=1.00\n");
    EXPECT_EQ(watch().look().memory_stall_permille, 123u);
    const auto supply = [&](const std::string &name, const char *type, const char *key,
                            const char *value) {
        std::filesystem::create_directories(root_ / ("sys/class/power_supply/" + name));
        write_text(root_ / ("sys/class/power_supply/" + name + "/type"), std::string(type) + "\n");
        write_text(root_ / ("sys/class/power_supply/" + name + "/" + key),
                   std::string(value) + "\n");
    };
    supply("hidpp_0", "Battery", "status", "Discharging");
    supply("hidpp_0", "Battery", "scope", "Device");
    EXPECT_FALSE(watch().look().on_battery) << "a mouse's";
    supply("BAT0", "Battery", "status", "Discharging");
    EXPECT_TRUE(watch().look().on_battery);
    supply("AC", "Mains", "online", "1");
    EXPECT_FALSE(watch().look().on_battery);
    supply("AC", "Mains", "online", "0");
    EXPECT_TRUE(watch().look().on_battery);
}

TEST_F(OwnerWatchTest, KnowsNamedApplicationsOfTheOwner) {
    OwnerWatch &watch = this->watch({"blender", "a-very-long-program-name"});
    EXPECT_EQ(watch.look().application, "");
    std::filesystem::create_directories(root_ / "proc/41");
    write_text(root_ / "proc/41/comm", "blender\n");
    EXPECT_EQ(watch.look().application, "blender");
    lease_pid_ = 41;
    EXPECT_EQ(watch.look().application, "") << "it runs in a lease";
    std::filesystem::create_directories(root_ / "proc/42");
    write_text(root_ / "proc/42/comm", "a-very-long-pro\n");
    EXPECT_EQ(watch.look().application, "a-very-long-program-name");
}

// What this machine really shows: nothing fails, whatever there is.
TEST(OwnerWatch, LooksAtThisMachine) {
    Loop loop;
    OwnerWatch watch(loop, system_clock(), {}, {"no-such-program"},
                     {[] { return std::uint64_t{0}; }, [](int) { return false; }}, [] {});
    watch.look();
    usleep(50'000);
    const OwnerSigns signs = watch.look();
    EXPECT_LT(signs.week_minute, kMinutesPerWeek);
    EXPECT_EQ(signs.application, "");
    EXPECT_FALSE(signs.paused);
}

}  // namespace
}  // namespace chain::provider
