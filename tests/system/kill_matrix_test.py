# SPDX-License-Identifier: BSD-3-Clause
"""More ways to fail, with the same end as in money_test: mpirun and daemons frozen and woken, the
sealer away, daemons killed at the beginning of a lease and at random moments of it.

The seed is printed; CHAIN_TEST_SEED repeats it, CHAIN_TEST_MOMENTS says how many moments (6).
"""

import os
import random
import signal
import sys
import time

from chain_devnet import BUSY, Devnet, run_tests, say
from chain_money import (
    SETTLED_WITHIN_S, burned_by, check_after, check_money, check_next_lease, check_nothing_left,
    running_job)

MOMENTS = int(os.environ.get("CHAIN_TEST_MOMENTS", "6"))
SEED = int(os.environ.get("CHAIN_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))
# Longer than the silence after which a peer is lost.
FROZEN_S = 5
# A lease of 6 s, its grace of 10 s, and the sealer's own look at it.
EXPIRED_WITHIN_S = 25
BIG_FILE_BYTES = 768 << 20


def frozen_mpirun(net):
    with running_job(net, 8) as (job, bill, before):
        os.kill(job.pid, signal.SIGSTOP)
        time.sleep(FROZEN_S)
        os.kill(job.pid, signal.SIGCONT)
        run = job.wait(40)
        assert run.rc == 0, run.text()
        check_after(net, bill, before)


def frozen_renter_daemon(net):
    with running_job(net) as (job, bill, before):
        net.renter.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        net.renter.signal(signal.SIGCONT)
        run = job.wait(30)
        assert run.rc != 0, run.text()
        check_after(net, bill, before)


def frozen_provider_daemon(net):
    with running_job(net) as (job, bill, before):
        net.providers[1].signal(signal.SIGSTOP)
        run = job.wait(FROZEN_S)
        assert run.rc != 0, run.text()
        time.sleep(FROZEN_S - min(FROZEN_S, run.wall_s))
        net.providers[1].signal(signal.SIGCONT)
        check_after(net, bill, before)


def killed_sealer(net):
    with running_job(net, 10) as (job, bill, before):
        net.sealer.kill()
        time.sleep(3)
        assert job.is_running(), job.wait(1).text()
        net.sealer.restart()
        run = job.wait(40)
        assert run.rc == 0, run.text()
        check_after(net, bill, before)


def sealer_away_at_the_end(net):
    with running_job(net, 5) as (job, bill, before):
        net.sealer.kill()
        run = job.wait(60)
        say(f"   mpirun ended after {run.wall_s:.1f} s, with {run.rc}")
        assert run.rc == 0, run.text()
        net.sealer.restart()
        check_after(net, bill, before)


def killed_while_files_are_sent(net):
    net.wait_offers()
    net.wait_nothing_locked()
    before = net.balances()
    big = f"{net.folder}/big"
    with open(big, "wb") as file:
        file.truncate(BIG_FILE_BYTES)
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, "--chain-stage-in", big, BUSY, 1)
    bill = net.wait_lease(lambda bill: bill["state"] == "funded", "a lease is funded", 60, job)
    time.sleep(0.3)
    assert net.lease(bill["lease"])["state"] == "funded", net.lease(bill["lease"])
    net.note_processes()
    net.providers[0].kill()
    run = job.wait(30)
    os.unlink(big)
    assert run.rc != 0, run.text()
    assert net.providers[0].name in run.err, run.text()
    net.providers[0].restart()
    check_money(net, before, bill["lease"])
    check_nothing_left(net, bill["lease"])
    check_next_lease(net)


def killed_right_after_agreement(net):
    net.wait_offers()
    net.wait_nothing_locked()
    before = net.balances()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, 20)
    provider = net.providers[0]
    with open(provider.log, encoding="utf-8") as log:
        log.seek(0, os.SEEK_END)
        until = time.monotonic() + 20
        while "agreed to lease" not in log.readline() and time.monotonic() < until:
            time.sleep(0.0005)
    provider.kill()
    run = job.wait(40)
    assert run.rc != 0, run.text()
    provider.restart()
    net.wait_nothing_locked(SETTLED_WITHIN_S)
    net.wait_agreement()
    after = net.balances()
    lost = sum(before.values()) - sum(after.values())
    assert lost == 0 and after == before, (before, after)
    check_next_lease(net)


