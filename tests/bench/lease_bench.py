# SPDX-License-Identifier: BSD-3-Clause
"""What a lease costs in time, against plain mpirun over ssh: two hosts each, on one machine.

The ways take turns (A B C A B C …), so that a busy moment of the machine hits all of them; figures
are medians. One line a figure. Falling short of a goal is printed, and is no failure: a test that
fails on a slow machine says nothing about the code.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS, how often each is measured.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import ssh_hosts  # noqa: E402
from figures import figure  # noqa: E402
from chain_devnet import Devnet  # noqa: E402

BUILD_FOLDER = os.environ["TEST_BUILD_DIR"]
INIT_TIME = os.path.join(BUILD_FOLDER, "tests/bench/init_time")
EDGES = os.path.join(BUILD_FOLDER, "examples/edges/edges")
PHOTOGRAPH = ("/usr/share/visp-images-data/ViSP-images/Solvay/"
              "Solvay_conference_1927_Version2_1280x881.png")
ROUNDS = int(os.environ["BENCH_ROUNDS"])
JOB_TIMEOUT_S = 120


class Way:
    """One way to start two ranks on two hosts."""

    def __init__(self, name, words, environment, host_count=2):
        self.name, self.environment, self.host_count = name, environment, host_count
        self.command = ["mpirun", *words, "-np", "2"]

    def run(self, *program, folder):
        """(standard output, seconds of wall time, time of day at which mpirun was started)."""
        started = time.time()
        done = subprocess.run([*self.command, *program], cwd=folder, env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=JOB_TIMEOUT_S, check=False)
        wall_s = time.time() - started
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: mpirun ended with {done.returncode}\n{done.stderr}")
        return done.stdout, wall_s, started

    def init_ms(self, folder):
        """From the start of mpirun until rank 0 has passed MPI_Init."""
        out, _, started = self.run(INIT_TIME, folder=folder)
        _, init_ns, *hosts = out.split()
        if len(hosts) != 2 or len(set(hosts)) != self.host_count:
            raise RuntimeError(f"{self.name}: not two ranks on {self.host_count} hosts: {out}")
        return int(init_ns) / 1e6 - started * 1e3

    def edges_ms(self, folder):
        _, wall_s, _ = self.run(EDGES, "-o", "out", "photograph.png", folder=folder)
        return wall_s * 1e3


def medians(ways, measure):
    """Median of `measure` by the name of the way. The first round warms caches and is left out."""
    taken = {way.name: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way in ways:
            value = measure(way)
            if turn > 0:
                taken[way.name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def bench(net, hosts):
    job_folder = os.path.join(net.folder, "bench")
    os.mkdir(job_folder)
    lease = Way("lease", ["--chain-lease", "2"], net.environment)
    ssh = Way("ssh", hosts.mpirun_words, hosts.environment)
    local = Way("local", ["--bind-to", "none"], hosts.environment,
                host_count=1)

    init = medians([lease, ssh, local], lambda way: way.init_ms(job_folder))
    figure("mpi_init_by_lease", init["lease"], "ms")
    figure("mpi_init_by_ssh", init["ssh"], "ms")
    figure("mpi_init_local", init["local"], "ms")
    figure("mpi_init_ssh_to_lease", init["ssh"] / init["lease"], "times", at_least=1.0)

    if not os.path.exists(EDGES) or not os.path.exists(PHOTOGRAPH):
        print("edges: SKIPPED: apt-get install libopencv-dev visp-images-data, then build")
        return
    shutil.copy(PHOTOGRAPH, os.path.join(job_folder, "photograph.png"))
    edges = medians([lease, ssh, local], lambda way: way.edges_ms(job_folder))
    figure("edges_by_lease", edges["lease"], "ms")
    figure("edges_by_ssh", edges["ssh"], "ms")
    figure("edges_local", edges["local"], "ms")
    figure("edges_ssh_to_lease", edges["ssh"] / edges["lease"], "times", at_least=0.8)


def main():
    reason = ssh_hosts.why_not()
    if reason is not None:
        print(f"lease_bench: SKIPPED: {reason}")
        return
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()[0]
    print(f"lease_bench: {os.cpu_count()} cores, load {load}, {ROUNDS} rounds")
    with ssh_hosts.SshHosts() as hosts, Devnet(providers=2, slots=1) as net:
        bench(net, hosts)


if __name__ == "__main__":
    main()
