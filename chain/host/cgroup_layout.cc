// SPDX-License-Identifier: BSD-3-Clause
#include "chain/host/cgroup_layout.h"

#include <algorithm>
#include <array>

#include "chain/base/file.h"
#include "chain/base/split.h"

namespace chain::host {
namespace {

constexpr std::size_t kProcFileBytesMax = 1u << 20;
constexpr std::array<std::string_view, kControllerCount> kNames = {"cpu", "cpuacct", "memory",
                                                                   "pids", "freezer"};

bool contains(const std::vector<std::string_view> &words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

// proc(5): blanks and backslashes in a mount point stand as three octal digits.
std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 3 >= text.size()) {
            out += text[i];
            continue;
        }
        int value = 0;
        for (int digit = 1; digit <= 3; ++digit)
            value = value * 8 + (text[i + static_cast<std::size_t>(digit)] - '0');
        out += static_cast<char>(value);
        i += 3;
    }
    return out;
}

std::string join(const std::string &mount_point, std::string_view group) {
    return group == "/" ? mount_point : mount_point + std::string(group);
}

}  // namespace

std::string_view controller_name(Controller controller) {
    return kNames[static_cast<std::size_t>(controller)];
}

CgroupLayout parse_cgroup_layout(std::string_view mounts, std::string_view groups) {
    CgroupLayout layout;
    for (const std::string_view line : split(mounts, '\n')) {
        const std::vector<std::string_view> fields = split(line, ' ');
        if (fields.size() < 4) continue;
        const std::string folder = unescape(fields[1]);
        if (fields[2] == "cgroup2" && layout.v2.root.empty()) layout.v2.root = folder;
        if (fields[2] != "cgroup") continue;
        const std::vector<std::string_view> options = split(fields[3], ',');
        for (std::size_t i = 0; i < kControllerCount; ++i)
            if (layout.v1[i].root.empty() && contains(options, kNames[i]))
                layout.v1[i].root = folder;
    }
    for (const std::string_view line : split(groups, '\n')) {
        // "4:memory:/user.slice", "0::/"
        const std::size_t first = line.find(':');
        const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
        if (second == line.npos) continue;
        const std::string_view group = line.substr(second + 1);
        // ".." is how a group outside of this cgroup namespace is shown.
        if (!group.starts_with('/') || group.starts_with("/..")) continue;
        const std::string_view names = line.substr(first + 1, second - first - 1);
        if (names.empty() && !layout.v2.root.empty()) layout.v2.own = join(layout.v2.root, group);
        const std::vector<std::string_view> controllers = split(names, ',');
        for (std::size_t i = 0; i < kControllerCount; ++i)
            if (!layout.v1[i].root.empty() && contains(controllers, kNames[i]))
                layout.v1[i].own = join(layout.v1[i].root, group);
    }
    return layout;
}

CgroupLayout read_cgroup_layout() {
    const auto mounts = read_file("/proc/self/mounts", kProcFileBytesMax);
    const auto groups = read_file("/proc/self/cgroup", kProcFileBytesMax);
    if (!mounts.ok() || !groups.ok()) return {};
    return parse_cgroup_layout(*mounts, *groups);
}

}  // namespace chain::host
