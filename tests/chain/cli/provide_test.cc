// SPDX-License-Identifier: BSD-3-Clause
//
// provide: what is asked, what follows from the answers, and that nothing is lost.
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "chain/provider/settings.h"
#include "tests/chain/base/temporary_folder.h"
#include "tests/chain/cli/typed.h"

namespace chain::cli {
namespace {

using provider::LendSettings;
using provider::OwnerRules;

class Provide : public testing::Test {
protected:
    int ask(std::vector<std::string> words, const std::string &typed = "",
            bool interactive = false) {
        words.insert(words.begin(), "provide");
        words.insert(words.end(), {"--data", data_});
        const Outcome outcome = run_typed(words, typed, interactive);
        out_ = outcome.out;
        err_ = outcome.err;
        return outcome.exit_code;
    }
    LendSettings written() const {
        LendSettings settings;
        const Status read = provider::read_settings(path_, true, settings);
        EXPECT_TRUE(read.ok()) << read.error().message;
        return settings;
    }
    std::size_t file_count() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(data_),
                                                      std::filesystem::directory_iterator()));
    }

    const TemporaryFolder folder_;
    const std::string data_ = folder_.path() + "/data";
    const std::string path_ = data_ + "/settings.toml";
    std::string out_, err_;
};

TEST_F(Provide, FiveAnswersMakeTheSettings) {
    ASSERT_EQ(ask({}, "1\nalways\nMon-Fri 18:00-08:00, Sat-Sun 00:00-24:00\n0.25\n2G\n", true), 0)
        << err_;
    const LendSettings settings = written();
    EXPECT_EQ(settings.slot_count, 1u);
    EXPECT_EQ(settings.owner_rules.start_load_permille, OwnerRules::none().start_load_permille);
    EXPECT_EQ(settings.owner_rules.windows.size(), 7u);
    EXPECT_EQ(settings.ask_per_ghz_h.units, 250'000'000);
    EXPECT_EQ(settings.memory_bytes, 2ULL << 30);
    EXPECT_NE(out_.find("wrote " + path_), std::string::npos);
    EXPECT_NE(out_.find("ompi-chaind --listen"), std::string::npos);
}

TEST_F(Provide, EnterTakesTheCarefulSide) {
    ASSERT_EQ(ask({}, "\n\n\n\n\n", true), 0) << err_;
    const LendSettings settings = written();
    EXPECT_EQ(settings.slot_count, std::max(1u, std::thread::hardware_concurrency() - 1));
    EXPECT_EQ(settings.owner_rules.start_idle_ms, OwnerRules().start_idle_ms);
    EXPECT_TRUE(settings.owner_rules.windows.empty());
    EXPECT_EQ(settings.ask_per_ghz_h.units, 10'000'000);
    EXPECT_EQ(settings.memory_bytes, 0u);
}

TEST_F(Provide, AWrongAnswerIsAskedAgainAndSaysWhy) {
    ASSERT_EQ(ask({}, "lots\n-1\n1\nsometimes\n1\nMon 25:00\nany\nfree\n0\n0.1\n1X\nhalf\n", true),
              0)
        << err_;
    EXPECT_EQ(written().slot_count, 1u);
    for (const char *why : {"away (1) or always (2)", "25:00", "above 0", "1X"})
        EXPECT_NE(err_.find(why), std::string::npos) << why << "\n" << err_;
}

TEST_F(Provide, GivenUpNothingIsWritten) {
    EXPECT_EQ(ask({}, "", true), 2);
    EXPECT_EQ(ask({}, "1\n", true), 2) << "the end of input is no Enter";
    EXPECT_EQ(ask({}, "x\nx\nx\nx\nx\n1\n\n\n\n\n", true), 2);
    EXPECT_FALSE(path_exists(path_));
}

TEST_F(Provide, OptionsAnswerWhereNobodyIsAsked) {
    ASSERT_EQ(ask({"--slots", "0", "--when", "always", "--ask", "0.5", "--memory", "half",
                   "--windows", "daily 22:00-06:00", "--json"}),
              0)
        << err_;
    EXPECT_EQ(err_, "");
    const auto json = nlohmann::json::parse(out_);
    EXPECT_EQ(json["slots"], 0);
    EXPECT_EQ(json["windows"], nlohmann::json({"daily 22:00-06:00"}));
    EXPECT_TRUE(json["kept"].is_null());
    EXPECT_FALSE(json["daemon_runs"]);
    for (const std::vector<std::string> &words :
         std::vector<std::vector<std::string>>{{"--slots", "100000"},
                                               {"--when", "never"},
                                               {"--windows", "Mon-"},
                                               {"--ask", "-1"},
                                               {"--memory", "much"},
                                               {"--cores", "1"},
                                               {"now"}}) {
        EXPECT_EQ(ask(words), 1) << words[0];
        EXPECT_NE(err_, "");
    }
    EXPECT_EQ(written().slot_count, 0u);
}

