// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/estimate.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace hpips {
namespace {

constexpr size_t kAnswerBytesMax = 1 << 20;

// Of this thread, in seconds of a processor: what else runs here does not count.
double cpu_s() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double mib(int64_t bytes) {
    return static_cast<double>(bytes) / (1 << 20);
}

const char *cost_text(const Pipeline &pipeline) {
    Cost cost = Cost::kIo;
    for (const Step &step : pipeline.steps()) cost = std::max(cost, step.op->cost);
    return cost == Cost::kIo      ? "bound by reading and sending: other ranks will hardly help"
           : cost == Cost::kLight ? "light: ranks on this computer help, distant ones little"
                                  : "heavy: worth a lease";
}

std::optional<std::string> newest_price(const std::string &answer) {
    const auto json = nlohmann::json::parse(answer, nullptr, false);
    if (!json.is_object() || !json.contains("hours") || !json["hours"].is_array()) return {};
    std::optional<std::string> price;
    for (const auto &hour : json["hours"]) {
        if (!hour.is_object() || !hour.contains("price_per_ghz_h")) continue;
        const auto &one = hour["price_per_ghz_h"];
        if (one.is_object() && one.contains("tokens") && one["tokens"].is_string())
            price = one["tokens"].get<std::string>();
    }
    return price;
}

}  // namespace

Estimate estimate(Opened &opened) {
    const Plan &plan = *opened.plan;
    const Grid grid(plan.output_size(), opened.side);
    Estimate result;
    result.tiles = grid.count();
    const auto in_bytes = static_cast<int64_t>(plan.input_format().pixel_bytes());
    const auto out_bytes = static_cast<int64_t>(plan.output_format().pixel_bytes());
    // Every tile is the same to within the edges; of many a sample is enough.
    const int64_t step = std::max<int64_t>(1, grid.count() / 10'000);
    int64_t seen = 0;
    for (int64_t tile = 0; tile < grid.count(); tile += step, ++seen)
        result.bytes_out += plan.input_region(grid.tile(tile)).size().area() * in_bytes;
    result.bytes_out =
        static_cast<int64_t>(static_cast<double>(result.bytes_out) / static_cast<double>(seen) *
                             static_cast<double>(grid.count()));
    const cv::Size size = plan.output_size();
    result.bytes_back = static_cast<int64_t>(size.width) * size.height * out_bytes;
    // Two inputs and two results on their way, and floats while it computes.
    const int64_t one = tile_input_bytes(plan, opened.side);
    result.rank_bytes = 4 * one + 16 * one / in_bytes * plan.input_format().bands;

    const cv::Rect middle = grid.tile(grid.count() / 2);
    const cv::Mat input = opened.image->read(plan.input_region(middle));
    const double began = cpu_s();
    plan.run(input, middle);
    result.compute_s = (cpu_s() - began) * (static_cast<double>(size.width) * size.height) /
                       (static_cast<double>(middle.width) * middle.height);
    return result;
}

double clock_ghz() {
    double khz = 0;
    if (std::ifstream("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq") >> khz)
        return khz / 1e6;
    std::ifstream file("/proc/cpuinfo");
    std::string line;
    double mhz = 0;
    while (std::getline(file, line))
        if (line.starts_with("cpu MHz") && line.find(':') != std::string::npos &&
            std::sscanf(line.c_str() + line.find(':') + 1, "%lf", &mhz) == 1)
            return mhz / 1e3;
    return 0;
}

std::optional<std::string> market_price() {
    FILE *pipe = popen("timeout 5 ompi-chain market price --json 2>/dev/null", "r");
    if (pipe == nullptr) return {};
    std::string answer;
    char buffer[4096];
    size_t got = 0;
    while ((got = fread(buffer, 1, sizeof buffer, pipe)) > 0 && answer.size() < kAnswerBytesMax)
        answer.append(buffer, got);
    if (pclose(pipe) != 0) return {};
    return newest_price(answer);
}

int dry_run(const Options &options) {
    const Pipeline pipeline = pipeline_of(options.words.front());
    std::printf("pipeline  %s\n          %s\n", pipeline.text().c_str(), cost_text(pipeline));
    double total_s = 0;
    int code = kExitDone;
    Options where = options;
    if (where.output.empty()) where.output = "./";
    for (const Job &job : jobs_of_pages(jobs_of(where))) {
        try {
            Opened opened = open_job(job, pipeline, options, 1);
            const Estimate one = estimate(opened);
            total_s += one.compute_s;
            std::printf(
                "%s -> %s\n"
                "  %lld tiles of %d pixels with a halo of %d; %.1f MiB to the ranks, %.1f MiB "
                "back\n  about %.0f MiB of memory for each rank; %.1f s on one core of this "
                "computer\n",
                job.input.c_str(), opened.path.c_str(), static_cast<long long>(one.tiles),
                opened.side, opened.plan->radius(), mib(one.bytes_out), mib(one.bytes_back),
                mib(one.rank_bytes), one.compute_s);
        } catch (const std::exception &problem) {
            std::fprintf(stderr, "hpips: %s: %s\n", job.input.c_str(), problem.what());
            code = kExitImageFailed;
        }
    }
    const double ghz_h = total_s * clock_ghz() / 3600;
    std::printf("together  %.1f s, %.6f GHz·h at %.2f GHz\n", total_s, ghz_h, clock_ghz());
    if (const auto price = market_price())
        std::printf("price     about %.9f tokens, at the market's last price of %s per GHz·h\n",
                    ghz_h * std::strtod(price->c_str(), nullptr), price->c_str());
    return code;
}

}  // namespace hpips
