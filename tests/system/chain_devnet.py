# SPDX-License-Identifier: BSD-3-Clause
"""A devnet for system tests: real daemons, real mpirun, real sandboxes, in a folder of its own.

    with Devnet(providers=2) as net:
        run = net.mpirun("--chain-lease", "4", "-np", "4", net.busy, "3", timeout_s=60)
        assert run.rc == 0, run.text()

Whatever happens inside the `with`, every process is ended and the folder removed afterwards. When
it is left by an exception, the ends of the daemons' logs are printed first.

Environment: TEST_BUILD_DIR (as `make check` sets it); CHAIN_TEST_KEEP=1 leaves the folder.
"""

import collections
import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BUILD_FOLDER = os.environ["TEST_BUILD_DIR"]
BUSY = os.path.join(BUILD_FOLDER, "tests/system/busy")
LOG_LINES_SHOWN = 40
CALL_TIMEOUT_S = 60
PASSED_BY_ENV_SH = ("PATH", "OMPI_MCA_mca_base_component_path", "OMPI_CHAIN_COMPONENTS")


class Failure(AssertionError):
    """What was expected of the network and did not happen."""


def say(text):
    print(text, flush=True)


def wait_until(condition, timeout_s, what, poll_s=0.05):
    """The first true value of condition(); Failure naming `what` after timeout_s."""
    until = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= until:
            text = what() if callable(what) else what
            raise Failure(f"not within {timeout_s} s: {text}")
        time.sleep(poll_s)


# ---- processes


Process = collections.namedtuple("Process", "pid parent start_ticks name state")


