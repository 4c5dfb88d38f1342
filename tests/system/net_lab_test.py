# SPDX-License-Identifier: BSD-3-Clause
"""The lab does what tests believe of it: round trips, losses, partitions, rates, odd machines; and
nothing of it is left, however a test ends."""

import glob
import os
import signal
import subprocess
import sys
import time

from chain_devnet import is_alive, read_process, run_tests, say, wait_until
from net_lab import Lab, odd_machine

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
while True:
    s.sendto(*s.recvfrom(2000))
"""
ASK = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
times = []
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    s.sendto(b"x" * int(sys.argv[3]), (sys.argv[1], 7))
    try:
        s.recv(2000)
        times.append(time.monotonic() - began)
    except TimeoutError:
        pass
print(len(times), sorted(times)[len(times) // 2] if times else 0)
"""
POUR = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20000):
    s.sendto(b"", ("10.77.0.1", 9))
"""
SYNC = "import os, time; b = time.monotonic(); os.fsync(os.open('.', 0)); print(time.monotonic() - b)"


def ask(host, to, count=5, size=100):
    """(answers, seconds in the middle)"""
    answers, middle = host.run(sys.executable, "-c", ASK, to.address, str(count), str(size)).split()
    return int(answers), float(middle)


def links(lab):
    ash, birch, cedar = lab.hosts.values()
    birch.popen(sys.executable, "-c", ECHO)
    cedar.popen(sys.executable, "-c", ECHO)
    wait_until(lambda: ask(ash, birch, 1)[0] and ask(ash, cedar, 1)[0], 10, "an echo")
    count, middle_s = ask(ash, birch)
    say(f"   the middle of 5 round trips: {middle_s * 1000:.1f} ms")
    assert count == 5 and 0.05 <= middle_s < 0.08, (count, middle_s)
    assert [host.run("hostname").strip() for host in lab.hosts.values()] == list(lab.hosts)
    lab.partition(("ash",), ("birch", "cedar"))
    assert ask(ash, birch, 1)[0] == 0 and ask(birch, cedar, 1)[0] == 1
    lab.heal()
    assert ask(ash, birch, 1)[0] == 1
    lab.set_delay(0)
    lab.set_loss(20)
    before = lab.frames()
    ash.run(sys.executable, "-c", POUR.replace("10.77.0.1", birch.address))
    def lost_of_all():
        after = lab.frames()
        new = {kind: after[kind] - before[kind] for kind in after}
        return new["lost"] if new["forwarded"] + new["lost"] >= 20_000 else None

    lost = wait_until(lost_of_all, 10, lambda: f"20000 frames: {before}, {lab.frames()}")
    say(f"   {lost} of 20000 frames lost at 20 %")
    assert 3_600 < lost < 4_400, lost
    lab.set_loss(0)
    ash.limit_rate("1mbit")
    began = time.monotonic()
    ask(ash, birch, 100, 1400)
    took_s = time.monotonic() - began
    say(f"   140 kB at 1 Mbit/s: {took_s:.2f} s")
    assert 0.8 < took_s < 2, took_s
    ash.limit_rate(None)


def odd_machines(lab):
    ash = next(iter(lab.hosts.values()))
    slow = dict(os.environ, **odd_machine(sync_delay_ms=200))
    assert float(ash.run(sys.executable, "-c", SYNC, env=slow)) >= 0.2
    for ahead_s in (3600, -3600):
        shifted = dict(os.environ, **odd_machine(clock_ahead_s=ahead_s))
        shown = int(ash.run("date", "+%s", env=shifted))
        assert abs(shown - ahead_s - time.time()) < 5, (shown, ahead_s)


def nothing_is_left(lab):
    """Of a test that is killed, that fails, and that make or somebody at a terminal ends."""
    script = ("import sys, time; from net_lab import Lab\nwith Lab(('ash', 'birch')) as lab:\n"
              "    lab.hosts['ash'].popen('sleep', '1000')\n"
              "    print(lab.folder, lab.switch.pid, lab.processes[0].pid, flush=True)\n"
              "    sys.stdin.read(1) and sys.exit(3)\n    time.sleep(100)")
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None):
        test = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                cwd=os.path.dirname(os.path.abspath(__file__)))
        test.stdout.readline()
        folder, *pids = test.stdout.readline().split()
        held = [line.split()[0] for line in subprocess.run(
            ["ps", "--ppid", pids[0], "-o", "pid="], capture_output=True, text=True,
            check=True).stdout.splitlines()]
        assert len(held) == 2, held
        processes = [read_process(pid) for pid in (*pids, *held)]
        if how is None:
            test.stdin.write("x")
            test.stdin.flush()
        else:
            test.send_signal(how)
        test.wait(10)
        wait_until(lambda: not glob.glob(folder), 10, f"{folder} is removed after {how}")
        wait_until(lambda: not any(map(is_alive, processes)), 10,
                   f"no process is left after {how}")


if __name__ == "__main__":
    sys.exit(run_tests([("links", links), ("odd_machines", odd_machines),
                        ("nothing_is_left", nothing_is_left)],
                       lambda: Lab(("ash", "birch", "cedar"), one_way_ms=25)))
