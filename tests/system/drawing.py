# SPDX-License-Identifier: BSD-3-Clause
"""An image job: the edges of a picture; and the same drawn by one process alone, to compare with."""

import filecmp
import os
import subprocess

from chain_devnet import BUILD_FOLDER, say

EDGES = f"{BUILD_FOLDER}/examples/edges/edges"
KLIMT = "/usr/share/visp-images-data/ViSP-images/Klimt/Klimt.pgm"


def waves(path, width=640, height=480):
    with open(path, "wb") as file:
        file.write(b"P5 %d %d 255\n" % (width, height))
        file.write(bytes((x * x // 97 + y * 3 + x * y // 31) % 256
                         for y in range(height) for x in range(width)))
    return path


class Drawing:
    """`words` is the command of the job, which draws in its own folder."""

    def __init__(self, folder, environment, *options):
        picture = KLIMT
        if not os.path.exists(picture):
            say(f"   no {picture}: apt-get install visp-images-data; a made-up one instead")
            picture = waves(f"{folder}/waves.pgm")
        command = [EDGES, *map(str, options), picture]
        subprocess.run(["mpirun", "-np", "1", *command, "-o", "alone"], cwd=folder, env=environment,
                       stdout=subprocess.DEVNULL, check=True, timeout=60)
        [self.name] = os.listdir(f"{folder}/alone")
        self.expected = f"{folder}/alone/{self.name}"
        self.words = [*command, "-o", "drawn"]

    def check(self, folder):
        """Failure unless the job in that folder has drawn the same picture, and nothing else."""
        drawn = os.listdir(f"{folder}/drawn")
        assert drawn == [self.name], drawn
        assert filecmp.cmp(f"{folder}/drawn/{self.name}", self.expected, shallow=False), folder
