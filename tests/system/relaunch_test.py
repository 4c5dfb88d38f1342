# SPDX-License-Identifier: BSD-3-Clause
"""--chain-relaunch: a peer is lost, and the job starts again with another one in its place; what it
saved comes along. A job that fails by itself does not start again."""

import os
import random
import shutil
import signal
import sys
import time

from chain_devnet import BUSY, Devnet, descendants, is_alive, run_tests, say, wait_until
from drawing import Drawing

# Rank 0 saves; in a later try it finds what it saved, and ends.
SAVER = """
echo "rank $OMPI_COMM_WORLD_RANK try $OMPI_CHAIN_RESTART on $(hostname)"
if [ "$OMPI_CHAIN_RESTART" -ge "$1" ]; then
    [ "$OMPI_COMM_WORLD_RANK" = 0 ] && cat saved
    exit 0
fi
[ "$OMPI_COMM_WORLD_RANK" = 0 ] && echo "step $OMPI_CHAIN_RESTART" >> saved
sleep 60
"""


def start(net, again, *words, slots=2, options=()):
    net.wait_offers()
    return net.start_mpirun("--chain-lease", slots, "--chain-relaunch", again, *options, "-np", slots,
                            *words)


def hosts_of(job, number):
    """Of the ranks of a try, in their order."""
    lines = [line.split() for line in job.output()[0].splitlines() if f" try {number} on " in line]
    return [words[-1] for words in sorted(lines)]


def provider_of(net, host):
    return next(provider for provider in net.providers if provider.name == host)


def another_peer_takes_its_place(net):
    job = start(net, 3, "sh", "-c", SAVER, "saver", 2)
    lost = []
    for number in range(2):
        wait_until(lambda number=number: len(hosts_of(job, number)) == 2, 40,
                   lambda: f"try {number} runs: {job.output()}")
        assert not set(hosts_of(job, number)) & {peer.name for peer in lost}, job.output()
        lost.append(provider_of(net, hosts_of(job, number)[1]))
        time.sleep(0.5)
        lost[-1].kill()
        killed = time.monotonic()
    run = job.wait(40)
    assert run.rc == 0, run.text()
    assert run.out.count("step 0\n") == run.out.count("step 1\n") == 1, run.text()
    assert run.err.count("the job starts again") == 2, run.text()
    assert "(2 of 3)" in run.err, run.text()
    say(f"   {time.monotonic() - killed:.1f} s from the second kill to the end of the third try")
    assert len(hosts_of(job, 2)) == 2, run.text()
    reports = [job.report_path + suffix for suffix in (".try0", ".try1", "")]
    assert all(os.path.exists(path) for path in reports), os.listdir(job.folder)
    for provider in lost:
        provider.restart()
    net.wait_nothing_locked()


def not_for_ever(net):
    job = start(net, 1, "sh", "-c", SAVER, "saver", 9)
    lost = []
    for number in range(2):
        wait_until(lambda number=number: len(hosts_of(job, number)) == 2, 40, "a try runs")
        lost.append(provider_of(net, hosts_of(job, number)[0]))
        lost[-1].kill()
    run = job.wait(40)
    assert run.rc not in (0, None) and run.err.count("the job starts again") == 1, run.text()
    for provider in lost:
        provider.restart()
    net.wait_nothing_locked()


def a_job_that_fails_has_failed(net):
    for words, rc in ((("sh", "-c", "exit 3"), 3), (("sh", "-c", "kill -9 $$"), 137),
                      (("./absent",), 1)):
        run = start(net, 5, *words).wait(40)
        assert run.rc == rc and "starts again" not in run.err, run.text()
    run = start(net, 5, "sh", "-c", "echo fine").wait(40)
    assert run.rc == 0 and run.out == "fine\nfine\n", run.text()


def one_budget_for_all_tries(net):
    job = start(net, 2, "sh", "-c", SAVER, "saver", 1, options=("--chain-budget", 1))
    wait_until(lambda: len(hosts_of(job, 0)) == 2, 40, "a try runs")
    net.wait_voucher(job=job)
    lost = provider_of(net, hosts_of(job, 0)[1])
    lost.kill()
    run = job.wait(60)
    assert run.rc == 0, run.text()
    locked = [lease["escrow"]["units"] for lease in net.leases(every=True)][:2]
    assert max(locked) <= 1_000_000_000, locked
    lost.restart()
    net.wait_nothing_locked()


def signals_reach_the_try(net):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        job = start(net, 5, BUSY, 60)
        net.wait_voucher(job=job)
        below = descendants(job.pid)
        assert len(below) == 1, below
        os.kill(job.pid, number)
        run = job.wait(30)
        assert run.rc not in (0, None) and "starts again" not in run.err, run.text()
        wait_until(lambda below=below: not is_alive(below[0]), 10, "the try has ended")
        net.wait_nothing_locked()


def results_that_do_not_come(net):
    """The job has ended well, and the peer that has the results is lost before they are back."""
    job = start(net, 1, "sh", "-c", "[ $OMPI_COMM_WORLD_RANK = 0 ] || exit 0\n"
                "echo rank 0 try $OMPI_CHAIN_RESTART on $(hostname)\n"
                "truncate -s 600M large; echo $OMPI_CHAIN_RESTART > which")
    wait_until(lambda: hosts_of(job, 0), 40, "rank 0 runs")
    lost = provider_of(net, hosts_of(job, 0)[0])
    net.wait_lease(lambda bill: bill["state"] == "closing", "the job has ended", job=job)
    lost.kill()
    run = job.wait(60)
    assert run.rc == 0 and run.err.count("starts again") == 1, run.text()
    assert hosts_of(job, 1) not in ([], [lost.name]), run.text()
    with open(f"{job.folder}/which", encoding="ascii") as file:
        assert file.read() == "1\n"
    assert os.path.getsize(f"{job.folder}/large") == 600 << 20
    shutil.rmtree(job.folder)
    lost.restart()
    net.wait_nothing_locked()


def the_right_picture_every_time(net):
    """A peer is killed at a random moment of an image job."""
    drawing = Drawing(net.folder, net.environment, "-p", 4)
    again = 0
    for _ in range(4):
        job = start(net, 3, *drawing.words)
        time.sleep(random.uniform(0.1, 1.5))
        lost = random.choice(net.providers)
        lost.kill()
        run = job.wait(90)
        assert run.rc == 0, run.text()
        drawing.check(job.folder)
        again += run.err.count("starts again")
        lost.restart()
        net.wait_nothing_locked()
        shutil.rmtree(job.folder)
    say(f"   4 pictures as drawn alone; {again} new tries")


if __name__ == "__main__":
    sys.exit(run_tests([
        ("another_peer_takes_its_place", another_peer_takes_its_place),
        ("not_for_ever", not_for_ever),
        ("a_job_that_fails_has_failed", a_job_that_fails_has_failed),
        ("one_budget_for_all_tries", one_budget_for_all_tries),
        ("signals_reach_the_try", signals_reach_the_try),
        ("results_that_do_not_come", results_that_do_not_come),
        ("the_right_picture_every_time", the_right_picture_every_time),
    ], lambda: Devnet(providers=4, slots=1)))
