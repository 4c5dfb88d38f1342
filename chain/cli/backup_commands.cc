// SPDX-License-Identifier: BSD-3-Clause
//
// wallet backup, wallet restore: the key as seed words and back. Both need the wallet file only, no
// daemon: the words never cross a socket.
#include <iomanip>
#include <ostream>

#include "chain/base/file.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/layout.h"
#include "chain/identity/keystore.h"
#include "chain/identity/mnemonic.h"

namespace chain::cli {
namespace {

constexpr std::size_t kWordsPerLine = 4;

void print_words(std::ostream &out, const mnemonic::Phrase &phrase) {
    for (std::size_t i = 0; i < phrase.size(); ++i) {
        const bool last_of_line = (i + 1) % kWordsPerLine == 0;
        out << std::setw(2) << std::right << i + 1 << " ";
        if (last_of_line)
            out << phrase[i] << "\n";
        else
            out << std::setw(mnemonic::kMaxWordLetters + 2) << std::left << phrase[i];
    }
}

Result<int> run_backup(Invocation &invocation) {
    const std::string path = invocation.wallet_path();
    CHAIN_ASSIGN(const std::string address, read_wallet_address(path));
    CHAIN_ASSIGN(std::string password, read_password(invocation, "Password: ", false));
    const auto key = unlock_wallet(path, password);
    wipe(password);
    if (!key.ok()) return key.error();
    mnemonic::Phrase phrase = mnemonic::to_words(key->secret());
    Console &console = invocation.console;
    console.err << "Wallet " << address << ": write down these " << phrase.size()
                << " words in their order, and the address.\n"
                << "Who reads the words has the tokens, without any password: keep them on paper, "
                   "where only you\ncan find them.\n\n"
                << std::flush;
    if (invocation.json()) {
        client::Json words = client::Json::array();
        for (const std::string_view word : phrase) words.push_back(std::string(word));
        console.out << client::json_text({{"address", address}, {"words", std::move(words)}});
    } else {
        print_words(console.out, phrase);
    }
    console.out << std::flush;
    console.err
        << "\nThey bring the wallet back with `ompi-chain wallet restore`, on any machine.\n";
    wipe(phrase.data(), sizeof phrase);
    return 0;
}

// Until all words are there, or an empty line.
Result<std::string> read_words(const Invocation &invocation) {
    const std::string path = invocation.arguments.value("words-file");
    Console &console = invocation.console;
    if (!path.empty() && path != "-")
        return read_private_file(path, mnemonic::kMaxPhraseBytes, ErrorCode::kNotFound,
                                 "file with seed words");
    if (path.empty() && !console.interactive)
        return make_error(ErrorCode::kInvalidInput,
                          "the seed words are needed and nobody can be asked: give --words-file "
                          "FILE (`-` for standard input)");
    if (path.empty())
        console.err << "The " << mnemonic::kPhraseWords << " words, in one line or several:\n"
                    << std::flush;
    std::string text;
    text.reserve(2 * mnemonic::kMaxPhraseBytes);  // never moved, so that it can be wiped
    while (mnemonic::count_words(text) < mnemonic::kPhraseWords) {
        auto line = read_line(console.input_fd);
        // What is missing is said when all are looked at.
        if (!line.ok() && line.error().code == ErrorCode::kCancelled) break;
        if (!line.ok() || text.size() + line->size() + 1 > mnemonic::kMaxPhraseBytes) {
            wipe(text);
            return line.ok()
                       ? make_error(ErrorCode::kTooLarge, "these are no seed words: more than ",
                                    mnemonic::kMaxPhraseBytes, " bytes")
                       : line.error();
        }
        const bool end = line->empty();
        text += *line + "\n";
        wipe(*line);
        if (end) break;
    }
    return text;
}

Result<KeyPair> key_of(std::string words) {
    auto secret = mnemonic::from_words(words);
    wipe(words);
    if (!secret.ok()) return secret.error();
    auto key = KeyPair::from_secret(*secret);
    wipe(secret->data(), secret->size());
    if (!key.ok()) return make_error(ErrorCode::kInvalidInput, "these words are no wallet's key");
    return key;
}

Error wallet_stands(const std::string &path) {
    const auto address = read_wallet_address(path);
    return make_error(ErrorCode::kConflict, path, " is a wallet already",
                      address.ok() ? " (" + *address + ")" : ", though a damaged one",
                      "; a wallet is never overwritten\nIf you have a backup of it, stop its "
                      "daemon and move the file away; or restore into another\nfolder with "
                      "--data DIR.");
}

Result<int> run_restore(Invocation &invocation) {
    const std::string path = invocation.wallet_path();
    if (path_exists(path)) return wallet_stands(path);
    CHAIN_ASSIGN(std::string words, read_words(invocation));
    CHAIN_ASSIGN(const KeyPair key, key_of(std::move(words)));
    const std::string address = to_address(key.public_key());
    // One wrong word in 256 makes another wallet's words.
    CHAIN_TRY(confirm(invocation, "These are the words of " + address + ". Restore it?"));
    CHAIN_ASSIGN(std::string password,
                 read_password(invocation, "New password for it on this machine: ", true));
    Status made = make_folders(path.substr(0, path.rfind('/')), 0700);
    if (made.ok()) made = create_wallet(path, key, password);
    wipe(password);
    if (!made.ok() && made.error().code == ErrorCode::kConflict) return wallet_stands(path);
    CHAIN_TRY(made);
    Console &console = invocation.console;
    console.err
        << "The wallet is restored in " << path
        << ".\nIf its daemon runs, `ompi-chain wallet unlock` lets it sign. No other daemon "
           "should run with this\nwallet: two of them get into each other's way.\n";
    if (invocation.json())
        console.out << client::json_text({{"address", address}, {"wallet", path}});
    else
        console.out << format_fields({{"address", address}});
    return 0;
}

}  // namespace

std::string Invocation::wallet_path() const {
    const std::string file = std::string("/") + client::layout::kWallet;
    if (const std::string data = arguments.value("data"); !data.empty()) return data + file;
    const std::string socket = socket_path();
    const std::size_t slash = socket.rfind('/');
    return (slash == std::string::npos ? "." : socket.substr(0, slash)) + file;
}

std::vector<Command> backup_commands() {
    return {
        {.noun = "wallet",
         .verb = "backup",
         .summary = "Show the 24 words that bring this wallet back",
         .examples = "  ompi-chain wallet backup\n"
                     "  ompi-chain wallet backup --password-file ~/.wallet-password\n",
         .details = "The words are the key itself, in the code of BIP 39. Who has them needs no "
                    "password. Reads the\nwallet file; no daemon needs to run.\n",
         .options = {kPasswordFile},
         .run = run_backup},
        {.noun = "wallet",
         .verb = "restore",
         .summary = "Make the wallet anew from its 24 words",
         .examples = "  ompi-chain wallet restore\n"
                     "  ompi-chain wallet restore --words-file words --password-file ~/.pw\n",
         .details = "Asks for the words and for a new password. Case and white space do not "
                    "matter, nor numbers\nbetween the words; of each word the first four letters "
                    "suffice. Compare the address that is\nshown: one wrong word in 256 goes "
                    "unnoticed otherwise. A wallet that exists is not\noverwritten. No daemon "
                    "needs to run.\n",
         .options = {{"words-file", "FILE",
                      "read the words from FILE (mode 0600); `-`: from standard input"},
                     kPasswordFile},
         .run = run_restore},
    };
}

}  // namespace chain::cli
