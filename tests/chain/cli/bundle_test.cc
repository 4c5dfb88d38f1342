// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/bundle.h"

#include <filesystem>

#include "chain/client/stage_plan.h"
#include "tests/chain/provider/support.h"

namespace chain::cli {
namespace {

using provider::read_text;
using provider::TestFolder;
using provider::write_text;
using Names = std::vector<std::string>;

TEST(Bundle, ReadsWhatLddSays) {
    const SharedObjects objects = parse_ldd(
        "\tlinux-vdso.so.1 (0x00007ffd0f5f2000)\n"
        "\tlibfilter.so.2 => /srv/my libs/libfilter.so.2 (0x00007f0000000000)\n"
        "\tlibmpi.so.40 => /lib/x86_64-linux-gnu/libmpi.so.40 (0x00007f1000000000)\n"
        "\tlibopencv_core.so.406 => /lib/x86_64-linux-gnu/libopencv_core.so.406 (0x00007f20)\n"
        "\tlibstdc++.so.6 => /lib/x86_64-linux-gnu/libstdc++.so.6 (0x00007f3000000000)\n"
        "\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f4000000000)\n"
        "\tlibgone.so.1 => not found\n"
        "\tlibhwloc.so.15 => /lib/x86_64-linux-gnu/libhwloc.so.15 (0x00007f5000000000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f6000000000)\n"
        "nonsense\n");
    EXPECT_EQ(objects.packed,
              (Names{"/srv/my libs/libfilter.so.2", "/lib/x86_64-linux-gnu/libopencv_core.so.406",
                     "/lib/x86_64-linux-gnu/libstdc++.so.6"}));
    EXPECT_EQ(objects.missing, Names{"libgone.so.1"});
    EXPECT_EQ(objects.of_peers, (Names{"linux-vdso.so.1", "libmpi.so.40", "libm.so.6",
                                       "libhwloc.so.15", "ld-linux-x86-64.so.2"}));
    EXPECT_TRUE(parse_ldd("").packed.empty());
}

class BundleTest : public ::testing::Test {
protected:
    BundlePlan plan(const std::string &program) {
        return {root_ / program, root_ / "made.bundle", {}, false};
    }
    void make_script() {
        write_text(root_ / "my prog", "#!/bin/sh\necho \"$1\" \"$LD_LIBRARY_PATH\"\n");
        std::filesystem::permissions(root_ / "my prog", std::filesystem::perms(0755));
    }
    TestFolder root_;
};

TEST_F(BundleTest, RunsWithItsOwnLibraries) {
    make_script();
    write_text(root_ / "data.bin", "data");
    BundlePlan bundle = plan("my prog");
    bundle.also = {root_ / "data.bin"};
    const auto made = make_bundle(bundle);
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_TRUE(made->packed.empty());
    EXPECT_EQ(read_text(root_ / "made.bundle/bin/data.bin"), "data");
    EXPECT_TRUE(path_exists(root_ / ("made.bundle/" + std::string(client::kBundleMark))));
    const std::string run = "env -u LD_LIBRARY_PATH '" + (root_ / "made.bundle/my prog") +
                            "' 'two  words' > " + (root_ / "out");
    ASSERT_EQ(std::system(run.c_str()), 0);
    EXPECT_EQ(read_text(root_ / "out"), "two  words " + (root_ / "made.bundle/lib") + "\n");
}

TEST_F(BundleTest, FindsTheLibrariesOfARealProgram) {
    const auto objects = find_shared_objects(std::filesystem::canonical("/proc/self/exe"));
    ASSERT_TRUE(objects.ok()) << objects.error().message;
    const auto has = [](const Names &names, std::string_view what) {
        return std::any_of(names.begin(), names.end(), [&](const std::string &name) {
            return name.find(what) != std::string::npos;
        });
    };
    EXPECT_TRUE(has(objects->packed, "libstdc++.so"));
    EXPECT_TRUE(has(objects->of_peers, "libc.so.6"));
    EXPECT_FALSE(has(objects->packed, "libc.so.6"));
    for (const std::string &library : objects->packed) EXPECT_TRUE(path_exists(library));
}

TEST_F(BundleTest, SaysWhatIsWrongAndLeavesNothing) {
    EXPECT_EQ(make_bundle(plan("absent")).error().code, ErrorCode::kNotFound);
    write_text(root_ / "text", "text");
    EXPECT_EQ(make_bundle(plan("text")).error().code, ErrorCode::kPermission);
    make_script();
    BundlePlan bundle = plan("my prog");
    bundle.also = {root_ / "absent"};
    EXPECT_EQ(make_bundle(bundle).error().code, ErrorCode::kNotFound);
    write_text(root_ / "other/data", "1");
    write_text(root_ / "data", "2");
    bundle.also = {root_ / "data", root_ / "other/data"};
    EXPECT_EQ(make_bundle(bundle).error().code, ErrorCode::kConflict);
    for (const auto &entry : std::filesystem::directory_iterator(root_.path()))
        EXPECT_EQ(entry.path().string().find(".bundle"), std::string::npos) << entry;
}

TEST_F(BundleTest, ReplacesABundleAndNothingElse) {
    make_script();
    BundlePlan bundle = plan("my prog");
    write_text(root_ / "made.bundle/mine", "mine");
    bundle.replace = true;
    EXPECT_EQ(make_bundle(bundle).error().code, ErrorCode::kConflict);
    EXPECT_EQ(read_text(root_ / "made.bundle/mine"), "mine");
    std::filesystem::remove_all(root_ / "made.bundle");
    ASSERT_TRUE(make_bundle(bundle).ok());
    ASSERT_TRUE(make_bundle(bundle).ok());
    bundle.replace = false;
    EXPECT_EQ(make_bundle(bundle).error().code, ErrorCode::kConflict);
}

}  // namespace
}  // namespace chain::cli
