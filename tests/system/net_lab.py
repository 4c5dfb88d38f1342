# SPDX-License-Identifier: BSD-3-Clause
"""Machines of a system test, with a network between them: each host is a network namespace with a
name of its own, and every frame passes through net_switch, which delays, loses and separates.

    with Lab(("ash", "birch"), one_way_ms=25, loss_percent=1) as lab:
        lab.hosts["ash"].run("ompi-chaind", "--version")
        lab.partition(("ash",), ("birch",))

Namespaces are held by processes that die with the test, as does all that popen() starts, however the
test ends. Start processes from the test's main thread: they end with the thread that started them.

A Machine is a host with a daemon; LabCloud founds a network of validators on such machines.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from chain_devnet import BUILD_FOLDER, Failure, Job, say, wait_until
from validators_test import Cloud, Node

NET_SWITCH = os.path.join(BUILD_FOLDER, "tests/system/net_switch")
ODD_MACHINE = os.path.join(BUILD_FOLDER, "tests/system/odd_machine.so")
SKIPPED = 77
PORT = 7660
COMMAND_TIMEOUT_S = 60


class Host:
    """A namespace; its processes are started with popen() or run()."""

    def __init__(self, lab, index, name, pid, address):
        self.lab, self.index, self.name, self.address = lab, index, name, address
        # Not `ip netns exec`, which puts another /sys in place: that one has no /sys/fs/cgroup.
        self.prefix = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{pid}/ns/net",
                       f"--uts=/proc/{pid}/ns/uts", "--"]

    def popen(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([*self.prefix, *command], **options)
        self.lab.processes.append(process)
        return process

    def run(self, *command, **options):
        """What it printed; Failure if it failed."""
        done = subprocess.run([*self.prefix, *command], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
                              check=False, **options)
        if done.returncode != 0:
            raise Failure(f"{self.name}: {' '.join(command)}: {done.stderr}")
        return done.stdout

    def limit_rate(self, rate):
        """Of what it sends, as tc writes it ("10mbit"); None: no limit."""
        with contextlib.suppress(Failure):
            self.run("tc", "qdisc", "del", "dev", "eth0", "root")
        if rate is not None:
            self.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst",
                     "32kbit", "latency", "400ms")


class Lab:
    """Context manager. `hosts` by name; `folder` is removed at the end."""

    def __init__(self, names, one_way_ms=0, loss_percent=0, seed=None):
        self.names = tuple(names)
        self.one_way_ms, self.loss_percent = one_way_ms, loss_percent
        self.seed = random.randrange(1 << 32) if seed is None else seed
        self.hosts, self.processes, self.switch = {}, [], None

    def __enter__(self):
        # make's timeout ends a test so: as an exception it leaves every `with` in order.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        # Short: a control socket's path has a limit.
        self.folder = tempfile.mkdtemp(prefix="cl-", dir="/tmp")
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def _start(self):
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        self.switch = subprocess.Popen(
            [NET_SWITCH, str(self.seed), self.folder, *self.names], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for index, line in enumerate(iter(self.switch.stdout.readline, "")):
            words = line.split()
            if words == ["ready"]:
                break
            self.hosts[words[0]] = Host(self, index, *words)
        else:
            why = self.switch.stderr.read().strip()
            if self.switch.wait() != SKIPPED:
                raise Failure(why)
            say(f"SKIPPED: THIS KERNEL OR USER MAKES NO NETWORK NAMESPACES AND TAPS: {why}")
            sys.exit(SKIPPED)
        say(f"   {len(self.hosts)} hosts, {self.one_way_ms} ms one way, {self.loss_percent} % loss, "
            f"seed {self.seed}")
        self.set_delay(self.one_way_ms)
        self.set_loss(self.loss_percent)

    def __exit__(self, kind, error, trace):
        self._end()

    def _end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.switch is not None:
            self.switch.stdin.close()
            self.switch.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def order(self, text, expected="ok"):
        self.switch.stdin.write(text + "\n")
        self.switch.stdin.flush()
        answer = self.switch.stdout.readline().strip()
        if expected is not None and answer != expected:
            raise Failure(f"net_switch: {text}: {answer}")
        return answer

    def _index(self, name):
        return "all" if name is None else self.hosts[name].index

    def set_delay(self, one_way_ms, name=None):
        """From host to host; of one host's link with the others if it is named."""
        self.order(f"delay_us {self._index(name)} {round(one_way_ms * 500)}")

    def set_loss(self, percent, name=None):
        """Of all frames, or of those that one host sends."""
        self.order(f"loss_ppm {self._index(name)} {round(percent * 10_000)}")

    def partition(self, *groups):
        """Frames pass within a group only; who is in none stays with the first."""
        self.heal()
        for number, group in enumerate(groups):
            for name in group:
                self.order(f"group {self.hosts[name].index} {number}")

    def heal(self):
        self.order("group all 0")

    def frames(self):
        """How many were passed on, were lost by chance, by a partition, and for want of room."""
        return dict(zip(("forwarded", "lost", "cut", "overrun"),
                        map(int, self.order("frames", None).split())))


