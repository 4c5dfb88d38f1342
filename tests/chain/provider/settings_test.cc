// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/settings.h"

#include <random>

#include <gtest/gtest.h>

#include "chain/base/file.h"
#include "tests/chain/base/temporary_folder.h"

namespace chain::provider {
namespace {

LendSettings parsed(std::string_view text) {
    LendSettings options;
    const Status status = parse_settings("s.toml", text, options);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return options;
}

std::string refusal(std::string_view text) {
    LendSettings options;
    const Status status = parse_settings("s.toml", text, options);
    return status.ok() ? "taken" : status.error().message;
}

TEST(Settings, AnEmptyFileChangesNothing) {
    const LendSettings options = parsed("# nothing\n");
    EXPECT_EQ(options.slot_count, 0u);
    EXPECT_EQ(options.cap_percent, 80u);
    EXPECT_FALSE(options.owner_rules.watch_input);
}

TEST(Settings, SaysWhatIsLentAndWhen) {
    const LendSettings options = parsed(R"(
[lend]
slots = 6
ask = "0.02"
cap_percent = 60
memory = "8G"
scratch = "512M"
cache = "2G"
host_name = "attic"
region = "eu"
[owner]
start_idle = "10m"
start_load = 0.25
busy_load = 1
busy = "30s"
continue_idle = "2m"
suspend = "0"
leave = "20s"
memory_stall = 0.05
on_battery = true
windows = ["Mon-Tue 18:00-08:00", "Sun 00:00-24:00"]
applications = ["blender", "steam"]
)");
    EXPECT_EQ(options.slot_count, 6u);
    EXPECT_EQ(options.ask_per_ghz_h.units, 20'000'000);
    EXPECT_EQ(options.cap_percent, 60u);
    EXPECT_EQ(options.scratch_bytes, 512u << 20);
    EXPECT_EQ(options.cache_bytes, 2ULL << 30);
    EXPECT_EQ(options.memory_bytes, 8ull << 30);
    EXPECT_EQ(options.host, "attic");
    const OwnerRules &rules = options.owner_rules;
    EXPECT_TRUE(rules.watch_input);
    EXPECT_EQ(rules.start_idle_ms, 600'000u);
    EXPECT_EQ(rules.start_load_permille, 250u);
    EXPECT_EQ(rules.busy_load_permille, 1'000u);
    EXPECT_EQ(rules.busy_ms, 30'000u);
    EXPECT_EQ(rules.leave_ms, 20'000u);
    EXPECT_EQ(rules.memory_stall_permille, 50u);
    EXPECT_TRUE(rules.on_battery);
    EXPECT_EQ(rules.applications, (std::vector<std::string>{"blender", "steam"}));
    ASSERT_EQ(rules.windows.size(), 3u);
    EXPECT_EQ(rules.windows[0], (WeekWindow{18 * 60, 1440 + 8 * 60}));
    EXPECT_EQ(rules.windows[1], (WeekWindow{1440 + 18 * 60, 2 * 1440 + 8 * 60}));
    EXPECT_EQ(rules.windows[2], (WeekWindow{6 * 1440, 0}));
}

TEST(Settings, NoRulesForAMachineThatNobodySitsAt) {
    const OwnerRules rules = parsed("[owner]\nleave = \"5s\"\nrules = \"none\"\n").owner_rules;
    EXPECT_FALSE(rules.watch_input);
    EXPECT_EQ(rules.leave_ms, 5'000u);
}

TEST(Settings, SaysInWhichLineWhatIsWrong) {
    const std::pair<const char *, const char *> cases[] = {
        {"[lend]\nslots = \"4\"\n", "s.toml:2: slots: it takes a whole number from 0 to 4096"},
        {"[lend]\nslots = 4097\n", "from 0 to 4096"},
        {"[lend]\n\nslot = 4\n", "s.toml:3: there is no setting \"slot\" here"},
        {"[lend]\nask = 0.01\n", "ask: it takes a price in quotes"},
        {"[lend]\nask = \"0\"\n", "above 0"},
        {"[lend]\ncap_percent = 0\n", "from 1 to 100"},
        {"[lend]\nmemory = \"lots\"\n", "s.toml:2: memory:"},
        {"[lend]\nscratch = \"1M\"\n", "64"},
        {"[lend]\nscratch = \"65G\"\n", "64"},
        {"[lend]\ncache = \"1000\"\n", "0 (none), or 1M to 1024G"},
        {"[lend]\ncache = \"2000G\"\n", "0 (none), or 1M to 1024G"},
        {"[lend]\nhost_name = \"two words\"\n", "letters, digits"},
        {"lend = 3\n", "it takes a table"},
        {"[lend]\n\u00e9 = 4\n", "s.toml:2:"},
        {"[lend]\nslots = 4 \u0416\n", "s.toml:2:"},
        {"[own]\n", "there is no setting \"own\""},
        {"[owner]\nstart_idle = 15\n", "a time in quotes"},
        {"[owner]\nstart_idle = \"soon\"\n", "s.toml:2: start_idle:"},
        {"[owner]\nstart_load = -1\n", "a number from 0"},
        {"[owner]\nstart_load = nan\n", "a number from 0"},
        {"[owner]\non_battery = \"no\"\n", "true or false"},
        {"[owner]\nrules = \"mine\"\n", "\"desktop\" or \"none\""},
        {"[owner]\nwindows = \"daily\"\n", "a list of texts"},
        {"[owner]\nwindows = [\"daily\"]\n", "no window"},
        {"[owner]\nwindows = [\"Mo 18:00-08:00\"]\n", "\"Mo\" is no day"},
        {"[owner]\nwindows = [\"Mon 18:00-25:00\"]\n", "\"25:00\" is no time"},
        {"[owner]\nwindows = [\"Mon 18-20\"]\n", "no time of day"},
        {"[owner]\nbusy_load = 0.1\n", "by turns"},
        {"[lend\n", "s.toml:1:"},
        {"slots = 3 = 4\n", "s.toml:1:"},
    };
    for (const auto &[text, why] : cases)
        EXPECT_NE(refusal(text).find(why), std::string::npos) << text << refusal(text);
    EXPECT_NE(refusal(std::string(kSettingsBytesMax + 1, '#')).find("larger"), std::string::npos);
}

TEST(Settings, WindowsOfAWeek) {
    EXPECT_EQ(parse_windows("daily 22:00-06:00")->size(), 7u);
    EXPECT_EQ(parse_windows("Sat-Mon 00:00-24:00")->size(), 3u);
    EXPECT_EQ(parse_windows("Sun 22:00-06:00")->front(), (WeekWindow{6 * 1440 + 22 * 60, 6 * 60}));
    EXPECT_EQ(parse_windows("Wed 07:30-07:30")->front(),
              (WeekWindow{2 * 1440 + 450, 3 * 1440 + 450}));
}

bool same(const LendSettings &a, const LendSettings &b) {
    const OwnerRules &left = a.owner_rules, &right = b.owner_rules;
    return a.slot_count == b.slot_count && a.ask_per_ghz_h == b.ask_per_ghz_h &&
           a.memory_bytes == b.memory_bytes && a.host == b.host && a.region == b.region &&
           a.cap_percent == b.cap_percent && a.scratch_bytes == b.scratch_bytes &&
           a.cache_bytes == b.cache_bytes && a.owner_paths.dev == b.owner_paths.dev &&
           left.watch_input == right.watch_input && left.start_idle_ms == right.start_idle_ms &&
           left.start_load_permille == right.start_load_permille &&
           left.busy_load_permille == right.busy_load_permille && left.busy_ms == right.busy_ms &&
           left.continue_idle_ms == right.continue_idle_ms && left.suspend_ms == right.suspend_ms &&
           left.leave_ms == right.leave_ms &&
           left.memory_stall_permille == right.memory_stall_permille &&
           left.on_battery == right.on_battery && left.windows == right.windows &&
           left.applications == right.applications && a.relay.when == b.relay.when &&
           a.relay.bytes_per_second == b.relay.bytes_per_second &&
           a.relay.price_per_gib == b.relay.price_per_gib &&
           a.relay.pay_per_gib_most == b.relay.pay_per_gib_most &&
           a.relay.pay_most == b.relay.pay_most;
}

// What is written is what is read, and written again it is the same text.
TEST(Settings, TextAndBack) {
    const unsigned seed = std::random_device()();
    std::mt19937_64 random(seed);
    SCOPED_TRACE(seed);
    const auto pick = [&](std::uint64_t count) { return random() % count; };
    constexpr const char *kWindows[] = {"daily 22:00-06:00",   "Mon-Fri 18:00-08:00",
                                        "Sat-Sun 00:00-24:00", "Sun 23:59-00:00",
                                        "Fri-Mon 07:30-07:30", "Wed-Tue 00:00-00:01"};
    for (int i = 0; i < 2'000; ++i) {
        LendSettings settings;
        settings.slot_count = static_cast<std::uint32_t>(pick(kSlotsMax + 1));
        settings.ask_per_ghz_h = Amount{static_cast<std::int64_t>(1 + pick(1'000'000'000'000))};
        if (pick(2) == 0) settings.memory_bytes = (1 + pick(1'000)) << (10 * pick(4));
        settings.cache_bytes = pick(4) == 0 ? 0 : kCacheBytesMin + (pick(10'000) << (10 * pick(3)));
        settings.scratch_bytes = kScratchBytesMin + (pick(10'000) << (10 * pick(3)));
        settings.cap_percent = static_cast<std::uint32_t>(1 + pick(100));
        if (pick(2) == 0) settings.host = "attic-" + std::to_string(pick(100));
        if (pick(2) == 0)
            for (std::uint64_t n = pick(20); n > 0; --n)
                settings.region += static_cast<char>(1 + pick(126));
        if (pick(2) == 0) {
            RelaySettings &relay = settings.relay;
            relay.when = static_cast<RelaySettings::When>(pick(3));
            relay.bytes_per_second = kRelayRateMin + (pick(10'000) << (10 * pick(3)));
            relay.price_per_gib = Amount{static_cast<std::int64_t>(pick(2'000'000'000))};
            relay.pay_per_gib_most = Amount{static_cast<std::int64_t>(pick(2'000'000'000))};
            relay.pay_most = Amount{static_cast<std::int64_t>(pick(2'000'000'000'000))};
        }
        OwnerRules &rules = settings.owner_rules;
        if (pick(2) == 0) rules = OwnerRules();
        const bool is_desk = rules.start_load_permille != OwnerRules::none().start_load_permille;
        if (is_desk) {
            rules.watch_input = pick(2) == 0;
            rules.start_load_permille = static_cast<std::uint32_t>(pick(2'000));
            rules.busy_load_permille =
                rules.start_load_permille + static_cast<std::uint32_t>(pick(2'000));
            rules.memory_stall_permille = static_cast<std::uint32_t>(pick(1'001));
        }
        rules.start_idle_ms = 1'000 * pick(10'000);
        rules.suspend_ms = 1'000 * pick(100);
        rules.leave_ms = 1'000 * pick(600);
        rules.on_battery = pick(2) == 0;
        for (std::uint64_t n = pick(3); n > 0; --n) {
            const auto windows = parse_windows(kWindows[pick(std::size(kWindows))]).value();
            rules.windows.insert(rules.windows.end(), windows.begin(), windows.end());
        }
        if (pick(2) == 0) rules.applications = {"blender", "a \"quoted\" \\ one"};
        if (!OwnerPolicy::check(rules).ok()) continue;

        const std::string text = format_settings(settings);
        LendSettings again;
        again.ask_per_ghz_h = settings.ask_per_ghz_h;
        const Status read = parse_settings("s.toml", text, again);
        ASSERT_TRUE(read.ok()) << read.error().message << "\n" << text;
        ASSERT_TRUE(same(settings, again)) << text;
        ASSERT_EQ(format_settings(again), text);
    }
}

TEST(Settings, WindowsAreFewTexts) {
    for (const char *text : {"daily 22:00-06:00", "Mon-Fri 18:00-08:00", "Sat-Sun 00:00-24:00",
                             "Sun 23:59-24:00", "Fri-Mon 07:30-07:30", "Wed 01:02-03:04"})
        EXPECT_EQ(format_windows(parse_windows(text).value()), std::vector<std::string>{text});
    EXPECT_TRUE(format_windows({}).empty());
}

// Whatever stands in the file, it is read or refused.
TEST(Settings, NoiseIsRefusedInWords) {
    const std::string right =
        "[lend]\nslots = 6\nask = \"0.02\"\n[owner]\nstart_idle = \"10m\"\n"
        "windows = [\"Mon-Tue 18:00-08:00\"]\n";
    std::mt19937_64 random(11);
    for (int i = 0; i < 20'000; ++i) {
        std::string text = right;
        for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
            const std::size_t at = random() % text.size();
            if (random() % 2 == 0)
                text[at] = static_cast<char>(random());
            else
                text.erase(at, 1 + random() % 5);
            if (text.empty()) break;
        }
        EXPECT_FALSE(refusal(text).empty());
    }
}

// As large as the documents allow, and one byte more; and as deep as fits into that.
TEST(Settings, AFileHasALimit) {
    const TemporaryFolder folder;
    const std::string path = folder.path() + "/settings.toml";
    LendSettings options;
    Bytes comments;
    while (comments.size() < kSettingsBytesMax) comments += "# four\n#";
    ASSERT_TRUE(write_file_atomic(path, comments, 0600).ok());
    EXPECT_TRUE(read_settings(path, true, options).ok());
    ASSERT_TRUE(write_file_atomic(path, Bytes(kSettingsBytesMax + 1, '#'), 0600).ok());
    const Status refused = read_settings(path, true, options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
    EXPECT_EQ(refused.error().message, path + " is larger than 65536 bytes");

    EXPECT_EQ(refusal("\n#" + std::string(kSettingsLineBytesMax, ' ')),
              "s.toml:2: more than 4096 bytes in one line");
    EXPECT_NE(refusal("a = " + std::string(4'000, '[')).find("s.toml:1: "), std::string::npos);
    std::string dots = "a";
    while (dots.size() < kSettingsLineBytesMax - 8) dots += ".a";
    EXPECT_EQ(refusal(dots + " = 1\n"), "s.toml:1: there is no setting \"a\" here");
    EXPECT_EQ(refusal("[" + dots + "]\n"), "s.toml:1: there is no setting \"a\" here");
}

}  // namespace
}  // namespace chain::provider
