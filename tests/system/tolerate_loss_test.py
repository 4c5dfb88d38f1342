# SPDX-License-Identifier: BSD-3-Clause
"""--chain-tolerate-loss: a peer that is lost takes its processes with it, and the others finish the
job. Never a hang, exit codes that tell the truth, and a bill that does, too.

LOSSES=100 tries as many random moments; without it, a few."""

import os
import random
import re
import signal
import sys
import time

from chain_devnet import BUILD_FOLDER, BUSY, Devnet, Failure, run_tests, say, wait_until
from chain_money import check_money, check_nothing_left

TOLERANT = os.path.join(BUILD_FOLDER, "tests/system/tolerant")
RANKS = 3
TASKS, TASK_MS = 240, 25
LOSS_EXIT_CODE = 77
# The program's own time-outs (2 s for an answer, 10 s for the first word, 15 s for the last), and a
# busy machine.
ENDS_WITHIN_S = 75
LOSSES = int(os.environ.get("LOSSES", "4"))


def allow_plain_network(net):
    for node in net.providers:
        if "--plain-network" in node.command:
            continue
        node.command.append("--plain-network")
        node.kill()
        node.restart()


def start_job(net, *words, tolerate=True, network="auto", again=0):
    net.wait_offers()
    net.wait_nothing_locked()
    flags = ["--chain-net", network] + (["--chain-tolerate-loss"] if tolerate else [])
    if again:
        flags += ["--chain-relaunch", again]
    words = words or (TOLERANT, TASKS, TASK_MS)
    return net.start_mpirun("--chain-lease", RANKS, *flags, "-np", RANKS, *words)


def tasks_done(job):
    return len(re.findall(r"^task \d+ by rank", job.output()[0], re.MULTILINE))


def wait_tasks(job, count):
    def enough():
        if not job.is_running():
            raise Failure(f"mpirun ended before {count} tasks were done\n" + job.wait(1).text())
        return tasks_done(job) >= count

    wait_until(enough, 60, f"{count} tasks are done")


def host_of_rank(net, rank):
    """The provider below whose daemon that rank runs."""
    for node in net.providers:
        for process in node.lease_processes():
            if process.name == "tolerant" and rank_of(process.pid) == rank:
                return node, process
    raise Failure(f"no rank {rank}")


def rank_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", file.read())
    except OSError:
        return None
    return int(found.group(1)) if found else None


def check_went_on(job, *lost):
    """All tasks were done, and mpirun and the bill say without whom."""
    run = job.wait(ENDS_WITHIN_S)
    assert run.rc == LOSS_EXIT_CODE, run.text()
    numbers = {int(n) for n in re.findall(r"^task (\d+) by rank", run.out, re.MULTILINE)}
    assert numbers == set(range(TASKS)), run.text()
    assert f"tolerant: {RANKS} ranks, {TASKS} tasks" in run.out, run.text()
    report = job.report()
    assert report["ended_by"] == "renter", report
    for node in lost:
        assert "A leased peer was lost, and the job goes on without it." in run.err, run.text()
        assert node.name in run.err and node.address in run.err, run.text()
        notices = [text for text in report["notices"] if node.name in text and "went on" in text]
        assert len(notices) == 1, report["notices"]
    went_on = [text for text in report["notices"] if "went on" in text]
    assert len(went_on) == len(lost), report["notices"]
    return run, report


def leg_of(bill, node):
    return next(leg for leg in bill["legs"] if leg["provider"] == node.address)


def check_bill(net, before, lease_id, report, at_loss, *lost):
    """Nothing is locked, survivors are paid on, and the lost ones by their last vouchers."""
    settled = check_money(net, before, lease_id)
    for leg in settled["legs"]:
        is_lost = any(leg["provider"] == node.address for node in lost)
        assert leg["paid"]["units"] > 0, leg
        if is_lost:
            billed = next(each for each in report["legs"] if each["provider"] == leg["provider"])
            assert leg["paid"] == billed["paid"], (leg, billed)
            assert leg["end"] != "completed", leg
        else:
            then = next(each for each in at_loss["legs"] if each["provider"] == leg["provider"])
            assert leg["end"] == "completed", leg
            assert leg["cycles"] > then["cycles"], (leg, then)


