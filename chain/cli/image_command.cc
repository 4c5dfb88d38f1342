// SPDX-License-Identifier: BSD-3-Clause
//
// image: another system for a job to run in, as one file that mpirun sends to the peers: of a root
// folder, or of an OCI image, which umoci and skopeo take apart.
#include <filesystem>
#include <ostream>

#include <stdlib.h>
#include <sys/stat.h>

#include "chain/base/file.h"
#include "chain/cli/cli.h"
#include "chain/cli/program.h"
#include "chain/client/json.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWordsMax = 500;  // of a program's complaint

// Removed at the end with all that is in it.
class WorkFolder {
public:
    Status make() {
        const char *const given = getenv("TMPDIR");
        std::string pattern = std::string(given != nullptr && *given != '\0' ? given : "/var/tmp") +
                              "/ompi-chain-image.XXXXXX";
        if (mkdtemp(pattern.data()) == nullptr) return errno_error(errno, "make " + pattern);
        path_ = pattern;
        return ok_status();
    }
    ~WorkFolder() {
        if (!path_.empty()) static_cast<void>(remove_tree(path_));
    }
    std::string operator/(const char *name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

Status run(const std::string &name, const std::string &package, std::vector<std::string> words) {
    CHAIN_ASSIGN(const std::string path, find_program(name, package));
    words.insert(words.begin(), path);
    CHAIN_ASSIGN(const auto ended, run_program(std::move(words)));
    if (ended.second == 0) return ok_status();
    std::string said =
        ended.first.substr(ended.first.size() > kWordsMax ? ended.first.size() - kWordsMax : 0);
    while (!said.empty() && said.back() == '\n') said.pop_back();
    return make_error(ErrorCode::kIo, name, ": ", client::printable(said));
}

bool has(const std::string &folder, const char *name) {
    return path_exists(folder + "/" + name);
}

// Its root folder below `work`.
Result<std::string> unpack_oci(const std::string &layout_and_tag, const WorkFolder &work) {
    CHAIN_TRY(run("umoci", "umoci",
                  {"unpack", "--rootless", "--image", layout_and_tag, work / "bundle"}));
    return work / "bundle" + "/rootfs";
}

Result<std::string> fetch_oci(const std::string &source, bool plain_http, const WorkFolder &work) {
    CHAIN_TRY(run("skopeo", "skopeo",
                  {"copy", "--insecure-policy",
                   plain_http ? "--src-tls-verify=false" : "--src-tls-verify=true", source,
                   "oci:" + work / "oci" + ":image"}));
    return unpack_oci(work / "oci" + ":image", work);
}

Result<std::string> root_of(const std::string &source, const std::string &tag, bool plain_http,
                            const WorkFolder &work) {
    if (source.starts_with("docker://")) {
        if (source.find("@sha256:") == std::string::npos)
            return make_error(
                ErrorCode::kInvalidInput, source,
                ": a registry may give another image for the same name tomorrow; name "
                "it by digest, as docker://debian@sha256:…");
        return fetch_oci(source, plain_http, work);
    }
    std::error_code error;
    if (fs::is_regular_file(source, error)) return fetch_oci("oci-archive:" + source, false, work);
    if (!fs::is_directory(source, error))
        return make_error(ErrorCode::kNotFound, source, ": there is no such folder or file");
    if (has(source, "oci-layout")) return unpack_oci(source + ":" + tag, work);
    if (has(source, "usr") || has(source, "bin")) return source;
    return make_error(ErrorCode::kInvalidInput, source,
                      " is neither a root folder (with usr/ or bin/) nor an OCI image (with "
                      "oci-layout)");
}

// The same bytes for the same tree, so that peers that have it know it again.
Status pack(const std::string &root, const std::string &output) {
    std::vector<std::string> words = {"--create",
                                      "--force-local",
                                      "--anchored",
                                      "--file=" + output + ".making",
                                      "--directory=" + root,
                                      "--sort=name",
                                      "--mtime=@0",
                                      "--owner=0",
                                      "--group=0",
                                      "--numeric-owner",
                                      "--format=posix",
                                      "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,"
                                      "delete=ctime",
                                      "--exclude=./dev/*",
                                      "--exclude=./proc/*",
                                      "--exclude=./sys/*"};
    if (output.ends_with(".gz")) words.emplace_back("--gzip");
    if (output.ends_with(".zst")) words.emplace_back("--zstd");
    words.emplace_back(".");
    Status packed = run("tar", "tar", std::move(words));
    if (packed.ok() && rename((output + ".making").c_str(), output.c_str()) != 0)
        packed = errno_error(errno, "write " + output);
    if (!packed.ok()) unlink((output + ".making").c_str());
    return packed;
}

Result<int> run_image(Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    std::string source = arguments.words[0];
    while (source.size() > 1 && source.back() == '/') source.pop_back();
    std::string output = arguments.value("output");
    if (output.empty()) {
        std::string name = source.substr(source.rfind('/') + 1);
        name = name.substr(0, name.find('@'));
        if (name.ends_with(".tar")) name.resize(name.size() - 4);
        output = name + ".image.tar";
    }
    if (path_exists(output) && !arguments.has("replace"))
        return make_error(ErrorCode::kConflict, output,
                          " is there already; --replace makes it anew");
    WorkFolder work;
    CHAIN_TRY(work.make());
    const std::string tag = arguments.has("tag") ? arguments.value("tag") : "latest";
    CHAIN_ASSIGN(const std::string root, root_of(source, tag, arguments.has("plain-http"), work));
    Console &console = invocation.console;
    if (!has(root, "usr/bin/orted") && !has(root, "usr/local/bin/orted"))
        console.err << "Warning: there is no orted in it. Open MPI 4.1 belongs into an image "
                       "(Debian: openmpi-bin).\n";
    CHAIN_TRY(pack(root, output));
    const std::uint64_t bytes = fs::file_size(output);
    if (invocation.json())
        console.out << client::json_text({{"file", output}, {"bytes", bytes}});
    else
        console.out << output << " has " << client::format_size(bytes) << "\n"
                    << "  mpirun --chain-lease 2,image=" << shell_quoted(output) << " PROGRAM\n";
    return 0;
}

}  // namespace

std::vector<Command> image_commands() {
    return {
        {.noun = "image",
         .arguments = "SOURCE",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Pack another system for jobs to run in, from a root folder or an OCI image",
         .examples = "  ompi-chain image ./bookworm\n"
                     "  ompi-chain image ./oci --tag v2 --output lab.tar.zst\n"
                     "  ompi-chain image docker://debian@sha256:…\n"
                     "  mpirun --chain-lease 4,image=bookworm.image.tar ./filter in.png\n",
         .details = "The image needs an Open MPI 4.1 of its own (Debian: openmpi-bin). SOURCE is a "
                    "root folder, an OCI image\nas a folder or archive, or one of a registry, by "
                    "digest. The last three need umoci and skopeo.\n",
         .options = {{"output", "FILE",
                      "where to (default: NAME.image.tar); .gz and .zst compress"},
                     {"tag", "TAG", "of an OCI image in a folder (default: latest)"},
                     {"plain-http", "", "of a registry in your own network, without TLS"},
                     {"replace", "", "a file that is there"}},
         .run = run_image},
    };
}

}  // namespace chain::cli
