# SPDX-License-Identifier: BSD-3-Clause
"""The meter against the truth: jobs in leases that know how much processor time they took, in threads, in
children that last milliseconds, in daemons that nobody waits for; what is billed is that, and what
orted takes, which a job that does nothing shows."""

import os
import statistics
import sys

from chain_devnet import Devnet, run_tests, say

CONSUMER = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/system/consumer")
SECONDS = 3
TOLERANCE = 0.02  # of a meter that counts no cycles; measured: 0.0016
WAITS_S = 4


def take(net, what, seconds, ranks=1):
    return net.billed_and_counted(CONSUMER, what, seconds, ranks=ranks)


def counts_what_was_taken(net):
    own = statistics.median(billed - counted for billed, counted, _ in
                            (take(net, "sleeps", 0) for _ in range(3)))
    say(f"   what starts and ends a job takes {own:.3f} s beside the ranks")
    assert 0 <= own < 1, own
    for what, ranks in (("loop", 1), ("loop", 2), ("threads", 1), ("children", 1), ("daemons", 1)):
        billed, counted, _ = take(net, what, SECONDS, ranks)
        off = (billed - own) / counted - 1
        say(f"   {what} on {ranks}: billed {billed:.3f} s, taken {counted:.3f} s: {100 * off:+.2f} %")
        assert counted >= SECONDS * ranks, counted
        assert abs(off) <= TOLERANCE, (what, off)


def sleeping_costs_nothing(net):
    billed, counted, _ = take(net, "sleeps", WAITS_S, 2)
    say(f"   two ranks that sleep {WAITS_S} s: billed {billed:.3f} s")
    assert billed < 1 and counted < 1, (billed, counted)


def waiting_stands_apart(net):
    billed, _, leg = take(net, "receives", WAITS_S, 2)
    share = leg["waited_cycles"] / leg["cycles"]
    say(f"   a rank blocked {WAITS_S} s in MPI_Recv: billed {billed:.3f} s, of it waiting "
        f"{100 * share:.0f} %")
    receiver = next(rank for rank in leg["ranks"] if rank["rank"] == 0)
    assert receiver["waited_cycles"] > 0.9 * receiver["cycles"] > 0, leg
    assert share > 0.8, leg


if __name__ == "__main__":
    sys.exit(run_tests([
        ("counts_what_was_taken", counts_what_was_taken),
        ("sleeping_costs_nothing", sleeping_costs_nothing),
        ("waiting_stands_apart", waiting_stands_apart),
    ], lambda: Devnet(providers=1, slots=2)))
