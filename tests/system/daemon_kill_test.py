# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of daemons at random moments while transactions flow: no block that anybody had as its tip
is ever missing, every node comes to the same state, and a replay of all blocks comes to it, too.

The seed is printed; CHAIN_TEST_SEED repeats it, CHAIN_TEST_KILLS says how many kills (100).
"""

import os
import random
import sys
import threading
import time

from chain_devnet import CALL_TIMEOUT_S, Devnet, Failure, run_tests, say, wait_until

KILLS = int(os.environ.get("CHAIN_TEST_KILLS", "100"))
SEED = int(os.environ.get("CHAIN_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))
# Who is killed how often: who seals and who sends matter most.
VICTIMS = ("sealer", "sealer", "sealer", "renter", "renter", "provider-1")
PAUSE_MAX_S = 0.3
STARTUP_KILLS_PER_TEN = 2
UNITS_SENT = 1_000_000
SENDERS = 2


class Flow:
    """`wallet send` from the renter, over and over, from several programs at once."""

    def __init__(self, net):
        self.net, self.stop = net, False
        self.receipts, self.failures = [], 0
        self.threads = [threading.Thread(target=self.run) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        to = self.net.providers[0].address
        while not self.stop:
            receipt = self.net.renter.call("wallet", "send", to, "0.001", "--yes", check=False)
            if receipt is None:
                self.failures += 1
                time.sleep(0.05)
            else:
                self.receipts.append(receipt)

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(CALL_TIMEOUT_S)


class Tips:
    """What every node ever said its tip was."""

    def __init__(self):
        self.id_at, self.last_of = {}, {}

    def note(self, name, status):
        height, tip = status["height"], status["tip"]
        known = self.id_at.setdefault(height, tip)
        if known != tip:
            raise Failure(f"two blocks at height {height}: {known} and {tip} (of {name})")
        if height < self.last_of.get(name, 0):
            raise Failure(f"{name} fell back from {self.last_of[name]} to {height}")
        self.last_of[name] = height

    def check_kept(self, node):
        """The tip that this node last reported is a block of it still."""
        height = self.last_of.get(node.name, 0)
        if height == 0:
            return  # killed before it had reported a block: the genesis is none
        block = node.call("block", "show", str(height))
        if block["block"] != self.id_at[height]:
            raise Failure(f"{node.name} has {block['block']} at {height}, not {self.id_at[height]}")


def all_blocks(node, tip_height):
    """By height, without the genesis."""
    blocks, before = {}, tip_height + 1
    while before > 1:
        listed = node.call("block", "list", "--count", "500", "--before", str(before))["blocks"]
        if not listed:
            break
        blocks.update((block["height"], block) for block in listed)
        before = min(block["height"] for block in listed)
    return blocks


def kill_and_start(net, tips, source):
    node = net.nodes[source.choice(VICTIMS)]
    for each in net.nodes.values():
        status = each.status(check=False)
        if status is not None:
            tips.note(each.name, status)
    node.kill()
    node.start()
    if source.randrange(10) < STARTUP_KILLS_PER_TEN:
        time.sleep(source.uniform(0, PAUSE_MAX_S))
        return node.name
    status = node.wait_ready()
    tips.check_kept(node)
    tips.note(node.name, status)
    time.sleep(source.uniform(0, PAUSE_MAX_S))
    return node.name


def check_end(net, tips, flow, before):
    for node in net.nodes.values():
        node.wait_ready()
    # What is still pending somewhere gets its block.
    wait_until(lambda: all(node.status()["mempool"] == 0 for node in net.nodes.values()), 30,
               lambda: f"no pending transaction: {[n.status() for n in net.nodes.values()]}", 0.2)
    status = net.wait_agreement()
    chains = {node.name: all_blocks(node, status["height"]) for node in net.nodes.values()}
    for name, blocks in chains.items():
        assert len(blocks) == status["height"], (name, len(blocks), status["height"])
        for height, tip in tips.id_at.items():
            assert height == 0 or blocks[height]["block"] == tip, (name, height, tip, blocks[height])
        for height in range(2, status["height"] + 1):
            assert blocks[height]["previous"] == blocks[height - 1]["block"], (name, height)
        assert blocks == chains["sealer"], name
        verified = net.nodes[name].call("block", "verify")
        assert verified["ok"], (name, verified)
        assert verified["state_digest"] == status["state_digest"], (name, verified, status)
    check_transfers(net, flow, before, chains["sealer"])
    return status["height"]


def check_transfers(net, flow, before, blocks):
    after = net.balances()
    assert sum(after.values()) == net.genesis_units, after
    sent = net.sealer.call("wallet", "show", net.renter.address)["nonce"]
    assert before["renter"] - after["renter"] == sent * UNITS_SENT, (sent, before, after)
    assert after["provider-1"] - before["provider-1"] == sent * UNITS_SENT, (sent, before, after)
    assert sum(block["tx_count"] for block in blocks.values()) == sent, sent
    assert len(flow.receipts) <= sent <= len(flow.receipts) + flow.failures, (sent, vars(flow))
    by_height = {}
    for receipt in flow.receipts:
        by_height.setdefault(receipt["height"], set()).add(receipt["tx"])
    assert sum(map(len, by_height.values())) == len(flow.receipts), "a transaction came twice"
    for height in random.Random(SEED).sample(sorted(by_height), min(40, len(by_height))):
        there = {tx["tx"] for tx in net.sealer.call("block", "show", str(height))["txs"]}
        assert by_height[height] <= there, (height, by_height[height], there)
    say(f"   {sent} transfers, {len(flow.receipts)} receipts, {flow.failures} calls cut off")


def random_kills(net):
    say(f"   seed {SEED}, {KILLS} kills")
    source, tips = random.Random(SEED), Tips()
    before = net.balances()
    flow = Flow(net)
    killed = {}
    started = time.monotonic()
    try:
        for _ in range(KILLS):
            name = kill_and_start(net, tips, source)
            killed[name] = killed.get(name, 0) + 1
    finally:
        flow.end()
    took_s = time.monotonic() - started
    height = check_end(net, tips, flow, before)
    say(f"   killed {killed} in {took_s:.0f} s; {height} blocks, {len(tips.id_at)} tips seen, none lost")


if __name__ == "__main__":
    sys.exit(run_tests([("random_kills", random_kills)], lambda: Devnet(providers=1, slots=1)))
