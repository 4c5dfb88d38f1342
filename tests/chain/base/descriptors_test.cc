// SPDX-License-Identifier: BSD-3-Clause
// What travels with a message, and what of it stays open.
#include "chain/base/descriptors.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chain/base/file.h"

namespace chain {
namespace {

class Descriptors : public testing::Test {
protected:
    void SetUp() override {
        int ends[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        one_ = FileDescriptor(ends[0]);
        other_ = FileDescriptor(ends[1]);
    }
    // The lowest number that is free: what leaks moves it.
    static int next_free() {
        const FileDescriptor probe(open("/dev/null", O_RDONLY | O_CLOEXEC));
        return probe.get();
    }
    bool send(std::span<const int> descriptors) {
        return send_descriptors(one_.get(), "ab", 2, descriptors);
    }
    FileDescriptor one_, other_;
    char message_[2] = {};
};

TEST_F(Descriptors, ArriveWithTheirMessageAndCloseOnExec) {
    const FileDescriptor null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(send(std::array{null.get(), one_.get()}));
    std::array<int, 2> came;
    ASSERT_EQ(receive_descriptors(other_.get(), message_, 2, came), 2);
    EXPECT_EQ(std::string_view(message_, 2), "ab");
    for (const int fd : came) {
        const FileDescriptor owned(fd);
        EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
}

TEST_F(Descriptors, AreMinusOneWhereNoneOrAnotherNumberCame) {
    for (const std::size_t sent : {0u, 1u, 2u}) {
        for (const std::size_t wanted : {0u, 1u, 2u}) {
            if (sent == wanted) continue;
            const int free_before = next_free();
            const std::array from = {one_.get(), other_.get()};
            ASSERT_TRUE(send(std::span(from).first(sent)));
            std::array came = {77, 77};
            ASSERT_EQ(receive_descriptors(other_.get(), message_, 2, std::span(came).first(wanted)),
                      2);
            for (std::size_t at = 0; at < wanted; ++at)
                EXPECT_EQ(came[at], -1) << sent << " sent, " << wanted << " wanted";
            EXPECT_EQ(next_free(), free_before) << sent << " sent, " << wanted << " wanted";
        }
    }
}

TEST_F(Descriptors, SayThatNothingIsThereOrTheEndIs) {
    std::array came = {77};
    EXPECT_EQ(receive_descriptors(other_.get(), message_, 2, came, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);
    one_.reset();
    EXPECT_EQ(receive_descriptors(other_.get(), message_, 2, came), 0);
    EXPECT_EQ(came[0], -1);
    EXPECT_FALSE(send_descriptors(other_.get(), "ab", 2, {}));
    EXPECT_EQ(errno, EPIPE);
}

TEST_F(Descriptors, RefuseMoreThanAMessageTakes) {
    const std::array<int, kDescriptorsPerMessageMax + 1> many = {0, 1, 2};
    EXPECT_FALSE(send(many));
    EXPECT_EQ(errno, EINVAL);
    std::array<int, kDescriptorsPerMessageMax + 1> came;
    EXPECT_EQ(receive_descriptors(other_.get(), message_, 2, came, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EINVAL);
}

}  // namespace
}  // namespace chain
