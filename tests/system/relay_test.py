# SPDX-License-Identifier: BSD-3-Clause
"""Peers behind routers reach each other by way of a third one: a renter and two providers, each in a
home of its own, have a session with a public node and with nobody else. It carries what they say
and cannot read it; when it dies, the job ends and says why. Who can be called is called back, and
nothing is carried. And a relay that has a price is paid for what it carries."""

import contextlib
import os
import re
import secrets
import sys
import time

from apart import Apart, Market
from chain_devnet import BUILD_FOLDER, Failure, run_tests, say, wait_until
from lease_network_test import wiretap

TALKER = f"{BUILD_FOLDER}/tests/system/talker"
KEEPER, PUBLIC, RENTER, LENDERS = "alice", "rosa", "rita", ("birch", "cedar")
ENDS_S = 30  # of which the ledger takes most: it was Alice's
TOKEN = 1_000_000_000
PRICE = TOKEN // 2  # of a GiB; a quota is a quarter of one
QUOTA_COST = PRICE // 4


class Homes(Market):
    """Alice seals and carries; Rita and both lenders are at home; Rosa rents where all reach her."""

    def __init__(self, places):
        super().__init__(places, slots=1, keeper=KEEPER)
        self.renter_name = RENTER
        self.lenders = list(LENDERS)
        self.names = (KEEPER, PUBLIC, RENTER, *LENDERS)

    def options_of(self, name):
        options = super().options_of(name)
        return [*options, "--relay", "never"] if name == PUBLIC else options

    def settings(self, name, text):
        """The daemon's, which starts again with them."""
        self.nodes[name].stop()
        with open(f"{self.folder}/{name}/settings.toml", "w", encoding="ascii") as file:
            file.write(text)
        self.start_again(name)

    def relayed(self, name):
        """Keys of the peers that this daemon talks to through Alice."""
        peers = self.nodes[name].ask("peer", "list")["peers"]
        relay = f"relay {self.addresses[KEEPER]}"
        assert all(peer["address"] == relay for peer in peers if "relay" in peer["address"]), peers
        return {peer["node_key"] for peer in peers if peer["address"] == relay}

    def node_keys(self, *names):
        return {self.nodes[name].status()["node_key"] for name in names}


def lease(net, renter, marker, *, rounds=20):
    return net.nodes[renter].start_mpirun("--chain-lease", "2,provider=birch+cedar", "-np", 2,
                                          TALKER, marker, rounds)


def three_homes(net):
    """Nobody of the three can be dialled; and nobody on the way reads a word, Alice included."""
    before = net.relayed(RENTER)
    assert not before, before
    marker = f"marker-{secrets.token_hex(8)}"
    with wiretap(net.lab) as heard:
        run = lease(net, RENTER, marker).wait(90)
        found = heard(marker.encode(), b"OMPI_MCA", b"orte_", b"btl_tcp")
    assert run.rc == 0 and f"{marker}: 2 ranks" in run.out, run.text()
    assert not found, f"on the wire: {found}"
    assert net.relayed(RENTER) == net.node_keys(*LENDERS)
    for name in LENDERS:
        assert net.relayed(name) == net.node_keys(RENTER), name
    legs = net.renter.ask("lease", "list", "--all")["leases"][0]
    assert legs["state"] not in ("running", "failed"), legs
    say(f"   {run.out.strip()} in {run.wall_s:.2f} s, through Alice")


def who_can_be_called(net):
    """Rosa is public: the lenders call her, or she has met them already; nothing is carried."""
    run = lease(net, PUBLIC, "called").wait(90)
    assert run.rc == 0 and "called: 2 ranks" in run.out, run.text()
    assert not net.relayed(PUBLIC)
    rosa = net.node_keys(PUBLIC)
    for name in LENDERS:
        assert not net.relayed(name) & rosa, name


def alice_dies(net):
    """The job ends within seconds, with a reason that names what is gone."""
    job = lease(net, RENTER, "dies", rounds=100_000)
    wait_until(net.renter.running_leases, 30, "the lease runs")
    time.sleep(1)
    began = time.monotonic()
    net.nodes[KEEPER].kill()
    run = job.wait(90)
    took_s = time.monotonic() - began
    assert run.rc != 0, run.text()
    assert took_s < ENDS_S, f"{took_s:.1f} s"
    assert re.search(r"relay 20\.0\.0\.2:7660", run.text()), run.text()
    say(f"   the job ended {took_s:.1f} s after Alice's daemon")
    net.start_again(KEEPER)
    net.wait_offers()


def a_relay_with_a_price(net):
    """Who pays nothing is not carried, and hears why; who pays is, and the relay earns it."""
    net.settings(KEEPER, f'[relay]\nprice = "{PRICE / TOKEN}"\n')
    net.wait_offers()
    refused = lease(net, RENTER, "unpaid").wait(90)
    assert refused.rc != 0 and "pay_per_gib" in refused.text(), refused.text()
    for name in (RENTER, *LENDERS):
        net.settings(name, '[relay]\npay_per_gib = "1"\npay_at_most = "10"\n')
    net.wait_offers()
    alice = net.nodes[KEEPER]
    address = alice.address()
    before = alice.balance(address)
    run = lease(net, RENTER, "paid").wait(90)
    assert run.rc == 0 and "paid: 2 ranks" in run.out, run.text()
    grown = alice.balance(address) - before
    # The renter's quota, and that of the lender who sought the other one.
    assert grown >= 2 * QUOTA_COST, grown
    say(f"   Alice has earned {grown / TOKEN} tokens")


TESTS = [three_homes, who_can_be_called, alice_dies, a_relay_with_a_price]


@contextlib.contextmanager
def market():
    homes = ((RENTER,), *((name,) for name in LENDERS))
    with Apart(public=(KEEPER, PUBLIC), homes=homes) as places:
        with Homes(places) as net:
            net.wait_offers()
            yield net


if __name__ == "__main__":
    if os.geteuid() != 0:
        raise Failure("only root makes such networks")
    sys.exit(run_tests([(test.__name__, test) for test in TESTS], market))
