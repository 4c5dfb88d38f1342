// SPDX-License-Identifier: BSD-3-Clause
//
// What a bad peer can say, to a Receiver and to a Sender.
#include <functional>

#include "tests/chain/stage/transfer.h"

namespace chain::stage {
namespace {

struct Broken {
    const char *what;
    std::function<Status(Receiver &)> run;
    ErrorCode code;
};

class BrokenTransferTest : public ::testing::Test {
protected:
    // Each is refused, the receiver takes nothing more, and no file stands under its name.
    void expect_refused(const std::vector<Broken> &cases) {
        for (const Broken &c : cases) {
            Receiver to = to_.receiver(100);
            const Status status = c.run(to);
            ASSERT_FALSE(status.ok()) << c.what;
            EXPECT_EQ(status.error().code, c.code) << c.what << ": " << status.error().message;
            EXPECT_FALSE(to.on_file(named("z", "")).ok()) << c.what;
            EXPECT_FALSE(to.on_chunk(chunk_of(0, "0")).ok()) << c.what;
            EXPECT_EQ(files_below(to_ / "job"), 0u) << c.what;
        }
    }
    // "a", which holds text_, is named and needed.
    Status begin(Receiver &to) {
        CHAIN_TRY(to.on_file(named("a", text_)));
        CHAIN_TRY(to.on_list(list_of(1)));
        CHAIN_ASSIGN(const wire::StageNeed need, to.needs());
        EXPECT_EQ(need.ranges_size(), 1);
        return ok_status();
    }
    Broken chunk(const char *what, const wire::StageChunk &chunk) {
        return {what,
                [this, chunk](Receiver &to) -> Status {
                    CHAIN_TRY(begin(to));
                    return to.on_chunk(chunk);
                },
                ErrorCode::kProtocol};
    }
    StagedFile make(const std::string &name, const std::string &content) {
        write_text(from_ / name, content);
        return described(from_ / name, name);
    }
    TestFolder from_;
    Peer to_;
    const std::string text_ = "0123456789";
};

TEST_F(BrokenTransferTest, Chunks) {
    expect_refused({
        chunk("gap", chunk_of(1, "123456789")),
        chunk("beyond the size", chunk_of(0, text_ + "x")),
        chunk("empty chunk", chunk_of(0, "")),
        chunk("chunk of another file", chunk_of(0, text_, 1)),
        {"overlap",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(begin(to));
             CHAIN_TRY(to.on_chunk(chunk_of(0, "01234")));
             return to.on_chunk(chunk_of(4, "456789"));
         },
         ErrorCode::kProtocol},
        {"chunk without a file",
         [&](Receiver &to) -> Status { return to.on_chunk(chunk_of(0, "x")); },
         ErrorCode::kProtocol},
    });
}

TEST_F(BrokenTransferTest, AnotherContentThanAnnounced) {
    for (int round = 0; round < 2; ++round) {  // what came stands in nobody's way
        Receiver to = to_.receiver(100);
        ASSERT_TRUE(begin(to).ok());
        ASSERT_TRUE(to.on_chunk(chunk_of(0, "012345678x")).ok());
        ASSERT_TRUE(to.on_done(done_of(1)).ok());
        const auto need = to.place(to_.place());
        ASSERT_FALSE(need.ok());
        EXPECT_EQ(need.error().code, ErrorCode::kBadSignature);
        EXPECT_EQ(files_below(to_ / "job"), 0u);
    }
    // A beginning that is wrong, kept by a transfer that was cut off: asked for once more.
    {
        Receiver to = to_.receiver(100);
        ASSERT_TRUE(begin(to).ok());
        ASSERT_TRUE(to.on_chunk(chunk_of(0, "wrong")).ok());
    }
    Receiver to = to_.receiver(100);
    ASSERT_TRUE(begin(to).ok());
    ASSERT_TRUE(to.on_chunk(chunk_of(5, text_.substr(5))).ok());
    ASSERT_TRUE(to.on_done(done_of(1)).ok());
    auto need = to.place(to_.place());
    ASSERT_TRUE(need.ok()) << need.error().message;
    ASSERT_EQ(need->ranges_size(), 1);
    EXPECT_EQ(need->ranges(0).offset(), 0u);
    ASSERT_TRUE(to.on_chunk(chunk_of(0, text_)).ok());
    ASSERT_TRUE(to.on_done(done_of(1)).ok());
    need = to.place(to_.place());
    ASSERT_TRUE(need.ok()) << need.error().message;
    EXPECT_EQ(need->ranges_size(), 0);
    EXPECT_EQ(read_text(to_ / "job/a"), text_);
}

TEST_F(BrokenTransferTest, Files) {
    const auto file = [](const char *what, const std::function<void(wire::StageFile &)> &change,
                         ErrorCode code) {
        return Broken{what,
                      [change](Receiver &to) -> Status {
                          wire::StageFile file = named("a", "0123456789");
                          change(file);
                          return to.on_file(file);
                      },
                      code};
    };
    expect_refused({
        file(
            "number skipped", [](auto &f) { f.set_file(1); }, ErrorCode::kProtocol),
        file(
            "set-uid", [](auto &f) { f.set_mode(04755); }, ErrorCode::kProtocol),
        file(
            "short hash", [](auto &f) { f.set_sha256("x"); }, ErrorCode::kProtocol),
        file(
            "size that would overflow", [](auto &f) { f.set_size_bytes(~0ULL); },
            ErrorCode::kTooLarge),
        {"same name twice",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_file(named("a", "")));
             return to.on_file(named("a", "", 1));
         },
         ErrorCode::kProtocol},
        {"a hash that is not of its size",
         [&](Receiver &to) -> Status {
             wire::StageFile file = named("a", text_);
             file.set_size_bytes(0);
             return to.on_file(file);
         },
         ErrorCode::kProtocol},
        {"too deep",
         [&](Receiver &to) -> Status {
             std::string name = "a";
             for (std::size_t i = 0; i < kNamePartsMax; ++i) name += "/a";
             return to.on_file(named(name, text_));
         },
         ErrorCode::kTooLarge},
        {"an image that is none of them",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_file(named("a", text_)));
             wire::StageList list = list_of(1);
             list.set_image("a");
             return to.on_list(list);
         },
         ErrorCode::kProtocol},
        {"one hash, two sizes",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_file(named("a", text_)));
             wire::StageFile other = named("b", text_, 1);
             other.set_size_bytes(11);
             return to.on_file(other);
         },
         ErrorCode::kProtocol},
        {"over the limit",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_file(named("a", std::string(90, 'x'))));
             return to.on_file(named("b", std::string(11, 'x'), 1));
         },
         ErrorCode::kTooLarge},
    });
}