def odd_machine(sync_delay_ms=0, clock_ahead_s=0):
    """The environment of a process whose disk is slow or whose clock is wrong."""
    return {"LD_PRELOAD": ODD_MACHINE, "LAB_SYNC_DELAY_MS": str(sync_delay_ms),
            "LAB_CLOCK_AHEAD_S": str(clock_ahead_s)}


# ---- the control socket, without a process for each question


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes((value,)))


def _fields(message):
    """(number, integer or bytes) of a Protocol Buffers message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = varint()
            yield tag >> 3, message[at:at + size]
            at += size


def _integer(number, value):
    return _varint(number << 3) + _varint(value)


def _message(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


class Control:
    """One connection to a daemon's control socket, for questions that are asked all the time."""

    BLOCKS_MAX = 200

    def __init__(self, path, timeout_s=2):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout_s)
        self.socket.connect(path)

    def close(self):
        self.socket.close()

    def _read(self, size):
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                raise OSError("the daemon closed")
            got += piece
        return got

    def _ask(self, call, content, reply):
        request = _integer(1, 1) + _message(call, content)
        self.socket.sendall(len(request).to_bytes(4, "little") + request)
        answer = dict(_fields(self._read(int.from_bytes(self._read(4), "little"))))
        if reply not in answer:
            raise Failure(f"the daemon answers {answer}")
        return answer[reply]

    def heights(self):
        """(tip, final)"""
        status = dict(_fields(self._ask(10, b"", 11)))
        return status.get(7, 0), status.get(24, 0)

    def blocks(self, first, last):
        """{height: (id, state digest)} of first to last, both included."""
        found = {}
        while first <= last:
            count = min(last - first + 1, self.BLOCKS_MAX)
            listed = self._ask(22, _integer(1, count) + _integer(2, last + 1), 19)
            before = last
            for _, bytes_of_block in _fields(listed):
                block = dict(_fields(bytes_of_block))
                height = block.get(1, 0)
                last = min(last, height - 1)
                if height >= first:
                    found[height] = (block[2].decode(), block[5].decode())
            if last == before:
                break
        return found


# ---- networks on hosts of a lab


class Machine(Node):
    """A host with a data folder and a daemon."""

    def __init__(self, cloud, name):
        super().__init__(cloud, name)
        self.host = cloud.lab.hosts[name]
        self.odd = {}  # see odd_machine(); from the next start on
        self.is_stopped = False

    def popen(self, command, **options):
        options["env"] = {**options["env"], **self.odd}
        return self.host.popen(*command, **options)

    def control(self, timeout_s=2):
        return Control(f"{self.data}/control.sock", timeout_s)

    def start_mpirun(self, *words):
        """On this host, in a working folder of its own; the Job."""
        folder = tempfile.mkdtemp(prefix="job-", dir=self.cloud.folder)
        environment = {**self.cloud.environment, "OMPI_CHAIN_SOCKET": f"{self.data}/control.sock"}
        job = Job([*self.host.prefix, "mpirun", "--chain-report", f"{folder}/report.json",
                   *map(str, words)], environment, folder)
        self.cloud.lab.processes.append(job.process)
        return job

    def running_leases(self):
        """Ids of leases of this account whose job runs."""
        return [lease["lease"] for lease in self.ask("lease", "list")["leases"]
                if lease["state"] == "running"]

    def mpirun(self, *words, timeout_s=90):
        """As start_mpirun, to its end; the Run, with the bill as `report`. Failure unless it succeeded."""
        job = self.start_mpirun(*words)
        run = job.wait(timeout_s)
        if run.rc != 0:
            raise Failure(run.text())
        run.report = job.report()
        return run

    def offers(self):
        """Slots that this machine's daemon could lease, by the host that lends them."""
        listed = self.try_ask("offer", "list", "--all")
        return {offer["host"]: offer["slots"] for offer in listed["offers"]} if listed else {}

    def kill(self, signal_number=signal.SIGKILL):
        super().kill(signal_number)
        self.is_stopped = signal_number == signal.SIGSTOP


class HostsCloud(Cloud):
    """Each daemon on the host of its name in `lab`, in a folder there."""

    def make_folder(self):
        return self.lab.folder

    def remove_folder(self):
        """The lab's own."""

    def places(self):
        return {name: f"{self.lab.hosts[name].address}:{PORT}" for name in self.names}

    def make_node(self, name):
        return Machine(self, name)


class LabCloud(HostsCloud):
    """A network of validators, one on each of `names`; further hosts are `guests`."""

    names = ("ash", "birch", "cedar", "doug")
    guests = ()
    lenders = ()  # of 2 slots each
    one_way_ms, loss_percent = 25, 1

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.lab = stack.enter_context(Lab((*self.names, *self.guests), self.one_way_ms,
                                               self.loss_percent))
            super().__enter__()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind, value, trace):
        with self.stack:
            super().__exit__(kind, value, trace)

    def listen_options(self, name):
        return ("--listen", f"0.0.0.0:{PORT}")

    def options_of(self, name):
        lending = ("--lend", "2") if name in self.lenders else ()
        return (*super().options_of(name), *lending)

    def wait_offers(self, renter, timeout_s=30):
        wait_until(lambda: all(self.nodes[renter].offers().get(name) for name in self.lenders),
                   timeout_s, lambda: f"{renter} sees all offers: {self.nodes[renter].offers()}")
