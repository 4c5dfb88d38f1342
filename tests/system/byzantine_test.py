# SPDX-License-Identifier: BSD-3-Clause
"""Five honest validators of seven, and whatever the other two, and strangers, can say to them: votes
that contradict each other, blocks that come late or are wrong, bytes of no message, 100,000
transactions that are worth nothing. Liars lose their stake, strangers their sessions, and honest
transfers go on; how fast is printed, next to how fast they were just before.

Environment: CHAIN_TEST_JUNK, how many transactions that are worth nothing."""

import json
import os
import re
import sys
import time

from chain_devnet import BUILD_FOLDER, Failure, run_tests, say, wait_until
from net_lab import LabCloud
from seven_nodes_test import Watcher, check_histories, pay_all, wait_final

HOSTILE = os.path.join(BUILD_FOLDER, "tests/system/hostile")
JUNK = int(os.environ.get("CHAIN_TEST_JUNK", "100000"))
PACE_MS = 5_000
ATTACK_S = 120
REPORTER_PART = 16  # of the stake goes to whoever reports: docs/consensus.md
FINAL_S = 60
LIVE_BLOCKS_MAX = 60  # from the end of an attack until what is paid then is final at all


class Attack:
    """A hostile program that runs on a host."""

    def __init__(self, cloud, host, wallet, what, number=0, peers=None):
        peers = peers or cloud.honest
        self.what = what
        self.process = cloud.lab.hosts[host].popen(
            HOSTILE, cloud.genesis, f"{wallet}/wallet.json", cloud.password_file,
            ",".join(cloud.addresses[name] for name in peers), what, str(number),
            stdout=-1, stderr=-2, text=True)

    def wait_for(self, words):
        """Reads on until a line begins so."""
        for line in self.process.stdout:
            if line.startswith(words):
                return line
        raise Failure(f"{self.what} ended without \"{words}\"")

    def end(self):
        """What it said since."""
        said = self.process.communicate(timeout=ATTACK_S)[0]
        if self.process.returncode != 0:
            raise Failure(f"{self.what}: {self.process.returncode}: {said}")
        return said


class Besieged(LabCloud):
    honest = ("ash", "birch", "cedar", "doug", "elm")
    liars = ("liar", "thief")
    names = honest + liars
    strangers = tuple(f"stranger-{number}" for number in range(1, 15))
    guests = ("payer",) + strangers
    one_way_ms, loss_percent = 5, 0
    spacing_s = 0.5
    founding = ("--spacing", "500ms")

    def found(self):
        wallets = {name: self.new_wallet(f"{self.folder}/{name}") for name in self.liars}
        listed = ",".join(name + (f"={wallets[name]}" if name in wallets else "") + f"@{address}"
                          for name, address in self.addresses.items())
        self.made = self.run_alone("network", "new", "--name", "lab", "--output",
                                   f"{self.folder}/files", "--validators", listed, *self.founding,
                                   "--password-file", self.password_file)
        self.genesis = f"{self.folder}/net.json"
        with open(self.made["member"], encoding="utf-8") as file:
            text = json.load(file)["genesis"]
        with open(self.genesis, "w", encoding="utf-8") as file:
            file.write(text)
        for name in self.liars:
            del self.nodes[name]
        for name in self.honest:
            self.join(name)

    def __enter__(self):
        super().__enter__()
        self.all = list(self.nodes.values())
        self.paid_to, self.paid_units = self.new_wallet(f"{self.folder}/nobody"), 0
        self.watcher = Watcher(self.all)
        self.watcher.start()
        self.strangers_left = list(self.strangers)
        payer = self.new_wallet(f"{self.folder}/payer")
        self.nodes["ash"].ask("wallet", "send", payer, "1000", "--yes")
        return self

    def __exit__(self, kind, value, trace):
        self.watcher.end()
        super().__exit__(kind, value, trace)

    def pace(self):
        """Honest transfers a second; on a starved machine not every period has one."""
        for _ in range(5):
            said = Attack(self, "payer", f"{self.folder}/payer", "transfers", PACE_MS).end()
            count, took_ms = map(int, re.search(r"included (\d+) in (\d+) ms", said).groups())
            if count > 0:
                return count * 1000 / took_ms
        raise Failure("no honest transfer comes into a block")

    def liar(self, what, number=0, name="liar"):
        """With that validator's key, and from a host that has not been seen before."""
        return Attack(self, self.strangers_left.pop(0), f"{self.folder}/{name}", what, number)

    def stranger(self, what, number=0, peers=None):
        """From a host that has not been seen before, with a key that has nothing."""
        return Attack(self, self.strangers_left.pop(0), f"{self.folder}/nobody", what, number,
                      peers)


def report_pace(what, peace, pace):
    say(f"   {what}: {pace:.0f} honest transfers a second, {pace / peace:.2f} of the {peace:.0f} "
        "just before")


