// SPDX-License-Identifier: BSD-3-Clause
//
// wallet sign-transfer, wallet submit: a transfer that is signed where the key is, on a machine
// without network if need be, and given to the ledger by any daemon.
#include <ostream>

#include "chain/base/file.h"
#include "chain/base/units.h"
#include "chain/cli/cli.h"
#include "chain/client/json.h"
#include "chain/client/text.h"
#include "chain/identity/keystore.h"
#include "chain/ledger/types.h"
#include "chain/wire/frame.h"

namespace chain::cli {
namespace {

constexpr std::string_view kTransferFormat = "ompi-chain transfer";
constexpr int kVersion = 1;
constexpr std::size_t kTransferFileMaxBytes = 16u << 10;

struct Transfer {
    ledger::Tx tx;
    std::string from, to;
    Amount amount;
};

Result<Transfer> decode_transfer(std::string_view signed_tx, const Bytes32 &chain_id) {
    Transfer transfer;
    CHAIN_ASSIGN(transfer.tx, ledger::decode_tx(signed_tx, chain_id));
    const wire::TxBody &body = transfer.tx.body;
    if (!body.has_transfer()) return make_error(ErrorCode::kInvalidInput, "it is no transfer");
    CHAIN_ASSIGN(const PublicKey to, to_bytes32(body.transfer().to(), "receiver"));
    CHAIN_ASSIGN(transfer.amount, amount_from_units(body.transfer().amount()));
    transfer.from = to_address(transfer.tx.sender);
    transfer.to = to_address(to);
    return transfer;
}

// The file: `signed_tx` is what counts, the rest says it to people, and must say the same.
client::Json file_of(const Transfer &transfer) {
    const wire::TxBody &body = transfer.tx.body;
    return {{"format", kTransferFormat},
            {"version", kVersion},
            {"chain_id", to_hex(body.chain_id())},
            {"from", transfer.from},
            {"to", transfer.to},
            {"amount", client::json_amount(transfer.amount.units)},
            {"nonce", body.nonce()},
            {"tx", to_hex(transfer.tx.id)},
            {"signed_tx", to_hex(transfer.tx.signed_bytes)}};
}

Result<Transfer> read_transfer(const std::string &path) {
    const auto damaged = [&](std::string_view why) {
        return make_error(ErrorCode::kCorrupt, path, " is damaged, or no transfer: ", why,
                          "; sign it again with `ompi-chain wallet sign-transfer`");
    };
    auto text = read_file(path, kTransferFileMaxBytes);
    if (!text.ok() && text.error().code == ErrorCode::kTooLarge)
        return make_error(ErrorCode::kTooLarge, path, " is larger than ", kTransferFileMaxBytes,
                          " bytes: it is no signed transfer");
    if (!text.ok()) return text.error();
    const client::Json file = client::Json::parse(*text, nullptr, false);
    const auto string = [&](const char *name) {
        const auto found = file.find(name);
        return found != file.end() && found->is_string() ? found->get<std::string>()
                                                         : std::string();
    };
    if (!file.is_object() || string("format") != kTransferFormat)
        return damaged("it does not say that it is one");
    if (const auto version = file.find("version"); version == file.end() || *version != kVersion)
        return make_error(ErrorCode::kInvalidInput, path,
                          " was made by another version of this program, whose files this one "
                          "does not know");
    const auto chain_id = bytes32_from_hex(string("chain_id"), "chain_id");
    if (!chain_id.ok()) return damaged(chain_id.error().message);
    const auto signed_tx = from_hex(string("signed_tx"));
    if (!signed_tx.ok()) return damaged("signed_tx is not hexadecimal");
    auto transfer = decode_transfer(*signed_tx, *chain_id);
    if (!transfer.ok()) return damaged(transfer.error().message);
    if (file != file_of(*transfer)) return damaged("what it says is not what is signed");
    return transfer;
}

Result<Bytes32> chosen_chain(const Invocation &invocation) {
    const Arguments &arguments = invocation.arguments;
    if (arguments.has("chain") && arguments.has("genesis"))
        return make_error(ErrorCode::kInvalidInput, "give --chain ID or --genesis FILE, not both");
    if (!arguments.has("chain") && !arguments.has("genesis"))
        return make_error(ErrorCode::kInvalidInput,
                          "say for which network: --chain ID, or --genesis FILE");
    if (arguments.has("chain")) {
        const std::string id = arguments.value("chain");
        if (id.size() != 2 * sizeof(Bytes32))
            return make_error(ErrorCode::kInvalidInput, "--chain takes the 64 hexadecimal digits ",
                              "that `ompi-chain node status` shows, not ", id.size());
        return bytes32_from_hex(id, "--chain");
    }
    const std::string path = arguments.value("genesis");
    CHAIN_ASSIGN(const Bytes text, read_file(path, ledger::kMaxGenesisBytes));
    const auto genesis = ledger::parse_genesis(text);
    if (!genesis.ok()) return make_error(genesis.error().code, path, ": ", genesis.error().message);
    return genesis->chain_id;
}

// What is to be signed, but for the sender.
Result<wire::TxBody> wanted_body(const Invocation &invocation) {
    CHAIN_ASSIGN(const PublicKey to, parse_address(invocation.arguments.words[0]));
    CHAIN_ASSIGN(const Amount amount, parse_tokens(invocation.arguments.words[1]));
    if (amount.units == 0)
        return make_error(ErrorCode::kInvalidInput, "the amount is 0: there is nothing to send");
    if (!invocation.arguments.has("nonce"))
        return make_error(ErrorCode::kInvalidInput,
                          "which nonce? ask any daemon: `ompi-chain wallet show ADDRESS --json` "
                          "with the wallet's address");
    CHAIN_ASSIGN(const std::uint64_t nonce,
                 parse_integer(invocation.arguments.value("nonce"), 0, INT64_MAX, "--nonce"));
    CHAIN_ASSIGN(const Bytes32 chain_id, chosen_chain(invocation));
    wire::TxBody body;
    body.set_chain_id(to_bytes(chain_id));
    body.set_nonce(nonce);
    body.mutable_transfer()->set_to(to_bytes(to));
    body.mutable_transfer()->set_amount(amount.units);
    return body;
}

Result<int> run_sign(Invocation &invocation) {
    CHAIN_ASSIGN(wire::TxBody body, wanted_body(invocation));
    const std::string output = invocation.arguments.value("output");
    if (output.empty())
        return make_error(ErrorCode::kInvalidInput,
                          "say where the signed transfer goes: --output FILE");
    if (path_exists(output))
        return make_error(ErrorCode::kConflict, output,
                          " is there already and is not overwritten\nName another file with "
                          "--output FILE.");
    const std::string path = invocation.wallet_path();
    CHAIN_ASSIGN(const std::string address, read_wallet_address(path));
    CHAIN_ASSIGN(std::string password,
                 read_password(invocation, "Password of " + address + ": ", false));
    const auto key = unlock_wallet(path, password);
    wipe(password);
    if (!key.ok()) return key.error();
    body.set_sender(to_bytes(key->public_key()));
    CHAIN_ASSIGN(const Bytes32 chain_id, to_bytes32(body.chain_id(), "chain id"));
    CHAIN_ASSIGN(const Transfer transfer,
                 decode_transfer(ledger::sign_tx(body, *key).SerializeAsString(), chain_id));
    const client::Json file = file_of(transfer);
    CHAIN_TRY(write_file_atomic(output, client::json_text(file), 0600));
    Console &console = invocation.console;
    if (invocation.json())
        console.out << client::json_text(file);
    else
        console.out << format_fields({{"from", transfer.from},
                                      {"to", transfer.to},
                                      {"amount", format_tokens(transfer.amount) + " tokens"},
                                      {"nonce", std::to_string(body.nonce())},
                                      {"chain", to_hex(chain_id)},
                                      {"file", output}});
    console.err << "Signed; nothing is sent yet. Where a daemon runs: ompi-chain wallet submit "
                << shell_quoted(output) << "\n";
    return 0;
}

Result<int> run_submit(Invocation &invocation) {
    CHAIN_ASSIGN(const Transfer transfer, read_transfer(invocation.arguments.words[0]));
    CHAIN_TRY(confirm(invocation, "Send " + format_tokens(transfer.amount) + " tokens from " +
                                      transfer.from + " to " + transfer.to + "?"));
    wire::ControlRequest request;
    request.mutable_tx_submit()->set_signed_tx(transfer.tx.signed_bytes);
    CHAIN_ASSIGN(const wire::ControlReply reply, invocation.call(request, kInclusionTimeoutMs));
    if (invocation.json())
        invocation.console.out << client::json_text(
            {{"tx", reply.tx().tx_id()},
             {"height", reply.tx().height()},
             {"from", transfer.from},
             {"to", transfer.to},
             {"amount", client::json_amount(transfer.amount.units)}});
    else
        invocation.console.out << "sent " << format_tokens(transfer.amount) << " in block "
                               << reply.tx().height() << ", transaction "
                               << client::printable(reply.tx().tx_id()) << "\n";
    return 0;
}

}  // namespace

std::vector<Command> transfer_commands() {
    return {
        {.noun = "wallet",
         .verb = "sign-transfer",
         .arguments = "ADDRESS AMOUNT",
         .arguments_min = 2,
         .arguments_max = 2,
         .summary = "Sign a transfer without a daemon, into a file",
         .examples =
             "  ompi-chain wallet sign-transfer ompc1… 2.5 --nonce 3 --genesis net.json --output "
             "pay\n"
             "  ompi-chain wallet submit pay              # there, or on another machine\n",
         .details =
             "For a key on a machine that is never connected. Any daemon of the network says the "
             "nonce, which\ncounts a wallet's transactions, and the network's number:\n"
             "  ompi-chain wallet show ADDRESS --json | jq .nonce\n"
             "  ompi-chain node status --json | jq -r .chain_id\n"
             "A transfer is made once at most: another one with the same nonce takes its place.\n",
         .options = {{"nonce", "N", "the next of this wallet"},
                     {"chain", "ID", "the network's number, 64 hexadecimal digits"},
                     {"genesis", "FILE", "or the network's genesis file"},
                     {"output", "FILE", "where the signed transfer goes"},
                     {"password-file", "FILE",
                      "read the password from FILE; `-`: from standard input"}},
         .run = run_sign},
        {.noun = "wallet",
         .verb = "submit",
         .arguments = "FILE",
         .arguments_min = 1,
         .arguments_max = 1,
         .summary = "Send a transfer that sign-transfer made",
         .examples = "  ompi-chain wallet submit pay\n"
                     "  ompi-chain wallet submit pay --yes        # without the question\n",
         .details = "Any daemon of the network takes it, also one without a wallet. Returns when "
                    "the transfer stands in\na block. There is no way back.\n",
         .run = run_submit},
    };
}

}  // namespace chain::cli
