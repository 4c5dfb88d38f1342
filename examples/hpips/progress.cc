// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace hpips {
namespace {

constexpr double kTerminalSeconds = 0.2;
constexpr double kPlainSeconds = 5;

}  // namespace

std::string duration_text(double seconds) {
    const auto whole = static_cast<long long>(std::clamp(seconds, 0.0, 1e9));
    char text[48];
    if (whole >= 3600)
        std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                      whole % 60);
    else
        std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
    return text;
}

Progress::Progress(bool is_quiet) : is_quiet_(is_quiet), is_terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::clear_line() {
    if (has_line_) std::fputs("\r\x1b[K", stderr);
    has_line_ = false;
}

void Progress::begin(const std::string &name, size_t number, size_t count) {
    // As much as is needed to know which.
    const std::string short_name = name.substr(name.rfind('/') + 1);
    label_ = "[" + std::to_string(number) + "/" + std::to_string(count) + "] " + short_name;
    began_ = 0;
}

void Progress::update(int64_t done, int64_t kept, int64_t total, double tile_pixels, int ranks,
                      double now) {
    if (is_quiet_) return;
    if (began_ == 0) {
        began_ = now;
        shown_ = now;
    }
    if (now - shown_ < (is_terminal_ ? kTerminalSeconds : kPlainSeconds)) return;
    shown_ = now;
    const double rate = static_cast<double>(done - kept) / (now - began_);
    char text[160];
    std::snprintf(text, sizeof text, "%lld/%lld tiles, %.3g MPix/s, %d %s, %s left",
                  static_cast<long long>(done), static_cast<long long>(total),
                  rate * tile_pixels / 1e6, ranks, ranks == 1 ? "rank" : "ranks",
                  rate > 0 ? duration_text(static_cast<double>(total - done) / rate).c_str() : "?");
    clear_line();
    std::fprintf(stderr, "%s: %s%s", label_.c_str(), text, is_terminal_ ? "" : "\n");
    has_line_ = is_terminal_;
}

void Progress::end(const std::string &outcome) {
    if (is_quiet_) return;
    clear_line();
    std::fprintf(stderr, "%s: %s\n", label_.c_str(), outcome.c_str());
}

void Progress::say(const std::string &line) {
    clear_line();
    std::fprintf(stderr, "hpips: %s\n", line.c_str());
}

}  // namespace hpips
