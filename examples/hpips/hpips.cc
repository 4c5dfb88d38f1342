// SPDX-License-Identifier: BSD-3-Clause
#include "examples/hpips/hpips.h"

int main(int argc, char **argv) {
    return hpips::main(argc, argv);
}
