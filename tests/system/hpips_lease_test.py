# SPDX-License-Identifier: BSD-3-Clause
"""hpips on leased ranks: the bytes that it makes alone, with rank 0 at home, also when a peer dies in
the middle; and a peer gets pixels only."""

import os
import random
import sys
import tempfile
import time

from chain_devnet import BUILD_FOLDER, Devnet, run_tests, say, wait_until
from hpips_test import noise, png

HPIPS = f"{BUILD_FOLDER}/examples/hpips/hpips"
PIPELINE = "denoise strength=7 | sharpen radius=2 amount=0.5"
SIDE = 700
# docs/losing_peers.md: a peer was lost, and the program went on.
LOST_CODE = 77


class Photo:
    """A noisy picture, and what becomes of it on this machine alone."""

    def __init__(self, net):
        self.folder = tempfile.mkdtemp(prefix="photo-", dir=net.folder)
        self.path = f"{self.folder}/photo.png"
        with open(self.path, "wb") as file:
            file.write(png(SIDE, SIDE, 3, noise(SIDE * SIDE * 3)))
        alone = os.spawnv(os.P_WAIT, HPIPS, ["hpips", "run", PIPELINE, self.path, "-o",
                                             f"{self.folder}/alone.png", "--quiet"])
        assert alone == 0
        self.wanted = self.read("alone.png")

    def read(self, name):
        with open(f"{self.folder}/{name}", "rb") as file:
            return file.read()

    def words(self, name):
        return ["--chain-lease", 2, "--chain-home", 1, "--chain-tolerate-loss", "--chain-stage-in", "none",
                HPIPS, "run", PIPELINE, self.path, "-o", f"{self.folder}/{name}", "--tile", 100,
                "--report", f"{self.folder}/{name}.json"]


def the_same_bytes(net):
    net.wait_offers()
    photo = Photo(net)
    run = net.mpirun(*photo.words("leased.png"), "--verify", 0.2, timeout_s=120)
    assert run.rc == 0, run.text()
    assert photo.read("leased.png") == photo.wanted
    report = photo.read("leased.png.json").decode()
    assert all(f'"host": "{node.name}"' in report for node in net.providers), report
    assert len(run.report["legs"]) == 2, run.report
    net.wait_nothing_locked()


def a_peer_dies(net):
    for _ in range(2):
        net.wait_offers()
        photo = Photo(net)
        job = net.start_mpirun(*photo.words("survived.png"))
        wait_until(lambda: os.path.exists(f"{photo.folder}/survived.png.hpips-journal"), 60,
                   "the first tiles are there")
        time.sleep(random.uniform(0.2, 2))
        victim = random.choice(net.providers)
        victim.kill()
        run = job.wait(120)
        assert run.rc in (0, LOST_CODE), run.text()
        assert photo.read("survived.png") == photo.wanted
        say(f"   mpirun ended with {run.rc} after {run.wall_s:.1f} s")
        victim.restart()
        net.wait_nothing_locked()


if __name__ == "__main__":
    sys.exit(run_tests([("the_same_bytes", the_same_bytes), ("a_peer_dies", a_peer_dies)],
                       lambda: Devnet(providers=2, slots=1)))
