# SPDX-License-Identifier: BSD-3-Clause
"""README.md, "Lend your machine, lease a friend's": its commands, as they stand there, typed by
three people who share nothing but loopback and the genesis file."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from chain_devnet import Devnet, Failure, run_tests, say, wait_until

SOURCE = os.environ["TEST_SOURCE_DIR"]
PASSWORD = "as good as any other"
COMMAND_TIMEOUT_S = 60


def readme_blocks():
    """(person, [command, …]) in the order of README.md."""
    with open(f"{SOURCE}/README.md", encoding="utf-8") as file:
        section = re.search(r"## Lend your machine.*?(?=\n## )", file.read(), re.S)
    assert section, "README.md has the section"
    blocks = []
    for block in re.findall(r"```\n(.*?)```", section.group(0), re.S):
        first, *lines = block.splitlines()
        person = re.match(r"# (\w+)", first)
        assert person, f"whose commands are these? {block}"
        blocks.append((person.group(1), lines))
    return blocks


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Person:
    """Somebody at a shell, with a home folder and a machine's worth of settings."""

    def __init__(self, name, folder, base_environment):
        self.name = name
        self.home = f"{folder}/{name}"
        os.mkdir(self.home)
        self.environment = dict(base_environment, HOME=self.home,
                                OMPI_CHAIN_DATA=f"{self.home}/data")
        self.port = free_port()
        self.daemon = None
        self.address = None

    def start_daemon(self, command):
        with open(f"{self.home}/log", "wb") as log:
            self.daemon = subprocess.Popen(
                ["bash", "-c", "exec " + command], cwd=self.home, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

        def answers():
            if self.daemon.poll() is not None:
                raise Failure(f"{self.name}'s daemon ended: {self.log()}")
            return self.ask("node", "status") is not None

        wait_until(answers, 20, f"{self.name}'s daemon answers")

    def log(self):
        with open(f"{self.home}/log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask(self, *words):
        done = subprocess.run(["ompi-chain", *words, "--json"], cwd=self.home,
                              env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
                              check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def type(self, command):
        """At a terminal: answers what is asked for. What was shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execvpe("bash", ["bash", "-c", command], self.environment)
        shown = b""
        answered = 0
        until = time.monotonic() + COMMAND_TIMEOUT_S
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                got = os.read(terminal, 65536)
            except OSError:
                break
            if not got:
                break
            shown += got
            for prompt, answer in ((b"wallet: ", PASSWORD), (b"again: ", PASSWORD),
                                   (b"[y/N] ", "y")):
                if shown[answered:].endswith(prompt):
                    time.sleep(0.1)  # a terminal drops what was typed before the echo went off
                    os.write(terminal, answer.encode() + b"\n")
                    answered = len(shown)
        else:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        text = shown.decode(errors="replace").replace("\r\n", "\n")
        if status != 0:
            raise Failure(f"{self.name}: {command}: exit code {status}\n{text}")
        return text

    def stop(self):
        if self.daemon is None:
            return
        self.daemon.terminate()
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise Failure(f"{self.name}'s daemon does not stop") from None


class Friends:
    """Alice, Bob and Carol; their daemons end with it."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="cf-", dir="/tmp")
        self.people = {}
        for name in ("Alice", "Bob", "Carol"):
            self.join(name)
        return self

    def join(self, name):
        self.people[name] = Person(name, self.folder, Devnet.clean_environment(self.folder))
        return self.people[name]

    def __exit__(self, kind, error, trace):
        for person in reversed(self.people.values()):
            if kind is not None and person.daemon is not None:
                say(f"==== {person.name}\n{person.log()[-3000:]}")
            person.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def adapt(self, person, command):
        """Three machines in one: other ports, and addresses that README.md cannot know."""
        alice = self.people["Alice"]
        command = command.replace("alice:7660", f"127.0.0.1:{alice.port}")
        command = command.replace("0.0.0.0:7660", f"0.0.0.0:{person.port}")
        for name in ("Bob", "Carol"):
            command = command.replace(f"{name.upper()}S-ADDRESS", self.people[name].address or "")
        return command

    def carry_out(self, name, line):
        person = self.people[name]
        command = self.adapt(person, line)
        if command.endswith("&"):
            source = f"{self.people['Alice'].home}/net.json"
            if name != "Alice":
                shutil.copy(source, person.home)
            return person.start_daemon(command[:-1])
        if "mpirun" in command or "offer list" in command:
            wait_until(lambda: person.ask("offer", "list", "--all")["offers"], 20,
                       "Carol sees Bob's offer")
        text = person.type(command)
        if "wallet new" in command:
            person.address = re.search(r"ompc1\w+", text).group(0)
        return text


def test_readme_as_it_stands(friends):
    shown = {}
    for name, lines in readme_blocks():
        for line in lines:
            say(f"{name}: {line}")
            shown[line.split("  #")[0].strip()] = friends.carry_out(name, line)
    jobs = [text for line, text in shown.items() if line.startswith("mpirun")]
    assert len(jobs) == 1
    # Bob's machine is named like Carol's: a lease calls it otherwise.
    host = socket.gethostname().split(".")[0] + "-2"
    lines = [line for line in jobs[0].splitlines() if line.strip() == host]
    assert len(lines) == 2, jobs[0]
    assert "settled" in shown["ompi-chain lease list --all"]
    alice, bob, carol = (friends.people[name] for name in ("Alice", "Bob", "Carol"))
    lease = carol.ask("lease", "list", "--all")["leases"][0]
    paid, burned = lease["paid"]["units"], lease["burned"]["units"]
    assert 0 < paid < 5 * 10**9 and 0 < burned < paid, lease
    wait_until(lambda: bob.ask("wallet", "show")["balance"]["units"] ==
               100 * 10**9 + paid - burned, 20, "Bob is paid")
    assert carol.ask("wallet", "show")["balance"]["units"] == 100 * 10**9 - paid
    assert alice.ask("wallet", "show")["balance"]["units"] == (10**6 - 200) * 10**9
    wait_until(lambda: not carol.ask("offer", "list", "--all")["offers"] or
               carol.ask("offer", "list", "--all")["offers"][0]["slots"] == 0, 20,
               "Bob's offer is withdrawn")


def test_nothing_is_overwritten_and_every_refusal_says_what_to_do(friends):
    dora = friends.join("Dora")
    with open(f"{dora.home}/pw", "w", encoding="ascii") as file:
        file.write(PASSWORD + "\n")
    with open(f"{dora.home}/wrong", "w", encoding="ascii") as file:
        file.write("another\n")

    def found(*words, typed=None):
        done = subprocess.run(["ompi-chain", "network", "new", *words], cwd=dora.home,
                              env=dora.environment, input=typed or "", text=True,
                              capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
        return done.returncode, done.stdout, done.stderr

    for words, said in (
        ((), "--output net.json"),
        (("--output", "n.json"), "--password-file"),
        (("--output", "n.json", "--tokens", "0"), "above 0"),
        (("--output", "n.json", "--tokens=-5"), "negative"),
        (("--output", "n.json", "--tokens", "1e9"), "1e9"),
        (("--output", "n.json", "--tokens", "5000000000"), "5000000000"),
        (("--output", "n.json", "--name", "two words"), "letters, digits"),
        (("--output", "n.json", "--password-file", "absent"), "absent"),
    ):
        code, out, err = found(*words)
        assert code == 1 and said in err and not out, (words, code, out, err)
        assert not os.path.exists(f"{dora.home}/data/wallet.json"), words
    code, out, err = found("--output", "absent/n.json", "--password-file", "pw")
    assert code == 1 and "absent/n.json" in err, err
    wallet = f"{dora.home}/data/wallet.json"
    with open(wallet, "rb") as file:
        before = file.read()
    code, out, err = found("--output", "n.json", "--password-file", "wrong")
    assert code == 4 and "password" in err, err
    code, out, err = found("--output", "n.json", "--tokens", "12.5", "--password-file", "pw",
                           "--json")
    assert code == 0, err
    made = json.loads(out)
    assert made["tokens"]["tokens"] == "12.5" and made["chain_name"] == "friends"
    with open(wallet, "rb") as file:
        assert file.read() == before
    code, out, err = found("--output", "n.json", "--password-file", "pw")
    assert code == 1 and "not overwritten" in err, err
    # The very words that were printed start the sealer.
    command = made["next"]["founder"].replace("0.0.0.0:7660", f"0.0.0.0:{dora.port}")
    dora.start_daemon(command)
    assert dora.ask("wallet", "show")["balance"]["tokens"] == "12.5"
    assert dora.ask("node", "status")["chain_id"] == made["chain_id"]
    code, out, err = found("--output", "other.json", "--password-file", "pw")
    assert code == 1 and "belongs to a network" in err and "--data" in err, err


if __name__ == "__main__":
    sys.exit(run_tests(
        [("readme_as_it_stands", test_readme_as_it_stands),
         ("refusals", test_nothing_is_overwritten_and_every_refusal_says_what_to_do)],
        Friends))
