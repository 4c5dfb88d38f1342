// SPDX-License-Identifier: BSD-3-Clause
// Pipelines as people write them:
//
//   pipeline  = step { separator step }
//   separator = '|' or the end of a line; a '|' may stand at the end of a line
//   step      = NAME { NAME '=' VALUE }
//   NAME      = letters, digits and '_';  VALUE = letters, digits and '_', '.', '+', '-'
//   '#' begins a comment, to the end of the line
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "examples/hpips/hpips.h"

namespace hpips {

struct Step {
    const Operator *op;
    Values values;
};

class Pipeline {
public:
    // What is wrong is thrown as a Failure that shows the line, with a caret below the place.
    static Pipeline parse(std::string_view text);
    // A file's text. Larger than kPipelineTextMax: Failure.
    static Pipeline read(const std::string &path);

    const std::vector<Step> &steps() const { return steps_; }
    // One line with every parameter: parses to the same pipeline, and is the same for all
    // spellings.
    const std::string &text() const { return text_; }
    double tolerance() const;

private:
    std::vector<Step> steps_;
    std::string text_;
};

// The one of `names` that `word` was meant to be, or "".
std::string nearest_name(std::string_view word, const std::vector<std::string> &names);

}  // namespace hpips
