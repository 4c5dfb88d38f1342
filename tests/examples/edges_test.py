# SPDX-License-Identifier: BSD-3-Clause
"""edges draws the same picture, byte for byte, on any number of ranks, and fails without a hang."""

import hashlib
import os
import random
import struct
import subprocess
import tempfile
import unittest
import zlib

PROGRAM = os.path.join(os.environ["TEST_BUILD_DIR"], "examples/edges/edges")
PHOTOGRAPH_FOLDERS = (
    "/usr/share/visp-images-data/ViSP-images/Klimt",
    "/usr/lib/python3/dist-packages/skimage/data",
)
PHOTOGRAPHS = ("Klimt.ppm", "chelsea.png", "chessboard_GRAY_U16.tif")
# A launch that takes longer than this hangs.
TIME_LIMIT_S = 60


def png(width, height, channels, bits, pixels):
    """A PNG by hand: the test is not to rely on the library that it tests."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    row_size = width * channels * bits // 8
    rows = b"".join(
        b"\0" + pixels[y * row_size : (y + 1) * row_size] for y in range(height)
    )

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


class Drawing(bytes):
    """A drawing's file; a failed comparison shows its digest, not its bytes."""

    def __repr__(self):
        return f"{self.size()} {hashlib.sha256(self).hexdigest()[:16]}"

    def size(self):
        return struct.unpack(">II", self[16:24])


def faint_noise(source, size):
    """Steps that stay and noise weak enough to be averaged: a row depends on its whole halo."""
    return bytes(60 + 90 * (i // 701 % 2) + source.randrange(64) for i in range(size))


class Edges(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def launch(self, rank_count, *arguments):
        command = ["mpirun", "--oversubscribe", "-n", str(rank_count), PROGRAM, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S)

    def draw(self, rank_count, pictures, *options):
        """The drawings, by file name."""
        out = self.path(f"out{rank_count}")
        done = self.launch(rank_count, "-o", out, *options, *pictures)
        self.assertEqual(done.returncode, 0, done.stderr)
        drawings = {}
        for name in os.listdir(out):
            with open(os.path.join(out, name), "rb") as file:
                drawings[name] = Drawing(file.read())
        self.assertEqual(len(drawings), len(pictures))
        return drawings

    def assert_same_on(self, rank_counts, pictures, *options):
        alone = self.draw(1, pictures, *options)
        for rank_count in rank_counts:
            drawings = self.draw(rank_count, pictures, *options)
            for name, drawing in alone.items():
                self.assertEqual(drawings[name], drawing, f"{name} on {rank_count} ranks")
        return alone

    def test_photographs_on_one_to_seven_ranks(self):
        found = [
            os.path.join(folder, name)
            for folder in PHOTOGRAPH_FOLDERS
            for name in PHOTOGRAPHS
            if os.path.exists(os.path.join(folder, name))
        ]
        if not found:
            self.skipTest("no photographs: apt-get install visp-images-data")
        drawings = self.assert_same_on(range(2, 8), found)
        for name, drawing in drawings.items():
            self.assertGreater(len(drawing), 2000, f"{name} is hardly a drawing of a photograph")

    def test_any_kind_and_shape(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}")
        noise = random.Random(seed)
        pictures = []
        sizes = {}
        for channels in (1, 2, 3, 4):
            for bits in (8, 16):
                for width, height in ((40, 1), (1, 40), (1, 1), (33, 5), (24, 47)):
                    pixels = faint_noise(noise, width * height * channels * bits // 8)
                    name = f"{channels}x{bits}-{width}x{height}.png"
                    pictures.append(self.write(name, png(width, height, channels, bits, pixels)))
                    sizes[name] = (width, height)
        drawings = self.assert_same_on((2, 4, 7), pictures, "-s", "12")
        for name, drawing in drawings.items():
            self.assertEqual(drawing.size(), sizes[name])

    def test_more_passes_need_a_wider_halo(self):
        noise = random.Random(1)
        picture = self.write("noise.png", png(30, 120, 3, 8, faint_noise(noise, 30 * 120 * 3)))
        once = self.draw(1, [picture], "-s", "12")
        thrice = self.assert_same_on((3, 5), [picture], "-s", "12", "--passes", "3")
        self.assertNotEqual(once, thrice)

    def test_a_step_becomes_a_line_and_a_plain_picture_stays_white(self):
        step = b"".join(bytes([20] * 16 + [220] * 16) for _ in range(32))
        pictures = [
            self.write("plain.pgm", b"P5 32 32 255\n" + bytes([90]) * 1024),
            self.write("step.pgm", b"P5 32 32 255\n" + step),
        ]
        drawings = self.draw(2, pictures)
        self.assertLess(len(drawings["plain.png"]), len(drawings["step.png"]))
        self.assertNotEqual(drawings["plain.png"], drawings["step.png"])

    def test_bad_pictures_are_named_and_the_others_drawn(self):
        good = self.write("good.png", png(20, 20, 1, 8, bytes(range(200)) * 2))
        torn = self.write("torn.png", b"\x89PNG\r\n\x1a\nnothing more")
        for rank_count in (1, 3):
            out = self.path(f"some{rank_count}")
            done = self.launch(rank_count, "-o", out, self.path("none.png"), torn, good)
            self.assertEqual(done.returncode, 1)
            self.assertIn("none.png: no such file", done.stderr)
            self.assertIn("torn.png: not a picture", done.stderr)
            self.assertEqual(os.listdir(out), ["good.png"])

    def test_what_would_destroy_a_picture_is_refused(self):
        content = png(8, 8, 1, 8, bytes(64))
        picture = self.write("self.png", content)
        done = self.launch(2, "-o", self.folder, picture)
        self.assertEqual(done.returncode, 1)
        self.assertIn("would replace the picture", done.stderr)
        with open(picture, "rb") as file:
            self.assertEqual(file.read(), content)
        done = self.launch(2, "-o", self.folder, picture, "elsewhere/self.jpg")
        self.assertEqual(done.returncode, 2)
        self.assertIn("two pictures would be written", done.stderr)

    def test_usage(self):
        self.assertIn("usage: edges", self.launch(2, "--help").stdout)
        for arguments in ((), ("--passes", "0", "a.png"), ("--strength", "2x", "a"), ("--no", "a")):
            done = self.launch(2, *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stderr.count("usage: edges"), 1)

    def test_an_output_folder_that_cannot_be(self):
        picture = self.write("p.png", png(8, 8, 1, 8, bytes(64)))
        done = self.launch(2, "-o", os.path.join(picture, "below"), picture)
        self.assertEqual(done.returncode, 1)
        self.assertIn("could not be written", done.stderr)


if __name__ == "__main__":
    unittest.main()
