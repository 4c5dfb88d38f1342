// SPDX-License-Identifier: BSD-3-Clause
// What a person sees while it computes: one line that changes on a terminal, a line every few
// seconds elsewhere. All of it on standard error.
#pragma once

#include <cstdint>
#include <string>

namespace hpips {

class Progress {
public:
    explicit Progress(bool is_quiet);
    // The image `name`, the number-th of `count`.
    void begin(const std::string &name, size_t number, size_t count);
    // So many of its tiles are done, of which `kept` from an earlier run; a tile has so many
    // pixels.
    void update(int64_t done, int64_t kept, int64_t total, double tile_pixels, int ranks,
                double now);
    void end(const std::string &outcome);
    // Something that matters by itself: a rank was lost, say. Not silenced.
    void say(const std::string &line);

private:
    void clear_line();
    bool is_quiet_;
    bool is_terminal_;
    bool has_line_ = false;
    std::string label_;
    double began_ = 0;
    double shown_ = 0;
};

// "0:41", "2:03:10"
std::string duration_text(double seconds);

}  // namespace hpips
