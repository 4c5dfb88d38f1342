// SPDX-License-Identifier: BSD-3-Clause
#include "chain/identity/keystore.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "chain/base/file.h"

namespace chain {
namespace {

using Json = nlohmann::json;

constexpr int kWalletVersion = 1;
constexpr std::size_t kMaxWalletBytes = 8192;
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::string_view kChecksumTag = "ompi-chain/wallet-file";

// scrypt (RFC 7914): 32 MiB and about a tenth of a second per guess. A file may ask for more, up
// to 1 GiB, so that the numbers can grow with the machines.
constexpr std::uint64_t kScryptN = 1 << 15;
constexpr std::uint64_t kScryptMaxN = 1 << 20;
constexpr std::uint64_t kScryptR = 8;
constexpr std::uint64_t kScryptP = 1;
constexpr std::uint64_t kScryptMaxP = 4;
constexpr std::uint64_t kScryptMaxMemoryBytes = (1ULL << 30) + (64ULL << 20);

struct WalletFile {
    std::string address;
    std::uint64_t scrypt_n = kScryptN;
    std::uint64_t scrypt_p = kScryptP;
    Bytes salt;
    Bytes nonce;
    Bytes ciphertext;  // secret key, then the GCM tag
};

Error corrupt(const std::string &path, std::string_view why) {
    return make_error(ErrorCode::kCorrupt, path, " is damaged: ", why,
                      "; restore it from a backup");
}

Json to_json(const WalletFile &file) {
    Json json;
    json["version"] = kWalletVersion;
    json["address"] = file.address;
    json["scrypt"] = {{"n", file.scrypt_n}, {"r", kScryptR}, {"p", file.scrypt_p}};
    json["salt"] = to_hex(file.salt);
    json["nonce"] = to_hex(file.nonce);
    json["ciphertext"] = to_hex(file.ciphertext);
    return json;
}

// Tells a damaged file from a wrong password, which AES-GCM alone cannot.
std::string checksum_of(const WalletFile &file) {
    return to_hex(tagged_hash(kChecksumTag, to_json(file).dump()));
}

bool read_hex(const Json &json, const char *field, std::size_t size_bytes, Bytes &out) {
    if (!json.contains(field) || !json[field].is_string()) return false;
    const auto text = json[field].get<std::string>();
    const auto bytes = from_hex(text);
    if (!bytes.ok() || bytes->size() != size_bytes || to_hex(*bytes) != text) return false;
    out = *bytes;
    return true;
}

bool read_number(const Json &json, const char *field, std::uint64_t minimum, std::uint64_t maximum,
                 std::uint64_t &out) {
    if (!json.contains(field) || !json[field].is_number_unsigned()) return false;
    out = json[field].get<std::uint64_t>();
    return out >= minimum && out <= maximum;
}

constexpr std::array<std::string_view, 7> kWalletFields = {
    "version", "address", "scrypt", "salt", "nonce", "ciphertext", "checksum"};

Result<WalletFile> parse_wallet(const std::string &path, std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) return corrupt(path, "it is not a JSON object");
    WalletFile file;
    std::uint64_t number = 0;
    if (!read_number(json, "version", kWalletVersion, kWalletVersion, number))
        return corrupt(path, "field \"version\" is not 1");
    if (!json.contains("address") || !json["address"].is_string() ||
        !parse_address(json["address"].get<std::string>()).ok())
        return corrupt(path, "field \"address\" is not an address");
    file.address = json["address"].get<std::string>();
    if (!json.contains("scrypt") || !json["scrypt"].is_object() ||
        !read_number(json["scrypt"], "n", kScryptN / 2, kScryptMaxN, file.scrypt_n) ||
        (file.scrypt_n & (file.scrypt_n - 1)) != 0 ||
        !read_number(json["scrypt"], "r", kScryptR, kScryptR, number) ||
        !read_number(json["scrypt"], "p", 1, kScryptMaxP, file.scrypt_p))
        return corrupt(path, "field \"scrypt\" is not within its bounds");
    if (!read_hex(json, "salt", kSaltBytes, file.salt) ||
        !read_hex(json, "nonce", kNonceBytes, file.nonce) ||
        !read_hex(json, "ciphertext", sizeof(Bytes32) + kTagBytes, file.ciphertext))
        return corrupt(path, "a hexadecimal field is missing or has a wrong length");
    for (const auto &[name, _] : json.items())
        if (std::find(kWalletFields.begin(), kWalletFields.end(), name) == kWalletFields.end())
            return corrupt(path, "it has a field that this version does not know");
    if (!json.contains("checksum") || json["checksum"] != checksum_of(file))
        return corrupt(path, "its checksum is wrong");
    return file;
}

Result<Bytes> read_key_file(const std::string &path, ErrorCode if_missing, std::string_view what) {
    auto content = read_private_file(path, kMaxWalletBytes, if_missing, what);
    if (!content.ok() && content.error().code == ErrorCode::kTooLarge)
        return corrupt(path, "it is too large");
    return content;
}

// Temporary file, fsync, link: unlike rename, link fails when the name is taken.
Status write_new_file(const std::string &path, std::string_view content) {
    const std::string doing = "write " + path;
    std::string temporary = path + ".XXXXXX";
    FileDescriptor file(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
    if (!file.valid()) return errno_error(errno, doing);
    Status written = write_all(file.get(), content, doing);
    if (written.ok() && fsync(file.get()) != 0) written = errno_error(errno, doing);
    if (written.ok() && link(temporary.c_str(), path.c_str()) != 0)
        written = errno == EEXIST ? make_error(ErrorCode::kConflict, path,
                                               " exists already; a wallet is never overwritten")
                                  : errno_error(errno, doing);
    unlink(temporary.c_str());
    CHAIN_TRY(written);
    const std::string parent = std::filesystem::path(path).parent_path().string();
    FileDescriptor folder(
        open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || fsync(folder.get()) != 0) return errno_error(errno, doing);
    return ok_status();
}

const unsigned char *bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char *>(text.data());
}

Bytes32 stretch(std::string_view password, const WalletFile &file) {
    Bytes32 key;
    CHAIN_CHECK(EVP_PBE_scrypt(password.data(), password.size(), bytes_of(file.salt),
                               file.salt.size(), file.scrypt_n, kScryptR, file.scrypt_p,
                               kScryptMaxMemoryBytes, key.data(), key.size()) == 1);
    return key;
}

struct CipherDeleter {
    void operator()(EVP_CIPHER_CTX *context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter>;

Bytes seal_secret(const Bytes32 &key, const WalletFile &file, const Bytes32 &secret) {
    const Cipher cipher(EVP_CIPHER_CTX_new());
    Bytes out(sizeof(Bytes32) + kTagBytes, '\0');
    auto *out_bytes = reinterpret_cast<unsigned char *>(out.data());
    int size = 0;
    CHAIN_CHECK(cipher != nullptr &&
                EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                   bytes_of(file.nonce)) == 1 &&
                EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes_of(file.address),
                                  static_cast<int>(file.address.size())) == 1 &&
                EVP_EncryptUpdate(cipher.get(), out_bytes, &size, secret.data(),
                                  static_cast<int>(secret.size())) == 1 &&
                EVP_EncryptFinal_ex(cipher.get(), out_bytes + size, &size) == 1 &&
                EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                                    out_bytes + sizeof(Bytes32)) == 1);
    return out;
}

