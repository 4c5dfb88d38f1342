// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/web.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "chain/stage/s3.h"

namespace chain::stage {
namespace {

constexpr long kConnectTimeoutS = 10;
constexpr std::size_t kAnswerBytesMax = 4'096;  // of what a store says against us
constexpr std::size_t kRulesMax = 64;
constexpr std::size_t kRuleBytesMax = 300;

struct CurlDeleter {
    void operator()(CURL *curl) const { curl_easy_cleanup(curl); }
};
struct HeaderDeleter {
    void operator()(curl_slist *list) const { curl_slist_free_all(list); }
};

void set_up_once() {
    static std::once_flag once;
    std::call_once(once, [] { CHAIN_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

// The text between <name> and </name>, made fit to be shown.
std::string xml_text(std::string_view answer, std::string_view name) {
    const std::string open = "<" + std::string(name) + ">";
    const std::size_t at = answer.find(open);
    if (at == std::string_view::npos) return {};
    answer.remove_prefix(at + open.size());
    std::string text(answer.substr(0, std::min<std::size_t>(answer.find('<'), 100)));
    for (char &c : text)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    return text;
}

// One request, tried once.
class Request {
public:
    Request(const std::string &url, const WebManner *manner)
        : url_(url), cancelled_(manner == nullptr ? nullptr : &manner->cancelled) {
        set_up_once();
        curl_.reset(curl_easy_init());
        CHAIN_CHECK(curl_ != nullptr);
        set(CURLOPT_URL, url_.c_str());
        set(CURLOPT_PROTOCOLS_STR, url_.starts_with("https:") ? "https" : "http");
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
        set(CURLOPT_LOW_SPEED_LIMIT, 1'024L);
        set(CURLOPT_LOW_SPEED_TIME, kWebSilenceS);
        set(CURLOPT_ERRORBUFFER, error_);
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFODATA, this);
        set(CURLOPT_XFERINFOFUNCTION, &Request::on_progress);
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_WRITEFUNCTION, &Request::on_body);
        const bool is_bound = manner != nullptr && !manner->may_be_private;
        if (is_bound && !has_proxy()) {
            set(CURLOPT_OPENSOCKETDATA, this);
            set(CURLOPT_OPENSOCKETFUNCTION, &Request::on_connect);
        }
        set(CURLOPT_HEADERDATA, this);
        set(CURLOPT_HEADERFUNCTION, &Request::on_header);
    }

    template <class Value>
    void set(CURLoption option, Value value) {
        CHAIN_CHECK(curl_easy_setopt(curl_.get(), option, value) == CURLE_OK);
    }
    void add_header(const std::string &line) {
        curl_slist *const longer = curl_slist_append(headers_.get(), line.c_str());
        CHAIN_CHECK(longer != nullptr);
        static_cast<void>(headers_.release());
        headers_.reset(longer);
    }
    // Where a body goes, and how much of it there may be.
    void write_to(int fd, std::uint64_t room_bytes) {
        fd_ = fd;
        room_bytes_ = room_bytes;
    }
    void read_from(int fd, std::uint64_t size_bytes) {
        fd_ = fd;
        set(CURLOPT_UPLOAD, 1L);
        set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size_bytes));
        set(CURLOPT_READDATA, this);
        set(CURLOPT_READFUNCTION, &Request::on_send);
    }

    // `lost` is set where another try may help.
    Status perform(bool &lost) {
        if (headers_ != nullptr) set(CURLOPT_HTTPHEADER, headers_.get());
        const CURLcode code = curl_easy_perform(curl_.get());
        curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status_);
        lost = false;
        const std::string_view where = without_query(url_);
        if (cancelled_ != nullptr && *cancelled_)
            return make_error(ErrorCode::kCancelled, "the transfer was given up");
        if (is_private_)
            return make_error(ErrorCode::kRefused, where,
                              " is in a private network, and no rule of this machine's owner names "
                              "its host exactly");
        if (!disk_.ok()) return disk_;
        if (too_much_)
            return make_error(ErrorCode::kConflict, where, " is larger than it was announced");
        if (code != CURLE_OK && status_ < 400) {
            lost = code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_PEER_FAILED_VERIFICATION;
            return make_error(ErrorCode::kPeerLost, where, ": ",
                              error_[0] != '\0' ? error_ : curl_easy_strerror(code));
        }
        if (status_ >= 200 && status_ < 300) return ok_status();
        lost = status_ >= 500 || status_ == 429;
        std::string why = xml_text(answer_, "Code");
        if (const std::string more = xml_text(answer_, "Message"); !more.empty())
            why += (why.empty() ? "" : ", ") + more;
        const ErrorCode kind = status_ == 404                     ? ErrorCode::kNotFound
                               : status_ == 401 || status_ == 403 ? ErrorCode::kPermission
                               : status_ == 412 || status_ == 416 ? ErrorCode::kConflict
                               : lost                             ? ErrorCode::kPeerLost
                                                                  : ErrorCode::kProtocol;
        return make_error(kind, where, ": the store answers ", status_,
                          why.empty() ? "" : " (" + why + ")");
    }

