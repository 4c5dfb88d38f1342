// SPDX-License-Identifier: BSD-3-Clause
//
// One command against a daemon that always answers the same: what it was asked, what the user saw.
#pragma once

#include <gtest/gtest.h>

#include "tests/chain/cli/typed.h"
#include "tests/chain/client/control_server.h"

namespace chain::cli {

class AskTest : public testing::Test {
protected:
    Outcome ask(std::vector<std::string> words, const wire::ControlReply &reply) {
        seen_.clear();
        const test::ControlServer server(socket_path_, [&](const wire::ControlRequest &request) {
            seen_.push_back(request);
            return test::ControlServer::reply(request, reply);
        });
        words.insert(words.end(), {"--socket", socket_path_});
        return run_typed(words);
    }

    TemporaryFolder folder_;
    const std::string socket_path_ = folder_.path() + "/control.sock";
    std::vector<wire::ControlRequest> seen_;
};

}  // namespace chain::cli
