// SPDX-License-Identifier: BSD-3-Clause
//
// ompi-chaind: see ompi-chaind(8).
#include <cstdio>
#include <string>

#include <getopt.h>
#include <sys/stat.h>

#include "chain/base/log.h"
#include "chain/client/client.h"
#include "chain/daemon/join.h"
#include "chain/provider/settings.h"

namespace {

using chain::Error;
using chain::ErrorCode;

constexpr const char *kUsage =
    "ompi-chaind: this machine's part of OpenMPI-Chain: wallet, ledger, lending and leasing\n"
    "\n"
    "  ompi-chaind --genesis net.json --connect seed.example.org:7660     lease from others\n"
    "  ompi-chaind --lend 4 --ask 0.01 --listen 0.0.0.0:7660 --password-file pw   lend four slots\n"
    "\n"
    "  --data DIR            data folder (default: $OMPI_CHAIN_DATA, else "
    "~/.local/state/ompi-chain,\n"
    "                        for root /var/lib/ompi-chain)\n"
    "  --genesis FILE        the network's genesis file; needed at the first start only\n"
    "  --listen HOST:PORT    take sessions of peers (port 0: any free one, written to\n"
    "                        DIR/listen.address)\n"
    "  --announce HOST:PORT  where others reach this machine, if not where it listens (default: "
    "found\n"
    "                        out)\n"
    "  --connect HOST:PORT   keep a session with this peer; may be given several times\n"
    "  --join FILE           take part in the network of FILE, which `ompi-chain network new` "
    "made;\n"
    "                        once, then the data folder knows\n"
    "  --seed HOST:PORT      a peer that knows others, asked while this node knows none; may be\n"
    "                        given several times\n"
    "  --discover-lan        find peers on the local network, and be found there\n"
    "  --map-port            ask the router to pass the port of --listen on to this machine\n"
    "  --relay WHEN          carry what peers behind routers say to each other: public (default: "
    "if "
    "this\n"
    "                        machine has a public address), always or never\n"
    "  --peer-silence T      after which a peer of a lease is lost (default 2.7s): longer where "
    "many\n"
    "                        daemons share a machine that cannot keep up\n"
    "  --password-file FILE  unlock the wallet with the password in FILE\n"
    "  --seal                seal blocks: for the node whose account the genesis names as sealer\n"
    "                        or validator\n"
    "  --mine THREADS        look for blocks by proof of work, in what the machine has left over;\n"
    "                        rests while a lease runs\n"
    "  --checkpoint HEIGHT:ID  a block that you know to be right, from somebody you trust: no "
    "other\n"
    "                        history is taken\n"
    "  --override-finality   give up this node's history, once, for the one with the checkpoint\n"
    "  --lend SLOTS          offer so many slots of this machine\n"
    "  --lend-cap PERCENT    of this machine's processors at most, for all leases together "
    "(default 80)\n"
    "  --owner-rules WHICH   none (default): lend always; desktop: lend while nobody uses this "
    "machine,\n"
    "                        and give way at once\n"
    "  --settings FILE       what is lent and when, instead of DATA/settings.toml\n"
    "  --ask PRICE           for at least PRICE tokens per GHz·h (default 0.01)\n"
    "  --host-name NAME      name of this machine in a lease (default: its own)\n"
    "  --region NAME         where it is, for renters who ask\n"
    "  --lease-starts WHEN   serve a lease once its block is included (default), justified or "
    "final\n"
    "  --scratch DIR         folder for the job folders of leases, on a disk with room\n"
    "  --scratch-size SIZE   of disk for each lease at most (default 4G)\n"
    "  --cache-size SIZE     of disk for what renters sent, so that it is not sent twice\n"
    "                        (default 4G; 0: none)\n"
    "  --plain-network       leases that ask for it (--chain-net plain) see this machine's "
    "network,\n"
    "                        and all that it can reach: for a network that you trust them in\n"
    "  --forget-results      results that renters have not fetched go when the daemon stops\n"
    "  --log-level LEVEL     debug, note, warning or error (default note)\n"
    "  --help, --version\n";

constexpr std::uint64_t kPeerSilenceMinMs = 1'000;
constexpr std::uint64_t kPeerSilenceMaxMs = 60'000;

enum Option {
    kData = 1000,
    kGenesis,
    kListen,
    kAnnounce,
    kConnect,
    kSeed,
    kJoin,
    kDiscoverLan,
    kMapPort,
    kRelay,
    kPeerSilence,
    kPasswordFile,
    kSeal,
    kMine,
    kCheckpoint,
    kOverrideFinality,
    kLend,
    kLendCap,
    kOwnerRules,
    kSettings,
    kAsk,
    kHostName,
    kRegion,
    kLeaseStarts,
    kScratch,
    kScratchSize,
    kCacheSize,
    kForgetResults,
    kPlainNetwork,
    kLogLevel,
    kHelp,
    kVersion,
};

constexpr option kOptions[] = {
    {"data", required_argument, nullptr, kData},
    {"genesis", required_argument, nullptr, kGenesis},
    {"listen", required_argument, nullptr, kListen},
    {"announce", required_argument, nullptr, kAnnounce},
    {"connect", required_argument, nullptr, kConnect},
    {"seed", required_argument, nullptr, kSeed},
    {"join", required_argument, nullptr, kJoin},
    {"discover-lan", no_argument, nullptr, kDiscoverLan},
    {"map-port", no_argument, nullptr, kMapPort},
    {"relay", required_argument, nullptr, kRelay},
    {"peer-silence", required_argument, nullptr, kPeerSilence},
    {"password-file", required_argument, nullptr, kPasswordFile},
    {"seal", no_argument, nullptr, kSeal},
    {"mine", required_argument, nullptr, kMine},
    {"checkpoint", required_argument, nullptr, kCheckpoint},
    {"override-finality", no_argument, nullptr, kOverrideFinality},
    {"lend", required_argument, nullptr, kLend},
    {"lend-cap", required_argument, nullptr, kLendCap},
    {"owner-rules", required_argument, nullptr, kOwnerRules},
    {"settings", required_argument, nullptr, kSettings},
    {"ask", required_argument, nullptr, kAsk},
    {"host-name", required_argument, nullptr, kHostName},
    {"region", required_argument, nullptr, kRegion},
    {"lease-starts", required_argument, nullptr, kLeaseStarts},
    {"scratch", required_argument, nullptr, kScratch},
    {"scratch-size", required_argument, nullptr, kScratchSize},
    {"cache-size", required_argument, nullptr, kCacheSize},
    {"plain-network", no_argument, nullptr, kPlainNetwork},
    {"forget-results", no_argument, nullptr, kForgetResults},
    {"log-level", required_argument, nullptr, kLogLevel},
    {"help", no_argument, nullptr, kHelp},
    {"version", no_argument, nullptr, kVersion},
    {nullptr, 0, nullptr, 0},
};

chain::Result<chain::TxStatus> parse_lease_starts(std::string_view word) {
    if (word == "included") return chain::TxStatus::kIncluded;
    if (word == "justified") return chain::TxStatus::kJustified;
    if (word == "final") return chain::TxStatus::kFinal;
    return chain::make_error(ErrorCode::kInvalidInput,
                             "--lease-starts: it is included, justified or final");
}

// One of the options that say what is lent.
chain::Status set_lending(int code, const char *text, chain::daemon::ProviderOptions &provider) {
    switch (code) {
        case kLend: {
            CHAIN_ASSIGN(const std::uint64_t slots,
                         chain::parse_integer(text, 0, chain::provider::kSlotsMax, "--lend"));
            provider.slot_count = static_cast<std::uint32_t>(slots);
            break;
        }
        case kLendCap: {
            CHAIN_ASSIGN(const std::uint64_t percent,
                         chain::parse_integer(text, 1, 100, "--lend-cap"));
            provider.cap_percent = static_cast<std::uint32_t>(percent);
            break;
        }
        case kOwnerRules: {
            const std::string_view which = text;
            if (which != "desktop" && which != "none")
                return chain::make_error(ErrorCode::kInvalidInput, "--owner-rules \"", which,
                                         "\": it is desktop or none");
            provider.owner_rules = which == "none" ? chain::provider::OwnerRules::none()
                                                   : chain::provider::OwnerRules();
            break;
        }
        case kAsk: {
            CHAIN_ASSIGN(provider.ask_per_ghz_h, chain::parse_tokens(text));
            if (provider.ask_per_ghz_h.units == 0)
                return chain::make_error(ErrorCode::kInvalidInput, "--ask must be above zero");
            break;
        }
        case kHostName:
            if (!chain::wire::is_valid_host_name(text))
                return chain::make_error(ErrorCode::kInvalidInput, "--host-name \"", text,
                                         "\": letters, digits and inner dashes, 63 at most");
            provider.host = text;
            break;
        case kLeaseStarts: {
            CHAIN_ASSIGN(provider.begins_at, parse_lease_starts(text));
            break;
        }
        case kRegion: provider.region = text; break;
        case kScratchSize: {
            CHAIN_ASSIGN(provider.scratch_bytes, chain::provider::parse_scratch_size(text));
            break;
        }
        case kPlainNetwork: provider.plain_network = true; break;
        case kForgetResults: provider.forget_results = true; break;
        case kCacheSize: {
            CHAIN_ASSIGN(provider.cache_bytes, chain::provider::parse_cache_size(text));
            break;
        }
        default: provider.scratch_folder = text; break;
    }
    return chain::ok_status();
}

// What one option says and another needs.
chain::Status check_options(const chain::daemon::DaemonOptions &options) {
    if (options.provider.slot_count > 0 && options.listen_address.empty())
        return chain::make_error(ErrorCode::kInvalidInput,
                                 "--lend needs --listen HOST:PORT, where renters can reach you");
    if (options.map_port && options.listen_address.empty())
        return chain::make_error(ErrorCode::kInvalidInput,
                                 "--map-port needs --listen HOST:PORT, whose port it maps");
    if ((options.seal || options.provider.slot_count > 0) && options.password_file.empty())
        return chain::make_error(
            ErrorCode::kInvalidInput,
            "--seal and --lend sign on their own: they need --password-file (a join file "
            "of a validator says --seal, also at later starts)");
    return chain::ok_status();
}

// What the command line says goes before the file, so the file is read first.
chain::Status take_settings(int argc, char **argv, chain::daemon::DaemonOptions &options) {
    std::string path;
    opterr = 0;  // said when the rest is read
    for (int code; (code = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
        if (code == kData) options.data_folder = optarg;
        if (code == kSettings) path = optarg;
    }
    opterr = 1;
    optind = 0;
    const bool is_named = !path.empty();
    if (!is_named) path = options.data_folder + "/settings.toml";
    return chain::provider::read_settings(path, is_named, options.provider);
}

// Fills `options`; true: go on, false: --help or --version was answered.
chain::Result<bool> parse_command_line(int argc, char **argv,
                                       chain::daemon::DaemonOptions &options) {
    options.data_folder = chain::client::default_data_folder();
    options.provider.ask_per_ghz_h = chain::Amount{10'000'000};
    CHAIN_TRY(take_settings(argc, argv, options));
    std::string join_path;
    for (int code; (code = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
        switch (code) {
            case kData: options.data_folder = optarg; break;
            case kGenesis: options.genesis_path = optarg; break;
            case kListen: options.listen_address = optarg; break;
            case kAnnounce: options.announce_address = optarg; break;
            case kConnect: options.connect.emplace_back(optarg); break;
            case kJoin: join_path = optarg; break;
            case kSeed: options.seeds.emplace_back(optarg); break;
            case kDiscoverLan: options.discover_lan = true; break;
            case kMapPort: options.map_port = true; break;
            case kRelay: {
                CHAIN_ASSIGN(options.provider.relay.when,
                             chain::provider::parse_relay_when(optarg));
                break;
            }
            case kPeerSilence: {
                CHAIN_ASSIGN(options.peer_silence_ms, chain::parse_duration_ms(optarg));
                if (options.peer_silence_ms < kPeerSilenceMinMs ||
                    options.peer_silence_ms > kPeerSilenceMaxMs)
                    return chain::make_error(ErrorCode::kInvalidInput,
                                             "--peer-silence takes 1s to 1min, not ", optarg);
                break;
            }
            case kPasswordFile: options.password_file = optarg; break;
            case kSeal: options.seal = true; break;
            case kSettings: break;  // read before the others
            case kMine: {
                CHAIN_ASSIGN(
                    const std::uint64_t threads,
                    chain::parse_integer(optarg, 1, chain::consensus::kMinerThreadsMax, "--mine"));
                options.mining_threads = static_cast<unsigned>(threads);
                options.seal = true;
                break;
            }
            case kCheckpoint: options.checkpoint = optarg; break;
            case kOverrideFinality: options.override_finality = true; break;
            case kLend:
            case kLendCap:
            case kOwnerRules:
            case kAsk:
            case kHostName:
            case kLeaseStarts:
            case kRegion:
            case kScratch:
            case kScratchSize:
            case kCacheSize:
            case kPlainNetwork:
            case kForgetResults: CHAIN_TRY(set_lending(code, optarg, options.provider)); break;
            case kLogLevel: {
                CHAIN_ASSIGN(const chain::LogLevel level, chain::parse_log_level(optarg));
                chain::set_log_level(level);
                break;
            }
            case kHelp: std::fputs(kUsage, stdout); return false;
            case kVersion: std::puts(chain::daemon::kSoftware.data()); return false;
            default: return chain::make_error(ErrorCode::kInvalidInput, "see `ompi-chaind --help`");
        }
    }
    if (optind < argc)
        return chain::make_error(ErrorCode::kInvalidInput, "\"", argv[optind],
                                 "\" is not an option; see `ompi-chaind --help`");
    CHAIN_TRY(chain::daemon::apply_join_file(options, join_path));
    CHAIN_TRY(check_options(options));
    return true;
}

int fail(const Error &error) {
    std::fprintf(stderr, "ompi-chaind: %s\n", error.to_text().c_str());
    return chain::error_traits(error.code).exit_code;
}

}  // namespace

int main(int argc, char **argv) {
    chain::daemon::DaemonOptions options;
    const auto go_on = parse_command_line(argc, argv, options);
    if (!go_on.ok()) return fail(go_on.error());
    if (!*go_on) return 0;
    umask(022);  // what must be private says so itself; leases pass through folders of ours
    auto daemon = chain::daemon::Daemon::open(std::move(options));
    if (!daemon.ok()) return fail(daemon.error());
    (*daemon)->run();
    return 0;
}
