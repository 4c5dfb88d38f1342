# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is killed in the middle of a job, the money adds up to the unit and nothing stays behind.

For a normal run and for kill -9 of a rank, an orted, mpirun, a provider's daemon and the renter's
daemon, each after vouchers were signed.
"""

import os
import signal
import sys
import time

from chain_devnet import Devnet, run_tests, say
from chain_money import SETTLED_WITHIN_S, check_after, one_of, running_job


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


TESTS = [
    ("normal_run", normal_run),
    ("killed_rank", killed_process("busy")),
    ("killed_orted", killed_process("orted")),
    ("killed_mpirun", killed_mpirun),
    ("killed_provider_daemon", killed_provider_daemon),
    ("killed_provider_daemon_that_stays_away", killed_provider_daemon_that_stays_away),
    ("killed_renter_daemon", killed_renter_daemon),
]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, lambda: Devnet(providers=2, slots=1)))
