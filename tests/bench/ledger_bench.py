# SPDX-License-Identifier: BSD-3-Clause
"""What the embedded ledger costs: runs tests/bench/ledger_bench, then the same kind of transfers
through anvil, a development chain that keeps everything in memory, for comparison.

One line a figure. Falling short of a goal is printed, and is no failure.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS, how often each is measured; BENCH_ACCOUNTS, up to how many
accounts (from 10^4, in powers of ten).
"""

import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from figures import figure  # noqa: E402

BUILD_FOLDER = os.environ["TEST_BUILD_DIR"]
ROUNDS = int(os.environ["BENCH_ROUNDS"])
SHORT_ROUNDS = 3  # up to here, 10^6 accounts would take too long
ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "1000000" if ROUNDS > SHORT_ROUNDS else "100000"))
LEDGER_TIMEOUT_S = 900
# Not in the tree and not installed for anybody: what npm fetches stays in the build folder.
ANVIL = os.path.join(BUILD_FOLDER, "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
NPM_TIMEOUT_S = 60
ANVIL_TRANSFERS = 2000
ANVIL_CONNECTIONS = 4
CALLS_PER_REQUEST = 100
WAIT_S = 60
ANSWER_WAIT_S = 15
ANVILS_MAX = 5  # one that is stuck is started anew


def run_ledger_bench():
    """Prints its lines; the figures by name."""
    figures = {}
    folder = tempfile.mkdtemp(prefix="ledger_bench.", dir=BUILD_FOLDER)  # a disk, not a tmpfs
    try:
        with subprocess.Popen([os.path.join(BUILD_FOLDER, "tests/bench/ledger_bench"), folder,
                               str(ROUNDS), str(ACCOUNTS)],
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as bench:
            timer = threading.Timer(LEDGER_TIMEOUT_S, bench.kill)
            timer.start()
            for line in bench.stdout:
                print(line, end="", flush=True)
                found = re.match(r"(\w+) = ([\d.]+) ", line)
                if found:
                    figures[found[1]] = float(found[2])
            timer.cancel()
        if bench.returncode != 0:
            raise RuntimeError(f"ledger_bench ended with {bench.returncode}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


class AnvilStuck(Exception):
    """Under load it sometimes answers no more, or does not mine what it took."""


class Anvil:
    """A chain of its own on loopback, which mines each transaction as it comes."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [ANVIL, "--host", "127.0.0.1", "--port", str(self.port), "--silent"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        deadline = time.time() + WAIT_S
        while True:
            try:
                self.accounts = self.call([("eth_accounts", [])])[0]
                return self
            except OSError:
                if time.time() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def call(self, calls, connection=None):
        """The results of several calls, made in one request."""
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        body = json.dumps([{"jsonrpc": "2.0", "id": i, "method": method, "params": parameters}
                           for i, (method, parameters) in enumerate(calls)])
        own.request("POST", "/", body, {"Content-Type": "application/json"})
        answers = json.loads(own.getresponse().read())
        if connection is None:
            own.close()
        for answer in answers:
            if "error" in answer:
                raise RuntimeError(f"anvil: {answer['error']}")
        return [answer["result"] for answer in sorted(answers, key=lambda answer: answer["id"])]

    def signed_transfers(self, count):
        """By sender, in the order of their nonces: signed by anvil beforehand, as ours are."""
        by_sender = []
        for number, sender in enumerate(self.accounts):
            to = self.accounts[(number + 1) % len(self.accounts)]
            first = int(self.call([("eth_getTransactionCount", [sender, "latest"])])[0], 16)
            calls = [("eth_signTransaction", [{
                "from": sender, "to": to, "value": "0x1", "gas": "0x5208", "nonce": hex(nonce),
                "maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": "0x0", "chainId": "0x7a69"}])
                for nonce in range(first, first + count // len(self.accounts))]
            by_sender.append(sum((self.call(calls[at:at + CALLS_PER_REQUEST])
                                  for at in range(0, len(calls), CALLS_PER_REQUEST)), []))
        return by_sender

    def transfers_per_s(self, count):
        """From the first request until each transfer has a receipt."""
        by_sender = self.signed_transfers(count)
        failures = []

        def client(number):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                        timeout=ANSWER_WAIT_S)
                hashes = []
                for raw in by_sender[number::ANVIL_CONNECTIONS]:
                    for at in range(0, len(raw), CALLS_PER_REQUEST):
                        hashes += self.call([("eth_sendRawTransaction", [tx])
                                             for tx in raw[at:at + CALLS_PER_REQUEST]], connection)
                deadline = time.time() + ANSWER_WAIT_S
                while hashes:
                    part = hashes[-CALLS_PER_REQUEST:]
                    receipts = self.call([("eth_getTransactionReceipt", [h]) for h in part],
                                         connection)
                    if all(receipts):
                        del hashes[-len(part):]
                    elif time.time() > deadline:
                        raise AnvilStuck()
            except TimeoutError:
                failures.append(AnvilStuck())
            except (OSError, RuntimeError, ValueError, AnvilStuck) as error:
                failures.append(error)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(ANVIL_CONNECTIONS)]
        started = time.time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.time() - started
        if failures:
            raise failures[0]
        return sum(map(len, by_sender)) / took


def why_no_anvil():
    if os.path.exists(ANVIL):
        return None
    npm = shutil.which("npm")
    if npm is None:
        return "apt-get install npm"
    try:
        done = subprocess.run([npm, "install", "--prefix", BUILD_FOLDER, "--no-audit", "--no-fund",
                               "--no-save", "--ignore-scripts", "@foundry-rs/anvil"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=NPM_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"npm did not get @foundry-rs/anvil within {NPM_TIMEOUT_S} s"
    if done.returncode != 0:
        return f"npm cannot get @foundry-rs/anvil: {(done.stderr.splitlines() or ['?'])[0]}"
    return None if os.path.exists(ANVIL) else "@foundry-rs/anvil has no program for this machine"


def anvil_rounds():
    """Transfers per second, ROUNDS times."""
    rounds = []
    for left in reversed(range(ANVILS_MAX)):
        try:
            with Anvil() as anvil:
                anvil.transfers_per_s(ANVIL_TRANSFERS // 10)  # warms caches
                while len(rounds) < ROUNDS:
                    rounds.append(anvil.transfers_per_s(ANVIL_TRANSFERS))
                return rounds
        except AnvilStuck:
            if left == 0:
                raise RuntimeError("anvil gets stuck again and again") from None
    return rounds


def bench_anvil(figures):
    reason = why_no_anvil()
    if reason is not None:
        print(f"ledger_to_anvil: SKIPPED: {reason}")
        return
    try:
        rounds = anvil_rounds()
    except (OSError, RuntimeError, ValueError) as error:
        print(f"ledger_to_anvil: SKIPPED: {error}")
        return
    anvil_per_s = statistics.median(rounds)
    figure("anvil_transfers", anvil_per_s, "tx/s")
    figure("ledger_to_anvil", figures["ledger_durable_transfers"] / anvil_per_s, "times")


def main():
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()[0]
    print(f"ledger_bench: {os.cpu_count()} cores, load {load}, {ROUNDS} rounds", flush=True)
    bench_anvil(run_ledger_bench())


if __name__ == "__main__":
    sys.exit(main())
