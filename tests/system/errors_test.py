# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong says what and what to do, ends with the right exit code, and locks no token."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from chain_devnet import BUILD_FOLDER, Devnet, Job, Run, run_tests, say, wait_until

JOB_TIMEOUT_S = 60
TINY_BYTES = 128 << 10


def run(net, *words, cwd=None, environment=None, stdin=b""):
    """A command in the renter's shell."""
    started = time.monotonic()
    done = subprocess.run([str(word) for word in words], cwd=cwd or net.folder,
                          env=dict(net.environment, **(environment or {})), input=stdin,
                          capture_output=True, timeout=JOB_TIMEOUT_S, check=False)
    return Run(done.returncode, done.stdout.decode(errors="replace"),
               done.stderr.decode(errors="replace"), time.monotonic() - started)


def refuses(net, words, rc, *said, **options):
    """Ends with rc, says each of `said`, and is neither a crash nor a defect of ours."""
    result = run(net, *words, **options)
    text = " ".join((result.err + result.out).split())
    facts = f"{words}\n{result.text()}"
    assert result.rc == rc, f"exit code {rc} is expected of {facts}"
    for part in said:
        assert part in text, f"\"{part}\" is expected of {facts}"
    for part in ("defect of ours", "internal error", "Traceback", "core dumped", "check failed"):
        assert part not in text, facts
    return result


class Unchanged:
    """Every account has as much before as after, and nothing is locked. A provider that agreed and
    then could not start may have lost what its leg's bill says of its collateral."""

    def __init__(self, net, fails_to_start=None):
        self.net = net
        self.fails_to_start = fails_to_start

    def __enter__(self):
        self.net.wait_nothing_locked()
        self.before = self.net.wallets()
        self.known = {bill["lease"] for bill in self.net.leases(every=True)}
        return self

    def forfeit_units(self, name):
        if self.fails_to_start is None or name != self.fails_to_start.name:
            return 0
        legs = [leg for bill in self.net.leases(every=True) if bill["lease"] not in self.known
                for leg in bill["legs"]]
        assert [leg["end"] for leg in legs] == ["not-started"], legs
        assert legs[0]["forfeit"]["units"] > 0, legs
        return legs[0]["forfeit"]["units"]

    def __exit__(self, kind, error, trace):
        if kind is not None:
            return
        self.net.wait_nothing_locked()
        after = self.net.wallets()
        for name, wallet in self.before.items():
            due = wallet["balance"]["units"] - self.forfeit_units(name)
            assert after[name]["balance"]["units"] == due, (name, wallet, after[name])


