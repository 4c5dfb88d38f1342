// SPDX-License-Identifier: BSD-3-Clause
#include "chain/base/result.h"

#include <cstdio>
#include <cstdlib>

namespace chain {
namespace {

constexpr ErrorTraits kErrorTraits[] = {
    {ErrorCode::kInvalidInput, "invalid-input", 1, ""},
    {ErrorCode::kNotFound, "not-found", 1, ""},
    {ErrorCode::kNothingMatched, "nothing-matched", 3,
     "See what is on offer with `ompi-chain offer list --all`, and why a peer was passed over with "
     "--chain-explain."},
    {ErrorCode::kInsufficientFunds, "insufficient-funds", 1,
     "See your balance with `ompi-chain wallet show`. A lease of fewer slots or a shorter time "
     "takes less."},
    {ErrorCode::kBudgetTooSmall, "budget-too-small", 1,
     "Raise --chain-budget, or lower --chain-time or the number of slots."},
    {ErrorCode::kNoWallet, "no-wallet", 4,
     "Create one with `ompi-chain wallet new`, or bring one back with `ompi-chain wallet "
     "restore`."},
    {ErrorCode::kWalletLocked, "wallet-locked", 4,
     "Unlock it with `ompi-chain wallet unlock`, or start ompi-chaind with --password-file."},
    {ErrorCode::kWrongPassword, "wrong-password", 4,
     "Nothing was changed; try again with the password that was set when the wallet was made."},
    {ErrorCode::kDaemonNotRunning, "daemon-not-running", 1,
     "Start it with `ompi-chaind`, or try everything on this machine with `ompi-chain devnet up`."},
    {ErrorCode::kPermission, "permission", 1, ""},
    {ErrorCode::kDiskFull, "disk-full", 1,
     "Free some space there and try again; nothing was lost."},
    {ErrorCode::kIo, "io", 1, ""},
    {ErrorCode::kCorrupt, "corrupt", 1, ""},
    {ErrorCode::kProtocol, "protocol", 1, ""},
    {ErrorCode::kTooLarge, "too-large", 1, ""},
    {ErrorCode::kNoRoom, "no-room", 1, ""},
    {ErrorCode::kTimeout, "timeout", 1, ""},
    {ErrorCode::kPeerLost, "peer-lost", 1, ""},
    {ErrorCode::kRefused, "refused", 1, ""},
    {ErrorCode::kNotYet, "not-yet", 1, ""},
    {ErrorCode::kConflict, "conflict", 1, ""},
    {ErrorCode::kBadSignature, "bad-signature", 1, ""},
    {ErrorCode::kCancelled, "cancelled", 2, ""},
    {ErrorCode::kInternal, "internal", 1, "This is a defect of ours; please report it."},
};

}  // namespace

const ErrorTraits &error_traits(ErrorCode code) {
    for (const ErrorTraits &traits : kErrorTraits)
        if (traits.code == code) return traits;
    check_failed(__FILE__, __LINE__, "every ErrorCode has a row in kErrorTraits");
}

ErrorCode error_code_from_name(std::string_view name) {
    for (const ErrorTraits &traits : kErrorTraits)
        if (traits.name == name) return traits.code;
    return ErrorCode::kInternal;
}

std::string Error::to_text() const {
    std::string text = message;
    const std::string_view advice = error_traits(code).advice;
    if (!advice.empty()) {
        text += '\n';
        text += advice;
    }
    return text;
}

void check_failed(const char *file, int line, const char *what) {
    std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
    std::abort();
}

namespace detail {
void append_part(std::string &text, std::string_view part) {
    text += part;
}
void append_part(std::string &text, long long part) {
    text += std::to_string(part);
}
void append_part(std::string &text, unsigned long long part) {
    text += std::to_string(part);
}
}  // namespace detail

}  // namespace chain
