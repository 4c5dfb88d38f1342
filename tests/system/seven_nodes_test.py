# SPDX-License-Identifier: BSD-3-Clause
"""Seven validators on seven hosts, with round trips of 50 ms and every hundredth frame lost. They agree
on every block that is final, whatever happens to two of them or to the lines between them, and go on
within a stated number of block times once it is over. A thread looks at the final blocks of all of
them the whole time: what was final once, anywhere, is what everybody has there ever after.

Environment: CHAIN_TEST_ROUNDS=N does everything that breaks something N times; CHAIN_TEST_CUT_S: how
long a partition lasts; CHAIN_TEST_SEED."""

import concurrent.futures
import json
import os
import random
import signal
import sys
import threading
import time

from chain_devnet import BUSY, Failure, run_tests, say, wait_until
from net_lab import LabCloud, odd_machine

ROUNDS = int(os.environ.get("CHAIN_TEST_ROUNDS", "1"))
SEED = int(os.environ.get("CHAIN_TEST_SEED", random.randrange(1 << 32)))
CUT_S = float(os.environ.get("CHAIN_TEST_CUT_S", "6"))
NAMES = ("ash", "birch", "cedar", "doug", "elm", "fir", "gum")
UNITS = 1_000_000
FINAL_S = 60  # much more than it takes
WATCH_EVERY_S = 0.2
SILENT_S = 3  # after so long a session ends


