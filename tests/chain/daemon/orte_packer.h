// SPDX-License-Identifier: BSD-3-Clause
//
// Makes messages of ORTE as Open MPI 4.1 packs them: what an honest orted says to mpirun, and what
// a hostile one may try.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chain/base/bytes.h"
#include "chain/daemon/orte_guard.h"
#include "chain/daemon/orte_protocol.h"
#include "chain/daemon/orte_reader.h"

namespace chain::daemon {

inline constexpr std::uint32_t kTestFamily = 0x1234'0000;
inline constexpr OrteLeg kTestLeg{.jobid = kTestFamily, .vpid = 2, .daemon_count = 4};

class OrtePacker {
public:
    OrtePacker &raw(std::uint64_t value, unsigned size_bytes) {
        for (unsigned i = size_bytes; i-- > 0;) bytes_ += static_cast<char>(value >> (8 * i));
        return *this;
    }
    OrtePacker &raw_typed(OpalType type, std::uint64_t value, unsigned size_bytes) {
        return raw(static_cast<std::uint8_t>(type), 1).raw(value, size_bytes);
    }
    OrtePacker &raw_text(std::string_view text) {
        raw(text.size() + 1, 4);
        bytes_ += text;
        bytes_ += '\0';
        return *this;
    }
    OrtePacker &raw_none() { return raw(0, 4); }

