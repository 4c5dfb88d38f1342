// SPDX-License-Identifier: BSD-3-Clause
#include "chain/wire/frame.h"

#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/unknown_field_set.h>

namespace chain::wire {
namespace {

bool has_unknown_fields(const google::protobuf::Message &message) {
    const auto *reflection = message.GetReflection();
    if (!reflection->GetUnknownFields(message).empty()) return true;
    std::vector<const google::protobuf::FieldDescriptor *> fields;
    reflection->ListFields(message, &fields);
    for (const auto *field : fields) {
        if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
        if (!field->is_repeated()) {
            if (has_unknown_fields(reflection->GetMessage(message, field))) return true;
            continue;
        }
        for (int i = 0; i < reflection->FieldSize(message, field); ++i)
            if (has_unknown_fields(reflection->GetRepeatedMessage(message, field, i))) return true;
    }
    return false;
}

}  // namespace

Status parse_strict(std::string_view bytes, std::size_t limit_bytes, std::string_view what,
                    google::protobuf::Message &message) {
    // Protobuf prints what it finds malformed: a stranger could fill the disk with it.
    [[maybe_unused]] static const auto silenced = google::protobuf::SetLogHandler(nullptr);
    if (bytes.size() > limit_bytes)
        return make_error(ErrorCode::kTooLarge, what, " of ", bytes.size(),
                          " bytes exceeds the limit of ", limit_bytes);
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
        return make_error(ErrorCode::kProtocol, what, " is malformed");
    if (has_unknown_fields(message))
        return make_error(ErrorCode::kProtocol, what,
                          " has fields that this version does not know");
    return ok_status();
}

bool is_valid_host_name(std::string_view host) {
    if (host.empty() || host.size() > kMaxHostNameBytes) return false;
    if (host.front() == '-' || host.back() == '-') return false;
    for (const char c : host) {
        const bool fine =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        if (!fine) return false;
    }
    return true;
}

}  // namespace chain::wire
