# SPDX-License-Identifier: BSD-3-Clause
"""A lease across real networks: public hosts, homes behind routers that translate addresses, all of
them with the same private ones. What ranks and orteds say crosses the wire encrypted; nobody who is
not of the lease reaches a rank, and a rank reaches nobody; hosts that cannot reach each other do so
through the renter's; a link that breaks is noticed and taken up again."""

import contextlib
import os
import secrets
import sys
import time

from apart import Apart, Market
from chain_devnet import BUILD_FOLDER, BUSY, Failure, run_tests, say, wait_until
from drawing import Drawing

TALKER = f"{BUILD_FOLDER}/tests/system/talker"
ESCAPEE = f"{BUILD_FOLDER}/tests/system/escapee"
# Reads every frame that passes a switch into a file.
TAP = """
import socket, sys
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
with open(sys.argv[1], "wb", buffering=0) as file:
    print("ready", flush=True)
    while True:
        file.write(tap.recv(70000))
"""


@contextlib.contextmanager
def wiretap(places):
    """A function that tells whether these bytes were on the wire between the networks."""
    path = f"{places.folder}/wire"
    tap = places.internet.popen(sys.executable, "-c", TAP, path, stdout=-1)
    assert tap.stdout.readline() == b"ready\n"

    def heard(*words):
        with open(path, "rb") as file:
            whole = file.read()
        assert len(whole) > 10_000, len(whole)
        return [word for word in words if word in whole]

    yield heard
    tap.kill()
    tap.wait()
    os.unlink(path)


def six_ranks_on_three_hosts(net):
    """One public, two behind a router; and what a wiretap hears of it."""
    marker = f"marker-{secrets.token_hex(8)}"
    with wiretap(net.lab) as heard:
        run = net.renter.mpirun("--chain-lease", "6,provider=birch+cedar+doug", "-np", 6, TALKER,
                                marker, 20)
        found = heard(marker.encode(), b"OMPI_MCA", b"orte_", b"birch", b"btl_tcp")
    assert f"{marker}: 6 ranks" in run.out, run.text()
    assert sorted(leg["host"] for leg in run.report["legs"]) == ["birch", "cedar", "doug"], run.report
    assert not found, f"on the wire: {found}"
    say(f"   {run.out.strip()} in {run.wall_s:.2f} s; nothing of it on the wire")


def plain_is_heard(net):
    """The tap does hear what is said in the clear: else its silence would mean nothing."""
    marker = f"marker-{secrets.token_hex(8)}"
    with wiretap(net.lab) as heard:
        run = net.renter.mpirun("--chain-lease", "4,provider=birch+fir", "--chain-net", "plain",
                                "--mca", "btl_tcp_if_include", "eth0", "-np", 4, TALKER, marker, 4)
        found = heard(marker.encode(), b"OMPI_")
    assert f"{marker}: 4 ranks" in run.out, run.text()
    assert len(found) == 2, found


def an_image_job(net):
    drawing = Drawing(net.lab.folder, net.environment)
    job = net.renter.start_mpirun("--chain-lease", "6,provider=birch+cedar+doug", "-np", 6, *drawing.words)
    run = job.wait(90)
    assert run.rc == 0, run.text()
    drawing.check(job.folder)
    say(f"   {drawing.name}: the same as on one machine, byte for byte; {run.wall_s:.2f} s")


def who_cannot_be_reached(net):
    """Two homes: neither's hosts reach the other's, whose private addresses are even the same."""
    marker = "through-the-renter"
    run = net.renter.mpirun("--chain-lease", "4,provider=cedar+elm", "-np", 4, TALKER, marker, 6)
    assert f"{marker}: 4 ranks" in run.out, run.text()
    assert "do not reach each other" in net.renter.log(), net.renter.log()
    say(f"   {run.out.strip()} by way of the renter, in {run.wall_s:.2f} s")


def strangers(net):
    """Nobody in the LAN of a lender, nor the lender itself, reaches a rank; nor the other way."""
    hosts = net.lab.hosts
    for lender in ("birch", "cedar"):
        job = net.renter.start_mpirun("--chain-lease", f"2,provider={lender}", "-np", 2, BUSY, 30)
        wait_until(lambda job=job: net.renter.running_leases(), 20, "the lease runs")
        for who in (f"stranger-{lender}", lender, net.renter_name):
            for address in ("10.77.0.1", "10.77.0.2", "10.77.0.3"):
                for port in (10_000, 1024):
                    refused = hosts[who].run(
                        sys.executable, "-c",
                        "import socket, sys\n"
                        "s = socket.socket(); s.settimeout(0.3)\n"
                        f"print(s.connect_ex(('{address}', {port})))").strip()
                    assert refused != "0", f"{who} reached {address}:{port}"
        job.kill()
        wait_until(lambda: not net.renter.running_leases(), 20, "the lease is over")
        stranger = hosts[f"stranger-{lender}"]
        listener = stranger.popen(sys.executable, "-c",
                                  "import socket\ns = socket.create_server(('', 4711))\n"
                                  "print('ready', flush=True)\ns.accept()\nprint('touched')",
                                  stdout=-1)
        assert listener.stdout.readline() == b"ready\n"
        places = [f"{stranger.address}:4711", f"{hosts[lender].address}:7660", "192.168.1.1:53",
                  "20.0.0.2:7660", "20.0.0.3:7660", "172.16.0.1:22", "127.0.0.1:7660"]
        run = net.renter.mpirun("--chain-lease", f"1,provider={lender}", "-np", 1, ESCAPEE,
                                "network", *places)
        assert "OUT " not in run.out, run.text()
        listener.kill()
        assert b"touched" not in listener.stdout.read()


def the_cable_between_two(net):
    """Unplugged between two lenders while both reach the renter: it goes on through the renter."""
    renter = net.renter
    job = renter.start_mpirun("--chain-lease", "2,provider=birch+fir", "-np", 2, TALKER, "cut", 1500)
    wait_until(renter.running_leases, 20, "the lease runs")
    time.sleep(1)
    birch, fir = net.lab.hosts["birch"], net.lab.hosts["fir"]
    birch.run("ip", "route", "add", "blackhole", f"{fir.address}/32")
    fir.run("ip", "route", "add", "blackhole", f"{birch.address}/32")
    run = job.wait(300)
    birch.run("ip", "route", "del", "blackhole", f"{fir.address}/32")
    fir.run("ip", "route", "del", "blackhole", f"{birch.address}/32")
    assert run.rc == 0 and "cut: 2 ranks" in run.out, run.text()
    assert "do not reach each other" in renter.log(), renter.log()
    say(f"   {run.out.strip()} in {run.wall_s:.1f} s, over the cut")


TESTS = [six_ranks_on_three_hosts, plain_is_heard, an_image_job, who_cannot_be_reached, strangers,
         the_cable_between_two]


@contextlib.contextmanager
def market():
    with Apart(public=("ash", "birch", "fir"), homes=(("cedar", "doug"), ("elm",))) as places:
        with Market(places, slots=2, lender_options=("--plain-network",)) as net:
            net.wait_offers()
            yield net


if __name__ == "__main__":
    if os.geteuid() != 0:
        raise Failure("only root makes such networks")
    sys.exit(run_tests([(test.__name__, test) for test in TESTS], market))
