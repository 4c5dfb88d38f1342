// SPDX-License-Identifier: BSD-3-Clause
#include "chain/consensus/finality_file.h"

#include "chain/base/file.h"
#include "chain/consensus/consensus.pb.h"

namespace chain::consensus {
namespace {

// 512 votes of 300 bytes.
constexpr std::size_t kFileBytesMax = 1u << 20;

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

Result<KnownFinality> read_finality_file(const std::string &path, const Bytes32 &chain_id) {
    KnownFinality known;
    if (!path_exists(path)) return known;
    CHAIN_ASSIGN(const Bytes bytes, read_file(path, kFileBytesMax));
    record::FinalityFileRecord in;
    if (!in.ParseFromString(bytes))
        return make_error(ErrorCode::kCorrupt, path,
                          " is damaged. It says which blocks are final; without it this node could "
                          "be led to another history. Remove it only where --checkpoint names a "
                          "block that you have from somebody you trust");
    if (in.chain_id() != to_bytes(chain_id))
        return make_error(ErrorCode::kConflict, path, " belongs to another chain");
    CHAIN_ASSIGN(known.final, read(in.final()));
    CHAIN_ASSIGN(known.justified, read(in.justified()));
    known.votes.assign(in.votes().begin(), in.votes().end());
    return known;
}

Status write_finality_file(const std::string &path, const Bytes32 &chain_id,
                           const KnownFinality &known) {
    record::FinalityFileRecord out;
    out.set_chain_id(to_bytes(chain_id));
    write(known.final, *out.mutable_final());
    write(known.justified, *out.mutable_justified());
    for (const wire::SignedVote &vote : known.votes) *out.add_votes() = vote;
    return write_file_atomic(path, out.SerializeAsString(), 0600);
}

}  // namespace chain::consensus
