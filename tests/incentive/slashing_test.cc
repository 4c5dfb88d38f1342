// SPDX-License-Identifier: BSD-3-Clause
#include "incentive/slashing.h"

#include <gtest/gtest.h>

#include "tests/incentive/property.h"

namespace incentive {
namespace {

using test::Draw;
using test::for_all;
using test::say;

// A checkpoint's hash, by a letter for the branch and its height.
Bytes32 hash_of(char branch, std::uint64_t height) {
    Bytes32 hash{};
    hash[0] = static_cast<std::uint8_t>(branch);
    hash[1] = static_cast<std::uint8_t>(height);
    return hash;
}

CheckpointVote vote(std::uint64_t source, std::uint64_t target, char branch = 'a') {
    return {source, hash_of(branch, source), target, hash_of(branch, target)};
}

TEST(OffenceOf, Table) {
    const CheckpointVote other_source{1, hash_of('b', 1), 3, hash_of('a', 3)};
    const CheckpointVote same_target{2, hash_of('a', 2), 3, hash_of('a', 3)};
    const struct {
        const char *what;
        CheckpointVote a, b;
        Offence offence;
    } cases[] = {
        {"the same vote twice", vote(1, 3), vote(1, 3), Offence::kNone},
        {"one after the other", vote(1, 2), vote(2, 3), Offence::kNone},
        {"with a gap", vote(1, 2), vote(4, 5), Offence::kNone},
        {"from one source to two heights", vote(1, 2), vote(1, 3), Offence::kNone},
        {"overlapping, neither within the other", vote(1, 3), vote(2, 4), Offence::kNone},
        {"on two branches, but in order", vote(1, 2), vote(2, 3, 'b'), Offence::kNone},
        {"two targets of one height", vote(1, 3), vote(1, 3, 'b'), Offence::kDoubleVote},
        {"one target from two sources", vote(1, 3), other_source, Offence::kDoubleVote},
        {"one target from two heights", vote(1, 3), same_target, Offence::kDoubleVote},
        {"one link within the other", vote(2, 3), vote(1, 4), Offence::kSurroundVote},
        {"within, on another branch", vote(2, 3), vote(1, 4, 'b'), Offence::kSurroundVote},
        {"from the first height", vote(1, 2), vote(0, 9), Offence::kSurroundVote},
        {"within but for the source", vote(1, 3), vote(1, 4), Offence::kNone},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(offence_of(c.a, c.b), c.offence) << c.what;
        EXPECT_EQ(offence_of(c.b, c.a), c.offence) << c.what << ", the other way round";
    }
}

CheckpointVote drawn_vote(Draw &draw) {
    const std::uint64_t source = draw.up_to(6);
    const std::uint64_t target = source + 1 + draw.up_to(6);
    return {source, hash_of(draw.coin() ? 'b' : 'a', source), target,
            hash_of(draw.coin() ? 'b' : 'a', target)};
}

TEST(OffenceOf, IsSymmetricAndSparesWhoeverFollowsTheRules) {
    for_all(200'000, [](Draw &draw) -> std::string {
        const CheckpointVote a = drawn_vote(draw), b = drawn_vote(draw);
        const auto text = [&] {
            return say(a.source_height, a.target_height, "and", b.source_height, b.target_height);
        };
        if (offence_of(a, b) != offence_of(b, a)) return text();
        if (offence_of(a, a) != Offence::kNone) return text();
        // Ever higher targets, from sources that never go back: never an offence.
        const bool honest = a.target_height < b.target_height && a.source_height <= b.source_height;
        return honest && offence_of(a, b) != Offence::kNone ? text() : "";
    });
}

TEST(Slash, AllOfTheStakeGoes) {
    const Params params;  // 1/16
    const struct {
        std::int64_t stake, to_reporter, burned;
    } cases[] = {
        {0, 0, 0},
        {15, 0, 15},
        {16, 1, 15},
        {1'000, 62, 938},
        {1'000'000'000'000, 62'500'000'000, 937'500'000'000},
        {chain::kMaxAmountUnits, 250'000'000'000'000'000, 3'750'000'000'000'000'000},
    };
    for (const auto &c : cases)
        EXPECT_EQ(*slash(Amount{c.stake}, params),
                  (Slash{Amount{c.to_reporter}, Amount{c.burned}}));
    for_all(100'000, [](Draw &draw) -> std::string {
        Params p;
        p.slash_reporter_ppm = static_cast<std::uint32_t>(draw.up_to(chain::kPpm));
        const Amount stake{static_cast<std::int64_t>(draw.sized(chain::kMaxAmountUnits))};
        const Slash parts = *slash(stake, p);
        const bool adds_up = parts.to_reporter.units + parts.burned.units == stake.units;
        return adds_up && parts.burned.units >= 0 ? "" : say(stake.units, p.slash_reporter_ppm);
    });
}

}  // namespace
}  // namespace incentive
