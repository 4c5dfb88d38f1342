// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/tls.h"

#include <cerrno>
#include <memory>
#include <system_error>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "chain/p2p/limits.h"

namespace chain::p2p {
namespace {

constexpr std::string_view kExporterLabel = "EXPORTER-ompi-chain-channel";
constexpr long kCertificateSeconds = 100L * 365 * 24 * 3600;  // nobody looks at it

using PrivateKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Certificate self_signed(EVP_PKEY *key) {
    Certificate certificate(X509_new(), X509_free);
    CHAIN_CHECK(certificate != nullptr);
    CHAIN_CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
    CHAIN_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) == 1);
    // A day back, so that a clock that is a little wrong does no harm.
    CHAIN_CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -24L * 3600) != nullptr);
    CHAIN_CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kCertificateSeconds) !=
                nullptr);
    CHAIN_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
    // ed25519 hashes by itself: no digest is named.
    CHAIN_CHECK(X509_sign(certificate.get(), key, nullptr) > 0);
    return certificate;
}

}  // namespace

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_method())) {
    CHAIN_CHECK(context_ != nullptr);
    CHAIN_CHECK(SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) == 1);
    CHAIN_CHECK(SSL_CTX_set_max_proto_version(context_, TLS1_3_VERSION) == 1);
    CHAIN_CHECK(SSL_CTX_set_ciphersuites(context_,
                                         "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                         "TLS_AES_256_GCM_SHA384") == 1);
    const PrivateKey key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
    CHAIN_CHECK(key != nullptr);
    const Certificate certificate = self_signed(key.get());
    CHAIN_CHECK(SSL_CTX_use_certificate(context_, certificate.get()) == 1);
    CHAIN_CHECK(SSL_CTX_use_PrivateKey(context_, key.get()) == 1);
    SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_max_cert_list(context_, kMaxCertificateBytes);
    // No resumption: every session makes new keys. Frames have lengths, so a cut is seen anyway.
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context_, 0);
    SSL_CTX_set_options(context_, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
    // Never SSL_MODE_ENABLE_PARTIAL_WRITE: libevent 2.1 then drops what a partial write left over.
    SSL_CTX_set_mode(context_, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
}

ssl_st *TlsContext::new_ssl() const {
    SSL *ssl = SSL_new(context_);
    CHAIN_CHECK(ssl != nullptr);
    return ssl;
}

Result<Bytes32> channel_secret(ssl_st *ssl) {
    Bytes32 secret{};
    if (SSL_export_keying_material(ssl, secret.data(), secret.size(), kExporterLabel.data(),
                                   kExporterLabel.size(), nullptr, 0, 0) != 1) {
        ERR_clear_error();
        return make_error(ErrorCode::kProtocol, "the TLS session exports no key");
    }
    return secret;
}

void count_traffic(ssl_st *ssl, std::shared_ptr<std::atomic<std::uint64_t>> bytes) {
    using Counter = std::shared_ptr<std::atomic<std::uint64_t>>;
    if (bytes == nullptr) return;
    BIO *socket = SSL_get_rbio(ssl);
    CHAIN_CHECK(socket != nullptr && socket == SSL_get_wbio(ssl));
    BIO_set_callback_arg(socket, reinterpret_cast<char *>(new Counter(std::move(bytes))));
    BIO_set_callback_ex(
        socket,
        [](BIO *of, int what, const char *, size_t, int, long, int result, size_t *moved) -> long {
            auto *counter = reinterpret_cast<Counter *>(BIO_get_callback_arg(of));
            if (what == BIO_CB_FREE) {
                delete counter;
                return 1;
            }
            const bool has_moved =
                what == (BIO_CB_READ | BIO_CB_RETURN) || what == (BIO_CB_WRITE | BIO_CB_RETURN);
            if (has_moved && result > 0 && moved != nullptr) **counter += *moved;
            return result;
        });
}

std::string connection_error_text(unsigned long code, int socket_errno) {
    int system_errno = ERR_SYSTEM_ERROR(code) ? ERR_GET_REASON(code) : socket_errno;
    const char *reason = ERR_SYSTEM_ERROR(code) ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    if (reason != nullptr) return std::string("TLS: ") + reason;
    // With words of ours still unread, the end of a process looks like this.
    if (system_errno == ECONNRESET || system_errno == EPIPE) system_errno = 0;
    if (system_errno != 0) return std::generic_category().message(system_errno);
    return "connection closed by the peer";
}

}  // namespace chain::p2p
