// SPDX-License-Identifier: BSD-3-Clause
//
// What a peer may say to the renter's mpirun, and what it may not.
#include "chain/daemon/orte_guard.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/chain/daemon/orte_packer.h"

namespace chain::daemon {
namespace {

constexpr std::uint32_t kJob = kTestFamily | 1;

// What is said of one message behind an honest greeting; empty: it passed, whole.
std::string said_of(std::string_view message, const OrteLeg &leg = kTestLeg) {
    OrteGuard guard(leg);
    Bytes passed;
    const Bytes greeting = orte_message(
        0, orte::kGreeting, {.origin = {leg.jobid, leg.vpid}, .type = orte::kTypeIdent});
    EXPECT_TRUE(guard.take(greeting, passed).ok());
    EXPECT_EQ(passed, greeting);
    passed.clear();
    const Status taken = guard.take(message, passed);
    if (taken.ok()) {
        EXPECT_EQ(passed, message);
        return {};
    }
    // Whether it may be the doing of a rank, which is the renter's.
    const bool refused = taken.error().message.starts_with("a rank, or its orted, asked");
    EXPECT_EQ(taken.error().code, refused ? ErrorCode::kRefused : ErrorCode::kProtocol);
    EXPECT_EQ(passed, "");
    return taken.error().message;
}

std::string said_of(std::uint32_t tag, const OrtePacker &payload) {
    return said_of(orte_message(tag, payload.bytes()));
}

OrtePacker plm(std::uint8_t command) {
    return OrtePacker().u8(command);
}

OrtePacker state_of(std::uint32_t jobid, std::uint32_t vpid, std::uint32_t state) {
    return plm(orte::kPlmUpdateProcState).u32(jobid).u32(vpid).pid(77).u32(state).u32(0);
}

OrtePacker written(std::uint16_t stream, std::uint32_t jobid, std::uint32_t vpid) {
    return OrtePacker().u16(stream).name(jobid, vpid).blob("text");
}

TEST(OrteGuard, AnHonestLifePasses) {
    OrteGuard guard(kTestLeg);
    Bytes passed;
    Bytes whole;
    for (const Bytes &message : honest_orte_messages()) {
        const Status taken = guard.take(message, passed);
        ASSERT_TRUE(taken.ok()) << taken.error().message << " in " << to_hex(message);
        whole += message;
    }
    EXPECT_EQ(passed, whole);
}

TEST(OrteGuard, ItDoesNotMatterWhereTheNetworkCuts) {
    Bytes whole;
    for (const Bytes &message : honest_orte_messages()) whole += message;
    for (const std::size_t piece_bytes : {1u, 7u, 64u, 65u, 1000u}) {
        OrteGuard guard(kTestLeg);
        Bytes passed;
        for (std::size_t at = 0; at < whole.size(); at += piece_bytes)
            ASSERT_TRUE(guard.take(std::string_view(whole).substr(at, piece_bytes), passed).ok());
        EXPECT_EQ(passed, whole) << piece_bytes;
    }
}

TEST(OrteGuard, NothingPassesBeforeItIsWhole) {
    OrteGuard guard(kTestLeg);
    Bytes passed;
    ASSERT_TRUE(guard.take(orte_greeting(), passed).ok());
    const Bytes message = orte_message(orte::kTagOrtedCallback, orte_report());
    passed.clear();
    ASSERT_TRUE(guard.take(message.substr(0, message.size() - 1), passed).ok());
    EXPECT_EQ(passed, "");
    ASSERT_TRUE(guard.take(message.substr(message.size() - 1), passed).ok());
    EXPECT_EQ(passed, message);
}

TEST(OrteGuard, WhatCameBeforeAViolationPassesAndNothingOfIt) {
    OrteGuard guard(kTestLeg);
    Bytes passed;
    const Bytes honest = orte_greeting() + orte_message(orte::kTagOrtedCallback, orte_report());
    const Bytes evil = orte_message(orte::kTagDaemon, OrtePacker().u8(4).bytes());
    EXPECT_FALSE(guard.take(honest + evil, passed).ok());
    EXPECT_EQ(passed, honest);
}

TEST(OrteGuard, AGreetingComesFirstAndOnce) {
    for (const Bytes &first :
         {orte_message(orte::kTagOrtedCallback, orte_report()),
          orte_message(0, orte::kGreeting, {.type = 2}),  // a probe, answered by whoever it is
          orte_message(0,
                       std::string_view("\0\0"
                                        "4.0.0\0",
                                        8),
                       {.type = orte::kTypeIdent}),
          orte_message(0,
                       std::string_view("\0\1"
                                        "4.0.00",
                                        8),
                       {.type = orte::kTypeIdent}),
          orte_message(0,
                       std::string_view("\0\1"
                                        "5.0.0\0",
                                        8),
                       {.type = orte::kTypeIdent}),
          orte_message(1, orte::kGreeting, {.type = orte::kTypeIdent}),
          orte_message(0, orte::kGreeting,
                       {.destination = {kTestLeg.jobid, 1}, .type = orte::kTypeIdent}),
          orte_message(0, orte::kGreeting,
                       {.origin = {kTestLeg.jobid, 1}, .type = orte::kTypeIdent})}) {
        OrteGuard guard(kTestLeg);
        Bytes passed;
        EXPECT_FALSE(guard.take(first, passed).ok()) << to_hex(first);
        EXPECT_EQ(passed, "");
    }
    EXPECT_NE(said_of(orte_greeting()), "");
}

TEST(OrteGuard, NobodySpeaksInAnothersName) {
    const Bytes report = orte_report();
    for (const OrteName origin : {OrteName{kTestLeg.jobid, 0}, OrteName{kTestLeg.jobid, 1},
                                  OrteName{kJob, 2}, OrteName{0, 2}})
        EXPECT_NE(said_of(orte_message(orte::kTagOrtedCallback, report, {.origin = origin}))
                      .find("in another's name"),
                  std::string::npos);
    OrteLeg other = kTestLeg;
    other.vpid = 3;
    EXPECT_NE(said_of(orte::kTagOrtedCallback, OrtePacker().append(orte_report(other))), "");
}

TEST(OrteGuard, HeadersThatAreNone) {
    const OrtePacker off = OrtePacker().u16(orte::kIofOff);
    Bytes message = orte_message(orte::kTagIofHnp, off.bytes());
    EXPECT_EQ(said_of(message), "");
    message.replace(orte::kRouterAt, orte::kRouterBytes, orte::kRouterBytes, 'r');
    EXPECT_NE(said_of(message).find("does not end"), std::string::npos);
    for (const std::uint32_t size_bytes :
         {0u, std::uint32_t{kOrteMessageBytesMax} + 1, 0xffff'ffffu}) {
        Bytes header = orte_message(orte::kTagIofHnp, off.bytes());
        header.replace(24, 4, OrtePacker().raw(size_bytes, 4).bytes());
        EXPECT_NE(said_of(header.substr(0, kOrteHeaderBytes)), "") << size_bytes;
    }
    for (const std::uint8_t type : {0, 1, 2, 3, 5, 255})
        EXPECT_NE(said_of(orte_message(orte::kTagIofHnp, off.bytes(), {.type = type})), "");
    for (const OrteName to : {OrteName{kTestLeg.jobid, 2}, OrteName{kTestLeg.jobid, 4},
                              OrteName{kTestLeg.jobid, orte::kVpidWildcard}, OrteName{kJob, 0},
                              OrteName{0x5678'0000, 0}})
        EXPECT_NE(said_of(orte_message(orte::kTagIofHnp, off.bytes(), {.destination = to})), "");
}

TEST(OrteGuard, KindsOfMessages) {
    const std::vector<std::uint32_t> known = {2, 5, 10, 27, 33, 36, 62};
    for (std::uint32_t tag = 0; tag < 120; ++tag) {
        if (std::find(known.begin(), known.end(), tag) != known.end()) continue;
        for (const std::uint8_t command : {1, 4, 7, 9, 19, 26})
            EXPECT_NE(said_of(tag, OrtePacker().u8(command)), "") << tag;
    }
    EXPECT_NE(said_of(orte::kTagDaemon, OrtePacker().u8(4)).find("a command for the daemon"),
              std::string::npos);
    EXPECT_NE(said_of(orte::kTagXcast, OrtePacker().u8(0)).find("a command for all daemons"),
              std::string::npos);
}

TEST(OrteGuard, OnlyModexGoesToAnotherOrted) {
    const OrteEnvelope to_first{.destination = {kTestLeg.jobid, 1}};
    const Bytes request = OrtePacker().name(kJob, 0).integer(3).bytes();
    const Bytes answer = OrtePacker().integer(0).name(kJob, 1).integer(3).append("blob").bytes();
    EXPECT_EQ(said_of(orte_message(orte::kTagDirectModex, request, to_first)), "");
    EXPECT_EQ(said_of(orte_message(orte::kTagDirectModexResponse, answer, to_first)), "");
    EXPECT_NE(said_of(orte_message(orte::kTagDirectModex, request + "x", to_first)), "");
    EXPECT_NE(said_of(orte_message(orte::kTagDirectModexResponse, request, to_first)), "");
    EXPECT_NE(said_of(orte_message(orte::kTagDirectModex, request)), "");
    for (std::uint32_t tag = 0; tag < 100; ++tag)
        EXPECT_NE(said_of(orte_message(tag, OrtePacker().u8(4).bytes(), to_first)), "") << tag;
}

TEST(OrteGuard, Reports) {
    const Bytes report = orte_report();
    EXPECT_EQ(said_of(orte::kTagOrtedCallback, OrtePacker().append(report)), "");
    OrteGuard guard(kTestLeg);
    Bytes passed;
    ASSERT_TRUE(
        guard.take(orte_greeting() + orte_message(orte::kTagOrtedCallback, report), passed).ok());
    EXPECT_FALSE(guard.take(orte_message(orte::kTagOrtedCallback, report), passed).ok());
    const auto said = [](std::string_view host, std::string_view kind, std::string_view contact) {
        return said_of(orte::kTagOrtedCallback, OrtePacker()
                                                    .name(kTestLeg.jobid, kTestLeg.vpid)
                                                    .u32(1)
                                                    .text_value("opal.puri", contact)
                                                    .text(host)
                                                    .text(kind));
    };
    const std::string self = std::to_string(kTestLeg.jobid) + ".2;tcp://10.77.0.3:1024";
    EXPECT_EQ(said("host", "1N:le", self), "");
    EXPECT_NE(said("host", "no colon", self), "");
    EXPECT_NE(said("host", "le", self), "");
    EXPECT_NE(said("", "1N:le", self), "");
    EXPECT_NE(said("ho\x1bst", "1N:le", self), "");
    EXPECT_NE(said(std::string(kOrteNameBytesMax + 1, 'h'), "1N:le", self), "");
    EXPECT_NE(said("host", "1N:le", std::to_string(kTestLeg.jobid) + ".0;tcp://10.77.0.3:1024"),
              "");
    for (std::size_t size = 0; size < report.size(); ++size)
        EXPECT_NE(said_of(orte::kTagOrtedCallback, OrtePacker().append(report.substr(0, size))),
                  "");
}

TEST(OrteGuard, TheFirstOrtedSaysWhatItsMachineIs) {
    OrteLeg first = kTestLeg;
    first.vpid = 1;
    const auto said = [&first](const OrtePacker &topology) {
        const Bytes payload = orte_report(first) + topology.bytes();
        return said_of(
            orte_message(orte::kTagOrtedCallback, payload, {.origin = {first.jobid, first.vpid}}),
            first);
    };
    EXPECT_EQ(said(OrtePacker().u8(1).size(3).size(100).blob("zip")), "");
    EXPECT_EQ(said(OrtePacker().u8(0).raw(1, 4).text("<xml>").blob("1").blob("2").blob("3")), "");
    EXPECT_NE(said(OrtePacker()), "");
    EXPECT_NE(said(OrtePacker().u8(1).size(4).size(100).blob("zip")), "");
    EXPECT_NE(said(OrtePacker().u8(1).size(3).size(kOrteTopologyBytesMax + 1).blob("zip")), "");
    EXPECT_NE(said(OrtePacker().u8(1).size(3).size(0).blob("zip")), "");
    EXPECT_NE(said(OrtePacker().u8(1).size(0).size(3).blob("")), "");
}

TEST(OrteGuard, StatesOfRanks) {
    EXPECT_EQ(said_of(orte::kTagPlm, state_of(kJob, 0, 4)), "");
    EXPECT_EQ(said_of(orte::kTagPlm, state_of(kJob, 0, 4).u32(orte::kVpidInvalid)), "");
    EXPECT_EQ(said_of(orte::kTagPlm, state_of(kTestFamily | 2, 0, 62)), "");
    EXPECT_EQ(said_of(orte::kTagPlm, state_of(kTestLeg.jobid, 2, orte::kStateCalledAbort)), "");
    EXPECT_NE(said_of(orte::kTagPlm, state_of(kTestLeg.jobid, 2, 4)), "");
    EXPECT_NE(said_of(orte::kTagPlm, state_of(kTestLeg.jobid, 0, orte::kStateCalledAbort)), "");
    EXPECT_NE(said_of(orte::kTagPlm, state_of(kTestLeg.jobid, 1, orte::kStateCommFailed)), "");
    EXPECT_NE(said_of(orte::kTagPlm, state_of(0x4321'0001, 0, 4)), "");
    EXPECT_NE(said_of(orte::kTagPlm, state_of(kJob, kOrteRanksMax, 4)), "");
    for (const std::uint32_t state :
         {21u, 49u, orte::kStateHeartbeatFailed, orte::kStateMigrating, 69u, 100u})
        EXPECT_NE(said_of(orte::kTagPlm, state_of(kJob, 0, state)), "") << state;
    EXPECT_NE(said_of(orte::kTagPlm, state_of(kJob, 0, 4).raw(0, 1)), "");
    EXPECT_NE(said_of(orte::kTagPlm, plm(orte::kPlmRegistered).u32(kTestLeg.jobid).u32(0)), "");
    EXPECT_NE(said_of(orte::kTagPlm, plm(orte::kPlmRegistered).u32(kJob).u32(kOrteRanksMax)), "");
    EXPECT_NE(said_of(orte::kTagPlm, plm(0)), "");
    EXPECT_NE(said_of(orte::kTagPlm, plm(4)), "");
}

// Spawning must be asked for by the program of the renter's, too: who refuses it blames nobody.
TEST(OrteGuard, SpawnedRanksAreRanksAndNoMore) {
    const auto said = [](const OrteSpawn &spawn) {
        OrteGuard guard(kTestLeg);
        Bytes passed;
        EXPECT_TRUE(guard.take(orte_greeting(), passed).ok());
        const Status taken = guard.take(orte_message(orte::kTagPlm, orte_spawn(spawn)), passed);
        if (taken.ok()) return std::string();
        EXPECT_EQ(passed, orte_greeting());
        EXPECT_EQ(taken.error().code, ErrorCode::kRefused);
        return taken.error().message;
    };
    const auto text = [](std::uint16_t key) {
        return OrtePacker()
            .raw(key, 2)
            .raw(static_cast<std::uint8_t>(OpalType::kString), 1)
            .raw_text("/etc/shadow");
    };
    const auto flag = [](std::uint16_t key) {
        return OrtePacker()
            .raw(key, 2)
            .raw(static_cast<std::uint8_t>(OpalType::kBool), 1)
            .raw_typed(OpalType::kUint8, 1, 1);
    };
    EXPECT_EQ(said({}), "");
    EXPECT_EQ(said({.app_attributes = flag(orte::kAppUserFolder), .app_attribute_count = 1}), "");
    EXPECT_EQ(said({.job_attributes = flag(orte::kJobTagOutput), .job_attribute_count = 1}), "");
    EXPECT_EQ(said({.app_attributes = text(orte::kAppAddHosts), .app_attribute_count = 1}),
              "MPI_Comm_spawn in a lease cannot add a machine");
    EXPECT_EQ(said({.app_attributes = text(orte::kAppPreloadFiles), .app_attribute_count = 1}),
              "MPI_Comm_spawn in a lease cannot send files from the renter's machine");
    for (const std::uint16_t key : {1, 2, 3, 4, 7, 8, 9, 11, 15, 17})
        EXPECT_TRUE(said({.app_attributes = text(key), .app_attribute_count = 1})
                        .starts_with("MPI_Comm_spawn in a lease cannot "))
            << key;
    for (std::uint16_t key = 200; key < 262; ++key) {
        const std::string words = said({.job_attributes = text(key), .job_attribute_count = 1});
        EXPECT_NE(words, "") << key;
    }
    for (const std::uint16_t flags : {0x0010, 0x0040, 0x0200, 0x8000})
        EXPECT_TRUE(said({.flags = flags}).starts_with("MPI_Comm_spawn in a lease cannot "))
            << flags;
    EXPECT_TRUE(said({.mapper = "seq"}).starts_with("MPI_Comm_spawn in a lease cannot "));
    EXPECT_TRUE(said({.mapping = 1}).starts_with("MPI_Comm_spawn in a lease cannot "));
    EXPECT_TRUE(said({.jobid = kJob}).ends_with("cannot be asked for like this"));
    EXPECT_TRUE(said({.bookmark = 0}).ends_with("cannot be asked for like this"));
    EXPECT_TRUE(said({.app_count = 0}).ends_with("cannot be asked for like this"));
    EXPECT_TRUE(said({.app_count = 2}).ends_with("cannot be asked for like this"));
    EXPECT_TRUE(said({.app_attribute_count = 1}).ends_with("cannot be asked for like this"));
}

TEST(OrteGuard, OutputIsARanks) {
    for (const std::uint16_t stream : {orte::kIofStdout, orte::kIofStderr, orte::kIofDiagnostics})
        EXPECT_EQ(said_of(orte::kTagIofHnp, written(stream, kJob, 3)), "");
    // Standard input, and what tools ask for.
    for (const std::uint16_t stream : {0x0001, 0x0006, 0x4002, 0x8002, 0x0102, 0x3000, 0})
        EXPECT_NE(said_of(orte::kTagIofHnp, written(stream, kJob, 3)), "") << stream;
    EXPECT_NE(said_of(orte::kTagIofHnp, written(orte::kIofStdout, kTestLeg.jobid, 0)), "");
    EXPECT_NE(said_of(orte::kTagIofHnp, written(orte::kIofStdout, kJob, orte::kVpidWildcard)), "");
    EXPECT_NE(said_of(orte::kTagIofHnp, written(orte::kIofOn, kJob, 3)), "");
    EXPECT_NE(said_of(orte::kTagIofHnp, OrtePacker().u16(orte::kIofStdout)), "");
}

TEST(OrteGuard, WordsEndWhereTheySay) {
    const auto help = [] { return OrtePacker().text("file").text("topic").u8(1); };
    EXPECT_EQ(said_of(orte::kTagShowHelp, help().text("words")), "");
    EXPECT_EQ(said_of(orte::kTagShowHelp, OrtePacker().text("file").text("topic").u8(0)), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help()), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help().none()), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, OrtePacker().none().text("topic").u8(0)), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help().raw(1, 4).raw(3, 4).append("abc")), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help().raw(1, 4).raw(3, 4).append({"a\0\0", 3})), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help().raw(1, 4).raw(0xffff'ffff, 4)), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help().raw(0, 4)), "");  // no words where one is due
    EXPECT_NE(said_of(orte::kTagShowHelp, help().raw(2, 4).raw_text("a").raw_text("b")), "");
    EXPECT_NE(said_of(orte::kTagShowHelp, help().text("words").u8(0)), "");
}

TEST(OrteGuard, Collectives) {
    const auto said = [](std::uint32_t jobid, const std::vector<std::uint32_t> &vpids) {
        return said_of(orte::kTagAllgatherDirect, OrtePacker().signature(jobid, vpids).append("x"));
    };
    EXPECT_EQ(said(kJob, {orte::kVpidWildcard}), "");
    EXPECT_EQ(said(kJob, {0, 1, 2}), "");
    EXPECT_NE(said(kJob, {}), "");
    EXPECT_NE(said(kTestLeg.jobid, {0}), "");
    EXPECT_NE(said(kJob, {kOrteRanksMax}), "");
    EXPECT_NE(said_of(orte::kTagAllgatherDirect,
                      OrtePacker().raw(1, 4).size(0x1000'0000).raw(0x1000'0000, 4)),
              "");
    EXPECT_NE(said_of(orte::kTagAllgatherDirect,
                      OrtePacker().raw(1, 4).size(2).raw(1, 4).raw(kJob, 4).raw(0, 4)),
              "");
}

TEST(OrteGuard, WhatMpirunRemembersIsBounded) {
    OrteGuard guard(kTestLeg);
    Bytes passed;
    ASSERT_TRUE(guard.take(orte_greeting(), passed).ok());
    const Bytes message =
        orte_message(orte::kTagAllgatherDirect,
                     OrtePacker().signature(kJob, {0}).append(Bytes(1u << 20, 'b')).bytes());
    unsigned count = 0;
    for (passed.clear(); guard.take(message, passed).ok(); passed.clear()) ++count;
    EXPECT_EQ(count, (kOrteKeptBytesMax >> 20) - 1);
}

// One byte is another, or some are missing or too many: nothing breaks, nothing half passes.
TEST(OrteGuard, DamagedMessages) {
    std::mt19937 random(1);
    const auto below = [&random](std::size_t bound) { return random() % bound; };
    const std::vector<Bytes> honest = honest_orte_messages();
    for (int round = 0; round < 20'000; ++round) {
        Bytes message = honest[1 + below(honest.size() - 1)];
        for (std::size_t damage = 1 + below(3); damage > 0 && !message.empty(); --damage) {
            const std::size_t at = below(message.size());
            switch (below(4)) {
                case 0: message.erase(at, 1 + below(4)); break;
                case 1: message.insert(at, 1 + below(4), static_cast<char>(random())); break;
                default: message[at] = static_cast<char>(random()); break;
            }
        }
        OrteGuard whole(kTestLeg), cut(kTestLeg);
        Bytes passed_whole, passed_cut;
        ASSERT_TRUE(whole.take(orte_greeting(), passed_whole).ok());
        ASSERT_TRUE(cut.take(orte_greeting(), passed_cut).ok());
        const bool taken = whole.take(message, passed_whole).ok();
        bool taken_cut = true;
        for (std::size_t at = 0; taken_cut && at < message.size(); ++at)
            taken_cut = cut.take(message.substr(at, 1), passed_cut).ok();
        EXPECT_EQ(taken, taken_cut);
        EXPECT_EQ(passed_whole, passed_cut);
    }
}

}  // namespace
}  // namespace chain::daemon
