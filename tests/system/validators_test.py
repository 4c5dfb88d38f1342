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
    assert {one["multiplier_q16"] for one in listed} == {0}, listed
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


def comes_and_goes(cloud):
    """Somebody stakes, is told that a validator's daemon has to vote, votes, and leaves again."""
    ash = cloud.nodes["ash"]
    eve = Node(cloud, "eve")
    cloud.others.append(eve)
    made = cloud.run_alone("wallet", "new", "--data", eve.data, "--password-file",
                           cloud.password_file)
    eve.start("--join", cloud.made["member"], "--password-file", cloud.password_file)
    assert eve.address() == made["address"], "a wallet that was made before there was a daemon"
    least = int(ash.ask("validator", "list")["stake_min"]["units"])
    height = pay(ash, eve.address(), 2 * least)
    wait_final([eve], height)

    def stake(node, verb, units):
        done = subprocess.run(
            ["ompi-chain", "wallet", verb, f"{units / 1e9:.9f}", "--yes", "--data", node.data],
            env=cloud.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=COMMAND_TIMEOUT_S, check=True)
        return done.stderr

    assert "no validator" in stake(eve, "stake", least - 1)
    assert "counts as one that is away" in stake(eve, "stake", 1).replace("\n", " ")
    wait_until(lambda: "started with --seal" in eve.status()["votes"] or
               not pay(ash, eve.address(), 1), FINAL_S, "it is told that it does not vote")
    assert eve.status()["validators"] == 5
    eve.stop()
    eve.start("--password-file", cloud.password_file, "--seal")

    def votes():
        pay(ash, eve.address(), 1)
        mine = [one for one in ash.ask("validator", "list")["validators"]
                if one["address"] == made["address"]]
        return eve.status()["votes"] == "yes" and mine and mine[0]["voted_height"] > 0

    wait_until(votes, FINAL_S, "it votes")
    assert "no validator" in stake(eve, "unstake", 1)

    def has_left():
        pay(ash, eve.address(), 1)
        return "it takes a stake of" in eve.status()["votes"]

    wait_until(has_left, FINAL_S, "it has left")
    assert ash.status()["validators"] == 4


def checkpoints(cloud):
    """A wrong one is named as what it is; a right one leaves nothing to override."""
    ash = cloud.nodes["ash"]
    wait_final([ash], pay(ash, cloud.nodes["birch"].address(), 1_000))
    height = ash.status()["final_height"]
    guest = Node(cloud, "misled")
    cloud.others.append(guest)
    guest.start("--join", cloud.made["member"], "--checkpoint", f"{height}:{'a' * 64}")
    right = ash.ask("block", "show", str(height))["block"]
    wait_until(lambda: right in guest.status()["lag"], FINAL_S, lambda: guest.status()["lag"])
    assert "--checkpoint says aaaa" in guest.status()["lag"]
    assert guest.status()["final_height"] == 0, "nothing is final before it is there"
    guest.stop()
    guest.start("--checkpoint", f"{height}:{right}")
    wait_final([guest], height)
    guest.stop()
    guest.start("--checkpoint", f"{height}:{right}", "--override-finality")
    assert guest.status()["final_height"] >= height
    assert "nothing to give up" in guest.log()
    assert not [name for name in os.listdir(guest.data) if "before" in name]


def foundings_that_are_refused(cloud):
    """Each with what is wrong, and nothing is left of it."""
    where = "a@127.0.0.1:1,b@127.0.0.2:2,c@127.0.0.3:3,d@127.0.0.4:4"
    own = cloud.nodes["ash"].address()
    output = f"{cloud.folder}/refused"
    for validators, options, said in (
            ("", (), "names nobody"), (",", (), "names nobody"),
            ("a@127.0.0.1,", (), "before or after a comma"),
            ("a@127.0.0.1:99999", (), "PORT 1 to 65535"), ("a@127.0.0.1:0", (), "PORT 1"),
            ("a@256.1.1.1", (), "IP address"), ("a@two words", (), "IP address"),
            ("a@127.0.0.1,a@127.0.0.2", (), "a stands there twice"),
            ("a@127.0.0.1,b@127.0.0.1", (), "127.0.0.1:7660 stands there twice"),
            (f"a={own}@127.0.0.1,b={own}@127.0.0.2", (), f"{own} stands there twice"),
            (where, ("--spacing", "1ms"), "\"1ms\": from 10ms"),
            (where, ("--spacing", "0"), "from 10ms"),
            (where, ("--spacing", "10000h"), "to 24h"),
            (where, ("--consensus", "por", "--proof-of-work", "foo"), "sha256d or randomx"),
            (where, ("--proof-of-work", "randomx"), "goes with --consensus por"),
            (where, ("--share-epoch", "4"), "goes with --consensus por"),
            (where, ("--tokens", "99999999999"), "tokens"),
            (where, ("--name", "two words"), "--name")):
        done = subprocess.run(
            ["ompi-chain", "network", "new", "--output", output, "--validators", validators,
             "--password-file", cloud.password_file, *options], env=cloud.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
            check=False)
        assert done.returncode == 1 and said in done.stderr, (validators, options, done)
        assert not os.path.exists(output), f"{validators} {options} left a folder"


if __name__ == "__main__":
    sys.exit(run_tests(
        [("agree", four_agree), ("killed_in_turn", killed_in_turn),
         ("two_away", two_away_is_too_many), ("wrong_files", wrong_files),
         ("comes_and_goes", comes_and_goes), ("checkpoints", checkpoints),
         ("refused", foundings_that_are_refused)], Cloud))
