# SPDX-License-Identifier: BSD-3-Clause
"""Proof of resource, with real miners: four validators who look for blocks at idle priority, and vote.
Transfers become final, one is killed and comes back, and a network without miners goes on in turns."""

import sys
import time

from chain_devnet import run_tests, say, wait_until
from validators_test import Cloud, check_same, pay, wait_final

FINAL_S = 90


class Miners(Cloud):
    founding = ("--consensus", "por", "--spacing", "400ms")
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


if __name__ == "__main__":
    sys.exit(run_tests([("mines", mines_and_agrees), ("killed", one_is_killed)], Miners))
