# SPDX-License-Identifier: BSD-3-Clause
"""mpirun --chain-lease on real daemons and sandboxes: what a job is given, and what comes back."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from chain_devnet import BUILD_FOLDER, BUSY, Devnet, Job, Run, run_tests, say, wait_until

ERRAND = os.path.join(BUILD_FOLDER, "tests/system/errand")
SPAWNER = os.path.join(BUILD_FOLDER, "tests/system/spawner")
SHMEM = os.path.join(BUILD_FOLDER, "examples/hello_oshmem/hello_oshmem")
JOB_TIMEOUT_S = 60
SCENE = """\
BEGIN_SCENE
RESOLUTION 160 120
CAMERA
  ZOOM 1.0 ASPECTRATIO 1.0 ANTIALIASING 1 RAYDEPTH 6
  CENTER 0.0 0.0 -6.0 VIEWDIR 0.0 0.0 1.0 UPDIR 0.0 1.0 0.0
END_CAMERA
LIGHT CENTER 4.0 5.0 -6.0 RAD 0.2 COLOR 1.0 1.0 1.0
SPHERE CENTER 0.5 0.2 1.0 RAD 1.1
  TEXTURE AMBIENT 0.1 DIFFUSE 0.7 SPECULAR 0.5 OPACITY 1.0 COLOR 0.9 0.4 0.1 TEXFUNC 0
SPHERE CENTER -1.3 -0.4 0.0 RAD 0.6
  TEXTURE AMBIENT 0.1 DIFFUSE 0.6 SPECULAR 0.8 OPACITY 0.6 COLOR 0.2 0.5 0.9 TEXFUNC 0
PLANE CENTER 0.0 -1.6 0.0 NORMAL 0.0 1.0 0.0
  TEXTURE AMBIENT 0.2 DIFFUSE 0.8 SPECULAR 0.0 OPACITY 1.0 COLOR 0.7 0.8 0.7 TEXFUNC 0
END_SCENE
"""

net = None  # of the test that runs; one network for all, as its start takes longest


class Desk:
    """A working folder of the renter's."""

    def __init__(self, name="work"):
        self.parent = tempfile.mkdtemp(prefix="desk-", dir=net.folder)
        self.folder = f"{self.parent}/{name}"
        os.mkdir(self.folder)
        self.report = None

    def path(self, name):
        return f"{self.folder}/{name}"

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.folder)
                      for folder, _, names in os.walk(self.folder) for name in names)

    def run(self, *words, stdin=b"", launcher="mpirun", report=True):
        command = [launcher]
        if report:
            command += ["--chain-report", f"{self.parent}/bill.json"]
        done = subprocess.run(command + [str(word) for word in words], cwd=self.folder,
                              env=net.environment, input=stdin, capture_output=True,
                              timeout=JOB_TIMEOUT_S, check=False)
        self.report = None
        if os.path.exists(f"{self.parent}/bill.json"):
            with open(f"{self.parent}/bill.json", encoding="utf-8") as file:
                self.report = json.load(file)
            os.unlink(f"{self.parent}/bill.json")
        return Run(done.returncode, done.stdout.decode(errors="replace"),
                   done.stderr.decode(errors="replace"), 0)

    def lease(self, *words, rc=0, slots=2, **options):
        run = self.run("--chain-lease", slots, *words, **options)
        assert run.rc == rc, f"exit code {rc} is expected\n{run.text()}"
        return run


# ---- where ranks are, and how they end


def test_two_slots_are_two_machines():
    run = Desk().lease("-np", 2, "hostname")
    assert sorted(run.out.split()) == ["provider-1", "provider-2"], run.text()
    assert sorted(Desk().lease("hostname").out.split()) == sorted(run.out.split())


def test_exit_codes_come_back():
    for rank, code in ((0, 0), (0, 3), (1, 255)):
        Desk().lease(ERRAND, "exit", rank, code, rc=code)
    run = Desk().lease(ERRAND, "abort", 1, 7, rc=7)
    assert "MPI_ABORT" in run.err, run.text()
    run = Desk().lease("sh", "-c", "kill -9 $$", rc=137)
    assert "signal 9" in run.err, run.text()
    Desk().lease("./absent", rc=1)


def test_time_that_is_used_up_is_nobody_s_fault_but_the_renter_s():
    desk = Desk()
    run = desk.lease("--chain-time", "3s", "sleep", 60, rc=1)
    assert "the agreed time is used up" in run.err, run.text()
    assert desk.report["ended_by"] == "renter", desk.report
    assert desk.report["reason"] == "the agreed time is used up", desk.report


