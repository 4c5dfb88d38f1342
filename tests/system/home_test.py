# SPDX-License-Identifier: BSD-3-Clause
"""Mixed supply: ranks of the renter's own machine, own machines that cost nothing, and bought peers in
one job; and who reaches whom then."""

import os
import socket
import sys

from chain_devnet import (
    BUILD_FOLDER, BUSY, Devnet, descendants, hosts_of_ranks, is_alive, run_tests, say, wait_until)
from drawing import Drawing

TALKER = f"{BUILD_FOLDER}/tests/system/talker"
KNOCKER = f"{BUILD_FOLDER}/tests/system/knocker"
HERE = socket.gethostname().split(".")[0]


def ranks_at_home(net):
    """They are the first, cost nothing, and talk with the others."""
    net.wait_offers()
    run = net.mpirun("--chain-lease", 2, "--chain-home", 2, "-np", 4, "--tag-output", "hostname")
    assert run.rc == 0, run.text()
    hosts = [host.split(".")[0] for host in hosts_of_ranks(run)]
    assert hosts[:2] == [HERE, HERE] and len(set(hosts)) == 3, run.text()
    assert run.report["home_slots"] == 2 and len(run.report["legs"]) == 2, run.report
    assert "(this machine)" in run.err and "free" in run.err, run.text()
    run = net.mpirun("--chain-lease", 2, "--chain-home", 2, "-np", 4, TALKER, "home", 10)
    assert "home: 4 ranks" in run.out, run.text()
    say(f"   {run.out.strip()}, two at home, in {run.wall_s:.2f} s")
    net.wait_nothing_locked()


def as_many_as_there_are(net):
    """Without -np all slots are used; more than there are is an error that says so."""
    run = net.mpirun("--chain-lease", 2, "--chain-home", 1, "hostname")
    assert run.rc == 0 and len(run.out.splitlines()) == 3, run.text()
    run = net.mpirun("--chain-lease", 2, "--chain-home", 1, "-np", 4, "hostname")
    assert run.rc == 1 and "4" in run.err and "3" in run.err, run.text()
    run = net.mpirun("--chain-lease", 2, "--chain-home", "two", "-np", 2, "hostname")
    assert run.rc == 1 and "--chain-home" in run.err, run.text()


def the_same_picture(net):
    """Files at home are read and written where they are; those of peers come there."""
    drawing = Drawing(net.folder, net.environment)
    job = net.start_mpirun("--chain-lease", 2, "--chain-home", 1, "-np", 3, *drawing.words)
    run = job.wait(60)
    assert run.rc == 0, run.text()
    drawing.check(job.folder)
    assert not os.path.exists(f"{job.folder}/.chain-in"), os.listdir(job.folder)


def nobody_knocks_at_mpirun(net):
    """A peer's rank reaches ranks at home, and nothing else on the renter's machine."""
    run = net.mpirun("--chain-lease", 1, "--chain-home", 1, "-np", 2, KNOCKER)
    assert run.rc == 0, run.text()
    ports = dict(line.split() for line in run.out.splitlines())
    assert ports.pop("29990") == "reached", run.text()
    ports = {port: word for port, word in ports.items() if not 20000 <= int(port) < 30000}
    assert ports and set(ports.values()) == {"silent"}, run.text()
    say(f"   {len(ports)} ports of mpirun and its helpers: silent")


def own_machines_are_free(net):
    """A machine of one's own costs nothing, comes first, and locks nothing."""
    own, other = net.providers
    renter = net.renter.call("wallet", "show")["address"]
    own.call("offer", "set", "--slots", "2", "--ask", "5", "--free-for", renter)
    net.wait_offers()
    listed = {offer["host"]: offer for offer in net.renter.call("offer", "list", "--all")["offers"]}
    assert listed[own.name]["free_for"] == [renter], listed
    before = own.call("wallet", "show")["balance"]["units"]
    run = net.mpirun("--chain-lease", 3, "--chain-home", 1, "-np", 4, TALKER, "mixed", 4)
    assert run.rc == 0 and "mixed: 4 ranks" in run.out, run.text()
    legs = {leg["host"]: leg for leg in run.report["legs"]}
    assert legs[own.name]["slots"] == 2 and legs[own.name]["free"], run.report
    assert legs[own.name]["paid"]["units"] == 0 and legs[own.name]["cycles"] > 0, run.report
    assert legs[other.name]["paid"]["units"] > 0 and not legs[other.name]["free"], run.report
    assert run.report["price_per_ghz_h"]["tokens"] == "0.01", run.report
    net.wait_nothing_locked()
    assert own.call("wallet", "show")["balance"]["units"] == before
    # Alone they make a lease without any money in it, also for somebody who has none left to lock.
    run = net.mpirun("--chain-lease", f"2,provider={own.name}", "--chain-max-price", "0.001", "-np", 2,
                     "hostname")
    assert run.rc == 0 and run.report["escrow"]["units"] == 0, run.text()
    # Who claims to be free for somebody else's account gets nothing for it.
    run = other.ask("lease", "explain", "1")
    assert own.name in run.stdout and "5" in run.stdout, run.stdout + run.stderr
    net.wait_nothing_locked()


