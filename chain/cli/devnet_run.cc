// SPDX-License-Identifier: BSD-3-Clause
//
// A program in the devnet's environment: where things are, and how signals and exit codes pass.
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/cli/devnet.h"

namespace chain::cli {
namespace {

constexpr int kSignalExitBase = 128;
constexpr int kCannotRun = 126;
constexpr int kNotThere = 127;
constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

bool is_program(const std::string &path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}

std::string variable(const char *name) {
    const char *value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

std::string find_in_path(const std::string &name) {
    std::string path = variable("PATH");
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        const std::string candidate = path.substr(begin, end - begin) + "/" + name;
        if (is_program(candidate)) return candidate;
        begin = end + 1;
    }
    return {};
}

[[noreturn]] void become_program(const std::vector<std::string> &program,
                                 const std::vector<std::pair<std::string, std::string>> &set,
                                 const sigset_t &mask_before) {
    for (const auto &[name, value] : set) setenv(name.c_str(), value.c_str(), 1);
    sigprocmask(SIG_SETMASK, &mask_before, nullptr);
    std::vector<char *> argv;
    for (const std::string &word : program) argv.push_back(const_cast<char *>(word.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    const int code = errno == ENOENT ? kNotThere : kCannotRun;
    perror(argv[0]);
    _exit(code);
}

int exit_code_of(int status) {
    return WIFSIGNALED(status) ? kSignalExitBase + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

std::string program_folder() {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    std::filesystem::path folder = self.parent_path();
    if (folder.filename() == ".libs") folder = folder.parent_path();
    return folder.string();
}

Result<std::string> find_daemon() {
    constexpr char kName[] = "ompi-chaind";
    if (const std::string named = variable("OMPI_CHAIND"); !named.empty()) {
        if (is_program(named)) return std::filesystem::absolute(named).string();
        return make_error(ErrorCode::kNotFound, "$OMPI_CHAIND names ", named,
                          ", which is no program");
    }
    const std::string beside = program_folder() + "/" + kName;
    const std::string installed = std::string(OMPI_CHAIN_BINDIR) + "/" + kName;
    for (const std::string &path : {beside, installed})
        if (is_program(path)) return path;
    if (const std::string path = find_in_path(kName); !path.empty())
        return std::filesystem::absolute(path).string();
    return make_error(ErrorCode::kNotFound, kName, " was found neither as ", beside, " nor as ",
                      installed, " nor in $PATH\nName it with $OMPI_CHAIND.");
}

std::vector<std::pair<std::string, std::string>> renter_environment(const Devnet &devnet) {
    std::vector<std::pair<std::string, std::string>> set = {
        {"OMPI_CHAIN_SOCKET", devnet.renter().socket_path()},
        {"OMPI_CHAIN_DATA", devnet.renter().data_folder},
        {"OMPI_CHAIN_DEVNET", devnet.folder()},
    };
    const std::string folder = program_folder();
    if (const std::string path = variable("PATH"); (path + ":").rfind(folder + ":", 0) != 0)
        set.emplace_back("PATH", folder + ":" + path);
    // In a build tree mpirun must be told of our components. A folder that does not exist would
    // end Open MPI's search.
    const std::string components =
        (std::filesystem::path(folder).parent_path() / "components").string();
    std::error_code error;
    if (variable("OMPI_MCA_mca_base_component_path").empty() &&
        std::filesystem::is_directory(components, error)) {
        set.emplace_back("OMPI_MCA_mca_base_component_path",
                         components + ":" + OMPI_CHAIN_COMPONENT_DIR);
        set.emplace_back("OMPI_CHAIN_COMPONENTS", components);
    }
    // The ranks are in sandboxes under another user id; mpirun itself would refuse.
    if (geteuid() == 0) {
        set.emplace_back("OMPI_ALLOW_RUN_AS_ROOT", "1");
        set.emplace_back("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
    return set;
}

Result<int> run_program(const std::vector<std::string> &program,
                        const std::vector<std::pair<std::string, std::string>> &environment) {
    sigset_t watched, before;
    sigemptyset(&watched);
    for (const int number : kPassedOn) sigaddset(&watched, number);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before);
    const FileDescriptor signals(signalfd(-1, &watched, SFD_CLOEXEC));
    const auto restore = [&before] { sigprocmask(SIG_SETMASK, &before, nullptr); };
    if (!signals.valid()) {
        restore();
        return errno_error(errno, "watch signals");
    }
    const pid_t pid = fork();
    if (pid < 0) {
        restore();
        return errno_error(errno, "start " + program[0]);
    }
    if (pid == 0) become_program(program, environment, before);
    for (;;) {
        int status = 0;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            restore();
            return exit_code_of(status);
        }
        signalfd_siginfo signal{};
        if (read(signals.get(), &signal, sizeof signal) != sizeof signal) continue;
        // The terminal sends its own to the whole foreground group: the program has it already,
        // and mpirun takes a second Ctrl-C for "at once".
        if (signal.ssi_signo != SIGCHLD && signal.ssi_code != SI_KERNEL)
            kill(pid, static_cast<int>(signal.ssi_signo));
    }
}

}  // namespace chain::cli