TEST_F(Provide, WhatStoodThereIsKeptAndGoesOnToHold) {
    ASSERT_TRUE(make_folders(data_, 0700).ok());
    const std::string own =
        "# my own words\n[lend]\nslots = 1\nregion = \"eu\"\n"
        "[owner]\nrules = \"desktop\"\napplications = [\"blender\"]\nleave = \"90s\"\n";
    ASSERT_TRUE(write_file_atomic(path_, own, 0644).ok());
    ASSERT_EQ(ask({"--ask", "0.5", "--yes"}), 0) << err_;
    const LendSettings settings = written();
    EXPECT_EQ(settings.slot_count, 1u);
    EXPECT_EQ(settings.region, "eu");
    EXPECT_EQ(settings.owner_rules.applications, std::vector<std::string>{"blender"});
    EXPECT_EQ(settings.owner_rules.leave_ms, 90'000u);
    ASSERT_EQ(file_count(), 2u);
    for (const auto &entry : std::filesystem::directory_iterator(data_)) {
        if (entry.path() == path_) continue;
        EXPECT_EQ(read_file(entry.path(), 1 << 16).value(), own);
        EXPECT_NE(out_.find(entry.path().string()), std::string::npos);
    }
}

TEST_F(Provide, NothingIsLostHoweverOftenItRuns) {
    ASSERT_TRUE(make_folders(data_, 0700).ok());
    const std::string own = "# my own words\n[lend]\nslots = 1\n";
    ASSERT_TRUE(write_file_atomic(path_, own, 0644).ok());
    constexpr std::size_t kTimes = 5;  // some of them within one second
    for (std::size_t i = 0; i < kTimes; ++i) ASSERT_EQ(ask({"--yes"}), 0) << err_;
    EXPECT_EQ(file_count(), kTimes + 1);
    std::size_t found = 0;
    for (const auto &entry : std::filesystem::directory_iterator(data_))
        found += read_file(entry.path(), 1 << 16).value() == own;
    EXPECT_EQ(found, 1u);
}

TEST_F(Provide, AMixOfRulesStaysAsItIs) {
    ASSERT_TRUE(make_folders(data_, 0700).ok());
    for (const char *mix :
         {"start_load = 0.3", "watch_input = true", "start_load = 0.3\nbusy_load = 0.4"}) {
        const std::string text = std::string("[owner]\nrules = \"none\"\n") + mix + "\n";
        ASSERT_TRUE(write_file_atomic(path_, text, 0644).ok());
        const OwnerRules before = written().owner_rules;
        ASSERT_EQ(ask({"--yes"}), 0) << mix << ": " << err_;
        const OwnerRules after = written().owner_rules;
        EXPECT_EQ(before.start_load_permille, after.start_load_permille) << mix;
        EXPECT_EQ(before.busy_load_permille, after.busy_load_permille) << mix;
        EXPECT_EQ(before.watch_input, after.watch_input) << mix;
        EXPECT_EQ(before.memory_stall_permille, after.memory_stall_permille) << mix;
    }
}

TEST_F(Provide, AFileThatIsWrongIsLeftAlone) {
    ASSERT_TRUE(make_folders(data_, 0700).ok());
    ASSERT_TRUE(write_file_atomic(path_, "[lend]\nslots = many\n", 0644).ok());
    EXPECT_EQ(ask({"--yes"}), 1);
    EXPECT_NE(err_.find("settings.toml:2"), std::string::npos) << err_;
    EXPECT_EQ(read_file(path_, 1 << 16).value(), "[lend]\nslots = many\n");
    EXPECT_EQ(file_count(), 1u);
}

TEST_F(Provide, HelpShowsIt) {
    EXPECT_EQ(ask({"--help"}), 0);
    EXPECT_NE(out_.find("Usage: ompi-chain provide [OPTION]"), std::string::npos) << out_;
    EXPECT_EQ(run_typed({"help", "provide"}).out, out_);
    const Outcome general = run_typed({"--help"});
    EXPECT_NE(general.out.find("lend this machine\n"), std::string::npos) << general.out;
}

}  // namespace
}  // namespace chain::cli