bool open_secret(const Bytes32 &key, const WalletFile &file, Bytes32 &secret) {
    const Cipher cipher(EVP_CIPHER_CTX_new());
    Bytes tag = file.ciphertext.substr(sizeof(Bytes32));
    int size = 0;
    CHAIN_CHECK(cipher != nullptr &&
                EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(),
                                   bytes_of(file.nonce)) == 1 &&
                EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes_of(file.address),
                                  static_cast<int>(file.address.size())) == 1 &&
                EVP_DecryptUpdate(cipher.get(), secret.data(), &size, bytes_of(file.ciphertext),
                                  static_cast<int>(secret.size())) == 1 &&
                EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) ==
                    1);
    unsigned char none[16];
    return EVP_DecryptFinal_ex(cipher.get(), none, &size) == 1;
}

}  // namespace

Result<Bytes> read_private_file(const std::string &path, std::size_t limit_bytes,
                                ErrorCode if_missing, std::string_view what) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return make_error(if_missing, "there is no ", what, " at ", path);
        return errno_error(errno, "read " + path);
    }
    if (!S_ISREG(status.st_mode))
        return make_error(ErrorCode::kCorrupt, path, " is not a regular file");
    if ((status.st_mode & 077) != 0)
        return make_error(ErrorCode::kPermission, path,
                          " can be read by others; make it private: chmod 600 ", path);
    return read_file(path, limit_bytes);
}

