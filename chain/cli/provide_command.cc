// SPDX-License-Identifier: BSD-3-Clause
//
// provide: five questions to the owner of a machine, and the settings file that follows from them.
#include <functional>
#include <ostream>
#include <thread>

#include <unistd.h>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/base/split.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"
#include "chain/provider/settings.h"

namespace chain::cli {
namespace {

using provider::LendSettings;
using provider::OwnerRules;

constexpr unsigned kTriesMax = 5;
constexpr Amount kAskDefault{10'000'000};

// `option` is how it is answered without being asked.
struct Question {
    std::string_view option;
    std::string text;
    std::string present;  // what holds if nothing is said
    std::function<Status(const std::string &)> take;
};

Status ask(const Invocation &invocation, const Question &question) {
    Console &console = invocation.console;
    const Arguments &arguments = invocation.arguments;
    if (arguments.has(question.option)) {
        const Status taken = question.take(arguments.value(question.option));
        if (taken.ok()) return taken;
        return make_error(ErrorCode::kInvalidInput, "--", question.option, ": ",
                          taken.error().message);
    }
    if (!console.interactive || arguments.has("yes")) return ok_status();
    for (unsigned tries = 0; tries < kTriesMax; ++tries) {
        console.err << question.text << " [" << question.present << "] " << std::flush;
        CHAIN_ASSIGN(const std::string answer, read_line(console.input_fd));
        if (answer.empty()) return ok_status();
        const Status taken = question.take(answer);
        if (taken.ok()) return taken;
        console.err << "  " << taken.error().message << "\n";
    }
    return make_error(ErrorCode::kCancelled, "no answer that can be used; nothing was changed");
}

Status take_when(const std::string &answer, OwnerRules &rules) {
    if (answer != "away" && answer != "always" && answer != "1" && answer != "2")
        return make_error(ErrorCode::kInvalidInput, "it is away (1) or always (2)");
    const bool wants_desk = answer == "away" || answer == "1";
    if (wants_desk == rules.is_desk()) return ok_status();
    OwnerRules fresh = wants_desk ? OwnerRules() : OwnerRules::none();
    fresh.windows = std::move(rules.windows);
    fresh.applications = std::move(rules.applications);
    rules = std::move(fresh);
    return ok_status();
}

Status take_windows(const std::string &answer, OwnerRules &rules) {
    std::vector<provider::WeekWindow> all;
    if (answer != "any") {
        for (std::string_view one : split(answer, ',')) {
            while (one.starts_with(' ')) one.remove_prefix(1);
            while (one.ends_with(' ')) one.remove_suffix(1);
            CHAIN_ASSIGN(const auto windows, provider::parse_windows(one));
            all.insert(all.end(), windows.begin(), windows.end());
        }
    }
    rules.windows = std::move(all);
    return provider::OwnerPolicy::check(rules);
}

std::string windows_text(const OwnerRules &rules) {
    std::string text;
    for (const std::string &one : provider::format_windows(rules.windows))
        text += (text.empty() ? "" : ", ") + one;
    return text.empty() ? "any" : text;
}

std::string memory_text(std::uint64_t bytes) {
    return bytes == 0 ? "half" : client::format_size(bytes);
}

std::vector<Question> questions(LendSettings &settings) {
    OwnerRules &rules = settings.owner_rules;
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    return {
        {"slots", "Cores that others may use at the same time, of " + std::to_string(cores) + "?",
         std::to_string(settings.slot_count),
         [&settings, cores](const std::string &answer) -> Status {
             CHAIN_ASSIGN(const std::uint64_t slots, parse_integer(answer, 0, cores, "it"));
             settings.slot_count = static_cast<std::uint32_t>(slots);
             return ok_status();
         }},
        {"when", "When? away (1): while nobody uses this machine; always (2)",
         rules.is_desk() ? "away" : "always",
         [&rules](const std::string &answer) { return take_when(answer, rules); }},
        {"windows", "Only at certain times? As Mon-Fri 18:00-08:00, Sat-Sun 00:00-24:00; any",
         windows_text(rules),
         [&rules](const std::string &answer) { return take_windows(answer, rules); }},
        {"ask", "Tokens per GHz·h, at least? (What others pay: ompi-chain market price)",
         format_tokens(settings.ask_per_ghz_h),
         [&settings](const std::string &answer) -> Status {
             CHAIN_ASSIGN(const Amount price, parse_tokens(answer));
             if (price.units <= 0)
                 return make_error(ErrorCode::kInvalidInput, "the price must be above 0");
             settings.ask_per_ghz_h = price;
             return ok_status();
         }},
        {"memory", "Memory for all leases together, as 8G, or half?",
         memory_text(settings.memory_bytes),
         [&settings](const std::string &answer) -> Status {
             if (answer == "half") {
                 settings.memory_bytes = 0;
                 return ok_status();
             }
             CHAIN_ASSIGN(settings.memory_bytes, parse_size_bytes(answer));
             return ok_status();
         }},
    };
}

// "settings.toml.2026-11-26T20-31-07Z": what stands there, under a second name, so that at no
// moment there are no settings.
Result<std::string> keep_old(const std::string &path) {
    constexpr unsigned kNamesMax = 1'000;
    std::string stamp = format_utc(system_clock().unix_ms());
    for (char &c : stamp)
        if (c == ':' || c == ' ') c = '-';
    for (unsigned number = 1; number <= kNamesMax; ++number) {
        const std::string kept =
            path + "." + stamp + (number == 1 ? "" : "-" + std::to_string(number));
        if (link(path.c_str(), kept.c_str()) == 0) return kept;
        if (errno != EEXIST) return errno_error(errno, "keep " + path + " as " + kept);
    }
    return make_error(ErrorCode::kConflict, "there are too many files ", path, ".", stamp);
}

Result<int> run_provide(Invocation &invocation) {
    const std::string path = invocation.data_folder() + "/settings.toml";
    LendSettings settings;
    settings.ask_per_ghz_h = kAskDefault;
    const bool is_new = !path_exists(path);
    if (is_new) {
        settings.owner_rules = OwnerRules();  // a machine that somebody sits at: the careful side
        settings.slot_count = std::max(1u, std::thread::hardware_concurrency() - 1);
    } else if (const Status read = provider::read_settings(path, true, settings); !read.ok()) {
        return make_error(read.error().code, read.error().message,
                          "\nMend it, or move it away, and try again.");
    }
    Console &console = invocation.console;
    if (console.interactive && !invocation.arguments.has("yes"))
        console.err << "Five questions; Enter takes what stands in brackets.\n";
    for (const Question &question : questions(settings)) CHAIN_TRY(ask(invocation, question));

    const std::string text = provider::format_settings(settings);
    LendSettings checked;
    CHAIN_TRY(provider::parse_settings(path, text, checked));
    CHAIN_TRY(make_folders(invocation.data_folder(), 0700));
    std::string kept;
    if (!is_new) {
        CHAIN_ASSIGN(kept, keep_old(path));
    }
    CHAIN_TRY(write_file_atomic(path, text, 0644));
    const bool daemon_runs = invocation.connect().ok();
    if (invocation.json()) {
        console.out << client::json_text(
            {{"settings", path},
             {"kept", kept.empty() ? client::Json(nullptr) : client::Json(kept)},
             {"slots", settings.slot_count},
             {"when", settings.owner_rules.is_desk() ? "away" : "always"},
             {"windows", client::Json(provider::format_windows(settings.owner_rules.windows))},
             {"ask", client::json_amount(settings.ask_per_ghz_h.units)},
             {"memory_bytes", settings.memory_bytes},
             {"daemon_runs", daemon_runs}});
        return 0;
    }
    console.out << "wrote " << path << "\n";
    if (!kept.empty()) console.out << "what stood there is now " << kept << "\n";
    if (settings.slot_count == 0)
        console.out << "This machine lends nothing.\n";
    else if (daemon_runs)
        console.out << "It holds from the daemon's next start: ompi-chain node stop, then "
                       "ompi-chaind as before.\n";
    else
        console.out << "Start the daemon so that renters reach it:\n"
                       "  ompi-chaind --listen 0.0.0.0:7660 --password-file FILE\n";
    console.out << "Whether it is lent now, and why: ompi-chain node policy\n";
    return 0;
}

}  // namespace

std::vector<Command> provide_commands() {
    return {
        {.noun = "provide",
         .summary = "Lend this machine: five questions, and the settings that follow from them",
         .examples = "  ompi-chain provide\n"
                     "  ompi-chain provide --slots 4 --when always --ask 0.02 --yes\n"
                     "  ompi-chain provide --windows 'Mon-Fri 18:00-08:00, Sat-Sun 00:00-24:00'\n",
         .details = "Writes settings.toml in the data folder: commented, to be changed by hand as "
                    "well. What stood there is\nkept beside it. Where nobody can be asked, or with "
                    "--yes, what is not said stays as it is.\n",
         .options = {{"slots", "N", "cores that others may use at the same time; 0: lend nothing"},
                     {"when", "away|always", "only while nobody uses this machine, or always"},
                     {"windows", "TIMES", "only then; `any`: at any time"},
                     {"ask", "PRICE", "tokens per GHz·h, at least"},
                     {"memory", "SIZE", "for all leases together; `half`: of the machine's"}},
         .run = run_provide},
    };
}

}  // namespace chain::cli
