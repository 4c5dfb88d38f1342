# SPDX-License-Identifier: BSD-3-Clause
"""What three jobs take on 1 to 8 leased peers: time, GHz·h, price; and the same at list prices of clouds.

Each peer has one slot, so it wants a processor of its own: numbers of peers that this machine has no
processors for are skipped, in words. The efficiency is measured, T(1) / (N T(N)); GHz·h and what was paid
are from the bills. From that, with the prices in cloud_prices.json, the sheet: what 100 hours of one core
cost, and up to which price per GHz·h a lease costs no more than a third.

Environment: TEST_BUILD_DIR; COST_PEERS, "1 2 4 8"; COST_SIDE, of the picture, in pixels.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
from figures import figure  # noqa: E402
from chain_devnet import BUILD_FOLDER, Devnet  # noqa: E402
from hpips_test import noise, png  # noqa: E402

HPIPS = f"{BUILD_FOLDER}/examples/hpips/hpips"
PROCESSORS = len(os.sched_getaffinity(0))
WANTED = [int(word) for word in os.environ.get("COST_PEERS", "1 2 4 8").split()]
PEERS = [peers for peers in WANTED if peers <= PROCESSORS]
SIDE = int(os.environ.get("COST_SIDE", "900"))
JOB_HOURS = 100
JOB_LIMIT_S = 600
JOBS = {
    "denoise": "denoise strength=7 search=6",
    "deconvolve": "deconvolve sigma=1.5 iterations=20",
    "bilateral": "bilateral radius=8",
}


def take(net, pipeline, peers, picture):
    net.wait_offers(60)
    # Rank 0 is on the first peer: all that the job takes is on the bill.
    job = net.start_mpirun("--chain-lease", peers, "-np", peers, HPIPS, "run", pipeline, picture, "-o",
                           "out.tif", "--threads", 1, "--tile", max(64, SIDE // 10), "--quiet", "--report", "hpips.json")
    run = job.wait(JOB_LIMIT_S)
    assert run.rc == 0, run.text()
    bill = job.report()
    assert len(bill["legs"]) == peers, bill
    with open(f"{job.folder}/hpips.json", encoding="utf-8") as file:
        wall_s = json.load(file)["wall_s"]
    net.wait_nothing_locked()
    cycles = sum(leg["cycles"] for leg in bill["legs"])
    return {"wall_s": wall_s, "ghz_h": cycles / 3.6e12, "paid": bill["paid"]["units"] / 1e9}


def measure():
    with Devnet(providers=max(PEERS), slots=1) as net:
        picture = f"{net.folder}/picture.png"
        with open(picture, "wb") as file:
            file.write(png(SIDE, SIDE, 3, noise(SIDE * SIDE * 3)))
        return {job: {peers: take(net, pipeline, peers, picture) for peers in PEERS}
                for job, pipeline in JOBS.items()}


def print_measured(measured):
    for job, by_peers in measured.items():
        one = by_peers[PEERS[0]]
        for peers, taken in by_peers.items():
            efficiency = one["wall_s"] * PEERS[0] / (taken["wall_s"] * peers)
            figure(f"cost_{job}_{peers}_peers_wall", taken["wall_s"], "s")
            figure(f"cost_{job}_{peers}_peers_bill", taken["ghz_h"] * 1000, "GHz·h / 1000", places=3)
            figure(f"cost_{job}_{peers}_peers_paid", taken["paid"] * 1e6, "tokens / 10^6")
            figure(f"cost_{job}_{peers}_peers_efficiency", efficiency, "of ideal",
                   0.85 if peers > 1 else None)


def print_sheet(measured):
    with open(f"{HERE}/cloud_prices.json", encoding="utf-8") as file:
        prices = json.load(file)
    lender = prices["lender"]
    floor = lender["watts_per_busy_core"] / 1000 * lender["usd_per_kwh"] / lender["ghz"]
    print(f"\nA lender's electricity: {floor:.5f} USD per GHz·h ({lender['source']}, {lender['date']})")
    for cloud in prices["clouds"]:
        per_ghz_h = cloud["usd_per_hour"] / cloud["vcpus"] / cloud["ghz"]
        print(f"{cloud['name']}: {per_ghz_h:.5f} USD per GHz·h of a vCPU ({cloud['remark']}; {cloud['source']}, "
              f"{cloud['date']})")
    print(f"\n{JOB_HOURS} hours of one core of {lender['ghz']} GHz:")
    print("| job | peers | hours | GHz·h | " +
          " | ".join(f"{cloud['name']}, USD | a third of it up to USD per GHz·h" for cloud in prices["clouds"]) + " |")
    print("|---" * (4 + 2 * len(prices["clouds"])) + "|")
    for job, by_peers in measured.items():
        one = by_peers[PEERS[0]]
        for peers, taken in by_peers.items():
            ghz_h = JOB_HOURS * lender["ghz"] * taken["ghz_h"] / one["ghz_h"]
            row = [job, str(peers), f"{JOB_HOURS * taken['wall_s'] / one['wall_s']:.1f}", f"{ghz_h:.0f}"]
            for cloud in prices["clouds"]:
                # One core's worth of work, by the GHz, on a machine that is paid while it works.
                cost = JOB_HOURS * lender["ghz"] / cloud["ghz"] * cloud["usd_per_hour"] / cloud["vcpus"]
                row += [f"{cost:.2f}", f"{cost / 3 / ghz_h:.5f}"]
            print("| " + " | ".join(row) + " |")


def main():
    if not os.path.exists(HPIPS):
        print("cost_sheet: SKIPPED: hpips is not built: libvips-dev or libtiff-dev is missing")
        return
    for peers in WANTED:
        if peers not in PEERS:
            print(f"cost_sheet: {peers} peers SKIPPED: this machine has {PROCESSORS} processors")
    measured = measure()
    print_measured(measured)
    print_sheet(measured)


if __name__ == "__main__":
    main()
