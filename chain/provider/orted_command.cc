// SPDX-License-Identifier: BSD-3-Clause
#include "chain/provider/orted_command.h"

#include <arpa/inet.h>

#include "chain/base/file.h"
#include "chain/base/units.h"

namespace chain::provider {
namespace {

constexpr std::size_t kJobFolderBytesMax = 4096;
constexpr std::size_t kAddressBytesMax = 45;  // INET6_ADDRSTRLEN without its NUL

Error launch_error(std::string_view field, std::string_view why) {
    return make_error(ErrorCode::kProtocol, "launch: ", field, " ", why);
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_letter_or_digit(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// ORTE's short form of a node list: "vm-[2:1],peer[1:1-2]@0(3)".
Status check_node_regex(std::string_view regex) {
    if (regex.empty() || regex.size() > kNodeRegexBytesMax)
        return launch_error("node_regex", "is empty or too long");
    if (!is_letter_or_digit(regex.front()))
        return launch_error("node_regex", "does not begin with a host name");
    for (const char c : regex)
        if (!is_letter_or_digit(c) && std::string_view("-._[]:,@()").find(c) == regex.npos)
            return launch_error("node_regex", "has a character that no node list has");
    return ok_status();
}

// Takes digits up to `stop` off the front of `text`.
Result<std::uint64_t> take_number(std::string_view &text, char stop, std::uint64_t maximum) {
    const std::size_t end = text.find(stop);
    if (end == std::string_view::npos) return launch_error("hnp_uri", "has no job and number");
    const auto number = parse_integer(text.substr(0, end), 0, maximum, "number");
    if (!number.ok()) return launch_error("hnp_uri", "has no job and number");
    text.remove_prefix(end + 1);
    return number;
}

Status check_address(std::string_view text, int family) {
    unsigned char address[sizeof(in6_addr)];
    const std::string copy(text);
    if (text.empty() || text.size() > kAddressBytesMax || copy.find('\0') != std::string::npos ||
        inet_pton(family, copy.c_str(), address) != 1)
        return launch_error("hnp_uri", "has something that is no IP address");
    return ok_status();
}

// "192.0.2.1,192.0.2.2:1024" or "[2001:db8::1,2001:db8::2]:1024", after the scheme.
Status check_endpoint(std::string_view text, int family) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return launch_error("hnp_uri", "has no port");
    const auto port = parse_integer(text.substr(colon + 1), 1, 65'535, "port");
    if (!port.ok()) return launch_error("hnp_uri", "has no port");
    std::string_view addresses = text.substr(0, colon);
    if (family == AF_INET6) {
        if (addresses.size() < 2 || addresses.front() != '[' || addresses.back() != ']')
            return launch_error("hnp_uri", "has IPv6 addresses without brackets");
        addresses = addresses.substr(1, addresses.size() - 2);
    }
    for (std::size_t count = 0;; ++count) {
        if (count == kHnpAddressesMax) return launch_error("hnp_uri", "has too many addresses");
        const std::size_t comma = addresses.find(',');
        CHAIN_TRY(check_address(addresses.substr(0, comma), family));
        if (comma == std::string_view::npos) return ok_status();
        addresses.remove_prefix(comma + 1);
    }
}

// "JOBID.0;tcp://ADDRESSES:PORT[;tcp6://[ADDRESSES]:PORT]": who mpirun is and where it listens.
Status check_hnp_uri(std::string_view uri, std::uint32_t jobid) {
    if (uri.size() > kHnpUriBytesMax) return launch_error("hnp_uri", "is too long");
    CHAIN_ASSIGN(const std::uint64_t uri_jobid, take_number(uri, '.', UINT32_MAX));
    CHAIN_ASSIGN(const std::uint64_t vpid, take_number(uri, ';', UINT32_MAX));
    if (uri_jobid != jobid || vpid != 0)
        return launch_error("hnp_uri", "is of another job, or not of mpirun");
    for (int endpoints = 0;; ++endpoints) {
        if (endpoints == 2) return launch_error("hnp_uri", "has too many parts");
        const std::size_t end = uri.find(';');
        const std::string_view part = uri.substr(0, end);
        if (part.starts_with("tcp://"))
            CHAIN_TRY(check_endpoint(part.substr(6), AF_INET));
        else if (part.starts_with("tcp6://"))
            CHAIN_TRY(check_endpoint(part.substr(7), AF_INET6));
        else
            return launch_error("hnp_uri", "has a transport other than TCP");
        if (end == std::string_view::npos) return ok_status();
        uri.remove_prefix(end + 1);
    }
}

Status check_job_folder(std::string_view folder) {
    if (folder.size() < 2 || folder.size() > kJobFolderBytesMax || folder.front() != '/' ||
        !is_safe_relative_path(folder.substr(1)))
        return launch_error("job_folder", "is no absolute path of plain parts");
    for (const char c : folder)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            return launch_error("job_folder", "has a control character");
    return ok_status();
}

}  // namespace

Status check_launch(const wire::Launch &launch) {
    if (launch.jobid() == 0 || launch.jobid() >= UINT32_MAX - 1)
        return launch_error("jobid", "is none");
    if (launch.daemon_count() < 2 || launch.daemon_count() > kDaemonCountMax)
        return launch_error("daemon_count", "is out of range");
    if (launch.vpid() == 0 || launch.vpid() >= launch.daemon_count())
        return launch_error("vpid", "is out of range");
    CHAIN_TRY(check_node_regex(launch.node_regex()));
    CHAIN_TRY(check_hnp_uri(launch.hnp_uri(), launch.jobid()));
    return check_job_folder(launch.job_folder());
}

Result<std::vector<std::string>> orted_command(const wire::Launch &launch,
                                               const std::string &orted_path) {
    CHAIN_CHECK(!orted_path.empty() && orted_path.front() == '/');
    CHAIN_TRY(check_launch(launch));
    std::vector<std::string> argv{orted_path};
    const auto set = [&argv](std::string name, std::string value) {
        argv.insert(argv.end(), {"-mca", std::move(name), std::move(value)});
    };
    set("ess", "env");
    set("ess_base_jobid", std::to_string(launch.jobid()));
    set("ess_base_vpid", std::to_string(launch.vpid()));
    set("ess_base_num_procs", std::to_string(launch.daemon_count()));
    set("orte_node_regex", launch.node_regex());
    set("orte_hnp_uri", launch.hnp_uri());
    // The stranger's mpirun decides where ranks go, not what this orted may launch elsewhere.
    set("orte_leave_session_attached", "1");
    set("hwloc_base_binding_policy", "none");
    // Else, of more than 64 orteds some speak to mpirun through others, which are strangers' too.
    set("routed_radix", std::to_string(kDaemonCountMax));
    return argv;
}

}  // namespace chain::provider