def check_honest(cloud, what):
    """All five run, agree on every final block, and make what is paid now final soon."""
    assert all(node.daemon.poll() is None for node in cloud.all)
    began = time.monotonic()
    wait_final(cloud, cloud.all, pay_all(cloud, cloud.all), LIVE_BLOCKS_MAX * cloud.spacing_s)
    blocks = (time.monotonic() - began) / cloud.spacing_s
    lowest = check_histories(cloud)
    for node in cloud.all:
        assert node.balance(cloud.paid_to) == cloud.paid_units, node.name
    say(f"   {what}: paid by all and final at all {blocks:.0f} block times later (at most "
        f"{LIVE_BLOCKS_MAX}); all agree on blocks 1 to {lowest}")


def late_blocks(cloud):
    peace = cloud.pace()
    attack = cloud.liar("withhold", 2_000)
    attack.wait_for("follows")
    pace = cloud.pace()
    said = attack.end()
    late = re.findall(r"published late (\d+)", said)
    assert late, said
    report_pace(f"{len(late)} blocks were shown 2 s late", peace, pace)
    check_honest(cloud, "after late blocks")


def wrong_digest(cloud):
    said = cloud.liar("wrong-digest").end()
    say("   " + " | ".join(said.splitlines()))
    assert "sessions ended 5 of 5" in said and "taken again by 0 of 5" in said, said
    check_honest(cloud, "after a block with a wrong digest")


def evidence_in(cloud, from_height):
    """(height, reporter) of each report of contradicting votes."""
    node = cloud.all[0]
    found = []
    for height in range(from_height, node.status()["height"] + 1):
        found += [(height, tx["sender"]) for tx in node.ask("block", "show", str(height))["txs"]
                  if tx["kind"] == "evidence"]
    return found


def slashed(cloud, what, name):
    node = cloud.all[0]
    before = {one["address"]: one["stake"]["units"]
              for one in node.ask("validator", "list")["validators"]}
    height = node.status()["height"]
    said = cloud.liar(what, name=name).end()
    assert "\nslashed after " in said, said
    stake = int(re.search(r"staked (\d+)", said).group(1))
    wait_until(lambda: evidence_in(cloud, height), FINAL_S, "the report stands in a block")
    (at, reporter), = evidence_in(cloud, height)
    wait_final(cloud, cloud.all, at)
    def gone_by_now():
        pay_all(cloud, cloud.all[:1])  # blocks are for transactions, and sets change with blocks
        listed = node.ask("validator", "list")["validators"]
        return set(before) - {one["address"] for one in listed}

    gone, = wait_until(gone_by_now, FINAL_S, "the liar is no validator any more")
    assert before[gone] == stake
    lines = [line for line in node.ask("wallet", "history", reporter)["history"]
             if line["height"] == at and line["kind"] == "evidence"]
    assert [line["amount"]["units"] for line in lines] == [stake // REPORTER_PART], lines
    say(f"   {what}: {' | '.join(said.splitlines()[1:])}; the reporter has "
        f"{stake // REPORTER_PART} of {stake} units, {len(before) - 1} validators are left")
    check_honest(cloud, f"after {what}")


def double_vote(cloud):
    slashed(cloud, "double-vote", "liar")


def surround_vote(cloud):
    slashed(cloud, "surround", "thief")


def malformed(cloud):
    for what in ("gossip", "sync", "oversized", "signatures", "frame"):
        said = cloud.stranger(what, 1_000, ("ash",)).end()
        say(f"   {what}: " + " | ".join(said.splitlines()[1:])[:300])
        assert "sessions ended 1 of 1" in said and "taken again by 0 of 1" in said, said
    check_honest(cloud, "after bytes of no message")


def headers(cloud):
    peace = cloud.pace()
    attack = cloud.stranger("headers", 20_000)
    attack.wait_for("has ")
    pace = cloud.pace()
    say("   " + " | ".join(attack.end().splitlines()))
    report_pace("20000 headers of nobody", peace, pace)
    check_honest(cloud, "after headers of nobody")


def junk(cloud):
    for what in ("funds", "nonces"):
        peace = cloud.pace()
        attack = cloud.stranger(what, JUNK // 2)
        attack.wait_for("has ")
        pace = cloud.pace()
        say("   " + " | ".join(attack.end().splitlines()))
        report_pace(f"{JUNK // 2} transactions, {what}", peace, pace)
    check_honest(cloud, "after junk")


if __name__ == "__main__":
    sys.exit(run_tests(
        [("late_blocks", late_blocks), ("malformed", malformed), ("junk", junk),
         ("headers", headers), ("wrong_digest", wrong_digest), ("double_vote", double_vote),
         ("surround_vote", surround_vote)], Besieged))
