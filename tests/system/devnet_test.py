# SPDX-License-Identifier: BSD-3-Clause
"""ompi-chain devnet: up, status, down, run, in every order, and on machines that are not well."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from chain_devnet import Devnet, all_processes, run_tests, wait_until

COMMAND_TIMEOUT_S = 90


class Place:
    """A folder, and all processes that mention it."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="cn-", dir="/tmp")
        self.environment = Devnet.clean_environment(self.folder)
        self.net = f"{self.folder}/net"
        return self

    def __exit__(self, kind, error, trace):
        self.run("down", "--purge", "--folder", self.net)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["rm", "-rf", self.folder], check=True)

    def run(self, *words):
        return subprocess.run(["ompi-chain", "devnet", *words], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_TIMEOUT_S, check=False)

    def good(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done

    def refuses(self, words, *said):
        done = self.run(*words)
        assert done.returncode == 1, (words, done.returncode, done.stdout, done.stderr)
        for part in said:
            assert part in done.stderr, (words, part, done.stderr)
        return done

    def processes(self):
        found = []
        for process in all_processes():
            try:
                with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                    words = file.read()
            except OSError:
                continue
            if self.folder.encode() in words and process.state not in "ZX":
                found.append(process.pid)
        return found

    def status(self):
        return json.loads(self.good("status", "--folder", self.net, "--json").stdout)


def volumes():
    """What daemons of this user keep for leases."""
    root = f"/var/tmp/ompi-chain-{os.geteuid()}"
    return sorted(f"{folder}/{name}" for folder in os.listdir(root) for name in os.listdir(f"{root}/{folder}")
                  ) if os.path.isdir(root) else []


def kill_in_a_lease(place):
    """The provider dies with a lease that runs, and is not started again."""
    status = place.status()
    renter, provider = status["nodes"][1:]
    environment = dict(os.environ, OMPI_CHAIN_SOCKET=renter["socket"], OMPI_CHAIN_DATA=renter["data_folder"])
    before = volumes()
    job = subprocess.Popen(["mpirun", "--chain-lease", "1", "-np", "1", "sleep", "60"], env=environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(volumes()) > len(before), 30, "the lease has a folder")
    time.sleep(1)
    os.kill(provider["pid"], signal.SIGKILL)
    job.wait(60)
    assert len(volumes()) > len(before), volumes()


def test_up_status_down_and_purge_twice(place):
    before = volumes()
    for _ in range(2):
        place.good("up", "--folder", place.net, "--providers", "1")
        again = json.loads(place.good("up", "--folder", place.net, "--json").stdout)
        assert again["already_running"] is True
        status = place.status()
        assert status["running"] and [node["state"] for node in status["nodes"]] == ["running"] * 3
        assert len(place.processes()) == 3
        place.refuses(["up", "--folder", place.net, "--providers", "2"], "--purge")
        place.good("down", "--folder", place.net)
        place.good("down", "--folder", place.net)
        assert not place.processes() and not place.status()["running"]
        place.refuses(["env", "--folder", place.net], "does not run")
        place.good("up", "--folder", place.net)
        kill_in_a_lease(place)
        for _ in range(2):
            place.good("down", "--purge", "--folder", place.net)
        assert not [line for line in volumes() if line not in before], volumes()
        assert not os.path.exists(place.net) and not place.processes()


def test_up_again_after_everything_was_killed(place):
    place.good("up", "--folder", place.net, "--providers", "1")
    for node in place.status()["nodes"]:
        os.kill(node["pid"], signal.SIGKILL)
    wait_until(lambda: not place.processes(), 10, "all are dead")
    status = place.status()
    assert [node["state"] for node in status["nodes"]] == ["stopped"] * 3
    place.good("up", "--folder", place.net)
    assert place.status()["running"]
    # What runs stays as it is: somebody may have a job there.
    sealer, renter, provider = (node["pid"] for node in place.status()["nodes"])
    os.kill(provider, signal.SIGKILL)
    wait_until(lambda: len(place.processes()) == 2, 10, "it is dead")
    assert "2 of 3 nodes run" in place.good("env", "--folder", place.net).stderr
    place.good("up", "--folder", place.net)
    assert [node["pid"] for node in place.status()["nodes"]][:2] == [sealer, renter]
    os.kill(renter, signal.SIGKILL)
    wait_until(lambda: len(place.processes()) == 2, 10, "it is dead")
    place.refuses(["env", "--folder", place.net], "has no renter", "devnet up")
    place.good("up", "--folder", place.net)
    os.kill(sealer, signal.SIGKILL)
    wait_until(lambda: len(place.processes()) == 2, 10, "it is dead")
    place.good("up", "--folder", place.net)
    assert place.status()["running"] and len(place.processes()) == 3


def test_a_port_that_is_taken(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        base = port - 1 if port < 65000 else port - 60
        if base == port - 1:
            place.refuses(["up", "--folder", place.net, "--providers", "1", "--port-base",
                           str(base)], str(port), "another program")
            assert not place.processes()
    place.refuses(["up", "--folder", place.net, "--port-base", "80"], "--port-base")


def test_folders_that_cannot_be(place):
    with open(f"{place.folder}/file", "w", encoding="ascii"):
        pass
    place.refuses(["up", "--folder", "/proc/net"], "/proc/net")
    place.refuses(["up", "--folder", f"{place.folder}/file/net"], "file")
    place.refuses(["up", "--folder", place.folder], "holds no devnet")
    place.refuses(["up", "--folder", f"{place.folder}/{'x' * 100}"], "too long", "--folder")
    place.refuses(["status", "--folder", place.net], "there is no devnet", "devnet up")
    place.good("down", "--folder", place.net)
    os.mkdir(place.net)
    with open(f"{place.net}/devnet.json", "w", encoding="ascii") as file:
        file.write("{")
    place.refuses(["up", "--folder", place.net], "damaged")
    os.unlink(f"{place.net}/devnet.json")


def test_a_full_disk(place):
    if os.geteuid() != 0:
        print("a full disk ... skipped (needs root to mount)", flush=True)
        return
    os.mkdir(place.net)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64K", "tmpfs", place.net], check=True)
    try:
        place.refuses(["up", "--folder", place.net, "--providers", "1"], "No space left")
        assert not place.processes()
    finally:
        subprocess.run(["umount", "-l", place.net], check=True)


def test_run_ends_with_its_command(place):
    for script, code in (("exit 0", 0), ("exit 5", 5), ("kill -9 $$", 137)):
        done = place.run("run", "--providers", "1", "--", "sh", "-c", script)
        assert done.returncode == code, (script, done.stderr)
        assert not [name for name in os.listdir(place.folder) if "devnet" in name]
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)):
        mark = f"{place.folder}/mark"
        runner = subprocess.Popen(
            ["ompi-chain", "devnet", "run", "--providers", "1", "--", "sh", "-c",
             f": > {mark}; exec sleep 60"],
            env=place.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: os.path.exists(mark), 30, "the command runs")
        os.kill(runner.pid, number)
        assert runner.wait(30) == code
        os.unlink(mark)
        wait_until(lambda: not [pid for pid in place.processes()], 30, "no daemon is left")
        if number == signal.SIGKILL:
            os.killpg(runner.pid, signal.SIGKILL)
        time.sleep(0.1)


TESTS = [
    test_up_status_down_and_purge_twice,
    test_up_again_after_everything_was_killed,
    test_a_port_that_is_taken,
    test_folders_that_cannot_be,
    test_a_full_disk,
    test_run_ends_with_its_command,
]


def in_a_place(test):
    def run(_):
        with Place() as place:
            test(place)

    return test.__name__.removeprefix("test_"), run


if __name__ == "__main__":
    import contextlib

    sys.exit(run_tests([in_a_place(test) for test in TESTS], contextlib.nullcontext))
