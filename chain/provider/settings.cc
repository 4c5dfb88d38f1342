// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/settings.h"

#include <algorithm>
#include <array>
#include <functional>

// What it asserts of a file it also says as an error; the assertion would end the daemon.
#define TOML_ASSERT(condition) static_assert(true)
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "chain/base/file.h"
#include "chain/base/units.h"
#include "chain/wire/frame.h"

namespace chain::provider {
namespace {

// One table of the file: each value is taken once, and what is left over is not known.
class Section {
public:
    Section(std::string path, const toml::table &table) : path_(std::move(path)), table_(table) {}

    using Take = std::function<Status(const toml::node &)>;
    void add(std::string_view name, Take take) { takers_.emplace_back(name, std::move(take)); }

    Status read() const {
        for (const auto &[key, node] : table_) {
            const auto found = std::find_if(takers_.begin(), takers_.end(), [&](const auto &taker) {
                return taker.first == key.str();
            });
            if (found == takers_.end())
                return wrong(node, "there is no setting \"" + std::string(key.str()) + "\" here");
            if (const Status taken = found->second(node); !taken.ok())
                return wrong(node, std::string(key.str()) + ": " + taken.error().message);
        }
        return ok_status();
    }

private:
    Error wrong(const toml::node &node, const std::string &why) const {
        return make_error(ErrorCode::kInvalidInput, path_, ":", node.source().begin.line, ": ",
                          why);
    }
    const std::string path_;
    const toml::table &table_;
    std::vector<std::pair<std::string_view, Take>> takers_;
};

Error expected(std::string_view what) {
    return make_error(ErrorCode::kInvalidInput, "it takes ", what);
}

Section::Take text_into(std::function<Status(const std::string &)> take, std::string_view form) {
    return [take = std::move(take), form = std::string(form)](const toml::node &node) -> Status {
        const auto text = node.value_exact<std::string>();
        if (!text) return expected(form);
        return take(*text);
    };
}

template <class Number>
Section::Take whole_into(Number &target, std::int64_t least, std::int64_t most) {
    return [&target, least, most](const toml::node &node) -> Status {
        const auto number = node.value_exact<std::int64_t>();
        if (!number || *number < least || *number > most)
            return expected("a whole number from " + std::to_string(least) + " to " +
                            std::to_string(most));
        target = static_cast<Number>(*number);
        return ok_status();
    };
}

// 0.35 of a core, in thousandths.
Section::Take thousandths_into(std::uint32_t &target, double most) {
    return [&target, most](const toml::node &node) -> Status {
        const auto number = node.value<double>();
        if (!number || !(*number >= 0 && *number <= most))
            return expected("a number from 0 to " + std::to_string(static_cast<int>(most)));
        target = static_cast<std::uint32_t>(*number * 1000 + 0.5);
        return ok_status();
    };
}

Section::Take duration_into(std::uint64_t &target_ms) {
    return text_into(
        [&target_ms](const std::string &text) -> Status {
            if (text == "0") {
                target_ms = 0;
                return ok_status();
            }
            CHAIN_ASSIGN(target_ms, parse_duration_ms(text));
            return ok_status();
        },
        "a time in quotes, as \"90s\", \"15m\" or \"0\"");
}

Section::Take flag_into(bool &target) {
    return [&target](const toml::node &node) -> Status {
        const auto flag = node.value_exact<bool>();
        if (!flag) return expected("true or false");
        target = *flag;
        return ok_status();
    };
}

Section::Take texts_into(std::function<Status(const std::string &)> add) {
    return [add = std::move(add)](const toml::node &node) -> Status {
        const toml::array *const list = node.as_array();
        if (list == nullptr) return expected("a list of texts, as [\"a\", \"b\"]");
        for (const toml::node &one : *list) {
            const auto text = one.value_exact<std::string>();
            if (!text) return expected("a list of texts, as [\"a\", \"b\"]");
            CHAIN_TRY(add(*text));
        }
        return ok_status();
    };
}

Status read_lend(const std::string &path, const toml::table &table, LendSettings &settings) {
    Section section(path, table);
    section.add("slots", whole_into(settings.slot_count, 0, kSlotsMax));
    section.add("cap_percent", whole_into(settings.cap_percent, 1, 100));
    section.add("ask", text_into(
                           [&](const std::string &text) -> Status {
                               CHAIN_ASSIGN(settings.ask_per_ghz_h, parse_tokens(text));
                               return settings.ask_per_ghz_h.units > 0
                                          ? ok_status()
                                          : Status(expected("a price above 0"));
                           },
                           "a price in quotes, as \"0.01\""));
    section.add("memory", text_into(
                              [&](const std::string &text) -> Status {
                                  CHAIN_ASSIGN(settings.memory_bytes, parse_size_bytes(text));
                                  return ok_status();
                              },
                              "a size in quotes, as \"8G\""));
    section.add("scratch", text_into(
                               [&](const std::string &text) -> Status {
                                   CHAIN_ASSIGN(settings.scratch_bytes, parse_scratch_size(text));
                                   return ok_status();
                               },
                               "a size in quotes, as \"4G\""));
    section.add("host_name", text_into(
                                 [&](const std::string &text) -> Status {
                                     if (!text.empty() && !wire::is_valid_host_name(text))
                                         return expected("letters, digits and inner dashes");
                                     settings.host = text;
                                     return ok_status();
                                 },
                                 "a name in quotes"));
    section.add("region", text_into(
                              [&](const std::string &text) -> Status {
                                  settings.region = text;
                                  return ok_status();
                              },
                              "a name in quotes"));
    return section.read();
}

Status read_owner(const std::string &path, const toml::table &table, OwnerRules &rules,
                  OwnerPaths &paths) {
    // Which rules the others change, wherever it stands.
    const auto which = table["rules"].value_exact<std::string>();
    rules = which == "none" ? OwnerRules::none() : OwnerRules();
    Section section(path, table);
    section.add("rules", text_into(
                             [](const std::string &text) -> Status {
                                 return text == "desktop" || text == "none"
                                            ? ok_status()
                                            : Status(expected("\"desktop\" or \"none\""));
                             },
                             "\"desktop\" or \"none\""));
    section.add("watch_input", flag_into(rules.watch_input));
    section.add("start_idle", duration_into(rules.start_idle_ms));
    section.add("start_load", thousandths_into(rules.start_load_permille, 4096));
    section.add("busy_load", thousandths_into(rules.busy_load_permille, 4096));
    section.add("busy", duration_into(rules.busy_ms));
    section.add("continue_idle", duration_into(rules.continue_idle_ms));
    section.add("suspend", duration_into(rules.suspend_ms));
    section.add("leave", duration_into(rules.leave_ms));
    section.add("memory_stall", thousandths_into(rules.memory_stall_permille, 1));
    section.add("on_battery", flag_into(rules.on_battery));
    section.add("devices", text_into(
                               [&](const std::string &text) -> Status {
                                   paths.dev = text;
                                   return ok_status();
                               },
                               "a folder in quotes"));
    section.add("windows", texts_into([&](const std::string &text) -> Status {
                    CHAIN_ASSIGN(const auto windows, parse_windows(text));
                    rules.windows.insert(rules.windows.end(), windows.begin(), windows.end());
                    return ok_status();
                }));
    section.add("applications", texts_into([&](const std::string &text) -> Status {
                    rules.applications.push_back(text);
                    return ok_status();
                }));
    CHAIN_TRY(section.read());
    return OwnerPolicy::check(rules);
}

// "18:00", in minutes; 24:00 is the end of the day.
Result<std::uint32_t> parse_time(std::string_view text) {
    const auto bad = [&] {
        return make_error(ErrorCode::kInvalidInput, "\"", text, "\" is no time of day, as 18:00");
    };
    if (text.size() != 5 || text[2] != ':') return bad();
    const auto hours = parse_integer(text.substr(0, 2), 0, 24, "hour");
    const auto minutes = parse_integer(text.substr(3), 0, 59, "minute");
    if (!hours.ok() || !minutes.ok() || *hours * 60 + *minutes > kMinutesPerDay) return bad();
    return static_cast<std::uint32_t>(*hours * 60 + *minutes);
}

Result<std::uint32_t> parse_day(std::string_view text) {
    const auto found = std::find(kWeekDays.begin(), kWeekDays.end(), text);
    if (found == kWeekDays.end())
        return make_error(ErrorCode::kInvalidInput, "\"", text,
                          "\" is no day: Mon, Tue, Wed, Thu, Fri, Sat, Sun");
    return static_cast<std::uint32_t>(found - kWeekDays.begin());
}

}  // namespace

Result<std::vector<WeekWindow>> parse_windows(std::string_view text) {
    const std::size_t blank = text.find(' ');
    const std::size_t dash = text.find('-', blank == std::string_view::npos ? text.size() : blank);
    if (dash == std::string_view::npos)
        return make_error(ErrorCode::kInvalidInput, "\"", text,
                          "\" is no window, as \"Mon-Fri 18:00-08:00\" or \"daily 22:00-06:00\"");
    const std::string_view days = text.substr(0, blank);
    std::uint32_t first = 0, last = 6;
    if (days != "daily") {
        const std::size_t to = days.find('-');
        CHAIN_ASSIGN(first, parse_day(days.substr(0, to)));
        last = first;
        if (to != std::string_view::npos) {
            CHAIN_ASSIGN(last, parse_day(days.substr(to + 1)));
        }
    }
    CHAIN_ASSIGN(const std::uint32_t from, parse_time(text.substr(blank + 1, dash - blank - 1)));
    CHAIN_ASSIGN(const std::uint32_t until, parse_time(text.substr(dash + 1)));
    const std::uint32_t length = (until + kMinutesPerDay - from) % kMinutesPerDay;
    std::vector<WeekWindow> windows;
    for (std::uint32_t day = first;; day = (day + 1) % 7) {
        WeekWindow window;
        window.from_minute = (day * kMinutesPerDay + from) % kMinutesPerWeek;
        window.to_minute =
            (window.from_minute + (length == 0 ? kMinutesPerDay : length)) % kMinutesPerWeek;
        windows.push_back(window);
        if (day == last) return windows;
    }
}

Result<std::uint64_t> parse_scratch_size(std::string_view text) {
    CHAIN_ASSIGN(const std::uint64_t bytes, parse_size_bytes(text));
    if (bytes < kScratchBytesMin || bytes > kScratchBytesMax)
        return make_error(ErrorCode::kInvalidInput, "\"", text,
                          "\" is too small or too large for the disk of a lease: ",
                          kScratchBytesMin >> 20, "M to ", kScratchBytesMax >> 30, "G");
    return bytes;
}

Status parse_settings(const std::string &path, std::string_view text, LendSettings &settings) {
    if (text.size() > kSettingsBytesMax)
        return make_error(ErrorCode::kTooLarge, path, " is larger than ", kSettingsBytesMax,
                          " bytes");
    toml::table file;
    try {
        file = toml::parse(text, path);
    } catch (const toml::parse_error &error) {  // the library's way to say it
        return make_error(ErrorCode::kInvalidInput, path, ":", error.source().begin.line, ": ",
                          error.description());
    }
    Section sections(path, file);
    const auto table_of = [&](auto read) {
        return [&, read](const toml::node &node) -> Status {
            if (!node.is_table()) return expected("a table, as [lend]");
            return read(*node.as_table());
        };
    };
    Status inner = ok_status();
    sections.add("lend", table_of([&](const toml::table &table) {
                     inner = read_lend(path, table, settings);
                     return ok_status();
                 }));
    sections.add("owner", table_of([&](const toml::table &table) {
                     if (inner.ok())
                         inner =
                             read_owner(path, table, settings.owner_rules, settings.owner_paths);
                     return ok_status();
                 }));
    CHAIN_TRY(sections.read());
    return inner;
}

Status read_settings(const std::string &path, bool must_exist, LendSettings &settings) {
    if (!must_exist && !path_exists(path)) return ok_status();
    CHAIN_ASSIGN(const Bytes text, read_file(path, kSettingsBytesMax));
    return parse_settings(path, text, settings);
}

}  // namespace chain::provider
