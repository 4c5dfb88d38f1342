// SPDX-License-Identifier: BSD-3-Clause
//
// net_switch SEED FOLDER NAME…: hosts on one wire, for tests. Each is a network namespace and a
// host name, held by a child of this process, with an interface eth0 (a TAP) whose other end is
// here. A frame is dropped with the chance of loss, or held for the delay of both hosts' links and
// passed on.
//
// Prints "NAME PID ADDRESS" of each host and "ready"; then obeys a line at a time and answers "ok":
//   delay_us HOST MICROSECONDS   one way, of its link (HOST and below: 0, 1, … in order, or "all")
//   loss_ppm HOST PPM            of the frames that come from it
//   group HOST NUMBER            frames pass within a group only
//   frames                       answers "forwarded dropped cut overrun" instead
// At the end of its input nothing is left: the hosts end, and FOLDER is removed.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <queue>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr int kSkipped = 77;
constexpr std::size_t kHostsMax = 250;
constexpr std::size_t kFrameBytesMax = 2048;
constexpr std::size_t kFramesHeldMax = 100'000;
constexpr int kFramesAtOnce = 64;
constexpr int kQueueFrames = 30'000;  // what a burst of a sender may be
constexpr std::uint64_t kMillion = 1'000'000;
constexpr useconds_t kLastWritesUs = 300'000;

struct Host {
    std::string name;
    int tap = -1;
    pid_t holder = 0;
    std::uint64_t delay_us = 0;
    std::uint64_t loss_ppm = 0;
    std::uint64_t group = 0;
};

struct Held {
    std::uint64_t due_us;
    std::uint64_t number;  // frames of one link keep their order
    std::size_t to;
    std::string bytes;
    bool operator>(const Held &other) const {
        return std::pair(due_us, number) > std::pair(other.due_us, other.number);
    }
};

[[noreturn]] void give_up(const char *what) {
    const int error = errno;
    std::cerr << "net_switch: " << what << ": " << std::strerror(error) << std::endl;
    std::exit(error == EPERM || error == EACCES || error == ENOENT || error == ENODEV ? kSkipped
                                                                                      : 1);
}

std::uint64_t now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * kMillion +
           static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

std::string address_of(std::size_t index) {
    return "10.77.0." + std::to_string(index + 1);
}

sockaddr to_sockaddr(const std::string &address) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    inet_pton(AF_INET, address.c_str(), &in.sin_addr);
    sockaddr out{};
    std::memcpy(&out, &in, sizeof out);
    return out;
}

void set_up(int socket, const char *name) {
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(socket, SIOCGIFFLAGS, &request) != 0) give_up("the flags of an interface");
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    if (ioctl(socket, SIOCSIFFLAGS, &request) != 0) give_up("an interface is set up");
}

// Some machines have the module, and no file for it.
int open_tun(const std::string &folder) {
    const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (tun >= 0) return tun;
    const std::string own = folder + "/tun";
    if (mknod(own.c_str(), S_IFCHR | 0600, makedev(10, 200)) != 0 && errno != EEXIST)
        give_up("/dev/net/tun");
    const int made = open(own.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (made < 0) give_up("/dev/net/tun");
    return made;
}

// The interface's hardware address says which host it is.
int make_interface(std::size_t index, const std::string &folder) {
    const int tap = open_tun(folder);
    ifreq request{};
    std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tap, TUNSETIFF, &request) != 0) give_up("a TAP interface");
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request = {};
    std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    request.ifr_hwaddr.sa_data[0] = 2;
    request.ifr_hwaddr.sa_data[5] = static_cast<char>(index + 1);
    if (ioctl(control, SIOCSIFHWADDR, &request) != 0) give_up("a hardware address");
    request.ifr_addr = to_sockaddr(address_of(index));
    if (ioctl(control, SIOCSIFADDR, &request) != 0) give_up("an address");
    request.ifr_netmask = to_sockaddr("255.255.255.0");
    if (ioctl(control, SIOCSIFNETMASK, &request) != 0) give_up("a netmask");
    request = {};
    std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    request.ifr_qlen = kQueueFrames;
    if (ioctl(control, SIOCSIFTXQLEN, &request) != 0) give_up("the length of a queue");
    set_up(control, "eth0");
    set_up(control, "lo");
    close(control);
    return tap;
}

[[noreturn]] void hold(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) std::exit(0);
    close_range(0, ~0U, 0);
    for (;;) pause();
}

Host make_host(std::size_t index, const std::string &name, const std::string &folder) {
    if (unshare(CLONE_NEWNET | CLONE_NEWUTS) != 0) give_up("network namespaces");
    if (sethostname(name.data(), name.size()) != 0) give_up("a host name");
    // Whatever speaks IPv6 on its own would be noise here.
    if (const int file = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY); file >= 0) {
        if (write(file, "1", 1) != 1) give_up("no IPv6");
        close(file);
    }
    Host host;
    host.name = name;
    host.tap = make_interface(index, folder);
    const pid_t parent = getpid();
    host.holder = fork();
    if (host.holder < 0) give_up("fork");
    if (host.holder == 0) hold(parent);
    return host;
}

