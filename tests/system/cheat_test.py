# SPDX-License-Identifier: BSD-3-Clause
"""Who tries to be billed for less than it took, or to bill more: caught, or bounded, as docs/metering.md
says. The hook that lies, the clock that is dodged, the provider whose meter multiplies."""

import contextlib
import os
import sys

from chain_devnet import Devnet, run_tests, say

TESTS_FOLDER = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/system")
CHEATER, CONSUMER = f"{TESTS_FOLDER}/cheater", f"{TESTS_FOLDER}/consumer"
OVER_REPORTER = f"{TESTS_FOLDER}/over_reporter.so"
SECONDS = 3
TOLERANCE = 0.02
OWN_S = 0.3  # what starts and ends a job takes beside the ranks, at most


def jobs_that_cheat_pay_for_what_they_took(net):
    for how in ("dodges", "lies", "drowns"):
        billed, taken, leg = net.billed_and_counted(CHEATER, how, SECONDS)
        say(f"   {how}: billed {billed:.3f} s, taken {taken:.3f} s")
        assert taken * (1 - TOLERANCE) <= billed <= taken * (1 + TOLERANCE) + OWN_S, (how, billed)
        assert leg["waited_cycles"] <= leg["cycles"], leg
        assert sum(rank["cycles"] for rank in leg["ranks"]) <= leg["cycles"], leg


@contextlib.contextmanager
def lying_meter(net, times):
    """The provider's daemon reads `times` what its kernel says."""
    provider, = net.providers
    provider.environment.update({"LD_PRELOAD": OVER_REPORTER, "LAB_METER_TIMES": str(times)})
    provider.kill()
    provider.restart()
    net.wait_offers()
    try:
        yield provider
    finally:
        for name in ("LD_PRELOAD", "LAB_METER_TIMES"):
            del provider.environment[name]
        provider.kill()
        provider.restart()
        net.wait_offers()


def a_meter_that_multiplies_gets_no_more_than_its_slots(net):
    """Of a job that sleeps: what its slots could have done in that time is the most, whatever the
    kernel is said to have counted."""
    for times in (1.5, 1000):
        with lying_meter(net, times) as provider:
            hz = provider.status()["hz"]
            run = net.mpirun("--chain-lease", 1, "-np", 1, CONSUMER, "sleeps", SECONDS)
            assert run.rc == 0, run.text()
            billed = run.report["legs"][0]["cycles"] / hz
            say(f"   x {times}: billed {billed:.3f} s of {run.wall_s:.1f} s in which nothing ran")
            assert billed <= run.wall_s, (billed, run.wall_s)
            assert billed > 1 or times < 2, "the meter does not lie"


if __name__ == "__main__":
    sys.exit(run_tests([(test.__name__, test) for test in (
        jobs_that_cheat_pay_for_what_they_took,
        a_meter_that_multiplies_gets_no_more_than_its_slots)],
        lambda: Devnet(providers=1, slots=2)))