class TinyDisk:
    """A folder on a file system of its own, nearly full."""

    def __init__(self, folder, size_bytes):
        self.folder, self.size_bytes = folder, size_bytes

    def __enter__(self):
        os.makedirs(self.folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size_bytes},mode=755", "tmpfs",
                        self.folder], check=True)
        return self

    def fill(self):
        with open(f"{self.folder}/filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def free(self):
        os.unlink(f"{self.folder}/filler")

    def __exit__(self, kind, error, trace):
        subprocess.run(["umount", "-l", self.folder], check=True)


# ---- flags


def test_flags_that_say_nothing_sensible(net):
    lease = ["mpirun", "--chain-lease"]
    form = "The form is SLOTS"
    with Unchanged(net):
        for spec, *said in (
            ("two", "two", form), ("0", "number of slots", form), ("-2", "-2", form),
            ("", "--chain-lease"), (",", form), ("2,", "nothing between two commas", form),
            ("1" + "0" * 30, "number of slots", form), ("2.5", "2.5", form),
            ("2,mem", "NAME=VALUE", form), ("2,mem=", "value is missing"),
            ("2,mem=-1G", "mem=-1G"), ("2,mem=1X", "mem=1X"), ("2,mem=0", "needs some memory"),
            ("2,mem=1" + "0" * 40, "mem="), ("2,ghz=0", "ghz=0"), ("2,ghz=nan", "ghz=nan"),
            ("2,mem=1G,mem=2G", "twice"), ("2,colour=red", "no such condition"),
            ("2,provider=a b", "provider"), ("2,region=", "value is missing"),
            ("2 2", form), ("2;rm", form), ("9" * 5000, "too long"),
        ):
            refuses(net, [*lease, spec, "hostname"], 1, *said)
        for flag, value, *said in (
            ("--chain-max-price", "-0.01", "--chain-max-price", "negative", "0.03"),
            ("--chain-max-price", "cheap", "tokens per GHz"),
            ("--chain-max-price", "0", "nobody lends for nothing"),
            ("--chain-budget", "-5", "negative", "--chain-budget 5"),
            ("--chain-budget", "0", "nothing can run"),
            ("--chain-budget", "1" + "0" * 30, "--chain-budget"),
            ("--chain-time", "soon", "1h30m"), ("--chain-time", "0", "1h30m"),
            ("--chain-wait", "-1", "10m"), ("--chain-stage-max", "much", "512M"),
            ("--chain-stage-in", "a,,b", "nothing between two commas"),
            ("--chain-net", "pigeon", "no such network", "plain"), ("--chain-net", "wireguard", "no such network"),
            ("--chain-relaunch", "often", "--chain-relaunch 3"),
            ("--chain-start", "25:00", "--chain-start", "18:30"),
            ("--chain-start", "2020-01-01T08:00", "has passed"),
        ):
            refuses(net, [*lease, "2", flag, value, "hostname"], 1, *said)
        for word in ("--chain-explain", "--chain-budget"):
            value = [] if word == "--chain-explain" else ["5"]
            refuses(net, ["mpirun", word, *value, "hostname"], 1, "--chain-lease", word[2:])


def test_flags_of_later_versions(net):
    with Unchanged(net):
        for condition in ("reputation=0.6",):
            refuses(net, ["mpirun", "--chain-lease", f"2,{condition}", "hostname"], 1,
                    "yet in this version")


# ---- market and money


def test_nobody_matches(net):
    explain = "--chain-explain"
    with Unchanged(net):
        for spec, flags, *said in (
            ("5", [], "4", explain), ("2,mem=1T", [], "conditions", explain),
            ("2,ghz=900", [], "conditions", explain),
            ("2,region=moon", [], "conditions", explain),
            ("2,provider=nobody", [], "conditions", explain),
            ("2", ["--chain-max-price", "0.000000001"], "conditions", explain),
            ("60000", [], "60000"),
        ):
            refuses(net, ["mpirun", "--chain-lease", spec, *flags, "hostname"], 3, *said)
        refuses(net, ["mpirun", "--chain-lease", "2", "--chain-budget", "0.000001", "hostname"], 1,
                "--chain-budget", "0.000001")
        waited = refuses(net, ["mpirun", "--chain-lease", "5", "--chain-wait", "2", "hostname"], 3,
                         explain)
        assert 2 <= waited.wall_s < 10, waited.text()


def test_nobody_offers(net):
    with Unchanged(net):
        for provider in net.providers:
            provider.call("offer", "withdraw")
        wait_until(lambda: not [offer for offer in net.renter.call("offer", "list", "--all")[
            "offers"] if offer["slots"] > 0], 20, "no offers are left")
        refuses(net, ["mpirun", "--chain-lease", "2", "hostname"], 3, "ompi-chain offer list --all")
        for provider in net.providers:
            provider.call("offer", "set", "--slots", "2", "--ask", "0.01")
        net.wait_offers()


def test_not_enough_tokens(net):
    balance = net.wallets()["renter"]["balance"]["tokens"]
    left = "0.01"
    net.chain("wallet", "send", net.sealer.address, str(float(balance) - 1)[:6], "--yes")
    rest = net.wallets()["renter"]["balance"]["units"]
    say(f"the renter has {rest} units, to be left with {left}")
    amount = rest - 10**7
    net.chain("wallet", "send", net.sealer.address, f"{amount // 10**9}.{amount % 10**9:09d}",
              "--yes")
    with Unchanged(net):
        refuses(net, ["mpirun", "--chain-lease", "2", "hostname"], 1, "0.01", "tokens",
                "ompi-chain wallet show")
        refuses(net, ["ompi-chain", "wallet", "send", net.sealer.address, "5", "--yes"], 1,
                "tokens")
    net.sealer.call("wallet", "send", net.renter.address, "500")
    wait_until(lambda: net.renter.call("wallet", "show")["balance"]["units"] > 400 * 10**9, 20,
               "the renter has tokens again")


def test_addresses_and_amounts(net):
    address = net.sealer.address
    other = address[:-1] + ("q" if address[-1] != "q" else "p")
    with Unchanged(net):
        for to, amount, *said in (
            ("nobody", "1", "nobody"), ("", "1", "address"), (other, "1", "address"),
            (address.upper().lower()[:-3], "1", "address"), (address, "0", "nothing to send"),
            (address, "1e3", "1e3"), (address, "0.0000000001", "0.0000000001"),
            (address, "1" + "0" * 30, "0000"), (address, "ten", "ten"),
        ):
            refuses(net, ["ompi-chain", "wallet", "send", "--yes", "--", to, amount], 1, *said)
        refuses(net, ["ompi-chain", "wallet", "send", "--yes", "--", address, "-1"], 1, "negative")
        refuses(net, ["ompi-chain", "wallet", "new", "--password-file", "-"], 1, "wallet",
                stdin=b"x\n")
        refuses(net, ["ompi-chain", "wallet", "unlock", "--password-file", "-"], 4, "password",
                stdin=b"wrong\n")
        refuses(net, ["ompi-chain", "wallet", "unlock", "--password-file", "/absent"], 1,
                "/absent")


# ---- daemon, socket, keys


def test_the_daemon_cannot_be_asked(net):
    gone = {"OMPI_CHAIN_SOCKET": f"{net.folder}/absent.sock"}
    for words in (["mpirun", "--chain-lease", "2", "hostname"], ["ompi-chain", "wallet", "show"]):
        refuses(net, words, 1, "absent.sock", "ompi-chaind", "ompi-chain devnet up",
                environment=gone)
    if os.geteuid() == 0:
        plain = shutil.which("setpriv")
        others = [plain, "--reuid=65534", "--regid=65534", "--clear-groups"]
        socket = {"OMPI_CHAIN_SOCKET": net.renter.socket}
        for folder in (net.folder, net.chain_folder, net.renter.data_folder):
            os.chmod(folder, 0o755)
        os.chmod(net.renter.socket, 0o666)  # the mode alone would keep strangers out
        try:
            refuses(net, [*others, "ompi-chain", "wallet", "show"], 1, "user", environment=socket)
            os.chmod(net.renter.socket, 0o600)
            refuses(net, [*others, "ompi-chain", "wallet", "show"], 1, net.renter.socket,
                    environment=socket)
            refuses(net, [*others, "mpirun", "--chain-lease", "2", "hostname"], 1,
                    net.renter.socket, environment={**socket, "TMPDIR": "/tmp", "HOME": "/tmp"},
                    cwd="/tmp")
        finally:
            os.chmod(net.renter.socket, 0o600)


def daemon_words(net, folder, *more):
    return [f"{BUILD_FOLDER}/bin/ompi-chaind", "--data", folder, "--genesis",
            f"{net.chain_folder}/genesis.json", *more]


def test_a_daemon_that_cannot_start_says_why(net):
    folder = tempfile.mkdtemp(prefix="data-", dir=net.folder)
    password = f"{net.renter.data_folder}/wallet.password"
    wrong = f"{net.folder}/wrong.password"
    with open(wrong, "w", encoding="ascii") as file:
        file.write("wrong\n")
    other_genesis = f"{net.folder}/other.json"
    net.chain("--data", f"{net.folder}/other", "network", "new", "--output", other_genesis,
              "--password-file", wrong)
    shutil.copy(f"{net.renter.data_folder}/wallet.json", folder)
    start = daemon_words(net, folder)

    refuses(net, daemon_words(net, net.renter.data_folder), 1, "another", net.renter.data_folder)
    assert net.renter.status()["pid"] == net.renter.pid, "the first one goes on"
    refuses(net, [*start, "--password-file", wrong], 4, "password")
    refuses(net, [*start, "--password-file", "/absent"], 1, "/absent")
    refuses(net, [*start, "--listen", net.sealer.listen], 1, "another program", net.sealer.listen)
    refuses(net, [*start, "--listen", "203.0.113.9:7660"], 1, "no such address")
    refuses(net, [*start, "--listen", "7660"], 1, "HOST:PORT")
    refuses(net, [*start, "--connect", "somewhere"], 1, "HOST:PORT")
    refuses(net, [*start, "--announce", "here", "--listen", "127.0.0.1:0"], 1, "HOST:PORT")
    refuses(net, [*start, "--seed", "here"], 1, "HOST:PORT")
    refuses(net, [*start, "--map-port"], 1, "--listen HOST:PORT")
    refuses(net, [*start, "--lend", "2"], 1, "--listen")
    refuses(net, [*start, "--seal"], 1, "--password-file")
    refuses(net, [*start, "--seal", "--password-file", password], 1, "sealer")
    refuses(net, [*start, "--ask", "-1"], 1, "negative")
    refuses(net, [*start, "--lend", "1" + "0" * 30], 1, "--lend")
    refuses(net, [*start, "--frobnicate"], 1, "--help")
    refuses(net, daemon_words(net, net.renter.data_folder, "--genesis", other_genesis), 1,
            "is not the genesis", "--data")
    empty = tempfile.mkdtemp(prefix="empty-", dir=net.folder)
    refuses(net, [f"{BUILD_FOLDER}/bin/ompi-chaind", "--data", empty], 1, "--genesis FILE")
    refuses(net, [f"{BUILD_FOLDER}/bin/ompi-chaind", "--data", empty, "--genesis", "/absent"], 1, "/absent")
    with open(f"{net.folder}/broken.json", "w", encoding="ascii") as file:
        file.write("{}")
    refuses(net, [f"{BUILD_FOLDER}/bin/ompi-chaind", "--data", empty, "--genesis", f"{net.folder}/broken.json"],
            1, "genesis file")
    refuses(net, daemon_words(net, "/proc/nowhere"), 1, "/proc/nowhere")

    os.chmod(f"{folder}/wallet.json", 0o644)
    refuses(net, [*start, "--password-file", password], 1, "wallet.json", "chmod")
    os.chmod(f"{folder}/wallet.json", 0o600)
    with open(f"{folder}/wallet.json", "r+", encoding="ascii") as file:
        text = file.read()
        file.seek(text.index('"salt"') + 12)
        file.write("0" if file.read(1) != "0" else "1")
    refuses(net, [*start, "--password-file", password], 1, "wallet.json", "damaged", "backup")
    with open(f"{folder}/wallet.json", "w", encoding="ascii"):
        pass
    refuses(net, [*start, "--password-file", password], 1, "wallet.json", "damaged", "backup")
    with open(f"{folder}/node.key", "w", encoding="ascii") as file:
        file.write("zz\n")
    refuses(net, start, 1, "node.key")


def test_no_wallet(net):
    folder = tempfile.mkdtemp(prefix="none-", dir=net.folder)
    with open(f"{net.folder}/none.log", "wb") as log:
        daemon = subprocess.Popen(daemon_words(net, folder, "--connect", net.sealer.listen),
                                  env=net.environment,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    here = {"OMPI_CHAIN_SOCKET": f"{folder}/control.sock"}
    try:
        wait_until(lambda: run(net, "ompi-chain", "node", "status", environment=here).rc == 0, 20,
                   "the daemon answers")
        for words in (["mpirun", "--chain-lease", "2", "hostname"], ["ompi-chain", "wallet", "show"],
                      ["ompi-chain", "wallet", "send", net.sealer.address, "1", "--yes"],
                      ["ompi-chain", "wallet", "unlock", "--password-file", "-"],
                      ["ompi-chain", "offer", "set", "--slots", "2", "--ask", "0.01"]):
            refuses(net, words, 4, "wallet", "ompi-chain wallet new", environment=here,
                    stdin=b"any\n")
    finally:
        daemon.terminate()
        daemon.wait(20)


# ---- files and disks


def test_files_that_cannot_be_sent(net):
    folder = tempfile.mkdtemp(prefix="files-", dir=net.folder)
    with Unchanged(net):
        refuses(net, ["mpirun", "--chain-lease", "2", "./absent"], 1, "absent", cwd=folder)
        with open(f"{folder}/plain", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        refuses(net, ["mpirun", "--chain-lease", "2", "./plain"], 1, "plain", cwd=folder)
        refuses(net, ["mpirun", "--chain-lease", "2", "--chain-stage-in", "absent", "true"], 1,
                "--chain-stage-in absent", cwd=folder)
        refuses(net, ["mpirun", "--chain-lease", "2", "--chain-stage-max", "1K", "cat",
                      "/usr/share/common-licenses/GPL-3"], 1, "--chain-stage-max", cwd=folder)


def test_the_renters_folder_is_full_when_results_come_back(net):
    if os.geteuid() != 0:
        say("a full folder ... skipped (needs root to mount)")
        return
    with TinyDisk(f"{net.folder}/small", TINY_BYTES) as disk:
        job = Job(["mpirun", "--chain-lease", "1", "sh", "-c",
                   "sleep 1; head -c 500000 /dev/zero > result; echo done > small"],
                  net.environment, disk.folder)
        net.jobs.append(job)
        result = job.wait(JOB_TIMEOUT_S)
        assert result.rc == 1, result.text()
        assert "No space left" in result.err and "result" in result.err, result.text()
        # It has come, and the peer keeps it, too: it goes where there is room.
        lease = re.search(r"ompi-chain lease fetch (\w+)", result.err)
        assert lease, result.text()
        os.mkdir(f"{net.folder}/room")
        net.renter.call("lease", "fetch", lease.group(1), "--into", f"{net.folder}/room")
        assert os.path.getsize(f"{net.folder}/room/result") == 500000
    net.wait_nothing_locked()


def test_a_providers_scratch_disk_is_full(net):
    if os.geteuid() != 0:
        say("a full scratch disk ... skipped (needs root to mount)")
        return
    provider = net.providers[0]
    original = list(provider.command)
    # Half of what is free is a lease's: more than it needs to begin, less than is sent.
    with TinyDisk(f"{net.folder}/scratch", 160 << 20) as disk:
        provider.kill()
        provider.command = [*original, "--scratch", disk.folder]
        provider.restart()
        net.wait_offers()
        with open(f"{net.folder}/large.bin", "wb") as file:
            file.write(os.urandom(1 << 20) * 100)
        with Unchanged(net):
            refuses(net, ["mpirun", "--chain-lease", f"2,provider={provider.name}", "cat",
                          "large.bin"], 1, "the staged files are more than", provider.name)
        disk.fill()
        with Unchanged(net):
            refuses(net, ["mpirun", "--chain-lease", f"2,provider={provider.name}", "hostname"], 3,
                    "no disk left", provider.name)
        provider.kill()
    provider.command = original
    provider.restart()
    net.wait_offers()


def test_the_renters_data_disk_is_full(net):
    if os.geteuid() != 0:
        say("a full data disk ... skipped (needs root to mount)")
        return
    renter = net.renter
    folder = renter.data_folder
    renter.kill()
    shutil.copytree(folder, f"{net.folder}/copy", ignore=shutil.ignore_patterns("*.sock"))
    with TinyDisk(folder, 16 << 20) as disk:
        try:
            shutil.copytree(f"{net.folder}/copy", folder, dirs_exist_ok=True)
            renter.restart()
            net.wait_offers()
            disk.fill()
            result = run(net, "mpirun", "--chain-lease", "2", "hostname")
            # What was written before may leave room for a whole lease; if not, it is said why.
            assert result.rc == 0 or "No space left" in result.err, result.text()
            disk.free()
            if not renter.is_running():
                say(renter.log_tail(5))
                renter.restart()
            net.wait_nothing_locked(60)
            net.wait_agreement()
            assert run(net, "mpirun", "--chain-lease", "2", "hostname").rc == 0
        finally:
            renter.kill()  # also when this fails: its pid file goes with the disk
        shutil.copytree(folder, f"{net.folder}/after", ignore=shutil.ignore_patterns("*.sock"))
    shutil.rmtree(folder)
    shutil.copytree(f"{net.folder}/after", folder)
    renter.restart()


TESTS = [
    test_flags_that_say_nothing_sensible,
    test_flags_of_later_versions,
    test_nobody_matches,
    test_nobody_offers,
    test_not_enough_tokens,
    test_addresses_and_amounts,
    test_the_daemon_cannot_be_asked,
    test_a_daemon_that_cannot_start_says_why,
    test_no_wallet,
    test_files_that_cannot_be_sent,
    test_the_renters_folder_is_full_when_results_come_back,
    test_a_providers_scratch_disk_is_full,
    test_the_renters_data_disk_is_full,
]

if __name__ == "__main__":
    sys.exit(run_tests([(test.__name__.removeprefix("test_"), test) for test in TESTS],
                       lambda: Devnet(providers=2, slots=2)))