Status create_wallet(const std::string &path, const KeyPair &key, std::string_view password) {
    WalletFile file;
    file.address = to_address(key.public_key());
    file.salt.resize(kSaltBytes);
    file.nonce.resize(kNonceBytes);
    fill_random(file.salt.data(), file.salt.size());
    fill_random(file.nonce.data(), file.nonce.size());
    Bytes32 stretched = stretch(password, file);
    file.ciphertext = seal_secret(stretched, file, key.secret());
    wipe(stretched.data(), stretched.size());
    Json json = to_json(file);
    json["checksum"] = checksum_of(file);
    return write_new_file(path, json.dump(2) + "\n");
}

Result<std::string> read_wallet_address(const std::string &path) {
    CHAIN_ASSIGN(const Bytes text, read_key_file(path, ErrorCode::kNoWallet, "wallet"));
    return parse_wallet_address(path, text);
}

Result<std::string> parse_wallet_address(const std::string &path, std::string_view text) {
    CHAIN_ASSIGN(const WalletFile file, parse_wallet(path, text));
    return file.address;
}

Result<KeyPair> unlock_wallet(const std::string &path, std::string_view password) {
    CHAIN_ASSIGN(const Bytes text, read_key_file(path, ErrorCode::kNoWallet, "wallet"));
    CHAIN_ASSIGN(const WalletFile file, parse_wallet(path, text));
    Bytes32 stretched = stretch(password, file);
    Bytes32 secret{};
    const bool opened = open_secret(stretched, file, secret);
    wipe(stretched.data(), stretched.size());
    if (!opened) {
        wipe(secret.data(), secret.size());
        return make_error(ErrorCode::kWrongPassword, "the password does not open the wallet ",
                          path);
    }
    auto pair = KeyPair::from_secret(secret);
    wipe(secret.data(), secret.size());
    if (!pair.ok() || to_address(pair->public_key()) != file.address)
        return corrupt(path, "its key does not belong to its address");
    return pair;
}

Result<KeyPair> load_or_create_node_key(const std::string &path) {
    if (!path_exists(path)) {
        KeyPair fresh = KeyPair::generate();
        std::string hex = to_hex(fresh.secret()) + "\n";
        const Status written = write_new_file(path, hex);
        wipe(hex);
        if (written.ok()) return fresh;
        if (written.error().code != ErrorCode::kConflict) return written.error();
    }
    CHAIN_ASSIGN(Bytes text, read_key_file(path, ErrorCode::kNotFound, "node key"));
    auto key = parse_node_key(path, text);
    wipe(text);
    return key;
}

Result<KeyPair> parse_node_key(const std::string &path, std::string_view text) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    auto secret = bytes32_from_hex(text, "node key");
    if (!secret.ok()) return corrupt(path, "it is not 64 hexadecimal digits");
    auto pair = KeyPair::from_secret(*secret);
    wipe(secret->data(), secret->size());
    if (!pair.ok()) return corrupt(path, "it is not a secret key");
    return pair;
}

Status replace_node_key(const std::string &path, const KeyPair &key) {
    std::string hex = to_hex(key.secret()) + "\n";
    const Status written = write_file_atomic(path, hex, 0600);
    wipe(hex);
    return written;
}

}  // namespace chain
