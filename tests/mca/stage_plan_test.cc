// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/stage_plan.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace chain::client {
namespace {

namespace fs = std::filesystem;

class StagePlanTest : public testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/stage_plan_XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        base_ = name;
        work_ = base_ + "/work";
        fs::create_directories(work_ + "/data/deep");
        fs::create_directories(base_ + "/bin");
        put(work_ + "/filter", 10, 0755);
        put(work_ + "/in.png", 100);
        put(work_ + "/data/a.txt", 1);
        put(work_ + "/data/deep/b.txt", 1);
        put(base_ + "/elsewhere.png", 1000);
        put(base_ + "/bin/tool", 5, 0755);
        order_.stage_max_bytes = 1 << 20;
    }
    void TearDown() override { fs::remove_all(base_); }

    static void put(const std::string &path, std::size_t size, mode_t mode = 0644) {
        std::ofstream(path) << std::string(size, 'x');
        ::chmod(path.c_str(), mode);
    }

    Result<StagePlan> plan(std::vector<std::string> argv) {
        return plan_stage({{std::move(argv), work_}}, order_, "/usr/bin:" + base_ + "/bin");
    }

    static std::vector<std::string> names(const StagePlan &plan) {
        std::vector<std::string> result;
        for (const auto &item : plan.items) result.push_back(item.name());
        return result;
    }

    using Names = std::vector<std::string>;
    std::string base_, work_;
    LeaseOrder order_;
};

TEST_F(StagePlanTest, ShipsProgramAndFilesAmongTheArguments) {
    const auto result = plan({"./filter", "in.png", "out.png", "--mask=data/a.txt", "-v"});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(names(*result), (Names{"filter", "in.png", "data/a.txt"}));
    EXPECT_EQ(result->total_bytes, 111u);
    EXPECT_EQ(result->peer_job_folder, work_);
    EXPECT_EQ(result->apps[0].argv,
              (Names{"./filter", "in.png", "out.png", "--mask=data/a.txt", "-v"}));
}

TEST_F(StagePlanTest, FilesElsewhereKeepTheirAbsoluteName) {
    const auto result = plan({"./filter", "../elsewhere.png", base_ + "/elsewhere.png"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(names(*result), (Names{"filter", base_ + "/elsewhere.png"}));
    EXPECT_EQ(result->apps[0].argv[1], "../elsewhere.png");
}

TEST_F(StagePlanTest, SaysWhatDoesNotComeBack) {
    const auto result =
        plan({"./filter", "-o", "../out/", "data/new.png", "--to=" + base_ + "/new.png", "s3://b/c",
              "/usr/x", "/absent/folder/file", "denoise", "1/2", base_ + "/elsewhere.png"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->outside, (Names{"../out/", base_ + "/new.png"}));
    EXPECT_TRUE(plan({"./filter", "-o", "out/", work_, "./new"})->outside.empty());
}

TEST_F(StagePlanTest, ThePeersOwnProgramsStayThere) {
    const auto result = plan({"cat", "in.png"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(names(*result), (Names{"in.png"}));
    EXPECT_EQ(result->apps[0].argv[0], "cat");
}

TEST_F(StagePlanTest, ProgramsOnThePathGetAnAbsoluteName) {
    const auto result = plan({"tool"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(names(*result), (Names{base_ + "/bin/tool"}));
    EXPECT_EQ(result->apps[0].argv[0], base_ + "/bin/tool");
}

TEST_F(StagePlanTest, BareNameInTheWorkingFolderIsShippedAsOrteFindsIt) {
    const auto result = plan({"filter"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(names(*result), (Names{"filter"}));
    EXPECT_EQ(result->apps[0].argv[0], "filter");
}

TEST_F(StagePlanTest, SystemFilesAreCopiedAndTheArgumentIsRewritten) {
    const auto result = plan({"./filter", "/usr/lib/os-release", "--again=/usr/lib/os-release",
                              "/proc/cpuinfo", "/dev/null", "/etc/passwd"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(names(*result), (Names{"filter", ".chain-in/0/os-release"}));
    EXPECT_EQ(result->apps[0].argv[1], work_ + "/.chain-in/0/os-release");
    EXPECT_EQ(result->apps[0].argv[2], "--again=" + work_ + "/.chain-in/0/os-release");
    EXPECT_EQ(result->apps[0].argv[3], "/proc/cpuinfo");
    EXPECT_EQ(result->apps[0].argv[5], "/etc/passwd") << "peers have their own";
}

TEST_F(StagePlanTest, WorkingFolderThatPeersCannotHaveMoves) {
    const auto result = plan_stage({{{"cat", base_ + "/elsewhere.png"}, "/"}}, order_, "/usr/bin");
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->peer_job_folder, "/job");
    EXPECT_EQ(result->apps[0].cwd, "/job");
    EXPECT_EQ(names(*result), (Names{base_.substr(1) + "/elsewhere.png"}));
    EXPECT_EQ(result->apps[0].argv[1], "/job" + base_ + "/elsewhere.png");
}

TEST_F(StagePlanTest, StageInTakesFoldersWhole) {
    order_.stage_in = {"data"};
    const auto result = plan({"./filter"});
    ASSERT_TRUE(result.ok());
    auto found = names(*result);
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, (Names{"data/a.txt", "data/deep/b.txt", "filter"}));
}

TEST_F(StagePlanTest, StageInNoneShipsTheProgramOnly) {
    order_.stage_program_only = true;
    const auto result = plan({"./filter", "in.png"});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(names(*result), (Names{"filter"}));
}

TEST_F(StagePlanTest, SaysWhatIsWrong) {
    auto result = plan({"./absent"});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
    result = plan({"./in.png"});
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message.find("chmod"), std::string::npos);
    order_.stage_in = {"absent"};
    EXPECT_EQ(plan({"./filter"}).error().code, ErrorCode::kNotFound);
    order_.stage_in = {"/usr/share"};
    EXPECT_EQ(plan({"./filter"}).error().code, ErrorCode::kInvalidInput);
    order_.stage_in.clear();
    order_.stage_max_bytes = 50;
    result = plan({"./filter", "in.png"});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kTooLarge);
    EXPECT_NE(result.error().message.find("in.png"), std::string::npos);
}

TEST_F(StagePlanTest, ProgramsOfAJobShareAFolder) {
    const auto result = plan_stage({{{"./filter"}, work_}, {{"cat"}, base_}}, order_, "/usr/bin");
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace chain::client
