// SPDX-License-Identifier: BSD-3-Clause
//
// OrteReader: reads what Open MPI 4.1's opal_dss packs into a message of ORTE, in its form without
// descriptions: numbers in network order, and before each pack() how many values it holds. Stricter
// than opal_dss, which believes counts and lengths and expects strings to end: one value where one
// is expected, strings with their end and without an earlier one. Pure.
//
// An error stays: everything after it is 0 or empty, and is_done() is false.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace chain::daemon {

// Types of opal/dss/dss_types.h. Those of them whose size is the machine's come with the type that
// they are there; both ends of a lease are x86-64 or the like.
enum class OpalType : std::uint8_t {
    kByte = 1,
    kBool = 2,
    kString = 3,
    kSize = 4,
    kPid = 5,
    kInt = 6,
    kInt8 = 7,
    kInt16 = 8,
    kInt32 = 9,
    kInt64 = 10,
    kUint = 11,
    kUint8 = 12,
    kUint16 = 13,
    kUint32 = 14,
    kUint64 = 15,
    kTimeval = 18,
    kByteObject = 20,
    kName = 29,
    kStatus = 32,
    kEnvar = 39,
};

struct OrteName {
    std::uint32_t jobid = 0;
    std::uint32_t vpid = 0;
    bool operator==(const OrteName &) const = default;
};

// A key and what it stands for, of which only a string or a name is kept.
struct OpalValue {
    std::string_view key;
    OpalType type{};
    std::optional<std::string_view> text;
    OrteName name;
};

class OrteReader {
public:
    explicit OrteReader(std::string_view packed) : left_(packed) {}

    bool ok() const { return ok_; }
    bool has_more() const { return ok_ && !left_.empty(); }
    bool is_done() const { return ok_ && left_.empty(); }
    void fail() { ok_ = false; }
    std::string_view rest() const { return ok_ ? left_ : std::string_view(); }

    // What one pack() of one value makes.
    std::uint8_t u8() { return one() ? raw_u8() : std::uint8_t{0}; }
    std::uint16_t u16() { return one() ? raw_u16() : std::uint16_t{0}; }
    std::uint32_t u32() { return one() ? raw_u32() : 0; }
    std::int32_t integer() { return one() ? raw_integer() : 0; }  // OPAL_INT
    std::uint32_t pid() { return one() ? raw_pid() : 0; }
    std::uint64_t size() { return one() ? raw_size() : 0; }
    OrteName name();
    std::optional<std::string_view> text();  // nullopt: none
    std::string_view some_text();            // there must be one
    OpalValue value() { return one() ? raw_value() : OpalValue(); }
    // What one pack() of many bytes makes.
    std::string_view bytes() { return take(raw_u32()); }

    // The same within a larger object, or in an array: no count before them.
    std::uint8_t raw_u8() { return static_cast<std::uint8_t>(number(1)); }
    std::uint16_t raw_u16() { return static_cast<std::uint16_t>(number(2)); }
    std::uint32_t raw_u32() { return static_cast<std::uint32_t>(number(4)); }
    std::int32_t raw_integer();
    std::uint32_t raw_pid();
    std::uint64_t raw_size();
    bool raw_bool();
    std::optional<std::string_view> raw_text();
    OpalValue raw_value();
    // Of a value or an attribute, behind its key and type.
    void raw_field(OpalValue &value);

private:
    bool one();
    bool is_of(OpalType type);
    std::uint64_t number(std::size_t size_bytes);
    std::string_view take(std::size_t size_bytes);

    std::string_view left_;
    bool ok_ = true;
};

}  // namespace chain::daemon
