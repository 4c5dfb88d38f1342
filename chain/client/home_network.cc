// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/home_network.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "chain/overlay/device.h"
#include "chain/overlay/packet.h"

namespace chain::client {
namespace {

FileDescriptor the_device;
std::string failure = "it was not made";

}  // namespace

void HomeNetwork::enter() {
    int device = -1;
    const char *const failed = overlay::enter_home_network(geteuid() != 0, device);
    if (failed != nullptr) failure = std::string(failed) + ": " + std::strerror(errno);
    the_device = FileDescriptor(device);
    if (failed != nullptr) the_device.reset();
}

Result<FileDescriptor> HomeNetwork::take_device() {
    if (!the_device.valid())
        return make_error(ErrorCode::kRefused,
                          "ranks on this machine (--chain-home) need a network of their own, and ",
                          "there is none (", failure, "). It takes /dev/net/tun and user ",
                          "namespaces; without them leave --chain-home out.");
    failure = "it was taken already";
    return std::move(the_device);
}

std::vector<std::pair<std::string, std::string>> HomeNetwork::rank_parameters() {
    return {{"btl_tcp_port_min_v4", std::to_string(overlay::kRankPortFirst)},
            {"btl_tcp_port_range_v4", std::to_string(overlay::kRankPortCount)}};
}

}  // namespace chain::client
