# SPDX-License-Identifier: BSD-3-Clause
"""A network of four validators that `ompi-chain network new --validators` made: real daemons on
loopback, each started with its one file. They agree, go on without one, stand still without two and
say why, and lose nothing that was final, whoever is killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from chain_devnet import Devnet, Failure, run_tests, say, wait_until
from network_test import free_port

NAMES = ("ash", "birch", "cedar", "doug")
COMMAND_TIMEOUT_S = 60
FINAL_S = 30  # a block a second or less often, two or three of them; much more than it takes


class Node:
    """One machine: a data folder and a daemon."""

    def __init__(self, cloud, name):
        self.cloud = cloud
        self.name = name
        self.data = f"{cloud.folder}/{name}"
        self.log_path = f"{cloud.folder}/{name}.log"
        self.daemon = None

    def start(self, *options):
        with open(self.log_path, "ab") as log:
            self.daemon = self.popen(
                ["ompi-chaind", "--data", self.data, *options], cwd=self.cloud.folder,
                env=self.cloud.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            if self.daemon.poll() is not None:
                raise Failure(f"{self.name}'s daemon ended: {self.log()}")
            return self.try_ask("node", "status") is not None

        wait_until(answers, 20, f"{self.name}'s daemon answers")

    def popen(self, command, **options):
        return subprocess.Popen(command, **options)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def run(self, *words):
        return subprocess.run(["ompi-chain", *words, "--json", "--data", self.data],
                              cwd=self.cloud.folder, env=self.cloud.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_TIMEOUT_S, check=False)

    def try_ask(self, *words):
        done = self.run(*words)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ask(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise Failure(f"{self.name}: ompi-chain {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def status(self):
        return self.ask("node", "status")

    def address(self):
        return self.ask("wallet", "show")["address"]

    def balance(self, address):
        return self.ask("wallet", "show", address)["balance"]["units"]

    def kill(self, signal_number=signal.SIGKILL):
        self.daemon.send_signal(signal_number)
        if signal_number == signal.SIGKILL:
            self.daemon.wait()
            self.daemon = None

    def stop(self):
        if self.daemon is None:
            return
        self.daemon.send_signal(signal.SIGCONT)
        self.daemon.terminate()
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise Failure(f"{self.name}'s daemon does not stop") from None


class Cloud:
    """Four validators; their daemons end with it."""

    names = NAMES
    founding = ("--spacing", "300ms")
    joining = ()

    def make_folder(self):
        # Short: a control socket's path has a limit.
        self.folder_owner = tempfile.TemporaryDirectory(prefix="cv-", dir="/tmp")
        return self.folder_owner.name

    def remove_folder(self):
        self.folder_owner.cleanup()

    def places(self):
        """Where each validator is."""
        return {name: f"127.0.0.1:{free_port()}" for name in self.names}

    def listen_options(self, name):
        return ("--listen", self.addresses[name])

    def options_of(self, name):
        """Of its daemon, at each start."""
        return (*self.listen_options(name), *self.joining)

    def make_node(self, name):
        return Node(self, name)

    def __enter__(self):
        self.folder = self.make_folder()
        self.environment = Devnet.clean_environment(self.folder)
        self.password_file = f"{self.folder}/password"
        with open(self.password_file, "w", encoding="ascii") as file:
            file.write("as good as any other\n")
        os.chmod(self.password_file, 0o600)
        self.addresses = self.places()
        self.nodes = {name: self.make_node(name) for name in self.names}
        self.others = []
        self.found()
        return self

    def found(self):
        """The network; and every daemon joins it."""
        listed = ",".join(f"{name}@{address}" for name, address in self.addresses.items())
        self.made = self.run_alone("network", "new", "--name", "lab", "--output",
                                   f"{self.folder}/files", "--validators", listed, *self.founding,
                                   "--password-file", self.password_file)
        for name in self.names:
            self.join(name)

    def run_alone(self, *words):
        """A command that asks no daemon."""
        done = subprocess.run(["ompi-chain", *words, "--json"], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise Failure(f"ompi-chain {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def new_wallet(self, data):
        """In that data folder; its address."""
        return self.run_alone("network", "new", "--output", f"{data}.json", "--data", data,
                              "--password-file", self.password_file)["sealer"]

    def join(self, name):
        self.nodes[name].start("--join", self.made["validators"][name], "--password-file",
                               self.password_file, *self.options_of(name))

    def start_again(self, name):
        """What an owner types after the first time: the data folder knows the rest."""
        self.nodes[name].start("--password-file", self.password_file, *self.options_of(name))

    def __exit__(self, kind, value, trace):
        for node in [*self.nodes.values(), *self.others]:
            node.stop()
            if kind is not None:
                print(f"--- {node.name}\n{node.log()}", flush=True)
        self.remove_folder()


def pay(sender, receiver, units):
    """The height of the block that has it."""
    return sender.ask("wallet", "send", receiver, f"{units / 1e9:.9f}", "--yes")["height"]


def wait_final(nodes, height):
    wait_until(lambda: all(node.status()["final_height"] >= height for node in nodes), FINAL_S,
               lambda: f"block {height} is final: " + str(
                   [(node.name, node.status()["height"], node.status()["final_height"],
                     node.status()["lag"]) for node in nodes]))


def check_same(nodes):
    """One history: the same block at the lowest final height, and the same balances."""
    height = min(node.status()["final_height"] for node in nodes)
    ids = {node.ask("block", "show", str(height))["block"] for node in nodes}
    assert len(ids) == 1, f"block {height} is {ids}"
    digests = {node.ask("block", "show", str(height))["state_digest"] for node in nodes}
    assert len(digests) == 1, digests


def four_agree(cloud):
    ash, birch, *_ = nodes = list(cloud.nodes.values())
    before = birch.balance(birch.address())
    began = time.monotonic()
    height = pay(ash, birch.address(), 5_000_000)
    wait_final(nodes, height)
    say(f"final at all four {time.monotonic() - began:.1f} s after the command")
    for node in nodes:
        assert node.balance(birch.address()) == before + 5_000_000
    check_same(nodes)
    listed = ash.ask("validator", "list")["validators"]
    assert [one["weight_ppm"] for one in listed] == [250_000] * 4, listed
    assert sum(one["mine"] for one in listed) == 1
    status = ash.status()
    assert status["consensus"] == "poa" and status["validators"] == 4
    assert status["is_validator"] and status["lag"] == ""
    # Somebody else, with the file for everybody, and no wallet.
    guest = Node(cloud, "guest")
    cloud.others.append(guest)
    guest.start("--join", cloud.made["member"])
    wait_final([guest], height)
    assert guest.balance(birch.address()) == before + 5_000_000
    assert not guest.status()["is_validator"]


def killed_in_turn(cloud):
    nodes = list(cloud.nodes.values())
    to = nodes[3].address()
    before = nodes[0].balance(to)
    paid = 0
    for victim in nodes:
        others = [node for node in nodes if node is not victim]
        final_before = victim.status()["final_height"]
        victim.kill()
        height = pay(others[0], to, 1_000_000)
        paid += 1_000_000
        wait_final(others, height)
        cloud.start_again(victim.name)
        assert victim.status()["final_height"] >= final_before
        wait_final(nodes, height)
        check_same(nodes)
        say(f"{victim.name} was killed and came back")
    assert nodes[1].balance(to) == before + paid, "nothing is lost, nothing twice"
    for node in nodes:
        assert node.ask("block", "verify")["ok"]


def two_away_is_too_many(cloud):
    nodes = list(cloud.nodes.values())
    wait_final(nodes, pay(nodes[0], nodes[1].address(), 1_000))
    for node in nodes[2:]:
        node.kill(signal.SIGSTOP)
    height = pay(nodes[0], nodes[1].address(), 1_000)
    lag = wait_until(lambda: nodes[0].status()["lag"], FINAL_S, "it says why it lags")
    say(f"two of four: \"{lag}\"")
    assert "validators have not voted" in lag or "no peers" in lag, lag
    assert nodes[0].status()["final_height"] < height
    for node in nodes[2:]:
        node.kill(signal.SIGCONT)
    wait_final(nodes, height)
    check_same(nodes)


def wrong_files(cloud):
    path = f"{cloud.folder}/wrong.join"

    def refusal(text, *options):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run(["ompi-chaind", "--data", f"{cloud.folder}/wrong", "--join", path,
                               *options], env=cloud.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
                              check=False)
        assert done.returncode == 1, done
        assert not os.path.exists(f"{cloud.folder}/wrong/genesis.json"), "nothing is kept"
        return done.stderr

    with open(cloud.made["validators"]["ash"], encoding="utf-8") as file:
        right = json.load(file)
    assert "not a JSON object" in refusal("nonsense")
    assert "not known" in refusal(json.dumps(dict(right, colour="red")))
    assert "genesis" in refusal(json.dumps(dict(right, genesis="{}")))
    assert "\"seeds\"" in refusal(json.dumps(dict(right, seeds="here")))
    # A folder of another network, and one of another wallet.
    for change, said in ((dict(right, genesis=right["genesis"].replace("lab", "den")),
                          "another network"),
                         (json.loads(open(cloud.made["validators"]["birch"],
                                          encoding="utf-8").read()), "for this machine")):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(change, file)
        done = subprocess.run(["ompi-chaind", "--data", cloud.nodes["ash"].data, "--join", path,
                               "--password-file", cloud.password_file], env=cloud.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=COMMAND_TIMEOUT_S, check=False)
        assert done.returncode == 1 and said in done.stderr, done


if __name__ == "__main__":
    sys.exit(run_tests(
        [("agree", four_agree), ("killed_in_turn", killed_in_turn),
         ("two_away", two_away_is_too_many), ("wrong_files", wrong_files)], Cloud))