def test_fewer_and_more_ranks_than_slots():
    desk = Desk()
    assert len(desk.lease("-np", 1, "hostname").out.split()) == 1
    assert desk.report["paid"]["units"] >= 0
    assert len(desk.lease("-np", 3, "hostname", slots=4).out.split()) == 3
    run = desk.lease("-np", 3, "hostname", rc=1)
    assert "more ranks than leased slots" in run.err and "-np" in run.err, run.text()
    assert len(desk.lease("hostname", slots=4).out.split()) == 4
    run = desk.lease("hostname", slots=5, rc=3)
    assert "5" in run.err and "4" in run.err, run.text()


def test_several_programs_in_one_job():
    desk = Desk()
    run = desk.lease("-np", 1, ERRAND, "mark", "first", ":", "-np", 2, ERRAND, "mark", "second",
                     ":", "-np", 1, ERRAND, "arguments", "x", slots=4)
    assert desk.files() == ["first.0", "second.1", "second.2"], run.text()
    assert desk.read("second.2") == b"2 of 4\n"


def test_ranks_that_are_spawned_are_on_leased_peers():
    desk = Desk()
    for words in ((), ("wdir", "/tmp")):
        run = desk.lease("-np", 2, SPAWNER, *words, slots=4)
        assert "spawned one" in run.out and "spawned on provider-" in run.out, run.text()
    # What else a program may ask for would be done here, with the rights of whoever leases.
    for key, value, words in (("add-host", "elsewhere", "add a machine"),
                              ("host", "provider-1", "choose machines"),
                              ("ompi_preload_binary", "true", "pass on all"),
                              ("mapper", "seq", "say how ranks are mapped")):
        run = desk.lease("-np", 2, SPAWNER, key, value, slots=4, rc=1)
        assert f"MPI_Comm_spawn in a lease cannot {words}" in run.err, run.text()
        assert desk.report["ended_by"] == "renter", desk.report


# ---- streams


def test_standard_input_goes_to_rank_0():
    content = bytes(random.Random(1).randbytes(300_000))
    done = subprocess.run(["mpirun", "--chain-lease", "2", ERRAND, "cat"], cwd=Desk().folder,
                          env=net.environment, input=content, capture_output=True,
                          timeout=JOB_TIMEOUT_S, check=False)
    assert done.returncode == 0 and done.stdout == content, done.stderr.decode()


def test_each_rank_s_lines_keep_their_order():
    run = Desk().lease(ERRAND, "lines", 200, slots=4)
    for text, kind in ((run.out, "line"), (run.err, "error")):
        for rank in range(4):
            numbers = re.findall(rf"^rank {rank} {kind} (\d+)$", text, re.M)
            assert numbers == [str(number) for number in range(200)], (kind, rank, run.text())
    assert "Lease " in run.err and "Lease " not in run.out


# ---- files


def test_arguments_that_name_files_travel():
    desk = Desk("a folder with spaces")
    desk.write("in put.bin", bytes(range(256)) * 300)
    desk.write("deep/er/in.txt", "deep")
    with open(f"{desk.parent}/outside", "w", encoding="ascii") as file:
        file.write("from outside")
    shutil.copy(ERRAND, desk.path("my errand"))
    desk.lease("./my errand", "copy", "in put.bin", "out put.bin")
    assert desk.read("out put.bin") == desk.read("in put.bin")
    desk.lease(desk.path("my errand"), "copy", "deep/er/in.txt", "deep/er/out.txt")
    assert desk.read("deep/er/out.txt") == b"deep"
    desk.lease("./my errand", "copy", desk.path("in put.bin"), desk.path("absolute out"))
    assert desk.read("absolute out") == desk.read("in put.bin")
    desk.lease("./my errand", "copy", "../outside", "from outside")
    assert desk.read("from outside") == b"from outside"
    desk.lease("./my errand", "copy", f"{desk.parent}/outside", "from absolute")
    assert desk.read("from absolute") == b"from outside"
    desk.lease("./my errand", "copy", "/usr/lib/os-release", "of the system")
    with open("/usr/lib/os-release", "rb") as file:
        assert desk.read("of the system") == file.read()
    words = ["two words", "*", "$HOME", "'", '"', "a\\b", "é", "", "--chain-lease"]
    run = desk.lease("./my errand", "arguments", *words)
    assert run.out.splitlines() == [f"[{word}]" for word in words], run.text()


