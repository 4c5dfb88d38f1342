// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/orted_command.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

namespace chain::provider {
namespace {

wire::Launch good_launch() {
    wire::Launch launch;
    launch.set_jobid(2931621888u);
    launch.set_vpid(1);
    launch.set_daemon_count(3);
    launch.set_node_regex("vm,peer[1:1-2]@0(3)");
    launch.set_hnp_uri("2931621888.0;tcp://192.0.2.1,10.77.0.1:43121");
    launch.set_job_folder("/srv/renter/images");
    return launch;
}

TEST(OrtedCommand, IsOneOrtedWithTypedValues) {
    const auto argv = orted_command(good_launch(), "/usr/bin/orted");
    ASSERT_TRUE(argv.ok()) << argv.error().message;
    const std::vector<std::string> head{
        "/usr/bin/orted", "-mca",       "ess",  "env",           "-mca",
        "ess_base_jobid", "2931621888", "-mca", "ess_base_vpid", "1"};
    ASSERT_GE(argv->size(), head.size());
    EXPECT_TRUE(std::equal(head.begin(), head.end(), argv->begin()));
    EXPECT_EQ(argv->size() % 3, 1u);
    // What mpirun sets for itself in orte/mca/plm/chain/plm_chain_component.cc.
    EXPECT_EQ((*argv)[argv->size() - 2], "routed_radix");
    EXPECT_EQ(argv->back(), "10000");
    for (std::size_t i = 1; i < argv->size(); i += 3) EXPECT_EQ((*argv)[i], "-mca");
    for (const std::string &word : *argv) EXPECT_EQ(word.find("daemonize"), std::string::npos);
}

TEST(OrtedCommand, TakesIpv6AndSeveralEndpoints) {
    wire::Launch launch = good_launch();
    launch.set_hnp_uri("2931621888.0;tcp://192.0.2.1:1;tcp6://[2001:db8::1,::1]:65535");
    EXPECT_TRUE(check_launch(launch).ok());
}

struct Hostile {
    const char *name;
    std::function<void(wire::Launch &)> change;
};

class HostileLaunch : public testing::TestWithParam<Hostile> {};

TEST_P(HostileLaunch, IsRefused) {
    wire::Launch launch = good_launch();
    GetParam().change(launch);
    const auto argv = orted_command(launch, "/usr/bin/orted");
    ASSERT_FALSE(argv.ok());
    EXPECT_EQ(argv.error().code, ErrorCode::kProtocol);
}

#define HOSTILE(NAME, STATEMENT)                   \
    Hostile {                                      \
#NAME, [](wire::Launch & l) { STATEMENT; } \
    }

INSTANTIATE_TEST_SUITE_P(
    Table, HostileLaunch,
    testing::Values(
        HOSTILE(JobZero, l.set_jobid(0)), HOSTILE(JobWildcard, l.set_jobid(UINT32_MAX)),
        HOSTILE(VpidOfMpirun, l.set_vpid(0)), HOSTILE(VpidTooHigh, l.set_vpid(3)),
        HOSTILE(AloneInTheJob, l.set_daemon_count(1)),
        HOSTILE(TooManyDaemons, l.set_daemon_count(10'001)),
        HOSTILE(RegexEmpty, l.set_node_regex("")),
        HOSTILE(RegexOption, l.set_node_regex("--plm_rsh_agent")),
        HOSTILE(RegexShell, l.set_node_regex("vm;reboot")),
        HOSTILE(RegexBackquote, l.set_node_regex("vm`id`")),
        HOSTILE(RegexSubstitution, l.set_node_regex("vm$(id)")),
        HOSTILE(RegexSpace, l.set_node_regex("vm -mca plm rsh")),
        HOSTILE(RegexSlash, l.set_node_regex("vm/../../etc")),
        HOSTILE(RegexNewline, l.set_node_regex("vm\nvm")),
        HOSTILE(RegexNul, l.set_node_regex(std::string("vm\0x", 4))),
        HOSTILE(RegexLong, l.set_node_regex(std::string(kNodeRegexBytesMax + 1, 'a'))),
        HOSTILE(UriEmpty, l.set_hnp_uri("")), HOSTILE(UriFile, l.set_hnp_uri("file:/etc/passwd")),
        HOSTILE(UriOtherJob, l.set_hnp_uri("1.0;tcp://192.0.2.1:1")),
        HOSTILE(UriNotMpirun, l.set_hnp_uri("2931621888.1;tcp://192.0.2.1:1")),
        HOSTILE(UriNoAddress, l.set_hnp_uri("2931621888.0;tcp://:1")),
        HOSTILE(UriHostName, l.set_hnp_uri("2931621888.0;tcp://example.org:1")),
        HOSTILE(UriNoPort, l.set_hnp_uri("2931621888.0;tcp://192.0.2.1")),
        HOSTILE(UriPortZero, l.set_hnp_uri("2931621888.0;tcp://192.0.2.1:0")),
        HOSTILE(UriPortHigh, l.set_hnp_uri("2931621888.0;tcp://192.0.2.1:65536")),
        HOSTILE(UriUsock, l.set_hnp_uri("2931621888.0;usock")),
        HOSTILE(UriUdp, l.set_hnp_uri("2931621888.0;ud://192.0.2.1:1")),
        HOSTILE(UriTail, l.set_hnp_uri("2931621888.0;tcp://192.0.2.1:1;")),
        HOSTILE(UriSpace, l.set_hnp_uri("2931621888.0;tcp://192.0.2.1:1 -mca plm rsh")),
        HOSTILE(UriNul, l.set_hnp_uri(std::string("2931621888.0;tcp://192.0.2.1\0:1", 30))),
        HOSTILE(UriThree, l.set_hnp_uri("2931621888.0;tcp://192.0.2.1:1;tcp://192.0.2.1:1;"
                                        "tcp://192.0.2.1:1")),
        HOSTILE(UriLong, l.set_hnp_uri("2931621888.0;tcp://" + std::string(8000, '1') + ":1")),
        HOSTILE(Ipv6Bare, l.set_hnp_uri("2931621888.0;tcp6://2001:db8::1:1")),
        HOSTILE(FolderEmpty, l.set_job_folder("")), HOSTILE(FolderRoot, l.set_job_folder("/")),
        HOSTILE(FolderRelative, l.set_job_folder("images")),
        HOSTILE(FolderUp, l.set_job_folder("/srv/../etc")),
        HOSTILE(FolderNewline, l.set_job_folder("/srv/x\ny")),
        HOSTILE(FolderNul, l.set_job_folder(std::string("/home\0/x", 8)))),
    [](const auto &info) { return std::string(info.param.name); });

// Whatever bytes arrive: refused, or a command line whose values hold nothing but their alphabet.
TEST(OrtedCommand, RandomBytesNeverBecomeOptions) {
    const std::uint32_t seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 20'000; ++round) {
        wire::Launch launch = good_launch();
        std::string *field = nullptr;
        switch (random() % 3) {
            case 0: field = launch.mutable_node_regex(); break;
            case 1: field = launch.mutable_hnp_uri(); break;
            default: field = launch.mutable_job_folder(); break;
        }
        const std::size_t at = random() % (field->size() + 1);
        field->insert(at, 1, static_cast<char>(random() % 256));
        const auto argv = orted_command(launch, "/usr/bin/orted");
        if (!argv.ok()) continue;
        for (std::size_t i = 1; i < argv->size(); ++i) {
            const std::string &word = (*argv)[i];
            EXPECT_EQ(word.find_first_of(" \t\n\\'\"`$&|<>*?~#!{}%^+="), std::string::npos) << word;
            if (i % 3 == 0) EXPECT_NE(word.front(), '-') << word;
        }
    }
}

}  // namespace
}  // namespace chain::provider
