// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/owner_watch.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <sstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace chain::provider {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::uint64_t kFindDevicesEveryMs = 10'000;
constexpr std::size_t kDevicesMax = 64;
constexpr std::size_t kTerminalsMax = 4'096;
constexpr std::uint64_t kToldEveryMs = 1'000;
// Like the load average that HTCondor's rules were written for: what a minute has seen.
constexpr std::uint64_t kLoadMemoryMs = 60'000;
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::size_t kCommandNameMax = 15;  // what the kernel keeps of a name

std::string read_text(const std::string &path) {
    const auto text = read_file(path, kFileBytesMax);
    if (!text.ok()) return {};
    std::string trimmed = *text;
    while (!trimmed.empty() && std::isspace(static_cast<unsigned char>(trimmed.back())))
        trimmed.pop_back();
    return trimmed;
}

std::vector<std::string> names_in(const std::string &folder, std::string_view prefix) {
    std::vector<std::string> names;
    std::error_code failed;
    for (const auto &entry : std::filesystem::directory_iterator(folder, failed)) {
        std::string name = entry.path().filename().string();
        if (name.starts_with(prefix)) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    return names;
}

bool is_number(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isdigit(static_cast<unsigned char>(c));
    });
}

// Of all processors, from the first line of /proc/stat: user nice system idle iowait irq softirq
// steal; guests are in user and nice already, and stolen time was nobody's here.
std::optional<std::uint64_t> busy_ns(const std::string &stat) {
    std::istringstream in(stat);
    std::string cpu;
    std::uint64_t user, nice, system, idle, iowait, irq, softirq;
    if (!(in >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq) || cpu != "cpu")
        return std::nullopt;
    const auto ns_per_tick = 1'000'000'000ULL / static_cast<unsigned long>(sysconf(_SC_CLK_TCK));
    return (user + nice + system + irq + softirq) * ns_per_tick;
}

std::uint64_t own_cpu_ns() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000ULL +
           static_cast<std::uint64_t>(used.tv_nsec);
}

std::uint32_t week_minute_of(std::uint64_t unix_ms) {
    const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
    std::tm local{};
    localtime_r(&seconds, &local);
    const int since_monday = (local.tm_wday + 6) % 7;
    return static_cast<std::uint32_t>((since_monday * 24 + local.tm_hour) * 60 + local.tm_min);
}

}  // namespace

OwnerWatch::OwnerWatch(Loop &loop, const Clock &clock, OwnerPaths paths,
                       std::vector<std::string> applications, Leases leases,
                       std::function<void()> on_input)
    : loop_(loop),
      clock_(clock),
      paths_(std::move(paths)),
      applications_(std::move(applications)),
      leases_(std::move(leases)),
      on_input_(std::move(on_input)),
      logind_(clock, paths_.bus),
      started_ms_(clock.steady_ms()) {
    find_devices();
}

// They come and go; one that is gone has been forgotten by on_device.
void OwnerWatch::find_devices() {
    devices_found_at_ms_ = clock_.steady_ms();
    const std::string folder = paths_.dev + "/input";
    for (const std::string &name : names_in(folder, "event")) {
        const std::string path = folder + "/" + name;
        if (devices_.size() >= kDevicesMax || devices_.contains(path)) continue;
        FileDescriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        if (!file.valid()) continue;
        LoopHandle watch = loop_.on_readable(file.get(), [this, path] { on_device(path); });
        devices_.emplace(path, Device{std::move(file), std::move(watch)});
    }
}

void OwnerWatch::on_device(const std::string &path) {
    const auto device = devices_.find(path);
    if (device == devices_.end()) return;
    char events[4'096];
    bool heard = false;
    ssize_t got;
    while ((got = read(device->second.file.get(), events, sizeof events)) > 0) heard = true;
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        // Pulled out. Not from inside its own watch.
        loop_.post([this, path] { devices_.erase(path); });
    }
    if (!heard) return;
    const std::uint64_t now_ms = clock_.steady_ms();
    last_event_ms_ = now_ms;
    if (told_ms_ != 0 && now_ms - told_ms_ < kToldEveryMs) return;
    told_ms_ = now_ms;
    on_input_();
}

std::vector<std::string> OwnerWatch::terminals() const {
    std::vector<std::string> paths;
    for (const std::string &name : names_in(paths_.dev, "tty"))
        if (is_number(name.substr(3))) paths.push_back(paths_.dev + "/" + name);
    for (const std::string &name : names_in(paths_.dev + "/pts", ""))
        if (is_number(name) && paths.size() < kTerminalsMax)
            paths.push_back(paths_.dev + "/pts/" + name);
    return paths;
}

