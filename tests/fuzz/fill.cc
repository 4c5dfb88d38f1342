// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/fill.h"

#include <google/protobuf/descriptor.h>

#include "chain/base/units.h"

namespace chain::fuzz {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr int kDepthMax = 6;
constexpr int kManyElements = 257;  // above what a lease may have of legs

// Where rules change: bounds of types, of amounts, of times and frequencies.
constexpr std::uint64_t kTurningPoints[] = {
    0x7f,
    0xffff,
    (1ULL << 31) - 1,
    1ULL << 31,
    (1ULL << 32) - 1,
    1ULL << 32,
    (1ULL << 63) - 1,
    1ULL << 63,
    ~0ULL,
    ~0ULL - 1,
    static_cast<std::uint64_t>(kMaxAmountUnits),
    static_cast<std::uint64_t>(kMaxAmountUnits) + 1,
    1'000,
    4'096,
    4'097,
    30'000,
    60'000,
    120'000,
    1'000'000,
    30'000'000,
    1'000'000'000,
    2'000'000'000,
    1'000'000'000'000,
    3'600'000'000'000,
    999'999'999'999'999,
};

std::uint64_t pick_number(const FieldDescriptor &field, Choices &choices, const Hints &hints) {
    const unsigned pick = choices.byte();
    if (pick < 64) return pick;
    if (pick < 128) return kTurningPoints[pick % std::size(kTurningPoints)];
    if (pick < 192) {
        const std::uint64_t step = pick - 128;
        return field.name().ends_with("at_ms") ? hints.now_ms - 20'000 + step * 10'000
                                               : step * 1'000'000'000;
    }
    return choices.number(pick < 224 ? 4 : 8);
}

std::string pick_string(Choices &choices) {
    const unsigned pick = choices.byte();
    if (pick < 64) return "node-" + std::to_string(pick);
    if (pick < 160) return std::string(pick - 64, 'a');
    return choices.bytes(pick - 160);
}

Bytes pick_bytes(Choices &choices, const Hints &hints) {
    const unsigned pick = choices.byte();
    if (pick < 192 && !hints.names.empty()) return hints.names[pick % hints.names.size()];
    if (pick < 224) return choices.bytes(pick - 192);
    if (pick < 240 || hints.names.empty()) {
        Bytes out = choices.bytes(32);
        out.resize(32, '\1');
        return out;
    }
    Bytes out = hints.names[pick % hints.names.size()];
    if (!out.empty()) out.back() = static_cast<char>(out.back() ^ 1);
    return out;
}

class Filler {
public:
    Filler(Choices &choices, const Hints &hints) : choices_(choices), hints_(hints) {}

    void fill_message(Message &message, int depth) {
        const Descriptor &type = *message.GetDescriptor();
        if (fill_signed(message, depth)) return;
        for (int i = 0; i < type.field_count(); ++i)
            if (type.field(i)->real_containing_oneof() == nullptr)
                fill_field(message, *type.field(i), depth);
        for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
            const auto &oneof = *type.oneof_decl(i);
            const unsigned pick = choices_.byte();
            if (pick == 255) continue;
            fill_field(message, *oneof.field(static_cast<int>(pick) % oneof.field_count()), depth);
        }
    }

private:
    // True if `message` is of the kind `SignedX { bytes body = serialised XBody; … signature }`.
    bool fill_signed(Message &message, int depth) {
        const Descriptor &type = *message.GetDescriptor();
        const auto *body_field = type.FindFieldByName("body");
        const auto *signature_field = type.FindFieldByName("signature");
        if (!type.name().starts_with("Signed") || body_field == nullptr ||
            signature_field == nullptr || choices_.one_in(32))
            return false;
        const auto *body_type =
            type.file()->FindMessageTypeByName(type.name().substr(sizeof "Signed" - 1) + "Body");
        if (body_type == nullptr || depth >= kDepthMax) return false;
        const std::unique_ptr<Message> body(
            google::protobuf::MessageFactory::generated_factory()->GetPrototype(body_type)->New());
        fill_message(*body, depth + 1);
        if (hints_.repair && !choices_.one_in(8)) hints_.repair(*body, hints_);
        const Bytes body_bytes = body->SerializePartialAsString();
        const auto *reflection = message.GetReflection();
        if (hints_.sign)
            reflection->SetString(&message, signature_field,
                                  hints_.sign(type.name(), body_bytes, choices_));
        reflection->SetString(&message, body_field, body_bytes);
        return true;
    }

    void fill_field(Message &message, const FieldDescriptor &field, int depth) {
        if (!field.is_repeated()) {
            fill_value(message, field, depth);
            return;
        }
        const unsigned pick = choices_.byte();
        const unsigned count = pick == 255 ? 1 : pick % 4;
        for (unsigned i = 0; i < count; ++i) fill_value(message, field, depth);
        if (pick == 255 && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && depth == 1) {
            const auto *reflection = message.GetReflection();
            for (int i = 1; i < kManyElements; ++i)
                reflection->AddMessage(&message, &field)
                    ->CopyFrom(reflection->GetRepeatedMessage(message, &field, 0));
        }
    }

    void fill_value(Message &message, const FieldDescriptor &field, int depth);

    Choices &choices_;
    const Hints &hints_;
};

// Sets a singular field, or adds to a repeated one.
#define CHAIN_FUZZ_PUT(kind, value)                                      \
    (field.is_repeated() ? reflection.Add##kind(&message, &field, value) \
                         : reflection.Set##kind(&message, &field, value))

void Filler::fill_value(Message &message, const FieldDescriptor &field, int depth) {
    const auto &reflection = *message.GetReflection();
    const auto number = [&] { return pick_number(field, choices_, hints_); };
    switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT32:
            CHAIN_FUZZ_PUT(Int32, static_cast<std::int32_t>(number()));
            break;
        case FieldDescriptor::CPPTYPE_INT64:
            CHAIN_FUZZ_PUT(Int64, static_cast<std::int64_t>(number()));
            break;
        case FieldDescriptor::CPPTYPE_UINT32:
            CHAIN_FUZZ_PUT(UInt32, static_cast<std::uint32_t>(number()));
            break;
        case FieldDescriptor::CPPTYPE_UINT64: CHAIN_FUZZ_PUT(UInt64, number()); break;
        case FieldDescriptor::CPPTYPE_BOOL: CHAIN_FUZZ_PUT(Bool, choices_.byte() % 2 == 1); break;
        case FieldDescriptor::CPPTYPE_ENUM: {
            const unsigned pick = choices_.byte();
            const auto &type = *field.enum_type();
            CHAIN_FUZZ_PUT(EnumValue,
                           pick < 240
                               ? type.value(static_cast<int>(pick) % type.value_count())->number()
                               : static_cast<int>(pick));
            break;
        }
        case FieldDescriptor::CPPTYPE_STRING:
            CHAIN_FUZZ_PUT(String, field.type() == FieldDescriptor::TYPE_BYTES
                                       ? pick_bytes(choices_, hints_)
                                       : pick_string(choices_));
            break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
            if (depth < kDepthMax)
                fill_message(field.is_repeated() ? *reflection.AddMessage(&message, &field)
                                                 : *reflection.MutableMessage(&message, &field),
                             depth + 1);
            break;
        // The protocol has none.
        case FieldDescriptor::CPPTYPE_FLOAT:
        case FieldDescriptor::CPPTYPE_DOUBLE: break;
    }
}

#undef CHAIN_FUZZ_PUT

}  // namespace

void fill(Message &message, Choices &choices, const Hints &hints) {
    Filler(choices, hints).fill_message(message, 0);
}

}  // namespace chain::fuzz
