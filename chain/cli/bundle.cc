// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/bundle.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

#include <unistd.h>

#include "chain/base/file.h"
#include "chain/base/split.h"
#include "chain/cli/cli.h"
#include "chain/cli/program.h"
#include "chain/client/stage_plan.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

namespace fs = std::filesystem;

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

// glibc and its loader fit one another and the kernel; Open MPI and what it stands on must be the
// peer's, as its daemons and components are.
bool is_peers_library(std::string_view name) {
    constexpr std::array<std::string_view, 24> kBeginnings = {
        "ld-linux",   "linux-vdso",  "linux-gate",  "libc.so",      "libm.so",      "libdl.so",
        "librt.so",   "libpthread.", "libresolv.",  "libnsl.so",    "libutil.so",   "libanl.so",
        "libmvec.so", "libnss_",     "libmpi",      "libopen-rte.", "libopen-pal.", "liboshmem.",
        "libompitra", "libmca_",     "libhwloc.so", "libevent",     "libpmix.",     "libompi"};
    return std::any_of(kBeginnings.begin(), kBeginnings.end(),
                       [&](std::string_view beginning) { return name.starts_with(beginning); });
}

std::string_view base_name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_library(std::string_view path) {
    const std::string_view name = base_name(path);
    return name.ends_with(".so") || name.find(".so.") != std::string_view::npos;
}

Status copy_file(const std::string &from, const fs::path &to, bool executable) {
    std::error_code error;
    if (fs::exists(to, error))
        return make_error(ErrorCode::kConflict, "two files of the bundle would be called ",
                          to.filename().string());
    fs::copy_file(from, to, error);
    if (!error)
        fs::permissions(to, fs::perms(executable ? 0755 : 0644), fs::perm_options::replace, error);
    if (error) return errno_error(error.value(), "copy " + from + " into the bundle");
    return ok_status();
}

Status fill_bundle(const BundlePlan &plan, const SharedObjects &objects, const fs::path &folder) {
    const std::string name(base_name(plan.program));
    for (const char *part : {"bin", "lib"}) CHAIN_TRY(make_folders(folder / part, 0755));
    CHAIN_TRY(copy_file(plan.program, folder / "bin" / name, true));
    for (const std::string &library : objects.packed)
        CHAIN_TRY(copy_file(library, folder / "lib" / base_name(library), true));
    for (const std::string &file : plan.also)
        CHAIN_TRY(copy_file(file, folder / (is_library(file) ? "lib" : "bin") / base_name(file),
                            access(file.c_str(), X_OK) == 0));
    const std::string script =
        "#!/bin/sh\n# Made by `ompi-chain bundle`.\n"
        "here=$(dirname -- \"$(readlink -f -- \"$0\")\")\n"
        "LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n"
        "export LD_LIBRARY_PATH\n"
        "exec \"$here/bin/\"" +
        shell_quoted(name) + " \"$@\"\n";
    CHAIN_TRY(write_file_atomic(folder / name, script, 0755));
    return write_file_atomic(folder / client::kBundleMark, "1\n", 0644);
}

// A bundle, or nothing: what else is there is not ours to remove.
Status check_place(const BundlePlan &plan) {
    if (!path_exists(plan.folder)) return ok_status();
    const bool is_bundle = path_exists(plan.folder + "/" + std::string(client::kBundleMark));
    if (is_bundle && plan.replace) return ok_status();
    return make_error(ErrorCode::kConflict, plan.folder, " is there already",
                      is_bundle ? "; --replace makes it anew" : ", and is no bundle");
}

}  // namespace

SharedObjects parse_ldd(std::string_view text) {
    SharedObjects objects;
    for (const std::string_view whole : split(text, '\n')) {
        const std::string_view line = trimmed(whole);
        const std::size_t arrow = line.find(" => ");
        const std::size_t address = line.rfind(" (0x");
        if (arrow == std::string_view::npos) {  // the loader, or what the kernel maps
            if (address != std::string_view::npos)
                objects.of_peers.emplace_back(base_name(line.substr(0, address)));
            continue;
        }
        const std::string_view name = line.substr(0, arrow);
        if (line.substr(arrow + 4) == "not found") {
            objects.missing.emplace_back(name);
            continue;
        }
        if (address == std::string_view::npos || address < arrow + 4) continue;
        const std::string_view path = line.substr(arrow + 4, address - arrow - 4);
        if (is_peers_library(base_name(name)))
            objects.of_peers.emplace_back(base_name(name));
        else
            objects.packed.emplace_back(path);
    }
    return objects;
}

Result<SharedObjects> find_shared_objects(const std::string &program) {
    const std::string ldd = "/usr/bin/ldd";
    if (!path_exists(ldd))
        return make_error(ErrorCode::kNotFound, "ldd is not installed: apt-get install libc-bin");
    CHAIN_ASSIGN(const auto answer, run_program({ldd, program}));
    const auto &[text, exit_code] = answer;
    const bool needs_none = text.find("not a dynamic executable") != Bytes::npos ||
                            text.find("statically linked") != Bytes::npos;
    if (needs_none) return SharedObjects{};
    if (exit_code != 0)
        return make_error(ErrorCode::kIo, "ldd ", program, ": ",
                          client::printable(text.substr(0, 300)));
    return parse_ldd(text);
}

Result<SharedObjects> make_bundle(const BundlePlan &plan) {
    std::error_code error;
    for (const std::string &file : plan.also)
        if (!fs::is_regular_file(file, error))
            return make_error(ErrorCode::kNotFound, "--also ", file, ": there is no such file");
    if (!fs::is_regular_file(plan.program, error))
        return make_error(ErrorCode::kNotFound, "the program ", plan.program,
                          " does not exist, or is not a file");
    if (access(plan.program.c_str(), X_OK) != 0)
        return make_error(ErrorCode::kPermission, "the program ", plan.program,
                          " is not executable; `chmod +x` makes it so");
    CHAIN_TRY(check_place(plan));
    CHAIN_ASSIGN(SharedObjects objects, find_shared_objects(plan.program));
    for (const std::string &library : plan.also) {
        if (!is_library(library)) continue;
        CHAIN_ASSIGN(const SharedObjects more, find_shared_objects(library));
        objects.packed.insert(objects.packed.end(), more.packed.begin(), more.packed.end());
        objects.missing.insert(objects.missing.end(), more.missing.begin(), more.missing.end());
    }
    std::set<std::string> once(objects.packed.begin(), objects.packed.end());
    for (const std::string &library : plan.also) once.erase(fs::absolute(library).string());
    objects.packed.assign(once.begin(), once.end());
    if (!objects.missing.empty())
        return make_error(ErrorCode::kRefused, "the program needs ", objects.missing.front(),
                          objects.missing.size() > 1 ? " and more" : "",
                          ", which is not found here either: set LD_LIBRARY_PATH");
    if (objects.packed.size() > kBundleLibrariesMax)
        return make_error(ErrorCode::kTooLarge, "more than ", kBundleLibrariesMax, " libraries");
    // Made beside its place, and there at once.
    const std::string making = plan.folder + ".making-" + std::to_string(getpid());
    Status made = fill_bundle(plan, objects, making);
    if (made.ok() && path_exists(plan.folder)) made = remove_tree(plan.folder);
    if (made.ok() && rename(making.c_str(), plan.folder.c_str()) != 0)
        made = errno_error(errno, "make " + plan.folder);
    if (made.ok()) return objects;
    static_cast<void>(remove_tree(making));
    return made.error();
}

}  // namespace chain::cli
