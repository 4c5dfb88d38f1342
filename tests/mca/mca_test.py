# SPDX-License-Identifier: BSD-3-Clause
"""mpirun's side of a lease, against tests/fake_lease: flags, jobs over two peers, and their ends."""

import contextlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ["TEST_BUILD_DIR"]
FLAGS = [
    "lease", "max-price", "budget", "time", "wait", "start", "explain", "home", "stage-in",
    "stage-out", "stage-max", "relaunch", "tolerate-loss", "net", "report",
]
JOB_TIMEOUT_S = 60


def environment(components=True, **extra):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("OMPI_CHAIN_", "OMPI_MCA_"))}
    env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_CHAIN_SOCKET="/nonexistent/control.sock")
    if components:
        system = subprocess.run(["ompi_info", "--path", "pkglibdir", "--parsable"], check=True,
                                capture_output=True, text=True).stdout.strip().split(":")[-1]
        env["OMPI_MCA_mca_base_component_path"] = f"{BUILD}/components:{system}"
    env.update(extra)
    return env


def run(*words, env=None, cwd=None):
    return subprocess.run(words, env=env or environment(), cwd=cwd, capture_output=True, text=True,
                          timeout=JOB_TIMEOUT_S, stdin=subprocess.DEVNULL)


class Flags(unittest.TestCase):
    def test_all_six_components_are_listed(self):
        listed = run("ompi_info").stdout
        for framework in ["schizo", "ras", "plm", "hook", "pstat"]:
            self.assertIn(f"MCA {framework}: chain", listed)
        if shutil.which("oshmem_info"):
            self.assertIn("MCA sshmem: chain", run("oshmem_info").stdout)

    def test_each_flag_is_a_parameter_with_help(self):
        text = run("ompi_info", "--param", "ras", "chain", "--level", "9").stdout
        for flag in FLAGS:
            self.assertIn(f'"ras_chain_{flag.replace("-", "_")}"', text)
            self.assertIn(f"--chain-{flag}:", text)

    def test_flags_show_in_help(self):
        for launcher in filter(shutil.which, ["mpirun", "oshrun"]):
            text = run(launcher, "--help", "launch").stdout
            for flag in FLAGS:
                self.assertIn(f"--chain-{flag}", text)

    def test_without_flags_nothing_changes(self):
        command = ["mpirun", "-np", "2", "--oversubscribe", "hostname"]
        stock = run(*command, env=environment(components=False))
        ours = run(*command)
        self.assertEqual((stock.returncode, stock.stdout, stock.stderr),
                         (ours.returncode, ours.stdout, ours.stderr))
        self.assertEqual(ours.returncode, 0)

    def test_parameters_without_a_lease_do_nothing(self):
        job = run("mpirun", "-np", "1", "hostname", env=environment(OMPI_MCA_ras_chain_budget="5"))
        self.assertEqual((job.returncode, job.stderr), (0, ""))

    def test_flags_without_a_lease_are_an_error(self):
        for flag in FLAGS[1:]:
            switch = flag in ("explain", "tolerate-loss")
            words = [f"--chain-{flag}"] + ([] if switch else ["1"])
            job = run("mpirun", *words, "-np", "1", "hostname")
            self.assertEqual(job.returncode, 1, flag)
            self.assertIn(f"--chain-{flag} needs --chain-lease", job.stderr)
            self.assertEqual(job.stdout, "")

    def test_wrong_values_name_the_flag(self):
        wrong = [
            (["--chain-lease", "x"], "number of slots"),
            (["--chain-lease", ""], "--chain-lease is empty"),
            (["--chain-lease", "1" + "0" * 30], "number of slots"),
            (["--chain-lease", "2,mem=lots"], "mem=lots"),
            (["--chain-lease", "2,gpu=x"], "number of GPUs"),
            (["--chain-lease", "2,reputation=0.6"], "no reputation yet"),
            (["--chain-lease", "2", "--chain-max-price", "-1"], "--chain-max-price"),
            (["--chain-lease", "2", "--chain-budget", "0"], "--chain-budget"),
            (["--chain-lease", "2", "--chain-time", "0"], "--chain-time"),
            (["--chain-lease", "2", "--chain-wait", "soon"], "--chain-wait"),
            (["--chain-lease", "2", "--chain-start", "12:60"], "--chain-start"),
            (["--chain-reservation", "my own"], "--chain-reservation"),
            (["--chain-reservation", ""], "--chain-reservation is empty"),
            (["--chain-reservation", "next", "--chain-lease", "2"], "has its terms already"),
            (["--chain-lease", "2", "--chain-home", "one"], "--chain-home 2"),
            (["--chain-lease", "2", "--chain-relaunch", "-1"], "--chain-relaunch 3"),
            (["--chain-lease", "2", "--chain-net", "wireguard"], "no such network"),
            (["--chain-lease", "2", "--chain-stage-in", "s3://b/k"], "a bucket has"),
            (["--chain-lease", "2", "--chain-stage-in", "/no/such"], "no such file"),
            (["--chain-lease", "2", "--chain-stage-max", "x"], "--chain-stage-max"),
        ]
        for words, says in wrong:
            job = run("mpirun", *words, "-np", "2", "hostname")
            self.assertEqual(job.returncode, 1, words)
            self.assertIn(says, job.stderr)
            self.assertEqual(job.stdout, "")
            self.assertNotIn("ORTE_ERROR", job.stderr)

    def test_more_ranks_than_slots(self):
        job = run("mpirun", "--chain-lease", "2", "-np", "3", "hostname")
        self.assertEqual(job.returncode, 1)
        self.assertIn("more ranks than leased slots", job.stderr)

    def test_no_daemon_says_how_to_start_one(self):
        job = run("mpirun", "--chain-lease", "2", "-np", "2", "hostname")
        self.assertEqual(job.returncode, 1)
        self.assertIn("no daemon is running", job.stderr)
        self.assertIn("ompi-chaind", job.stderr)


