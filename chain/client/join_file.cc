// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/join_file.h"

#include "chain/client/json.h"

namespace chain::client {

std::string format_join_file(const JoinFile &join) {
    Json json;
    json["genesis"] = join.genesis;
    if (!join.wallet.empty()) json["wallet"] = join.wallet;
    json["listen"] = join.listen_address;
    json["announce"] = join.announce_address;
    json["seeds"] = join.seeds;
    json["seal"] = join.seal;
    if (!join.checkpoint.empty()) json["checkpoint"] = join.checkpoint;
    return json_text(json);
}

Result<JoinFile> parse_join_file(const std::string &path, std::string_view text) {
    if (text.size() > kJoinFileBytesMax)
        return make_error(ErrorCode::kTooLarge, path, " is larger than ", kJoinFileBytesMax,
                          " bytes");
    const Json json = Json::parse(text, nullptr, false);
    const auto bad = [&](std::string_view why) {
        return make_error(ErrorCode::kCorrupt, path,
                          " is no file of `ompi-chain network new`: ", why);
    };
    if (json.is_discarded() || !json.is_object()) return bad("not a JSON object");
    JoinFile join;
    for (const auto &[field, value] : json.items()) {
        std::string *const target = field == "genesis"      ? &join.genesis
                                    : field == "wallet"     ? &join.wallet
                                    : field == "listen"     ? &join.listen_address
                                    : field == "announce"   ? &join.announce_address
                                    : field == "checkpoint" ? &join.checkpoint
                                                            : nullptr;
        if (target != nullptr) {
            if (!value.is_string()) return bad("\"" + field + "\" is not a text");
            *target = value.get<std::string>();
        } else if (field == "seal") {
            if (!value.is_boolean()) return bad("\"seal\" is neither true nor false");
            join.seal = value.get<bool>();
        } else if (field == "seeds") {
            if (!value.is_array() || value.size() > kJoinSeedsMax)
                return bad("\"seeds\" is not a list, or too long");
            for (const Json &seed : value) {
                if (!seed.is_string()) return bad("\"seeds\" holds something that is not a text");
                join.seeds.push_back(seed.get<std::string>());
            }
        } else {
            return bad("\"" + field.substr(0, 64) + "\" is not known");
        }
    }
    if (join.genesis.empty()) return bad("\"genesis\" is missing");
    return join;
}

}  // namespace chain::client
