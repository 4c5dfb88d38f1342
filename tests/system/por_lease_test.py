# SPDX-License-Identifier: BSD-3-Clause
"""A lease where strangers mine: `mpirun --chain-lease` from one host to two others, on a ledger that
four validators keep by proof of resource; next to the same where one key seals, on the same links."""

import os
import statistics
import sys
import time

from chain_devnet import BUILD_FOLDER, run_tests, say, wait_until
from net_lab import LabCloud

ERRAND = os.path.join(BUILD_FOLDER, "tests/system/errand")
ROUNDS = int(os.environ.get("CHAIN_TEST_ROUNDS", "3"))
FINAL_S = 90
init_s_of = {}


class Miners(LabCloud):
    founding = ("--consensus", "por", "--spacing", "400ms")
    joining = ("--mine", "1")
    lenders, renter = ("birch", "cedar"), "doug"


class OneSealer(LabCloud):
    """As README.md founds a network of friends: ash seals, and pays those who have nothing."""

    lenders, renter = Miners.lenders, Miners.renter

    def found(self):
        ash = self.nodes["ash"]
        self.new_wallet(ash.data)  # and with it a network
        self.join("ash")
        for name in self.names[1:]:
            ash.ask("wallet", "send", self.new_wallet(self.nodes[name].data), "100", "--yes")
            self.join(name)

    def join(self, name):
        who = ("--seal",) if name == "ash" else ("--connect", self.addresses["ash"])
        self.nodes[name].start("--genesis", f"{self.nodes['ash'].data}.json", "--password-file",
                               self.password_file, *who, *self.options_of(name))


def demand_to_init_s(run, started):
    """From the start of mpirun until rank 0 has passed MPI_Init: all hosts have one clock."""
    return float(run.out.split()[0]) - started


def lease_run_settle(cloud, what):
    renter = cloud.nodes[cloud.renter]
    cloud.wait_offers(cloud.renter)
    before = {name: node.balance(node.address()) for name, node in cloud.nodes.items()}
    init_s, settle_s, paid = [], [], {}
    for _ in range(ROUNDS):
        started = time.time()
        run = renter.mpirun("--chain-lease", "2", "-np", "2", ERRAND, "time", "0.5")
        init_s.append(demand_to_init_s(run, started))
        settle_s.append(run.wall_s)
        assert run.report["state"] == "settled", run.report
        for leg in run.report["legs"]:
            assert leg["end"] == "completed" and leg["paid"]["units"] > 0, leg
            paid[leg["host"]] = (paid.get(leg["host"], 0) + leg["paid"]["units"] -
                                 leg["burned"]["units"])
        assert {leg["host"] for leg in run.report["legs"]} == set(cloud.lenders), run.report
    say(f"   {what}: from mpirun to MPI_Init {statistics.median(init_s):.2f} s "
        f"({', '.join(f'{one:.2f}' for one in init_s)}), to the bill "
        f"{statistics.median(settle_s):.2f} s")
    init_s_of[what] = statistics.median(init_s)
    return before, paid


def on_por(cloud):
    before, paid = lease_run_settle(cloud, "proof of resource")
    nodes = list(cloud.nodes.values())
    renter = cloud.nodes[cloud.renter]
    height = renter.status()["height"]
    wait_until(lambda: all(node.status()["final_height"] >= height for node in nodes), FINAL_S,
               lambda: f"block {height} is final at all: "
               f"{[(node.name, node.status()['final_height']) for node in nodes]}")
    say(f"   its blocks are final at all four, at height {height}")
    leases = {lease["lease"] for lease in renter.ask("lease", "list", "--all")["leases"]}
    assert len(leases) == ROUNDS, leases
    for lease in leases:
        bills = [node.ask("lease", "show", lease) for node in nodes]
        assert {bill["state"] for bill in bills} == {"settled"}, bills
        assert len({bill["paid"]["units"] for bill in bills}) == 1, bills
    # Whoever seals a block is rewarded for it, so that a lender has what it earned at least.
    for name, units in paid.items():
        assert cloud.nodes[name].balance(cloud.nodes[name].address()) >= before[name] + units, name


def on_solo(cloud):
    before, paid = lease_run_settle(cloud, "one sealer")
    for name, units in paid.items():
        node = cloud.nodes[name]
        wait_until(lambda: node.balance(node.address()) == before[name] + units, 30,
                   f"{name} is paid {units}: {before[name]}, {node.balance(node.address())}")


if __name__ == "__main__":
    code = run_tests([("por", on_por)], Miners) | run_tests([("solo", on_solo)], OneSealer)
    say("from mpirun to MPI_Init: " + ", ".join(f"{what} {seconds:.2f} s"
                                                for what, seconds in init_s_of.items()))
    sys.exit(code)