def everybody_is_away(net):
    """Renter and providers die and stay away: the lease expires, and the sealer settles it."""
    net.wait_offers()
    before = net.balances()
    job = net.start_mpirun("--chain-lease", 2, "--chain-time", "6s", "-np", 2, BUSY, 20)
    bill = net.wait_voucher(job=job)
    for node in [net.renter, *net.providers]:
        node.kill()
    killed = time.monotonic()
    assert job.wait(30).rc != 0
    net.wait_nothing_locked(EXPIRED_WITHIN_S)
    say(f"   nothing is locked {time.monotonic() - killed:.1f} s after the kill")
    for node in [net.renter, *net.providers]:
        node.restart()
    check_money(net, before, bill["lease"])
    check_nothing_left(net, bill["lease"])
    check_next_lease(net)


def stale_offer(net):
    """A provider is back a moment ago: the offer that the renter has of it is refused, the others
    that had agreed are asked again, and the job runs when the new offer is there."""
    provider = net.providers[0]
    provider.kill()
    provider.restart()
    started = time.monotonic()
    run = net.mpirun("--chain-lease", 2, "--chain-wait", "20s", "-np", 2, BUSY, "0.5")
    assert run.rc == 0, run.text()
    say(f"   the job ended {time.monotonic() - started:.1f} s after the provider was back")
    net.wait_settled(run.report["lease"])


def kill_at_random_moment(net, source):
    name = source.choice(["mpirun", "renter", "sealer", "provider-1", "provider-2"])
    moment_s = source.uniform(0, 3)
    known = {bill["lease"] for bill in net.leases(every=True)}
    before = net.balances()
    job = net.start_mpirun("--chain-lease", 2, "--chain-wait", "10s", "-np", 2, BUSY, "2")
    time.sleep(moment_s)
    net.note_processes()
    if name == "mpirun":
        job.kill()
    else:
        net.nodes[name].kill()
        time.sleep(source.choice([0, 0.5, 5]))
        net.nodes[name].restart()
    run = job.wait(60)
    say(f"   {name} after {moment_s:.2f} s: mpirun ended with {run.rc}")
    leases = [bill for bill in net.leases(every=True) if bill["lease"] not in known]
    for bill in leases:
        net.wait_settled(bill["lease"], SETTLED_WITHIN_S)
        net.wait_no_leftovers(bill["lease"])
    net.wait_nothing_locked(SETTLED_WITHIN_S)
    net.wait_agreement()
    after = net.balances()
    burned = sum(sum(burned_by(net.lease(bill["lease"]))) for bill in leases)
    gain = sum(after[node.name] - before[node.name] for node in net.providers)
    assert before["renter"] - after["renter"] == gain + burned, (before, after, leases)
    assert before["sealer"] == after["sealer"], (before, after)


def random_moments(net):
    say(f"   seed {SEED}, {MOMENTS} moments")
    source = random.Random(SEED)
    for _ in range(MOMENTS):
        kill_at_random_moment(net, source)
    check_next_lease(net)


TESTS = [
    ("frozen_mpirun", frozen_mpirun),
    ("frozen_renter_daemon", frozen_renter_daemon),
    ("frozen_provider_daemon", frozen_provider_daemon),
    ("killed_sealer", killed_sealer),
    ("sealer_away_at_the_end", sealer_away_at_the_end),
    ("killed_while_files_are_sent", killed_while_files_are_sent),
    ("killed_right_after_agreement", killed_right_after_agreement),
    ("everybody_is_away", everybody_is_away),
    ("stale_offer", stale_offer),
    ("random_moments", random_moments),
]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, lambda: Devnet(providers=2, slots=1)))
