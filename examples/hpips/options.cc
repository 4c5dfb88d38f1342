// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/options.h"

#include <charconv>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "examples/hpips/image.h"
#include "examples/hpips/output.h"
#include "examples/hpips/pipeline.h"
#include "examples/hpips/plan.h"

namespace hpips {

namespace fs = std::filesystem;

const char kUsage[] = R"(usage: hpips run PIPELINE INPUT... -o OUTPUT [OPTION...]
       hpips ops [NAME] [--json]
       hpips info FILE... [--json]

  hpips run 'denoise strength=7 | sharpen radius=2 amount=0.5' a.tif b.jpg -o out/
  hpips run faces.hpips album/*.jpg -o 'out/%s-small.png'
  mpirun -n 4 hpips run ...                 on this computer
  mpirun --chain-lease 8 --chain-home 1 --chain-tolerate-loss --chain-stage-in none hpips run ...

PIPELINE is text, or a file that ends in .hpips. `hpips ops` lists the operators.

  -o OUTPUT       a folder; or for one input a file; %s in it stands for the input's name
  --format EXT    tif, png, jpg, webp, dzi (default: as the input, or what OUTPUT ends in)
  --quality N     of jpg, webp and dzi, 1 to 100 (default: 90)
  --resume        go on with what was interrupted
  --verify SHARE  0 to 1: so many of the tiles are computed by two ranks and compared
  --dry-run       what it would take, and cost; computes one tile
  --report FILE   who computed what, as JSON
  --tile N        side of a tile in pixels, 16 to 4096 (default: chosen for the pipeline)
  --threads N     tiles that a rank computes at once (default: 1 under mpirun, else all processors)
  --silent N      seconds after which a rank that says nothing is given up (default: 20)
  --quiet         no progress

Exit codes: 0 done; 1 an image failed, the others are done; 2 the command line is wrong; 4 rank 0 was
lost; 5 a rank computed something else than the others (the output is right: it was computed anew).
)";

namespace {

template <class T>
T number_in(const std::string &name, const std::string &word, T least, T most) {
    T number{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || !(number >= least) ||
        !(number <= most)) {
        std::ostringstream range;
        range << name << " takes a number from " << least << " to " << most << ", not " << word;
        throw Failure(range.str());
    }
    return number;
}

using Setter = std::function<void(const std::string &)>;

std::map<std::string, Setter> setters(Options &o) {
    return {
        {"-o", [&o](const std::string &word) { o.output = word; }},
        {"--report", [&o](const std::string &word) { o.report = word; }},
        {"--format",
         [&o](const std::string &word) {
             o.format = known_extension(word);
             if (o.format.empty())
                 throw Failure("--format is one of: " + std::string(kOutputFormats));
         }},
        {"--quality", [&o](auto &word) { o.quality = number_in("--quality", word, 1, 100); }},
        {"--tile",
         [&o](auto &word) { o.tile = number_in("--tile", word, kTileSideMin, kTileSideMax); }},
        {"--threads", [&o](auto &word) { o.threads = number_in("--threads", word, 1, 1024); }},
        {"--verify", [&o](auto &word) { o.verify = number_in("--verify", word, 0.0, 1.0); }},
        {"--silent", [&o](auto &word) { o.silent_s = number_in("--silent", word, 3.0, 3600.0); }},
    };
}

void check(const Options &options) {
    static const std::set<std::string> commands{"run", "ops", "info", "help", "version"};
    if (!commands.contains(options.command))
        throw Failure("no command is named " + options.command +
                      (nearest_name(options.command, {commands.begin(), commands.end()}).empty()
                           ? ""
                           : "; did you mean " +
                                 nearest_name(options.command, {commands.begin(), commands.end()}) +
                                 "?"));
    if (options.command == "run" && options.words.size() < 2)
        throw Failure("run takes a pipeline and at least one image");
    if (options.command == "run" && options.output.empty() && !options.dry_run)
        throw Failure("-o is missing: where do the images go?");
    if (options.command == "info" && options.words.empty())
        throw Failure("info takes at least one file");
    if (options.command == "ops" && options.words.size() > 1)
        throw Failure("ops takes one name at most");
}

std::string replaced(const std::string &pattern, const std::string &stem) {
    const size_t place = pattern.find("%s");
    return pattern.substr(0, place) + stem + pattern.substr(place + 2);
}

// What the output's name says of its format.
Job with_format(Job job) {
    const std::string extension = fs::path(job.output).extension().string();
    if (job.extension.empty() && !extension.empty())
        job.extension = known_extension(extension.substr(1));
    return job;
}

Job job_of(const Options &options, const std::string &input, bool is_alone) {
    const fs::path path(input);
    const std::string &output = options.output;
    if (output.find("%s") != std::string::npos)
        return with_format({input, replaced(output, path.stem().string()), options.format});
    std::error_code error;
    const bool is_folder = output.ends_with('/') || fs::is_directory(output, error);
    const std::string extension = fs::path(output).extension().string();
    if (!is_folder && !extension.empty()) {
        const bool is_known = !known_extension(extension.substr(1)).empty();
        if (is_known && !is_alone)
            throw Failure("-o " + output + ": several images do not go into one file; a folder's " +
                          "name ends in /");
        if (is_known) return with_format({input, output, options.format});
        if (is_alone)
            throw Failure("-o " + output + ": " + extension + " is not written (" + kOutputFormats +
                          " are); a folder's name ends in /");
    }
    if (path.filename().empty()) throw Failure(input + " is no file");
    return {input, (fs::path(output) / path.filename()).string(), options.format};
}

void add_pages(const Job &job, std::vector<Job> &jobs) {
    std::vector<int> pages{0};
    try {
        pages = pages_of(job.input);
    } catch (const Failure &) {
        jobs.push_back(job);  // said when it is opened
        return;
    }
    const fs::path output(job.output);
    for (size_t i = 0; i < pages.size(); ++i) {
        Job &one = jobs.emplace_back(job);
        one.page = pages[i];
        if (pages.size() == 1) return;
        char number[24];
        std::snprintf(number, sizeof number, "-%04zu", i + 1);
        one.output =
            (output.parent_path() / output.stem()).string() + number + output.extension().string();
    }
}

}  // namespace

Options parse_options(int argc, char **argv) {
    Options options;
    const auto with_value = setters(options);
    const std::map<std::string, bool Options::*> flags{{"--resume", &Options::resume},
                                                       {"--dry-run", &Options::dry_run},
                                                       {"--quiet", &Options::quiet},
                                                       {"--json", &Options::json}};
    bool only_words = false;
    for (int i = 1; i < argc; ++i) {
        std::string word = argv[i];
        if (only_words || word.empty() || word[0] != '-' || word == "-") {
            if (options.command.empty())
                options.command = word;
            else
                options.words.push_back(word);
            continue;
        }
        if (word == "--") {
            only_words = true;
            continue;
        }
        if (word == "-h" || word == "--help" || word == "--version") {
            options.command = word == "--version" ? "version" : "help";
            return options;
        }
        if (const auto flag = flags.find(word); flag != flags.end()) {
            options.*flag->second = true;
            continue;
        }
        std::string value;
        const size_t equals = word.find('=');
        const bool is_joined = word.starts_with("--") && equals != std::string::npos;
        if (is_joined) {
            value = word.substr(equals + 1);
            word.resize(equals);
        }
        const auto setter = with_value.find(word);
        if (setter == with_value.end()) throw Failure("no option is named " + word);
        if (!is_joined && ++i >= argc) throw Failure(word + " takes a value");
        setter->second(is_joined ? value : argv[i]);
    }
    if (options.command.empty()) options.command = "help";
    check(options);
    return options;
}

std::string output_path(const Job &job, const std::string &extension) {
    const fs::path path(job.output);
    const std::string own = path.extension().string();
    const std::string known = own.empty() ? "" : known_extension(own.substr(1));
    // "photo.jpeg" stays so as long as it is one.
    if (known == extension) return job.output;
    const bool says_format = !known.empty() || own == fs::path(job.input).extension().string();
    return (path.parent_path() / (says_format ? path.stem() : path.filename())).string() + "." +
           extension;
}

std::vector<Job> jobs_of(const Options &options) {
    std::vector<Job> jobs;
    std::map<std::string, std::string> taken;
    const bool is_alone = options.words.size() == 2;
    for (size_t i = 1; i < options.words.size(); ++i) {
        Job job = job_of(options, options.words[i], is_alone);
        const std::string path =
            job.extension.empty() ? job.output : output_path(job, job.extension);
        const auto [other, is_new] =
            taken.emplace(fs::path(path).lexically_normal().string(), job.input);
        if (!is_new)
            throw Failure("two images would be written to one file: " + other->second + " and " +
                          job.input);
        jobs.push_back(std::move(job));
    }
    return jobs;
}

std::vector<Job> jobs_of_pages(const std::vector<Job> &jobs) {
    std::vector<Job> all;
    for (const Job &job : jobs) add_pages(job, all);
    return all;
}

}  // namespace hpips
