// SPDX-License-Identifier: BSD-3-Clause
//
// wallet stake, unstake, withdraw-stake and lease rate: what the daemon is asked, what is refused
// before it is.
#include "tests/chain/cli/ask.h"

namespace chain::cli {
namespace {

class StakeTest : public AskTest {
protected:
    Outcome ask(std::vector<std::string> words) {
        wire::ControlReply reply;
        reply.mutable_tx()->set_tx_id("abcd");
        reply.mutable_tx()->set_height(7);
        reply.mutable_tx()->set_is_final(true);
        return AskTest::ask(std::move(words), reply);
    }
    wire::ControlRequest only() const {
        EXPECT_EQ(seen_.size(), 1u);
        return seen_.empty() ? wire::ControlRequest() : seen_[0];
    }
};

TEST_F(StakeTest, BondsUnbondsAndWithdraws) {
    EXPECT_EQ(ask({"wallet", "stake", "2.5"}).out, "staked 2.5 in block 7, transaction abcd\n");
    // Then what it is good for: the least stake, and the account's.
    ASSERT_EQ(seen_.size(), 3u);
    EXPECT_EQ(seen_[0].wallet_stake().bond(), 2'500'000'000);
    EXPECT_TRUE(seen_[1].has_validator_list());
    EXPECT_TRUE(seen_[2].has_wallet_show());
    EXPECT_EQ(ask({"wallet", "unstake", "0.5"}).out,
              "unbonding 0.5 in block 7, transaction abcd\n");
    ASSERT_EQ(seen_.size(), 3u);
    EXPECT_EQ(seen_[0].wallet_stake().unbond(), 500'000'000);
    EXPECT_EQ(ask({"wallet", "withdraw-stake"}).exit_code, 0);
    EXPECT_TRUE(only().wallet_stake().withdraw());
    for (const char *verb : {"stake", "unstake"})
        for (const char *amount : {"0", "x", "-1"}) {
            EXPECT_EQ(ask({"wallet", verb, "--", amount}).exit_code, 1) << verb << " " << amount;
            EXPECT_TRUE(seen_.empty());
        }
}

TEST_F(StakeTest, RatesWhatItIsTold) {
    EXPECT_EQ(ask({"lease", "rate", "3f9a", "satisfied"}).out,
              "rated satisfied in block 7, transaction abcd\n");
    EXPECT_EQ(only().lease_rate().lease_id(), "3f9a");
    EXPECT_TRUE(only().lease_rate().satisfied());
    EXPECT_EQ(only().lease_rate().legs_size(), 0);
    EXPECT_FALSE(only().lease_rate().left_early());
    EXPECT_EQ(
        ask({"lease", "rate", "3f9a", "dissatisfied", "--leg", "1", "--leg", "3", "--left-early"})
            .exit_code,
        0);
    EXPECT_FALSE(only().lease_rate().satisfied());
    ASSERT_EQ(only().lease_rate().legs_size(), 2);
    EXPECT_EQ(only().lease_rate().legs(1), 3u);
    EXPECT_TRUE(only().lease_rate().left_early());
    for (const std::vector<std::string> &wrong :
         {std::vector<std::string>{"lease", "rate", "3f9a", "good"},
          {"lease", "rate", "3f9a", "satisfied", "--leg", "x"},
          {"lease", "rate", "3f9a"}}) {
        EXPECT_EQ(ask(wrong).exit_code, 1);
        EXPECT_TRUE(seen_.empty());
    }
}

}  // namespace
}  // namespace chain::cli