TEST_F(BrokenTransferTest, ListsAndEnds) {
    expect_refused({
        {"a list of another length",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_file(named("a", text_)));
             return to.on_list(list_of(2));
         },
         ErrorCode::kProtocol},
        {"a file after the list",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_list(list_of(0)));
             return to.on_file(named("a", text_));
         },
         ErrorCode::kProtocol},
        {"done before the list",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(to.on_file(named("a", text_)));
             return to.on_done(done_of(1));
         },
         ErrorCode::kProtocol},
        {"done before the content",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(begin(to));
             return to.on_done(done_of(1));
         },
         ErrorCode::kProtocol},
        {"the sender gives up",
         [&](Receiver &to) -> Status {
             CHAIN_TRY(begin(to));
             wire::StageDone done;
             done.set_error("no more\n");
             return to.on_done(done);
         },
         ErrorCode::kRefused},
    });
}

TEST_F(BrokenTransferTest, Needs) {
    const StagedFile file = make("a", text_);
    const auto asked = [&](const std::vector<std::pair<std::uint32_t, std::uint64_t>> &ranges,
                           bool named_first = true) {
        Sender sender({file, make("b", "1")});
        while (named_first && (*sender.next()).has_value()) {
        }
        wire::StageNeed need;
        for (const auto &[number, offset] : ranges) {
            need.add_ranges()->set_file(number);
            need.mutable_ranges()->rbegin()->set_offset(offset);
        }
        return sender.on_need(need).ok();
    };
    EXPECT_TRUE(asked({}));
    EXPECT_TRUE(asked({{0, 9}, {1, 0}}));
    EXPECT_FALSE(asked({{0, 10}}));
    EXPECT_FALSE(asked({{2, 0}}));
    EXPECT_FALSE(asked({{1, 0}, {0, 0}}));
    EXPECT_FALSE(asked({{0, 0}, {0, 0}}));
    EXPECT_FALSE(asked({}, false));
    Sender sender({file});
    for (unsigned round = 0; round <= kNeedRoundsMax; ++round) {
        while ((*sender.next()).has_value()) {
        }
        EXPECT_EQ(sender.on_need({}).ok(), round < kNeedRoundsMax);
    }
}

}  // namespace
}  // namespace chain::stage
