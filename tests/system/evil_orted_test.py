# SPDX-License-Identifier: BSD-3-Clause
"""A provider's daemon speaks to the renter's mpirun in its orted's place: it has mpirun start a
program where the renter sits, or send a file of the renter's, end, or break. Each of that works when
nobody looks at what a peer says; here nothing of it reaches mpirun, which says who that was."""

import contextlib
import os
import sys
import time

from chain_devnet import BUILD_FOLDER, BUSY, Devnet, run_tests, say

EVIL_ORTED = f"{BUILD_FOLDER}/tests/system/evil_orted.so"
SECRET = "nobody else's"
JOB_S = 20
ENDS_WITHIN_S = 12.0
NAMES = ("LD_PRELOAD", "LAB_EVIL_SAYS", "LAB_EVIL_FILE")


@contextlib.contextmanager
def evil(net, what):
    """The first provider says `what`; the file of the renter's that it is about: one that is there
    if it is to be sent, or one that is to be made."""
    provider = net.providers[0]
    wanted = f"{net.folder}/of-the-renter-{what}"
    if what == "preload":
        with open(wanted, "w", encoding="ascii") as file:
            file.write(SECRET)
    provider.environment.update(zip(NAMES, (EVIL_ORTED, what, wanted)))
    provider.kill()
    provider.restart()
    net.wait_offers()
    try:
        yield provider, wanted
    finally:
        for name in NAMES:
            del provider.environment[name]
        provider.kill()
        provider.restart()
        net.wait_offers()


def refused(net, what, words, blamed=True):
    """`blamed`: no program of the renter's could have made an honest orted say that."""
    with evil(net, what) as (provider, wanted):
        started = time.monotonic()
        run = net.mpirun("--chain-lease", 4, "-np", 2, "--map-by", "node", BUSY, JOB_S, timeout_s=60)
        seconds = time.monotonic() - started
        time.sleep(0.5)
        assert os.path.exists(wanted) == (what == "preload"), f"{wanted} was made by {what}"
        assert SECRET not in run.text(), run.text()
        assert run.rc != 0, run.text()
        assert words in run.err and provider.name in run.err, run.text()
        assert words in run.report["reason"], run.report
        assert run.report["ended_by"] == ("provider" if blamed else "renter"), run.report
        assert seconds <= ENDS_WITHIN_S, (seconds, run.text())
        say(f"   {what}: {run.report['reason']} ({seconds:.1f} s)")
        assert net.renter.is_running()
        net.wait_settled(run.report["lease"])
    net.wait_nothing_locked()


def who_only_listens_does_no_harm(net):
    """The one who stands between the two, and says nothing, is not seen."""
    with evil(net, "nothing"):
        run = net.mpirun("--chain-lease", 4, "-np", 2, "--map-by", "node", BUSY, 1)
        assert run.rc == 0, run.text()


def programs_and_files_of_the_renter(net):
    refused(net, "spawn", "add a machine", blamed=False)
    refused(net, "preload", "send files", blamed=False)


def commands_for_daemons(net):
    refused(net, "launch", "a command for the daemon in mpirun")
    refused(net, "xcast", "a command for all daemons", blamed=False)
    refused(net, "relayed", "for another orted")


def messages_that_are_none(net):
    refused(net, "name", "in another's name")
    refused(net, "probe", "a message of type 2")
    refused(net, "huge", "a message of 2147483648 bytes", blamed=False)
    refused(net, "broken", "a broken message of kind 36", blamed=False)


if __name__ == "__main__":
    sys.exit(run_tests([
        ("who only listens does no harm", who_only_listens_does_no_harm),
        ("programs and files of the renter", programs_and_files_of_the_renter),
        ("commands for daemons", commands_for_daemons),
        ("messages that are none", messages_that_are_none),
    ], lambda: Devnet(providers=2, slots=2)))
