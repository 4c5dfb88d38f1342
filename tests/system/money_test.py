# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is killed in the middle of a job, the money adds up to the unit and nothing stays behind.

For a normal run and for kill -9 of a rank, an orted, mpirun, a provider's daemon, the renter's
daemon, each after vouchers were signed; for mpirun and the renter's daemon frozen; for the sealer
killed and started again while the job runs; for a provider's daemon killed at the start of a lease.
"""

import contextlib
import os
import signal
import sys
import time

from chain_devnet import BUSY, Devnet, Failure, is_alive, run_tests, say

# With a devnet's challenge window of 3 s and its grace of 10 s.
SETTLED_WITHIN_S = 20
JOB_S = 20
FROZEN_S = 10


def check_money(net, before, lease_id):
    """renter's loss = providers' gain + burned, of every account, to the unit."""
    bill = net.wait_settled(lease_id, SETTLED_WITHIN_S)
    net.wait_nothing_locked(SETTLED_WITHIN_S)
    net.wait_agreement()
    after = net.balances()
    change = {name: after[name] - before[name] for name in after}
    loss = -change["renter"]
    gain = sum(change[node.name] for node in net.providers)
    burned = sum(leg["burned"]["units"] for leg in bill["legs"])
    say(f"   renter -{loss}, providers +{gain}, burned {burned}, paid {bill['paid']['units']} units")
    assert change["sealer"] == 0, change
    assert loss == gain + burned, (change, burned)
    assert loss == sum(before.values()) - sum(after.values()) + gain, change
    assert bill["paid"]["units"] == loss, (bill["paid"], loss)
    for node in net.providers:
        theirs = [leg for leg in bill["legs"] if leg["provider"] == node.address]
        due = sum(leg["paid"]["units"] - leg["burned"]["units"] for leg in theirs)
        assert change[node.name] == due, (node.name, change, theirs)
    # Every node has the same accounts, and providers tell the same story of the lease.
    for node in net.nodes.values():
        assert net.balances(node) == after, node.name
    for node in net.providers:
        if any(leg["provider"] == node.address for leg in bill["legs"]):
            told = net.lease(lease_id, node)
            assert told["paid"] == bill["paid"], (told, bill)
    return bill


def check_nothing_left(net, lease_id):
    net.wait_no_leftovers(lease_id)
    for node in net.providers:
        left = [process for process in node.lease_processes() if is_alive(process)]
        assert not left, (node.name, left)
    assert not net.leases(), net.leases()


def check_next_lease(net):
    net.wait_offers()
    run = net.mpirun("--chain-lease", 2, "-np", 2, BUSY, "0.5", timeout_s=40)
    assert run.rc == 0, run.text()
    assert "busy: 2 ranks" in run.out, run.text()
    net.wait_settled(run.report["lease"])


@contextlib.contextmanager
def running_job(net, seconds=JOB_S):
    """A job on both providers, after the first voucher of each; (job, its bill, balances before)."""
    net.wait_offers()
    net.wait_nothing_locked()
    before = net.balances()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, seconds)
    bill = net.wait_voucher(job=job)
    assert len(bill["legs"]) == 2, bill
    yield job, bill, before
    job.kill()


def check_after(net, bill, before):
    vouchers = {leg["provider"]: leg["paid"]["units"] for leg in bill["legs"]}
    settled = check_money(net, before, bill["lease"])
    for leg in settled["legs"]:
        assert leg["paid"]["units"] >= vouchers[leg["provider"]], (leg, vouchers)
    check_nothing_left(net, bill["lease"])
    check_next_lease(net)
    return settled


def one_of(net, name):
    found = [p for p in net.providers[0].lease_processes() if p.name == name]
    if not found:
        raise Failure(f"no {name} below {net.providers[0].name}")
    return found[0]


def normal_run(net):
    with running_job(net, 5) as (job, bill, before):
        run = job.wait(40)
        assert run.rc == 0, run.text()
        settled = check_after(net, bill, before)
        assert settled["paid"] == job.report()["paid"], (settled, job.report())


def killed_process(name):
    def test(net):
        with running_job(net) as (job, bill, before):
            os.kill(one_of(net, name).pid, signal.SIGKILL)
            killed = time.monotonic()
            run = job.wait(30)
            say(f"   mpirun ended {time.monotonic() - killed:.1f} s after, with {run.rc}")
            assert run.rc != 0, run.text()
            check_after(net, bill, before)

    return test


def killed_mpirun(net):
    with running_job(net) as (job, bill, before):
        os.kill(job.pid, signal.SIGKILL)
        job.wait(5)
        settled = check_after(net, bill, before)
        assert "mpirun is gone" in settled["reason"], settled


def killed_provider_daemon(net):
    with running_job(net) as (job, bill, before):
        net.providers[0].kill()
        run = job.wait(30)
        assert run.rc != 0, run.text()
        net.providers[0].restart()
        check_after(net, bill, before)


def killed_provider_daemon_that_stays_away(net):
    with running_job(net) as (job, bill, before):
        net.providers[0].kill()
        run = job.wait(30)
        assert run.rc != 0, run.text()
        started = time.monotonic()
        net.wait_nothing_locked(SETTLED_WITHIN_S)
        say(f"   nothing locked {time.monotonic() - started:.1f} s after the end of mpirun")
        net.providers[0].restart()
        check_after(net, bill, before)


def killed_renter_daemon(net):
    with running_job(net) as (job, bill, before):
        net.renter.kill()
        killed = time.monotonic()
        run = job.wait(30)
        say(f"   mpirun ended {time.monotonic() - killed:.1f} s after, with {run.rc}")
        assert run.rc != 0, run.text()
        assert "daemon of this machine went away" in run.err, run.text()
        net.renter.restart()
        check_after(net, bill, before)


def frozen_mpirun(net):
    with running_job(net) as (job, bill, before):
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
        for _ in range(1024):
            file.write(os.urandom(1 << 20))
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
    leases = [bill for bill in net.leases(every=True) if bill["state"] != "settled"]
    after = net.balances()
    lost = sum(before.values()) - sum(after.values())
    say(f"   burned {lost}; leases not settled: {leases}")
    assert before["renter"] - after["renter"] == lost + sum(
        after[node.name] - before[node.name] for node in net.providers
    )
    net.wait_offers()
    check_next_lease(net)


TESTS = [
    ("normal_run", normal_run),
    ("killed_rank", killed_process("busy")),
    ("killed_orted", killed_process("orted")),
    ("killed_mpirun", killed_mpirun),
    ("killed_provider_daemon", killed_provider_daemon),
    ("killed_provider_daemon_that_stays_away", killed_provider_daemon_that_stays_away),
    ("killed_renter_daemon", killed_renter_daemon),
    ("frozen_mpirun", frozen_mpirun),
    ("frozen_renter_daemon", frozen_renter_daemon),
    ("frozen_provider_daemon", frozen_provider_daemon),
    ("killed_sealer", killed_sealer),
    ("sealer_away_at_the_end", sealer_away_at_the_end),
    ("killed_while_files_are_sent", killed_while_files_are_sent),
    ("killed_right_after_agreement", killed_right_after_agreement),
]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, lambda: Devnet(providers=2, slots=1)))