    long status() const { return status_; }
    std::uint64_t written_bytes() const { return written_bytes_; }
    const std::string &etag() const { return etag_; }
    std::int64_t length() const {
        curl_off_t length = -1;
        curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        return length;
    }

private:
    static int on_progress(void *self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
        const auto *const cancelled = static_cast<Request *>(self)->cancelled_;
        return cancelled != nullptr && *cancelled ? 1 : 0;
    }

    static curl_socket_t on_connect(void *self, curlsocktype, curl_sockaddr *to) {
        if (is_private_address(to->addr)) {
            static_cast<Request *>(self)->is_private_ = true;
            return CURL_SOCKET_BAD;
        }
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    }
    // Of the owner's: it is what is connected to, wherever it stands.
    static bool has_proxy() {
        for (const char *name :
             {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"})
            if (const char *proxy = getenv(name); proxy != nullptr && *proxy != '\0') return true;
        return false;
    }

    static std::size_t on_body(const char *data, std::size_t one, std::size_t size, void *self) {
        return static_cast<Request *>(self)->take_body({data, one * size}) ? one * size : 0;
    }
    bool take_body(std::string_view piece) {
        long status = 0;
        curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
        if (status < 200 || status >= 300 || fd_ < 0 || room_bytes_ == 0) {
            answer_.append(
                piece.substr(0, kAnswerBytesMax - std::min(kAnswerBytesMax, answer_.size())));
            return true;
        }
        too_much_ = piece.size() > room_bytes_ - written_bytes_;
        if (too_much_) return false;
        disk_ = write_all(fd_, piece, "write what a store sends");
        written_bytes_ += piece.size();
        return disk_.ok();
    }

    static std::size_t on_send(char *data, std::size_t one, std::size_t size, void *self) {
        auto &request = *static_cast<Request *>(self);
        const auto got = read_some(request.fd_, data, one * size, "read a result");
        if (!got.ok()) {
            request.disk_ = got.error();
            return CURL_READFUNC_ABORT;
        }
        return *got;
    }

    static std::size_t on_header(const char *data, std::size_t one, std::size_t size, void *self) {
        std::string_view line(data, one * size);
        constexpr std::string_view kName = "etag:";
        constexpr std::size_t kEtagBytesMax = 200;
        const bool is_etag =
            line.size() > kName.size() &&
            std::equal(kName.begin(), kName.end(), line.begin(), [](char name, char c) {
                return name == (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
            });
        if (is_etag) {
            line.remove_prefix(kName.size());
            const auto is_blank = [](char c) { return c == ' ' || c == '\r' || c == '\n'; };
            while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
            while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
            static_cast<Request *>(self)->etag_ = line.substr(0, kEtagBytesMax);
        }
        return one * size;
    }

    const std::string url_;
    const std::atomic<bool> *const cancelled_;
    std::unique_ptr<CURL, CurlDeleter> curl_;
    std::unique_ptr<curl_slist, HeaderDeleter> headers_;
    char error_[CURL_ERROR_SIZE] = "";
    int fd_ = -1;
    std::uint64_t room_bytes_ = 0;
    std::uint64_t written_bytes_ = 0;
    bool too_much_ = false;
    bool is_private_ = false;
    Status disk_ = ok_status();
    std::string answer_;
    std::string etag_;
    long status_ = 0;
};

// Calls `once` until it succeeds, or another try would be of no use.
template <class Once>
Status with_tries(const std::atomic<bool> *cancelled, Once once) {
    for (unsigned attempt = 1;; ++attempt) {
        bool lost = false;
        Status done = once(lost);
        if (done.ok() || !lost || attempt == kWebTries) return done;
        for (unsigned tenth = 0; tenth < 5 * attempt; ++tenth) {
            if (cancelled != nullptr && *cancelled) return done;
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
}

std::string_view host_of(std::string_view rest) {
    return rest.substr(0, rest.find_first_of("/?#"));
}

bool matches(std::string_view rule, std::string_view url) {
    const std::size_t scheme = rule.find("://") + 3;
    if (url.substr(0, scheme) != rule.substr(0, scheme)) return false;
    const std::string_view host = host_of(url.substr(scheme));
    std::string_view name = rule.substr(scheme);
    if (!name.starts_with("*.")) return host == name;
    name.remove_prefix(1);
    return host.size() > name.size() && host.ends_with(name);
}

}  // namespace

Result<WebRules> WebRules::parse(const std::vector<std::string> &rules) {
    if (rules.size() > kRulesMax)
        return make_error(ErrorCode::kTooLarge, "more than ", kRulesMax, " stores");
    for (const std::string &rule : rules) {
        const bool is_safe = rule.starts_with("https://");
        const std::string_view host =
            std::string_view(rule).substr(std::min(rule.size(), std::size_t{is_safe ? 8u : 7u}));
        const std::string_view name = host.starts_with("*.") && is_safe ? host.substr(2) : host;
        if ((!is_safe && !rule.starts_with("http://")) || name.empty() ||
            name.find_first_not_of('.') == std::string_view::npos || rule.size() > kRuleBytesMax ||
            name.find_first_of("*/?#@ ") != std::string_view::npos)
            return make_error(ErrorCode::kInvalidInput, "\"", rule.substr(0, 100),
                              "\" names no store, as \"https://*.amazonaws.com\" or "
                              "\"http://10.0.0.5:9000\"");
    }
    WebRules parsed;
    parsed.rules_ = rules;
    return parsed;
}

WebRules WebRules::usual() {
    WebRules rules;
    rules.rules_ = {"https://*.amazonaws.com",
                    "https://storage.googleapis.com",
                    "https://*.r2.cloudflarestorage.com",
                    "https://*.backblazeb2.com",
                    "https://*.digitaloceanspaces.com",
                    "https://*.wasabisys.com"};
    return rules;
}

Status WebRules::check(std::string_view url) const {
    const std::size_t scheme = url.find("://");
    // A name before the host is none of ours, and could make one host look like another.
    const bool is_plain = scheme != std::string_view::npos &&
                          host_of(url.substr(scheme + 3)).find('@') == std::string_view::npos &&
                          std::none_of(url.begin(), url.end(), [](char c) {
                              return static_cast<unsigned char>(c) <= 0x20 || c == '\\' ||
                                     static_cast<unsigned char>(c) >= 0x7f;
                          });
    if (is_plain && std::any_of(rules_.begin(), rules_.end(),
                                [&](const std::string &rule) { return matches(rule, url); }))
        return ok_status();
    std::string allowed;
    for (const std::string &rule : rules_) allowed += (allowed.empty() ? "" : ", ") + rule;
    return make_error(ErrorCode::kRefused, "this machine fetches nothing from ",
                      without_query(url).substr(0, 200), "; its owner allows ",
                      allowed.empty() ? "no store" : allowed);
}

bool WebRules::names_host(std::string_view url) const {
    return std::any_of(rules_.begin(), rules_.end(), [&](const std::string &rule) {
        return rule.find('*') == std::string::npos && matches(rule, url);
    });
}

bool is_private_address(const sockaddr &address) {
    std::uint32_t v4 = 0;
    if (address.sa_family == AF_INET) {
        v4 = ntohl(reinterpret_cast<const sockaddr_in &>(address).sin_addr.s_addr);
    } else if (address.sa_family == AF_INET6) {
        const in6_addr &v6 = reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&v6))
            return (v6.s6_addr[0] & 0xfe) == 0xfc || (v6.s6_addr[0] & 0xe0) != 0x20;  // 2000::/3
        v4 = static_cast<std::uint32_t>(v6.s6_addr[12]) << 24 | v6.s6_addr[13] << 16 |
             v6.s6_addr[14] << 8 | v6.s6_addr[15];
    } else {
        return true;
    }
    const auto within = [v4](std::uint32_t network, unsigned bits) {
        return (v4 ^ network) >> (32 - bits) == 0;
    };
    return within(0x00000000, 8) || within(0x0a000000, 8) || within(0x64400000, 10) ||
           within(0x7f000000, 8) || within(0xa9fe0000, 16) || within(0xac100000, 12) ||
           within(0xc0a80000, 16) || v4 >= 0xe0000000;
}

Result<WebObject> web_head(const std::string &url) {
    WebObject object;
    CHAIN_TRY(with_tries(nullptr, [&](bool &lost) -> Status {
        Request request(url, nullptr);
        request.set(CURLOPT_NOBODY, 1L);
        CHAIN_TRY(request.perform(lost));
        if (request.length() < 0)
            return make_error(ErrorCode::kProtocol, without_query(url),
                              ": the store does not say how large it is");
        object = {static_cast<std::uint64_t>(request.length()), request.etag()};
        return ok_status();
    }));
    return object;
}

Status web_get(const std::string &url, const WebObject &object, int fd, const WebManner &manner) {
    std::uint64_t have_bytes = 0;
    if (object.size_bytes == 0) return ok_status();
    return with_tries(&manner.cancelled, [&](bool &lost) -> Status {
        Request request(url, &manner);
        request.write_to(fd, object.size_bytes - have_bytes);
        if (!object.etag.empty()) request.add_header("If-Match: " + object.etag);
        if (have_bytes > 0)
            request.set(CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(have_bytes));
        const Status got = request.perform(lost);
        have_bytes += request.written_bytes();
        if (have_bytes == object.size_bytes) return ok_status();
        if (!got.ok()) return got;
        lost = true;
        return make_error(ErrorCode::kPeerLost, without_query(url), ": only ", have_bytes, " of ",
                          object.size_bytes, " bytes came");
    });
}

Status web_put(const std::string &url, int fd, std::uint64_t size_bytes, const WebManner &manner) {
    return with_tries(&manner.cancelled, [&](bool &lost) -> Status {
        if (lseek(fd, 0, SEEK_SET) < 0) return errno_error(errno, "read a result");
        Request request(url, &manner);
        request.read_from(fd, size_bytes);
        return request.perform(lost);
    });
}

}  // namespace chain::stage
