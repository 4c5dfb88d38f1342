// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/commands.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "examples/hpips/batch.h"
#include "examples/hpips/image.h"
#include "examples/hpips/pipeline.h"

namespace hpips {
namespace {

using nlohmann::json;

const char *cost_name(Cost cost) {
    return cost == Cost::kIo ? "io" : cost == Cost::kLight ? "light" : "heavy";
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}

std::string range_of(const Parameter &parameter) {
    if (parameter.kind != Parameter::Kind::kWord)
        return number(parameter.least) + " to " + number(parameter.most);
    std::string list;
    for (const std::string &word : parameter.words) list += (list.empty() ? "" : ", ") + word;
    return list;
}

// With what it is when nothing is given, for colours of 8 bit. "?": it takes no such.
std::string standard_radius(const Operator &op) {
    if (!op.radius) return "0";
    try {
        const Pipeline pipeline = Pipeline::parse(op.name);
        return std::to_string(op.radius(pipeline.steps().front().values, {Depth::kU8, 3, false}));
    } catch (const Failure &) {
        return "?";
    }
}

json as_json(const Operator &op) {
    json parameters = json::array();
    for (const Parameter &one : op.parameters) {
        json entry{{"name", one.name}, {"default", one.standard}, {"help", one.help}};
        if (one.kind == Parameter::Kind::kWord)
            entry["words"] = one.words;
        else
            entry.update({{"integer", one.kind == Parameter::Kind::kInteger},
                          {"least", one.least},
                          {"most", one.most}});
        parameters.push_back(entry);
    }
    return {{"name", op.name},
            {"help", op.help},
            {"cost", cost_name(op.cost)},
            {"default_radius", standard_radius(op)},
            {"tolerance", op.tolerance},
            {"parameters", parameters}};
}

void print_operator(const Operator &op) {
    std::printf("%s: %s\n", op.name.c_str(), op.help.c_str());
    for (const Parameter &one : op.parameters)
        std::printf("  %s=%s  %s (%s)\n", one.name.c_str(), one.standard.c_str(), one.help.c_str(),
                    range_of(one).c_str());
    std::printf("  looks %s pixels around, as it stands; cost: %s; ", standard_radius(op).c_str(),
                cost_name(op.cost));
    if (op.tolerance > 0)
        std::printf("machines may differ by %g in a sample\n", op.tolerance);
    else
        std::printf("exact: the same bytes on every machine\n");
}

json as_json(const std::string &path, const ImageInfo &info) {
    json tags = json::array();
    for (const TiffTag &tag : info.metadata.tags) tags.push_back(tag.tag);
    return {{"file", path},
            {"format", info.file_format},
            {"width", info.size.width},
            {"height", info.size.height},
            {"samples", info.format.text()},
            {"layout", info.layout},
            {"icc_bytes", info.metadata.icc.size()},
            {"exif_bytes", info.metadata.exif.size()},
            {"xmp_bytes", info.metadata.xmp.size()},
            {"tags", tags}};
}

void print_info(const std::string &path, const ImageInfo &info) {
    const double pixels = static_cast<double>(info.size.width) * info.size.height;
    std::printf("%s: %s, %d x %d, %s\n  %s; %.1f MPix, %.1f MiB decoded\n", path.c_str(),
                info.file_format.c_str(), info.size.width, info.size.height,
                info.format.text().c_str(), info.layout.c_str(), pixels / 1e6,
                pixels * static_cast<double>(info.format.pixel_bytes()) / (1 << 20));
    std::string extras;
    const auto add = [&extras](const char *what, size_t bytes) {
        if (bytes > 0) extras += std::string(extras.empty() ? "" : ", ") + what;
    };
    add("ICC profile", info.metadata.icc.size());
    add("EXIF", info.metadata.exif.size());
    add("XMP", info.metadata.xmp.size());
    for (const TiffTag &tag : info.metadata.tags)
        add(("tag " + std::to_string(tag.tag)).c_str(), 1);
    std::printf("  carries: %s\n", extras.empty() ? "pixels only" : extras.c_str());
    const Plan plan(Pipeline::parse("invert"), info.format, info.size);
    const int side = suitable_tile_side(plan, 1);
    std::printf(
        "  a run has %lld tiles of %d pixels or fewer; `hpips run PIPELINE %s --dry-run` "
        "says what it takes\n",
        static_cast<long long>(Grid(plan.output_size(), side).count()), side, path.c_str());
}

}  // namespace

int list_operators(const Options &options) {
    std::vector<const Operator *> chosen = all_operators();
    if (!options.words.empty()) {
        chosen = {find_operator(options.words.front())};
        if (chosen.front() == nullptr) {
            std::vector<std::string> names;
            for (const Operator *one : all_operators()) names.push_back(one->name);
            const std::string near = nearest_name(options.words.front(), names);
            throw Failure("no operator is named " + options.words.front() +
                          (near.empty() ? "" : "; did you mean " + near + "?"));
        }
    }
    if (options.json) {
        json list = json::array();
        for (const Operator *op : chosen) list.push_back(as_json(*op));
        std::printf("%s\n", list.dump(2).c_str());
        return kExitDone;
    }
    if (!options.words.empty()) {
        print_operator(*chosen.front());
        return kExitDone;
    }
    std::printf("%-11s %-6s %6s  %s\n", "operator", "cost", "radius", "what it does");
    for (const Operator *op : chosen) {
        std::printf("%-11s %-6s %6s  %s\n", op->name.c_str(), cost_name(op->cost),
                    standard_radius(*op).c_str(), op->help.c_str());
        std::string words;
        for (const Parameter &one : op->parameters)
            words += (words.empty() ? "" : " ") + one.name + "=" + one.standard;
        if (!words.empty()) std::printf("%26s %s\n", "", words.c_str());
    }
    std::printf(
        "\n`hpips ops NAME` says what the parameters mean. cost: io is bound by reading and\n"
        "sending, heavy is worth a lease. radius: in pixels, with the defaults.\n");
    return kExitDone;
}

int show_files(const Options &options) {
    int code = kExitDone;
    json list = json::array();
    for (const std::string &path : options.words) {
        try {
            const auto image = open_image(path);
            if (options.json)
                list.push_back(as_json(path, image->info()));
            else
                print_info(path, image->info());
        } catch (const std::exception &problem) {
            std::fprintf(stderr, "hpips: %s: %s\n", path.c_str(), problem.what());
            code = kExitImageFailed;
        }
    }
    if (options.json)
        std::printf("%s\n", list.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    return code;
}

}  // namespace hpips
