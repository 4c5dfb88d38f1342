// SPDX-License-Identifier: BSD-3-Clause
#include "chain/overlay/device.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "chain/base/namespaces.h"
#include "chain/overlay/address.h"

namespace chain::overlay {
namespace {

constexpr int kListenBacklog = 16;

// Devices that are in the namespace, and not those of the machine.
bool show_own_devices() {
    return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) ==
               0;
}

ifreq request_for(const char *name) {
    ifreq request{};
    std::strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    return request;
}

sockaddr_in ipv4(std::uint32_t address, std::uint16_t port = 0) {
    sockaddr_in ip{};
    ip.sin_family = AF_INET;
    ip.sin_port = htons(port);
    ip.sin_addr.s_addr = htonl(address);
    return ip;
}

bool set_address(int control, unsigned long request_number, std::uint32_t address) {
    ifreq request = request_for(kDeviceName);
    const sockaddr_in ip = ipv4(address);
    std::memcpy(&request.ifr_addr, &ip, sizeof ip);
    return ioctl(control, request_number, &request) == 0;
}

bool set_number(int control, unsigned long request_number, int number) {
    ifreq request = request_for(kDeviceName);
    request.ifr_ifru.ifru_ivalue = number;
    return ioctl(control, request_number, &request) == 0;
}

int make_device() {
    const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0) return -1;
    ifreq request = request_for(kDeviceName);
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(device, TUNSETIFF, &request) == 0 && ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM) == 0)
        return device;
    close_keeping_errno(device);
    return -1;
}

bool configure(int control, std::uint32_t member) {
    constexpr std::uint32_t kNetmask = ~0U << (32 - kPrefixBits);
    return set_address(control, SIOCSIFADDR, address_of(member)) &&
           set_address(control, SIOCSIFNETMASK, kNetmask) &&
           set_number(control, SIOCSIFMTU, kDeviceMtu) && set_interface_up(kDeviceName);
}

int listen_at(std::uint32_t address) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) return -1;
    const sockaddr_in where = ipv4(address, kMpirunPort);
    if (bind(listener, reinterpret_cast<const sockaddr *>(&where), sizeof where) == 0 &&
        listen(listener, kListenBacklog) == 0)
        return listener;
    close_keeping_errno(listener);
    return -1;
}

const char *switch_off_ipv6() {
    // Where the kernel has none there is nothing to switch off.
    for (const char *path : {"/proc/sys/net/ipv6/conf/all/disable_ipv6",
                             "/proc/sys/net/ipv6/conf/default/disable_ipv6"})
        if (!write_kernel_file(path, "1") && errno != ENOENT) return "switch IPv6 off";
    return nullptr;
}

const char *set_up_device(std::uint32_t member, int &device) {
    device = make_device();
    if (device < 0) return "make a TUN device";
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0 || !configure(control, member)) return "set up a TUN device";
    close(control);
    return nullptr;
}

}  // namespace

const char *enter_lease_network(const DevicePlan &plan, DeviceSockets &sockets) {
    if (!enter_empty_network(plan.needs_user_namespace) || unshare(CLONE_NEWNS) != 0)
        return "make a network";
    if (!show_own_devices()) return "show the lease's network";
    if (const char *failed = switch_off_ipv6()) return failed;
    if (const char *failed = set_up_device(plan.member, sockets.device)) return failed;
    sockets.listener = listen_at(address_of(plan.member));
    return sockets.listener < 0 ? "listen in a network" : nullptr;
}

const char *enter_home_network(bool needs_user_namespace, int &device) {
    if (!enter_empty_network(needs_user_namespace)) return "make a network";
    if (const char *failed = switch_off_ipv6()) return failed;
    return set_up_device(kRenter, device);
}

}  // namespace chain::overlay
