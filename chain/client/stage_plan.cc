// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/stage_plan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <optional>

#include "chain/base/file.h"
#include "chain/stage/s3.h"
#include "chain/stage/staged_file.h"

namespace chain::client {
namespace {

namespace fs = std::filesystem;

std::string absolute_path(std::string_view path, const std::string &cwd) {
    fs::path joined = fs::path(path).is_absolute() ? fs::path(path) : fs::path(cwd) / path;
    std::string text = joined.lexically_normal().string();
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    return text;
}

std::string_view first_part(std::string_view absolute) {
    absolute.remove_prefix(1);
    return absolute.substr(0, absolute.find('/'));
}

// "" when `path` is not below `folder`; else the rest, without a leading slash.
std::string name_below(const std::string &path, const std::string &folder) {
    const std::string prefix = folder == "/" ? folder : folder + "/";
    return path.starts_with(prefix) ? path.substr(prefix.size()) : std::string();
}

bool is_regular_file(const std::string &path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// Live files of the kernel: a copy of them means nothing.
bool is_kernel_path(std::string_view absolute) {
    const std::string_view part = first_part(absolute);
    return part == "proc" || part == "sys" || part == "dev";
}

constexpr std::size_t kOutsideMax = 4;  // are named

class Planner {
public:
    Planner(const LeaseOrder &order, const std::string &search_path)
        : order_(order), search_path_(search_path) {}

    Result<StagePlan> run(const std::vector<StageApp> &apps) {
        plan_.job_folder = absolute_path(apps.front().cwd, "/");
        moved_ = plan_.job_folder == "/" || is_system_path(plan_.job_folder);
        plan_.peer_job_folder = moved_ ? "/job" : plan_.job_folder;
        if (!order_.spec.image().empty()) CHAIN_TRY(add_image(order_.spec.image()));
        for (const StageApp &app : apps) CHAIN_TRY(add_app(app));
        for (const std::string &path : order_.stage_in) CHAIN_TRY(add_stage_in(path));
        return std::move(plan_);
    }

private:
    Status add_app(const StageApp &app) {
        StageApp there = app;
        const std::string cwd = absolute_path(app.cwd, "/");
        const std::string below = name_below(cwd, plan_.job_folder);
        if (cwd != plan_.job_folder && below.empty())
            return make_error(ErrorCode::kInvalidInput,
                              "the programs of a leased job share one "
                              "working folder: ",
                              cwd, " is not below ", plan_.job_folder, ".");
        there.cwd = plan_.peer_job_folder + (below.empty() ? "" : "/" + below);
        CHAIN_TRY(add_program(cwd, there.argv[0]));
        if (!order_.stage_program_only)
            for (std::size_t i = 1; i < there.argv.size(); ++i)
                CHAIN_TRY(add_argument(cwd, there.argv[i]));
        plan_.apps.push_back(std::move(there));
        return ok_status();
    }

    Status add_program(const std::string &cwd, std::string &program) {
        if (program.find('/') == std::string::npos) {
            const auto found = search(program, cwd);
            // What is not here may still be installed on the peer.
            if (!found || is_peers_program(*found)) return ok_status();
            if (name_below(*found, cwd) == program) return add_file(*found);
            program = *found;
        }
        const std::string path = absolute_path(program, cwd);
        if (is_peers_program(path)) {
            program = path;
            return ok_status();
        }
        if (!is_regular_file(path))
            return make_error(ErrorCode::kNotFound, "the program ", path,
                              " does not exist, or is not a file.");
        if (::access(path.c_str(), X_OK) != 0)
            return make_error(ErrorCode::kPermission, "the program ", path,
                              " is not executable; `chmod +x` makes it so.");
        CHAIN_TRY(add_file(path));
        program = name_there(program, path);
        const std::string folder = path.substr(0, path.rfind('/'));
        if (is_regular_file(folder + "/" + std::string(kBundleMark)))
            return add_folder(folder, program);
        return ok_status();
    }

    // A program name without a slash: $PATH first, then the working folder, as ORTE does it.
    std::optional<std::string> search(const std::string &program, const std::string &cwd) const {
        std::size_t begin = 0;
        while (begin <= search_path_.size()) {
            std::size_t end = search_path_.find(':', begin);
            if (end == std::string::npos) end = search_path_.size();
            const std::string folder = search_path_.substr(begin, end - begin);
            begin = end + 1;
            if (folder.empty()) continue;
            const std::string path = absolute_path(absolute_path(folder, cwd) + "/" + program, cwd);
            if (is_regular_file(path) && ::access(path.c_str(), X_OK) == 0) return path;
        }
        const std::string path = absolute_path(program, cwd);
        if (is_regular_file(path)) return path;
        return std::nullopt;
    }

    bool is_peers_program(const std::string &path) const {
        return is_system_path(path) || first_part(path) == "opt";
    }

    // FILE or --option=FILE.
    Status add_argument(const std::string &cwd, std::string &argument) {
        CHAIN_ASSIGN(const bool whole, add_named_file(cwd, argument));
        if (whole) return ok_status();
        const std::size_t equals = argument.find('=');
        if (equals == std::string::npos) return ok_status();
        std::string value = argument.substr(equals + 1);
        CHAIN_ASSIGN(const bool found, add_named_file(cwd, value));
        if (found) argument = argument.substr(0, equals + 1) + value;
        return ok_status();
    }

    Result<bool> add_named_file(const std::string &cwd, std::string &name) {
        if (name.empty()) return false;
        const std::string path = absolute_path(name, cwd);
        // Peers have their own /etc; the renter's says who has an account there, and more.
        if (is_kernel_path(path) || first_part(path) == "etc" || !is_regular_file(path))
            return note_outside(name, path);
        const bool in_job_folder = !name_below(path, plan_.job_folder).empty();
        if (is_system_path(path) && (!in_job_folder || plan_.job_folder == "/")) {
            const std::string copy = ".chain-in/" + std::to_string(system_copies_.size()) + "/" +
                                     fs::path(path).filename().string();
            const auto [row, is_new] = system_copies_.emplace(path, copy);
            if (is_new) CHAIN_TRY(add_item(path, copy));
            name = plan_.peer_job_folder + "/" + row->second;
            return true;
        }
        CHAIN_TRY(add_file(path));
        name = name_there(name, path);
        return true;
    }

    // A folder, or a file that is not there yet in one. False: it is not sent.
    bool note_outside(const std::string &name, const std::string &path) {
        const bool is_path = name.find('/') != std::string::npos &&
                             name.find("://") == std::string::npos && !is_system_path(path);
        if (!is_path || path == plan_.job_folder || !name_below(path, plan_.job_folder).empty())
            return false;
        std::error_code error;
        const fs::path parent = fs::path(path).parent_path();
        if (parent != "/" && fs::is_directory(parent, error) && plan_.outside.size() < kOutsideMax)
            plan_.outside.push_back(name);
        return false;
    }

    // What the ranks must say for `path`, which the renter wrote as `name`.
    std::string name_there(const std::string &name, const std::string &path) const {
        if (!moved_) return name;
        const std::string below = name_below(path, plan_.job_folder);
        if (below.empty()) return path;
        return name.starts_with("/") ? plan_.peer_job_folder + "/" + below : name;
    }

    Status add_file(const std::string &path) {
        const std::string below = name_below(path, plan_.job_folder);
        return add_item(path, below.empty() ? path : below);
    }

    Status add_item(const std::string &path, const std::string &name) {
        if (!names_.emplace(name, path).second) return ok_status();
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0)
            return make_error(ErrorCode::kNotFound, path, " is gone.");
        plan_.total_bytes += static_cast<std::uint64_t>(status.st_size);
        if (plan_.total_bytes > order_.stage_max_bytes)
            return make_error(ErrorCode::kTooLarge, "the files that the job needs are larger than ",
                              order_.stage_max_bytes, " bytes, with ", path,
                              " the first that does not fit.\nRaise --chain-stage-max, or name "
                              "fewer files.");
        if (plan_.items.size() >= kStageItemsMax)
            return make_error(ErrorCode::kTooLarge, "more than ", kStageItemsMax,
                              " files are to be sent; pack them into one archive.");
        wire::StageItem item;
        item.set_source_path(path);
        item.set_name(name);
        plan_.items.push_back(std::move(item));
        return ok_status();
    }

    Status add_image(const std::string &typed) {
        const std::string path = absolute_path(typed, plan_.job_folder);
        if (is_regular_file(path)) {
            plan_.image_name = stage::kImageName;
            return add_item(path, plan_.image_name);
        }
        if (path_exists(path))
            return make_error(ErrorCode::kInvalidInput, "image=", typed,
                              " is no file; `ompi-chain image ", typed, "` packs it into one.");
        return make_error(ErrorCode::kNotFound, "image=", typed,
                          ": there is no such file. `ompi-chain image DIR` makes one of a root "
                          "folder or an OCI image.");
    }

    // Peers get it themselves, under the last part of its key.
    Status add_object(const std::string &typed) {
        CHAIN_ASSIGN(const stage::S3Object object, stage::parse_s3_url(typed));
        const std::string name = object.key.substr(object.key.rfind('/') + 1);
        if (!is_safe_relative_path(name))
            return make_error(ErrorCode::kInvalidInput, "--chain-stage-in ", typed,
                              ": name one object, as in s3://BUCKET/folder/file.");
        if (!names_.emplace(name, typed).second)
            return make_error(ErrorCode::kInvalidInput, "--chain-stage-in ", typed, ": ", name,
                              " would be there twice.");
        wire::StageItem item;
        item.set_source_path(typed);
        item.set_name(name);
        plan_.items.push_back(std::move(item));
        return ok_status();
    }

    Status add_stage_in(const std::string &typed) {
        if (stage::is_s3_url(typed)) return add_object(typed);
        const std::string path = absolute_path(typed, plan_.job_folder);
        if (is_system_path(path) && name_below(path, plan_.job_folder).empty())
            return make_error(ErrorCode::kInvalidInput, "--chain-stage-in ", typed,
                              ": peers have their own ", path,
                              "; copy what you need to the "
                              "working folder.");
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0)
            return make_error(ErrorCode::kNotFound, "--chain-stage-in ", typed,
                              ": there is no such file or folder.");
        if (S_ISREG(status.st_mode)) return add_file(path);
        if (!S_ISDIR(status.st_mode))
            return make_error(ErrorCode::kInvalidInput, "--chain-stage-in ", typed,
                              ": this is neither a file nor a folder.");
        return add_folder(path, "--chain-stage-in " + typed);
    }

