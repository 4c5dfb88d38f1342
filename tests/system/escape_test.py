# SPDX-License-Identifier: BSD-3-Clause
"""A stranger's program in a lease tries to reach what is the owner's, or another lease's, to take the
whole machine, and to stay. Everything is held, the machine goes on answering, and the lease ends with
what was computed paid for."""

import json
import os
import pwd
import re
import select
import socket
import subprocess
import sys
import time

from chain_devnet import BUSY, Devnet, all_processes, descendants, run_tests, say, wait_until

ESCAPEE = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/system/escapee")
SCRATCH = 128 << 20
ANSWER_S = 10.0  # of a daemon on a machine that is shared with other tests


class Small(Devnet):
    """A lease has little disk and memory here."""

    def __init__(self):
        super().__init__(providers=1, slots=2)

    def __enter__(self):
        net = super().__enter__()
        for node in net.providers:
            with open(f"{node.data_folder}/settings.toml", "w", encoding="ascii") as file:
                file.write(f'[lend]\nscratch = "{SCRATCH >> 20}M"\nmemory = "2G"\n')
            node.kill()
            node.restart()
        net.wait_offers()
        return net


def escape(net, *words, rc=0, timeout_s=120):
    """One job that tries; the machine is asked meanwhile. (its Run, the longest answer in s)"""
    provider = net.providers[0]
    job = net.start_mpirun("--chain-lease", f"1,provider={provider.name}", "-np", 1, ESCAPEE,
                           *words)
    slowest_s, uids, until = 0.0, set(), time.monotonic() + timeout_s
    while job.is_running() and time.monotonic() < until:
        began = time.monotonic()
        assert provider.status()["pid"] == provider.pid
        subprocess.run(["true"], check=True)  # the host can still start a program
        slowest_s = max(slowest_s, time.monotonic() - began)
        uids |= uids_of_legs(provider)
        time.sleep(0.1)
    run = job.wait(5)
    run.report = job.report()
    assert "OUT " not in run.out, run.text()
    assert rc is None or (run.rc == 0) == (rc == 0), run.text()
    if rc == 0:
        assert f"end of {words[0]}" in run.out, run.text()
    assert slowest_s <= ANSWER_S, slowest_s
    settled = net.wait_settled(run.report["lease"])
    net.wait_no_leftovers(settled["lease"])
    assert uids
    wait_until(lambda: not processes_of(uids), 10,
               lambda: f"no process of {uids} is left: {processes_of(uids)}")
    return run, slowest_s


def uids_of_legs(provider):
    """Of what runs now. The daemon's mounts are its own: its folders are looked at through it."""
    folder = f"/proc/{provider.pid}/root{provider.scratch_folder}"
    found = set()
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        try:
            found.add(os.stat(f"{folder}/{name}/job").st_uid)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def processes_of(uids):
    return [process for process in all_processes() if uid_of(process) in uids]


def uid_of(process):
    try:
        return os.stat(f"/proc/{process.pid}").st_uid
    except FileNotFoundError:
        return None


def held_count(run):
    return len(re.findall(r"^held ", run.out, re.M))


def reads_nothing_of_the_owner(net):
    provider = net.providers[0]
    secret = f"{net.folder}/secret"
    with open(secret, "w", encoding="ascii") as file:
        file.write("the owner's")
    os.chmod(secret, 0o644)  # no mode protects it
    # Another lease on the same machine, with its files.
    other = net.start_mpirun("--chain-lease", f"1,provider={provider.name}", "-np", 1, BUSY, 60)
    net.wait_voucher(job=other)
    scratch = [f"{provider.scratch_folder}/{name}" for name in os.listdir(provider.scratch_folder)]
    assert scratch
    paths = [secret, "/root", "/home", "/etc/shadow", "/etc/ssh", "/var/tmp/ompi-chain-0",
             provider.data_folder, f"{provider.data_folder}/node.key",
             f"{provider.data_folder}/wallet.json", f"{provider.data_folder}/wallet.password",
             f"{provider.data_folder}/ledger", provider.scratch_folder, *scratch,
             *[f"{one}/job" for one in scratch], pwd.getpwuid(os.geteuid()).pw_dir]
    job = net.start_mpirun("--chain-lease", f"1,provider={provider.name}", "-np", 1, ESCAPEE, "read",
                           *[f"@{path}" for path in paths])
    run = job.wait(60)
    assert run.rc == 0 and "OUT " not in run.out, run.text()
    assert held_count(run) == 3 * len(paths), run.out
    sockets = [node.socket for node in net.nodes.values()]
    run = net.mpirun("--chain-lease", f"1,provider={provider.name}", "-np", 1, ESCAPEE, "connect",
                     *[f"@{path}" for path in sockets], "@/run/dbus/system_bus_socket",
                     "@/run/systemd/private", "@/var/run/docker.sock")
    assert run.rc == 0 and "OUT " not in run.out, run.text()
    pids = [provider.pid, net.renter.pid, os.getpid(), 1_000_000,
            *[process.pid for process in descendants(provider.pid)]]
    run = net.mpirun("--chain-lease", f"1,provider={provider.name}", "-np", 1, ESCAPEE, "processes",
                     *[pid for pid in pids if pid > 50])
    assert run.rc == 0 and "OUT " not in run.out, run.text()
    other.kill()
    net.wait_nothing_locked()