class Lease(unittest.TestCase):
    def setUp(self):
        if subprocess.run(["bwrap", "--dev-bind", "/", "/", "true"]).returncode != 0:
            self.skipTest("bwrap does not work here")
        self.folder = tempfile.mkdtemp(prefix="mca-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.work = os.path.join(self.folder, "work")
        os.mkdir(self.work)
        for program in ["ring", "hello_oshmem"]:
            if os.path.exists(f"{BUILD}/tests/mca/{program}"):
                shutil.copy(f"{BUILD}/tests/mca/{program}", self.work)
        self.env = environment(OMPI_CHAIN_SOCKET=f"{self.folder}/sock",
                               OMPI_MCA_ras_chain_net="plain")
        # Another spelling than the renter's, to tell them apart.
        self.peer_components = self.env["OMPI_MCA_mca_base_component_path"].replace(
            "/components:", "/components/:")

    @contextlib.contextmanager
    def peers(self, *keys, peers="peer-a:1,peer-b:1"):
        daemon = subprocess.Popen([f"{BUILD}/tests/fake_lease", f"{self.folder}/sock", self.folder,
                                   peers, f"components={self.peer_components}", *keys])
        try:
            while not os.path.exists(f"{self.folder}/sock"):
                time.sleep(0.01)
            yield daemon
        finally:
            daemon.kill()
            daemon.wait()

    def calls(self):
        with open(f"{self.folder}/calls.txt", encoding="utf-8") as calls:
            return calls.read()

    def mpirun(self, *words, launcher="mpirun", **extra):
        return run(launcher, "--chain-lease", "2", *words, env={**self.env, **extra}, cwd=self.work)

    def rank_files(self):
        ranks = {}
        for host in ["peer-a", "peer-b"]:
            folder = f"{self.folder}/{host}/ranks"
            for name in os.listdir(folder):
                with open(f"{folder}/{name}", "rb") as file:
                    magic, rank, _, cpu_ns, waited_ns = struct.unpack("=QIIQQ", file.read(32))
                self.assertEqual(magic, 0x314B4E415248434F)
                self.assertLessEqual(waited_ns, cpu_ns)
                ranks[rank] = (cpu_ns, waited_ns)
        return ranks

    def test_hostname_and_bill(self):
        with self.peers():
            job = self.mpirun("-np", "2", "--chain-report", "bill.json", "hostname")
        self.assertEqual(job.returncode, 0, job.stderr)
        self.assertEqual(sorted(job.stdout.split()), ["peer-a", "peer-b"])
        self.assertIn("f00d", job.stderr)
        with open(f"{self.work}/bill.json", encoding="utf-8") as bill:
            self.assertEqual(json.load(bill)["lease"], "f00d")
        self.assertIn("close 0 renter", self.calls())

    def test_report_that_cannot_be_written_is_a_message(self):
        with self.peers():
            job = self.mpirun("--chain-report", "/no/such/bill.json", "hostname")
        self.assertEqual(job.returncode, 1, job.stderr)
        self.assertIn("The bill could not be written", job.stderr)

    def test_ring_ships_its_program(self):
        with self.peers():
            job = self.mpirun("-np", "2", "./ring")
        self.assertEqual(job.returncode, 0, job.stderr)
        self.assertIn("rank 0 of 2 on peer-a token 10", job.stdout)
        self.assertIn("stage ring\n", self.calls())

    def test_ranks_say_what_they_waited(self):
        for extra in [{}, {"RING_THREADS": "1"}, {"RING_NO_FINALIZE": "1"}]:
            words = sum((["-x", name] for name in extra), [])
            with self.peers():
                job = self.mpirun(*words, "-np", "2", "./ring", "wait", "1.5", **extra)
            if not extra:
                self.assertEqual(job.returncode, 0, job.stderr)
            cpu_ns, waited_ns = self.rank_files()[1]
            self.assertGreater(waited_ns, 0.8 * cpu_ns - 2e8, extra)
            self.assertLess(self.rank_files()[0][1], 5e8, extra)
            shutil.rmtree(f"{self.folder}/peer-a")
            shutil.rmtree(f"{self.folder}/peer-b")

    def test_openshmem_in_the_leases_memory(self):
        if not os.path.exists(f"{self.work}/hello_oshmem"):
            self.skipTest("no oshcc here")
        with self.peers(peers="peer-a:2"):
            job = self.mpirun("-np", "2", "-x", "SHMEM_SYMMETRIC_HEAP_SIZE=64M", "./hello_oshmem",
                              launcher="oshrun")
            self.assertEqual(job.returncode, 0, job.stderr)
            self.assertIn("PE 0 of 2 on peer-a got 1", job.stdout)
        with self.peers("memory=100000000", peers="peer-a:2"):
            job = self.mpirun("-np", "2", "-x", "SHMEM_SYMMETRIC_HEAP_SIZE=64M", "./hello_oshmem",
                              launcher="oshrun")
            self.assertNotEqual(job.returncode, 0)
            self.assertIn("does not fit into the memory of the lease", job.stderr)

    def ends_within(self, words, keys, says, seconds=1.5, after=1.0):
        with self.peers(*keys):
            start = time.monotonic()
            job = self.mpirun("-np", "2", *words)
            elapsed = time.monotonic() - start
        self.assertNotEqual(job.returncode, 0)
        self.assertIn(says, job.stderr)
        self.assertLess(elapsed, after + seconds)
        return job

    def test_lost_peer_ends_the_job_at_once(self):
        job = self.ends_within(["./ring", "sleep", "20"], ["lose=1@1000"], "peer-b")
        self.assertIn("A leased peer was lost", job.stderr)
        self.assertIn("close 1 provider", self.calls())

    def test_frozen_peer_ends_the_job_at_once(self):
        self.ends_within(["./ring", "sleep", "20"], ["freeze=1@1000"], "no sign of life")

    def test_lease_that_ends_ends_the_job(self):
        self.ends_within(["./ring", "sleep", "20"], ["end=1000"], "the budget is used up")

    def test_daemon_that_vanishes_ends_the_job(self):
        self.ends_within(["./ring", "sleep", "20"], ["vanish=1000"], "daemon of this machine")

    def test_launch_that_is_refused_ends_the_job(self):
        self.ends_within(["hostname"], ["refuse_launch=refused"], "could not start the job")

    def test_nothing_matched_is_exit_3(self):
        with self.peers("refuse=nothing-matched"):
            self.assertEqual(self.mpirun("hostname").returncode, 3)
            explained = self.mpirun("--chain-explain", "hostname")
        self.assertEqual(explained.returncode, 3)
        self.assertIn("memory: 1 GiB", explained.stdout)

    def test_explain_leases_nothing(self):
        with self.peers():
            job = self.mpirun("--chain-explain", "hostname")
        self.assertEqual((job.returncode, job.stderr), (0, ""))
        self.assertIn("peer-b", job.stdout)
        self.assertFalse(os.path.exists(f"{self.folder}/calls.txt")
                         and "open" in self.calls())

    def test_killed_mpirun_closes_the_lease(self):
        with self.peers():
            job = subprocess.Popen(["mpirun", "--chain-lease", "2", "./ring", "sleep", "20"],
                                   env=self.env, cwd=self.work, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            time.sleep(1.5)
            job.kill()
            job.wait()
            deadline = time.monotonic() + 2
            while "closed" not in self.calls() and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertIn("closed", self.calls())

    def test_nothing_of_the_renter_reaches_the_ranks_environment(self):
        with self.peers():
            job = self.mpirun("-np", "1", "env", OMPI_CHAIN_DATA="/renter")
        self.assertEqual(job.returncode, 0, job.stderr)
        for name in ["OMPI_CHAIN_SOCKET", "OMPI_CHAIN_DATA", "OMPI_MCA_ras_chain_lease"]:
            self.assertNotIn(f"\n{name}=", "\n" + job.stdout)
        self.assertIn(f"OMPI_MCA_mca_base_component_path={self.peer_components}\n", job.stdout)
        self.assertIn("OMPI_MCA_btl=tcp,vader,self", job.stdout)
        self.assertIn("OMPI_MCA_opal_common_ucx_opal_mem_hooks=0", job.stdout)


if __name__ == "__main__":
    unittest.main()