def read_process(pid):
    """None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return Process(int(pid), int(fields[1]), int(fields[19]), name, fields[0])


def is_alive(process):
    """Still the same process, and no zombie."""
    now = read_process(process.pid)
    return now is not None and now.start_ticks == process.start_ticks and now.state not in "ZX"


def all_processes():
    found = (read_process(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process is not None]


def descendants(pid):
    """Children, their children, and so on; parents before children."""
    children = collections.defaultdict(list)
    for process in all_processes():
        children[process.parent].append(process)
    found, left = [], [pid]
    while left:
        mine = children[left.pop(0)]
        found += mine
        left += [process.pid for process in mine]
    return found


def mentions(pid, needle):
    """In what only a lease's own processes have: its id in environment, mounts or arguments."""
    for name in ("environ", "mountinfo", "cmdline"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                if needle in file.read():
                    return True
        except OSError:
            continue
    return False


# ---- what mpirun left


def remove_scratch(folder):
    """With volumes of daemons that were killed, which nobody else would unmount."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            place = line.split()[1]
            if place.startswith(f"{folder}/"):
                subprocess.run(["umount", "-l", place], check=False)
    shutil.rmtree(folder, ignore_errors=True)


class Run:
    """An mpirun that has ended."""

    def __init__(self, rc, out, err, wall_s):
        self.rc, self.out, self.err, self.wall_s = rc, out, err, wall_s

    def text(self):
        return (
            f"mpirun ended with {self.rc} after {self.wall_s:.1f} s\n"
            f"---- stdout\n{self.out}\n---- stderr\n{self.err}"
        )


def hosts_of_ranks(run):
    """Of `--tag-output hostname`, whose lines are [1,RANK]<stdout>:HOST, in the order of the ranks."""
    lines = [line.split("<stdout>:") for line in run.out.splitlines() if "<stdout>:" in line]
    ranks = {int(tag.strip("[]").split(",")[1]): host for tag, host in lines}
    assert sorted(ranks) == list(range(len(lines))), run.text()
    return [ranks[rank] for rank in sorted(ranks)]


class Job:
    """An mpirun that may still run."""

    def __init__(self, command, environment, folder):
        self.command, self.folder = command, folder
        self.out_path, self.err_path = f"{folder}/out", f"{folder}/err"
        self.report_path = f"{folder}/report.json"
        self.started = time.monotonic()
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True,
            )

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def output(self):
        texts = []
        for path in (self.out_path, self.err_path):
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        return texts

    def wait(self, timeout_s):
        """The Run; Failure (and the end of mpirun) after timeout_s from now."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = self.output()
            raise Failure(
                f"mpirun did not end within {timeout_s} s\n"
                + Run(None, out, err, time.monotonic() - self.started).text()
            ) from None
        wall_s = time.monotonic() - self.started
        out, err = self.output()
        return Run(self.process.returncode, out, err, wall_s)

    def kill(self):
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def report(self):
        """The bill that --chain-report wrote."""
        with open(self.report_path, encoding="utf-8") as file:
            return json.load(file)


# ---- the network


class Node:
    """One daemon of the devnet."""

    def __init__(self, net, entry):
        self.net = net
        self.name, self.pid = entry["name"], entry["pid"]
        self.data_folder, self.socket = entry["data_folder"], entry["socket"]
        self.log, self.listen = entry["log"], entry["address"]
        self.address = self.scratch_folder = None  # of its account; of its job folders
        self.process = read_process(self.pid)
        # The very command line and environment that `devnet up` chose, on a port that stays.
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            self.command = [word.decode() for word in file.read().split(b"\0")[:-1]]
        self.command[self.command.index("--listen") + 1] = self.listen
        self.program = os.readlink(f"/proc/{self.pid}/exe")
        with open(f"/proc/{self.pid}/environ", "rb") as file:
            pairs = [word.split(b"=", 1) for word in file.read().split(b"\0") if b"=" in word]
        self.environment = {name.decode(): value.decode() for name, value in pairs}
        self.child = None  # once we have started it ourselves

    def ask(self, *words, timeout_s=CALL_TIMEOUT_S):
        """`ompi-chain WORDS…` asked of this node, as it ended."""
        environment = dict(self.net.environment)
        environment["OMPI_CHAIN_SOCKET"] = self.socket
        return subprocess.run(
            ["ompi-chain", *words], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )

    def call(self, *words, timeout_s=CALL_TIMEOUT_S, check=True):
        """`ompi-chain WORDS… --json` asked of this node; its answer, or None when it failed."""
        done = self.ask(*words, "--json", timeout_s=timeout_s)
        if done.returncode == 0:
            return json.loads(done.stdout)
        if not check:
            return None
        raise Failure(
            f"ompi-chain {' '.join(words)} at {self.name}: exit code {done.returncode}\n"
            + done.stdout + done.stderr
        )

    def status(self, check=True):
        return self.call("node", "status", check=check)

    def is_running(self):
        return is_alive(self.process)

    def connections(self):
        """Sockets, pipes and the like that the daemon has open; no files."""
        folder, names = f"/proc/{self.pid}/fd", []
        for number in os.listdir(folder):
            with contextlib.suppress(OSError):  # closed meanwhile
                names.append(os.readlink(f"{folder}/{number}"))
        return sorted(name for name in names if not name.startswith("/"))

    def lease_processes(self):
        """Sandboxes and what runs in them: everything below a provider's daemon."""
        return descendants(self.pid)

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if self.child is not None:
            self.child.wait()
        wait_until(lambda: not self.is_running(), 10, f"{self.name} dies of SIGKILL", 0.002)

    def start(self):
        """Starts the daemon again, as it was; does not wait for it."""
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command, executable=self.program, env=self.environment, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        self.pid = self.child.pid
        self.process = read_process(self.pid)
        # As `devnet up` writes it, so that `devnet status`, `env` and `down` know this one.
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        with open(f"{self.data_folder}/ompi-chaind.pid", "w", encoding="ascii") as file:
            file.write(f"{self.pid} {self.process.start_ticks} {boot_id}\n")

    def wait_ready(self, timeout_s=20):
        def answers():
            if self.child is not None and self.child.poll() is not None:
                raise Failure(f"{self.name} ended with {self.child.returncode} as it started")
            return self.status(check=False)

        return wait_until(answers, timeout_s, f"{self.name} answers")

    def restart(self):
        self.start()
        return self.wait_ready()

    def log_tail(self, lines=LOG_LINES_SHOWN):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except OSError as error:
            return f"{error}\n"


class Devnet:
    """Context manager. `nodes` by name; `sealer`, `renter`, `providers` are shortcuts."""

    def __init__(self, providers=2, slots=2, tokens="1000", log_level="note", rules=None):
        self.folder = tempfile.mkdtemp(prefix="cd-", dir="/tmp")
        self.chain_folder = f"{self.folder}/net"
        self.arguments = [
            "--folder", self.chain_folder, "--providers", str(providers), "--slots", str(slots),
            "--tokens", tokens, "--log-level", log_level,
        ]
        for name, value in (rules or {}).items():
            self.arguments += ["--rule", f"{name}={value}"]
        self.environment = self.clean_environment(self.folder)
        self.nodes, self.jobs, self.seen = {}, [], []
        self.busy = BUSY

    @staticmethod
    def clean_environment(temporary_folder):
        """build/env.sh's, and nothing that a developer's shell has of another network."""
        clean = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("OMPI_CHAIN_", "OMPI_MCA_", "MAKE", "MFLAGS"))
        }
        script = f". {BUILD_FOLDER}/env.sh && env -0"
        out = subprocess.run(
            ["sh", "-c", script], env=clean, capture_output=True, check=True
        ).stdout
        for word in out.split(b"\0"):
            name, _, value = word.decode().partition("=")
            if name in PASSED_BY_ENV_SH:
                clean[name] = value
        clean["OMPI_ALLOW_RUN_AS_ROOT"] = clean["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
        clean["TMPDIR"] = temporary_folder  # a killed mpirun leaves its session folder
        return clean

    def chain(self, *words, timeout_s=120):
        """`ompi-chain WORDS…`: its standard output."""
        done = subprocess.run(
            ["ompi-chain", *words], env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )
        if done.returncode != 0:
            raise Failure(f"ompi-chain {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def __enter__(self):
        try:
            up = json.loads(self.chain("devnet", "up", *self.arguments, "--json", timeout_s=330))
            self.environment.update(up["environment"])
            listed = self.chain("devnet", "status", "--folder", self.chain_folder, "--json")
            for entry in json.loads(listed)["nodes"]:
                node = Node(self, entry)
                self.nodes[node.name] = node
                node.address = node.call("wallet", "show")["address"]
                node.scratch_folder = (
                    f"/var/tmp/ompi-chain-{os.geteuid()}/{node.status()['node_key'][:8]}"
                )
            self.genesis_units = sum(self.balances().values())
        except BaseException:
            self.show_logs()
            self._remove()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.show_logs()
        self._remove()

    def _remove(self):
        for job in self.jobs:
            job.kill()
        for node in self.nodes.values():
            with contextlib.suppress(OSError):
                os.kill(node.pid, signal.SIGCONT)
        down = threading.Thread(target=self._down)
        down.start()
        while down.is_alive():  # those that we started ourselves are ours to reap
            for node in self.nodes.values():
                if node.child is not None:
                    node.child.poll()
            down.join(0.05)
        for process in self.seen:
            if is_alive(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        for node in self.nodes.values():
            remove_scratch(node.scratch_folder)
        if os.environ.get("CHAIN_TEST_KEEP"):
            say(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _down(self):
        try:
            self.chain("devnet", "down", "--folder", self.chain_folder)
        except (Failure, subprocess.SubprocessError) as problem:
            say(f"devnet down: {problem}")

    @property
    def sealer(self):
        return self.nodes["sealer"]

    @property
    def renter(self):
        return self.nodes["renter"]

    @property
    def providers(self):
        return [node for name, node in self.nodes.items() if name.startswith("provider-")]

    def show_logs(self):
        for node in self.nodes.values():
            state = "running" if node.is_running() else "dead"
            say(f"==== {node.name} ({state}, pid {node.pid}): {node.log}\n{node.log_tail()}")
        for job in self.jobs:
            if job.is_running():
                out, err = job.output()
                say(f"==== mpirun {job.pid} still runs\n{out}\n{err}")

    # ---- jobs

    def start_mpirun(self, *words, report=True):
        """mpirun in the background, in a working folder of its own. Returns the Job."""
        folder = tempfile.mkdtemp(prefix="job-", dir=self.folder)
        command = ["mpirun"]
        if report:
            command += ["--chain-report", f"{folder}/report.json"]
        job = Job(command + [str(word) for word in words], self.environment, folder)
        self.jobs.append(job)
        return job

    def mpirun(self, *words, timeout_s=60, report=True):
        """Runs it to its end; the Run, with the bill as `report` when there is one."""
        job = self.start_mpirun(*words, report=report)
        run = job.wait(timeout_s)
        run.report = job.report() if report and os.path.exists(job.report_path) else None
        return run

    def billed_and_counted(self, *words, ranks=1):
        """Of a job of which each rank prints "RANK NANOSECONDS", the processor time that it counted:
        (seconds that were billed, those that the job counted, its leg on the report)"""
        run = self.mpirun("--chain-lease", ranks, "-np", ranks, *words, timeout_s=120)
        assert run.rc == 0, run.text()
        counted = [line.split() for line in run.out.splitlines() if line]
        assert len(counted) == ranks, run.out
        leg = run.report["legs"][0]
        hz = self.providers[0].status()["hz"]
        return leg["cycles"] / hz, sum(int(ns) for _, ns in counted) / 1e9, leg

    # ---- leases

    def leases(self, node=None, every=False):
        words = ["lease", "list"] + (["--all"] if every else [])
        return (node or self.renter).call(*words)["leases"]

    def lease(self, lease_id, node=None):
        return (node or self.renter).call("lease", "show", lease_id)

    def wait_lease(self, accept, what, timeout_s=30, job=None):
        """The bill of the renter's first lease that accept(bill) likes."""
        def found():
            if job is not None and not job.is_running():
                raise Failure(f"mpirun ended before {what}\n" + job.wait(1).text())
            return next((bill for bill in self.leases() if accept(bill)), None)

        return wait_until(found, timeout_s, what)

    def wait_running(self, timeout_s=30, job=None):
        return self.wait_lease(lambda bill: bill["state"] == "running", "a lease runs",
                               timeout_s, job)

    def wait_voucher(self, timeout_s=40, job=None):
        """Until the renter has signed a voucher of every leg. Notes the lease's processes."""
        bill = self.wait_lease(
            lambda bill: bill["state"] == "running"
            and all(leg["paid"]["units"] > 0 for leg in bill["legs"]),
            "every leg has a voucher", timeout_s, job,
        )
        self.note_processes()
        return bill

    def note_processes(self):
        """Remembers what runs now below the providers, to look for it later."""
        for provider in self.providers:
            self.seen += provider.lease_processes()

    def leftovers(self, lease_id):
        """Processes and folders of a lease that are on this machine, in words."""
        needle = lease_id.encode()
        found = [f"process {p.pid} ({p.name})" for p in self.seen if is_alive(p)]
        own = {os.getpid()}
        for process in all_processes():
            if process.pid in own or process.state in "ZX":
                continue
            if mentions(process.pid, needle):
                found.append(f"process {process.pid} ({process.name})")
        for node in self.nodes.values():
            found += glob.glob(f"{node.scratch_folder}/{lease_id}-*")
            found += glob.glob(f"{node.data_folder}/results/{lease_id}-*")
        return sorted(set(found))

    def wait_no_leftovers(self, lease_id, timeout_s=10):
        wait_until(lambda: not self.leftovers(lease_id), timeout_s,
                   lambda: "nothing is left of the lease: " + ", ".join(self.leftovers(lease_id)))

    # ---- money, in base units

    def wallets(self, node=None):
        """What `node` (the sealer) says of every account, by the name of its node."""
        node = node or self.sealer
        return {name: node.call("wallet", "show", each.address)
                for name, each in self.nodes.items()}

    def balances(self, node=None):
        """Balance and what is locked, by node."""
        return {
            name: sum(wallet[kind]["units"]
                      for kind in ("balance", "locked_escrow", "locked_collateral"))
            for name, wallet in self.wallets(node).items()
        }

    def locked_units(self, node=None):
        return sum(wallet[kind]["units"] for wallet in self.wallets(node).values()
                   for kind in ("locked_escrow", "locked_collateral"))

    def burned_units(self, node=None):
        """All that was ever burned: what of the genesis nobody has any more."""
        return self.genesis_units - sum(self.balances(node).values())

    def wait_nothing_locked(self, timeout_s=30):
        wait_until(lambda: self.locked_units() == 0, timeout_s,
                   lambda: f"nothing is locked: {json.dumps(self.leases(every=True)[:3])}", 0.2)

    def wait_settled(self, lease_id, timeout_s=40):
        """The bill of the lease once every leg is settled on the renter's ledger."""
        def settled():
            bill = self.lease(lease_id)
            return bill if all(leg["state"] == "settled" for leg in bill["legs"]) else None

        return wait_until(settled, timeout_s,
                          lambda: f"settled: {json.dumps(self.lease(lease_id))}", 0.1)

    # ---- agreement

    def wait_agreement(self, timeout_s=20):
        """Until every node is at one height with one tip and one state digest; that status."""
        def agreed():
            statuses = [node.status(check=False) for node in self.nodes.values()]
            if None in statuses:
                return None
            same = {(s["height"], s["tip"], s["state_digest"]) for s in statuses}
            return statuses[0] if len(same) == 1 else None

        def differences():
            return "every node has the same tip and digest: " + "; ".join(
                f"{name} {status['height']} {status['state_digest'][:12]}" if status
                else f"{name} is silent"
                for name, node in self.nodes.items()
                for status in [node.status(check=False)]
            )

        return wait_until(agreed, timeout_s, differences, 0.1)

    def wait_offers(self, timeout_s=20):
        """Until the renter sees every provider's present offer, all slots free."""
        def lacking():
            offers = {offer["provider"]: offer
                      for offer in self.renter.call("offer", "list", "--all")["offers"]}
            for provider in self.providers:
                offer, status = offers.get(provider.address), provider.status()
                if offer is None or status["hz"] == 0 or offer["hz"] != status["hz"]:
                    return f"{provider.name}'s offer: {offer}"
                if offer["slots"] != status["slots_offered"]:
                    return f"free slots of {provider.name}: {offer}"
            return None

        wait_until(lambda: lacking() is None, timeout_s,
                   lambda: f"the renter sees every offer; lacking is {lacking()}", 0.1)


def run_tests(tests, make_devnet):
    """Runs (name, function of a Devnet) in turn on one devnet, which is made anew after a failure.
    Arguments of the program choose some by name. The exit code."""
    left = [(name, test) for name, test in tests if not sys.argv[1:] or name in sys.argv[1:]]
    failed = []
    while left:
        name = None
        try:
            with make_devnet() as net:
                while left:
                    name, test = left.pop(0)
                    say(f"== {name}")
                    started = time.monotonic()
                    test(net)
                    say(f"ok {name}: {time.monotonic() - started:.1f} s")
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            say(f"FAILED {name or 'to start'}: {type(problem).__name__}: {problem}")
            traceback.print_exc(file=sys.stdout)
            if name is None:  # nor will it start the next time
                failed += [name for name, _ in left]
                break
            failed.append(name)
    say(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0