def reaches_around_nothing(net):
    for what in ("kernel", "devices", "setuid"):
        run, _ = escape(net, what)
        say(f"   {what}: {held_count(run)} attempts held")


class Listeners:
    """What a machine has open: on loopback, on an address of its LAN, and under an abstract name."""

    NAME = "escape-test-owner"

    def __init__(self):
        self.sockets, self.places = [], []
        for address in ("127.0.0.1", lan_address()):
            tcp = socket.create_server((address, 0))
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(tcp.getsockname())
            self.sockets += [tcp, udp]
            self.places.append(f"{address}:{tcp.getsockname()[1]}")
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0{self.NAME}")
        abstract.listen()
        self.sockets.append(abstract)
        self.places.append(f"@{self.NAME}")

    def touched(self):
        return select.select(self.sockets, [], [], 0)[0]


def lan_address():
    """That others would use; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"  # a machine without a network
        return probe.getsockname()[0]


def sees_no_network_but_its_own(net):
    listeners = Listeners()
    daemons = [node.status()["listen_address"] for node in net.nodes.values()]
    places = [*listeners.places, *[one for one in daemons if one], "192.0.2.1:80", "1.1.1.1:53",
              "169.254.169.254:80", "224.0.0.251:5353"]
    run, _ = escape(net, "network", *places)
    assert not listeners.touched(), "a lease reached what listens here"
    held = held_count(run)
    assert held >= 2 * (len(places) - 1) + 1 + 12, run.out
    say(f"   {held} attempts held")
    # Only who lets it see the machine's network, for a lease that asks for that.
    run = net.mpirun("--chain-lease", 1, "--chain-net", "plain", "-np", 1, "hostname")
    assert run.rc == 3 and "lets no lease into its network" in run.err, run.text()
    run = net.mpirun("--chain-lease", 1, "--chain-net", "wire", "-np", 1, "hostname")
    assert run.rc != 0 and "there is no such network" in run.err, run.text()
    provider = net.providers[0]
    assert provider.status()["not_held"] == [], provider.status()
    offers = json.loads(provider.ask("offer", "list", "--json").stdout)["offers"]
    assert [offer["isolation"] for offer in offers] == ["full"], offers


def cannot_be_reached(net):
    """From outside: neither the ranks, nor orted, nor mpirun, each of which listens somewhere."""
    provider = net.providers[0]
    job = net.start_mpirun("--chain-lease", f"1,provider={provider.name}", "-np", 1, BUSY, 60)
    net.wait_voucher(job=job)
    inside = [process.pid for process in provider.lease_processes()]
    mpirun = [job.process.pid, *[process.pid for process in descendants(job.process.pid)]]
    assert len(inside) >= 2, inside
    ours = network_of(os.getpid())
    assert ours not in {network_of(pid) for pid in [*inside, *mpirun]}, (inside, mpirun)
    with open("/proc/net/fib_trie", encoding="ascii") as table:
        assert "10.77." not in table.read(), "this machine has an address of a lease's network"
    job.kill()
    net.wait_nothing_locked()


def network_of(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def bombs_only_itself(net):
    run, slowest_s = escape(net, "bomb", rc=None)
    # The limit of processes, or that of memory, whichever is met first.
    assert "held fork bomb" in run.out or "of memory here" in run.err, run.text()
    say(f"   {(run.out.splitlines() or run.err.splitlines())[0]}; slowest answer {slowest_s:.2f} s")


def fills_only_its_memory(net):
    run, slowest_s = escape(net, "memory", rc=1)
    assert "signal 9" in run.text() and "of memory here" in run.err, run.text()
    say(f"   killed at its limit; slowest answer {slowest_s:.2f} s")
    # Memory that no process holds: whatever the kernel takes, nobody blames the provider.
    run, _ = escape(net, "shm", rc=1)
    assert "of memory here" in run.text() and "was lost" not in run.text(), run.text()
    assert run.report["ended_by"] == "renter", run.report


def fills_only_its_disk(net):
    provider = net.providers[0]
    run, slowest_s = escape(net, "disk")
    filled = [int(size) for size in re.findall(r"^filled \S+: (\d+) bytes", run.out, re.M)]
    say(f"   {filled} bytes on a disk of {SCRATCH}; slowest answer {slowest_s:.2f} s")
    assert len(filled) == 2 and SCRATCH // 2 < filled[0] < SCRATCH and filled[1] < SCRATCH, run.out
    run, _ = escape(net, "files")
    count = int(re.search(r"^files: (\d+)", run.out, re.M).group(1))
    assert 1_000 < count < 1_000_000, run.out
    wait_until(lambda: not [name for name in os.listdir(provider.scratch_folder)
                            if name.endswith(".disk")], 20, "the disk is given back")


def stays_not_a_moment(net):
    escape(net, "outlive", 600)


if __name__ == "__main__":
    sys.exit(run_tests([
        ("reads_nothing_of_the_owner", reads_nothing_of_the_owner),
        ("reaches_around_nothing", reaches_around_nothing),
        ("sees_no_network_but_its_own", sees_no_network_but_its_own),
        ("cannot_be_reached", cannot_be_reached),
        ("bombs_only_itself", bombs_only_itself),
        ("fills_only_its_memory", fills_only_its_memory),
        ("fills_only_its_disk", fills_only_its_disk),
        ("stays_not_a_moment", stays_not_a_moment),
    ], Small))