def test_results_of_a_failed_job_come_back():
    desk = Desk()
    desk.write("log", "first\n")
    desk.lease(ERRAND, "append", "log", 3, rc=3)
    assert desk.read("log") == b"first\nappended\n"
    desk.lease("sh", "-c", "echo half > part; kill -9 $$", rc=137)
    assert any(name.startswith("part") for name in desk.files()), desk.files()


def test_what_changed_meanwhile_is_not_overwritten():
    desk = Desk()
    desk.write("shared", "before\n")
    job = Job(["mpirun", "--chain-lease", "1", "sh", "-c",
               "echo theirs >> shared; touch ready; sleep 2"], net.environment, desk.folder)
    net.jobs.append(job)
    net.wait_running(job=job)
    desk.write("shared", "mine\n")
    run = job.wait(JOB_TIMEOUT_S)
    assert run.rc == 0, run.text()
    assert desk.read("shared") == b"mine\n"


def test_an_argument_that_changed_meanwhile_comes_back_under_another_name():
    desk = Desk()
    desk.write("shared", "before\n")
    job = Job(["mpirun", "--chain-lease", "1", "sh", "-c", 'sleep 2; echo theirs >> "$0"',
               "shared"], net.environment, desk.folder)
    net.jobs.append(job)
    net.wait_running(job=job)
    desk.write("shared", "mine\n")
    run = job.wait(JOB_TIMEOUT_S)
    assert run.rc == 0, run.text()
    assert desk.read("shared") == b"mine\n"
    beside = [name for name in desk.files() if name.startswith("shared.from-provider-")]
    assert len(beside) == 1, (desk.files(), run.text())
    assert desk.read(beside[0]) == b"before\ntheirs\n"
    assert beside[0] in run.err, run.text()


def test_stage_flags():
    desk = Desk()
    desk.write("in.txt", "in")
    desk.write("lib/a.txt", "a")
    desk.write("lib/sub/b.txt", "b")
    look = "find . -type f | grep -v '^./.chain' | sort"
    assert "./lib/a.txt" not in desk.lease("-np", 1, "sh", "-c", look).out
    run = desk.lease("-np", 1, "--chain-stage-in", "lib", "sh", "-c", look)
    assert "./lib/a.txt\n./lib/sub/b.txt\n" in run.out, run.text()
    run = desk.lease("-np", 1, "--chain-stage-in", "lib/a.txt,in.txt", "sh", "-c", look)
    assert "./in.txt\n./lib/a.txt\n" in run.out and "b.txt" not in run.out, run.text()
    run = desk.lease("-np", 1, "--chain-stage-in", "none", "sh", "-c", f"{look}; true", "in.txt")
    assert "in.txt" not in run.out, run.text()
    run = desk.lease("--chain-stage-in", "nowhere", "true", rc=1)
    assert "--chain-stage-in nowhere" in run.err and "no such file" in run.err, run.text()
    before = desk.files()
    desk.lease("-np", 1, "--chain-stage-out", "*.png,kept/*", "sh", "-c",
               "mkdir kept; echo 1 > a.png; echo 2 > b.txt; echo 3 > kept/c.txt")
    assert sorted(set(desk.files()) - set(before)) == ["a.png", "kept/c.txt"], desk.files()
    desk.write("large", b"x" * 100_000)
    run = desk.lease("--chain-stage-max", "50K", "cat", "large", rc=1)
    assert "51200 bytes" in run.err and "--chain-stage-max" in run.err, run.text()
    desk.lease("--chain-stage-max", "200K", "-np", 1, "cat", "large")
    run = desk.lease("-np", 1, "--chain-stage-max", "50K", "sh", "-c",
                     "head -c 100000 /dev/zero > too-large; echo 1 > small", rc=1)
    assert desk.report["results_lost"], desk.report
    assert "too-large" not in desk.files(), desk.files()
    assert "--chain-stage-max" in run.err and "lease fetch" in run.err, run.text()
    # Nothing is lost: the peer has them still.
    fetch = ("lease", "fetch", desk.report["lease"])
    refused = net.renter.ask(*fetch)
    assert refused.returncode == 1 and "more than 51200 bytes" in refused.stderr, refused
    net.renter.call(*fetch, "--stage-max", "200K")
    assert {"small", "too-large"} <= set(desk.files()), desk.files()
    refused = net.renter.ask(*fetch)
    assert refused.returncode == 1 and "nothing of lease" in refused.stderr, refused


