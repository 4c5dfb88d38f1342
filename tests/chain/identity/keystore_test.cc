// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/keystore.h"

#include <cstdlib>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain/base/file.h"

namespace chain {
namespace {

class Keystore : public testing::Test {
protected:
    Keystore() {
        std::string pattern = testing::TempDir() + "keystore.XXXXXX";
        CHAIN_CHECK(mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        path_ = folder_ + "/wallet.json";
    }
    ~Keystore() override { (void)remove_tree(folder_).ok(); }

    std::string folder_;
    std::string path_;
};

TEST_F(Keystore, OpensWithThePasswordAndNoOther) {
    const KeyPair key = KeyPair::generate();
    ASSERT_TRUE(create_wallet(path_, key, "correct horse").ok());
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_EQ(*read_wallet_address(path_), to_address(key.public_key()));
    EXPECT_EQ(unlock_wallet(path_, "correct horse")->secret(), key.secret());
    for (const char *wrong : {"", "correct hors", "Correct horse", "correct horse "}) {
        const auto opened = unlock_wallet(path_, wrong);
        ASSERT_FALSE(opened.ok());
        EXPECT_EQ(opened.error().code, ErrorCode::kWrongPassword);
    }
    const Bytes text = *read_file(path_, 10'000);
    EXPECT_EQ(text.find(to_hex(key.secret())), std::string::npos);
}

TEST_F(Keystore, NeverOverwritesAFile) {
    const KeyPair first = KeyPair::generate();
    ASSERT_TRUE(create_wallet(path_, first, "a").ok());
    const Bytes before = *read_file(path_, 10'000);
    const Status again = create_wallet(path_, KeyPair::generate(), "b");
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, ErrorCode::kConflict);
    EXPECT_EQ(*read_file(path_, 10'000), before);
    // A dangling link is somebody's file, too.
    ASSERT_EQ(symlink("/nonexistent/target", (folder_ + "/link").c_str()), 0);
    EXPECT_EQ(create_wallet(folder_ + "/link", first, "a").error().code, ErrorCode::kConflict);
}

TEST_F(Keystore, MissingOrPublicOrUnreadableFiles) {
    EXPECT_EQ(unlock_wallet(path_, "a").error().code, ErrorCode::kNoWallet);
    EXPECT_EQ(read_wallet_address(path_).error().code, ErrorCode::kNoWallet);
    ASSERT_TRUE(create_wallet(path_, KeyPair::generate(), "a").ok());
    ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
    EXPECT_EQ(unlock_wallet(path_, "a").error().code, ErrorCode::kPermission);
    ASSERT_EQ(chmod(path_.c_str(), 0000), 0);
    // Root reads everything: look at it as somebody else.
    ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
    const bool is_root = geteuid() == 0;
    if (is_root) {
        ASSERT_EQ(seteuid(65534), 0);
    }
    const auto opened = unlock_wallet(path_, "a");
    const Status created = create_wallet(folder_ + "/other", KeyPair::generate(), "a");
    if (is_root) {
        ASSERT_EQ(seteuid(0), 0);
    }
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kPermission);
    if (is_root) {
        EXPECT_EQ(created.error().code, ErrorCode::kPermission);
    }
    EXPECT_EQ(create_wallet("/nonexistent/wallet", KeyPair::generate(), "a").error().code,
              ErrorCode::kNotFound);
}

// Damage is told from a wrong password, so that nobody keeps guessing at a broken file.
TEST_F(Keystore, EveryFlippedBitIsFound) {
    const KeyPair key = KeyPair::generate();
    ASSERT_TRUE(create_wallet(path_, key, "password").ok());
    const Bytes good = *read_file(path_, 10'000);
    FileDescriptor file(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        const char bad = static_cast<char>(good[bit / 8] ^ 1 << bit % 8);
        if (bit > 0) {
            ASSERT_EQ(pwrite(file.get(), &good[(bit - 1) / 8], 1, (bit - 1) / 8), 1);
        }
        ASSERT_EQ(pwrite(file.get(), &bad, 1, bit / 8), 1);
        const auto address = read_wallet_address(path_);
        ASSERT_FALSE(address.ok())
            << "bit " << bit % 8 << " of byte " << bit / 8 << " '" << good[bit / 8] << "'";
        ASSERT_EQ(address.error().code, ErrorCode::kCorrupt);
    }
    for (std::size_t size = 0; size + 1 < good.size(); size += 13) {
        ASSERT_TRUE(write_file_atomic(path_, good.substr(0, size), 0600).ok());
        ASSERT_EQ(unlock_wallet(path_, "password").error().code, ErrorCode::kCorrupt);
    }
    ASSERT_TRUE(write_file_atomic(path_, std::string(100'000, ' '), 0600).ok());
    EXPECT_EQ(unlock_wallet(path_, "password").error().code, ErrorCode::kCorrupt);
    ASSERT_TRUE(write_file_atomic(path_, good, 0600).ok());
    EXPECT_EQ(unlock_wallet(path_, "password")->secret(), key.secret());
}

TEST_F(Keystore, TheNodeKeyIsMadeOnceAndKept) {
    const std::string path = folder_ + "/node.key";
    const Bytes32 first = load_or_create_node_key(path)->secret();
    EXPECT_EQ(load_or_create_node_key(path)->secret(), first);
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    EXPECT_EQ(load_or_create_node_key(path).error().code, ErrorCode::kPermission);
    for (const char *bad :
         {"", "zz", "00", "0000000000000000000000000000000000000000000000000000000000000000\n"}) {
        ASSERT_TRUE(write_file_atomic(path, bad, 0600).ok());
        EXPECT_EQ(load_or_create_node_key(path).error().code, ErrorCode::kCorrupt) << bad;
        EXPECT_EQ(*read_file(path, 1000), bad) << "a damaged key is never replaced";
    }
    EXPECT_EQ(load_or_create_node_key("/nonexistent/node.key").error().code, ErrorCode::kNotFound);
}

TEST_F(Keystore, TheNodeKeyGivesWayToANewOneAsAWhole) {
    const std::string path = folder_ + "/node.key";
    const Bytes32 first = load_or_create_node_key(path)->secret();
    const KeyPair next = KeyPair::generate();
    ASSERT_EQ(chmod(path.c_str(), 0400), 0);
    ASSERT_TRUE(replace_node_key(path, next).ok());
    EXPECT_EQ(load_or_create_node_key(path)->secret(), next.secret());
    EXPECT_NE(next.secret(), first);
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_FALSE(replace_node_key("/nonexistent/node.key", next).ok());
}

TEST_F(Keystore, PrivateFilesMustBePrivate) {
    const auto read = [&] {
        return read_private_file(path_, 10, ErrorCode::kNotFound, "file of words");
    };
    EXPECT_EQ(read().error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(write_file_atomic(path_, "words", 0600).ok());
    EXPECT_EQ(*read(), "words");
    for (const mode_t mode : {0640, 0604, 0622}) {
        ASSERT_EQ(chmod(path_.c_str(), mode), 0);
        EXPECT_EQ(read().error().code, ErrorCode::kPermission);
    }
    ASSERT_TRUE(write_file_atomic(path_, "eleven bytes", 0600).ok());
    EXPECT_EQ(read().error().code, ErrorCode::kTooLarge);
    ASSERT_EQ(unlink(path_.c_str()), 0);
    ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
    EXPECT_EQ(read().error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace chain