    OrtePacker &u8(std::uint8_t value) { return raw(1, 4).raw(value, 1); }
    OrtePacker &u16(std::uint16_t value) { return raw(1, 4).raw(value, 2); }
    OrtePacker &u32(std::uint32_t value) { return raw(1, 4).raw(value, 4); }
    OrtePacker &integer(std::int32_t value) {
        return raw(1, 4).raw_typed(OpalType::kInt32, static_cast<std::uint32_t>(value), 4);
    }
    OrtePacker &pid(std::uint32_t value) {
        return raw(1, 4).raw_typed(OpalType::kUint32, value, 4);
    }
    OrtePacker &size(std::uint64_t value) {
        return raw(1, 4).raw_typed(OpalType::kUint64, value, 8);
    }
    OrtePacker &name(std::uint32_t jobid, std::uint32_t vpid) {
        return raw(1, 4).raw(jobid, 4).raw(vpid, 4);
    }
    OrtePacker &text(std::string_view text) { return raw(1, 4).raw_text(text); }
    OrtePacker &none() { return raw(1, 4).raw_none(); }
    OrtePacker &blob(std::string_view bytes) {
        raw(bytes.size(), 4);
        bytes_ += bytes;
        return *this;
    }
    OrtePacker &text_value(std::string_view key, std::string_view text) {
        return raw(1, 4)
            .raw_text(key)
            .raw(static_cast<std::uint8_t>(OpalType::kString), 1)
            .raw_text(text);
    }
    OrtePacker &number_value(std::string_view key, std::uint32_t value) {
        return raw(1, 4).raw_text(key).raw_typed(OpalType::kUint32, value, 4);
    }
    OrtePacker &signature(std::uint32_t jobid, const std::vector<std::uint32_t> &vpids) {
        raw(1, 4).size(vpids.size()).raw(vpids.size(), 4);
        for (std::size_t i = 0; i < vpids.size(); ++i) raw(jobid, 4);
        for (const std::uint32_t vpid : vpids) raw(vpid, 4);
        return *this;
    }
    OrtePacker &append(std::string_view bytes) {
        bytes_ += bytes;
        return *this;
    }
    const Bytes &bytes() const { return bytes_; }

private:
    Bytes bytes_;
};

struct OrteEnvelope {
    OrteName origin{kTestLeg.jobid, kTestLeg.vpid};
    OrteName destination{kTestLeg.jobid, 0};
    std::uint8_t type = orte::kTypeUser;
};

inline Bytes orte_message(std::uint32_t tag, std::string_view payload,
                          const OrteEnvelope &envelope = {}) {
    OrtePacker packer;
    for (const std::uint32_t number : {envelope.origin.jobid, envelope.origin.vpid,
                                       envelope.destination.jobid, envelope.destination.vpid})
        packer.append({reinterpret_cast<const char *>(&number), sizeof number});
    packer.raw(tag, 4).raw(0x07000000, 4).raw(payload.size(), 4).raw(envelope.type, 1);
    packer.append("radix").append(Bytes(kOrteHeaderBytes - packer.bytes().size(), '\0'));
    return packer.append(payload).bytes();
}

inline Bytes orte_greeting() {
    return orte_message(0, orte::kGreeting, {.type = orte::kTypeIdent});
}

inline Bytes orte_report(const OrteLeg &leg = kTestLeg) {
    const std::string name = std::to_string(leg.jobid) + "." + std::to_string(leg.vpid);
    return OrtePacker()
        .name(leg.jobid, leg.vpid)
        .u32(2)
        .text_value("pmix.srvr.uri", name + ";tcp4://127.0.0.1:1025")
        .text_value("opal.puri", name + ";tcp://10.77.0.3:1024")
        .text("provider-2")
        .text("1N:1S:1L3:2L2:2L1:2C:2H:x86_64:le")
        .bytes();
}

// What MPI_Comm_spawn asks for; and what it may be made to ask for beyond that.
struct OrteSpawn {
    std::uint32_t jobid = orte::kJobidInvalid;
    std::uint16_t flags = orte::kJobFlagForwardOutput;
    OrtePacker job_attributes;  // {key, type, what it is}
    std::uint32_t job_attribute_count = 0;
    OrtePacker app_attributes;
    std::uint32_t app_attribute_count = 0;
    std::uint32_t app_count = 1;
    std::string mapper;
    std::uint16_t mapping = 0;
    std::uint32_t bookmark = orte::kNoBookmark;
};

inline Bytes orte_spawn(const OrteSpawn &it = {}) {
    OrtePacker packer;
    packer.u8(orte::kPlmLaunchJob).raw(1, 4).raw(it.jobid, 4).raw(it.flags, 2);
    packer.raw(2 + it.job_attribute_count, 4);
    packer.raw(orte::kJobLaunchProxy, 2).raw(static_cast<std::uint8_t>(OpalType::kName), 1);
    packer.raw(kTestFamily | 1, 4).raw(0, 4);
    packer.raw(orte::kJobRoomNumber, 2).raw(static_cast<std::uint8_t>(OpalType::kInt), 1);
    packer.raw_typed(OpalType::kInt32, 7, 4).append(it.job_attributes.bytes());
    packer.raw(0, 4).raw(1, 4).raw_text("ompi").raw(it.app_count, 4);
    packer.raw(0, 4).raw_text("./spawner").raw(2, 4).raw(0, 4);
    packer.raw(2, 4).raw_text("./spawner").raw_text("argument");
    packer.raw(1, 4).raw_text("OMPI_PARENT_PORT=1.0:2").raw_text("/work");
    packer.raw(it.app_attribute_count, 4).append(it.app_attributes.bytes());
    packer.raw(0, 4).raw(0, 4).raw(0, 4).raw(0, 4).raw(1, 4);
    it.mapper.empty() ? packer.raw_none() : packer.raw_text(it.mapper);
    packer.raw_none().raw(it.mapping, 2).raw(0, 2).raw(0, 2).raw_none().raw(0, 2);
    packer.raw_typed(OpalType::kUint8, 0, 1).raw(0, 4).raw(it.bookmark, 4).raw(0, 4);
    return packer.bytes();
}

// A whole life, from the greeting to the end of its two ranks, in messages.
inline std::vector<Bytes> honest_orte_messages() {
    const std::uint32_t job = kTestFamily | 1;
    OrtePacker states = OrtePacker().u8(orte::kPlmUpdateProcState).u32(job);
    OrtePacker ends = states;
    for (const std::uint32_t rank : {1u, 3u}) {
        states.u32(rank).pid(400 + rank).u32(4).u32(0);
        ends.u32(rank).pid(400 + rank).u32(orte::kStateTerminated).u32(0);
    }
    const Bytes running = states.u32(orte::kVpidInvalid).bytes();
    const Bytes ended = ends.u32(orte::kVpidInvalid).bytes();
    return {
        orte_greeting(),
        orte_message(orte::kTagOrtedCallback, orte_report()),
        orte_message(orte::kTagTopologyReport,
                     OrtePacker().u8(1).size(5).size(400).blob("zzzzz").bytes()),
        orte_message(orte::kTagPlm, running),
        orte_message(orte::kTagPlm,
                     OrtePacker().u8(orte::kPlmRegistered).u32(job).u32(1).u32(3).bytes()),
        orte_message(orte::kTagAllgatherDirect,
                     OrtePacker().signature(job, {orte::kVpidWildcard}).append("blob").bytes()),
        orte_message(orte::kTagIofHnp,
                     OrtePacker().u16(orte::kIofStdout).name(job, 1).blob("hello\n").bytes()),
        orte_message(orte::kTagIofHnp, OrtePacker().u16(orte::kIofOff).bytes()),
        orte_message(
            orte::kTagShowHelp,
            OrtePacker().text("help-mpi-api.txt").text("mpi-abort").u8(1).text("words").bytes()),
        orte_message(orte::kTagDataServer, OrtePacker()
                                               .integer(7)
                                               .u8(orte::kDataPublish)
                                               .name(job, 1)
                                               .u8(4)
                                               .integer(3)
                                               .text_value("port", "1.2:3")
                                               .number_value("pmix.euid", 0)
                                               .bytes()),
        orte_message(orte::kTagDataServer, OrtePacker()
                                               .integer(8)
                                               .u8(orte::kDataLookUp)
                                               .u32(job)
                                               .u8(4)
                                               .u32(1)
                                               .text("port")
                                               .number_value("pmix.euid", 0)
                                               .bytes()),
        orte_message(orte::kTagDirectModex, OrtePacker().name(job, 0).integer(4).bytes(),
                     {.destination = {kTestLeg.jobid, 1}}),
        orte_message(orte::kTagPlm, orte_spawn()),
        orte_message(orte::kTagPlm, ended),
    };
}

}  // namespace chain::daemon
