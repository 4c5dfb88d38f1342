# SPDX-License-Identifier: BSD-3-Clause
"""The owner comes first, on real daemons: a machine is lent when nobody uses it, leases give way when
its input device has something or its own programs are busy, renters are told in time to save what
they have, and it costs the provider no collateral. The input device is a FIFO in a folder of the
test's; the load is real."""

import os
import signal
import subprocess
import sys
import time

from chain_devnet import BUSY, Devnet, run_tests, say, wait_until

SAVER = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/system/saver")
JOB_S = 60
CPU_BACK_S = 3.0  # from the touch to the lease giving way: one look of the daemon, on a busy machine
SLACK_S = 6.0  # of a busy machine, on top of what the rules say


class Desk:
    """A provider of the devnet whose owner has rules, and a keyboard."""

    def __init__(self, node, **rules):
        self.node = node
        self.folder = f"{node.data_folder}/desk"
        os.makedirs(f"{self.folder}/input", exist_ok=True)
        device = f"{self.folder}/input/event0"
        if not os.path.exists(device):
            os.mkfifo(device)
        self.device = os.open(device, os.O_RDWR | os.O_NONBLOCK)
        words = {"devices": self.folder, "start_idle": "2s", "continue_idle": "2s",
                 "start_load": 4096, "busy_load": 4096, "memory_stall": 1.0, "leave": "4s", **rules}
        with open(f"{node.data_folder}/settings.toml", "w", encoding="ascii") as file:
            file.write("[owner]\n")
            for name, value in words.items():
                text = f'"{value}"' if isinstance(value, str) else str(value).lower()
                file.write(f"{name} = {text}\n")
        node.kill()
        node.restart()

    def touch(self):
        os.write(self.device, b"a key that was pressed..")
        return time.monotonic()

    def policy(self):
        return self.node.call("node", "policy")

    def wait_state(self, state, timeout_s=15):
        return wait_until(lambda: self.policy()["state"] == state and self.policy(), timeout_s,
                          lambda: f"lending is {state}: {self.policy()}")

    def close(self):
        os.close(self.device)
        os.remove(f"{self.node.data_folder}/settings.toml")
        self.node.kill()
        self.node.restart()


def cpu_ns(node):
    """Of every process in the provider's leases."""
    total = 0
    for process in node.lease_processes():
        try:
            with open(f"/proc/{process.pid}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def is_lent_when_nobody_uses_it(net):
    desk = Desk(net.providers[0])
    closed = desk.policy()
    assert closed["state"] == "closed" and closed["reason_name"] == "input", closed
    assert "last input" in closed["rule"] and "no input for another" in closed["change"], closed
    desk.wait_state("open")
    net.wait_offers()
    # Someone sits down: the offer is taken back, and renters are told why there is none.
    desk.touch()
    desk.wait_state("closed")
    wait_until(lambda: not [offer for offer in net.renter.call("offer", "list", "--all")["offers"]
                            if offer["host"] == desk.node.name and offer["slots"] > 0], 10,
               "the offer is gone")
    desk.wait_state("open")
    # By command, kept over a restart.
    assert desk.node.call("node", "pause")["reason_name"] == "paused"
    desk.node.kill()
    desk.node.restart()
    assert desk.policy()["reason_name"] == "paused", desk.policy()
    desk.node.call("node", "resume")
    desk.wait_state("open")
    desk.close()


def gives_way_and_leaves(net):
    desk = Desk(net.providers[0])
    desk.wait_state("open")
    net.wait_offers()
    before = desk.node.call("wallet", "show")
    job = net.start_mpirun("--chain-lease", f"2,provider={desk.node.name},notice=2s", "-np", 2,
                           SAVER, JOB_S)
    bill = net.wait_voucher(job=job)
    touched = desk.touch()
    leaving = wait_until(lambda: desk.policy()["state"] == "leaving" and desk.policy(), 10,
                         "leases are given notice")
    seen_s = time.monotonic() - touched
    assert 0 < leaving["leave_in_ms"] <= 4_000, leaving
    run = job.wait(30)
    ended_s = time.monotonic() - touched
    say(f"   given notice after {seen_s:.2f} s; mpirun ended after {ended_s:.2f} s, of which 4 s "
        "were the notice")
    assert seen_s <= CPU_BACK_S, seen_s
    assert 3.5 <= ended_s <= 4 + SLACK_S, ended_s
    assert run.rc != 0 and "The owner of" in run.err and "4 s" in run.err, run.text()
    assert "the owner needs the machine (input)" in run.text(), run.text()
    for rank in range(2):
        with open(f"{os.path.dirname(job.out_path)}/saved-{rank}", encoding="ascii") as file:
            assert f"rank {rank} got as far as" in file.read()
    settled = net.wait_settled(bill["lease"])
    leg = settled["legs"][0]
    assert leg["end"] == "reclaimed", leg
    assert leg["paid"]["units"] > 0, leg
    net.wait_nothing_locked()
    after = desk.node.call("wallet", "show")
    assert after["balance"]["units"] > before["balance"]["units"], (before, after)
    net.wait_no_leftovers(bill["lease"])
    desk.wait_state("open")
    desk.close()


def stands_still_and_goes_on(net):
    desk = Desk(net.providers[0], suspend="30s")
    desk.wait_state("open")
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", f"2,provider={desk.node.name}", "-np", 2, BUSY, 10)
    net.wait_voucher(job=job)
    touched = desk.touch()
    desk.wait_state("suspended")
    froze_s = time.monotonic() - touched
    time.sleep(0.2)
    used = cpu_ns(desk.node)
    time.sleep(1)
    grown_ms = (cpu_ns(desk.node) - used) / 1e6
    say(f"   frozen after {froze_s:.2f} s; in the next second it used {grown_ms:.1f} ms")
    assert froze_s <= CPU_BACK_S and grown_ms < 5, (froze_s, grown_ms)
    assert desk.node.status()["provider_state"] == "suspended"
    # Nobody touches it again: the job goes on and comes out right.
    desk.wait_state("open")
    run = job.wait(60)
    assert run.rc == 0 and "busy: 2 ranks" in run.out, run.text()
    assert "stand still" in run.err and "goes on" in run.err, run.text()
    net.wait_nothing_locked()
    desk.close()


def gives_way_to_programs(net):
    """No input, but programs of the owner's for longer than a moment."""
    desk = Desk(net.providers[0], start_load=0.4, busy_load=0.4, busy="3s")
    wait_until(lambda: desk.policy()["state"] in ("open", "closed"), 10, "it looks")
    desk.wait_state("open", 90)  # what the tests before have kept busy is remembered for a minute
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", f"1,provider={desk.node.name}", "-np", 1, BUSY, 3 * JOB_S)
    net.wait_voucher(job=job)
    assert desk.policy()["state"] == "open", desk.policy()
    own = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        leaving = desk.wait_state("leaving", 90)
        assert leaving["reason_name"] == "load", leaving
        run = job.wait(30)
        assert run.rc != 0 and "cores busy" in run.err, run.text()
    finally:
        for process in own:
            process.send_signal(signal.SIGKILL)
            process.wait()
    net.wait_nothing_locked()
    desk.close()


if __name__ == "__main__":
    sys.exit(run_tests(
        [("lent_when_idle", is_lent_when_nobody_uses_it), ("leaves", gives_way_and_leaves),
         ("stands_still", stands_still_and_goes_on), ("programs", gives_way_to_programs)], Devnet))
