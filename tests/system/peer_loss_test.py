# SPDX-License-Identifier: BSD-3-Clause
"""A peer that is lost in the middle of a job: mpirun ends soon, says who and why, and the bill covers
the work up to the last voucher."""

import json
import os
import signal
import sys
import time

from chain_devnet import BUSY, Devnet, is_alive, run_tests, say

JOB_S = 30
# From the kill to mpirun's end, its bill printed.
KILLED_ENDS_WITHIN_S = 5.0
# A silent peer is lost after 3 s; what is left of the job ends and the bill comes after that.
FROZEN_SEEN_WITHIN_S = 4.5
FROZEN_ENDS_WITHIN_S = 8.0


def watched_job(net):
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, JOB_S)
    bill = net.wait_voucher(job=job)
    assert len(bill["legs"]) == 2, bill
    return job, bill["lease"]


def wait_words(job, words, timeout_s):
    """Seconds until mpirun's standard error has the words; timeout_s if it never has."""
    started = time.monotonic()
    while words not in job.output()[1] and time.monotonic() < started + timeout_s:
        time.sleep(0.02)
    return time.monotonic() - started


def leg_of(bill, host):
    return next(leg for leg in bill["legs"] if leg["host"] == host)


def check_words(run, job, lost, *reasons):
    assert run.rc != 0, run.text()
    message = run.err.split("Lease ")[0]
    assert "A leased peer was lost" in message, run.text()
    assert lost.name in message and lost.address in message, run.text()
    assert any(words in message for words in reasons), run.text()
    report = job.report()
    assert report["ended_by"] == "provider", report
    assert lost.name in report["reason"], report
    assert report["lease"][:8] in run.err, run.text()
    return report


def check_bill(net, lease_id, report, run, last_voucher, lost):
    """What is billed for the lost peer is its last voucher: on paper, and on the ledger."""
    line = next(line for line in run.err.splitlines() if line.split()[:1] == [lost.name])
    billed = leg_of(report, lost.name)
    assert billed["paid"]["tokens"] in line, (line, billed)
    assert billed["paid"] == last_voucher["paid"], (billed, last_voucher)
    assert billed["cycles"] == last_voucher["cycles"] > 0, (billed, last_voucher)
    settled = net.wait_settled(lease_id)
    on_ledger = leg_of(settled, lost.name)
    assert on_ledger["paid"] == last_voucher["paid"], (on_ledger, last_voucher)
    assert settled["paid"]["units"] >= report["paid"]["units"], (settled, report)
    for leg in report["legs"]:
        assert leg["paid"]["units"] <= leg_of(settled, leg["host"])["paid"]["units"], report
    say(f"   billed for {lost.name}: {on_ledger['paid']['units']} units = its last voucher")


def killed_daemon(net):
    job, lease_id = watched_job(net)
    lost = net.providers[0]
    lost.kill()
    killed = time.monotonic()
    last_voucher = leg_of(net.lease(lease_id), lost.name)
    seen_s = wait_words(job, "A leased peer was lost", 10)
    run = job.wait(20)
    ended_s = time.monotonic() - killed
    say(f"   seen {seen_s:.2f} s and mpirun ended {ended_s:.2f} s after kill -9, with {run.rc}")
    report = check_words(run, job, lost, "connection closed", "connection to it broke")
    assert ended_s <= KILLED_ENDS_WITHIN_S, run.text()
    check_bill(net, lease_id, report, run, last_voucher, lost)
    lost.restart()
    net.wait_nothing_locked()
    net.wait_no_leftovers(lease_id)


def frozen_daemon(net):
    job, lease_id = watched_job(net)
    lost = net.providers[1]
    lost.signal(signal.SIGSTOP)
    frozen = time.monotonic()
    seen_s = wait_words(job, "A leased peer was lost", 10)
    last_voucher = leg_of(net.lease(lease_id), lost.name)
    run = job.wait(20)
    ended_s = time.monotonic() - frozen
    say(f"   seen {seen_s:.2f} s and mpirun ended {ended_s:.2f} s after SIGSTOP, with {run.rc}")
    report = check_words(run, job, lost, "silent")
    assert 2.0 <= seen_s <= FROZEN_SEEN_WITHIN_S, seen_s
    assert ended_s <= FROZEN_ENDS_WITHIN_S, run.text()
    check_bill(net, lease_id, report, run, last_voucher, lost)
    lost.signal(signal.SIGCONT)
    net.wait_nothing_locked()
    net.wait_no_leftovers(lease_id)
    net.wait_agreement()


def killed_orted(net):
    job, lease_id = watched_job(net)
    host = net.providers[0]
    orted = next(p for p in host.lease_processes() if p.name == "orted")
    os.kill(orted.pid, signal.SIGKILL)
    killed = time.monotonic()
    run = job.wait(20)
    ended_s = time.monotonic() - killed
    say(f"   mpirun ended {ended_s:.2f} s after kill -9 of an orted, with {run.rc}")
    assert not is_alive(orted)
    assert run.rc != 0 and host.name in run.err, run.text()
    assert ended_s <= KILLED_ENDS_WITHIN_S, run.text()
    assert job.report()["ended_by"] == "provider", json.dumps(job.report())
    net.wait_settled(lease_id)
    net.wait_no_leftovers(lease_id)


if __name__ == "__main__":
    sys.exit(run_tests(
        [("killed_daemon", killed_daemon), ("frozen_daemon", frozen_daemon),
         ("killed_orted", killed_orted)],
        lambda: Devnet(providers=2, slots=1),
    ))
