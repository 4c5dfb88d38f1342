# SPDX-License-Identifier: BSD-3-Clause
"""Daemons that find each other without being named, on networks that this test makes: multicast DNS
between two network namespaces, a port asked of a real router (miniupnpd) in a third, and an address
book that outlasts a restart."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from chain_devnet import Devnet, Failure, run_tests, say, wait_until

COMMAND_TIMEOUT_S = 60
SKIPPED = 77
PORT = 7660
ROUTER_RULES = """
table inet filter {
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
}
"""
ROUTER_SETTINGS = """
ext_ifname=wan
listening_ip=lan
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode=yes
lease_file={folder}/leases
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 0.0.0.0/0 1024-65535
"""


def run(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True,
                          timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


class NotBuilt(Exception):
    """The daemon was built without a library that the test needs."""


class Daemon:
    """An ompi-chaind in a namespace; its control socket is reached from anywhere."""

    def __init__(self, places, name, namespace, genesis, *words):
        self.places, self.name, self.namespace, self.words = places, name, namespace, words
        self.data = f"{places.folder}/{name}"
        self.environment = dict(places.environment, OMPI_CHAIN_DATA=self.data)
        self.genesis = genesis
        self.process = None
        self.start()

    def start(self, words=None):
        """Failure if it does not come up; NotBuilt if it lacks a library."""
        with open(f"{self.data}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "ompi-chaind", "--data", self.data,
                 "--genesis", self.genesis, "--log-level", "debug",
                 *(self.words if words is None else words)],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.ask("node", "status") is not None, 20,
                   lambda: f"{self.name} answers: {self.log()[-2000:]}")

    def ask(self, *words):
        if self.process.poll() is not None:
            if "this program was built without" in self.log():
                raise NotBuilt(self.log().strip())
            raise Failure(f"{self.name} ended: {self.log()[-2000:]}")
        done = subprocess.run(["ompi-chain", *words, "--json"], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_TIMEOUT_S, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def peers(self):
        return [peer["address"] for peer in self.ask("peer", "list")["peers"]]

    def log(self):
        with open(f"{self.data}.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def says(self, words, timeout_s=20):
        wait_until(lambda: words in self.log(), timeout_s,
                   lambda: f"{self.name} says \"{words}\": {self.log()[-3000:]}")

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"{self.name} does not stop: {self.log()[-2000:]}") from None


class Places:
    """Network namespaces and daemons, which end with it."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="cd-", dir="/tmp")
        self.environment = Devnet.clean_environment(self.folder)
        os.environ["PATH"] = self.environment["PATH"] + ":/usr/sbin:/sbin"
        self.environment["PATH"] = os.environ["PATH"]
        self.namespaces, self.daemons, self.others = [], [], []
        with open(f"{self.folder}/pw", "w", encoding="ascii") as file:
            file.write("as good as any other\n")
        return self

    def __exit__(self, kind, error, trace):
        for daemon in self.daemons:
            if kind is not None:
                say(f"==== {daemon.name}\n{daemon.log()[-3000:]}")
            with contextlib.suppress(Failure):
                daemon.stop()
        for process in self.others:
            process.kill()
            process.wait()
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def namespace(self, name):
        whole = f"ompi-{os.getpid()}-{name}-{len(self.namespaces)}"
        run("ip", "netns", "add", whole)
        self.namespaces.append(whole)
        self.inside(whole, "ip", "link", "set", "lo", "up")
        return whole

    @staticmethod
    def inside(namespace, *words, text=None):
        return run("ip", "netns", "exec", namespace, *words, text=text)

    def join(self, one, other):
        """A cable between two (namespace, device, address/bits)."""
        run("ip", "link", "add", one[1], "netns", one[0], "type", "veth",
            "peer", "name", other[1], "netns", other[0])
        for namespace, device, address in (one, other):
            self.inside(namespace, "ip", "address", "add", address, "dev", device)
            self.inside(namespace, "ip", "link", "set", device, "up")

    def genesis(self, name):
        path = f"{self.folder}/{name}.json"
        subprocess.run(["ompi-chain", "network", "new", "--output", path, "--password-file",
                        f"{self.folder}/pw"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=dict(self.environment, OMPI_CHAIN_DATA=f"{self.folder}/{name}-wallet"))
        return path

    def daemon(self, *arguments):
        self.daemons.append(Daemon(self, *arguments))
        return self.daemons[-1]


def test_local_network(places):
    one, other = places.namespace("a"), places.namespace("b")
    places.join((one, "eth0", "10.99.0.1/24"), (other, "eth0", "10.99.0.2/24"))
    genesis, foreign = places.genesis("net"), places.genesis("foreign")
    lan = ("--discover-lan", "--listen", f"0.0.0.0:{PORT}")
    first = places.daemon("lan-a", one, genesis, *lan)
    stranger = places.daemon("lan-c", other, foreign, "--discover-lan", "--listen",
                             f"0.0.0.0:{PORT + 1}")
    second = places.daemon("lan-b", other, genesis, *lan)
    wait_until(lambda: first.peers() == [f"10.99.0.2:{PORT}"] and
               second.peers() == [f"10.99.0.1:{PORT}"], 15,
               lambda: f"they find each other: {first.peers()} {second.peers()}")
    assert stranger.peers() == [], stranger.peers()
    assert "another network" not in first.log(), "who belongs elsewhere is not dialled"
    # Without the search: the book knows where the other one is.
    second.stop()
    wait_until(lambda: first.peers() == [], 10, "the first one notices")
    second.start(words=("--listen", f"127.0.0.1:{PORT}"))
    wait_until(lambda: second.peers() == [f"10.99.0.1:{PORT}"], 20, "found again by the book")
    for daemon in (first, stranger, second):
        daemon.stop()


def test_public_interface_is_left_alone(places):
    one, other = places.namespace("a"), places.namespace("b")
    places.join((one, "eth0", "20.0.0.1/24"), (other, "eth0", "20.0.0.2/24"))
    # A private address beside it makes it no local network.
    places.inside(one, "ip", "address", "add", "10.99.0.1/24", "dev", "eth0")
    genesis = places.genesis("public")
    daemon = places.daemon("public", one, genesis, "--discover-lan", "--listen", f"0.0.0.0:{PORT}")
    daemon.says("the local network is not searched for peers: eth0 has a public address")
    joined = places.inside(one, "ip", "maddress", "show", "dev", "eth0")
    assert "224.0.0.251" not in joined, joined
    daemon.stop()


def router_of(places, natpmp, upnp):
    """(namespace behind it, namespace of the router) with a miniupnpd that speaks what is asked."""
    home, router = places.namespace("home"), places.namespace("router")
    outside = places.namespace("outside")
    places.join((home, "eth0", "10.98.0.2/24"), (router, "lan", "10.98.0.1/24"))
    places.inside(home, "ip", "route", "add", "default", "via", "10.98.0.1")
    places.join((router, "wan", "20.0.0.1/24"), (outside, "eth0", "20.0.0.2/24"))
    places.inside(router, "nft", "-f", "-", text=ROUTER_RULES)
    settings = f"{places.folder}/{router}.conf"
    with open(settings, "w", encoding="ascii") as file:
        file.write(ROUTER_SETTINGS.format(
            folder=places.folder, natpmp="yes" if natpmp else "no", upnp="yes" if upnp else "no"))
    with open(f"{places.folder}/{router}.log", "wb") as log:
        places.others.append(subprocess.Popen(
            ["ip", "netns", "exec", router, "miniupnpd", "-d", "-f", settings,
             "-P", f"{places.folder}/{router}.pid"], stdout=log, stderr=log))
    return home, router


def test_port_of_the_router(places):
    if shutil.which("miniupnpd") is None or shutil.which("nft") is None:
        say("port_of_the_router ... skipped 'no miniupnpd or nft: apt-get install "
            "miniupnpd-nftables nftables'")
        return
    genesis = places.genesis("mapped")
    for natpmp, upnp, name in ((True, False, "NAT-PMP"), (False, True, "UPnP")):
        home, router = router_of(places, natpmp, upnp)

        def rules(router=router):
            return places.inside(router, "nft", "list", "ruleset")

        daemon = places.daemon(f"mapped-{name}", home, genesis, "--map-port", "--listen",
                               f"0.0.0.0:{PORT}")
        daemon.says(f"the router passes 20.0.0.1:{PORT} on to us ({name})", 30)
        assert f"10.98.0.2:{PORT}" in rules(), rules()
        daemon.stop()
        wait_until(lambda rules=rules: f"10.98.0.2:{PORT}" not in rules(), 10,
                   lambda rules=rules: f"the port is given back: {rules()}")


def test_without_a_router(places):
    lonely = places.namespace("lonely")
    daemon = places.daemon("lonely", lonely, places.genesis("lonely-net"), "--map-port", "--listen",
                           f"127.0.0.1:{PORT}")
    daemon.says("no router maps the port: NAT-PMP: no default route")
    daemon.stop()


def if_built(name, test):
    """`test`, left out with its reason where a library is missing."""
    def tried(places):
        try:
            test(places)
        except NotBuilt as why:
            say(f"{name} ... skipped '{why}'")
    return name, tried


def namespaces_are_there():
    name = f"ompi-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True,
                          check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made.returncode == 0, made.stderr.strip()


if __name__ == "__main__":
    there, why = namespaces_are_there()
    if not there:
        say(f"skipped: no network namespaces here, or not root: {why}")
        sys.exit(SKIPPED)
    sys.exit(run_tests(
        [if_built("local_network", test_local_network),
         if_built("public_interface_is_left_alone", test_public_interface_is_left_alone),
         if_built("port_of_the_router", test_port_of_the_router),
         if_built("without_a_router", test_without_a_router)],
        Places))
