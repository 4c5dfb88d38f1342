// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/descriptors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

namespace chain {
namespace {

struct Message {
    Message(const void *message, std::size_t size_bytes, std::size_t descriptors_bytes)
        : part{const_cast<void *>(message), size_bytes} {
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        if (descriptors_bytes == 0) return;
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(descriptors_bytes);
    }
    iovec part;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptorsPerMessageMax)] = {};
    msghdr header{};
};

}  // namespace

bool send_descriptors(int socket, const void *message, std::size_t size_bytes,
                      std::span<const int> descriptors) {
    if (descriptors.size() > kDescriptorsPerMessageMax) {
        errno = EINVAL;
        return false;
    }
    Message sent(message, size_bytes, descriptors.size_bytes());
    if (!descriptors.empty()) {
        cmsghdr *rights = CMSG_FIRSTHDR(&sent.header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    const ssize_t put = sendmsg(socket, &sent.header, MSG_NOSIGNAL);
    if (put < 0) return false;
    errno = EMSGSIZE;
    return put == static_cast<ssize_t>(size_bytes);
}

ssize_t receive_descriptors(int socket, void *message, std::size_t size_bytes,
                            std::span<int> descriptors, int flags) {
    std::fill(descriptors.begin(), descriptors.end(), -1);
    if (descriptors.size() > kDescriptorsPerMessageMax) {
        errno = EINVAL;
        return -1;
    }
    Message taken(message, size_bytes, descriptors.size_bytes());
    ssize_t got;
    do {
        got = recvmsg(socket, &taken.header, MSG_CMSG_CLOEXEC | flags);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return got;
    const cmsghdr *rights = CMSG_FIRSTHDR(&taken.header);
    if (rights == nullptr || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
        return got;
    int came[sizeof taken.control / sizeof(int)];  // alignment may leave room for one too many
    const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(came, CMSG_DATA(rights), count * sizeof(int));
    if (count == descriptors.size())
        std::copy_n(came, count, descriptors.begin());
    else
        std::for_each_n(came, count, close);
    return got;
}

}  // namespace chain
