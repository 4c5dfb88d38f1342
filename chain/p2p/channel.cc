// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/channel.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "chain/p2p/tls.h"

namespace chain::p2p {
namespace {

// Four whole records, in one system call.
constexpr std::size_t kReadAheadBytes =
    4 * (SSL3_RT_MAX_PLAIN_LENGTH + SSL3_RT_MAX_ENCRYPTED_OVERHEAD + SSL3_RT_HEADER_LENGTH);
// AES-GCM may encrypt some 360 GiB of full records with one key (RFC 8446, 5.5).
constexpr std::uint64_t kKeyBytesMax = 64ULL << 30;

}  // namespace

void Channel::SslDeleter::operator()(ssl_st *ssl) const {
    SSL_free(ssl);
}

Channel::Channel(ssl_st *ssl, FileDescriptor socket, Bytes early)
    : socket_(std::move(socket)), ssl_(ssl), early_(std::move(early)) {
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_clear_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_default_read_buffer_len(ssl, kReadAheadBytes);
    SSL_set_read_ahead(ssl, 1);
}

Channel::Channel(Channel &&) noexcept = default;
Channel &Channel::operator=(Channel &&) noexcept = default;
Channel::~Channel() = default;

Result<std::size_t> Channel::moved(int result) {
    if (result > 0) return static_cast<std::size_t>(result);
    const int socket_errno = errno;
    const int why = SSL_get_error(ssl_.get(), result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return std::size_t{0};
    if (why == SSL_ERROR_ZERO_RETURN)
        return make_error(ErrorCode::kPeerLost, "connection closed by the peer");
    return make_error(ErrorCode::kPeerLost, connection_error_text(ERR_get_error(), socket_errno));
}

Result<std::size_t> Channel::read(char *buffer, std::size_t size_bytes) {
    if (!early_.empty()) {
        const std::size_t size = std::min(size_bytes, early_.size());
        std::memcpy(buffer, early_.data(), size);
        early_.erase(0, size);
        return size;
    }
    errno = 0;
    return moved(
        SSL_read(ssl_.get(), buffer, static_cast<int>(std::min<std::size_t>(size_bytes, INT_MAX))));
}

Result<std::size_t> Channel::write(const char *bytes, std::size_t size_bytes) {
    if (written_bytes_ >= kKeyBytesMax &&
        SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
        written_bytes_ = 0;
    errno = 0;
    CHAIN_ASSIGN(const std::size_t size,
                 moved(SSL_write(ssl_.get(), bytes,
                                 static_cast<int>(std::min<std::size_t>(size_bytes, INT_MAX)))));
    written_bytes_ += size;
    return size;
}

}  // namespace chain::p2p