def killed_daemon(net):
    before = net.balances()
    job = start_job(net)
    bill = net.wait_voucher(job=job)
    wait_tasks(job, TASKS // 8)
    lost, _ = host_of_rank(net, 1)
    lost.kill()
    killed = time.monotonic()
    at_loss = net.lease(bill["lease"])
    last_voucher = leg_of(at_loss, lost)
    run, report = check_went_on(job, lost)
    say(f"   ended {time.monotonic() - killed:.1f} s after kill -9 with {run.rc}")
    assert leg_of(report, lost)["paid"] == last_voucher["paid"], (report, last_voucher)
    settled = net.wait_settled(bill["lease"])
    assert leg_of(settled, lost)["paid"] == last_voucher["paid"], (settled, last_voucher)
    lost.restart()
    check_bill(net, before, bill["lease"], report, at_loss, lost)
    check_nothing_left(net, bill["lease"])


def two_killed_daemons(net):
    job = start_job(net)
    bill = net.wait_voucher(job=job)
    lost = [host_of_rank(net, rank)[0] for rank in (1, 2)]
    for node in lost:
        wait_tasks(job, tasks_done(job) + TASKS // 12)
        node.kill()
    run, _ = check_went_on(job, *lost)
    assert run.err.count("and the job goes on without it.") == 2, run.text()
    for node in lost:
        node.restart()
    net.wait_settled(bill["lease"])
    net.wait_nothing_locked()
    check_nothing_left(net, bill["lease"])


def frozen_daemon(net):
    before = net.balances()
    job = start_job(net)
    bill = net.wait_voucher(job=job)
    lost, _ = host_of_rank(net, 2)
    lost.signal(signal.SIGSTOP)
    _, report = check_went_on(job, lost)
    lost.signal(signal.SIGCONT)
    check_bill(net, before, bill["lease"], report, bill, lost)
    check_nothing_left(net, bill["lease"])


def frozen_daemon_comes_back(net, network="auto"):
    """Too late, in the middle of the job: it is out, and what it says changes nothing."""
    job = start_job(net, TOLERANT, TASKS, 2 * TASK_MS, network=network)
    bill = net.wait_voucher(job=job)
    lost, _ = host_of_rank(net, 2)
    lost.signal(signal.SIGSTOP)
    wait_until(lambda: "goes on without it" in job.output()[1], 20, "mpirun says who was lost")
    lost.signal(signal.SIGCONT)
    check_went_on(job, lost)
    net.wait_settled(bill["lease"])
    net.wait_nothing_locked()
    check_nothing_left(net, bill["lease"])


def plain_network(net):
    """The lost daemon's orted is still connected to mpirun, and its rank to the others."""
    allow_plain_network(net)
    frozen_daemon_comes_back(net, "plain")
    killed_orted(net, "plain")


def killed_orted(net, network="auto"):
    job = start_job(net, network=network)
    bill = net.wait_voucher(job=job)
    lost, _ = host_of_rank(net, 1)
    orted = next(p for p in lost.lease_processes() if p.name == "orted")
    os.kill(orted.pid, signal.SIGKILL)
    run, _ = check_went_on(job, lost)
    assert "orted was killed by signal 9" in run.err, run.text()
    net.wait_settled(bill["lease"])
    net.wait_nothing_locked()
    check_nothing_left(net, bill["lease"])


def killed_rank(net):
    job = start_job(net)
    bill = net.wait_voucher(job=job)
    node, process = host_of_rank(net, 2)
    os.kill(process.pid, signal.SIGKILL)
    run, report = check_went_on(job)
    assert "A process was killed, and the job goes on without it." in run.err, run.text()
    assert re.search(r"rank +2\n", run.err) and node.name in run.err, run.text()
    settled = net.wait_settled(bill["lease"])
    assert [leg["end"] for leg in settled["legs"]] == ["completed"] * RANKS, settled
    assert not report["results_lost"], report
    net.wait_nothing_locked()
    check_nothing_left(net, bill["lease"])


def loss_during_start(net):
    """While they start, ranks wait for each other: the job ends, and says why it had to."""
    job = start_job(net)
    bill = net.wait_running(job=job)
    lost = net.providers[0]
    lost.kill()
    run = job.wait(ENDS_WITHIN_S)
    say(f"   ended with {run.rc}")
    assert run.rc not in (0, LOSS_EXIT_CODE) and run.rc > 0, run.text()
    assert "so the job ends" in run.err and "still starting" in run.err, run.text()
    assert job.report()["ended_by"] == "provider", job.report()
    assert not any("went on" in text for text in job.report()["notices"]), job.report()
    lost.restart()
    net.wait_settled(bill["lease"])
    net.wait_nothing_locked()
    check_nothing_left(net, bill["lease"])


def no_second_try(net):
    """With --chain-relaunch, too: a job that went on has lost nothing that starting again would mend."""
    job = start_job(net, again=2)
    wait_tasks(job, TASKS // 8)
    lost, _ = host_of_rank(net, 1)
    lost.kill()
    run, _ = check_went_on(job, lost)
    assert "starts again" not in run.err, run.text()
    lost.restart()


def other_programs_end(net):
    """Without the flag a loss is the end of the job, as ever."""
    job = start_job(net, BUSY, 30, tolerate=False)
    net.wait_voucher(job=job)
    lost = net.providers[1]
    lost.kill()
    run = job.wait(ENDS_WITHIN_S)
    assert run.rc not in (0, LOSS_EXIT_CODE) and "so the job ends" in run.err, run.text()
    lost.restart()
    net.wait_nothing_locked()


def no_loss(net):
    """The flag alone changes nothing."""
    job = start_job(net)
    run = job.wait(ENDS_WITHIN_S)
    assert run.rc == 0, run.text()
    assert "lost" not in run.err and not job.report()["notices"], run.text()


def random_losses(net):
    """At random moments from the first launch to the end, in both kinds of network."""
    seed = int(os.environ.get("CHAIN_TEST_SEED", str(random.randrange(1_000_000))))
    say(f"   seed {seed} (CHAIN_TEST_SEED)")
    dice = random.Random(seed)
    allow_plain_network(net)
    ends = []
    for round_number in range(LOSSES):
        network = dice.choice(("auto", "auto", "plain"))
        job = start_job(net, network=network)
        bill = net.wait_lease(lambda bill: bill["state"] in ("starting", "running"), "a lease runs",
                              job=job)
        what = dice.choice(("killed daemon", "killed daemon", "frozen daemon", "orted", "tolerant"))
        wait_s = dice.uniform(0, 4)
        time.sleep(wait_s)
        node = dice.choice(net.providers)
        is_hit = hit(node, what)
        run = job.wait(ENDS_WITHIN_S)
        ends.append(run.rc)
        say(f"   {round_number}: {network}, {what} of {node.name} after {wait_s:.1f} s"
            f"{'' if is_hit else ' (none there)'}: {run.rc} after {run.wall_s:.1f} s")
        check_honest(run, job)
        if node.is_running():
            node.signal(signal.SIGCONT)
        else:
            node.restart()
        net.wait_settled(bill["lease"])
        net.wait_nothing_locked()
        if what == "frozen daemon":  # it may keep what its leg has made: for a day, or until then
            net.renter.ask("lease", "fetch", bill["lease"])
        check_nothing_left(net, bill["lease"])
    say(f"   exit codes {sorted(ends)}")


def hit(node, what):
    if what == "killed daemon":
        node.kill()
        return True
    if what == "frozen daemon":
        node.signal(signal.SIGSTOP)
        return True
    found = [process for process in node.lease_processes() if process.name == what]
    for process in found[:1]:
        os.kill(process.pid, signal.SIGKILL)
    return bool(found)


def check_honest(run, job):
    """0: all went well. 77: every task was done, without somebody. Else: the reason is there."""
    done = f"tolerant: {RANKS} ranks, {TASKS} tasks" in run.out
    if run.rc in (0, LOSS_EXIT_CODE):
        went_on = "goes on without it" in run.err
        assert went_on == (run.rc == LOSS_EXIT_CODE), run.text()
        # Rank 0 has nobody who would take its place: if it is lost, the others end.
        assert done, run.text()
        return
    assert run.rc > 0, run.text()
    reasons = ("so the job ends", "MPI_ABORT was invoked", "exited on signal", "results", "No lease")
    assert any(words in run.err for words in reasons), run.text()


if __name__ == "__main__":
    sys.exit(run_tests(
        [("no_loss", no_loss), ("killed_daemon", killed_daemon),
         ("two_killed_daemons", two_killed_daemons), ("frozen_daemon", frozen_daemon),
         ("frozen_daemon_comes_back", frozen_daemon_comes_back), ("killed_orted", killed_orted),
         ("killed_rank", killed_rank), ("plain_network", plain_network),
         ("loss_during_start", loss_during_start),
         ("no_second_try", no_second_try),
         ("other_programs_end", other_programs_end), ("random_losses", random_losses)],
        lambda: Devnet(providers=RANKS, slots=1),
    ))
