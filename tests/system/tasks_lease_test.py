# SPDX-License-Identifier: BSD-3-Clause
"""Programs with independent tasks (examples/task_farm) on leased ranks, rank 0 at home: they make what
they make alone, also when a peer dies in the middle."""

import os
import random
import subprocess
import sys
import tempfile
import time

from chain_devnet import BUILD_FOLDER, Devnet, Failure, run_tests, say, wait_until

FACES = f"{BUILD_FOLDER}/examples/faces/faces"
PHOTO = "/usr/share/visp-images-data/ViSP-images/Solvay/Solvay_conference_1927_Version2_1280x881.png"
CASCADE = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_alt2.xml"
PHOTOS = 16
# docs/losing_peers.md: a peer was lost, and the program went on.
LOST_CODE = 77


class Archive:
    """Photographs, and what becomes of them on this machine alone."""

    def __init__(self, net):
        self.folder = tempfile.mkdtemp(prefix="archive-", dir=net.folder)
        self.photos = [f"{self.folder}/{number}.png" for number in range(PHOTOS)]
        for photo in self.photos:
            os.symlink(PHOTO, photo)
        subprocess.run([FACES, "-o", f"{self.folder}/alone", *self.photos], check=True,
                       stdout=subprocess.DEVNULL)

    def read(self, name):
        with open(f"{self.folder}/{name}", "rb") as file:
            return file.read()

    def words(self, out):
        return ["--chain-lease", 2, "--chain-home", 1, "--chain-tolerate-loss", "--chain-stage-in", "none",
                FACES, "-o", f"{self.folder}/{out}", *self.photos]

    def check(self, out):
        for name in ("faces.png", "faces.csv"):
            assert self.read(f"{out}/{name}") == self.read(f"alone/{name}"), name


def the_same_on_leased_ranks(net):
    net.wait_offers()
    archive = Archive(net)
    run = net.mpirun(*archive.words("leased"), timeout_s=120)
    assert run.rc == 0, run.text()
    archive.check("leased")
    assert len(run.report["legs"]) == 2, run.report
    net.wait_nothing_locked()


def a_peer_dies(net):
    for _ in range(2):
        net.wait_offers()
        archive = Archive(net)
        job = net.start_mpirun(*archive.words("survived"))
        victim = random.choice(net.providers)
        wait_until(lambda node=victim: any(process.name == "faces" for process in node.lease_processes()), 60,
                   "its rank runs")
        # Until MPI_Init has returned a loss is the end.
        time.sleep(random.uniform(1, 4))
        victim.kill()
        run = job.wait(120)
        assert run.rc in (0, LOST_CODE), run.text()
        archive.check("survived")
        say(f"   mpirun ended with {run.rc} after {run.wall_s:.1f} s")
        victim.restart()
        net.wait_nothing_locked()


if __name__ == "__main__":
    for path, package in ((PHOTO, "visp-images-data"), (CASCADE, "opencv-data")):
        if not os.path.exists(path):
            raise Failure(f"apt-get install {package}")
    sys.exit(run_tests([("the_same_on_leased_ranks", the_same_on_leased_ranks), ("a_peer_dies", a_peer_dies)],
                       lambda: Devnet(providers=2, slots=1)))