def test_names_that_are_no_text_come_back():
    desk = Desk()
    odd = b"caf\xe9 \x1b[31m.txt"
    with open(os.path.join(desk.folder.encode(), b"in \xff"), "wb") as file:
        file.write(b"sent")
    run = desk.run("--chain-lease", 1, "-np", 1, "--chain-stage-in", ".", "sh", "-c",
                   "cat in*; echo made > \"$(printf 'caf\\351 \\033[31m.txt')\"")
    assert run.rc == 0 and "sent" in run.out, run.text()
    with open(os.path.join(desk.folder.encode(), odd), "rb") as file:
        assert file.read() == b"made\n"
    # One that cannot be put where it belongs is named in words that a terminal bears.
    desk.write("taken", "mine")
    run = desk.run("--chain-lease", 1, "-np", 1, "sh", "-c",
                   "mkdir taken; echo made > \"taken/$(printf 'caf\\351 \\033[31m')\"")
    assert run.rc != 0 and "taken/caf? ?[31m" in run.err, run.text()
    room = Desk()
    net.renter.call("lease", "fetch", desk.report["lease"], "--into", room.folder)
    assert os.path.exists(os.path.join(room.folder.encode(), b"taken/caf\xe9 \x1b[31m"))


def test_a_bundle_brings_its_libraries():
    desk = Desk()
    desk.write("pick.c", "int pick(void) { return 42; }\n")
    desk.write("app.c", "#include <stdio.h>\nint pick(void);\n"
                        "int main(void) { printf(\"picked %d\\n\", pick()); return 0; }\n")
    # Where no sandbox looks, and nothing of it is an argument.
    libraries = f"{net.folder}/libraries"
    os.makedirs(libraries, exist_ok=True)
    for command in (["cc", "-shared", "-fPIC", "-o", f"{libraries}/libpick.so", "pick.c"],
                    ["cc", "-o", "app", "app.c", f"-L{libraries}", "-lpick",
                     f"-Wl,-rpath,{libraries}"]):
        subprocess.run(command, cwd=desk.folder, check=True)
    run = desk.lease("-np", 1, "./app", rc=127)
    assert "libpick.so" in run.err, run.text()
    made = subprocess.run(["ompi-chain", "bundle", "./app"], cwd=desk.folder, check=True,
                          env=net.environment, capture_output=True, text=True)
    assert f"packed  {libraries}/libpick.so" in made.stdout, made
    run = desk.lease("-np", 2, "app.bundle/app")
    assert run.out.count("picked 42") == 2, run.text()


# ---- a program that never heard of us


def test_a_program_of_debian_draws_the_same_picture_on_leased_peers():
    tachyon = shutil.which("tachyon")
    if tachyon is None:
        say("a program of Debian ... skipped (no libtachyon-openmpi-0, tachyon-bin-nox)")
        return
    linked = subprocess.run(["ldd", tachyon], capture_output=True, text=True, check=True).stdout
    assert "libmpi.so" in linked, f"tachyon does not use Open MPI here:\n{linked}"
    desk = Desk()
    desk.write("scene.dat", SCENE)
    alone = desk.run("-np", 2, "tachyon", "scene.dat", "-res", 160, 120, "-format", "PPM", "-o",
                     "alone.ppm", report=False)
    assert alone.rc == 0, alone.text()
    leased = desk.lease("-np", 2, "tachyon", "scene.dat", "-res", 160, 120, "-format", "PPM",
                        "-o", "leased.ppm")
    assert desk.files() == ["alone.ppm", "leased.ppm", "scene.dat"]
    assert desk.read("alone.ppm") == desk.read("leased.ppm")
    assert len(set(desk.read("alone.ppm"))) > 50, "there is something to see"
    # What differs on the terminal are times only.
    shown = [re.sub(r"Rendering Progress:.*\n", "", run.out) for run in (alone, leased)]
    shown = [re.sub(r"[0-9]+\.[0-9]+ seconds", "# seconds", text) for text in shown]
    assert shown[0] == shown[1], shown


# ---- the bill


def check_amount(amount):
    assert isinstance(amount["units"], int) and isinstance(amount["tokens"], str), amount
    whole, _, part = amount["tokens"].partition(".")
    assert int(whole) * 10**9 + int(part.ljust(9, "0") or 0) == amount["units"], amount
    return amount["units"]


