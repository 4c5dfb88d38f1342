# SPDX-License-Identifier: BSD-3-Clause
"""A real NVIDIA GPU in a lease, with the driver's own library: what the offer says is what the driver
says, the lease that pays for it computes on it and no other one sees it, and the bill is its units x
its clock x the time. gpu_test.py does the rest with a library that is made up."""

import glob
import os
import subprocess
import sys
import time

from chain_devnet import BUILD_FOLDER, Devnet, run_tests, say, wait_until

SPIN = f"{BUILD_FOLDER}/tests/system/gpu_spin"
SKIPPED = 77


def driver(what):
    """As nvidia-smi tells it of the first GPU, without units."""
    return subprocess.run(["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits", "-i", "0"],
                          capture_output=True, text=True, check=True).stdout.strip()


def offered(net):
    return [gpu for offer in net.renter.call("offer", "list", "--all")["offers"]
            for gpu in offer["gpus"]]


class WithRealGpu(Devnet):
    def __init__(self):
        super().__init__(providers=1, slots=2)

    def __enter__(self):
        net = super().__enter__()
        [provider] = net.providers
        with open(f"{provider.data_folder}/settings.toml", "w", encoding="ascii") as file:
            file.write("[lend]\ngpus = true\n")
        provider.kill()
        provider.restart()
        net.wait_offers()
        wait_until(lambda: offered(net), 30, lambda: f"a GPU is offered\n{provider.log_tail()}")
        return net


def is_offered_as_it_is(net):
    gpu = offered(net)[0]
    assert gpu["model"] == driver("name"), gpu
    assert gpu["hz"] == int(driver("clocks.max.sm")) * 1_000_000, gpu
    assert abs(gpu["memory_bytes"] / 2**20 / int(driver("memory.total")) - 1) < 0.05, gpu
    say(f"   {gpu['model']}: {gpu['units']} units at {gpu['hz'] / 1e9:.2f} GHz at most")


def computes_and_is_billed(net):
    gpu = offered(net)[0]
    job = net.start_mpirun("--chain-lease", "1,gpu=1", "-np", 1, SPIN, 8)
    net.wait_voucher(job=job)
    clocks_mhz = []
    while job.is_running():
        clocks_mhz.append(int(driver("clocks.sm")))
        time.sleep(0.5)
    run = job.wait(60)
    assert run.rc == 0, run.text()
    count, *model, seconds = run.out.split()
    assert count == "1" and " ".join(model) == gpu["model"] and float(seconds) >= 8, run.out
    report = job.report()
    [leg] = report["legs"]
    busy_hz = sorted(clocks_mhz)[len(clocks_mhz) // 2] * 1e6
    counted_s = leg["gpu_cycles"] / (gpu["units"] * busy_hz)
    assert 7.5 <= counted_s <= run.wall_s + 1, (counted_s, run.wall_s, clocks_mhz)
    assert leg["gpus"] == 1 and leg["gpu_cycles"] <= leg["cycles"], leg
    say(f"   {gpu['units']} units x {busy_hz / 1e9:.2f} GHz x {counted_s:.2f} s billed, of "
        f"{float(seconds):.2f} s on the GPU and {run.wall_s:.2f} s in all: {leg['ghz_h']} GHz·h, "
        f"{leg['paid']['tokens']} tokens; it counts as {leg['gpu_slots']} slots")


def nobody_else_sees_it(net):
    run = net.mpirun("--chain-lease", 1, "-np", 1, SPIN, 1)
    assert run.rc != 0 and "CUDA error" in run.err, run.text()


def the_owner_uses_it(net):
    """It is not lent while the owner's own program is on it."""
    owner = subprocess.Popen([SPIN, "12"], stdout=subprocess.DEVNULL)
    wait_until(lambda: not offered(net), 40, "the GPU is not offered any more")
    owner.wait()
    wait_until(lambda: offered(net), 40, "the GPU is offered again")


if __name__ == "__main__":
    if not glob.glob("/dev/nvidia[0-9]*"):
        say("SKIPPED: THIS MACHINE HAS NO NVIDIA GPU")
        sys.exit(SKIPPED)
    sys.exit(run_tests([(test.__name__, test) for test in (
        is_offered_as_it_is, computes_and_is_billed, nobody_else_sees_it, the_owner_uses_it)],
        WithRealGpu))
