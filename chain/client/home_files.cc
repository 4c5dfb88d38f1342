// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/home_files.h"

#include <cerrno>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/file.h"
#include "chain/stage/s3.h"

namespace chain::client {

Result<std::unique_ptr<HomeFiles>> HomeFiles::make(const StagePlan &plan) {
    if (plan.peer_job_folder != plan.job_folder)
        return make_error(ErrorCode::kInvalidInput, "ranks on this machine (--chain-home) and on ",
                          "peers need one name for the working folder, and peers have a ",
                          plan.job_folder, " of their own; work below your home folder.");
    std::unique_ptr<HomeFiles> files(new HomeFiles());
    for (const wire::StageItem &item : plan.items) CHAIN_TRY(files->link(plan.job_folder, item));
    return files;
}

Status HomeFiles::link(const std::string &folder, const wire::StageItem &item) {
    if (stage::is_s3_url(item.source_path()))
        return make_error(
            ErrorCode::kInvalidInput, item.source_path(), ": peers fetch it ",
            "themselves, and ranks on this machine (--chain-home) would not have it; ",
            "get it into the working folder first.");
    if (item.name().starts_with("/")) return ok_status();  // where it is here, too
    const std::string path = folder + "/" + item.name();
    std::error_code ignored;
    if (std::filesystem::equivalent(path, item.source_path(), ignored)) return ok_status();
    CHAIN_TRY(make_folders(folder, item.name()));
    if (symlink(item.source_path().c_str(), path.c_str()) != 0) {
        if (errno != EEXIST) return errno_error(errno, "make " + path);
        return make_error(ErrorCode::kConflict, path,
                          " is there already, of another job that runs ",
                          "in this folder, or of one that was killed: then remove it.");
    }
    links_.push_back(path);
    return ok_status();
}

Status HomeFiles::make_folders(const std::string &folder, const std::string &name) {
    for (std::size_t end = name.find('/'); end != std::string::npos;
         end = name.find('/', end + 1)) {
        const std::string path = folder + "/" + name.substr(0, end);
        if (mkdir(path.c_str(), 0755) == 0)
            folders_.push_back(path);
        else if (errno != EEXIST)
            return errno_error(errno, "make " + path);
    }
    return ok_status();
}

HomeFiles::~HomeFiles() {
    for (const std::string &path : links_) unlink(path.c_str());
    for (auto path = folders_.rbegin(); path != folders_.rend(); ++path) rmdir(path->c_str());
}

}  // namespace chain::client