class Switch {
public:
    Switch(std::uint64_t seed, std::vector<Host> hosts) : random_(seed), hosts_(std::move(hosts)) {}

    void run() {
        std::vector<pollfd> ready{{STDIN_FILENO, POLLIN, 0}};
        for (const Host &host : hosts_) ready.push_back({host.tap, POLLIN, 0});
        for (;;) {
            timespec wait{};
            const std::uint64_t now = now_us();
            if (!held_.empty() && held_.top().due_us > now) {
                const std::uint64_t left = held_.top().due_us - now;
                wait = {static_cast<time_t>(left / kMillion),
                        static_cast<long>(left % kMillion * 1000)};
            }
            if (ppoll(ready.data(), ready.size(), held_.empty() ? nullptr : &wait, nullptr) < 0 &&
                errno != EINTR)
                give_up("poll");
            if (ready[0].revents != 0 && !obey()) return;
            for (std::size_t at = 0; at < hosts_.size(); ++at)
                if (ready[at + 1].revents != 0) take_from(at);
            deliver();
        }
    }

private:
    void take_from(std::size_t from) {
        char frame[kFrameBytesMax];
        for (int count = 0; count < kFramesAtOnce; ++count) {
            const ssize_t size = read(hosts_[from].tap, frame, sizeof frame);
            if (size < 14) return;
            const std::string_view bytes(frame, static_cast<std::size_t>(size));
            const bool to_all = (bytes[0] & 1) != 0;
            const std::size_t to = static_cast<unsigned char>(bytes[5]) - 1U;
            for (std::size_t at = 0; at < hosts_.size(); ++at)
                if (at != from && (to_all || at == to)) pass(from, at, bytes);
        }
    }

    void pass(std::size_t from, std::size_t to, std::string_view bytes) {
        if (hosts_[from].group != hosts_[to].group) {
            ++cut_;
        } else if (random_() % kMillion < hosts_[from].loss_ppm) {
            ++dropped_;
        } else if (held_.size() == kFramesHeldMax) {
            ++overrun_;
        } else {
            held_.push({now_us() + hosts_[from].delay_us + hosts_[to].delay_us, ++forwarded_, to,
                        std::string(bytes)});
        }
    }

    void deliver() {
        for (const std::uint64_t now = now_us(); !held_.empty() && held_.top().due_us <= now;
             held_.pop()) {
            const Held &frame = held_.top();
            if (write(hosts_[frame.to].tap, frame.bytes.data(), frame.bytes.size()) < 0) ++overrun_;
        }
    }

    // False at the end of the input.
    bool obey() {
        char buffer[4096];
        const ssize_t size = read(STDIN_FILENO, buffer, sizeof buffer);
        if (size <= 0) return false;
        input_.append(buffer, static_cast<std::size_t>(size));
        for (std::size_t end; (end = input_.find('\n')) != std::string::npos;
             input_.erase(0, end + 1))
            std::cout << carry_out(input_.substr(0, end)) << std::endl;
        return true;
    }

    std::string carry_out(const std::string &line) {
        std::istringstream words(line);
        std::string what, host;
        std::uint64_t value = 0;
        if (line == "frames")
            return std::to_string(forwarded_) + " " + std::to_string(dropped_) + " " +
                   std::to_string(cut_) + " " + std::to_string(overrun_);
        words >> what >> host >> value;
        if (!words) return "not understood: " + line;
        for (std::size_t at = 0; at < hosts_.size(); ++at) {
            if (host != "all" && host != std::to_string(at)) continue;
            if (what == "delay_us")
                hosts_[at].delay_us = value;
            else if (what == "loss_ppm")
                hosts_[at].loss_ppm = value;
            else if (what == "group")
                hosts_[at].group = value;
            else
                return "not understood: " + line;
        }
        return "ok";
    }

    std::mt19937_64 random_;
    std::vector<Host> hosts_;
    std::priority_queue<Held, std::vector<Held>, std::greater<>> held_;
    std::string input_;
    std::uint64_t forwarded_ = 0, dropped_ = 0, cut_ = 0, overrun_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
    if (argc < 4 || static_cast<std::size_t>(argc) - 3 > kHostsMax) return 2;
    // Ctrl-C at a terminal is for the test; this process ends when its input does.
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    const std::string folder = argv[2];
    std::vector<Host> hosts;
    for (int at = 3; at < argc; ++at)
        hosts.push_back(make_host(static_cast<std::size_t>(at) - 3, argv[at], folder));
    if (unshare(CLONE_NEWNET) != 0) give_up("network namespaces");
    for (std::size_t at = 0; at < hosts.size(); ++at)
        std::cout << hosts[at].name << ' ' << hosts[at].holder << ' ' << address_of(at) << '\n';
    std::cout << "ready" << std::endl;
    Switch(std::strtoull(argv[1], nullptr, 10), hosts).run();
    for (const Host &host : hosts) kill(host.holder, SIGKILL);
    // What ran in the hosts dies with the test, and may still be writing.
    usleep(kLastWritesUs);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return 0;
}