// logind is asked where no device may be read (a daemon that is not root, nor in the group
// "input"): not every desktop tells it, and where none does everybody looks busy for ever.
std::optional<std::uint64_t> OwnerWatch::input_idle_ms() {
    std::optional<std::uint64_t> idle_ms;
    const auto take = [&](std::uint64_t ms) { idle_ms = std::min(idle_ms.value_or(ms), ms); };
    const std::uint64_t now_ms = clock_.steady_ms();
    // A device that has been silent since this daemon started was silent so long at least.
    if (!devices_.empty() || last_event_ms_) take(now_ms - last_event_ms_.value_or(started_ms_));
    std::optional<std::uint64_t> logind_ms;
    if (devices_.empty()) logind_ms = logind_.idle_ms();
    logind_speaks_ = logind_ms.has_value();
    if (logind_ms) take(*logind_ms);
    const std::uint64_t unix_ms = clock_.unix_ms();
    for (const std::string &path : terminals()) {
        struct stat status {};
        if (stat(path.c_str(), &status) != 0) continue;
        const std::uint64_t read_ms =
            static_cast<std::uint64_t>(std::max<std::time_t>(status.st_atim.tv_sec, 0)) * 1000;
        take(unix_ms > read_ms ? unix_ms - read_ms : 0);
    }
    return idle_ms;
}

std::string OwnerWatch::input_sources() const {
    std::string words = std::to_string(devices_.size()) +
                        (devices_.size() == 1 ? " input device" : " input devices");
    if (logind_speaks_) words += ", logind";
    if (!terminals().empty()) words += ", terminals";
    return words;
}

std::uint32_t OwnerWatch::load_permille(std::uint64_t now_ms) {
    const auto busy = busy_ns(read_text(paths_.proc + "/stat"));
    if (!busy) return 0;
    const Busy now{now_ms, *busy, leases_.cpu_time_ns() + own_cpu_ns()};
    if (before_.at_ms == 0 || now.at_ms <= before_.at_ms) {
        if (before_.at_ms == 0) before_ = now;
        return static_cast<std::uint32_t>(load_millionths_ / 1000);
    }
    const std::uint64_t passed_ms = now.at_ms - before_.at_ms;
    const std::uint64_t all_ns = now.busy_ns - std::min(now.busy_ns, before_.busy_ns);
    const std::uint64_t others_ns =
        now.not_owners_ns - std::min(now.not_owners_ns, before_.not_owners_ns);
    const std::uint64_t owners_ns = all_ns > others_ns ? all_ns - others_ns : 0;
    const std::uint64_t sample = owners_ns * 1'000'000 / (passed_ms * kNsPerMs);
    const std::uint64_t weight_ms = std::min(passed_ms, kLoadMemoryMs);
    load_millionths_ =
        (load_millionths_ * (kLoadMemoryMs - weight_ms) + sample * weight_ms) / kLoadMemoryMs;
    before_ = now;
    return static_cast<std::uint32_t>(load_millionths_ / 1000);
}

// "some avg10=1.53 …": per cent of the last ten seconds.
std::uint32_t OwnerWatch::memory_stall_permille() const {
    const std::string text = read_text(paths_.proc + "/pressure/memory");
    constexpr std::string_view kKey = "some avg10=";
    const std::size_t at = text.find(kKey);
    if (at == std::string::npos) return 0;
    std::uint32_t percent = 0, tenths = 0;
    const char *const begin = text.data() + at + kKey.size(), *const end =
                                                                  text.data() + text.size();
    const auto [point, error] = std::from_chars(begin, end, percent);
    if (error != std::errc()) return 0;
    if (point + 1 < end && *point == '.' && std::isdigit(static_cast<unsigned char>(point[1])))
        tenths = static_cast<std::uint32_t>(point[1] - '0');
    return std::min(1000u, percent * 10 + tenths);
}

bool OwnerWatch::is_on_battery() const {
    const std::string folder = paths_.sys + "/class/power_supply/";
    bool discharging = false;
    for (const std::string &name : names_in(folder, "")) {
        const std::string type = read_text(folder + name + "/type");
        if (type == "Mains" && read_text(folder + name + "/online") == "1") return false;
        // A mouse has a battery, too; that one's scope is "Device".
        if (type == "Battery" && read_text(folder + name + "/scope") != "Device")
            discharging |= read_text(folder + name + "/status") == "Discharging";
    }
    return discharging;
}

std::string OwnerWatch::running_application() const {
    if (applications_.empty()) return {};
    for (const std::string &name : names_in(paths_.proc, "")) {
        if (!is_number(name)) continue;
        const std::string command = read_text(paths_.proc + "/" + name + "/comm");
        int pid = 0;
        std::from_chars(name.data(), name.data() + name.size(), pid);
        for (const std::string &application : applications_)
            if (!command.empty() && application.substr(0, kCommandNameMax) == command &&
                !leases_.has_process(pid))
                return application;
    }
    return {};
}

OwnerSigns OwnerWatch::look() {
    OwnerSigns signs;
    signs.now_ms = clock_.steady_ms();
    if (signs.now_ms - devices_found_at_ms_ >= kFindDevicesEveryMs) find_devices();
    signs.week_minute = week_minute_of(clock_.unix_ms());
    signs.input_idle_ms = input_idle_ms();
    signs.load_permille = load_permille(signs.now_ms);
    signs.memory_stall_permille = memory_stall_permille();
    signs.on_battery = is_on_battery();
    signs.application = running_application();
    return signs;
}

}  // namespace chain::provider