    // `what` names it in the error.
    Status add_folder(const std::string &path, const std::string &what) {
        std::error_code error;
        fs::recursive_directory_iterator walk(path, error);
        for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
            const std::string file = walk->path().string();
            // Links to folders are not followed, so that the walk ends.
            if (is_regular_file(file)) CHAIN_TRY(add_file(file));
        }
        if (error) return make_error(ErrorCode::kIo, what, ": ", error.message());
        return ok_status();
    }

    const LeaseOrder &order_;
    const std::string &search_path_;
    StagePlan plan_;
    bool moved_ = false;
    std::map<std::string, std::string> names_;          // name there -> path here
    std::map<std::string, std::string> system_copies_;  // path here -> name there
};

}  // namespace

bool is_system_path(std::string_view absolute_path) {
    const std::string_view part = first_part(absolute_path);
    for (const std::string_view name :
         {"usr", "bin", "sbin", "etc", "proc", "sys", "dev", "run", "boot"})
        if (part == name) return true;
    return part.starts_with("lib");
}

Result<StagePlan> plan_stage(const std::vector<StageApp> &apps, const LeaseOrder &order,
                             const std::string &search_path) {
    CHAIN_CHECK(!apps.empty());
    for (const StageApp &app : apps) CHAIN_CHECK(!app.argv.empty());
    return Planner(order, search_path).run(apps);
}

}  // namespace chain::client