def test_the_report_has_every_field_and_its_sums_agree():
    desk = Desk()
    desk.lease(ERRAND, "wait", 2.5, slots=4)
    bill = desk.report
    assert re.fullmatch(r"[0-9a-f]{64}", bill["lease"])
    assert bill["state"] == "settled" and bill["reason"] == "" or bill["ended_by"], bill
    for name in ("started_at", "ended_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", bill[name]), bill[name]
    assert bill["started_at"] <= bill["ended_at"]
    price, escrow, paid, burned, refunded = (
        check_amount(bill[name])
        for name in ("price_per_ghz_h", "escrow", "paid", "burned", "refunded"))
    assert escrow == paid + refunded and 0 < burned < paid, bill
    assert bill["meter_class"] in ("hw", "sampled", "calibrated")
    assert len(bill["legs"]) == 2 and {leg["host"] for leg in bill["legs"]} == {
        "provider-1", "provider-2"}
    assert sum(check_amount(leg["paid"]) for leg in bill["legs"]) == paid
    ranks = []
    for leg in bill["legs"]:
        assert leg["provider"].startswith("ompc1") and leg["slots"] == 2
        assert 0 <= leg["waited_cycles"] <= leg["cycles"], leg
        assert sum(rank["cycles"] for rank in leg["ranks"]) <= leg["cycles"], leg
        assert sum(rank["waited_cycles"] for rank in leg["ranks"]) == leg["waited_cycles"], leg
        due = leg["cycles"] * price // (3600 * 10**9)
        assert abs(leg["paid"]["units"] - due) <= 1, (leg, due)
        ranks += [rank["rank"] for rank in leg["ranks"]]
    assert sorted(ranks) == [0, 1, 2, 3]
    shown = net.lease(bill["lease"])
    for name in ("escrow", "paid", "burned", "refunded", "state"):
        assert shown[name] == bill[name], (name, shown, bill)


def test_waiting_is_told_from_computing():
    desk = Desk()
    desk.lease(ERRAND, "wait", 4)
    ranks = {rank["rank"]: rank for leg in desk.report["legs"] for rank in leg["ranks"]}
    share = {rank: entry["waited_cycles"] / entry["cycles"] for rank, entry in ranks.items()}
    assert share[0] < 0.25 and share[1] > 0.6, (share, desk.report)


# ---- OpenSHMEM


def test_openshmem_programs_run_under_a_lease():
    if shutil.which("oshrun") is None:
        say("OpenSHMEM ... skipped (this Open MPI has no oshrun)")
        return
    desk = Desk()
    run = desk.lease(SHMEM, slots=4, launcher="oshrun")
    assert "4" in run.out, run.text()
    run = desk.run("--chain-lease", 2, "-x", "SHMEM_SYMMETRIC_HEAP_SIZE=64G", SHMEM,
                   launcher="oshrun")
    assert run.rc != 0, run.text()
    assert "does not fit into the memory of the lease" in run.err, run.text()
    assert "SHMEM_SYMMETRIC_HEAP_SIZE to" in run.err and "mem=SIZE" in run.err, run.text()


# ---- around the lease


def test_the_statement_and_the_price_show_a_lease():
    run = net.mpirun("--chain-lease", 2, "-np", 2, BUSY, "0.5")
    assert run.rc == 0, run.text()
    bill = net.wait_settled(run.report["lease"])
    net.wait_nothing_locked()
    lines = net.renter.call("wallet", "history", "--count", "1000")["history"]
    assert lines[0]["kind"] == "genesis" and lines[0]["height"] == 0, lines[0]
    opened = [line for line in lines if line["tx"] == bill["lease"]]
    assert [line["amount"]["units"] for line in opened] == [-bill["escrow"]["units"]], opened
    balance = 0
    for line in lines:
        balance += line["amount"]["units"]
        assert line["balance"]["units"] == balance, line
    wallet = net.renter.call("wallet", "show")
    assert wallet["balance"]["units"] == balance, (wallet, lines[-1])
    last = net.chain("wallet", "history", "--count", "1").splitlines()[-1]
    assert net.wallets()["renter"]["balance"]["tokens"] in last, last
    hours = net.renter.call("market", "price")["hours"]
    assert hours and sum(hour["legs"] for hour in hours) >= len(bill["legs"]), (hours, bill)
    for hour in hours:
        low, price, high = (hour[name]["units"] for name in ("low", "price_per_ghz_h", "high"))
        assert 0 < low <= price <= high, hour
        assert hour["cycles"] > 0, hour
    assert hours[-1]["low"]["units"] <= bill["price_per_ghz_h"]["units"] <= hours[-1]["high"]["units"]
    shown = net.chain("market", "price")
    assert hours[-1]["hour"][:16].replace("T", " ") in shown and "Tokens per" in shown, shown
    say(shown)


