// SPDX-License-Identifier: BSD-3-Clause
//
// Questions to the person at the terminal, and passwords.
#include <algorithm>
#include <cerrno>
#include <ostream>

#include <termios.h>
#include <unistd.h>

#include "chain/cli/cli.h"
#include "chain/client/text.h"

namespace chain::cli {
namespace {

constexpr std::size_t kMaxLineBytes = 1024;

// One byte; false at the end of the input.
Result<bool> read_byte(int fd, char &byte) {
    for (;;) {
        const ssize_t got = read(fd, &byte, 1);
        if (got > 0) return true;
        if (got == 0) return false;
        if (errno != EINTR) return errno_error(errno, "read standard input");
    }
}

// A terminal without echo, and with every key a plain byte: Ctrl-C must not end the program
// before the echo is back.
class SilentTerminal {
public:
    explicit SilentTerminal(int fd) : fd_(fd), changed_(tcgetattr(fd, &before_) == 0) {
        if (!changed_) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG);
        silent.c_cc[VMIN] = 1;
        silent.c_cc[VTIME] = 0;
        changed_ = tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
    }
    ~SilentTerminal() {
        if (changed_) tcsetattr(fd_, TCSAFLUSH, &before_);
    }
    SilentTerminal(const SilentTerminal &) = delete;
    SilentTerminal &operator=(const SilentTerminal &) = delete;
    bool silent() const { return changed_; }

private:
    int fd_;
    termios before_{};
    bool changed_;
};

Result<std::string> ask_silently(Console &console, std::string_view prompt) {
    constexpr char kInterrupt = 0x03, kEndOfInput = 0x04, kEraseLine = 0x15, kDelete = 0x7f;
    console.err << prompt << std::flush;
    const SilentTerminal terminal(console.input_fd);
    if (!terminal.silent())
        return make_error(ErrorCode::kIo, "cannot switch off the terminal's echo");
    std::string typed;
    const auto cancelled = [&] {
        console.err << "\n";
        wipe(typed);
        return make_error(ErrorCode::kCancelled, "cancelled");
    };
    for (char byte = 0;;) {
        CHAIN_ASSIGN(const bool more, read_byte(console.input_fd, byte));
        if (!more || byte == kInterrupt || byte == kEndOfInput) return cancelled();
        if (byte == '\n' || byte == '\r') break;
        if (byte == kEraseLine) {
            wipe(typed);
            typed.clear();
        } else if (byte == kDelete || byte == '\b') {
            if (!typed.empty()) typed.pop_back();
        } else if (typed.size() < kMaxLineBytes) {
            typed += byte;
        }
    }
    console.err << "\n";
    return typed;
}

Result<std::string> password_from_file(const Invocation &invocation, const std::string &path) {
    if (path == "-") return read_line(invocation.console.input_fd);
    CHAIN_ASSIGN(Bytes content, read_file(path, kMaxLineBytes));
    content.resize(std::min(content.find('\n'), content.size()));
    if (!content.empty() && content.back() == '\r') content.pop_back();
    return content;
}

}  // namespace

Result<std::string> read_line(int fd) {
    std::string line;
    for (char byte = 0;;) {
        CHAIN_ASSIGN(const bool more, read_byte(fd, byte));
        if (!more && line.empty())
            return make_error(ErrorCode::kCancelled, "the input has ended; nothing was changed");
        if (!more || byte == '\n') break;
        if (line.size() == kMaxLineBytes)
            return make_error(ErrorCode::kTooLarge, "the line is longer than ", kMaxLineBytes,
                              " bytes");
        line += byte;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
}

Status confirm(const Invocation &invocation, const std::string &question) {
    Console &console = invocation.console;
    if (invocation.arguments.has("yes") || !console.interactive) return ok_status();
    console.err << question << " [y/N] " << std::flush;
    const auto answer = read_line(console.input_fd);
    if (!answer.ok()) return answer.error();
    if (*answer == "y" || *answer == "Y" || *answer == "yes") return ok_status();
    return make_error(ErrorCode::kCancelled, "cancelled; nothing was changed");
}

Result<std::string> read_password(const Invocation &invocation, std::string_view prompt,
                                  bool twice) {
    Console &console = invocation.console;
    std::string password;
    if (invocation.arguments.has("password-file")) {
        CHAIN_ASSIGN(password,
                     password_from_file(invocation, invocation.arguments.value("password-file")));
    } else if (!console.interactive) {
        return make_error(ErrorCode::kInvalidInput,
                          "a password is needed and nobody can be asked: give --password-file "
                          "FILE (`-` for standard input)");
    } else {
        CHAIN_ASSIGN(password, ask_silently(console, prompt));
        if (twice) {
            CHAIN_ASSIGN(std::string again, ask_silently(console, "The same again: "));
            const bool same = again == password;
            wipe(again);
            if (!same) return make_error(ErrorCode::kInvalidInput, "the two passwords differ");
        }
    }
    if (password.empty()) return make_error(ErrorCode::kInvalidInput, "the password is empty");
    return password;
}

std::string shell_quoted(const std::string &text) {
    constexpr std::string_view kPlain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";
    if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

std::string short_address(std::string_view address) {
    constexpr std::size_t kHead = 9, kTail = 4;
    if (address.size() <= kHead + kTail + 1) return std::string(address);
    return std::string(address.substr(0, kHead)) + "…" +
           std::string(address.substr(address.size() - kTail));
}

std::string included_text(const wire::TxReceipt &receipt) {
    return " in block " + std::to_string(receipt.height()) +
           (receipt.is_final() ? "" : ", which is not final yet") + ", transaction " +
           client::printable(receipt.tx_id());
}

std::string format_fields(const std::vector<std::pair<std::string, std::string>> &fields) {
    client::Table table({{"", client::Align::kLeft}, {"", client::Align::kLeft, 200}});
    for (const auto &[name, value] : fields) table.add_row({name, value});
    return table.format();
}

}  // namespace chain::cli
