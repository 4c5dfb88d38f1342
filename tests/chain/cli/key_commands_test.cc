// SPDX-License-Identifier: BSD-3-Clause
//
// wallet backup, restore, sign-transfer and submit: what needs no daemon, and what it is sent.
#include <sstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chain/identity/keystore.h"
#include "chain/identity/mnemonic.h"
#include "chain/ledger/types.h"
#include "tests/chain/cli/typed.h"
#include "tests/chain/client/control_server.h"

namespace chain::cli {
namespace {

using nlohmann::json;
using test::ControlServer;

constexpr char kWords[] =
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy "
    "gospel tennis maple dilemma loan word shrug inflict delay length";
constexpr char kSecret[] = "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c";
constexpr char kChain[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

class KeyCommands : public testing::Test {
protected:
    KeyCommands() : key_(*KeyPair::from_secret(*bytes32_from_hex(kSecret, "secret"))) {
        CHAIN_CHECK(write_file_atomic(password_path_, "secret\n", 0600).ok());
    }

    // In the test's data folder, with its password file.
    Outcome ask(std::vector<std::string> words, const std::string &typed = "",
                bool interactive = false) {
        words.insert(words.end(), {"--data", data_});
        return run_typed(words, typed, interactive);
    }
    Outcome restore(const std::string &words_file, const std::string &typed = "") {
        return ask(
            {"wallet", "restore", "--words-file", words_file, "--password-file", password_path_},
            typed);
    }
    void make_wallet() {
        ASSERT_TRUE(make_folders(data_, 0700).ok());
        ASSERT_TRUE(create_wallet(wallet_path_, key_, "secret").ok());
    }
    std::vector<std::string> signing(const std::string &output) {
        return {"wallet",
                "sign-transfer",
                to_,
                "2.5",
                "--nonce",
                "7",
                "--chain",
                kChain,
                "--output",
                folder_.path() + "/" + output,
                "--password-file",
                password_path_};
    }

    TemporaryFolder folder_;
    std::string data_ = folder_.path() + "/data";
    std::string wallet_path_ = data_ + "/wallet.json";
    std::string password_path_ = folder_.path() + "/password";
    KeyPair key_;
    std::string address_ = to_address(key_.public_key());
    std::string to_ = to_address(KeyPair::generate().public_key());
};

TEST_F(KeyCommands, ABackupIsReadBackOnAnotherMachine) {
    make_wallet();
    const Outcome backup = ask({"wallet", "backup", "--password-file", password_path_});
    ASSERT_EQ(backup.exit_code, 0) << backup.err;
    EXPECT_EQ(backup.out.find(" 1 hamster    2 diagram    3 private    4 dutch\n"), 0u)
        << backup.out;
    EXPECT_NE(backup.err.find(address_), std::string::npos);
    EXPECT_EQ(backup.err.find("hamster"), std::string::npos);
    const json machine_text =
        json::parse(ask({"wallet", "backup", "--json", "--password-file", password_path_}).out);
    EXPECT_EQ(machine_text["address"], address_);
    EXPECT_EQ(machine_text["words"].size(), 24u);

    // As it was printed, numbers and all.
    const std::string words_path = folder_.path() + "/words";
    ASSERT_TRUE(write_file_atomic(words_path, backup.out, 0600).ok());
    ASSERT_TRUE(remove_tree(data_).ok());
    const Outcome restored = restore(words_path);
    ASSERT_EQ(restored.exit_code, 0) << restored.err;
    EXPECT_EQ(restored.out, "address  " + address_ + "\n");
    EXPECT_EQ(unlock_wallet(wallet_path_, "secret")->secret(), key_.secret());
    struct stat status {};
    ASSERT_EQ(stat(wallet_path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(KeyCommands, BackupNeedsAWalletAndItsPassword) {
    EXPECT_EQ(ask({"wallet", "backup", "--password-file", password_path_}).exit_code, 4);
    make_wallet();
    const Outcome wrong = ask({"wallet", "backup", "--password-file", "-"}, "guess\n");
    EXPECT_EQ(wrong.exit_code, 4);
    EXPECT_EQ(wrong.out, "");
    EXPECT_EQ(ask({"wallet", "backup"}).exit_code, 1);  // nobody to ask
}

TEST_F(KeyCommands, RestoreTakesWordsFromAPersonOrAPipe) {
    // Over several lines; the line that follows is the password.
    std::string lines(kWords);
    lines[lines.find("fancy") - 1] = '\n';
    const Outcome piped = ask({"wallet", "restore", "--words-file", "-", "--password-file", "-"},
                              lines + "\nnew password\n");
    ASSERT_EQ(piped.exit_code, 0) << piped.err;
    EXPECT_TRUE(unlock_wallet(wallet_path_, "new password").ok());
    ASSERT_TRUE(remove_tree(data_).ok());

    const std::vector<std::string> words = {"wallet", "restore", "--password-file", password_path_};
    const Outcome no = ask(words, lines + "\nn\n", true);
    EXPECT_EQ(no.exit_code, 2);
    EXPECT_NE(no.err.find("These are the words of " + address_), std::string::npos) << no.err;
    EXPECT_FALSE(path_exists(wallet_path_));
    EXPECT_EQ(ask(words, lines + "\ny\n", true).exit_code, 0);
    EXPECT_EQ(*read_wallet_address(wallet_path_), address_);
}

TEST_F(KeyCommands, RestoreRefusesWrongWordsAndSaysWhy) {
    const std::string words(kWords);
    const struct {
        std::string typed;
        const char *said;
    } cases[] = {
        {"hamstre" + words.substr(7),
         "word 1, \"hamstre\", is not in the list of seed words; is "
         "it \"hamster\"?"},
        {words.substr(8), "23 words; 24 are needed"},
        {"", "0 words; 24 are needed"},
        {"abandon" + words.substr(7), "do not belong together"},
        {std::string(900, 'x') + "\n" + std::string(900, 'x'), "these are no seed words"},
        // 256 zero bits are right words, and no key.
        {"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
         "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
         "abandon art",
         "no wallet's key"},
    };
    for (const auto &each : cases) {
        const Outcome outcome = restore("-", each.typed + "\n\n");
        EXPECT_EQ(outcome.exit_code, 1);
        EXPECT_NE(outcome.err.find(each.said), std::string::npos) << outcome.err;
        EXPECT_FALSE(path_exists(data_));
    }
    const std::string words_path = folder_.path() + "/words";
    ASSERT_TRUE(write_file_atomic(words_path, words, 0644).ok());
    const Outcome open = restore(words_path);
    EXPECT_EQ(open.exit_code, 1);
    EXPECT_NE(open.err.find("chmod 600"), std::string::npos) << open.err;
    EXPECT_EQ(restore("/nowhere").exit_code, 1);
    EXPECT_EQ(ask({"wallet", "restore", "--password-file", password_path_}).exit_code, 1);
}

TEST_F(KeyCommands, RestoreNeverOverwritesAWallet) {
    make_wallet();
    const Bytes before = *read_file(wallet_path_, 10'000);
    const Outcome outcome = restore("-", std::string(kWords) + "\n");
    EXPECT_EQ(outcome.exit_code, 1);
    for (const std::string &said : {wallet_path_, address_, std::string("--data DIR")})
        EXPECT_NE(outcome.err.find(said), std::string::npos) << outcome.err;
    EXPECT_EQ(*read_file(wallet_path_, 10'000), before);
}

TEST_F(KeyCommands, ASignedTransferIsSentAsItWasSigned) {
    make_wallet();
    const Outcome made = ask(signing("pay"));
    ASSERT_EQ(made.exit_code, 0) << made.err;
    EXPECT_NE(made.out.find("amount  2.5 tokens\n"), std::string::npos) << made.out;
    const std::string path = folder_.path() + "/pay";
    const json file = json::parse(*read_file(path, 10'000));
    EXPECT_EQ(file["from"], address_);
    EXPECT_EQ(file["to"], to_);
    EXPECT_EQ(file["nonce"], 7);
    EXPECT_EQ(file["amount"]["units"], 2'500'000'000);
    EXPECT_EQ(ask(signing("pay")).exit_code, 1);  // there is a file of that name

    wire::ControlRequest seen;
    const ControlServer server(data_ + "/control.sock", [&](const wire::ControlRequest &request) {
        seen = request;
        wire::ControlReply reply;
        reply.mutable_tx()->set_tx_id("abcd");
        reply.mutable_tx()->set_height(9);
        return ControlServer::reply(request, reply);
    });
    const Outcome no = ask({"wallet", "submit", path}, "n\n", true);
    EXPECT_EQ(no.exit_code, 2);
    EXPECT_NE(no.err.find("Send 2.5 tokens from " + address_ + " to " + to_), std::string::npos);
    EXPECT_FALSE(seen.has_tx_submit());
    const Outcome sent = ask({"wallet", "submit", path});
    EXPECT_EQ(sent.exit_code, 0) << sent.err;
    EXPECT_EQ(sent.out, "sent 2.5 in block 9, transaction abcd\n");
    const auto tx =
        ledger::decode_tx(seen.tx_submit().signed_tx(), *bytes32_from_hex(kChain, "chain"));
    ASSERT_TRUE(tx.ok()) << tx.error().message;
    EXPECT_EQ(tx->sender, key_.public_key());
    EXPECT_EQ(to_hex(tx->id), file["tx"]);
}

TEST_F(KeyCommands, SigningSaysWhatIsMissing) {
    const auto said = [&](const std::string &option, const std::string &value) {
        std::vector<std::string> words = signing("pay");
        for (std::size_t i = 0; i + 1 < words.size(); ++i) {
            if (words[i] != option) continue;
            if (value.empty())
                words.erase(words.begin() + static_cast<std::ptrdiff_t>(i),
                            words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
            else
                words[i + 1] = value;
        }
        const Outcome outcome = ask(words);
        EXPECT_NE(outcome.exit_code, 0);
        EXPECT_FALSE(path_exists(folder_.path() + "/pay"));
        return outcome.err;
    };
    EXPECT_NE(said("--nonce", "").find("which nonce?"), std::string::npos);
    EXPECT_NE(said("--nonce", "-1").find("--nonce"), std::string::npos);
    EXPECT_NE(said("--chain", "").find("--genesis FILE"), std::string::npos);
    EXPECT_NE(said("--chain", "abcd").find("--chain"), std::string::npos);
    EXPECT_NE(said("--output", "").find("--output FILE"), std::string::npos);
    EXPECT_NE(said("--nonce", "1").find("no wallet"), std::string::npos);  // none was made
}

// Whatever is changed in the file is noticed before a daemon is asked.
TEST_F(KeyCommands, DamagedTransfersAreRefused) {
    make_wallet();
    ASSERT_EQ(ask(signing("pay")).exit_code, 0);
    const std::string path = folder_.path() + "/pay";
    const json good = json::parse(*read_file(path, 10'000));
    const auto refusal = [&](const std::string &text) {
        EXPECT_TRUE(write_file_atomic(path, text, 0600).ok());
        const Outcome outcome = ask({"wallet", "submit", path});
        EXPECT_EQ(outcome.exit_code, 1);
        EXPECT_EQ(outcome.err.find("ompi-chaind"), std::string::npos) << outcome.err;
        return outcome.err;
    };
    for (const auto &[name, value] : good.items()) {
        json changed = good;
        changed.erase(name);
        refusal(changed.dump());
        changed[name] = value.is_number() ? json(value.get<int>() + 1) : json("00");
        refusal(changed.dump());
    }
    std::string signed_tx = good["signed_tx"];
    for (std::size_t i = 0; i < signed_tx.size(); i += 5) {
        json changed = good;
        std::string other = signed_tx;
        other[i] = other[i] == '0' ? '1' : '0';
        changed["signed_tx"] = other;
        EXPECT_NE(refusal(changed.dump()).find("damaged"), std::string::npos) << i;
    }
    json other_text = good;
    other_text["amount"]["tokens"] = "0.1";
    EXPECT_NE(refusal(other_text.dump()).find("what it says is not what is signed"),
              std::string::npos);
    json later = good;
    later["version"] = 2;
    EXPECT_NE(refusal(later.dump()).find("another version"), std::string::npos);
    EXPECT_NE(refusal(std::string(20'000, ' ')).find("larger than"), std::string::npos);
    for (const char *text : {"", "[]", "null", "\"\"", "{", "{}", "[[[[[[", "\x01"})
        EXPECT_NE(refusal(text).find("damaged"), std::string::npos);
    EXPECT_EQ(ask({"wallet", "submit", "/nowhere"}).exit_code, 1);
}

}  // namespace
}  // namespace chain::cli
