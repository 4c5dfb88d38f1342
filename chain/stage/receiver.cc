// SPDX-License-Identifier: BSD-3-Clause
#include "chain/stage/receiver.h"

#include <algorithm>

#include "chain/base/text.h"
#include "chain/wire/frame.h"

namespace chain::stage {
namespace {

constexpr std::size_t kUrlBytesMax = 8'192;
constexpr std::size_t kEtagBytesMax = 200;

std::string in_quotes(const std::string &text) {
    return "\"" + plain_text(text, kTextBytesMax) + "\"";
}

void add_range(wire::StageNeed &need, std::uint32_t file, std::uint64_t offset) {
    wire::StageRange &range = *need.add_ranges();
    range.set_file(file);
    range.set_offset(offset);
}

}  // namespace

Receiver::Receiver(ReceiverStores stores, bool allow_absolute, std::uint64_t limit_bytes,
                   std::optional<WebRules> stores_allowed)
    : stores_(stores),
      allow_absolute_(allow_absolute),
      limit_bytes_(limit_bytes),
      stores_allowed_(std::move(stores_allowed)) {
    CHAIN_CHECK(stores_.own != nullptr);
}

template <class Outcome>
Outcome Receiver::remember(Outcome outcome) {
    if (!outcome.ok()) {
        failed_ = true;
        sources_.clear();
    }
    return outcome;
}

Status Receiver::on_file(const wire::StageFile &file) {
    return remember(name_file(file));
}

Status Receiver::on_list(const wire::StageList &list) {
    return remember(end_list(list));
}

Status Receiver::on_chunk(const wire::StageChunk &chunk) {
    return remember(add_chunk(chunk));
}

Status Receiver::on_done(const wire::StageDone &done) {
    return remember(end(done));
}

Result<wire::StageNeed> Receiver::needs() {
    return remember(take_contents());
}

Result<wire::StageNeed> Receiver::place(const Place &place, const Fetch &fetch) {
    return remember(place_all(place, fetch));
}

Status Receiver::name_file(const wire::StageFile &file) {
    if (failed_ || all_named_ || file.file() != files_.size())
        return make_error(ErrorCode::kProtocol, "a staged file came out of turn");
    if (files_.size() >= kFilesMax)
        return make_error(ErrorCode::kTooLarge, "more than ", kFilesMax, " staged files");
    const bool absolute = file.name().starts_with('/');
    if (!is_safe_relative_path(absolute ? file.name().substr(1) : file.name()) ||
        (absolute && !allow_absolute_))
        return make_error(ErrorCode::kProtocol, "a staged file has the unsafe name ",
                          in_quotes(file.name()));
    if ((file.mode() & ~0777u) != 0)
        return make_error(ErrorCode::kProtocol, in_quotes(file.name()), " has an unsafe mode");
    if (name_parts(file.name()) > kNamePartsMax)
        return make_error(ErrorCode::kTooLarge, in_quotes(file.name()), " lies more than ",
                          kNamePartsMax, " folders deep");
    names_bytes_ += file.name().size() + file.url().size() + file.etag().size();
    if (names_bytes_ > kNamesBytesMax)
        return make_error(ErrorCode::kTooLarge, "the names of the staged files are more than ",
                          kNamesBytesMax, " bytes");
    if (!names_.insert(file.name()).second)
        return make_error(ErrorCode::kProtocol, in_quotes(file.name()), " came twice");
    if (file.size_bytes() > limit_bytes_ - named_bytes_)
        return make_error(ErrorCode::kTooLarge, "the staged files are more than ", limit_bytes_,
                          " bytes");
    StagedFile staged;
    staged.name = file.name();
    staged.size_bytes = file.size_bytes();
    staged.mode = file.mode();
    CHAIN_ASSIGN(staged.sha256, to_bytes32(file.sha256(), "the hash of a staged file"));
    static const Bytes32 kHashOfNothing = Sha256().finish();
    if (file.url().empty() && (staged.size_bytes == 0) != (staged.sha256 == kHashOfNothing))
        return make_error(ErrorCode::kProtocol, in_quotes(file.name()),
                          " has not the hash of its size");
    named_bytes_ += staged.size_bytes;
    if (!file.url().empty()) {
        staged.url = file.url();
        staged.etag = file.etag();
        CHAIN_TRY(check_object(staged));
        files_.push_back(std::move(staged));
        return ok_status();
    }
    const auto [source, is_new] = sources_.try_emplace(staged.sha256);
    if (is_new)
        source->second.first_file = file.file();
    else if (files_[source->second.first_file].size_bytes != staged.size_bytes)
        return make_error(ErrorCode::kProtocol, "two staged files have one hash and two sizes");
    ++source->second.unplaced_count;
    files_.push_back(std::move(staged));
    return ok_status();
}

// The hash is what the lease names: it says which object, so that no other can be slipped in.
Status Receiver::check_object(const StagedFile &file) const {
    if (file.url.size() > kUrlBytesMax || file.etag.size() > kEtagBytesMax)
        return make_error(ErrorCode::kTooLarge, "the address of ", in_quotes(file.name),
                          " is too long");
    for (const char c : file.etag)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f)
            return make_error(ErrorCode::kProtocol, "the version of ", in_quotes(file.name),
                              " holds odd letters");
    if (object_hash(file.url, file.etag) != file.sha256)
        return make_error(ErrorCode::kProtocol, in_quotes(file.name),
                          " is another object than it is said to be");
    if (!stores_allowed_)
        return make_error(ErrorCode::kProtocol, in_quotes(file.name), " comes from a store");
    return stores_allowed_->check(file.url);
}

