# SPDX-License-Identifier: BSD-3-Clause
"""What the sandbox, its cgroups and the meter cost a job that runs in a lease: two ranks on one
machine, inside and outside, and inside without the hook that tells waiting from work.

The ways take turns (A B C A B C …), so that a busy moment of the machine hits all of them; ratios are
medians of the ratios of each turn. One line a figure.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS, how often each is measured.
"""

import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
from figures import figure  # noqa: E402
from chain_devnet import Devnet  # noqa: E402

EXCHANGE = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/bench/exchange")
ROUNDS = int(os.environ["BENCH_ROUNDS"])
JOB_TIMEOUT_S = 120
SAME = ["--bind-to", "none", "--mca", "pml", "ob1", "--mca", "btl", "vader,self", "-np", "2"]


def run(net, words):
    """The figures of one job, by name; more is better in all."""
    done = subprocess.run(["mpirun", *words, *SAME, EXCHANGE], cwd=net.folder, env=net.environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=JOB_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mpirun {words}: {done.returncode}\n{done.stdout}{done.stderr}")
    taken = {name: float(value) for name, value in
             (line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)}
    return {"latency": 1 / taken["latency_us"], "bandwidth": taken["bandwidth"],
            "message_rate": taken["messages_per_s"], "compute": 1 / taken["compute_s"]}, taken


def main():
    with Devnet(providers=1, slots=2) as net:
        net.wait_offers()
        ways = {"outside": [], "inside": ["--chain-lease", "2"],
                "unmetered": ["--chain-lease", "2", "--mca", "hook", "^chain"]}
        turns, last = [], {}
        for turn in range(ROUNDS + 1):  # the first one warms caches
            taken = {}
            for name, words in ways.items():
                taken[name], last[name] = run(net, words)
            if turn > 0:
                turns.append(taken)
    for name in ("latency_us", "bandwidth", "messages_per_s", "compute_s"):
        unit = {"latency_us": "us", "bandwidth": "MB/s", "messages_per_s": "1/s", "compute_s": "s"}
        figure(f"sandbox_{name}", last["inside"][name], unit[name], places=3)

    def ratio(what, of, to):
        return statistics.median(turn[of][what] / turn[to][what] for turn in turns)

    for what in ("latency", "bandwidth", "message_rate", "compute"):
        figure(f"sandbox_{what}_to_outside", ratio(what, "inside", "outside"), "times", 0.97,
               places=3)
    for what in ("message_rate", "compute"):
        figure(f"meter_{what}_to_unmetered", ratio(what, "inside", "unmetered"), "times", 0.999,
               places=3)


if __name__ == "__main__":
    main()
