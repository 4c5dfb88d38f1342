# SPDX-License-Identifier: BSD-3-Clause
"""64 peers in one gang, on one machine: all are leased, connected with each other and started
together, or nothing is charged; whoever fails on the way there."""

import os
import random
import sys
import time

from chain_devnet import BUILD_FOLDER, Devnet, Failure, run_tests, say

PEERS = 64
TALKER = f"{BUILD_FOLDER}/tests/system/talker"


class Crowd(Devnet):
    """Each peer lends one slot, and little disk."""

    def __init__(self):
        super().__init__(providers=PEERS, slots=1)
        self.arguments += ["--timeout", "300s", "--scratch-size", "64M",
                           "--peer-silence", "30s"]

    def __enter__(self):
        began = time.monotonic()
        net = super().__enter__()
        say(f"   {PEERS} peers and their offers are there after {time.monotonic() - began:.0f} s")
        return net


def balance_of(node):
    return node.call("wallet", "show")["balance"]["units"]


def peak_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def all_in_one_gang(net):
    for words, lines in ((("hostname",), PEERS), ((TALKER, "crowd", 1), 1)):
        run = net.mpirun("--chain-lease", PEERS, "-np", PEERS, *words, timeout_s=240)
        assert run.rc == 0 and len(run.out.splitlines()) == lines, run.text()
        assert len(run.report["legs"]) == PEERS, run.report
        say(f"   {words[0].rsplit('/', 1)[-1]} on {PEERS} peers: {run.wall_s:.1f} s")
    say(f"   memory at most: {max(peak_mib(node.pid) for node in net.providers):.0f} MiB a provider, "
        f"{peak_mib(net.renter.pid):.0f} MiB the renter")
    net.wait_nothing_locked()


def one_fails_on_the_way(net):
    """At a random moment between the question and the first rank, kill -9 of a random peer's daemon:
    the gang starts with another one or not at all, and who never ran is not paid for."""
    replaced = undone = ran = 0
    for _ in range(2):
        net.wait_offers(60)
        balance = balance_of(net.renter)
        job = net.start_mpirun("--chain-lease", PEERS - 4, "-np", PEERS - 4, "hostname")
        time.sleep(random.uniform(0.0, 2.5))
        victim = random.choice(net.providers)
        victim.kill()
        run = job.wait(120)
        if run.rc == 0:
            assert len(run.out.splitlines()) == PEERS - 4, run.text()
            hosts = {leg["host"] for leg in job.report()["legs"]}
            ran += victim.name in hosts
            replaced += victim.name not in hosts
        else:
            undone += 1
            assert victim.name in run.err or "lost" in run.err, run.text()
        victim.restart()
        net.wait_nothing_locked()
        if run.rc != 0 and not os.path.exists(job.report_path):
            assert balance_of(net.renter) == balance, "charged for what never ran"
    say(f"   {replaced} started without it, {ran} were over, {undone} did not start or ended")


if __name__ == "__main__":
    sys.exit(run_tests([("all_in_one_gang", all_in_one_gang),
                        ("one_fails_on_the_way", one_fails_on_the_way)], Crowd))