Status Receiver::end_list(const wire::StageList &list) {
    if (failed_ || all_named_ || list.file_count() != files_.size())
        return make_error(ErrorCode::kProtocol, "the list of staged files ended after ",
                          files_.size(), " of ", list.file_count());
    if (!list.image().empty() && (list.image() != kImageName || !names_.contains(list.image())))
        return make_error(ErrorCode::kProtocol, "the image is none of the staged files");
    image_ = list.image();
    all_named_ = true;
    placed_.assign(files_.size(), false);
    return ok_status();
}

Result<wire::StageNeed> Receiver::take_contents() {
    CHAIN_CHECK(all_named_ && !failed_);
    for (auto &[sha256, source] : sources_) {
        const std::uint64_t size_bytes = files_[source.first_file].size_bytes;
        if (stores_.shared != nullptr)
            source.content = stores_.shared->take(stores_.owner, sha256, size_bytes);
        if (source.content == nullptr) {
            source.is_own = true;
            source.content = stores_.own->take(stores_.owner, sha256, size_bytes);
        }
        if (source.content == nullptr)
            return make_error(ErrorCode::kDiskFull, "there is no room for the staged files at ",
                              in_quotes(files_[source.first_file].name), ", which has ", size_bytes,
                              " bytes");
        source.began_at_zero = source.content->offset_bytes() == 0;
        if (!source.content->is_complete()) missing_.insert(source.first_file);
    }
    wire::StageNeed need;
    for (const std::uint32_t file : missing_)
        add_range(need, file, sources_[files_[file].sha256].content->offset_bytes());
    return need;
}

Status Receiver::add_chunk(const wire::StageChunk &chunk) {
    if (failed_ || !missing_.contains(chunk.file()))
        return make_error(ErrorCode::kProtocol, "a chunk came that nobody needs");
    const StagedFile &staged = files_[chunk.file()];
    ContentStore::Content &content = *sources_[staged.sha256].content;
    if (chunk.offset() != content.offset_bytes() || chunk.content().empty() ||
        chunk.content().size() > wire::kStageChunkBytes ||
        chunk.content().size() > staged.size_bytes - content.offset_bytes())
        return make_error(ErrorCode::kProtocol, "a chunk of ", in_quotes(staged.name),
                          " does not fit: offset ", chunk.offset(), ", ", chunk.content().size(),
                          " bytes");
    CHAIN_TRY(content.append(chunk.content()));
    received_bytes_ += chunk.content().size();
    if (content.is_complete()) {
        content.pause();
        missing_.erase(chunk.file());
    }
    return ok_status();
}

Status Receiver::end(const wire::StageDone &done) {
    if (!done.error().empty())
        return make_error(ErrorCode::kRefused, "the sender gave up: ", in_quotes(done.error()));
    if (failed_ || !all_named_) return make_error(ErrorCode::kProtocol, "staging ended too early");
    if (!missing_.empty() || done.file_count() != files_.size())
        return make_error(ErrorCode::kProtocol, "staging ended, and ", missing_.size(), " of ",
                          done.file_count(), " files are not all there");
    return ok_status();
}

Result<wire::StageNeed> Receiver::place_all(const Place &place, const Fetch &fetch) {
    CHAIN_CHECK(all_named_ && !failed_ && missing_.empty());
    for (std::uint32_t i = 0; i < files_.size(); ++i) {
        if (!files_[i].url.empty()) {
            if (!placed_[i]) CHAIN_TRY(fetch(files_[i]));
            placed_[i] = true;
            continue;
        }
        Source &source = sources_[files_[i].sha256];
        if (placed_[i] || !source.content->is_complete()) continue;
        const bool may_move = source.is_own && source.unplaced_count == 1;
        CHAIN_ASSIGN(const bool is_right, place(files_[i], *source.content, may_move));
        if (is_right) {
            placed_[i] = true;
            --source.unplaced_count;
            if (!may_move) CHAIN_TRY(source.content->keep());
            continue;
        }
        source.content->forget();
        if (source.began_at_zero)
            return make_error(ErrorCode::kBadSignature, in_quotes(files_[i].name),
                              " arrived with another content than announced");
        // Of an earlier transfer: wrong from its beginning, or damaged since.
        source.began_at_zero = true;
        missing_.insert(source.first_file);
    }
    wire::StageNeed need;
    for (const std::uint32_t file : missing_) add_range(need, file, 0);
    return need;
}

}  // namespace chain::stage
