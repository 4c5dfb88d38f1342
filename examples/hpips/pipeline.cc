// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/pipeline.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <sstream>

namespace hpips {
namespace {

struct Token {
    enum class Kind { kWord, kEquals, kBar, kEndOfLine, kEnd };
    Kind kind;
    std::string_view text;
    size_t place;
};

[[noreturn]] void fail_at(std::string_view text, size_t place, const std::string &what) {
    const size_t before = place == 0 ? std::string_view::npos : text.rfind('\n', place - 1);
    const size_t begin = before == std::string_view::npos ? 0 : before + 1;
    const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
    // Tabs stay tabs, so that the caret stands below its place; a letter of several bytes counts
    // once.
    std::string caret;
    for (const char c : line.substr(0, place - begin)) {
        if (c == '\t')
            caret += '\t';
        else if ((c & 0xC0) != 0x80)
            caret += ' ';
    }
    std::string message = what;
    const auto number =
        1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(begin), '\n');
    if (text.find('\n') != std::string_view::npos)
        message += " (line " + std::to_string(number) + ")";
    throw Failure(message + "\n  " + std::string(line) + "\n  " + caret + "^");
}

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || (c != 0 && std::strchr("_.+-", c));
}

std::vector<Token> tokens_of(std::string_view text) {
    std::vector<Token> tokens;
    for (size_t i = 0; i < text.size();) {
        const char c = text[i];
        if (c == '#') {
            i = std::min(text.size(), text.find('\n', i));
        } else if (c == '\n') {
            tokens.push_back({Token::Kind::kEndOfLine, text.substr(i, 1), i});
            ++i;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            ++i;
        } else if (c == '=' || c == '|') {
            tokens.push_back(
                {c == '=' ? Token::Kind::kEquals : Token::Kind::kBar, text.substr(i, 1), i});
            ++i;
        } else if (is_word(c)) {
            const size_t begin = i;
            while (i < text.size() && is_word(text[i])) ++i;
            tokens.push_back({Token::Kind::kWord, text.substr(begin, i - begin), begin});
        } else {
            fail_at(text, i, "a character that means nothing here");
        }
    }
    tokens.push_back({Token::Kind::kEnd, {}, text.size()});
    return tokens;
}

std::string number_text(double number) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    return {buffer, end};
}

// The reason why `token` is no value of `parameter`, or "" and the number that it is.
std::string value_error(const Parameter &parameter, std::string_view token, double &number) {
    if (parameter.kind == Parameter::Kind::kWord) {
        const auto &words = parameter.words;
        if (std::find(words.begin(), words.end(), token) != words.end()) return "";
        std::string list;
        for (const std::string &word : words) list += (list.empty() ? "" : ", ") + word;
        return parameter.name + " is one of: " + list;
    }
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
    const bool whole = error == std::errc() && end == token.data() + token.size();
    const std::string range = number_text(parameter.least) + " to " + number_text(parameter.most);
    if (!whole || !std::isfinite(number)) return parameter.name + " is a number, " + range;
    if (parameter.kind == Parameter::Kind::kInteger && number != std::floor(number))
        return parameter.name + " is a whole number, " + range;
    if (number < parameter.least || number > parameter.most)
        return parameter.name + " goes from " + range;
    return "";
}

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text), tokens_(tokens_of(text)) {}

    std::vector<Step> steps() {
        std::vector<Step> steps;
        bool after_bar = false;
        for (;;) {
            while (now().kind == Token::Kind::kEndOfLine) ++next_;
            if (now().kind == Token::Kind::kEnd && !steps.empty() && !after_bar) return steps;
            if (now().kind != Token::Kind::kWord) fail("an operator is missing here");
            if (steps.size() == kStepsMax)
                fail("more than " + std::to_string(kStepsMax) + " steps");
            steps.push_back(step());
            after_bar = now().kind == Token::Kind::kBar;
            if (after_bar) ++next_;
        }
    }

