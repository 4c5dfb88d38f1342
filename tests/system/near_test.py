# SPDX-License-Identifier: BSD-3-Clause
"""Who is near whom: of equal asks the nearer peers are leased, and ranks with neighbouring numbers are
on peers that are near each other, whatever order the prices gave them."""

import contextlib
import os
import sys

from apart import Market
from chain_devnet import Failure, hosts_of_ranks, run_tests, say, wait_until
from net_lab import Lab

NEAR, FAR = ("birch", "cedar"), ("doug", "elm")


class Rooms(Lab):
    """The renter and two lenders in one room, two other lenders each far from everybody."""

    def __init__(self):
        super().__init__(("ash", *NEAR, *FAR))
        self.public, self.lenders = ("ash",), (*NEAR, *FAR)

    def _start(self):
        super()._start()
        for name in FAR:
            self.set_delay(40, name)


def round_trips_us(net):
    """By host, of those with whom the renter has a session."""
    peers = {peer["node_key"]: peer["round_trip_us"] for peer in net.renter.ask("peer", "list")["peers"]}
    offers = net.renter.ask("offer", "list", "--all")["offers"]
    return {offer["host"]: peers.get(offer["node_key"], 0) for offer in offers}


def set_asks(net, **asks):
    """A market in which only the price decides, or none of it."""
    for name, ask in asks.items():
        net.nodes[name].ask("offer", "set", "--slots", "1", "--ask", ask)
    expected = {name: float(ask) for name, ask in asks.items()}

    def listed():
        offers = net.renter.ask("offer", "list", "--all")["offers"]
        return {offer["host"]: float(offer["ask_per_ghz_h"]["tokens"]) for offer in offers
                if offer["slots"] == 1}

    wait_until(lambda: listed() == expected, 30, lambda: f"{listed()} is {expected}")


def times_are_measured(net):
    def known():
        times = round_trips_us(net)
        return all(0 < times.get(name, 0) < 15_000 for name in NEAR) and \
            all(times.get(name, 0) > 35_000 for name in FAR)

    wait_until(known, 30, lambda: f"round trips: {round_trips_us(net)}")
    say(f"   round trips in us: {round_trips_us(net)}")


def the_near_ones_are_taken(net):
    set_asks(net, **{name: "0.01" for name in (*NEAR, *FAR)})
    times_are_measured(net)
    run = net.renter.mpirun("--chain-lease", 2, "-np", 2, "--tag-output", "hostname")
    assert sorted(hosts_of_ranks(run)) == sorted(NEAR), run.text()
    explained = net.renter.ask("lease", "explain", "1")["peers"]
    assert explained[0]["host"] in NEAR and explained[0]["round_trip_us"] > 0, explained


def the_price_comes_first(net):
    """And neighbours are near: by price alone the order would be doug, elm, birch, cedar. Which of the
    two near ones is nearer is the machine's noise."""
    set_asks(net, doug="0.01", elm="0.02", birch="0.03", cedar="0.04")
    run = net.renter.mpirun("--chain-lease", 1, "-np", 1, "--tag-output", "hostname")
    assert hosts_of_ranks(run) == ["doug"], run.text()
    run = net.renter.mpirun("--chain-lease", 4, "-np", 4, "--tag-output", "hostname")
    hosts = hosts_of_ranks(run)
    assert hosts[0] == "doug" and sorted(hosts[1:3]) == sorted(NEAR) and hosts[3] == "elm", run.text()
    run = net.renter.mpirun("--chain-lease", 4, "--chain-home", 1, "-np", 5, "--tag-output", "hostname")
    hosts = hosts_of_ranks(run)[1:]
    assert sorted(hosts[:2]) == sorted(NEAR) and sorted(hosts[2:]) == sorted(FAR), run.text()


@contextlib.contextmanager
def market():
    with Rooms() as rooms:
        with Market(rooms, slots=1) as net:
            net.wait_offers()
            yield net


if __name__ == "__main__":
    if os.geteuid() != 0:
        raise Failure("only root makes such networks")
    sys.exit(run_tests([(test.__name__, test) for test in
                        (times_are_measured, the_near_ones_are_taken, the_price_comes_first)], market))
