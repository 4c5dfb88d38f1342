// SPDX-License-Identifier: BSD-3-Clause
#include "chain/daemon/orte_reader.h"

namespace chain::daemon {

std::string_view OrteReader::take(std::size_t size_bytes) {
    if (!ok_ || size_bytes > left_.size()) {
        fail();
        return {};
    }
    const std::string_view taken = left_.substr(0, size_bytes);
    left_.remove_prefix(size_bytes);
    return taken;
}

std::uint64_t OrteReader::number(std::size_t size_bytes) {
    std::uint64_t value = 0;
    for (const char c : take(size_bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

bool OrteReader::one() {
    if (raw_u32() != 1) fail();
    return ok_;
}

bool OrteReader::is_of(OpalType type) {
    if (raw_u8() != static_cast<std::uint8_t>(type)) fail();
    return ok_;
}

std::int32_t OrteReader::raw_integer() {
    return is_of(OpalType::kInt32) ? static_cast<std::int32_t>(raw_u32()) : 0;
}

std::uint32_t OrteReader::raw_pid() {
    return is_of(OpalType::kUint32) ? raw_u32() : 0;
}

std::uint64_t OrteReader::raw_size() {
    return is_of(OpalType::kUint64) ? number(8) : 0;
}

bool OrteReader::raw_bool() {
    if (!is_of(OpalType::kUint8)) return false;
    const std::uint8_t value = raw_u8();
    if (value > 1) fail();
    return ok_ && value == 1;
}

OrteName OrteReader::name() {
    if (!one()) return {};
    OrteName name;
    name.jobid = raw_u32();
    name.vpid = raw_u32();
    return name;
}

// Its length counts the zero byte at its end; none at all is of length 0.
std::optional<std::string_view> OrteReader::raw_text() {
    const std::uint32_t size_bytes = raw_u32();
    if (size_bytes == 0) return std::nullopt;
    const std::string_view text = take(size_bytes);
    if (ok_ && text.find('\0') != text.size() - 1) fail();
    if (!ok_) return std::nullopt;
    return text.substr(0, text.size() - 1);
}

std::optional<std::string_view> OrteReader::text() {
    return one() ? raw_text() : std::nullopt;
}

std::string_view OrteReader::some_text() {
    const auto it = text();
    if (!it) fail();
    return it.value_or(std::string_view());
}

OpalValue OrteReader::raw_value() {
    OpalValue value;
    const auto key = raw_text();
    if (!key) fail();  // mpirun compares keys without a look whether there is one
    value.key = key.value_or(std::string_view());
    value.type = static_cast<OpalType>(raw_u8());
    raw_field(value);
    return value;
}

void OrteReader::raw_field(OpalValue &value) {
    switch (value.type) {
        case OpalType::kByte:
        case OpalType::kInt8:
        case OpalType::kUint8: take(1); return;
        case OpalType::kInt16:
        case OpalType::kUint16: take(2); return;
        case OpalType::kInt32:
        case OpalType::kUint32: take(4); return;
        case OpalType::kInt64:
        case OpalType::kUint64: take(8); return;
        case OpalType::kTimeval: take(16); return;
        case OpalType::kBool: raw_bool(); return;
        case OpalType::kSize: raw_size(); return;
        case OpalType::kPid: raw_pid(); return;
        case OpalType::kInt:
        case OpalType::kStatus: raw_integer(); return;
        case OpalType::kUint: raw_pid(); return;  // the same: an unsigned number of 32 bits
        case OpalType::kString: value.text = raw_text(); return;
        case OpalType::kByteObject: take(raw_u32()); return;
        case OpalType::kName:
            value.name.jobid = raw_u32();
            value.name.vpid = raw_u32();
            return;
        case OpalType::kEnvar:
            if (!raw_text()) fail();
            raw_text();
            take(1);
            return;
    }
    fail();
}

}  // namespace chain::daemon