private:
    const Token &now() const { return tokens_[next_]; }
    [[noreturn]] void fail(const std::string &what) const { fail_at(text_, now().place, what); }

    Step step() {
        const Operator *op = find_operator(now().text);
        if (op == nullptr) {
            std::vector<std::string> names;
            for (const Operator *one : all_operators()) names.push_back(one->name);
            fail("no operator is named " + std::string(now().text) +
                 suggestion(now().text, names, "; `hpips ops` lists them"));
        }
        ++next_;
        Step step{op, {}};
        std::vector<std::string> given;
        while (now().kind == Token::Kind::kWord) assign(step, given);
        if (now().kind == Token::Kind::kEquals) fail("a parameter's name is missing before this");
        for (const Parameter &parameter : op->parameters)
            if (std::find(given.begin(), given.end(), parameter.name) == given.end())
                set(step, parameter, parameter.standard);
        return step;
    }

    static std::string suggestion(std::string_view word, const std::vector<std::string> &names,
                                  const std::string &otherwise) {
        const std::string name = nearest_name(word, names);
        return name.empty() ? otherwise : "; did you mean " + name + "?";
    }

    void set(Step &step, const Parameter &parameter, std::string_view token) const {
        double number = 0;
        const std::string error = value_error(parameter, token, number);
        if (!error.empty()) fail(error);
        const bool is_word = parameter.kind == Parameter::Kind::kWord;
        step.values.set(parameter.name, is_word ? std::string(token) : number_text(number), number);
    }

    void assign(Step &step, std::vector<std::string> &given) {
        const std::string name(now().text);
        const auto &parameters = step.op->parameters;
        const auto found = std::find_if(parameters.begin(), parameters.end(),
                                        [&](const Parameter &one) { return one.name == name; });
        if (found == parameters.end()) {
            std::vector<std::string> names;
            for (const Parameter &one : parameters) names.push_back(one.name);
            const std::string hint = names.empty()
                                         ? ": it has none"
                                         : suggestion(name, names, ": it has " + joined(names));
            fail(step.op->name + " has no parameter " + name + hint);
        }
        if (std::find(given.begin(), given.end(), name) != given.end())
            fail(name + " is given twice");
        given.push_back(name);
        ++next_;
        if (now().kind != Token::Kind::kEquals) fail("= is missing here: " + name + "=VALUE");
        ++next_;
        if (now().kind != Token::Kind::kWord) fail("the value of " + name + " is missing here");
        set(step, *found, now().text);
        ++next_;
    }

    static std::string joined(const std::vector<std::string> &words) {
        std::string list;
        for (const std::string &word : words) list += (list.empty() ? "" : ", ") + word;
        return list;
    }

    std::string_view text_;
    std::vector<Token> tokens_;
    size_t next_ = 0;
};

size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < a.size(); ++i) {
        size_t diagonal = row[0]++;
        for (size_t j = 0; j < b.size(); ++j) {
            const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({changed, row[j + 1] + 1, row[j] + 1});
        }
    }
    return row.back();
}

}  // namespace

std::string nearest_name(std::string_view word, const std::vector<std::string> &names) {
    constexpr size_t kWordMax = 40;
    std::string nearest;
    size_t least = 3;  // more differences are no slip of the finger
    if (word.size() > kWordMax) return nearest;
    for (const std::string &name : names) {
        const size_t distance = edit_distance(word, name);
        if (distance < least && distance < name.size()) {
            least = distance;
            nearest = name;
        }
    }
    return nearest;
}

Pipeline Pipeline::parse(std::string_view text) {
    if (text.size() > kPipelineTextMax)
        throw Failure("a pipeline has at most " + std::to_string(kPipelineTextMax) + " bytes");
    Pipeline pipeline;
    pipeline.steps_ = Parser(text).steps();
    for (const Step &step : pipeline.steps_) {
        if (!pipeline.text_.empty()) pipeline.text_ += " | ";
        pipeline.text_ += step.op->name;
        for (const Parameter &parameter : step.op->parameters)
            pipeline.text_ += " " + parameter.name + "=" + step.values.word(parameter.name);
    }
    return pipeline;
}

Pipeline Pipeline::read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Failure(path + ": cannot be read: " + std::strerror(errno));
    std::string text(kPipelineTextMax + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    try {
        return parse(text);
    } catch (const Failure &failure) {
        throw Failure(path + ": " + failure.what());
    }
}

double Pipeline::tolerance() const {
    double sum = 0;
    for (const Step &step : steps_) sum += step.op->tolerance;
    return sum;
}

}  // namespace hpips