def own_machines_are_reserved(net):
    """In a reservation, too, they cost nothing whatever the others cost; and ranks at home join it."""
    own, other = net.providers
    own.call("offer", "set", "--slots", "2", "--ask", "5", "--free-for",
             net.renter.call("wallet", "show")["address"])
    net.wait_offers()
    run = net.mpirun("--chain-lease", 3, "--chain-start", "+4s", "--chain-home", 1, "-np", 4, BUSY, 5,
                     timeout_s=60)
    assert run.rc == 0 and run.report["home_slots"] == 1, run.text()
    legs = {leg["host"]: leg for leg in run.report["legs"]}
    assert legs[own.name]["free"] and legs[own.name]["cycles"] > 0, run.report
    assert legs[own.name]["paid"]["units"] == 0 < legs[other.name]["paid"]["units"], run.report
    assert {leg["end"] for leg in legs.values()} == {"completed"}, run.report
    net.wait_nothing_locked()


# Sleeps in the first try, and ends in the next.
SLEEPER = """
echo "rank $OMPI_COMM_WORLD_RANK try ${OMPI_CHAIN_RESTART:-0} on $(hostname)"
[ "${OMPI_CHAIN_RESTART:-0}" = 0 ] && sleep 60
exit 0
"""


def sleeping_job(net, *words):
    """Both ranks run: one at home, one on the peer that is named second."""
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", 1, "--chain-home", 1, *words, "-np", 2, "sh", "-c", SLEEPER)
    wait_until(lambda: job.output()[0].count(" try 0 on ") == 2, 40, lambda: f"both ranks run: {job.output()}")
    peer = next(line.split()[-1] for line in job.output()[0].splitlines() if line.startswith("rank 1 "))
    return job, next(provider for provider in net.providers if provider.name == peer)


def check_nothing_stays(net, processes):
    wait_until(lambda: not any(is_alive(process) for process in processes), 15, "no rank is left at home")
    net.wait_nothing_locked()


def a_lost_peer_ends_the_job_at_home_too(net):
    job, peer = sleeping_job(net)
    at_home = descendants(job.pid)
    peer.kill()
    run = job.wait(30)
    assert run.rc not in (0, None) and peer.name in run.err, run.text()
    peer.restart()
    check_nothing_stays(net, at_home)


def a_lost_peer_and_another_try(net):
    job, peer = sleeping_job(net, "--chain-relaunch", 1)
    at_home = descendants(job.pid)
    peer.kill()
    run = job.wait(60)
    again = sorted(line.split()[-1].split(".")[0] for line in run.out.splitlines() if " try 1 on " in line)
    other = next(provider.name for provider in net.providers if provider is not peer)
    assert run.rc == 0 and again == sorted([HERE, other]), run.text()
    peer.restart()
    check_nothing_stays(net, at_home)


def the_daemon_at_home_dies(net):
    """It carries what ranks at home and peers say to each other."""
    job, _ = sleeping_job(net)
    at_home = descendants(job.pid)
    net.renter.kill()
    run = job.wait(40)
    assert run.rc not in (0, None) and "ompi-chaind" in run.err, run.text()
    net.renter.restart()
    check_nothing_stays(net, at_home)


TESTS = [ranks_at_home, as_many_as_there_are, the_same_picture, nobody_knocks_at_mpirun,
         a_lost_peer_ends_the_job_at_home_too, a_lost_peer_and_another_try, the_daemon_at_home_dies,
         own_machines_are_free, own_machines_are_reserved]

if __name__ == "__main__":
    sys.exit(run_tests([(test.__name__, test) for test in TESTS], lambda: Devnet(providers=2)))
