// SPDX-License-Identifier: BSD-3-Clause
//
// A real daemon that lends, and strangers who say everything to it that they can: bytes of no
// message, messages of the wrong side, proposals against the rules. It refuses in words or ends the
// session, and lends to the next honest renter as if nothing had been.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/base/clock.h"
#include "chain/base/file.h"
#include "chain/client/client.h"
#include "chain/identity/keystore.h"
#include "chain/ledger/types.h"
#include "chain/market/offer_book.h"
#include "chain/p2p/network.h"
#include "chain/stage/staged_file.h"
#include "incentive/settlement.h"

namespace chain {
namespace {

constexpr std::uint32_t kSlots = 2;
constexpr std::int64_t kAsk = 10'000'000;

// Listens, and never reads nor answers.
class SilentServer {
public:
    SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr *>(&address), size), 0);
        EXPECT_EQ(listen(fd_.get(), 16), 0);
        EXPECT_EQ(getsockname(fd_.get(), reinterpret_cast<sockaddr *>(&address), &size), 0);
        port_ = ntohs(address.sin_port);
    }
    unsigned port() const { return port_; }

private:
    const FileDescriptor fd_;
    unsigned port_ = 0;
};

class StrangerTest : public ::testing::Test {
protected:
    void SetUp() override {
        char folder[] = "/tmp/ompi-stranger-XXXXXX";
        ASSERT_NE(mkdtemp(folder), nullptr);
        folder_ = folder;
        const std::string data = folder_ + "/d";
        ASSERT_TRUE(make_folders(data, 0700).ok());
        ASSERT_TRUE(create_wallet(data + "/wallet.json", lender_, "secret").ok());
        ASSERT_TRUE(write_file_atomic(folder_ + "/pw", "secret\n", 0600).ok());
        ledger::Genesis genesis;
        genesis.chain_name = "strangers";
        genesis.time_ms = system_clock().unix_ms();
        genesis.sealer = lender_.public_key();
        genesis.allocations = {{lender_.public_key(), *parse_tokens("1000")},
                               {renter_.public_key(), *parse_tokens("1000")}};
        const std::string text = ledger::format_genesis(genesis);
        ASSERT_TRUE(write_file_atomic(folder_ + "/net.json", text, 0644).ok());
        genesis_ = *ledger::parse_genesis(text);
        start_daemon();
        open_network();
    }

