# SPDX-License-Identifier: BSD-3-Clause
"""GPUs in leases, with a driver's library that is made up (fake_nvml.c) and device files that are
real: found and offered, leased to one lease at a time and seen by that one alone, metered by their
clock, and the owner's while the owner uses them."""

import contextlib
import os
import shutil
import stat
import sys
import time

from chain_devnet import BUILD_FOLDER, BUSY, Devnet, run_tests, say, wait_until

FAKE_NVML = f"{BUILD_FOLDER}/tests/system/fake_nvml.so"
MINORS = (217, 218)
LANES, MAX_MHZ = 1024, 2000  # 8 units
SEES = f"ls /dev | grep -c '^nvidia{MINORS[0]}$\\|^nvidia{MINORS[1]}$'; exit 0"


class WithGpus(Devnet):
    """One provider of four slots, with two GPUs; another one without."""

    def __init__(self):
        super().__init__(providers=2, slots=4)

    def __enter__(self):
        self.nodes_made = []
        for minor in MINORS:
            with contextlib.suppress(FileExistsError):
                os.mknod(f"/dev/nvidia{minor}", stat.S_IFCHR | 0o666, os.makedev(1, 7))
                os.chmod(f"/dev/nvidia{minor}", 0o666)
                self.nodes_made.append(f"/dev/nvidia{minor}")
        net = super().__enter__()
        self.library = f"{self.folder}/libfake.so"
        shutil.copy(FAKE_NVML, self.library)
        self.say_gpus()
        with open(f"{net.providers[0].data_folder}/settings.toml", "w", encoding="ascii") as file:
            file.write(f'[lend]\ngpus = true\ngpu_library = "{self.library}"\n')
        net.providers[0].kill()
        net.providers[0].restart()
        net.wait_offers()
        self.wait_gpus(2)
        return net

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        for path in self.nodes_made:
            os.unlink(path)

    def say_gpus(self, mhz=1500, processes=(0, 0)):
        with open(f"{self.library}.new", "w", encoding="ascii") as file:
            for minor, count in zip(MINORS, processes):
                file.write(f"{minor} GPU-{minor} 8000000000 {LANES} {MAX_MHZ} {mhz} {count} "
                           "Fake 9000 Ti\n")
        os.rename(f"{self.library}.new", f"{self.library}.gpus")

    def offered(self):
        offers = self.renter.call("offer", "list", "--all")["offers"]
        return sum(len(offer["gpus"]) for offer in offers)

    def wait_gpus(self, count):
        wait_until(lambda: self.offered() == count, 20, lambda: f"{self.offered()} GPUs are free")


def are_offered(net):
    [gpu, _] = next(offer["gpus"] for offer in net.renter.call("offer", "list", "--all")["offers"]
                    if offer["gpus"])
    assert gpu == {"model": "Fake 9000 Ti", "memory_bytes": 8_000_000_000, "units": LANES // 128,
                   "hz": MAX_MHZ * 1_000_000}, gpu
    run = net.mpirun("--chain-lease", "1,gpu=3", "-np", 1, "hostname")
    assert run.rc == 3 and "too few free GPUs" in run.err and "lends no GPU" in run.err, run.text()
    run = net.mpirun("--chain-lease", "1,gpu=0", "-np", 1, "hostname")
    assert run.rc == 1 and "gpu=0" in run.err, run.text()


def seen_by_their_lease_alone(net):
    counts = []
    for spec in ("1,gpu=1", "1,gpu=2", "2,gpu=1", "1"):
        slots = spec[0]
        run = net.mpirun("--chain-lease", f"{spec},provider={net.providers[0].name}", "-np", slots,
                         "sh", "-c", SEES)
        assert run.rc == 0, run.text()
        counts.append(run.out.split())
        net.wait_gpus(2)
    assert counts == [["1"], ["2"], ["2", "2"], ["0"]], counts


def leased_to_one_at_a_time(net):
    job = net.start_mpirun("--chain-lease", "1,gpu=1", "-np", 1, BUSY, 30)
    net.wait_voucher(job=job)
    net.wait_gpus(1)
    run = net.mpirun("--chain-lease", "1,gpu=2", "-np", 1, "hostname")
    assert run.rc == 3 and "too few free GPUs" in run.err, run.text()
    run = net.mpirun("--chain-lease", "1,gpu=1", "-np", 1, "sh", "-c", SEES)
    assert run.rc == 0 and run.out == "1\n", run.text()
    job.kill()
    net.wait_nothing_locked()
    net.wait_gpus(2)


def metered_by_their_clock(net):
    """Idle processors, so that what is billed is what the GPU did: 8 units, first at 1.5 GHz."""
    for mhz in (1500, 500):
        net.say_gpus(mhz=mhz)
        began = time.monotonic()
        run = net.mpirun("--chain-lease", "1,gpu=1", "-np", 1, "sleep", 5)
        wall_s = time.monotonic() - began
        [leg] = run.report["legs"]
        counted_s = leg["gpu_cycles"] / (LANES // 128 * mhz * 1e6)
        assert 4.9 <= counted_s <= min(wall_s, 6.5), (counted_s, wall_s)
        assert leg["gpu_cycles"] <= leg["cycles"] <= leg["gpu_cycles"] + 2e9, leg
        assert leg["gpus"] == 1 and leg["gpu_slots"] >= 2, leg
        assert f"1 + {leg['gpu_slots']} GPU" in run.err, run.text()
        say(f"   at {mhz} MHz: {counted_s:.2f} s billed, {leg['paid']['tokens']} tokens; a GPU is "
            f"{leg['gpu_slots']} slots here")
    net.say_gpus()


def the_owner_s_while_used(net):
    net.say_gpus(processes=(1, 0))
    net.wait_gpus(1)
    net.say_gpus(processes=(1, 2))
    net.wait_gpus(0)
    net.say_gpus()
    net.wait_gpus(2)


def opencl_without_a_gpu(net):
    """PoCL, whose device is the processor: what it computes is metered like anything else there."""
    if shutil.which("clinfo") is None:
        say("   SKIPPED: apt-get install clinfo pocl-opencl-icd")
        return
    run = net.mpirun("--chain-lease", 1, "-np", 1, "clinfo", "--list")
    assert run.rc == 0 and "Portable Computing Language" in run.out, run.text()


def a_driver_that_is_not_there(net):
    provider = net.providers[0]
    os.rename(f"{net.library}.gpus", f"{net.library}.away")
    provider.kill()
    provider.restart()
    net.wait_offers()
    assert "no GPU is lent" in provider.log_tail(100), provider.log_tail(100)
    os.rename(f"{net.library}.away", f"{net.library}.gpus")
    provider.kill()
    provider.restart()
    net.wait_gpus(2)


if __name__ == "__main__":
    sys.exit(run_tests([(test.__name__, test) for test in (
        are_offered, seen_by_their_lease_alone, leased_to_one_at_a_time, metered_by_their_clock,
        the_owner_s_while_used, opencl_without_a_gpu, a_driver_that_is_not_there)], WithGpus))
