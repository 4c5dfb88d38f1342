// SPDX-License-Identifier: BSD-3-Clause
//
// Settings as text: the commented file that `ompi-chain provide` writes.
#include <algorithm>
#include <array>

#include "chain/base/bytes.h"
#include "chain/provider/settings.h"

namespace chain::provider {
namespace {

constexpr std::size_t kCommentColumn = 26;

// TOML's basic strings.
std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            out += "\\u00" + to_hex(std::string_view(&c, 1));
            continue;
        }
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string duration(std::uint64_t ms) {
    if (ms == 0) return toml_string("0");
    const std::uint64_t seconds = ms / 1'000;
    return toml_string(seconds % 60 == 0 ? std::to_string(seconds / 60) + "m"
                                         : std::to_string(seconds) + "s");
}

std::string size(std::uint64_t bytes) {
    constexpr std::array<std::pair<const char *, unsigned>, 3> kUnits = {
        {{"G", 30}, {"M", 20}, {"K", 10}}};
    for (const auto &[unit, shift] : kUnits)
        if (bytes >> shift != 0 && bytes % (1ULL << shift) == 0)
            return toml_string(std::to_string(bytes >> shift) + unit);
    return toml_string(std::to_string(bytes));
}

std::string fraction(std::uint32_t permille) {
    std::string places = std::to_string(permille % 1'000);
    places.insert(0, 3 - places.size(), '0');
    while (places.size() > 1 && places.back() == '0') places.pop_back();
    return std::to_string(permille / 1'000) + "." + places;
}

std::string flag(bool value) {
    return value ? "true" : "false";
}

std::string time_of_day(std::uint32_t minute) {
    const auto two = [](std::uint32_t number) {
        return (number < 10 ? "0" : "") + std::to_string(number);
    };
    return two(minute / 60) + ":" + two(minute % 60);
}

std::string texts(const std::vector<std::string> &list) {
    std::string out;
    for (const std::string &one : list) out += (out.empty() ? "" : ", ") + toml_string(one);
    return "[" + out + "]";
}

// One line; a comment where the setting is left as it is.
void add(std::string &file, const std::string &name, const std::string &value, bool is_set,
         std::string_view meaning) {
    std::string line = (is_set ? "" : "# ") + name + " = " + value;
    line.append(line.size() < kCommentColumn ? kCommentColumn - line.size() : 1, ' ');
    file += line + "# " + std::string(meaning) + "\n";
}

void add_lend(std::string &file, const LendSettings &settings) {
    file += "\n[lend]\n";
    add(file, "slots", std::to_string(settings.slot_count), true,
        "ranks at the same time; 0: lend nothing");
    add(file, "ask", toml_string(format_tokens(settings.ask_per_ghz_h)),
        settings.ask_per_ghz_h.units > 0, "tokens per GHz·h, at least");
    std::vector<std::string> free_for;
    for (const PublicKey &account : settings.free_for) free_for.push_back(to_address(account));
    add(file, "free_for", texts(free_for), !free_for.empty(),
        "accounts that pay nothing: yours, for machines of your own");
    add(file, "cap_percent", std::to_string(settings.cap_percent), true,
        "of all processors, for all leases together");
    add(file, "memory", settings.memory_bytes > 0 ? size(settings.memory_bytes) : "\"8G\"",
        settings.memory_bytes > 0, "for all leases together; else half of the machine's");
    add(file, "scratch", size(settings.scratch_bytes), true, "of disk, for each lease at most");
    add(file, "cache", size(settings.cache_bytes), true,
        "of disk, for what renters sent, so that it is not sent twice; 0: none");
    add(file, "stores", texts(settings.stores.texts()), settings.stores != stage::WebRules::usual(),
        "from which files are fetched for leases, and where results are put");
    add(file, "gpus", settings.lends_gpus ? "true" : "false", settings.lends_gpus,
        "lend NVIDIA GPUs too, each to one lease at a time");
    add(file, "gpu_library",
        toml_string(settings.gpu_library.empty() ? "libnvidia-ml.so.1" : settings.gpu_library),
        !settings.gpu_library.empty(), "of NVIDIA's driver");
    add(file, "plain_network", settings.plain_network ? "true" : "false", settings.plain_network,
        "leases that ask for it see this machine's network, all it can reach too");
    add(file, "region", toml_string(settings.region.empty() ? "eu" : settings.region),
        !settings.region.empty(), "where it is, for renters who ask");
    add(file, "host_name", toml_string(settings.host.empty() ? "attic" : settings.host),
        !settings.host.empty(), "of this machine in a lease; else its own");
}

void add_owner(std::string &file, const LendSettings &settings) {
    const OwnerRules &rules = settings.owner_rules;
    const bool is_desk = rules.is_desk();
    const OwnerRules base = is_desk ? OwnerRules() : OwnerRules::none();
    // Of a machine without rules the numbers mean nothing: those of a desk stand in the comments.
    const OwnerRules desk;
    const auto number = [&](const std::string &name, auto OwnerRules::*which, auto format,
                            std::string_view meaning) {
        const bool is_set = is_desk || rules.*which != base.*which;
        add(file, name, format((is_set ? rules : desk).*which), is_set, meaning);
    };
    file += "\n[owner]\n";
    add(file, "rules", is_desk ? "\"desktop\"" : "\"none\"", true,
        "desktop: lend while nobody uses it; none: always");
    number("watch_input", &OwnerRules::watch_input, flag, "keyboard, mouse, terminals");
    number("start_idle", &OwnerRules::start_idle_ms, duration,
           "without input before a lease is taken");
    number("start_load", &OwnerRules::start_load_permille, fraction,
           "of your own programs, in cores, at most");
    number("busy_load", &OwnerRules::busy_load_permille, fraction,
           "so much of them for so long, and you count as back");
    number("busy", &OwnerRules::busy_ms, duration, "(see busy_load)");
    number("continue_idle", &OwnerRules::continue_idle_ms, duration,
           "without input before frozen leases go on");
    number("suspend", &OwnerRules::suspend_ms, duration,
           "freeze leases so long, in the hope that you go again");
    number("leave", &OwnerRules::leave_ms, duration, "notice that renters get");
    number("memory_stall", &OwnerRules::memory_stall_permille, fraction,
           "share of the time in which programs may wait for memory");
    number("on_battery", &OwnerRules::on_battery, flag, "lend then, too");
    const bool has_windows = !rules.windows.empty();
    add(file, "windows",
        has_windows ? texts(format_windows(rules.windows))
                    : R"(["Mon-Fri 18:00-08:00", "Sat-Sun 00:00-24:00"])",
        has_windows, "lend only then");
    add(file, "applications",
        rules.applications.empty() ? R"(["blender"])" : texts(rules.applications),
        !rules.applications.empty(), "lend nothing while one of them runs");
    if (settings.owner_paths.dev != OwnerPaths().dev)
        add(file, "devices", toml_string(settings.owner_paths.dev), true, "where input/event* are");
}

void add_relay(std::string &file, const RelaySettings &relay) {
    const RelaySettings usual;
    constexpr std::array<std::string_view, 3> kWhen = {"public", "always", "never"};
    const auto tokens = [](Amount amount) { return toml_string(format_tokens(amount)); };
    file += "\n[relay]\n";
    add(file, "when", toml_string(kWhen[static_cast<std::size_t>(relay.when)]),
        relay.when != usual.when,
        "carry what peers behind routers say to each other: \"public\" (if this machine has a "
        "public "
        "address), \"always\", \"never\"");
    add(file, "rate", size(relay.bytes_per_second),
        relay.bytes_per_second != usual.bytes_per_second, "bytes a second, in all");
    add(file, "price", tokens(relay.price_per_gib), relay.price_per_gib != usual.price_per_gib,
        "tokens for each GiB that is carried for others");
    add(file, "pay_per_gib", tokens(relay.pay_per_gib_most),
        relay.pay_per_gib_most != usual.pay_per_gib_most,
        "tokens that others may want for carrying a GiB of yours; \"0\": only what is free");
    add(file, "pay_at_most", tokens(relay.pay_most), relay.pay_most != usual.pay_most,
        "tokens for that in all, while the daemon runs");
}

}  // namespace

std::vector<std::string> format_windows(const std::vector<WeekWindow> &windows) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < windows.size();) {
        const auto day = [&](std::size_t at) { return windows[at].from_minute / kMinutesPerDay; };
        const auto hours = [&](std::size_t at) {
            return std::pair(windows[at].from_minute % kMinutesPerDay,
                             windows[at].to_minute % kMinutesPerDay);
        };
        // As many days in a row as have the same hours.
        std::size_t end = i + 1;
        while (end < windows.size() && end - i < kWeekDays.size() && hours(end) == hours(i) &&
               day(end) == (day(end - 1) + 1) % kWeekDays.size())
            ++end;
        std::string days(kWeekDays[day(i)]);
        if (end - i > 1) days += "-" + std::string(kWeekDays[day(end - 1)]);
        if (end - i == kWeekDays.size() && day(i) == 0) days = "daily";
        const auto [from, to] = hours(i);
        texts.push_back(days + " " + time_of_day(from) + "-" +
                        (to == 0 ? "24:00" : time_of_day(to)));
        i = end;
    }
    return texts;
}

std::string format_settings(const LendSettings &settings) {
    std::string file =
        "# What this machine lends, and when. `ompi-chain provide` asks for the most important of "
        "it; all of\n# it may be changed here, and holds from the daemon's next start. Command "
        "line "
        "options go before it.\n";
    add_lend(file, settings);
    add_owner(file, settings);
    add_relay(file, settings.relay);
    return file;
}

}  // namespace chain::provider
