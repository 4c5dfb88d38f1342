# SPDX-License-Identifier: BSD-3-Clause
"""The worked examples of the rules of money. golden/money_rules.json is what the code computes
(golden_test.cc); here it is computed again (reference.py), and the tables that the documents show
are held to it. `examples.py --write` writes those tables anew, between their marks:

    <!-- example: NAME -->
    <!-- end of example -->
"""

import json
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import reference  # noqa: E402

ROOT = os.environ.get("TEST_SOURCE_DIR", os.path.dirname(os.path.dirname(HERE)))
DOCUMENTS = ("docs/money_rules.md", "docs/adr/0010-ratios-start-from-nothing.md")
BLOCK = re.compile(r"(<!-- example: ([\w-]+) -->\n)(.*?)(<!-- end of example -->)", re.DOTALL)


# ---- how figures are written

def text(value):
    return str(value)


def number(value):
    return f"{value:,}"


def tokens(units):
    whole, rest = divmod(units, reference.UNITS_PER_TOKEN)
    return f"{whole:,}" + (f".{rest:09}".rstrip("0") if rest else "")


def q16(value):
    """Shares of one in four places, rounded down; the figure that counts is the sixteen bits."""
    whole, rest = divmod(value * 10_000 // reference.Q, 10_000)
    return f"{whole}.{rest:04}"


def ghz_h(cycles):
    return tokens(cycles * reference.UNITS_PER_TOKEN // reference.CYCLES_PER_GHZ_H)


def percent(ppm):
    return f"{ppm / 10_000:.4f}".rstrip("0").rstrip(".") + " %"


def halvings(row):
    return f"{row['elapsed_ms'] / row['halving_ms']:g}"


def audits(score):
    return f"{score // 1000:,}.{score % 1000:03}".rstrip("0").rstrip(".")


# ---- the tables: of which examples, and their columns: heading, field, how it is written

LEG = [("collateral", "collateral", number)]
RECORD = [("who", "who", text), ("shares", "shares", number),
          ("burned as provider", "burned_as_provider", tokens),
          ("as renter", "burned_as_renter", tokens), ("failed", "failed", tokens),
          ("audits", "audit_score", audits), ("satisfied", "satisfied", tokens),
          ("dissatisfied", "dissatisfied", tokens), ("stake", "stake", tokens),
          ("blocks since its own", "blocks_since_own", number)]
RESULT = [("who", "who", text), ("vol", "volume_q16", q16), ("C", "completion_q16", q16),
          ("T", "run_time_q16", q16), ("X", "verification_q16", q16),
          ("f", "satisfaction_q16", q16), ("q", "quality_q16", q16), ("sigma", "stake_q16", q16),
          ("rec", "recovery_q16", q16), ("m", "multiplier_q16", q16)] + LEG
VIEWS = {
    "payment": ("payment", [
        ("cycles used", "cycles", number), ("payment", "payment", number),
        ("burned", "burned", number), ("to the provider", "to_provider", number),
        ("refund", "refund", number), ("escrow", "escrow", number)]),
    "collateral": ("collateral", [
        ("leg", "leg", text), ("escrow", "escrow", number), ("q", "quality_q16", q16),
        ("earned in 2 s", "earned_in_2_s", number)] + LEG),
    "forfeit": ("forfeit", [
        ("end", "end", text), ("to the provider", "to_provider", number),
        ("burned", "burned", number), ("refund", "refund", number),
        ("penalty, burned", "penalty", number), ("collateral back", "collateral", number), ("forfeit, burned", "forfeit", number)]),
    "deposit": ("deposit", [
        ("reserved leg", "end", text), ("payment by voucher", "payment", number),
        ("to the provider", "to_provider", number), ("burned", "burned", number),
        ("refund", "refund", number), ("penalty, burned", "penalty", number)]),
    "split": ("split", [
        ("node", "node", number), ("provided, GHz·h", "cycles", ghz_h),
        ("income, units", "income", number)]),
    "mining": ("mining", [
        ("income, satoshi", "income_satoshi", number),
        ("price of a token, satoshi", "satoshi_per_token", number),
        ("reward, units", "tokens", number)]),
    "mining-split": ("mining_split", [
        ("node", "node", number), ("mined, GHz·h", "cycles", ghz_h),
        ("income, units", "income", number)]),
    "ask-floor": ("ask_floor", [
        ("bought by mining, units", "mined", number), ("with, GHz·h", "cycles", ghz_h),
        ("margin", "margin_ppm", percent),
        ("lowest ask, units per GHz·h", "floor_per_ghz_h", number)]),
    "rewards": ("rewards", [
        ("halving periods", None, halvings), ("paid out, tokens", "emitted", tokens),
        ("still in the pool", "left", tokens), ("in the day that follows", "next_day", tokens)]),
    "slash": ("slash", [
        ("stake, units", "stake", number), ("to the reporter", "to_reporter", number),
        ("burned", "burned", number)]),
    "decay": ("decay", [
        ("steps", "steps", number), ("left of 1,000,000,000", "faded", number)]),
    "records": ("coefficient", RECORD),
    "coefficient": ("coefficient", RESULT),
    "cut-records": ("cutting", RECORD),
    "cut-coefficient": ("cutting", RESULT),
    "ratio": ("ratio", [
        ("accounts", "parts", number), ("done of each", "done", tokens),
        ("failed of each", "failed", tokens), ("from nothing", "from_nothing_q16", q16),
        ("from a half", "from_a_half_q16", q16)]),
}


def table(golden, name):
    source, columns = VIEWS[name]
    lines = ["| " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|" + "".join("---|" if write is text else "--:|" for _, _, write in columns))
    for row in golden[source]:
        cells = [write(row if field is None else row[field]) for _, field, write in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def golden_file():
    return json.loads(read("tests/incentive/golden/money_rules.json"))


def write():
    golden = golden_file()
    for path in DOCUMENTS:
        with_tables = BLOCK.sub(lambda block: block[1] + table(golden, block[2]) + block[4],
                                read(path))
        with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
            file.write(with_tables)


class Examples(unittest.TestCase):
    maxDiff = None

    def test_the_formulas_give_the_same_again(self):
        golden = golden_file()
        self.assertEqual({"params", *reference.BY_ROW, *reference.BY_TABLE}, set(golden))
        params = golden["params"][0]
        for name, formula in reference.BY_ROW.items():
            for row in golden[name]:
                with self.subTest(table=name, row=row):
                    computed = formula(row, params)
                    self.assertEqual(computed, {field: row[field] for field in computed})
        for name, formula in reference.BY_TABLE.items():
            with self.subTest(table=name):
                self.assertEqual(formula(golden[name]), [row["income"] for row in golden[name]])

    def test_the_documents_show_these_figures(self):
        golden, shown = golden_file(), set()
        for path in DOCUMENTS:
            for _, name, body, _ in BLOCK.findall(read(path)):
                with self.subTest(document=path, table=name):
                    self.assertEqual(body, table(golden, name), "run tests/incentive/examples.py --write")
                shown.add(name)
        self.assertEqual(shown, set(VIEWS), "an example that no document shows")

    def test_a_wrong_figure_is_noticed(self):
        golden = golden_file()
        before = table(golden, "payment")
        golden["payment"][3]["burned"] += 1
        self.assertNotEqual(before, table(golden, "payment"))
        row = golden["payment"][3]
        self.assertNotEqual(reference.payment(row, golden["params"][0])["burned"], row["burned"])


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()
