// SPDX-License-Identifier: BSD-3-Clause
//
// When a mapping is asked for, renewed, lost and given back, with routers that are made up. Real
// ones: tests/system/port_mapping_test.py.
#include <atomic>
#include <mutex>

#include "chain/p2p/limits.h"
#include "chain/p2p/port_mapping.h"
#include "tests/chain/p2p/net_fixture.h"

namespace chain::p2p::test {
namespace {

// What a made-up router does and saw; shared with the test, used on both threads.
struct Router {
    std::atomic<bool> there = true;
    std::atomic<int> map_count = 0;
    std::atomic<int> remove_count = 0;
    std::atomic<std::uint32_t> lifetime_s = 0;
    std::string outside;
};

class MadeUpMapper : public PortMapper {
public:
    explicit MadeUpMapper(Router &router) : router_(router) {}
    const char *name() const override { return "made-up"; }
    Result<MappedPort> map(std::uint16_t port, std::uint32_t) override {
        EXPECT_EQ(port, 7660);
        ++router_.map_count;
        if (!router_.there) return make_error(ErrorCode::kNotFound, "no router");
        return MappedPort{parse_peer_address(router_.outside).value(), router_.lifetime_s};
    }
    void remove(std::uint16_t port, const MappedPort &mapped) override {
        EXPECT_EQ(port, 7660);
        EXPECT_EQ(to_text(mapped.outside), router_.outside);
        ++router_.remove_count;
    }

private:
    Router &router_;
};

std::vector<std::unique_ptr<PortMapper>> mappers(std::initializer_list<Router *> routers) {
    std::vector<std::unique_ptr<PortMapper>> made;
    for (Router *router : routers) made.push_back(std::make_unique<MadeUpMapper>(*router));
    return made;
}

TEST(PortMapping, TheFirstThatAnswersIsUsedAndGivenBack) {
    Loop loop;
    Router absent;
    absent.there = false;
    Router router;
    router.outside = "20.0.0.1:7661";
    router.lifetime_s = 3600;
    std::vector<std::optional<PeerAddress>> told;
    {
        PortMapping mapping(loop, 7660, mappers({&absent, &router}),
                            [&](const std::optional<PeerAddress> &now) { told.push_back(now); });
        ASSERT_TRUE(run_until(loop, [&] { return !told.empty(); }));
        EXPECT_EQ(told[0], parse_peer_address(router.outside));
        EXPECT_EQ(router.remove_count, 0);
    }
    EXPECT_EQ(router.remove_count, 1);
    EXPECT_EQ(absent.remove_count, 0);
    EXPECT_EQ(told.size(), 1u);
}

TEST(PortMapping, WithoutARouterNothingIsToldAndNothingGivenBack) {
    Loop loop;
    Router absent;
    absent.there = false;
    std::vector<std::optional<PeerAddress>> told;
    {
        PortMapping mapping(loop, 7660, mappers({&absent}),
                            [&](const std::optional<PeerAddress> &now) { told.push_back(now); });
        ASSERT_TRUE(run_until(loop, [&] { return absent.map_count == 1; }));
        run_for(loop, 50);
    }
    EXPECT_TRUE(told.empty());
    EXPECT_EQ(absent.remove_count, 0);
    // Ended before the answer: what was posted by then calls nobody.
    Router router;
    router.outside = "20.0.0.1:7661";
    {
        PortMapping mapping(loop, 7660, mappers({&router}),
                            [&](const std::optional<PeerAddress> &now) { told.push_back(now); });
        while (router.map_count == 0) usleep(1000);
    }
    run_for(loop, 50);
    EXPECT_TRUE(told.empty());
    EXPECT_EQ(router.remove_count, 1);
}

TEST(PortMapping, ALeaseIsRenewedAtHalfItsLifeAndItsLossIsTold) {
    Loop loop;
    Router router;
    router.outside = "20.0.0.1:7661";
    router.lifetime_s = 1;  // less than what is believed
    std::vector<std::optional<PeerAddress>> told;
    PortMapping mapping(
        loop, 7660, mappers({&router}),
        [&](const std::optional<PeerAddress> &now) { told.push_back(now); }, 200);
    ASSERT_TRUE(run_until(loop, [&] { return router.map_count == 3; }));
    EXPECT_EQ(told.size(), 1u) << "the same address is no news";
    router.there = false;
    ASSERT_TRUE(run_until(loop, [&] { return told.size() == 2; }));
    EXPECT_FALSE(told[1].has_value());
}

}  // namespace
}  // namespace chain::p2p::test
