# SPDX-License-Identifier: BSD-3-Clause
"""The network of a lease against the same link in the clear, and against two others' ways to make
such a link private: TCP through ssh, and Debian's wireguard-go. Two lenders, each in a network
namespace, with a veth pair and a bridge between them: as fast as memory, and then at 1 Gbit/s.

And the time from the start of mpirun to the end of MPI_Init, on 1, 2, 4 and 8 hosts, against plain
mpirun over ssh to the same hosts.

The ways take turns (A B C A B C …), so that a busy moment of the machine hits all of them; ratios and
differences are medians over the turns. One line a figure.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS, how often each is measured. Needs root.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
from figures import figure  # noqa: E402
from apart import Apart, Market  # noqa: E402

BENCH = os.path.join(os.environ["TEST_BUILD_DIR"], "tests/bench")
STREAM, EXCHANGE, INIT_TIME = f"{BENCH}/stream", f"{BENCH}/exchange", f"{BENCH}/init_time"
ROUNDS = int(os.environ["BENCH_ROUNDS"])
SECONDS = "1"
PAIR = "2,provider=birch+fir"
CLEAR = ["--chain-net", "plain", "--mca", "btl_tcp_if_include", "eth0"]


class Link:
    """Between two hosts, in some way: `measure` has the address at which the other one serves."""

    def __init__(self, one, other, address):
        self.one, self.address = one, address
        self.server = other.popen(STREAM, "serve", address, "9000", stdout=subprocess.PIPE)
        assert self.server.stdout.readline() == b"ready\n"

    def measure(self, port="9000"):
        return numbers(self.one.run(STREAM, "measure", self.address, port, SECONDS))


def numbers(text):
    latency, rate = text.split()[:2]
    return float(latency), float(rate) / 1e6


def in_lease(net):
    run = net.renter.mpirun("--chain-lease", PAIR, "-np", 2, STREAM, "ranks", "10.77.0.2", "9000",
                            SECONDS)
    return numbers(run.out)


def has_ssh():
    return shutil.which("ssh-keygen") is not None and os.path.exists("/usr/sbin/sshd")


def start_sshd(places, host):
    """That lets in who has the key of these places; its own folder for sessions, as a machine has."""
    folder = places.folder
    if not os.path.exists(f"{folder}/key"):
        for name in ("host_key", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"],
                           check=True, stdin=subprocess.DEVNULL)
        shutil.copy(f"{folder}/key.pub", f"{folder}/authorized_keys")
    os.makedirs("/run/sshd", exist_ok=True)
    sessions = f"{folder}/sessions-{host.name}"
    os.mkdir(sessions)
    host.popen("/usr/sbin/sshd", "-D", "-f", "/dev/null", "-p", "2222", "-h", f"{folder}/host_key",
               "-o", f"AuthorizedKeysFile={folder}/authorized_keys", "-o", "StrictModes=no", "-o",
               "UsePAM=no", "-o", "PermitRootLogin=yes", "-o", "PidFile=none", "-o",
               f"SetEnv=TMPDIR={sessions}")


def ssh_words(places):
    return ["ssh", "-i", f"{places.folder}/key", "-p", "2222", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o",
            "ConnectionAttempts=10"]


def by_ssh(places, one, other):
    """A forwarded port of `one` that leads to where `other` serves; None: no ssh here."""
    if not has_ssh():
        return None
    start_sshd(places, other)
    link = Link(one, other, "127.0.0.1")
    one.popen(*ssh_words(places), "-N", "-L", "9001:127.0.0.1:9000", other.address)
    time.sleep(2)
    return lambda: link.measure("9001")


def by_wireguard(places, one, other):
    """Debian's wireguard-go, in its default settings; None: it is not here."""
    if shutil.which("wireguard-go") is None or shutil.which("wg") is None:
        return None
    keys = []
    for _ in range(2):
        secret = subprocess.run(["wg", "genkey"], check=True, capture_output=True).stdout
        public = subprocess.run(["wg", "pubkey"], check=True, capture_output=True,
                                input=secret).stdout
        keys.append((secret, public.decode().strip()))
    for number, (host, peer) in enumerate(((one, other), (other, one))):
        device, path = f"wgb{number}", f"{places.folder}/wg{number}"
        with open(path, "wb") as file:
            file.write(keys[number][0])
        os.chmod(path, 0o600)
        host.popen("wireguard-go", "-f", device, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
        time.sleep(1)
        host.run("wg", "set", device, "listen-port", "51820", "private-key", path, "peer",
                 keys[1 - number][1], "allowed-ips", "10.99.0.0/24", "endpoint",
                 f"{peer.address}:51820")
        host.run("ip", "address", "add", f"10.99.0.{number + 1}/24", "dev", device)
        host.run("ip", "link", "set", device, "up")
    return Link(one, other, "10.99.0.2").measure


def sizes(net, words):
    run = net.renter.mpirun("--chain-lease", PAIR, *words, "-np", 2, EXCHANGE, "sizes")
    return {int(size): float(us) for size, us in (line.split() for line in run.out.splitlines())}


def take_turns(ways):
    """[{way: what it measured}], the first turn left out: it warms caches."""
    turns = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS + 1)]
    return turns[1:]


