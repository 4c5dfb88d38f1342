// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/operators.h"

#include <algorithm>
#include <mutex>

namespace hpips {
namespace {

std::map<std::string, Operator, std::less<>> &registry() {
    static std::map<std::string, Operator, std::less<>> operators;
    return operators;
}

void add_built_in_operators() {
    static std::once_flag once;
    std::call_once(once, [] {
        for (auto group : {tone_operators, geometry_operators, filter_operators, rank_operators,
                           denoise_operators, band_operators})
            for (Operator &built_in : group()) add_operator(std::move(built_in));
    });
}

}  // namespace

int Format::cv_type() const {
    const int depths[] = {CV_8U, CV_16U, CV_32F};
    return CV_MAKETYPE(depths[static_cast<int>(depth)], bands);
}

size_t Format::pixel_bytes() const {
    return CV_ELEM_SIZE(cv_type());
}

std::string Format::text() const {
    const char *depths[] = {"8 bit", "16 bit", "float"};
    std::string text = depths[static_cast<int>(depth)];
    text += ", " + std::to_string(colour_bands()) + (colour_bands() == 1 ? " band" : " bands");
    return has_alpha ? text + " and alpha" : text;
}

double full_scale(Depth depth) {
    return depth == Depth::kU8 ? 255.0 : depth == Depth::kU16 ? 65535.0 : 1.0;
}

const Values::Value &Values::at(const std::string &name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) throw std::logic_error("no parameter is named " + name);
    return found->second;
}

int Values::integer(const std::string &name) const {
    return static_cast<int>(at(name).number);
}

double Values::real(const std::string &name) const {
    return at(name).number;
}

const std::string &Values::word(const std::string &name) const {
    return at(name).token;
}

void Values::set(const std::string &name, std::string token, double number) {
    values_[name] = {std::move(token), number};
}

void add_operator(Operator added) {
    if (!added.apply) throw std::logic_error("operator " + added.name + " computes nothing");
    const std::string name = added.name;
    if (!registry().emplace(name, std::move(added)).second)
        throw std::logic_error("two operators are named " + name);
}

const Operator *find_operator(std::string_view name) {
    add_built_in_operators();
    const auto found = registry().find(name);
    return found == registry().end() ? nullptr : &found->second;
}

std::vector<const Operator *> all_operators() {
    add_built_in_operators();
    std::vector<const Operator *> all;
    for (const auto &[name, one] : registry()) all.push_back(&one);
    return all;
}

cv::Mat keep_alpha(const cv::Mat &pixels, const Format &format,
                   const std::function<cv::Mat(const cv::Mat &)> &change) {
    if (!format.has_alpha) return change(pixels);
    std::vector<cv::Mat> bands;
    cv::split(pixels, bands);
    cv::Mat alpha = bands.back();
    bands.pop_back();
    cv::Mat colour;
    cv::merge(bands, colour);
    std::vector<cv::Mat> changed;
    cv::split(change(colour), changed);
    if (changed.front().depth() != alpha.depth())
        throw std::logic_error("keep_alpha: the operator changed the depth");
    changed.push_back(alpha);
    cv::Mat whole;
    cv::merge(changed, whole);
    return whole;
}

Parameter integer_parameter(std::string name, int standard, int least, int most, std::string help) {
    return {std::move(name),
            Parameter::Kind::kInteger,
            std::to_string(standard),
            static_cast<double>(least),
            static_cast<double>(most),
            {},
            std::move(help)};
}

Parameter real_parameter(std::string name, std::string standard, double least, double most,
                         std::string help) {
    return {std::move(name), Parameter::Kind::kReal, std::move(standard), least, most, {},
            std::move(help)};
}

Parameter word_parameter(std::string name, std::vector<std::string> words, std::string help) {
    std::string standard = words.front();
    return {std::move(name),  Parameter::Kind::kWord, std::move(standard), 0, 0,
            std::move(words), std::move(help)};
}

}  // namespace hpips
