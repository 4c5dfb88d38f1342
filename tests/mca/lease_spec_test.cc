// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/lease_spec.h"

#include <gtest/gtest.h>

namespace chain::client {
namespace {

constexpr std::uint64_t kNowMs = 1'800'000'000'000;

TEST(LeaseSpec, ReadsEveryCondition) {
    const auto spec =
        parse_lease_spec("16,mem=2G,ghz=2.5,region=eu-west,provider=alpha+beta,reputation=0");
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    EXPECT_EQ(spec->slot_count(), 16u);
    EXPECT_EQ(spec->memory_bytes_per_slot(), 2ULL << 30);
    EXPECT_EQ(spec->hz_min(), 2'500'000'000u);
    EXPECT_EQ(spec->region(), "eu-west");
    ASSERT_EQ(spec->providers_size(), 2);
    EXPECT_EQ(spec->providers(1), "beta");
}

struct BadSpec {
    const char *text;
    ErrorCode code;
    const char *names;  // what the message must name
};

class BadSpecs : public testing::TestWithParam<BadSpec> {};

TEST_P(BadSpecs, NameThePartAndTheForm) {
    const auto spec = parse_lease_spec(GetParam().text);
    ASSERT_FALSE(spec.ok());
    EXPECT_EQ(spec.error().code, GetParam().code);
    EXPECT_NE(spec.error().message.find(GetParam().names), std::string::npos)
        << spec.error().message;
    if (GetParam().code == ErrorCode::kInvalidInput)
        EXPECT_NE(spec.error().message.find("The form is"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadSpecs,
    testing::Values(BadSpec{"", ErrorCode::kInvalidInput, "slots"},
                    BadSpec{"0", ErrorCode::kInvalidInput, "slots"},
                    BadSpec{"-2", ErrorCode::kInvalidInput, "\"-2\""},
                    BadSpec{"two", ErrorCode::kInvalidInput, "\"two\""},
                    BadSpec{" 2", ErrorCode::kInvalidInput, "\" 2\""},
                    BadSpec{"2.5", ErrorCode::kInvalidInput, "\"2.5\""},
                    BadSpec{"65537", ErrorCode::kInvalidInput, "slots"},
                    BadSpec{"1000000000000000000000000000000", ErrorCode::kInvalidInput, "slots"},
                    BadSpec{"mem=2G,16", ErrorCode::kInvalidInput, "\"mem=2G\""},
                    BadSpec{"16,", ErrorCode::kInvalidInput, "between two commas"},
                    BadSpec{"16,,mem=2G", ErrorCode::kInvalidInput, "between two commas"},
                    BadSpec{"16,mem", ErrorCode::kInvalidInput, "\"mem\""},
                    BadSpec{"16,mem=", ErrorCode::kInvalidInput, "value is missing"},
                    BadSpec{"16,mem=x", ErrorCode::kInvalidInput, "\"mem=x\""},
                    BadSpec{"16,mem=-1G", ErrorCode::kInvalidInput, "\"mem=-1G\""},
                    BadSpec{"16,mem=0", ErrorCode::kInvalidInput, "memory"},
                    BadSpec{"16,mem=1G,mem=2G", ErrorCode::kInvalidInput, "twice"},
                    BadSpec{"16,ghz=0", ErrorCode::kInvalidInput, "\"ghz=0\""},
                    BadSpec{"16,ghz=1e9", ErrorCode::kInvalidInput, "\"ghz=1e9\""},
                    BadSpec{"16,Mem=2G", ErrorCode::kInvalidInput, "no such condition"},
                    BadSpec{"16,region=a b", ErrorCode::kInvalidInput, "\"region=a b\""},
                    BadSpec{"16,provider=a+", ErrorCode::kInvalidInput, "\"provider=a+\""},
                    BadSpec{"16,provider=\x1b[31m", ErrorCode::kInvalidInput, "provider"},
                    BadSpec{"16,gpu=0", ErrorCode::kInvalidInput, "gpu"},
                    BadSpec{"16,gpu=17", ErrorCode::kInvalidInput, "gpu"},
                    BadSpec{"16,image=", ErrorCode::kInvalidInput, "the value is missing"},
                    BadSpec{"16,reputation=0.6", ErrorCode::kNotYet, "reputation"}));

TEST(LeaseSpec, RefusesWhatNobodyTypes) {
    EXPECT_FALSE(parse_lease_spec(std::string(1 << 20, '1')).ok());
    EXPECT_FALSE(parse_lease_spec(std::string("2\0", 2)).ok());
    std::string many = "2,provider=a";
    for (std::size_t i = 0; i < kLeaseProvidersMax; ++i) many += "+a";
    EXPECT_FALSE(parse_lease_spec(many).ok());
}

LeaseFlags two_slots() {
    LeaseFlags flags;
    flags.lease = "2";
    return flags;
}

TEST(LeaseFlags, DefaultsAreOneHourAndNoWait) {
    const auto order = parse_lease_flags(two_slots(), kNowMs);
    ASSERT_TRUE(order.ok());
    EXPECT_EQ(order->spec.duration_ms(), 3'600'000u);
    EXPECT_EQ(order->spec.wait_ms(), 0u);
    EXPECT_EQ(order->spec.budget(), 0);
    EXPECT_FALSE(order->stage_program_only);
}

TEST(LeaseFlags, UnderstandsMoneyTimeAndLists) {
    LeaseFlags flags = two_slots();
    flags.max_price = "0.03";
    flags.budget = "5";
    flags.time = "1h30m";
    flags.wait = "10m";
    flags.stage_in = "a,b/c";
    flags.stage_out = "*.png,out/*";
    flags.stage_max = "512M";
    flags.net = "plain";
    flags.home = "0";
    const auto order = parse_lease_flags(flags, kNowMs);
    ASSERT_TRUE(order.ok()) << order.error().message;
    EXPECT_EQ(order->spec.max_price_per_ghz_h(), 30'000'000);
    EXPECT_EQ(order->spec.budget(), 5'000'000'000);
    EXPECT_EQ(order->spec.duration_ms(), 5'400'000u);
    EXPECT_EQ(order->spec.wait_ms(), 600'000u);
    EXPECT_EQ(order->stage_in, (std::vector<std::string>{"a", "b/c"}));
    EXPECT_EQ(order->stage_out.size(), 2u);
    EXPECT_EQ(order->stage_max_bytes, 512ULL << 20);
}

TEST(LeaseFlags, NoneShipsTheProgramOnly) {
    LeaseFlags flags = two_slots();
    flags.stage_in = "none";
    const auto order = parse_lease_flags(flags, kNowMs);
    ASSERT_TRUE(order.ok());
    EXPECT_TRUE(order->stage_program_only);
    EXPECT_TRUE(order->stage_in.empty());
}

struct BadFlag {
    std::string LeaseFlags::*flag;
    const char *text;
    ErrorCode code;
    const char *names;
};

class BadFlags : public testing::TestWithParam<BadFlag> {};

TEST_P(BadFlags, NameTheFlag) {
    LeaseFlags flags = two_slots();
    flags.*GetParam().flag = GetParam().text;
    const auto order = parse_lease_flags(flags, kNowMs);
    ASSERT_FALSE(order.ok());
    EXPECT_EQ(order.error().code, GetParam().code);
    EXPECT_NE(order.error().message.find(GetParam().names), std::string::npos)
        << order.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadFlags,
    testing::Values(
        BadFlag{&LeaseFlags::max_price, "-1", ErrorCode::kInvalidInput, "--chain-max-price"},
        BadFlag{&LeaseFlags::max_price, "0", ErrorCode::kInvalidInput, "--chain-max-price"},
        BadFlag{&LeaseFlags::max_price, "1e3", ErrorCode::kInvalidInput, "--chain-max-price"},
        BadFlag{&LeaseFlags::budget, "0", ErrorCode::kInvalidInput, "--chain-budget"},
        BadFlag{&LeaseFlags::budget, "5 tokens", ErrorCode::kInvalidInput, "--chain-budget"},
        BadFlag{&LeaseFlags::budget, "99999999999999999999", ErrorCode::kInvalidInput,
                "--chain-budget"},
        BadFlag{&LeaseFlags::time, "0", ErrorCode::kInvalidInput, "--chain-time"},
        BadFlag{&LeaseFlags::time, "-5m", ErrorCode::kInvalidInput, "--chain-time"},
        BadFlag{&LeaseFlags::time, "1000d", ErrorCode::kInvalidInput, "--chain-time"},
        BadFlag{&LeaseFlags::wait, "soon", ErrorCode::kInvalidInput, "--chain-wait"},
        BadFlag{&LeaseFlags::stage_max, "big", ErrorCode::kInvalidInput, "--chain-stage-max"},
        BadFlag{&LeaseFlags::stage_in, "a,,b", ErrorCode::kInvalidInput, "--chain-stage-in"},
        BadFlag{&LeaseFlags::stage_out, "s3://B/key", ErrorCode::kInvalidInput, "a bucket has"},
        BadFlag{&LeaseFlags::stage_out, "s3://one/,s3://two/", ErrorCode::kInvalidInput,
                "one place"},
        BadFlag{&LeaseFlags::stage_out, "x,", ErrorCode::kInvalidInput, "--chain-stage-out"},
        BadFlag{&LeaseFlags::start, "12:60", ErrorCode::kInvalidInput, "--chain-start"},
        BadFlag{&LeaseFlags::home, "one", ErrorCode::kInvalidInput, "--chain-home"},
        BadFlag{&LeaseFlags::home, "-1", ErrorCode::kInvalidInput, "--chain-home"},
        BadFlag{&LeaseFlags::home, "4097", ErrorCode::kInvalidInput, "--chain-home"},
        BadFlag{&LeaseFlags::relaunch, "often", ErrorCode::kInvalidInput, "--chain-relaunch"},
        BadFlag{&LeaseFlags::relaunch, "1001", ErrorCode::kInvalidInput, "--chain-relaunch"},
        BadFlag{&LeaseFlags::net, "wireguard", ErrorCode::kInvalidInput, "--chain-net"},
        BadFlag{&LeaseFlags::net, "carrier-pigeon", ErrorCode::kInvalidInput, "--chain-net"}));

TEST(LeaseFlags, RanksAtHomeRunInNoImage) {
    LeaseFlags flags = two_slots();
    flags.home = "3";
    auto order = parse_lease_flags(flags, kNowMs);
    ASSERT_TRUE(order.ok()) << order.error().message;
    EXPECT_EQ(order->spec.home_slots(), 3u);
    flags.lease = "2,image=job.tar";
    order = parse_lease_flags(flags, kNowMs);
    ASSERT_FALSE(order.ok());
    EXPECT_NE(order.error().message.find("image=job.tar"), std::string::npos);
    flags.home = "0";
    EXPECT_TRUE(parse_lease_flags(flags, kNowMs).ok());
}

TEST(LeaseFlags, AStartMakesAReservation) {
    LeaseFlags flags = two_slots();
    flags.start = "+2h";
    const auto order = parse_lease_flags(flags, kNowMs);
    ASSERT_TRUE(order.ok()) << order.error().message;
    EXPECT_EQ(order->spec.starts_at_ms(), kNowMs + 2 * 3'600'000);
    EXPECT_TRUE(order->reservation.empty());
    EXPECT_EQ(parse_lease_flags(two_slots(), kNowMs)->spec.starts_at_ms(), 0u);
}

TEST(LeaseFlags, AReservationHasItsTermsAlready) {
    LeaseFlags flags;
    for (const char *text : {"next", "3f9a1c2e", "3F"}) {
        flags.reservation = text;
        const auto order = parse_lease_flags(flags, kNowMs);
        ASSERT_TRUE(order.ok()) << text << ": " << order.error().message;
        EXPECT_EQ(order->reservation, text);
    }
    for (const char *text : {"first", "3f9g", "3f 9a", "-1"}) {
        flags.reservation = text;
        const auto order = parse_lease_flags(flags, kNowMs);
        ASSERT_FALSE(order.ok()) << text;
        EXPECT_NE(order.error().message.find("--chain-reservation"), std::string::npos);
    }
    for (const auto &[flag, value] :
         {std::pair(&LeaseFlags::lease, "2"), std::pair(&LeaseFlags::start, "+1h"),
          std::pair(&LeaseFlags::budget, "1"), std::pair(&LeaseFlags::max_price, "1"),
          std::pair(&LeaseFlags::relaunch, "2")}) {
        LeaseFlags both;
        both.reservation = "next";
        both.*flag = value;
        const auto order = parse_lease_flags(both, kNowMs);
        ASSERT_FALSE(order.ok()) << value;
        EXPECT_EQ(order.error().code, ErrorCode::kInvalidInput);
    }
}

TEST(LeaseFlags, LossesAreToleratedOnlyWhenAskedFor) {
    LeaseFlags flags = two_slots();
    auto order = parse_lease_flags(flags, kNowMs);
    ASSERT_TRUE(order.ok());
    EXPECT_FALSE(order->spec.tolerate_loss());
    flags.tolerate_loss = true;
    order = parse_lease_flags(flags, kNowMs);
    ASSERT_TRUE(order.ok());
    EXPECT_TRUE(order->spec.tolerate_loss());
}

}  // namespace
}  // namespace chain::client
