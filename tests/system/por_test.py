# SPDX-License-Identifier: BSD-3-Clause
"""Proof of resource, with real miners: four validators who look for blocks at idle priority, and vote.
Transfers become final, shares are counted, one is killed and comes back, and one makes shares up."""

import hashlib
import os
import random
import sys
import time

from chain_devnet import run_tests, say, wait_until
from validators_test import Cloud, check_same, pay, wait_final

FINAL_S = 90
SHARES_S = 150  # of 6 s each: some epochs


class Miners(Cloud):
    founding = ("--consensus", "por", "--spacing", "400ms", "--share-epoch", "16")
    joining = ("--mine", "1")


def mines_and_agrees(cloud):
    nodes = list(cloud.nodes.values())
    began = time.monotonic()
    height = pay(nodes[0], nodes[1].address(), 5_000_000)
    wait_until(lambda: all(node.status()["final_height"] >= height for node in nodes), FINAL_S,
               lambda: str([(node.status()["height"], node.status()["final_height"],
                             node.status()["lag"]) for node in nodes]))
    say(f"final at all four {time.monotonic() - began:.1f} s after the command, at height "
        f"{nodes[0].status()['height']}")
    check_same(nodes)
    sealers = {block["sealer"] for block in nodes[0].ask("block", "list")["blocks"]}
    say(f"{len(sealers)} of four have sealed one of the last blocks")
    assert nodes[0].status()["consensus"] == "por"
    multipliers = [one["multiplier_q16"]
                   for one in nodes[0].ask("validator", "list")["validators"]]
    assert len(multipliers) == 4 and all(one >= 1 << 16 for one in multipliers), multipliers


def one_is_killed(cloud):
    nodes = list(cloud.nodes.values())
    nodes[2].kill()
    height = pay(nodes[0], nodes[1].address(), 1_000)
    wait_final([nodes[0], nodes[1], nodes[3]], height)
    cloud.start_again(nodes[2].name)
    wait_final(nodes, height)
    check_same(nodes)
    for node in nodes:
        assert node.ask("block", "verify")["ok"]


class Ledger:
    """What the blocks of a node hold, each looked at once."""

    def __init__(self, node):
        self.node, self.height, self.txs = node, 0, []

    def kinds(self):
        """(kind, sender) of every transaction so far."""
        while self.height < self.node.status()["height"]:
            self.height += 1
            block = self.node.ask("block", "show", str(self.height))
            self.txs += [(tx["kind"], tx["sender"]) for tx in block["txs"]]
        return self.txs


def shares_are_opened(cloud):
    ledger = Ledger(cloud.nodes["ash"])
    wait_until(lambda: [who for kind, who in ledger.kinds() if kind == "open-shares"], SHARES_S,
               lambda: f"somebody has opened shares: {ledger.txs}")
    status = cloud.nodes["ash"].status()
    assert status["mines"] and status["hashes_per_s"] > 0, status
    kinds = {kind for kind, _ in ledger.txs}
    assert "commit-shares" in kinds and "share-fault" not in kinds, kinds


def tagged_hash(tag, message):
    """BIP 340."""
    tag_hash = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(tag_hash + tag_hash + message).digest()


def invented(path):
    """Adds shares to a file of found ones, with hashes that their headers do not have."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(4), "little")
        file.read(32)
        header = file.read(size)
    with open(path, "ab") as file:
        for nonce in range(64):
            other = header[:-8] + nonce.to_bytes(8, "little")
            work = bytes(3) + random.randbytes(29)
            entry = len(other).to_bytes(4, "little") + work + other
            file.write(entry + tagged_hash("ompi-chain/share-entry", entry))


def invented_shares_cost_the_stake(cloud):
    liar = cloud.nodes["doug"]
    address = liar.address()
    folder = f"{liar.data}/consensus/shares"

    def newest():
        found = [name for name in os.listdir(folder) if name.startswith("found-")]
        return max(found, key=lambda name: int(name[6:]), default=None)

    # Shares of an epoch that is not over, so that it has not committed to them.
    wait_until(lambda: newest() and int(newest()[6:]) == liar.status()["height"] // 16, SHARES_S,
               "doug has found a share in this epoch", 0.01)
    liar.kill()
    invented(f"{folder}/{newest()}")
    cloud.start_again("doug")
    ledger = Ledger(cloud.nodes["ash"])
    wait_until(lambda: "share-fault" in {kind for kind, _ in ledger.kinds()}, SHARES_S,
               lambda: f"somebody has found a false share: {ledger.txs[-20:]}")
    fault = next(who for kind, who in ledger.txs if kind == "share-fault")
    assert fault != address
    others = [node for node in cloud.nodes.values() if node is not liar]
    staked = others[0].ask("wallet", "show", address)["staked"]["units"]
    assert staked == 0, staked
    wait_until(lambda: address not in
               {one["address"] for one in others[0].ask("validator", "list")["validators"]},
               FINAL_S, "who made shares up is no validator any more")
    wait_final(others, pay(others[0], others[1].address(), 1_000))
    say(f"64 invented shares of {address[:12]}: found by {fault[:12]}, its stake is gone")


if __name__ == "__main__":
    sys.exit(run_tests([("mines", mines_and_agrees), ("shares", shares_are_opened),
                        ("killed", one_is_killed),
                        ("invented", invented_shares_cost_the_stake)], Miners))
