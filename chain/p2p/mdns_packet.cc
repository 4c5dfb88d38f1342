// SPDX-License-Identifier: BSD-3-Clause
#include "chain/p2p/mdns_packet.h"

#include <algorithm>
#include <map>
#include <memory>

#include <ldns/ldns.h>

#include "chain/base/units.h"
#include "chain/p2p/limits.h"

namespace chain::p2p {
namespace {

constexpr std::string_view kService = "_ompi-chain._tcp.local.";
constexpr std::string_view kChainField = "chain=";
constexpr int kTtlS = 120;  // RFC 6762, 10
constexpr std::size_t kChainMarkChars = 16;
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kHeadBytes = 12;
constexpr std::size_t kTypeSrvPort = 2;  // which of the fields of SRV
constexpr std::size_t kSrvFields = 4;

struct Free {
    void operator()(ldns_pkt *packet) const { ldns_pkt_free(packet); }
    void operator()(char *text) const { ::free(text); }
    void operator()(std::uint8_t *bytes) const { ::free(bytes); }
};
using Packet = std::unique_ptr<ldns_pkt, Free>;
using Text = std::unique_ptr<char, Free>;

Packet new_packet() {
    Packet packet(ldns_pkt_new());
    CHAIN_CHECK(packet != nullptr);
    return packet;
}

void push(ldns_pkt *packet, ldns_pkt_section section, const std::string &record) {
    ldns_rr *made = nullptr;
    const ldns_status status =
        section == LDNS_SECTION_QUESTION
            ? ldns_rr_new_question_frm_str(&made, record.c_str(), nullptr, nullptr)
            : ldns_rr_new_frm_str(&made, record.c_str(), kTtlS, nullptr, nullptr);
    CHAIN_CHECK(status == LDNS_STATUS_OK);
    CHAIN_CHECK(ldns_pkt_push_rr(packet, section, made));
}

Bytes serialize(const ldns_pkt *packet) {
    std::uint8_t *bytes = nullptr;
    std::size_t size = 0;
    CHAIN_CHECK(ldns_pkt2wire(&bytes, packet, &size) == LDNS_STATUS_OK);
    const std::unique_ptr<std::uint8_t, Free> owner(bytes);
    return Bytes(reinterpret_cast<const char *>(bytes), size);
}

// In lower case: names are the same in either (RFC 1035, 2.3.3).
std::string name_of(const ldns_rdf *name) {
    const Text text(name == nullptr ? nullptr : ldns_rdf2str(name));
    std::string lower(text == nullptr ? "" : text.get());
    for (char &letter : lower)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    return lower;
}

// "x" of "x._ompi-chain._tcp.local."; empty when `name` is no such instance.
std::string instance_of(const std::string &name) {
    if (name.size() <= kService.size() + 1 || !name.ends_with(kService)) return {};
    std::string instance = name.substr(0, name.size() - kService.size() - 1);
    const bool plain = std::all_of(instance.begin(), instance.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (!plain || instance.size() > kMaxLabelBytes || name[instance.size()] != '.') return {};
    return instance;
}

// The chain that a TXT record names; its strings are {u8 length; bytes}.
std::string chain_in(const ldns_rr *record) {
    for (std::size_t i = 0; i < ldns_rr_rd_count(record); ++i) {
        const ldns_rdf *field = ldns_rr_rdf(record, i);
        const std::string_view bytes(reinterpret_cast<const char *>(ldns_rdf_data(field)),
                                     ldns_rdf_size(field));
        if (bytes.size() != 1 + kChainField.size() + kChainMarkChars) continue;
        if (bytes.substr(1).starts_with(kChainField))
            return std::string(bytes.substr(1 + kChainField.size()));
    }
    return {};
}

void read_records(const ldns_rr_list *records, std::map<std::string, LanPresence> &found) {
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
        const ldns_rr *record = ldns_rr_list_rr(records, i);
        const std::string instance = instance_of(name_of(ldns_rr_owner(record)));
        if (instance.empty()) continue;
        LanPresence &presence = found[instance];
        presence.instance = instance;
        if (ldns_rr_get_type(record) == LDNS_RR_TYPE_TXT) presence.chain = chain_in(record);
        if (ldns_rr_get_type(record) == LDNS_RR_TYPE_SRV && ldns_rr_rd_count(record) == kSrvFields)
            presence.port = ldns_rdf2native_int16(ldns_rr_rdf(record, kTypeSrvPort));
    }
}

bool asks_for_us(const ldns_pkt *packet) {
    const ldns_rr_list *questions = ldns_pkt_question(packet);
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(questions); ++i) {
        const ldns_rr *question = ldns_rr_list_rr(questions, i);
        const ldns_rr_type type = ldns_rr_get_type(question);
        if ((type == LDNS_RR_TYPE_PTR || type == LDNS_RR_TYPE_ANY) &&
            name_of(ldns_rr_owner(question)) == kService)
            return true;
    }
    return false;
}

std::size_t record_count(std::string_view packet) {
    std::size_t count = 0;
    for (std::size_t at = 4; at < kHeadBytes; at += 2)
        count += static_cast<std::size_t>(static_cast<unsigned char>(packet[at])) << 8 |
                 static_cast<unsigned char>(packet[at + 1]);
    return count;
}

}  // namespace

