// SPDX-License-Identifier: BSD-3-Clause
#include "chain/client/client.h"

#include <chrono>
#include <random>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "chain/wire/frame.h"
#include "tests/chain/client/control_server.h"

namespace chain::client {
namespace {

using test::ControlServer;
using test::frame_of;

wire::ControlReply height_reply(std::uint64_t id, std::uint64_t height) {
    wire::ControlReply reply;
    reply.set_id(id);
    reply.mutable_node_status()->set_height(height);
    return reply;
}

wire::ControlReply event_reply(std::uint64_t id, std::uint32_t leg) {
    wire::ControlReply reply;
    reply.set_id(id);
    reply.mutable_lease_event()->set_kind(wire::LeaseEvent::LEG_LOST);
    reply.mutable_lease_event()->set_leg(leg);
    return reply;
}

wire::ControlRequest status_request() {
    wire::ControlRequest request;
    request.mutable_node_status();
    return request;
}

class ClientTest : public testing::Test {
protected:
    void serve(ControlServer::Handler handler) {
        server_ = std::make_unique<ControlServer>(socket_path_, std::move(handler));
    }
    Client connected() {
        Result<Client> client = Client::connect(socket_path_);
        EXPECT_TRUE(client.ok()) << client.error().message;
        return std::move(client).value();
    }

    TemporaryFolder folder_;
    std::string socket_path_ = folder_.path() + "/control.sock";
    std::unique_ptr<ControlServer> server_;
};

TEST_F(ClientTest, AnswersComeBackWithTheirCalls) {
    serve([](const wire::ControlRequest &request) -> ControlServer::Answer {
        return {{frame_of(height_reply(request.id(), request.id() * 10))}};
    });
    Client client = connected();
    for (std::uint64_t i = 1; i <= 50; ++i) {
        const auto reply = client.call(status_request(), 5000);
        ASSERT_TRUE(reply.ok()) << reply.error().message;
        EXPECT_EQ(reply->id(), i);
        EXPECT_EQ(reply->node_status().height(), i * 10);
    }
}

TEST_F(ClientTest, FramesMayArriveInAnyPieces) {
    const auto seed = static_cast<unsigned>(std::random_device{}());
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    // Events and the reply, cut at random places: within lengths, across frames.
    serve([&random](const wire::ControlRequest &request) {
        Bytes all;
        for (std::uint32_t leg = 0; leg < 5; ++leg) all += frame_of(event_reply(request.id(), leg));
        all += frame_of(height_reply(request.id(), 7));
        all += frame_of(event_reply(request.id(), 5));
        ControlServer::Answer answer;
        for (std::size_t at = 0; at < all.size();) {
            const std::size_t size = std::min<std::size_t>(all.size() - at, 1 + random() % 9);
            answer.pieces.push_back(all.substr(at, size));
            at += size;
        }
        return answer;
    });
    Client client = connected();
    for (int round = 0; round < 5; ++round) {
        const auto reply = client.call(status_request(), 10'000);
        ASSERT_TRUE(reply.ok()) << reply.error().message;
        EXPECT_EQ(reply->node_status().height(), 7u);
        for (std::uint32_t leg = 0; leg <= 5; ++leg) {
            const auto event = client.next_event(5000);
            ASSERT_TRUE(event.ok() && event->has_value());
            EXPECT_EQ((*event)->leg(), leg);
        }
        const auto none = client.next_event(0);
        ASSERT_TRUE(none.ok());
        EXPECT_FALSE(none->has_value());
    }
}

TEST_F(ClientTest, OneCallMayHaveSeveralReplies) {
    serve([](const wire::ControlRequest &request) -> ControlServer::Answer {
        wire::ControlReply progress, ready;
        progress.set_id(request.id());
        progress.mutable_lease_progress()->set_stage("agreed");
        ready.set_id(request.id());
        ready.mutable_lease_ready()->set_lease_id("ab");
        return {{frame_of(progress), frame_of(event_reply(request.id(), 3)), frame_of(ready)}};
    });
    Client client = connected();
    wire::ControlRequest request;
    request.mutable_lease_open();
    const auto first = client.call(request, 5000);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(first->lease_progress().stage(), "agreed");
    const auto second = client.next_reply(first->id(), 5000);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(second->lease_ready().lease_id(), "ab");
    EXPECT_TRUE(client.next_event(0)->has_value());
}

TEST_F(ClientTest, AnswersOfACallThatTimedOutDoNotAnswerTheNext) {
    int calls = 0;
    serve([&calls](const wire::ControlRequest &request) -> ControlServer::Answer {
        if (++calls == 1) return {};
        return {
            {frame_of(height_reply(request.id() - 1, 1)), frame_of(height_reply(request.id(), 2))}};
    });
    Client client = connected();
    const auto began = std::chrono::steady_clock::now();
    const auto late = client.call(status_request(), 100);
    ASSERT_FALSE(late.ok());
    EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
    const auto next = client.call(status_request(), 5000);
    ASSERT_TRUE(next.ok());
    EXPECT_EQ(next->node_status().height(), 2u);
}

TEST_F(ClientTest, TheFdIsReadableWhenAnEventComes) {
    serve([](const wire::ControlRequest &request) -> ControlServer::Answer {
        return {{frame_of(height_reply(request.id(), 1)), frame_of(event_reply(request.id(), 9))}};
    });
    Client client = connected();
    ASSERT_TRUE(client.call(status_request(), 5000).ok());
    pollfd watched{client.fd(), POLLIN, 0};
    ASSERT_EQ(poll(&watched, 1, 5000), 1);
    const auto event = client.next_event(0);
    ASSERT_TRUE(event.ok() && event->has_value());
    EXPECT_EQ((*event)->leg(), 9u);
}

TEST_F(ClientTest, EveryErrorOfTheDaemonKeepsItsCode) {
    ErrorCode sent = ErrorCode::kInvalidInput;
    serve([&sent](const wire::ControlRequest &request) {
        wire::ControlReply reply;
        reply.mutable_error()->set_code(std::string(error_traits(sent).name));
        reply.mutable_error()->set_message("the facts");
        return ControlServer::reply(request, reply);
    });
    Client client = connected();
    for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
        sent = static_cast<ErrorCode>(code);
        const auto reply = client.call(status_request(), 5000);
        ASSERT_FALSE(reply.ok());
        EXPECT_EQ(reply.error().code, sent);
        EXPECT_EQ(reply.error().message, "the facts");
    }
}

TEST_F(ClientTest, ADaemonThatDiesInACallIsSaidToBeGone) {
    const Bytes whole = frame_of(height_reply(1, 1));
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{2}, std::size_t{4}, whole.size() - 1}) {
        serve([&](const wire::ControlRequest &) -> ControlServer::Answer {
            return {{whole.substr(0, size)}, true};
        });
        Client client = connected();
        const auto reply = client.call(status_request(), 5000);
        ASSERT_FALSE(reply.ok());
        EXPECT_EQ(reply.error().code, ErrorCode::kDaemonNotRunning) << reply.error().message;
        // And stays gone, without a signal or a wait.
        EXPECT_EQ(client.call(status_request(), 5000).error().code, ErrorCode::kDaemonNotRunning);
        EXPECT_EQ(client.next_event(5000).error().code, ErrorCode::kDaemonNotRunning);
        server_.reset();
    }
}

