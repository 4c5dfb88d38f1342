// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/process.h"

#include <csignal>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/cli/devnet.h"
#include "tests/chain/client/control_server.h"

namespace chain::cli {
namespace {

class ProcessTest : public testing::Test {
protected:
    DaemonSpec shell(const std::string &script) {
        return {{"/bin/sh", "-c", script}, folder_.path() + "/log", folder_.path() + "/pid"};
    }
    TemporaryFolder folder_;
};

TEST_F(ProcessTest, ADaemonIsFoundByItsPidFileUntilItEnds) {
    const auto process = spawn_daemon(shell("echo started; exec sleep 60"));
    ASSERT_TRUE(process.ok()) << process.error().message;
    const auto found = running_process(folder_.path() + "/pid");
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->pid, process->pid);
    EXPECT_EQ(getsid(process->pid), process->pid);
    EXPECT_FALSE(wait_until_gone(*process, 50));
    EXPECT_TRUE(send_signal(*process, SIGTERM));
    EXPECT_TRUE(wait_until_gone(*process, 5000));
    EXPECT_EQ(how_it_ended(*process), "signal 15");
    EXPECT_FALSE(running_process(folder_.path() + "/pid").has_value());
    EXPECT_FALSE(send_signal(*process, SIGTERM));
}

TEST_F(ProcessTest, ANumberThatWasGivenToAnotherIsNeverSignalled) {
    const auto process = spawn_daemon(shell("exec sleep 60"));
    ASSERT_TRUE(process.ok());
    ProcessIdentity other = *process;
    other.start_ticks -= 1;
    EXPECT_FALSE(is_running(other));
    EXPECT_FALSE(send_signal(other, SIGKILL));
    other = *process;
    other.boot_id = "an earlier boot";
    EXPECT_FALSE(send_signal(other, SIGKILL));
    EXPECT_TRUE(is_running(*process));
    EXPECT_TRUE(send_signal(*process, SIGKILL));
    EXPECT_TRUE(wait_until_gone(*process, 5000));
    for (const char *text : {"", "x", "-1 5 b\n", "0 0 b\n", "99999999999999999999 1 b\n"}) {
        ASSERT_TRUE(write_file_atomic(folder_.path() + "/pid", text, 0600).ok());
        EXPECT_FALSE(running_process(folder_.path() + "/pid").has_value()) << text;
    }
}

TEST_F(ProcessTest, AProgramThatIsNotThereIsSaidAndLeavesNoPidFile) {
    DaemonSpec spec = shell("");
    spec.argv = {"/nowhere/ompi-chaind"};
    const auto process = spawn_daemon(spec);
    ASSERT_FALSE(process.ok());
    EXPECT_EQ(process.error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(path_exists(spec.pid_path));
}

TEST_F(ProcessTest, AProgramsExitCodeAndEnvironmentPass) {
    EXPECT_EQ(*run_program({"sh", "-c", "exit $N"}, {{"N", "42"}}), 42);
    EXPECT_EQ(*run_program({"sh", "-c", "kill -9 $$"}, {}), 137);
    EXPECT_EQ(*run_program({"/nowhere/program"}, {}), 127);
    EXPECT_EQ(*run_program({"/etc/passwd"}, {}), 126);
}

TEST_F(ProcessTest, SignalsArePassedOn) {
    const std::string mark = folder_.path() + "/ready";
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        const auto code = run_program(
            {"sh", "-c", "trap 'exit 7' TERM; : > " + mark + "; while :; do sleep 0.05; done"}, {});
        _exit(code.ok() ? *code : 99);
    }
    for (int i = 0; i < 200 && !path_exists(mark); ++i) usleep(20'000);
    kill(pid, SIGTERM);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

}  // namespace
}  // namespace chain::cli