std::string chain_mark(const Bytes32 &chain_id) {
    return to_hex(chain_id).substr(0, kChainMarkChars);
}

Bytes format_lan_query() {
    const Packet packet = new_packet();
    push(packet.get(), LDNS_SECTION_QUESTION, std::string(kService) + " IN PTR");
    return serialize(packet.get());
}

Bytes format_lan_answer(const LanPresence &presence, const std::string &host) {
    const Packet packet = new_packet();
    ldns_pkt_set_qr(packet.get(), true);
    ldns_pkt_set_aa(packet.get(), true);
    const std::string service(kService);
    const std::string name = presence.instance + "." + service;
    const std::string target = presence.instance + ".local.";
    push(packet.get(), LDNS_SECTION_ANSWER, service + " IN PTR " + name);
    push(packet.get(), LDNS_SECTION_ADDITIONAL,
         name + " IN SRV 0 0 " + std::to_string(presence.port) + " " + target);
    push(packet.get(), LDNS_SECTION_ADDITIONAL,
         name + " IN TXT \"" + std::string(kChainField) + presence.chain + "\"");
    push(packet.get(), LDNS_SECTION_ADDITIONAL, target + " IN A " + host);
    return serialize(packet.get());
}

Result<LanMessage> parse_lan_packet(std::string_view packet) {
    if (packet.size() > kMaxLanPacketBytes)
        return make_error(ErrorCode::kTooLarge, "a packet of ", packet.size(), " bytes");
    if (packet.size() < kHeadBytes) return make_error(ErrorCode::kProtocol, "no DNS packet");
    // Each name may send the reader far round through the packet: a bound on what one costs.
    if (record_count(packet) > kMaxLanRecords)
        return make_error(ErrorCode::kTooLarge, "a packet of ", record_count(packet), " records");
    ldns_pkt *parsed = nullptr;
    const ldns_status status = ldns_wire2pkt(
        &parsed, reinterpret_cast<const std::uint8_t *>(packet.data()), packet.size());
    const Packet owner(status == LDNS_STATUS_OK ? parsed : nullptr);
    if (owner == nullptr) return make_error(ErrorCode::kProtocol, "a DNS packet is malformed");
    LanMessage message;
    if (!ldns_pkt_qr(parsed)) {
        message.asks = asks_for_us(parsed);
        return message;
    }
    std::map<std::string, LanPresence> found;
    read_records(ldns_pkt_answer(parsed), found);
    read_records(ldns_pkt_additional(parsed), found);
    for (auto &[instance, presence] : found)
        if (presence.port != 0 && !presence.chain.empty())
            message.present.push_back(std::move(presence));
    return message;
}

}  // namespace chain::p2p