TEST_F(ClientTest, FramesThatBreakTheRulesCloseTheConnection) {
    Bytes oversized, garbage, empty;
    append_u32_le(oversized, wire::kMaxControlFrameBytes + 1);
    append_u32_le(garbage, 3);
    garbage += "\xff\xff\xff";
    append_u32_le(empty, 0);
    const struct {
        Bytes bytes;
        ErrorCode code;
    } cases[] = {{oversized, ErrorCode::kTooLarge},
                 {garbage, ErrorCode::kProtocol},
                 {empty, ErrorCode::kProtocol}};
    for (const auto &each : cases) {
        serve(
            [&](const wire::ControlRequest &) -> ControlServer::Answer { return {{each.bytes}}; });
        Client client = connected();
        EXPECT_EQ(client.call(status_request(), 5000).error().code, each.code);
        EXPECT_EQ(client.call(status_request(), 5000).error().code, ErrorCode::kDaemonNotRunning);
        server_.reset();
    }
}

TEST_F(ClientTest, AFloodOfEventsIsBounded) {
    serve([](const wire::ControlRequest &request) {
        Bytes all;
        for (std::size_t i = 0; i <= kMaxKeptEvents; ++i) all += frame_of(event_reply(1, 1));
        all += frame_of(height_reply(request.id(), 1));
        return ControlServer::Answer{{all}};
    });
    Client client = connected();
    EXPECT_EQ(client.call(status_request(), 10'000).error().code, ErrorCode::kProtocol);
}

TEST_F(ClientTest, LargeRequestsGoThroughAndTooLargeOnesDoNot) {
    serve([](const wire::ControlRequest &request) -> ControlServer::Answer {
        return {{frame_of(height_reply(request.id(), request.lease_open().command().size()))}};
    });
    Client client = connected();
    wire::ControlRequest request;
    request.mutable_lease_open()->set_command(std::string(3u << 20, 'x'));
    const auto reply = client.call(request, 10'000);
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    EXPECT_EQ(reply->node_status().height(), 3u << 20);
    request.mutable_lease_open()->set_command(std::string(5u << 20, 'x'));
    EXPECT_EQ(client.call(request, 10'000).error().code, ErrorCode::kTooLarge);
    EXPECT_TRUE(client.call(status_request(), 5000).ok());  // nothing of it was sent
}

TEST_F(ClientTest, NoDaemonIsSaidSo) {
    const auto missing = Client::connect(socket_path_);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ErrorCode::kDaemonNotRunning);
    EXPECT_NE(missing.error().message.find(socket_path_), std::string::npos);

    // A socket that a dead daemon left.
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address), 0);
    close(fd);
    EXPECT_EQ(Client::connect(socket_path_).error().code, ErrorCode::kDaemonNotRunning);

    EXPECT_EQ(Client::connect("/tmp/" + std::string(120, 'x')).error().code,
              ErrorCode::kInvalidInput);
    EXPECT_EQ(Client::connect("").error().code, ErrorCode::kInvalidInput);
}

TEST(DefaultPaths, TheEnvironmentDecides) {
    setenv("OMPI_CHAIN_DATA", "/somewhere", 1);
    unsetenv("OMPI_CHAIN_SOCKET");
    EXPECT_EQ(default_data_folder(), "/somewhere");
    EXPECT_EQ(default_socket_path(), "/somewhere/control.sock");
    setenv("OMPI_CHAIN_SOCKET", "/elsewhere/s", 1);
    EXPECT_EQ(default_socket_path(), "/elsewhere/s");
    unsetenv("OMPI_CHAIN_SOCKET");
    unsetenv("OMPI_CHAIN_DATA");
    if (geteuid() == 0) {
        EXPECT_EQ(default_data_folder(), "/var/lib/ompi-chain");
    } else {
        setenv("XDG_STATE_HOME", "/state", 1);
        EXPECT_EQ(default_data_folder(), "/state/ompi-chain");
    }
}

}  // namespace
}  // namespace chain::client
