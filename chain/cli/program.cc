// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/program.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/file.h"

namespace chain::cli {

Result<std::pair<Bytes, int>> run_program(std::vector<std::string> argv) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "run " + argv[0]);
    const FileDescriptor from(ends[0]);
    FileDescriptor to(ends[1]);
    std::vector<char *> words;
    for (std::string &word : argv) words.push_back(word.data());
    words.push_back(nullptr);
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", locale[] = "LC_ALL=C";
    std::string library_path = "LD_LIBRARY_PATH=";
    if (const char *given = getenv("LD_LIBRARY_PATH")) library_path += given;
    char *environment[] = {path, locale, library_path.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, to.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, to.get(), 2);
    pid_t pid = 0;
    const int failed = posix_spawn(&pid, words[0], &actions, nullptr, words.data(), environment);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return errno_error(failed, "run " + argv[0]);
    to.reset();
    Bytes text(kProgramBytesMax, '\0');
    const auto got = read_some(from.get(), text.data(), text.size(), "read from " + argv[0]);
    char rest[4096];
    while (read(from.get(), rest, sizeof rest) > 0) {
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!got.ok()) return got.error();
    text.resize(*got);
    return std::pair(std::move(text), WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

Result<std::string> find_program(const std::string &name, const std::string &package) {
    for (const char *folder : {"/usr/local/bin/", "/usr/bin/", "/bin/"})
        if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
    return make_error(ErrorCode::kNotFound, name, " is not installed: apt-get install ", package);
}

}  // namespace chain::cli