class Watcher(threading.Thread):
    """Asks every daemon for its final blocks, and notes each contradiction."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        self.nodes = nodes
        self.final = {}    # height: (id, state digest), of whoever had it first
        self.heights = {node.name: 0 for node in nodes}
        self.wrong = []
        self.looks = 0
        self.ending = threading.Event()
        self.controls = {}

    def run(self):
        while not self.ending.wait(WATCH_EVERY_S):
            for node in self.nodes:
                if not node.is_stopped:
                    self._look(node)

    def _look(self, node):
        try:
            if node.name not in self.controls:
                self.controls[node.name] = node.control()
            control = self.controls[node.name]
            _, final = control.heights()
            if final < self.heights[node.name]:
                self.wrong.append(f"{node.name}: final {self.heights[node.name]}, then {final}")
            if final > self.heights[node.name]:
                self._note(node, control.blocks(self.heights[node.name] + 1, final))
                self.heights[node.name] = final
            self.looks += 1
        except Failure as failure:
            self.wrong.append(f"{node.name}: {failure}")
        except OSError:  # it was killed, or starts
            control = self.controls.pop(node.name, None)
            if control is not None:
                control.close()

    def _note(self, node, blocks):
        for height, block in blocks.items():
            if self.final.setdefault(height, block) != block:
                self.wrong.append(f"{node.name}: block {height} is {block}, was {self.final[height]}")

    def end(self):
        self.ending.set()
        self.join()


class Seven(LabCloud):
    names = NAMES
    spacing_s = 0.5
    founding = ("--spacing", "500ms")
    lenders, renter = ("elm", "fir"), "gum"
    victims = len(NAMES)  # of kill -9, each time the test is run
    # From the moment at which nothing is broken any more until what is paid then is final at all:
    # sessions that were lost are back within 10 s, which is 20 of these.
    live_blocks_max = 60

    def __enter__(self):
        super().__enter__()
        self.random = random.Random(SEED)
        self.all = list(self.nodes.values())
        # All is paid to somebody who has no machine: what is there is what was paid.
        self.paid_to = self.new_wallet(f"{self.folder}/nobody")
        self.paid_units = 0
        self.watcher = Watcher(self.all)
        self.watcher.start()
        return self

    def __exit__(self, kind, value, trace):
        self.watcher.end()
        if kind is not None:
            say(f"   {self.lab.frames()}; final {self.watcher.heights}")
        super().__exit__(kind, value, trace)


def pay_all(cloud, senders):
    """A transfer of each, at the same time; the height of the block that has the last."""
    def pay(node):
        return node.ask("wallet", "send", cloud.paid_to, f"{UNITS / 1e9:.9f}", "--yes")["height"]

    cloud.paid_units += len(senders) * UNITS

    # The commands run on no host: they need nothing but the daemon's socket.
    with concurrent.futures.ThreadPoolExecutor(len(senders)) as pool:
        return max(pool.map(pay, senders))


def has_nothing_open(node):
    """No transaction waits, or stands in a block that is not final. The last block, which made those
    before it final, is empty, and is not made final by another one."""
    status = node.status()
    blocks = node.ask("block", "list", "--count", "20")["blocks"]
    return status["mempool"] == 0 and not any(block["tx_count"] for block in blocks
                                              if block["height"] > status["final_height"])


def wait_final(cloud, nodes, height, timeout_s=FINAL_S):
    def is_final(node):
        final = cloud.watcher.heights[node.name]
        return final >= height or (final >= height - 2 and has_nothing_open(node))

    wait_until(lambda: all(is_final(node) for node in nodes), timeout_s,
               lambda: f"block {height} is final: " + str(
                   [(node.name, status and (status["height"], status["final_height"],
                                            status["peers"], status["lag"]))
                    for node in nodes for status in [node.try_ask("node", "status")]]))


def check_histories(cloud):
    """Every node has, at every height up to its final one, what anybody ever called final there."""
    assert not cloud.watcher.wrong, cloud.watcher.wrong
    lowest = None
    for node in cloud.all:
        control = node.control(10)
        _, final = control.heights()
        blocks = control.blocks(1, final)
        control.close()
        assert len(blocks) == final, (node.name, len(blocks), final)
        for height, block in blocks.items():
            seen = cloud.watcher.final.setdefault(height, block)
            assert seen == block, (node.name, height, block, seen)
        lowest = final if lowest is None else min(lowest, final)
    return lowest


def check_alive(cloud, what):
    """What is paid now, at every node, is final at all within the bound; then all histories agree."""
    began = time.monotonic()
    wait_final(cloud, cloud.all, pay_all(cloud, cloud.all),
               cloud.live_blocks_max * cloud.spacing_s)
    blocks = (time.monotonic() - began) / cloud.spacing_s
    lowest = check_histories(cloud)
    for node in cloud.all:
        there = node.balance(cloud.paid_to)
        assert there == cloud.paid_units, f"{node.name}: {there} of {cloud.paid_units} paid"
    say(f"   {what}: paid by all and final at all {blocks:.0f} block times later "
        f"(at most {cloud.live_blocks_max}); all agree on blocks 1 to {lowest}")


def agree(cloud):
    say(f"   seed {SEED}")
    for _ in range(3):
        check_alive(cloud, "nothing is broken")


def leases(cloud):
    """Two ranks on two hosts, for a third: every node has the same bill, in blocks that are final."""
    renter = cloud.nodes[cloud.renter]
    cloud.wait_offers(cloud.renter)
    run = renter.mpirun("--chain-lease", "2", "-np", "2", BUSY, "1")
    assert "busy: 2 ranks" in run.out, run.text()
    lease = run.report["lease"]

    def settled_everywhere():
        bills = [node.try_ask("lease", "show", lease) for node in cloud.all]
        return all(bill and bill["state"] == "settled" for bill in bills) and bills

    bills = wait_until(settled_everywhere, FINAL_S, "the lease is settled on all ledgers")
    wait_final(cloud, cloud.all, max(node.status()["height"] for node in cloud.all))
    check_histories(cloud)
    paid = {json.dumps([leg["paid"]["units"] for leg in bill["legs"]]) for bill in bills}
    assert len(paid) == 1 and run.report["paid"]["units"] > 0, (paid, run.report)
    assert {leg["host"] for leg in run.report["legs"]} == set(cloud.lenders), run.report
    say(f"   two ranks on {' and '.join(cloud.lenders)} for {cloud.renter}: mpirun took "
        f"{run.wall_s:.1f} s, the bill is final at all")


def partition(cloud):
    for _ in range(ROUNDS):
        names = list(cloud.names)
        cloud.random.shuffle(names)
        few, many = names[:3], names[3:]
        final = max(cloud.watcher.heights.values())
        cloud.lab.partition(few, many)
        healed_at = time.monotonic() + CUT_S
        time.sleep(min(SILENT_S + 1, CUT_S))
        # Both sides make blocks, and neither can make one final.
        heights = [pay_all(cloud, [cloud.nodes[side[0]]]) for side in (few, many)]
        time.sleep(max(0, healed_at - time.monotonic()))
        reached = max(cloud.watcher.heights.values())
        assert reached <= final + 2, (final, reached, "three and four are both too few")
        say(f"   {'+'.join(few)} | {'+'.join(many)}: blocks up to {heights}, final {reached}; "
            f"{cloud.lab.frames()['cut']} frames cut")
        cloud.lab.heal()
        check_alive(cloud, "healed")


def killed(cloud):
    for _ in range(ROUNDS):
        for victim in cloud.random.sample(cloud.all, cloud.victims):
            others = [node for node in cloud.all if node is not victim]
            victim.kill()
            height = pay_all(cloud, others[:2])
            wait_final(cloud, others, height)
            cloud.start_again(victim.name)
            wait_final(cloud, cloud.all, height)
        check_alive(cloud, f"{cloud.victims} were killed, one by one, and came back")


def stopped(cloud):
    for _ in range(ROUNDS):
        victim = cloud.random.choice(cloud.all)
        others = [node for node in cloud.all if node is not victim]
        victim.kill(signal.SIGSTOP)
        height = 0
        until = time.monotonic() + 2 * SILENT_S
        while time.monotonic() < until:
            height = pay_all(cloud, others[:2])
        wait_final(cloud, others, height)
        victim.kill(signal.SIGCONT)
        check_alive(cloud, f"{victim.name} stood still for {2 * SILENT_S} s")


def slow_disk(cloud):
    for _ in range(ROUNDS):
        with_odd(cloud, {cloud.random.choice(cloud.all): odd_machine(sync_delay_ms=200)},
                 "a disk that takes 200 ms more")


def wrong_clocks(cloud):
    for _ in range(ROUNDS):
        ahead, behind = cloud.random.sample(cloud.all, 2)
        with_odd(cloud, {ahead: odd_machine(clock_ahead_s=3600),
                         behind: odd_machine(clock_ahead_s=-3600)},
                 "one clock an hour ahead, one an hour behind")


def with_odd(cloud, odds, what):
    """Restarts nodes oddly, pays for a while, and restarts them as they were."""
    for node, odd in odds.items():
        node.odd = odd
        node.kill()
        cloud.start_again(node.name)
    sound = [node for node in cloud.all if node not in odds]
    for _ in range(3):
        height = pay_all(cloud, sound[:3])
    wait_final(cloud, sound, height)
    say(f"   {what} ({', '.join(node.name for node in odds)}): the others are at "
        f"{height}, " + ", ".join(f"{node.name} at {node.status()['height']}" for node in odds))
    for node in odds:
        node.odd = {}
        node.kill()
        cloud.start_again(node.name)
    check_alive(cloud, what + ", and right again")


class SevenMiners(Seven):
    """Proof of resource: a checkpoint is every 8 blocks, and voted for when 4 lie on it."""

    spacing_s = 0.4
    founding = ("--consensus", "por", "--spacing", "400ms")
    joining = ("--mine", "1")
    lenders, victims = (), 2
    live_blocks_max = 120


def run_both():
    tests = [("agree", agree), ("leases", leases), ("partition", partition),
             ("killed", killed), ("stopped", stopped), ("slow_disk", slow_disk),
             ("wrong_clocks", wrong_clocks)]
    miners = [("por_agree", agree), ("por_partition", partition), ("por_killed", killed)]
    chosen = sys.argv[1:]
    failed = 0
    for kind, those in ((Seven, tests), (SevenMiners, miners)):
        if not chosen or any(name in chosen for name, _ in those):
            failed |= run_tests(those, kind)
    return failed


if __name__ == "__main__":
    sys.exit(run_both())