def test_explaining_leases_nothing():
    before, wallets = len(net.leases(every=True)), net.balances()
    run = Desk().lease("--chain-explain", ERRAND, "mark", "never", report=False)
    assert "provider-1" in run.out + run.err and "provider-2" in run.out + run.err, run.text()
    assert "Price 0.01" in run.out + run.err, run.text()
    run = Desk().lease("--chain-explain", "true", slots="9,mem=1T", rc=3, report=False)
    assert "memory" in run.out + run.err, run.text()
    assert len(net.leases(every=True)) == before and net.balances() == wallets


def test_two_jobs_at_once_and_one_right_after():
    net.wait_offers()
    jobs = [net.start_mpirun("--chain-lease", "2", ERRAND, "linger", "1.5") for _ in range(2)]
    runs = [job.wait(JOB_TIMEOUT_S) for job in jobs]
    assert [run.rc for run in runs] == [0, 0], "".join(run.text() for run in runs)
    assert len({job.report()["lease"] for job in jobs}) == 2
    desk = Desk()
    for _ in range(3):
        desk.lease("hostname", slots=4)


def test_nothing_is_left():
    net.wait_nothing_locked()
    net.wait_agreement()
    for bill in net.leases(every=True):
        assert bill["state"] == "settled", bill
        net.wait_no_leftovers(bill["lease"])
    paid = sum(bill["paid"]["units"] for bill in net.leases(every=True))
    burned = sum(bill["burned"]["units"] for bill in net.leases(every=True))
    ends = {bill["lease"]: [leg["end"] for leg in bill["legs"]] for bill in net.leases(every=True)}
    penalty = sum(bill["penalty"]["units"] for bill in net.leases(every=True))
    assert penalty == 0, ends  # no job of these ended in disagreement
    assert net.burned_units() == burned, ends
    assert net.balances()["renter"] == 1000 * 10**9 - paid


def test_no_connection_stays_open():
    """A daemon that keeps one for each lease takes no more after a few hundred."""
    nodes = [net.renter, *net.providers]
    desk = Desk("open")
    before = {node.name: len(node.connections()) for node in nodes}
    for _ in range(3):
        desk.lease("hostname")
        net.wait_nothing_locked()
    wait_until(lambda: all(len(node.connections()) <= before[node.name] for node in nodes), 20,
               lambda: f"as many as before, {before}: {[(node.name, node.connections()) for node in nodes]}")


TESTS = [
    test_two_slots_are_two_machines,
    test_exit_codes_come_back,
    test_time_that_is_used_up_is_nobody_s_fault_but_the_renter_s,
    test_fewer_and_more_ranks_than_slots,
    test_several_programs_in_one_job,
    test_ranks_that_are_spawned_are_on_leased_peers,
    test_standard_input_goes_to_rank_0,
    test_each_rank_s_lines_keep_their_order,
    test_arguments_that_name_files_travel,
    test_results_of_a_failed_job_come_back,
    test_what_changed_meanwhile_is_not_overwritten,
    test_an_argument_that_changed_meanwhile_comes_back_under_another_name,
    test_stage_flags,
    test_names_that_are_no_text_come_back,
    test_a_bundle_brings_its_libraries,
    test_a_program_of_debian_draws_the_same_picture_on_leased_peers,
    test_the_report_has_every_field_and_its_sums_agree,
    test_the_statement_and_the_price_show_a_lease,
    test_waiting_is_told_from_computing,
    test_openshmem_programs_run_under_a_lease,
    test_explaining_leases_nothing,
    test_two_jobs_at_once_and_one_right_after,
    test_nothing_is_left,
    test_no_connection_stays_open,
]

def on_network(test):
    def run(devnet):
        global net
        net = devnet
        test()

    return test.__name__.removeprefix("test_"), run


if __name__ == "__main__":
    sys.exit(run_tests([on_network(test) for test in TESTS],
                       lambda: Devnet(providers=2, slots=2)))