    void TearDown() override {
        network_.reset();
        if (pid_ > 0) {
            // Its volumes go with it, when it is asked.
            kill(pid_, SIGTERM);
            for (int i = 0; i < 200 && waitpid(pid_, nullptr, WNOHANG) == 0; ++i) usleep(50'000);
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        static_cast<void>(remove_tree(folder_));
    }

    void start_daemon() {
        pid_ = fork();
        ASSERT_GE(pid_, 0);
        if (pid_ == 0) {
            const int log = open((folder_ + "/log").c_str(), O_CREAT | O_WRONLY, 0600);
            dup2(log, 1);
            dup2(log, 2);
            setenv("OMPI_CHAIN_COMPONENTS", TEST_BUILD_DIR "/components", 1);
            const std::string program = TEST_BUILD_DIR "/bin/ompi-chaind";
            execl(program.c_str(), program.c_str(), "--data", (folder_ + "/d").c_str(), "--genesis",
                  (folder_ + "/net.json").c_str(), "--listen", "127.0.0.1:0", "--password-file",
                  (folder_ + "/pw").c_str(), "--seal", "--lend", "2", "--ask", "0.01",
                  "--host-name", "lender", "--log-level", "debug", "--plain-network",
                  "--forget-results", nullptr);
            _exit(127);
        }
        for (int i = 0; i < 300 && address_.empty(); ++i) {
            usleep(50'000);
            if (const auto text = read_file(folder_ + "/d/listen.address", 100); text.ok())
                address_ = text->substr(0, text->find('\n'));
        }
        ASSERT_FALSE(address_.empty()) << log_text();
    }

    void open_network() {
        p2p::Options options;
        options.listen = false;
        options.chain_id = genesis_.chain_id;
        options.software = "stranger";
        auto network = p2p::Network::start(loop_, node_key_, options);
        ASSERT_TRUE(network.ok());
        network_ = std::move(*network);
        network_->on_message(
            wire::Topic::kTrade, [this](const PublicKey &, std::string_view bytes) {
                wire::TradeMessage message;
                if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
                    answers_.push_back(message);
            });
        network_->on_message(
            wire::Topic::kGossip, [this](const PublicKey &, std::string_view bytes) {
                wire::Gossip gossip;
                if (!gossip.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
                    !gossip.has_offer())
                    return;
                auto offer = market::decode_offer(gossip.offer(), genesis_.chain_id,
                                                  system_clock().unix_ms());
                if (offer.ok()) offer_ = *offer;
            });
        network_->on_message(wire::Topic::kSync, [](const PublicKey &, std::string_view) {});
    }

    // Runs the loop until `done` or for `ms`. True: done.
    bool run_until(const std::function<bool()> &done, std::uint64_t ms) {
        bool in_time = true;
        const LoopHandle stop = loop_.after_ms(ms, [&] {
            in_time = false;
            loop_.stop();
        });
        const LoopHandle look = loop_.every_ms(5, [&] {
            if (done()) loop_.stop();
        });
        loop_.run();
        return in_time;
    }

    bool connect() {
        if (network_->connected(daemon_)) return true;
        bool ended = false;
        network_->connect(address_, nullptr, [&](Result<PublicKey> peer) {
            ended = true;
            if (peer.ok()) daemon_ = *peer;
        });
        return run_until([&] { return ended; }, 5'000) && network_->connected(daemon_);
    }

    // The offer that the daemon makes now: it refreshes one when slots come or go.
    void await_offer(std::uint32_t slots) {
        ASSERT_TRUE(connect());
        wire::SyncMessage ask;
        ask.mutable_get_offers();
        for (int i = 0; i < 100 && offer_.slot_count != slots; ++i) {
            static_cast<void>(network_->send(daemon_, wire::Topic::kSync, ask.SerializeAsString()));
            run_until([&] { return offer_.slot_count == slots; }, 100);
        }
        ASSERT_EQ(offer_.slot_count, slots) << log_text();
    }

    wire::TxBody open_lease() const {
        wire::TxBody body;
        body.set_chain_id(to_bytes(genesis_.chain_id));
        body.set_sender(to_bytes(renter_.public_key()));
        wire::OpenLease &open = *body.mutable_open_lease();
        open.set_price_per_ghz_h(kAsk);
        open.set_duration_ms(60'000);
        open.set_expires_at_ms(system_clock().unix_ms() + 60'000 + genesis_.params.settle_grace_ms);
        open.set_manifest_hash(to_bytes(stage::manifest_hash({})));
        wire::LeaseLeg &leg = *open.add_legs();
        leg.set_provider(to_bytes(lender_.public_key()));
        leg.set_slot_count(1);
        leg.set_hz_max(offer_.hz);
        leg.set_cycles_max(incentive::cycles_bound(1, offer_.hz, 60'000));
        const Amount escrow = *incentive::escrow(Amount{kAsk}, leg.cycles_max());
        leg.set_escrow(escrow.units);
        leg.set_collateral(incentive::collateral({Amount{open.price_per_ghz_h()}, leg.slot_count(),
                                                  leg.hz_max(), leg.cycles_max()},
                                                 0, genesis_.params)
                               ->units);
        leg.set_offer_id(to_bytes(offer_.id));
        return body;
    }

    // Sends the proposal and waits for the answer; empty: none came.
    wire::TradeMessage propose(const wire::TxBody &body, const KeyPair &signer) {
        EXPECT_TRUE(connect());
        const Bytes bytes = body.SerializeAsString();
        wire::TradeMessage message;
        message.set_lease_id(to_bytes(ledger::tx_id(bytes)));
        message.mutable_propose()->set_tx_body(bytes);
        message.mutable_propose()->set_renter_signature(
            to_bytes(signer.sign(sign_tag::kTx, bytes)));
        answers_.clear();
        EXPECT_TRUE(network_->send(daemon_, wire::Topic::kTrade, message.SerializeAsString()).ok());
        run_until([&] { return !answers_.empty(); }, 1'000);
        return answers_.empty() ? wire::TradeMessage() : answers_.front();
    }

    void expect_alive() {
        ASSERT_EQ(waitpid(pid_, nullptr, WNOHANG), 0) << log_text();
        auto client = client::Client::connect(folder_ + "/d/control.sock");
        ASSERT_TRUE(client.ok()) << log_text();
        wire::ControlRequest request;
        request.mutable_node_status();
        ASSERT_TRUE(client->call(std::move(request), 5'000).ok()) << log_text();
    }

    std::string log_text() const {
        const auto text = read_file(folder_ + "/log", 64u << 20);
        return text.ok() ? text->substr(text->size() > 3000 ? text->size() - 3000 : 0) : "";
    }

    std::string folder_;
    std::string address_;
    pid_t pid_ = -1;
    KeyPair lender_ = KeyPair::generate();
    KeyPair renter_ = KeyPair::generate();
    KeyPair node_key_ = KeyPair::generate();
    ledger::Genesis genesis_;
    Loop loop_;
    std::unique_ptr<p2p::Network> network_;
    PublicKey daemon_{};
    market::Offer offer_;
    std::vector<wire::TradeMessage> answers_;
};

TEST_F(StrangerTest, AProposalAgainstTheRulesIsRefusedInWords) {
    await_offer(kSlots);
    const struct {
        const char *what;
        std::function<void(wire::TxBody &)> change;
        const char *words;
    } cases[] = {
        {"too many slots",
         [](auto &b) { b.mutable_open_lease()->mutable_legs(0)->set_slot_count(9); },
         "only 2 slots are free"},
        {"no slots", [](auto &b) { b.mutable_open_lease()->mutable_legs(0)->set_slot_count(0); },
         "slots are free"},
        {"below the ask", [](auto &b) { b.mutable_open_lease()->set_price_per_ghz_h(1); },
         "below what I ask"},
        {"another frequency",
         [](auto &b) { b.mutable_open_lease()->mutable_legs(0)->set_hz_max(1); }, "frequency"},
        {"no collateral",
         [](auto &b) { b.mutable_open_lease()->mutable_legs(0)->set_collateral(0); },
         "escrow or collateral"},
        {"too little escrow",
         [](auto &b) { b.mutable_open_lease()->mutable_legs(0)->set_escrow(1); },
         "escrow or collateral"},
        {"no leg", [](auto &b) { b.mutable_open_lease()->clear_legs(); }, "no leg 0"},
        {"another's leg",
         [](auto &b) {
             b.mutable_open_lease()->mutable_legs(0)->set_provider(std::string(32, 'x'));
         },
         "another provider's"},
        {"another network", [](auto &b) { b.set_chain_id("elsewhere"); }, "not what it says"},
        {"a transfer", [](auto &b) { b.mutable_transfer()->set_amount(1); }, "not what it says"},
    };
    for (const auto &c : cases) {
        wire::TxBody body = open_lease();
        c.change(body);
        const wire::TradeMessage answer = propose(body, renter_);
        ASSERT_TRUE(answer.has_refuse()) << c.what << "\n" << log_text();
        EXPECT_NE(answer.refuse().reason().find(c.words), std::string::npos)
            << c.what << ": " << answer.refuse().reason();
    }
    const KeyPair thief = KeyPair::generate();
    EXPECT_TRUE(propose(open_lease(), thief).has_refuse()) << "signed by another";
    wire::TxBody poor = open_lease();
    poor.set_sender(to_bytes(thief.public_key()));
    const wire::TradeMessage answer = propose(poor, thief);
    ASSERT_TRUE(answer.has_refuse());
    EXPECT_NE(answer.refuse().reason().find("does not cover"), std::string::npos);
    expect_alive();
}

TEST_F(StrangerTest, ReservedSlotsComeBackWhenTheRenterCancelsOrVanishes) {
    await_offer(kSlots);
    wire::TxBody body = open_lease();
    wire::TradeMessage agreed = propose(body, renter_);
    ASSERT_TRUE(agreed.has_agree()) << log_text();
    await_offer(kSlots - 1);
    wire::TradeMessage cancel;
    cancel.set_lease_id(agreed.lease_id());
    cancel.mutable_cancel();
    ASSERT_TRUE(network_->send(daemon_, wire::Topic::kTrade, cancel.SerializeAsString()).ok());
    await_offer(kSlots);
    body.mutable_open_lease()->set_duration_ms(60'001);
    ASSERT_TRUE(propose(body, renter_).has_agree());
    await_offer(kSlots - 1);
    network_->disconnect(daemon_, "gone");
    run_until([&] { return !network_->connected(daemon_); }, 2'000);
    await_offer(kSlots);
    expect_alive();
}

// Any message of any kind about any lease, half of them about one that is really reserved.
TEST_F(StrangerTest, SurvivesMessagesThatMakeNoSense) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto noise = [&](std::size_t size_max) {
        std::string bytes(random() % (size_max + 1), '\0');
        for (char &c : bytes) c = static_cast<char>(random());
        return bytes;
    };
    await_offer(kSlots);
    std::string reserved;
    for (int round = 0; round < 1'000; ++round) {
        ASSERT_TRUE(connect()) << "round " << round << "\n" << log_text();
        if (round % 100 == 0) {
            wire::TxBody body = open_lease();
            body.mutable_open_lease()->set_duration_ms(50'000 + static_cast<std::uint64_t>(round));
            const wire::TradeMessage answer = propose(body, renter_);
            if (answer.has_agree()) reserved = answer.lease_id();
        }
        wire::TradeMessage message;
        message.set_lease_id(random() % 2 == 0 ? reserved : std::string(32, 'z'));
        message.set_leg(random() % 4 == 0 ? random() : 0);
        switch (random() % 18) {
            case 0: message.mutable_agree()->set_signature(noise(80)); break;
            case 1: message.mutable_refuse()->set_reason(noise(20)); break;
            case 2: message.mutable_funded(); break;
            case 3: message.mutable_stage_file()->set_name("../../etc/passwd"); break;
            case 4: message.mutable_stage_chunk()->set_content(noise(1000)); break;
            case 5: message.mutable_stage_done()->set_file_count(random()); break;
            case 6: message.mutable_launch()->set_hnp_uri("$(reboot)"); break;
            case 7: message.mutable_launched(); break;
            case 8: message.mutable_reading()->set_cycles(random()); break;
            case 9: message.mutable_voucher()->set_body(noise(100)); break;
            case 10: message.mutable_leg_ended()->set_reason("so"); break;
            case 11: message.mutable_end_leg()->add_stage_out("**"); break;
            case 12: message.mutable_leg_settled()->set_tx_id(noise(40)); break;
            case 13: message.mutable_stage_list()->set_file_count(random()); break;
            case 14: message.mutable_fetch_results(); break;
            case 15: message.mutable_stage_need()->add_ranges()->set_file(random()); break;
            case 16:
                message.mutable_stage_need()->add_ranges()->set_put_url("http://127.0.0.1/" +
                                                                        noise(20));
                break;
            default: message.set_lease_id(noise(40)); break;
        }
        const Bytes bytes = random() % 10 == 0 ? noise(300) : message.SerializeAsString();
        const auto topic = random() % 5 == 0   ? wire::Topic::kGossip
                           : random() % 5 == 0 ? wire::Topic::kSync
                                               : wire::Topic::kTrade;
        static_cast<void>(network_->send(daemon_, topic, bytes));
        if (round % 10 == 0) run_until([] { return true; }, 20);
    }
    run_until([] { return false; }, 200);
    expect_alive();
    network_->disconnect(daemon_, "enough");
    run_until([&] { return !network_->connected(daemon_); }, 2'000);
    offer_ = {};
    await_offer(kSlots);
    EXPECT_TRUE(propose(open_lease(), renter_).has_agree()) << log_text();
}

// A renter that has its job run and signs nothing for it: left after so many readings, and its
// collateral-free ride has cost the lender no more than those.
TEST_F(StrangerTest, ARenterThatSignsNothingIsLeft) {
    await_offer(kSlots);
    const wire::TxBody body = open_lease();
    const Bytes bytes = body.SerializeAsString();
    const wire::TradeMessage agreed = propose(body, renter_);
    ASSERT_TRUE(agreed.has_agree()) << log_text();
    wire::SignedTx tx;
    tx.set_body(bytes);
    const auto sign = [&](const PublicKey &key, const Bytes &signature) {
        wire::Signature &added = *tx.add_signatures();
        added.set_public_key(to_bytes(key));
        added.set_signature(signature);
    };
    sign(renter_.public_key(), to_bytes(renter_.sign(sign_tag::kTx, bytes)));
    sign(lender_.public_key(), agreed.agree().signature());
    wire::Gossip gossip;
    gossip.set_tx(tx.SerializeAsString());
    ASSERT_TRUE(network_->send(daemon_, wire::Topic::kGossip, gossip.SerializeAsString()).ok());
    const auto heard = [&](auto is_it) {
        return run_until([&] { return std::any_of(answers_.begin(), answers_.end(), is_it); },
                         20'000);
    };
    const auto say = [&](auto fill) {
        wire::TradeMessage message;
        message.set_lease_id(agreed.lease_id());
        fill(message);
        ASSERT_TRUE(network_->send(daemon_, wire::Topic::kTrade, message.SerializeAsString()).ok());
    };
    ASSERT_TRUE(heard([](const auto &m) { return m.has_funded(); })) << log_text();
    say([](auto &m) { m.mutable_stage_list(); });
    ASSERT_TRUE(heard([](const auto &m) { return m.has_stage_done(); })) << log_text();
    // Where orted calls, somebody takes the call and says nothing.
    const SilentServer mpirun;
    say([&](auto &m) {
        wire::Launch &launch = *m.mutable_launch();
        launch.set_jobid(1'234'567'168);
        launch.set_vpid(1);
        launch.set_daemon_count(2);
        launch.set_node_regex("home,lender@0(2)");
        launch.set_hnp_uri("1234567168.0;tcp://127.0.0.1:" + std::to_string(mpirun.port()));
        launch.set_job_folder("/job");
        launch.set_host("lender");
    });
    ASSERT_TRUE(heard([](const auto &m) { return m.has_launched(); })) << log_text();
    const auto started = std::chrono::steady_clock::now();
    ASSERT_TRUE(heard([](const auto &m) { return m.has_leg_ended(); })) << log_text();
    const auto took = std::chrono::steady_clock::now() - started;
    for (const wire::TradeMessage &answer : answers_) {
        if (!answer.has_leg_ended()) continue;
        EXPECT_EQ(answer.leg_ended().reason(), "the renter stopped signing vouchers");
    }
    EXPECT_EQ(std::count_if(answers_.begin(), answers_.end(),
                            [](const auto &m) { return m.has_reading() && !m.reading().last(); }),
              3);
    EXPECT_LT(took, std::chrono::seconds(12));
    await_offer(kSlots);  // the slots are free again, with nobody's word for it
    expect_alive();
}

// A provider that was asked to take a leg says whatever a provider may ever say, before all have
// agreed and before there is a bill.
TEST_F(StrangerTest, ARenterOutlivesAProviderThatSpeaksBeforeItsTime) {
    await_offer(kSlots);
    wire::OfferBody offer;
    offer.set_chain_id(to_bytes(genesis_.chain_id));
    offer.set_provider(to_bytes(renter_.public_key()));
    offer.set_node_key(to_bytes(node_key_.public_key()));
    offer.set_address("127.0.0.1:9");
    offer.set_host("hasty");
    offer.set_slot_count(2);
    offer.set_hz(offer_.hz);
    offer.set_memory_bytes(1u << 30);
    offer.set_ask_per_ghz_h(kAsk);
    offer.set_isolation("partial");
    offer.set_lease_network(true);
    offer.set_meter_class(wire::METER_CLASS_CALIBRATED);
    offer.set_sequence(1);
    offer.set_issued_at_ms(system_clock().unix_ms());
    offer.set_expires_at_ms(offer.issued_at_ms() + 30'000);
    wire::Gossip gossip;
    *gossip.mutable_offer() = market::sign_offer(offer, renter_);
    ASSERT_TRUE(network_->send(daemon_, wire::Topic::kGossip, gossip.SerializeAsString()).ok());

    const auto say_all = [&](const wire::TradeMessage &proposal) {
        const auto say = [&](auto fill) {
            wire::TradeMessage message;
            message.set_lease_id(proposal.lease_id());
            message.set_leg(proposal.leg());
            fill(message);
            static_cast<void>(
                network_->send(daemon_, wire::Topic::kTrade, message.SerializeAsString()));
        };
        say([](auto &m) { m.mutable_launched(); });
        for (int state = 0; state < 6; ++state)
            say([&](auto &m) {
                m.mutable_leg_notice()->set_state(static_cast<wire::LegNotice::State>(state));
                m.mutable_leg_notice()->set_text(std::string(100'000, 'x'));
            });
        say([](auto &m) { m.mutable_stage_done()->set_error("no"); });
        say([](auto &m) { m.mutable_stage_file()->set_name("x"); });
        say([](auto &m) { m.mutable_stage_list()->set_file_count(1); });
        say([](auto &m) { m.mutable_stage_need()->add_ranges()->set_offset(1); });
        say([](auto &m) { m.mutable_fetch_results(); });
        say([](auto &m) { m.mutable_stage_chunk()->set_content("x"); });
        say([](auto &m) { m.mutable_reading()->set_cycles(1); });
        say([](auto &m) { m.mutable_funded(); });
        say([](auto &m) { m.mutable_leg_settled(); });
        say([](auto &m) { m.mutable_leg_ended()->set_killed(true); });
        say([](auto &m) { m.mutable_refuse()->set_reason("after all"); });
    };
    auto client = client::Client::connect(folder_ + "/d/control.sock");
    ASSERT_TRUE(client.ok());
    std::size_t proposals = 0;
    for (int tries = 0; tries < 50 && proposals == 0; ++tries) {
        wire::ControlRequest request;
        wire::LeaseOpenCall &open = *request.mutable_lease_open();
        open.mutable_spec()->set_slot_count(1);
        open.mutable_spec()->add_providers("hasty");
        open.mutable_spec()->set_duration_ms(60'000);
        open.set_job_folder(folder_);
        answers_.clear();
        ASSERT_TRUE(client->start(request, 5'000).ok()) << log_text();
        run_until([&] { return !answers_.empty() && answers_.front().has_propose(); }, 200);
        for (const wire::TradeMessage &answer : answers_) {
            if (!answer.has_propose()) continue;
            ++proposals;
            say_all(answer);
        }
    }
    ASSERT_GT(proposals, 0u) << log_text();
    run_until([] { return false; }, 300);
    expect_alive();
}

}  // namespace
}  // namespace chain
