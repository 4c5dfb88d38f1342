// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/finality_file.h"

#include "chain/base/file.h"
#include "chain/consensus/consensus.pb.h"

namespace chain::consensus {
namespace {

// 512 votes of 300 bytes.
constexpr std::size_t kFinalityFileBytesMax = 1u << 20;
constexpr std::string_view kFileTag = "ompi-chain/finality-file";

void write(const Checkpoint &from, record::FinalityFileRecord::CheckpointRecord &to) {
    to.set_height(from.height);
    to.set_id(to_bytes(from.id));
    to.set_justified_height(from.justified_height);
    to.set_final_height(from.final_height);
    to.set_previous_final_height(from.previous_final_height);
}

Result<Checkpoint> read(const record::FinalityFileRecord::CheckpointRecord &from) {
    Checkpoint to{from.height(),
                  {},
                  from.justified_height(),
                  from.final_height(),
                  from.previous_final_height()};
    CHAIN_ASSIGN(to.id, to_bytes32(from.id(), "block id"));
    return to;
}

}  // namespace

Result<KnownFinality> parse_finality(const std::string &path, std::string_view bytes,
                                     const Bytes32 &chain_id) {
    const auto damaged = [&] {
        return make_error(ErrorCode::kCorrupt, path,
                          " is damaged. It says which blocks are final; without it this node could "
                          "be led to another history. Remove it only where --checkpoint names a "
                          "block that you have from somebody you trust");
    };
    record::FinalityFileRecord in;
    const auto message = without_digest(kFileTag, bytes);
    if (!message || !in.ParseFromArray(message->data(), static_cast<int>(message->size())))
        return damaged();
    if (in.chain_id() != to_bytes(chain_id))
        return make_error(ErrorCode::kConflict, path, " belongs to another chain");
    KnownFinality known;
    auto final = read(in.final());
    auto justified = read(in.justified());
    if (!final.ok() || !justified.ok() || justified->height < final->height) return damaged();
    known.final = *final;
    known.justified = *justified;
    known.votes.assign(in.votes().begin(), in.votes().end());
    return known;
}

Bytes format_finality(const KnownFinality &known, const Bytes32 &chain_id) {
    record::FinalityFileRecord out;
    out.set_chain_id(to_bytes(chain_id));
    write(known.final, *out.mutable_final());
    write(known.justified, *out.mutable_justified());
    for (const wire::SignedVote &vote : known.votes) *out.add_votes() = vote;
    return with_digest(kFileTag, out.SerializeAsString());
}

Result<KnownFinality> read_finality_file(const std::string &path, const Bytes32 &chain_id) {
    if (!path_exists(path)) return KnownFinality{};
    CHAIN_ASSIGN(const Bytes bytes, read_file(path, kFinalityFileBytesMax));
    return parse_finality(path, bytes, chain_id);
}

Status write_finality_file(const std::string &path, const Bytes32 &chain_id,
                           const KnownFinality &known) {
    return write_file_atomic(path, format_finality(known, chain_id), 0600);
}

}  // namespace chain::consensus
