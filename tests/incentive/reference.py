# SPDX-License-Identifier: BSD-3-Clause
"""The rules of money a second time, as docs/money_rules.md states them, in whole numbers of any
size. Each function takes a row of an example and returns what has to be in it."""

from math import isqrt

CYCLES_PER_GHZ_H = 3_600_000_000_000
UNITS_PER_TOKEN = 1_000_000_000
PPM = 1_000_000
Q = 65_536


def up(numerator, denominator):
    return -(-numerator // denominator)


def cycles_in(row, milliseconds):
    return row["slots"] * row["hz_max"] * milliseconds // 1000


def payment(row, params):
    escrow = up(row["price_per_ghz_h"] * row["cycles_max"], CYCLES_PER_GHZ_H)
    paid = row["price_per_ghz_h"] * row["cycles"] // CYCLES_PER_GHZ_H
    burned = up(paid * params["burn_ppm"], PPM)
    return {"escrow": escrow, "payment": paid, "burned": burned, "to_provider": paid - burned,
            "refund": escrow - paid}


def collateral(row, params):
    price = row["price_per_ghz_h"]
    most, least = params["collateral_max_ppm"], params["collateral_min_ppm"]
    escrow = up(price * row["cycles_max"], CYCLES_PER_GHZ_H)
    by_quality = up(escrow * (most * Q - (most - least) * row["quality_q16"]), PPM * Q)
    at_risk = min(row["cycles_max"], cycles_in(row, params["collateral_at_risk_ms"]))
    return {"escrow": escrow,
            "earned_in_2_s": price * cycles_in(row, 2_000) // CYCLES_PER_GHZ_H,
            "collateral": max(by_quality, up(price * at_risk, CYCLES_PER_GHZ_H))}


def penalty_of_a_dispute(row, params):
    not_signed = min(row["cycles_max"] - row["cycles"], cycles_in(row, params["unsigned_work_ms"]))
    return up(row["price_per_ghz_h"] * not_signed, CYCLES_PER_GHZ_H)


def forfeit(row, params):
    lost = {"not started": params["start_forfeit_ppm"], "never seen": params["lost_forfeit_ppm"],
            "lost": params["lost_forfeit_ppm"]}.get(row["end"], 0)
    ran = row["end"] not in ("not started", "never seen", "voided")
    paid = row["payment"] if ran else 0
    burned = up(paid * params["burn_ppm"], PPM)
    gone = up(row["put_up"] * lost, PPM)
    penalty = min(row["escrow"] - paid, penalty_of_a_dispute(row, params))
    penalty = penalty if row["end"] == "disputed" else 0
    return {"to_provider": paid - burned, "burned": burned,
            "refund": row["escrow"] - paid - penalty, "penalty": penalty,
            "collateral": row["put_up"] - gone, "forfeit": gone}


def deposit(row, params):
    least = up(row["escrow"] * params["deposit_ppm"], PPM)
    paid = max(row["payment"], least if row["due_to"] == "provider" else 0)
    penalty = max(0, least - paid) if row["due_to"] == "nobody" else 0
    if row["end"] == "disputed":
        penalty = max(penalty, min(row["escrow"] - paid, penalty_of_a_dispute(row, params)))
    burned = up(paid * params["burn_ppm"], PPM)
    return {"deposit": least, "to_provider": paid - burned, "burned": burned,
            "refund": row["escrow"] - paid - penalty, "penalty": penalty}


def split(rows):
    """Of all rows of one split: the incomes."""
    total, consumed = rows[0]["total"], sum(row["cycles"] for row in rows)
    incomes = [total * row["cycles"] // consumed for row in rows]
    largest = max(range(len(rows)), key=lambda i: (rows[i]["cycles"], -i))
    incomes[largest] += total - sum(incomes)
    return incomes


def mining(row, _):
    return {"tokens": row["income_satoshi"] * UNITS_PER_TOKEN // row["satoshi_per_token"]}


def ask_floor(row, _):
    per_ghz_h = up(row["mined"] * CYCLES_PER_GHZ_H, row["cycles"])
    return {"floor_per_ghz_h": up(per_ghz_h * (PPM + row["margin_ppm"]), PPM)}


def emitted(pool, halving_ms, elapsed_ms):
    periods, rest = divmod(elapsed_ms, halving_ms)
    left, left_after = pool >> periods, pool >> (periods + 1)
    return pool - left + (left - left_after) * rest // halving_ms


def rewards(row, _):
    def out(elapsed_ms):
        return emitted(row["pool"], row["halving_ms"], elapsed_ms)
    now = out(row["elapsed_ms"])
    return {"emitted": now, "left": row["pool"] - now,
            "next_day": out(row["elapsed_ms"] + 24 * 3600 * 1000) - now}


def slash(row, params):
    reporter = row["stake"] * params["slash_reporter_ppm"] // PPM
    return {"to_reporter": reporter, "burned": row["stake"] - reporter}


def faded(value, steps):
    sixteenth = 1 << (512 - steps % 16)
    for _ in range(4):
        sixteenth = isqrt(sixteenth)
    return value * sixteenth >> (32 + steps // 16)


def decay(row, _):
    return {"faded": faded(row["value"], row["steps"])}


def sat(x, half):
    return x * Q // (x + half)


def trust(good, bad, prior):
    return good * Q // (good + bad + prior)


def coefficient(row, params):
    prior, half = params["prior_units"], params["volume_half_units"]
    volume = (40 * sat(row["shares"], params["shares_half"])
              + 40 * sat(row["burned_as_provider"], half)
              + 20 * sat(row["burned_as_renter"], half)) // 100
    done = trust(row["done"], row["failed"], prior)
    on_time = trust(row["on_time"], row["late"], prior)
    verified = Q - Q * 3_000 // max(row["audit_score"], 9_000)
    satisfied = Q * 9 // 10 + trust(row["satisfied"], row["dissatisfied"], 4 * prior) // 5
    quality = min(Q, volume * done * on_time * verified * satisfied >> 64)
    stake = min(row["stake"], params["stake_full_units"]) * Q // params["stake_full_units"]
    recovery = min(Q, row["blocks_since_own"] * Q // params["recovery_blocks"])
    hour = {"price_per_ghz_h": 30_000_000, "slots": 2, "hz_max": 2_500_000_000,
            "cycles_max": 5 * CYCLES_PER_GHZ_H, "quality_q16": quality}
    return {"volume_q16": volume, "completion_q16": done, "run_time_q16": on_time,
            "verification_q16": verified, "satisfaction_q16": satisfied, "quality_q16": quality,
            "stake_q16": stake, "recovery_q16": recovery,
            "multiplier_q16": Q + ((params["boost_max"] - 1) * stake * quality * recovery >> 32),
            "collateral": collateral(hour, params)["collateral"]}


def ratio(row, params):
    whole = row["done"] + row["failed"] + params["prior_units"]
    return {"from_nothing_q16": row["done"] * Q // whole,
            "from_a_half_q16": (row["done"] + params["prior_units"] // 2) * Q // whole}


BY_ROW = {"payment": payment, "collateral": collateral, "forfeit": forfeit, "deposit": deposit,
          "mining": mining, "ask_floor": ask_floor, "rewards": rewards, "slash": slash, "decay": decay,
          "coefficient": coefficient, "cutting": coefficient, "ratio": ratio}
BY_TABLE = {"split": split, "mining_split": split}
