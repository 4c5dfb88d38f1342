# SPDX-License-Identifier: BSD-3-Clause
"""Machines in networks of their own, as a market's are: hosts with public addresses on one network,
homes behind routers that translate addresses (all homes have the same private ones), and in each
home, and beside each public host, somebody who has nothing to do with a lease.

    with Apart(public=("ash", "birch"), homes=(("cedar", "doug"), ("elm",))) as places:
        places.hosts["ash"].run("ping", "-c1", places.hosts["birch"].address)

Namespaces are held by processes that die with the test. Cables are veth pairs, so that a link can be
as fast as memory, or as slow as limit_rate() says, and can be unplugged.

A Market is a ledger and daemons on such hosts: the first one rents and seals, the others lend.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from chain_devnet import Failure, say, wait_until
from net_lab import PORT, SKIPPED, Host, HostsCloud
from validators_test import pay

HOLDER = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "sh", "-c",
          "hostname {name} && ip link set lo up && echo ready && exec sleep infinity"]
# What comes from inside goes out with the router's address; nothing comes in that was not asked for.
HOME_ROUTER = """
table ip home {
    chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
    chain in {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "lan" accept
    }
}
"""


class Place(Host):
    """A host, or a router; its cable is `eth0`."""

    def plug(self, device="eth0", up=True):
        self.run("ip", "link", "set", device, "up" if up else "down")

    def limit_rate(self, rate, device="eth0"):
        with contextlib.suppress(Failure):
            self.run("tc", "qdisc", "del", "dev", device, "root")
        if rate is not None:
            self.run("tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", rate, "burst",
                     "256kb", "latency", "50ms")


class Apart:
    """Context manager. `hosts` by name, strangers among them: "stranger-NAME" in the LAN of NAME."""

    def __init__(self, public=("ash", "birch"), homes=()):
        self.public, self.homes = tuple(public), tuple(tuple(home) for home in homes)
        self.hosts, self.processes, self.routers = {}, [], []

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        self.folder = tempfile.mkdtemp(prefix="ca-", dir="/tmp")
        try:
            self._build()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind, error, trace):
        self._end()

    def _end(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, name, address=""):
        command = [word.replace("{name}", name) for word in HOLDER]
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        if holder.stdout.readline().strip() != "ready":
            say(f"SKIPPED: NO NETWORK NAMESPACES HERE: {holder.stderr.read().strip()}")
            sys.exit(SKIPPED)
        self.processes.append(holder)
        self.hosts[name] = Place(self, len(self.hosts), name, holder.pid, address)
        self.hosts[name].pid = holder.pid
        return self.hosts[name]

    def cable(self, one, device, other, other_device):
        one.run("ip", "link", "add", device, "type", "veth", "peer", "name", other_device, "netns",
                str(other.pid))
        one.run("ip", "link", "set", device, "up")
        other.run("ip", "link", "set", other_device, "up")

    def _switch(self, name):
        switch = self._place(name)
        switch.run("ip", "link", "add", "br0", "type", "bridge")
        switch.run("ip", "link", "set", "br0", "up")
        return switch

    def _join(self, switch, host, device, address):
        port = f"p{len(switch.run('ls', '/proc/sys/net/ipv4/conf').split())}"
        self.cable(host, device, switch, port)
        switch.run("ip", "link", "set", port, "master", "br0")
        host.run("ip", "address", "add", address, "dev", device)

    def _build(self):
        self.internet = self._switch("internet")
        for number, name in enumerate(self.public):
            host = self._place(name, f"20.0.0.{number + 2}")
            self._join(self.internet, host, "eth0", f"{host.address}/24")
            # A LAN on a second device, and who is there.
            stranger = self._place(f"stranger-{name}", f"172.16.{number}.9")
            self.cable(host, "eth1", stranger, "eth0")
            host.run("ip", "address", "add", f"172.16.{number}.1/24", "dev", "eth1")
            stranger.run("ip", "address", "add", f"{stranger.address}/24", "dev", "eth0")
        for number, home in enumerate(self.homes):
            router = self._place(f"router-{number}")
            self.routers.append(router)
            self._join(self.internet, router, "wan", f"20.0.0.{number + 101}/24")
            lan = self._switch(f"lan-{number}")
            self._join(lan, router, "lan", "192.168.1.1/24")
            router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            rules = f"{self.folder}/router-{number}"
            with open(rules, "w", encoding="ascii") as file:
                file.write(HOME_ROUTER)
            router.run("nft", "-f", rules)
            for place, name in enumerate((*home, f"stranger-{home[0]}")):
                host = self._place(name, f"192.168.1.{place + 2}")
                self._join(lan, host, "eth0", f"{host.address}/24")
                host.run("ip", "route", "add", "default", "via", "192.168.1.1")

    @property
    def lenders(self):
        return (*self.public[1:], *(name for home in self.homes for name in home))


class Market(HostsCloud):
    """The first host rents; `keeper` (the first, too, if none is named) seals, and lends nothing; every
    other one lends `slots`. All others connect to the keeper."""

    def __init__(self, places, slots=2, lender_options=(), keeper=None):
        self.lab = places
        self.slots, self.lender_options = slots, tuple(lender_options)
        self.renter_name = places.public[0]
        self.keeper_name = keeper or self.renter_name
        self.lenders = [name for name in places.lenders if name != self.keeper_name]
        self.names = (self.renter_name, *places.lenders)

    def options_of(self, name):
        options = ["--genesis", f"{self.folder}/genesis.json", "--password-file", self.password_file,
                   "--listen", f"0.0.0.0:{PORT}", "--log-level", "debug", "--forget-results"]
        if name == self.keeper_name:
            options += ["--seal"]
        else:
            options += ["--connect", self.addresses[self.keeper_name]]
        if name in self.lenders:
            options += ["--lend", str(self.slots), "--host-name", name, *self.lender_options]
        return options

    def found(self):
        self.run_alone("network", "new", "--output", f"{self.folder}/genesis.json", "--data",
                       f"{self.folder}/{self.keeper_name}", "--password-file", self.password_file)
        others = [name for name in self.names if name != self.keeper_name]
        accounts = [self.new_wallet(f"{self.folder}/{name}") for name in others]
        self.start_again(self.keeper_name)
        for account in accounts:
            pay(self.nodes[self.keeper_name], account, 100_000_000_000)
        for name in others:
            self.start_again(name)

    def start_again(self, name):
        self.nodes[name].start(*self.options_of(name))

    @property
    def renter(self):
        return self.nodes[self.renter_name]

    def wait_offers(self, timeout_s=30):
        wait_until(lambda: all(self.renter.offers().get(name) == self.slots
                               for name in self.lenders), timeout_s,
                   lambda: f"the renter sees all offers: {self.renter.offers()}")
