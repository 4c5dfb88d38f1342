// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/pow.h"

namespace chain::consensus {
namespace {

class Sha256dPow final : public PowFunction {
public:
    std::string_view name() const override { return "sha256d"; }
    Result<Bytes32> hash(std::string_view header_bytes) const override {
        Sha256 first;
        first.update(header_bytes);
        const Bytes32 inner = first.finish();
        Sha256 second;
        second.update(view_of(inner));
        return second.finish();
    }
};

}  // namespace

Result<std::unique_ptr<PowFunction>> make_pow(std::string_view name, const Bytes32 &chain_id) {
    if (name == "sha256d") return std::unique_ptr<PowFunction>(std::make_unique<Sha256dPow>());
    if (name == "randomx") return make_randomx(view_of(chain_id));
    return make_error(ErrorCode::kInvalidInput, "there is no proof-of-work function \"", name,
                      "\": it is sha256d or randomx");
}

}  // namespace chain::consensus
