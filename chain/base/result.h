// SPDX-License-Identifier: BSD-3-Clause
//
// Result<T>: a value, or an Error that a person can act on.
//
// Input from users, files and the network fails with an Error; broken logic of our own fails with
// CHAIN_CHECK, which is always on. Exceptions do not cross a thread's top or an MCA boundary.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace chain {

// Why something failed, in the nouns of the project. `error_traits` holds, for each, its name on
// the wire, the exit code of a command that ends with it, and what to do about it.
enum class ErrorCode {
    kInvalidInput,
    kNotFound,
    kNothingMatched,
    kInsufficientFunds,
    kBudgetTooSmall,
    kNoWallet,
    kWalletLocked,
    kWrongPassword,
    kDaemonNotRunning,
    kPermission,
    kDiskFull,
    kIo,
    kCorrupt,
    kProtocol,
    kTooLarge,
    kNoRoom,
    kTimeout,
    kPeerLost,
    kRefused,
    kNotYet,
    kConflict,
    kBadSignature,
    kCancelled,
    kInternal,
};

struct ErrorTraits {
    ErrorCode code;
    std::string_view name;    // stable, on the wire and in --json
    int exit_code;            // 1 failed, 2 cancelled, 3 nothing matched, 4 no key
    std::string_view advice;  // what to do next; empty where the message itself says it
};

const ErrorTraits &error_traits(ErrorCode code);
ErrorCode error_code_from_name(std::string_view name);  // unknown names: kInternal

struct Error {
    ErrorCode code = ErrorCode::kInternal;
    std::string message;  // one sentence, with the facts: which file, which peer, which amount

    // "message\nadvice" as printed to a terminal.
    std::string to_text() const;
};

struct Unit {};

template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Precondition: ok().
    T &value() & { return std::get<0>(state_); }
    const T &value() const & { return std::get<0>(state_); }
    T &&value() && { return std::get<0>(std::move(state_)); }
    T &operator*() & { return value(); }
    const T &operator*() const & { return value(); }
    T &&operator*() && { return std::move(*this).value(); }
    T *operator->() { return &value(); }
    const T *operator->() const { return &value(); }

    // Precondition: !ok().
    const Error &error() const { return std::get<1>(state_); }

private:
    std::variant<T, Error> state_;
};

using Status = Result<Unit>;
inline Status ok_status() {
    return Unit{};
}

template <class... Parts>
Error make_error(ErrorCode code, const Parts &...parts);

// Prints where and what, then aborts. Never compiled out.
[[noreturn]] void check_failed(const char *file, int line, const char *what);

#define CHAIN_CHECK(condition)                                                   \
    do {                                                                         \
        if (!(condition)) ::chain::check_failed(__FILE__, __LINE__, #condition); \
    } while (0)

#define CHAIN_CONCAT_(a, b) a##b
#define CHAIN_CONCAT(a, b) CHAIN_CONCAT_(a, b)

// Returns the error of a Status from the enclosing function.
#define CHAIN_TRY(expression)                                          \
    do {                                                               \
        auto chain_try_status_ = (expression);                         \
        if (!chain_try_status_.ok()) return chain_try_status_.error(); \
    } while (0)

// `CHAIN_ASSIGN(auto file, read_file(path));` binds the value, or returns the error.
#define CHAIN_ASSIGN(target, expression) \
    CHAIN_ASSIGN_(CHAIN_CONCAT(chain_assign_, __LINE__), target, expression)
#define CHAIN_ASSIGN_(temporary, target, expression) \
    auto temporary = (expression);                   \
    if (!temporary.ok()) return temporary.error();   \
    target = std::move(temporary).value()

namespace detail {
void append_part(std::string &text, std::string_view part);
void append_part(std::string &text, long long part);
void append_part(std::string &text, unsigned long long part);
inline void append_part(std::string &text, const char *part) {
    append_part(text, std::string_view(part));
}
inline void append_part(std::string &text, const std::string &part) {
    append_part(text, std::string_view(part));
}
template <class Integer>
requires std::is_integral_v<Integer>
void append_part(std::string &text, Integer part) {
    if constexpr (std::is_signed_v<Integer>)
        append_part(text, static_cast<long long>(part));
    else
        append_part(text, static_cast<unsigned long long>(part));
}
}  // namespace detail

template <class... Parts>
Error make_error(ErrorCode code, const Parts &...parts) {
    Error error{code, {}};
    (detail::append_part(error.message, parts), ...);
    return error;
}

}  // namespace chain