def median(turns, value):
    return statistics.median(value(turn) for turn in turns)


def raw_figures(net, places):
    birch, fir = places.hosts["birch"], places.hosts["fir"]
    ways = {"clear": Link(fir, birch, birch.address).measure, "lease": lambda: in_lease(net),
            "ssh": by_ssh(places, fir, birch), "wireguard_go": by_wireguard(places, fir, birch)}
    for name in [name for name, way in ways.items() if way is None]:
        print(f"# no {name} here", flush=True)
        del ways[name]
    turns = take_turns(ways)
    for name in ways:
        figure(f"link_{name}_stream", median(turns, lambda turn: turn[name][1]), "MB/s",
               500 if name == "lease" else None, places=0)
        figure(f"link_{name}_latency", median(turns, lambda turn: turn[name][0]), "us", places=1)
    for name in ways:
        if name not in ("clear", "lease"):
            figure(f"lease_stream_to_{name}",
                   median(turns, lambda turn: turn["lease"][1] / turn[name][1]), "times", 1)
    for host in (birch, fir):
        host.limit_rate("1gbit")
    turns = take_turns({name: ways[name] for name in ("clear", "lease")})
    for host in (birch, fir):
        host.limit_rate(None)
    figure("lease_stream_to_clear_at_1_gbit",
           median(turns, lambda turn: turn["lease"][1] / turn["clear"][1]), "times", 0.95, places=3)


def mpi_figures(net):
    turns = take_turns({"clear": lambda: sizes(net, CLEAR), "lease": lambda: sizes(net, [])})
    for size in turns[0]["lease"]:
        figure(f"mpi_{size}_bytes_clear", median(turns, lambda turn: turn["clear"][size]), "us",
               places=1)
        figure(f"mpi_{size}_bytes_lease", median(turns, lambda turn: turn["lease"][size]), "us",
               places=1)
    added = median(turns, lambda turn: turn["lease"][8] - turn["clear"][8])
    figure("latency_that_the_lease_network_may_still_add", 60 - added, "us", 0, places=1)
    large = max(turns[0]["lease"])
    figure("mpi_bandwidth_lease", median(turns, lambda turn: large / turn["lease"][large]), "MB/s",
           250, places=0)


def init_ms(started, out, hosts):
    _, init_ns, *names = out.split()
    if len(set(names)) != hosts:
        raise RuntimeError(f"not on {hosts} hosts: {out}")
    return int(init_ns) / 1e6 - started * 1e3


def init_by_lease(net, hosts):
    started = time.time()
    run = net.renter.mpirun("--chain-lease", hosts, "-np", hosts, INIT_TIME)
    return init_ms(started, run.out, hosts)


def init_by_ssh(net, places, hosts):
    named = ",".join(f"{places.hosts[name].address}:1" for name in places.lenders[:hosts])
    agent = " ".join(ssh_words(places))
    environment = {**net.environment, "TMPDIR": places.folder}
    started = time.time()
    out = net.renter.host.run("mpirun", "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", agent,
                              "--mca", "btl_tcp_if_include", "eth0", "--mca", "oob_tcp_if_include",
                              "eth0", "--bind-to", "none", "-H", named, "-np", str(hosts), INIT_TIME,
                              env=environment)
    return init_ms(started, out, hosts)


def launch_figures():
    with Apart(public=("ash", *(f"host{number}" for number in range(8)))) as places:
        with Market(places, slots=1) as net:
            net.wait_offers(120)
            ways = {"lease": lambda hosts: init_by_lease(net, hosts)}
            if has_ssh():
                for name in places.lenders:
                    start_sshd(places, places.hosts[name])
                ways["ssh"] = lambda hosts: init_by_ssh(net, places, hosts)
            else:
                print("# no ssh here: apt-get install openssh-server", flush=True)
            for hosts in (1, 2, 4, 8):
                turns = take_turns({name: lambda way=way, hosts=hosts: way(hosts)
                                    for name, way in ways.items()})
                for name in ways:
                    figure(f"init_{hosts}_hosts_{name}", median(turns, lambda turn: turn[name]),
                           "ms", places=0)
                if "ssh" not in ways:
                    continue
                figure(f"init_{hosts}_hosts_ssh_to_lease",
                       median(turns, lambda turn: turn["ssh"] / turn["lease"]), "times", 1)


def main():
    launch_figures()
    with Apart(public=("ash", "birch", "fir")) as places:
        with Market(places, slots=1, lender_options=("--plain-network",)) as net:
            net.wait_offers()
            raw_figures(net, places)
            mpi_figures(net)


if __name__ == "__main__":
    main()
