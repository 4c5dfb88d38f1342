# SPDX-License-Identifier: BSD-3-Clause
"""What a lease that gives way costs the owner of the machine: the same work on all processors, alone,
beside a lease that is frozen, and beside one that has notice and runs only in what is left over.

The ways take turns (A B C A B C …); ratios are medians of the ratios of each turn. One line a figure.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS, how often each is measured.
"""

import os
import statistics
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
from figures import figure  # noqa: E402
from chain_devnet import BUSY, Devnet  # noqa: E402
from owner_test import Desk  # noqa: E402

SPIN = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/bench/spin")
ROUNDS = int(os.environ["BENCH_ROUNDS"])
MILLIONS = 1000
CORES = len(os.sched_getaffinity(0))


def work_s():
    done = subprocess.run([SPIN, str(CORES), str(MILLIONS)], capture_output=True, text=True,
                          check=True)
    return float(done.stdout)


def keep_typing(desk, over):
    while not over.wait(0.5):
        desk.touch()


def beside_lease(net, state, **rules):
    desk = Desk(net.providers[0], **rules)
    desk.wait_state("open")
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", f"{CORES},provider={desk.node.name}", "-np", CORES, BUSY,
                           600)
    net.wait_voucher(job=job)
    over = threading.Event()
    typing = threading.Thread(target=keep_typing, args=(desk, over))
    typing.start()
    try:
        desk.wait_state(state)
        taken_s = work_s()
        assert desk.policy()["state"] == state, "the lease gave way all the while"
    finally:
        over.set()
        typing.join()
    job.kill()
    job.wait(30)
    net.wait_nothing_locked()
    desk.close()
    return taken_s


def main():
    turns = []
    with Devnet(providers=1, slots=CORES) as net:
        for _ in range(ROUNDS):
            net.wait_offers()  # a provider that has just started measures its processor
            turns.append({
                "alone": work_s(),
                "frozen": beside_lease(net, "suspended", suspend="60s"),
                "left over": beside_lease(net, "leaving", leave="60s"),
            })
    figure("owner_work_alone", statistics.median(turn["alone"] for turn in turns), "s", places=3)
    for name, goal in (("frozen", 0.995), ("left over", None)):
        figure(f"owner_speed_beside_{name.replace(' ', '_')}_lease",
               statistics.median(turn["alone"] / turn[name] for turn in turns), "times", goal,
               places=3)


if __name__ == "__main__":
    main()
