// SPDX-License-Identifier: BSD-3-Clause
//
// The published vectors of BIP 340 and BIP 350, and what keys.h adds.
#include "chain/identity/keys.h"

#include <random>

#include <gtest/gtest.h>

#include "chain/identity/bech32m.h"
#include "chain/identity/point_cache.h"
#include "chain/identity/schnorr.h"

namespace chain {
namespace {

Bytes unhex(std::string_view hex) {
    return *from_hex(hex);
}
Bytes32 unhex32(std::string_view hex) {
    return *bytes32_from_hex(hex, "vector");
}

struct SigningVector {
    const char *secret, *public_key, *auxiliary, *message, *signature;
};
constexpr SigningVector kSigning[] = {
    {"0000000000000000000000000000000000000000000000000000000000000003",
     "F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9",
     "0000000000000000000000000000000000000000000000000000000000000000",
     "0000000000000000000000000000000000000000000000000000000000000000",
     "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA8215"
     "25F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0"},
    {"B7E151628AED2A6ABF7158809CF4F3C762E7160F38B4DA56A784D9045190CFEF",
     "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659",
     "0000000000000000000000000000000000000000000000000000000000000001",
     "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89",
     "6896BD60EEAE296DB48A229FF71DFE071BDE413E6D43F917DC8DCF8C78DE3341"
     "8906D11AC976ABCCB20B091292BFF4EA897EFCB639EA871CFA95F6DE339E4B0A"},
    {"C90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B14E5C9",
     "DD308AFEC5777E13121FA72B9CC1B7CC0139715309B086C960E18FD969774EB8",
     "C87AA53824B4D7AE2EB035A2B5BBBCCC080E76CDC6D1692C4B0B62D798E6D906",
     "7E2D58D8B3BCDF1ABADEC7829054F90DDA9805AAB56C77333024B9D0A508B75C",
     "5831AAEED7B44BB74E5EAB94BA9D4294C49BCF2A60728D8B4C200F50DD313C1B"
     "AB745879A5AD954A72C45A91C3A51D3C7ADEA98D82F8481E0E1E03674A6F3FB7"},
    {"0B432B2677937381AEF05BB02A66ECD012773062CF3FA2549E44F58ED2401710",
     "25D1DFF95105F5253C4022F628A996AD3A0D95FBF21D468A1B33F8C160D8F517",
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
     "7EB0509757E246F19449885651611CB965ECC1A187DD51B64FDA1EDC9637D5EC"
     "97582B9CB13DB3933705B32BA982AF5AF25FD78881EBB32771FC5922EFC66EA3"},
};

struct VerifyingVector {
    const char *public_key, *message, *signature;
    bool right;
};
constexpr char kP1[] = "DFF1D77F2A671C5F36183726DB2341BE58FEAE1DA2DECED843240F7B502BA659";
constexpr char kM1[] = "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89";
constexpr VerifyingVector kVerifying[] = {
    {"D69C3509BB99E412E68B0FE8544E72837DFA30746D8BE2AA65975F29D22DC7B9",
     "4DF3C3F68FCC83B27E9D42C90431A72499F17875C81A599B566C9889B9696703",
     "00000000000000000000003B78CE563F89A0ED9414F5AA28AD0D96D6795F9C63"
     "76AFB1548AF603B3EB45C9F8207DEE1060CB71C04E80F593060B07D28308D7F4",
     true},
    {"EEFDEA4CDB677750A420FEE807EACF21EB9898AE79B9768766E4FAA04A2D4A34", kM1,
     "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769"
     "69E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
     false},  // public key not on the curve
    {kP1, kM1,
     "FFF97BD5755EEEA420453A14355235D382F6472F8568A18B2F057A1460297556"
     "3CC27944640AC607CD107AE10923D9EF7A73C643E166BE5EBEAFA34B1AC553E2",
     false},  // R has an odd y
    {kP1, kM1,
     "1FA62E331EDBC21C394792D2AB1100A7B432B013DF3F6FF4F99FCB33E0E1515F"
     "28890B3EDB6E7189B630448B515CE4F8622A954CFE545735AAEA5134FCCDB2BD",
     false},  // negated message
    {kP1, kM1,
     "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769"
     "961764B3AA9B2FFCB6EF947B6887A226E8D7C93E00C5ED0C1834FF0D0C2E6DA6",
     false},  // negated s
    {kP1, kM1,
     "0000000000000000000000000000000000000000000000000000000000000000"
     "123DDA8328AF9C23A94C1FEECFD123BA4FB73476F0D594DCB65C6425BD186051",
     false},  // sG - eP is infinite
    {kP1, kM1,
     "0000000000000000000000000000000000000000000000000000000000000001"
     "7615FBAF5AE28864013C099742DEADB4DBA87F11AC6754F93780D5A1837CF197",
     false},
    {kP1, kM1,
     "4A298DACAE57395A15D0795DDBFD1DCB564DA82B0F269BC70A74F8220429BA1D"
     "69E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
     false},  // R is not on the curve
    {kP1, kM1,
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F"
     "69E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
     false},  // R is the field's size
    {kP1, kM1,
     "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769"
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141",
     false},  // s is the group's order
    {"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC30", kM1,
     "6CFF5C3BA86C69EA4B7376F31A9BCB4F74C1976089B2D9963DA2E5543E177769"
     "69E89B4C5564D00349106B8497785DD7D1D713A8AE82B32FA79D5F7FC407D39B",
     false},  // public key beyond the field
};

TEST(Bip340, SigningVectors) {
    for (const SigningVector &vector : kSigning) {
        const Bytes32 secret = unhex32(vector.secret);
        EXPECT_EQ(schnorr::public_key_of(secret), unhex32(vector.public_key));
        const Bytes64 signature =
            schnorr::sign(secret, unhex32(vector.message), unhex32(vector.auxiliary));
        EXPECT_EQ(to_bytes(signature), unhex(vector.signature));
        EXPECT_TRUE(schnorr::verify(unhex32(vector.public_key), unhex(vector.message), signature));
    }
}

TEST(Bip340, VerifyingVectors) {
    for (const VerifyingVector &vector : kVerifying)
        EXPECT_EQ(schnorr::verify(unhex32(vector.public_key), unhex(vector.message),
                                  *to_bytes64(unhex(vector.signature), "vector")),
                  vector.right)
            << vector.signature;
    for (const VerifyingVector &vector : kVerifying) {
        const auto point = schnorr::point_of(unhex32(vector.public_key));
        EXPECT_EQ(point && schnorr::verify(*point, unhex(vector.message),
                                           *to_bytes64(unhex(vector.signature), "vector")),
                  vector.right)
            << vector.signature;
    }
    EXPECT_FALSE(is_valid_public_key(unhex32(kVerifying[1].public_key)));
    EXPECT_FALSE(is_valid_public_key(Bytes32{}));
    EXPECT_TRUE(is_valid_public_key(unhex32(kP1)));
}

TEST(PointCache, SaysWhatIsSaidWithoutItAndStaysSmall) {
    constexpr std::size_t kEntries = 8;
    PointCache cache(kEntries);
    std::mt19937_64 random(7);
    std::vector<KeyPair> keys;
    for (std::size_t i = 0; i < 3 * kEntries; ++i) keys.push_back(KeyPair::generate());
    for (int turn = 0; turn < 200; ++turn) {
        const KeyPair &key = keys[random() % keys.size()];
        PublicKey name = key.public_key();
        if (random() % 3 == 0) name[random() % name.size()] ^= 1;  // every other one has no point
        const bool has_point = is_valid_public_key(name);
        EXPECT_EQ(cache.is_valid_public_key(name), has_point);
        SignatureBytes signature = key.sign("tag", "bytes");
        if (random() % 3 == 0) signature[random() % signature.size()] ^= 1;
        EXPECT_EQ(cache.verify("tag", "bytes", name, signature),
                  verify("tag", "bytes", name, signature));
        EXPECT_FALSE(cache.verify("tag", "other bytes", name, signature));
        EXPECT_LE(cache.size(), kEntries);
    }
    EXPECT_GT(cache.size(), kEntries / 4);
}

TEST(Bip350, ValidTexts) {
    for (const char *text :
         {"A1LQFN3A", "a1lqfn3a",
          "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7"
          "hg6",
          "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
          "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllluds"
          "r8",
          "split1checkupstagehandshakeupstreamerranterredcaperredlc445v", "?1v759aa"}) {
        const auto decoded = bech32m::decode(text);
        ASSERT_TRUE(decoded.ok()) << text << ": " << decoded.error().message;
        std::string lower;
        for (const char c : std::string_view(text)) lower += static_cast<char>(std::tolower(c));
        EXPECT_EQ(bech32m::encode(decoded->prefix, decoded->groups), lower);
    }
}

TEST(Bip350, InvalidTexts) {
    for (const char *text :
         {"\x20"
          "1xj0phk",
          "\x7f"
          "1g6xzxy",
          "\x80"
          "1vctc34",
          "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6p"
          "ts4",
          "qyrz8wqd2c9m", "1qyrz8wqd2c9m", "y1b0jsk6g", "lt1igcx5c0", "in1muywd", "mm1crxm3i",
          "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf", "", "1", "a12uel5l", "A1lqfn3a"})
        EXPECT_FALSE(bech32m::decode(text).ok()) << text;
}

TEST(Address, RoundTripsAndFindsEveryWrongCharacter) {
    const KeyPair key = KeyPair::generate();
    const std::string address = to_address(key.public_key());
    EXPECT_TRUE(address.starts_with("ompc1"));
    EXPECT_EQ(address.size(), 63u);
    EXPECT_EQ(*parse_address(address), key.public_key());
    for (std::size_t i = 0; i < address.size(); ++i) {
        for (const char c : std::string_view("qpzry9x8gf2tvdw0s3jn54khce6mua7lbio1B ")) {
            if (c == address[i]) continue;
            std::string wrong = address;
            wrong[i] = c;
            EXPECT_FALSE(parse_address(wrong).ok()) << wrong;
        }
    }
}

TEST(Address, RefusalsSayWhy) {
    const std::string other = bech32m::encode("bc", bech32m::to_groups(std::string(32, '\1')));
    const std::string shorter = bech32m::encode("ompc", bech32m::to_groups(std::string(20, '\1')));
    const struct {
        std::string text, why;
    } cases[] = {{"", "begins with \"ompc1\""},
                 {"hello", "begins with \"ompc1\""},
                 {other, "begins with \"ompc1\""},
                 {shorter, "20 bytes instead of 32"},
                 {"ompc1" + std::string(200, 'q'), "longer than 90"}};
    for (const auto &c : cases) {
        const auto parsed = parse_address(c.text);
        ASSERT_FALSE(parsed.ok());
        EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidInput);
        EXPECT_NE(parsed.error().message.find(c.why), std::string::npos) << parsed.error().message;
    }
}

TEST(KeyPair, SignaturesHoldForTheirTagBytesAndKeyOnly) {
    const KeyPair key = KeyPair::generate();
    const KeyPair other = KeyPair::generate();
    SignatureBytes signature = key.sign(sign_tag::kTx, "bytes");
    EXPECT_TRUE(verify(sign_tag::kTx, "bytes", key.public_key(), signature));
    EXPECT_FALSE(verify(sign_tag::kVoucher, "bytes", key.public_key(), signature));
    EXPECT_FALSE(verify(sign_tag::kTx, "byte", key.public_key(), signature));
    EXPECT_FALSE(verify(sign_tag::kTx, "bytes", other.public_key(), signature));
    for (std::size_t bit = 0; bit < signature.size() * 8; bit += 7) {
        signature[bit / 8] ^= 1 << bit % 8;
        EXPECT_FALSE(verify(sign_tag::kTx, "bytes", key.public_key(), signature)) << bit;
        signature[bit / 8] ^= 1 << bit % 8;
    }
}

TEST(KeyPair, RefusesSecretsThatAreNone) {
    EXPECT_FALSE(KeyPair::from_secret(Bytes32{}).ok());
    Bytes32 order = unhex32("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141");
    EXPECT_FALSE(KeyPair::from_secret(order).ok());
    --order[31];
    EXPECT_TRUE(KeyPair::from_secret(order).ok());
}

TEST(KeyPair, MovingWipesTheSource) {
    KeyPair key = KeyPair::generate();
    const KeyPair moved = std::move(key);
    EXPECT_EQ(key.secret(), Bytes32{});  // NOLINT: looking at what is left is the point
    EXPECT_NE(moved.secret(), Bytes32{});
}

}  // namespace
}  // namespace chain
