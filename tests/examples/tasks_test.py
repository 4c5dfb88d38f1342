# SPDX-License-Identifier: BSD-3-Clause
"""faces, motion and panorama make the same alone, on any number of ranks, and beside a rank that lies; what is broken
is named."""

import csv
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from edges_test import png  # noqa: E402

BUILD = os.environ["TEST_BUILD_DIR"]
FACES = f"{BUILD}/examples/faces/faces"
MOTION = f"{BUILD}/examples/motion/motion"
PANORAMA = f"{BUILD}/examples/panorama/panorama"
LIAR = f"{BUILD}/tests/examples/lying_rank.so"
HPIPS = f"{BUILD}/examples/hpips/hpips"
# 29 people, of whom one looks away.
SOLVAY = "/usr/share/visp-images-data/ViSP-images/Solvay/Solvay_conference_1927_Version2_1280x881.png"
CASCADE = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_alt2.xml"
TIME_LIMIT_S = 90
FRAMES, SIDE, SQUARE = 260, 96, 16
MOVES = range(120, 180)  # in these frames


class Tasks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_words(self, *words, code=0):
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=TIME_LIMIT_S,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def run_on(self, ranks, program, *words, code=0):
        return self.run_words("mpirun", "--oversubscribe", "-n", str(ranks), program, *words, code=code)

    def run_beside(self, lie, program, *words):
        """On three ranks, of which the second lies."""
        liar = ["env", f"LD_PRELOAD={LIAR}", f"LYING_RANK={lie}"]
        honest = ["-n", "1", program, *words]
        return self.run_words("mpirun", "--oversubscribe", *honest, ":", "-n", "1", *liar, program, *words, ":",
                              *honest)

    def run_beside_one(self, lie, program, *words):
        """On two ranks, of which the second lies."""
        return self.run_words("mpirun", "--oversubscribe", "-n", "1", program, *words, ":", "-n", "1", "env",
                              f"LD_PRELOAD={LIAR}", f"LYING_RANK={lie}", program, *words)

    def read(self, name):
        with open(f"{self.folder}/{name}", "rb") as file:
            return file.read()

    def table(self, name):
        with open(f"{self.folder}/{name}", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def write(self, name, content):
        with open(f"{self.folder}/{name}", "wb") as file:
            file.write(content)

    # ---- faces

    def faces_or_skip(self):
        for path, package in ((SOLVAY, "visp-images-data"), (CASCADE, "opencv-data")):
            if not os.path.exists(path):
                self.skipTest(f"apt-get install {package}")

    def test_faces_on_any_number_of_ranks(self):
        self.faces_or_skip()
        self.write("grey.png", png(64, 64, 1, 8, bytes(64 * 64)))
        os.symlink(SOLVAY, f"{self.folder}/solvay.png")
        for ranks in (1, 2, 4):
            self.run_on(ranks, FACES, "-o", f"out{ranks}", "solvay.png", "grey.png", SOLVAY)
        self.run_words(FACES, "-o", "out-alone", "solvay.png", "grey.png", SOLVAY)
        for ranks in (2, 4, "-alone"):
            for name in ("faces.png", "faces.csv"):
                self.assertEqual(self.read(f"out{ranks}/{name}"), self.read(f"out1/{name}"), (ranks, name))
        found = self.table("out1/faces.csv")
        of_first = [face for face in found if face["number"] == "1"]
        self.assertTrue(25 <= len(of_first) <= 31, len(of_first))
        self.assertEqual(len(found), 2 * len(of_first))
        self.assertEqual(sorted(os.listdir(f"{self.folder}/out1")), ["faces.csv", "faces.png"])

    def five_photos(self):
        photos = [f"{number}.png" for number in range(5)]
        for photo in photos:
            os.symlink(SOLVAY, f"{self.folder}/{photo}")
        return photos

    def test_faces_beside_a_rank_that_lies(self):
        self.faces_or_skip()
        photos = self.five_photos()
        self.run_words(FACES, "-o", "out-alone", *photos)
        # It works on, and what it says is not used; or it is waited for in vain.
        for lie, is_told in (("garbage", True), ("short", True), ("huge", True), ("elsewhere", True), ("mute", False)):
            with self.subTest(lie):
                said = self.run_beside(lie, FACES, "-o", f"out-{lie}", *photos)
                self.assertEqual("faces: rank 1 (" in said, is_told, said)
                for name in ("faces.png", "faces.csv"):
                    self.assertEqual(self.read(f"out-{lie}/{name}"), self.read(f"out-alone/{name}"))

    def test_a_rank_that_answers_nothing_holds_up_nobody(self):
        """With more tasks than there are idle ranks to take them over."""
        self.faces_or_skip()
        photos = []
        for number in range(40):
            photos.append(f"{number}.png")
            self.write(photos[-1], png(64, 64, 1, 8, bytes(64 * 64)))
        said = self.run_beside_one("mute", FACES, *photos)
        self.assertIn("0 faces in 40 photographs", said)

    def test_a_rank_that_fails_at_everything_gets_no_more(self):
        self.faces_or_skip()
        photos = self.five_photos()
        said = self.run_beside_one("failing", FACES, *photos)
        self.assertIn("fails at what works here", said)
        self.assertIn("in 5 photographs", said)

    def test_faces_names_what_it_cannot_read(self):
        self.faces_or_skip()
        self.write("text.jpg", b"not a picture")
        self.write("empty.jpg", b"")
        os.mkfifo(f"{self.folder}/pipe.jpg")
        for ranks in (1, 3):
            said = self.run_on(ranks, FACES, "text.jpg", "empty.jpg", "pipe.jpg", "none.jpg", SOLVAY, code=1)
            for name in ("text.jpg", "empty.jpg", "pipe.jpg", "none.jpg"):
                self.assertIn(f"faces: {name}: ", said)
            self.assertGreater(len(self.table("out/faces.csv")), 25)
        self.assertIn("opencv-data", self.run_on(2, FACES, "--cascade", "text.jpg", SOLVAY, code=1))

    # ---- motion

    def frames(self, moving):
        source = random.Random(1)
        for number in range(FRAMES):
            pixels = bytearray(100 + source.randrange(4) for _ in range(SIDE * SIDE))
            if moving and number in MOVES:
                left = 4 + (number - MOVES.start)
                for y in range(40, 40 + SQUARE):
                    pixels[y * SIDE + left:y * SIDE + left + SQUARE] = bytes([220]) * SQUARE
            self.write(f"frame-{number:04d}.png", png(SIDE, SIDE, 1, 8, bytes(pixels)))

    def test_motion_on_any_number_of_ranks(self):
        self.frames(moving=True)
        for ranks in (1, 2, 4):
            self.run_on(ranks, MOTION, "-o", f"out{ranks}", "frame-%04d.png")
        self.run_words(MOTION, "-o", "out-alone", "frame-%04d.png")
        for ranks in (2, 4, "-alone"):
            for name in ("motion.avi", "motion.csv"):
                self.assertEqual(self.read(f"out{ranks}/{name}"), self.read(f"out1/{name}"), (ranks, name))
        for lie in ("garbage", "mute"):
            self.run_beside(lie, MOTION, "-o", f"out-{lie}", "frame-%04d.png")
            self.assertEqual(self.read(f"out-{lie}/motion.csv"), self.read("out1/motion.csv"), lie)
        event, = self.table("out1/motion.csv")
        self.assertLess(abs(int(event["first_frame"]) - MOVES.start), 3, event)
        self.assertLess(abs(int(event["last_frame"]) - (MOVES.stop - 1)), 6, event)
        self.assertEqual(sorted(os.listdir(f"{self.folder}/out1")), ["motion.avi", "motion.csv"])

    def test_nothing_moves(self):
        self.frames(moving=False)
        said = self.run_on(2, MOTION, "frame-%04d.png")
        self.assertIn("0 times", said)
        self.assertEqual(os.listdir(f"{self.folder}/out"), ["motion.csv"])

    def test_what_is_no_video(self):
        self.write("text.avi", b"not a video")
        for name in ("text.avi", "none.avi"):
            self.assertIn(f"motion: {name}: ", self.run_on(3, MOTION, name, code=1))

    # ---- panorama

    def test_panorama_on_any_number_of_ranks(self):
        if not os.path.exists(SOLVAY) or not os.path.exists(HPIPS):
            self.skipTest("apt-get install visp-images-data libvips-dev libtiff-dev")
        photos = []
        for left in (300, 0, 600):
            photos.append(f"from-{left}.png")
            done = subprocess.run([HPIPS, "run", f"crop x={left} y={left // 10} width=660 height=780", SOLVAY, "-o",
                                   photos[-1], "--quiet"], cwd=self.folder, timeout=TIME_LIMIT_S, check=False)
            self.assertEqual(done.returncode, 0)
        for ranks in (1, 3):
            self.run_on(ranks, PANORAMA, "-o", f"all-{ranks}.png", *photos)
        self.run_words(PANORAMA, "-o", "all-alone.png", *photos)
        said = self.run_beside("garbage", PANORAMA, "-o", "all-beside.png", *photos, photos[0])
        self.assertIn("panorama: rank 1 (", said)
        self.run_words(PANORAMA, "-o", "all-twice.png", *photos, photos[0])
        self.assertEqual(self.read("all-beside.png"), self.read("all-twice.png"))
        for name in ("3", "alone"):
            self.assertEqual(self.read("all-1.png"), self.read(f"all-{name}.png"))
        width, height = struct.unpack(">II", self.read("all-1.png")[16:24])
        self.assertLess(abs(width - 1260) + abs(height - 840), 12, (width, height))
        self.write("grey.png", png(64, 64, 1, 8, bytes(64 * 64)))
        said = self.run_on(2, PANORAMA, *photos, "grey.png")
        self.assertIn("grey.png fits to none of the others", said)
        self.assertIn("none.png: no such file", self.run_on(3, PANORAMA, *photos, "none.png", code=1))
        self.assertIn("overlap", self.run_on(3, PANORAMA, photos[0], "grey.png", code=1))

    def test_wrong_words_end_every_rank(self):
        for program, words in ((FACES, ()), (FACES, ("--fast", "a.jpg")), (FACES, ("-o",)), (MOTION, ()),
                               (MOTION, ("a.avi", "b.avi")), (MOTION, ("--area", "0", "a.avi")),
                               (PANORAMA, ("a.jpg",)), (PANORAMA, ("-o", "x.gif", "a.jpg", "b.jpg"))):
            self.assertIn("usage: ", self.run_on(2, program, *words, code=2))


if __name__ == "__main__":
    unittest.main()
