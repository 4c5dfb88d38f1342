// SPDX-License-Identifier: BSD-3-Clause
#include "chain/cli/cli.h"

#include <algorithm>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "tests/chain/cli/typed.h"
#include "tests/chain/client/control_server.h"

namespace chain::cli {
namespace {

using test::ControlServer;

class CliTest : public testing::Test {
protected:
    void serve(std::function<wire::ControlReply(const wire::ControlRequest &)> handler) {
        server_ = std::make_unique<ControlServer>(
            socket_path_, [handler, this](const wire::ControlRequest &request) {
                seen_.push_back(request);
                return ControlServer::reply(request, handler(request));
            });
    }
    Outcome ask(std::vector<std::string> words, const std::string &typed = "",
                bool interactive = false) {
        words.insert(words.end(), {"--socket", socket_path_});
        return run_typed(words, typed, interactive);
    }

    TemporaryFolder folder_;
    std::string socket_path_ = folder_.path() + "/control.sock";
    std::vector<wire::ControlRequest> seen_;
    std::unique_ptr<ControlServer> server_;
};

TEST_F(CliTest, EveryErrorHasItsExitCodeAndAdvice) {
    ErrorCode sent = ErrorCode::kInvalidInput;
    serve([&sent](const wire::ControlRequest &) {
        wire::ControlReply reply;
        reply.mutable_error()->set_code(std::string(error_traits(sent).name));
        reply.mutable_error()->set_message("the facts");
        return reply;
    });
    for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
        sent = static_cast<ErrorCode>(code);
        const ErrorTraits &traits = error_traits(sent);
        const Outcome plain = ask({"node", "status"});
        EXPECT_EQ(plain.exit_code, traits.exit_code) << traits.name;
        EXPECT_EQ(plain.out, "");
        EXPECT_EQ(plain.err, "ompi-chain: the facts\n" +
                                 (traits.advice.empty() ? "" : std::string(traits.advice) + "\n"));
        const Outcome json = ask({"node", "status", "--json"});
        EXPECT_EQ(json.exit_code, traits.exit_code);
        EXPECT_EQ(nlohmann::json::parse(json.out)["error"]["code"], traits.name);
    }
}

TEST_F(CliTest, NoDaemonIsSaidWithWhatToDo) {
    const Outcome outcome = ask({"wallet", "show"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.err.find(socket_path_), std::string::npos);
    EXPECT_NE(outcome.err.find("ompi-chain devnet up"), std::string::npos);
}

TEST_F(CliTest, SendsOnlyAfterYes) {
    serve([](const wire::ControlRequest &request) {
        wire::ControlReply reply;
        reply.mutable_tx()->set_tx_id("abcd");
        reply.mutable_tx()->set_height(7);
        reply.mutable_tx()->set_is_final(request.wallet_send().wait_final());
        return reply;
    });
    const Outcome no = ask({"wallet", "send", "ompc1xyz", "2.5"}, "n\n", true);
    EXPECT_EQ(no.exit_code, 2);
    EXPECT_NE(no.err.find("Send 2.5 tokens to ompc1xyz?"), std::string::npos);
    EXPECT_EQ(ask({"wallet", "send", "ompc1xyz", "2.5"}, "", true).exit_code, 2);
    EXPECT_TRUE(seen_.empty());
    const Outcome yes = ask({"wallet", "send", "ompc1xyz", "2.5"}, "y\n", true);
    EXPECT_EQ(yes.exit_code, 0);
    EXPECT_EQ(yes.out, "sent 2.5 in block 7, which is not final yet, transaction abcd\n");
    EXPECT_EQ(ask({"wallet", "send", "ompc1xyz", "2.5", "-y"}, "", true).exit_code, 0);
    EXPECT_EQ(ask({"wallet", "send", "ompc1xyz", "2.5", "--wait-final"}).out,
              "sent 2.5 in block 7, transaction abcd\n");
    ASSERT_EQ(seen_.size(), 3u);
    EXPECT_EQ(seen_[0].wallet_send().amount(), 2'500'000'000);
    for (const char *amount : {"0", "-1", "1e3", "x", "0.0000000001"})
        EXPECT_EQ(ask({"wallet", "send", "--yes", "--", "ompc1xyz", amount}).exit_code, 1)
            << amount;
}

TEST_F(CliTest, PasswordsComeFromAFileOrStandardInput) {
    serve([](const wire::ControlRequest &) {
        wire::ControlReply reply;
        reply.mutable_wallet()->set_address("ompc1me");
        reply.mutable_wallet()->set_balance(1'500'000'000);
        reply.mutable_wallet()->set_state("unlocked");
        return reply;
    });
    const Outcome piped = ask({"wallet", "new", "--password-file", "-"}, "secret\r\nrest");
    EXPECT_EQ(piped.exit_code, 0) << piped.err;
    EXPECT_EQ(piped.out, "address  ompc1me\nbalance  1.5 tokens\nstate    unlocked\n");
    ASSERT_TRUE(write_file_atomic(folder_.path() + "/pw", "from file\n", 0600).ok());
    EXPECT_EQ(ask({"wallet", "unlock", "--password-file", folder_.path() + "/pw"}).exit_code, 0);
    ASSERT_EQ(seen_.size(), 4u);
    EXPECT_EQ(seen_[0].wallet_new().password(), "secret");
    EXPECT_EQ(seen_[2].wallet_unlock().password(), "from file");
    EXPECT_EQ(ask({"wallet", "new"}).exit_code, 1);  // nobody to ask
    EXPECT_EQ(ask({"wallet", "new", "--password-file", "-"}, "\n").exit_code, 1);
    EXPECT_EQ(ask({"wallet", "new", "--password-file", "/nowhere"}).exit_code, 1);
    EXPECT_EQ(seen_.size(), 4u);
}

TEST_F(CliTest, OffersAreMineByDefault) {
    serve([](const wire::ControlRequest &request) {
        wire::ControlReply reply;
        reply.mutable_offers();
        if (request.offer_list().mine()) return reply;
        auto &offer = *reply.mutable_offers()->add_offers();
        offer.set_host("provider-1");
        offer.set_provider("ompc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqwxyz");
        offer.set_slot_count(2);
        offer.set_hz(3'530'000'000);
        offer.set_memory_bytes(4ULL << 30);
        offer.set_ask_per_ghz_h(10'000'000);
        offer.set_isolation("full");
        return reply;
    });
    const Outcome mine = ask({"offer", "list"});
    EXPECT_EQ(mine.exit_code, 0);
    EXPECT_EQ(mine.out, "");
    EXPECT_NE(mine.err.find("--all"), std::string::npos);
    EXPECT_EQ(
        ask({"offer", "list", "--all"}).out,
        "host        slots   GHz  memory  GPUs  ask/GHz·h  sandbox  region  provider\n"
        "provider-1      2  3.53   4 GiB     -  0.01       full     -       ompc1qqqq…wxyz\n");
    const auto json = nlohmann::json::parse(ask({"offer", "list", "--all", "--json"}).out);
    EXPECT_EQ(json["offers"][0]["ask_per_ghz_h"]["units"], 10'000'000);
}

TEST_F(CliTest, ExplainReturnsThreeWhenNothingMatches) {
    std::int64_t price = 0;
    serve([&price](const wire::ControlRequest &) {
        wire::ControlReply reply;
        auto &explanation = *reply.mutable_explanation();
        explanation.set_price_per_ghz_h(price);
        explanation.set_cleared(price > 0);
        explanation.set_summary("16 slots are asked for, 2 match");
        auto &verdict = *explanation.add_verdicts();
        verdict.set_host("provider-1");
        verdict.set_slots_offered(2);
        verdict.add_reasons("memory: 1 GiB a slot, 2 GiB asked for");
        return reply;
    });
    const Outcome none = ask({"lease", "explain", "16,mem=2G", "--budget", "5"});
    EXPECT_EQ(none.exit_code, 3);
    EXPECT_NE(none.out.find("memory: 1 GiB a slot"), std::string::npos);
    ASSERT_EQ(seen_.size(), 1u);
    EXPECT_EQ(seen_[0].lease_explain().spec().slot_count(), 16u);
    EXPECT_EQ(seen_[0].lease_explain().spec().budget(), 5'000'000'000);
    price = 10'000'000;
    EXPECT_EQ(ask({"lease", "explain", "2"}).exit_code, 0);
    EXPECT_EQ(ask({"lease", "explain", "two"}).exit_code, 1);
}

TEST(Words, UnknownOnesSuggestTheNearest) {
    const struct {
        std::vector<std::string> words;
        const char *said;
    } cases[] = {
        {{"walet", "show"}, "did you mean `wallet`?"},
        {{"wallet", "shwo"}, "did you mean `show`?"},
        {{"devnet", "up", "--provider", "2"}, "did you mean `providers`?"},
        {{"node", "status", "--jsn"}, "did you mean `json`?"},
        {{"wallet", "send", "a"}, "takes ADDRESS AMOUNT"},
        {{"node", "status", "now"}, "takes no further words"},
        {{"devnet", "up", "--providers"}, "needs a value"},
        {{"node", "status", "--json=1"}, "takes no value"},
        {{"devnet", "run", "--keep"}, "needs a command"},
        {{"node", "status", "-x"}, "no short option"},
    };
    for (const auto &each : cases) {
        const Outcome outcome = run_typed(each.words);
        EXPECT_EQ(outcome.exit_code, 1);
        EXPECT_NE(outcome.err.find(each.said), std::string::npos) << outcome.err;
        EXPECT_EQ(outcome.out, "");
    }
    EXPECT_EQ(run_typed({"zzzzzz"}).err.find("did you mean"), std::string::npos);
}

TEST(Help, EveryCommandLeadsWithExamplesAndFitsTheTerminal) {
    for (const Command &command : commands()) {
        const std::vector<std::string> words = {std::string(command.noun),
                                                std::string(command.verb), "--help"};
        const Outcome outcome = run_typed(words);
        EXPECT_EQ(outcome.exit_code, 0);
        EXPECT_EQ(outcome.out.find("Examples:\n  "), 0u) << outcome.out;
        EXPECT_EQ(run_typed({"help", words[0], words[1]}).out, outcome.out);
        for (const auto &global : global_options())
            for (const Option &option : command.options) EXPECT_NE(option.name, global.name);
    }
    for (const Noun &noun : nouns()) {
        // A noun that is a command itself would do what it does: write this machine's settings.
        const bool is_command =
            std::any_of(commands().begin(), commands().end(), [&](const Command &command) {
                return command.noun == noun.name && command.verb.empty();
            });
        if (!is_command) {
            EXPECT_EQ(run_typed({std::string(noun.name)}).exit_code, 0);
        }
        EXPECT_EQ(run_typed({std::string(noun.name), "--help"}).exit_code, 0);
    }
    EXPECT_EQ(run_typed({}).out, run_typed({"--help"}).out);
    EXPECT_EQ(run_typed({"--version"}).exit_code, 0);
}

TEST(Parsing, AProgramsOwnOptionsStayItsOwn) {
    for (const Command &command : commands()) {
        if (!command.runs_program) continue;
        for (const bool dashes : {true, false}) {
            std::vector<std::string> words = {"--providers", "3"};
            if (dashes) words.push_back("--");
            words.insert(words.end(), {"mpirun", "--help", "--", "--providers", "9"});
            const auto arguments = parse_arguments(command, words);
            ASSERT_TRUE(arguments.ok());
            EXPECT_EQ(arguments->value("providers"), "3");
            EXPECT_FALSE(arguments->has("help"));
            EXPECT_EQ(arguments->program,
                      (std::vector<std::string>{"mpirun", "--help", "--", "--providers", "9"}));
        }
    }
}

}  // namespace
}  // namespace chain::cli
