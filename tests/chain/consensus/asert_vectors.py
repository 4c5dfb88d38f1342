#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ASERT once more, from what chain/consensus/target.h says of it, in numbers of any length.

  asert_vectors.py write   makes asert_vectors.txt, which the C++ tests read
  asert_vectors.py         checks that the file says what this program says

Each line: anchor, spacing_ms, half_life_ms, easiest, anchor_time_ms, parent_time_ms,
parent_height, target, exact target. Targets in hexadecimal, the rest in decimal. The exact target
is anchor x 2^x within the limits, rounded down, without any table or rounding of x; only where x is
no multiple of 2^-64, x is cut off there."""

import os
import random
import sys
from math import isqrt

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "asert_vectors.txt")
U64 = 2**64 - 1
U256 = 2**256 - 1
PRECISION = 640  # bits after the point, in the exact one


def roots(count, bits):
    """2^(1/2), 2^(1/4), ... with `bits` bits after the point, rounded down."""
    root, found = 2 << 2 * bits, []
    for _ in range(count):
        root = isqrt(root << 2 * bits)
        found.append(root >> bits)
    return found


TABLE = roots(16, 32)
FINE_TABLE = roots(64, PRECISION)


def power_of_two(fraction, table, bits):
    """2^(fraction / 2^len(table)) with `bits` bits after the point."""
    product = 1 << bits
    for place, root in enumerate(table, 1):
        if fraction >> (len(table) - place) & 1:
            product = product * root >> bits
    return product


def scaled(anchor, late_ms, half_life_ms, table, bits):
    x = (late_ms << len(table)) // half_life_ms
    whole, fraction = x >> len(table), x & (1 << len(table)) - 1
    if whole > 300:
        return U256 if anchor else 0
    if whole < -300:
        return 0
    product = anchor * power_of_two(fraction, table, bits)
    shift = whole - bits
    return product << shift if shift >= 0 else product >> -shift


def line(anchor, spacing_ms, half_life_ms, easiest, anchor_time_ms, parent_time_ms, height):
    late_ms = parent_time_ms - anchor_time_ms - spacing_ms * height
    targets = [
        min(max(scaled(anchor, late_ms, half_life_ms, table, bits), 1), easiest)
        for table, bits in ((TABLE, 32), (FINE_TABLE, PRECISION))
    ]
    return (f"{anchor:064x} {spacing_ms} {half_life_ms} {easiest:064x} {anchor_time_ms} "
            f"{parent_time_ms} {height} {targets[0]:064x} {targets[1]:064x}")


def vectors():
    start, spacing, half_life = 1_700_000_000_000, 10_000, 300_000
    anchor, easiest = 2**240 - 1, 2**252
    for late_ms in (0, 1, -1, half_life, -half_life, half_life // 2, 100 * half_life,
                    -300 * half_life, 3_333_333, -777_777):
        time_ms = start + spacing * 1_000 + late_ms
        yield line(anchor, spacing, half_life, easiest, start, max(time_ms, 0), 1_000)
    for time_ms, height in ((0, 0), (U64, 0), (0, U64), (U64, U64)):
        for anchor_time_ms in (0, U64):
            yield line(anchor, U64, 1, U256, anchor_time_ms, time_ms, height)
            yield line(U256, 1, U64, U256, anchor_time_ms, time_ms, height)
            yield line(1, U64, U64, 1, anchor_time_ms, time_ms, height)
    dice = random.Random(20)  # the file is the same each time
    for _ in range(150):
        spacing = dice.randrange(1 << dice.randrange(1, 20)) + 1
        half_life = dice.randrange(1 << dice.randrange(1, 30)) + 1
        height = dice.randrange(1 << dice.randrange(1, 30))
        late_ms = dice.randrange(-20 * half_life, 20 * half_life)
        yield line(dice.randrange(1, 1 << dice.randrange(1, 256) + 1), spacing, half_life,
                   dice.randrange(1, 1 << 256) | 1 << 200, start,
                   max(start + spacing * height + late_ms, 0), height)


def main():
    text = "".join(vector + "\n" for vector in vectors())
    if sys.argv[1:] == ["write"]:
        with open(FILE, "w", encoding="ascii") as file:
            file.write(text)
        return 0
    with open(FILE, encoding="ascii") as file:
        if file.read() == text:
            return 0
    print(f"{FILE} is not what this program makes: run it with `write`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
