// SPDX-License-Identifier: BSD-3-Clause
//
// TlsContext: TLS 1.3 with one throw-away ed25519 certificate per process. Nobody trusts the
// certificate; who is at the other end is proved inside, over the exporter (chain/p2p/hello.h).
#pragma once

#include <atomic>
#include <memory>

#include "chain/base/bytes.h"

struct ssl_st;
struct ssl_ctx_st;

namespace chain::p2p {

class TlsContext {
public:
    TlsContext();
    ~TlsContext();
    TlsContext(const TlsContext &) = delete;
    TlsContext &operator=(const TlsContext &) = delete;

    // A new connection's state, owned by the caller (or by the bufferevent that it is given to).
    ssl_st *new_ssl() const;

private:
    ssl_ctx_st *context_ = nullptr;
};

// 32 bytes that only the two ends of this TLS session know, the same at both (RFC 8446, 7.5).
// Errors: kProtocol while the TLS handshake is unfinished.
Result<Bytes32> channel_secret(ssl_st *ssl);

// What passes through its socket from now on, in both directions, is added to `bytes` (null: is not
// counted), whoever has the connection and on whichever thread.
void count_traffic(ssl_st *ssl, std::shared_ptr<std::atomic<std::uint64_t>> bytes);

// `code`, an error of OpenSSL's (0: none; `socket_errno` then counts), in words. Empties its queue.
std::string connection_error_text(unsigned long code, int socket_errno);

}  // namespace chain::p2p
