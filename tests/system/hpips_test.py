# SPDX-License-Identifier: BSD-3-Clause
"""hpips: the same bytes on any number of ranks, with ranks that are killed, stopped or lying, after a
kill -9 of everything, and among pictures that are none."""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

BUILD = os.environ["TEST_BUILD_DIR"]
HPIPS = os.path.join(BUILD, "examples/hpips/hpips")
MY_OPERATOR = os.path.join(BUILD, "examples/my_operator/my_operator")
ODD_RANK = os.path.join(BUILD, "tests/hpips/odd_rank")
TIME_LIMIT_S = 180
# With a stock mpirun: a rank that dies takes nobody with it (docs/losing_peers.md; under a lease
# --chain-tolerate-loss does the same). The agent turns a death by a signal into an exit code.
SURVIVE = ["--mca", "orte_abort_on_non_zero_status", "0", "--mca", "orte_allowed_exit_without_sync", "1",
           "--mca", "async_mpi_finalize", "1"]
AGENT = "#!/bin/sh\n\"$@\"\nexit $?\n"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, channels, pixels):
    """By hand: the test is not to rely on the libraries that it tests."""
    row = width * channels
    rows = b"".join(b"\0" + pixels[y * row:(y + 1) * row] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1))
            + chunk(b"IEND", b""))


def tiff(width, height, channels, pixels, said=None):
    """Uncompressed strips of 16 rows. `said`: the height that the header claims."""
    strips = [pixels[i:i + 16 * width * channels] for i in range(0, len(pixels), 16 * width * channels)]
    place = 8 + len(pixels)
    offsets = [8 + 16 * width * channels * i for i in range(len(strips))]

    def array(values):
        nonlocal place
        data = struct.pack(f"<{len(values)}I", *values)
        extra.append(data)
        place += len(data)
        return place - len(data)

    extra = []
    bits = struct.pack("<4H", *[8] * 4)
    extra.append(bits)
    bits_at, place = place, place + len(bits)
    count = len(strips)
    entries = [
        (256, 4, 1, width), (257, 4, 1, said or height),
        (258, 3, channels, 8 if channels == 1 else bits_at), (259, 3, 1, 1),
        (262, 3, 1, 1 if channels == 1 else 2),
        (273, 4, count, offsets[0] if count == 1 else array(offsets)), (277, 3, 1, channels),
        (278, 4, 1, 16), (279, 4, count, len(strips[0]) if count == 1 else array([len(s) for s in strips])),
    ]
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + b"\0" * 4
    return b"II*\0" + struct.pack("<I", place) + pixels + b"".join(extra) + ifd


def noise(size, seed=1):
    source = random.Random(seed)
    return bytes(60 + 90 * (i // 701 % 2) + source.randrange(64) for i in range(size))


def rank_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for word in file.read().split(b"\0"):
                if word.startswith(b"OMPI_COMM_WORLD_RANK="):
                    return int(word.split(b"=")[1])
    except (OSError, ValueError):
        pass
    return None


def descendants(pid):
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                parents[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            pass
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def wait_until(condition, what, limit_s=90):
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited {limit_s} s in vain: {what}")
        time.sleep(0.02)


class Hpips(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def picture(self, name="in.tif", width=300, height=260, channels=3):
        make = tiff if name.endswith(".tif") else png
        return self.write(name, make(width, height, channels, noise(width * height * channels)))

    def start(self, ranks, *words, program=HPIPS, survive=False, environment=None):
        launcher = []
        if ranks > 0:
            launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)]
        if survive:
            agent = self.write("agent.sh", AGENT.encode())
            os.chmod(agent, 0o755)
            launcher += [*SURVIVE, "--mca", "orte_fork_agent", agent]
        job = subprocess.Popen([*launcher, program, *map(str, words)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, cwd=self.folder,
                               env={**self.environment, **(environment or {})})
        self.addCleanup(self.end, job)
        return job

    def end(self, job):
        if job.poll() is None:
            for pid in reversed(descendants(job.pid)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        job.wait()
        job.stdout.close()
        job.stderr.close()

    def finish(self, job, code=0):
        out, err = job.communicate(timeout=TIME_LIMIT_S)
        self.assertEqual(job.returncode, code, out + err)
        return out + err

    def run_hpips(self, ranks, *words, code=0, **options):
        return self.finish(self.start(ranks, *words, **options), code)

    def report(self, name="report.json"):
        return json.loads(self.read(name))

    def leftovers(self):
        return [name for _, _, names in os.walk(self.folder) for name in names if ".hpips-" in name]

    def tiles_in_journal(self, output):
        try:
            return self.read(output + ".hpips-journal").count(b"\ntile ")
        except OSError:
            return 0

    def rank_pid(self, job, rank):
        """The program itself, not the agent before it."""
        found = []

        def is_there():
            found[:] = [pid for pid in descendants(job.pid)
                        if rank_of(pid) == rank and "odd_rank" in os.readlink(f"/proc/{pid}/exe")]
            return bool(found)

        wait_until(is_there, f"rank {rank} starts")
        return found[0]

    # ---- the same bytes

    def test_the_same_bytes_on_any_number_of_ranks(self):
        pipeline = "denoise search=4 | sharpen radius=1.5 | crop x=3 y=5 | median radius=2"
        pictures = [self.picture("a.tif"), self.picture("b.png", 150, 90, 4), self.picture("c.tif", 9, 133, 1)]
        self.run_hpips(0, "run", pipeline, *pictures, "-o", "alone/", "--threads", 1)
        for ranks, tile in ((0, 4096), (1, 64), (2, 48), (3, 16), (4, 112)):
            out = f"out{ranks}-{tile}"
            self.run_hpips(ranks, "run", pipeline, *pictures, "-o", out + "/", "--tile", tile)
            for name in ("a.tif", "b.png", "c.tif"):
                self.assertEqual(self.read(f"{out}/{name}"), self.read(f"alone/{name}"), f"{name} in {out}")
        self.assertEqual(self.leftovers(), [])

    def test_all_ranks_take_part_and_the_report_says_so(self):
        picture = self.picture()
        self.run_hpips(3, "run", "slow ms=30", picture, "-o", "out.png", "--tile", 32, "--report", "report.json",
                       program=ODD_RANK)
        report = self.report()
        self.assertEqual(len(report["ranks"]), 3)
        for rank in report["ranks"]:
            self.assertGreater(rank["tiles"], 0)
        self.assertEqual(sum(rank["pixels"] for rank in report["ranks"]), 300 * 260)

    def test_photographs_are_turned_upright_and_keep_their_exif(self):
        self.run_hpips(0, "run", "invert", self.picture("in.png", 60, 40), "-o", "plain.jpg")
        entries = struct.pack("<HHII", 0x010F, 2, 6, 38) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + b"\0" * 4 + b"Kodak\0"
        jpeg = self.read("plain.jpg")
        self.write("turned.jpg", jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
        self.run_hpips(0, "run", "blur", "turned.jpg", "-o", "out/")
        info = json.loads(self.run_hpips(0, "info", "--json", "out/turned.jpg"))[0]
        self.assertEqual((info["width"], info["height"]), (40, 60))
        self.assertIn(b"Kodak", self.read("out/turned.jpg"))
        self.run_hpips(0, "run", "blur", "out/turned.jpg", "-o", "again/")
        info = json.loads(self.run_hpips(0, "info", "--json", "again/turned.jpg"))[0]
        self.assertEqual((info["width"], info["height"]), (40, 60))

    # ---- losses

    def test_a_killed_rank_costs_its_tiles_only(self):
        picture = self.picture()
        job = self.start(3, "run", "slow ms=60", picture, "-o", "out.tif", "--tile", 32, "--silent", 3,
                         "--report", "report.json", program=ODD_RANK, survive=True)
        wait_until(lambda: self.tiles_in_journal("out.tif") > 6, "some tiles are done")
        os.kill(self.rank_pid(job, 2), signal.SIGKILL)
        out, err = job.communicate(timeout=TIME_LIMIT_S)
        self.assertIn("rank 2", out + err)
        self.assertIn("does not answer", out + err)
        self.assertTrue(self.report()["ranks"][2]["lost"])
        self.run_hpips(0, "run", "slow ms=0", picture, "-o", "right.tif", program=ODD_RANK)
        self.assertEqual(self.read("out.tif"), self.read("right.tif"))
        self.assertEqual(self.leftovers(), [])

    def test_rank_0_goes_on_alone(self):
        picture = self.picture(width=160, height=128)
        job = self.start(3, "run", "slow ms=80", picture, "-o", "out.tif", "--tile", 32, "--silent", 3,
                         program=ODD_RANK, survive=True)
        wait_until(lambda: self.tiles_in_journal("out.tif") > 2, "some tiles are done")
        for rank in (1, 2):
            os.kill(self.rank_pid(job, rank), signal.SIGKILL)
        job.communicate(timeout=TIME_LIMIT_S)
        self.run_hpips(0, "run", "slow ms=0", picture, "-o", "right.tif", program=ODD_RANK)
        self.assertEqual(self.read("out.tif"), self.read("right.tif"))

    def test_a_rank_that_stops_is_given_up_and_may_come_back(self):
        picture = self.picture(width=256, height=256)
        job = self.start(2, "run", "slow ms=120", picture, "-o", "out.tif", "--tile", 32, "--silent", 3,
                         program=ODD_RANK)
        wait_until(lambda: self.tiles_in_journal("out.tif") > 3, "some tiles are done")
        pid = self.rank_pid(job, 1)
        os.kill(pid, signal.SIGSTOP)
        before = self.tiles_in_journal("out.tif")
        wait_until(lambda: self.tiles_in_journal("out.tif") > before + 35 or job.poll() is not None,
                   "rank 0 goes on")
        os.kill(pid, signal.SIGCONT)
        text = self.finish(job)
        self.assertIn("rank 1", text)
        self.run_hpips(0, "run", "slow ms=0", picture, "-o", "right.tif", program=ODD_RANK)
        self.assertEqual(self.read("out.tif"), self.read("right.tif"))

    # ---- going on

    def kill_everything_at(self, ranks, output, tiles, *words):
        job = self.start(ranks, *words, program=ODD_RANK)
        wait_until(lambda: self.tiles_in_journal(output) >= tiles, f"{tiles} tiles are done")
        for pid in reversed(descendants(job.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        job.wait()

    def test_resume_after_a_kill_of_everything(self):
        picture = self.picture()
        words = ("run", "slow ms=40", picture, "-o", "out.png", "--tile", 32)
        self.run_hpips(0, "run", "slow ms=0", picture, "-o", "right.png", program=ODD_RANK)
        for ranks, tiles in ((0, 5), (3, 20), (0, 40)):
            more = () if tiles == 5 else ("--resume",)
            self.kill_everything_at(ranks, "out.png", tiles, *words, *more)
            self.assertFalse(os.path.exists(self.path("out.png")))
        self.assertIn("--resume", self.run_hpips(0, *words, code=1, program=ODD_RANK))
        # Another pipeline has no use for these tiles.
        other = ("run", "slow ms=41", picture, "-o", "out.png", "--resume")
        self.assertIn("another pipeline", self.run_hpips(0, *other, code=1, program=ODD_RANK))
        # Without --tile it takes that of the run before.
        self.run_hpips(2, "run", "slow ms=40", picture, "-o", "out.png", "--resume", "--report", "report.json",
                       program=ODD_RANK)
        self.assertEqual(self.read("out.png"), self.read("right.png"))
        self.assertLessEqual(sum(rank["tiles"] for rank in self.report()["ranks"]), 90 - 40)
        self.assertEqual(self.leftovers(), [])

    def test_who_interrupts_it_is_told_how_it_goes_on(self):
        words = ("run", "slow ms=100", self.picture(), "-o", "out.png", "--tile", 32)
        job = self.start(0, *words, program=ODD_RANK)
        wait_until(lambda: self.tiles_in_journal("out.png") >= 3, "three tiles are done")
        job.send_signal(signal.SIGINT)
        self.assertIn("--resume", self.finish(job, -signal.SIGINT))
        self.assertIn("of them kept", self.run_hpips(0, *words, "--resume", program=ODD_RANK))

    def test_what_is_ignored_stays_so(self):
        words = [ODD_RANK, "run", "slow ms=30", self.picture(), "-o", "out.png", "--tile", "32"]
        job = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
                               env=self.environment, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        self.addCleanup(self.end, job)
        wait_until(lambda: self.tiles_in_journal("out.png") >= 3, "three tiles are done")
        job.send_signal(signal.SIGINT)
        self.assertNotIn("interrupted", self.finish(job))

    def test_a_batch_goes_on_where_it_was(self):
        pictures = [self.picture(f"{name}.tif", 64, 64) for name in "abc"]
        words = ("run", "slow ms=100", *pictures, "-o", "out/", "--tile", 16)
        self.kill_everything_at(0, "out/b.tif", 2, *words, "--threads", 1)
        self.assertTrue(os.path.exists(self.path("out/a.tif")))
        before = os.stat(self.path("out/a.tif")).st_mtime_ns
        self.run_hpips(0, *words, "--resume", program=ODD_RANK)
        self.assertEqual(os.stat(self.path("out/a.tif")).st_mtime_ns, before)
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["a.tif", "b.tif", "c.tif"])

    # ---- ranks that lie

    def test_verify_finds_who_computes_otherwise(self):
        pictures = [self.picture(f"{name}.tif") for name in "ab"]
        self.run_hpips(0, "run", "odd", *pictures, "-o", "right/", program=ODD_RANK)
        text = self.run_hpips(4, "run", "odd | slow ms=20", *pictures, "-o", "out/", "--tile", 32, "--verify", 0.5,
                              "--report", "report.json", code=5, program=ODD_RANK,
                              environment={"HPIPS_TEST_ODD": "2"})
        self.assertIn("rank 2", text)
        for name in "ab":
            self.assertEqual(self.read(f"out/{name}.tif"), self.read(f"right/{name}.tif"))
        self.assertEqual([rank["odd"] for rank in self.report()["ranks"]], [False, False, True, False])
        self.assertGreater(self.report()["verify"]["seed"], 0)

    def test_two_liars_do_not_outvote_home(self):
        picture = self.picture()
        self.run_hpips(0, "run", "odd", picture, "-o", "right.tif", program=ODD_RANK)
        self.run_hpips(3, "run", "odd | slow ms=20", picture, "-o", "out.tif", "--tile", 32, "--verify", 1,
                       code=5, program=ODD_RANK, environment={"HPIPS_TEST_ODD": "1,2"})
        self.assertEqual(self.read("out.tif"), self.read("right.tif"))

    def test_honest_ranks_are_not_accused(self):
        picture = self.picture()
        self.run_hpips(3, "run", "denoise search=3 | blur", picture, "-o", "out.tif", "--tile", 64, "--verify", 1,
                       "--report", "report.json")
        self.assertEqual(self.report()["images"][0]["verified_tiles"], 25)
        alone = self.run_hpips(0, "run", "blur", picture, "-o", "two.tif", "--verify", 1)
        self.assertIn("proves little", alone)

    # ---- bad pictures and words

    def test_bad_pictures_are_named_and_the_others_done(self):
        good = self.picture("good.tif")
        whole = self.read("good.tif")
        bad = [
            self.write("empty.tif", b""),
            self.write("text.png", b"not a picture\n" * 100),
            self.write("torn.png", png(300, 300, 3, noise(270000))[:2000]),
            self.write("torn.tif", whole[:8000]),
            self.write("absurd.tif", tiff(300, 16, 3, noise(300 * 16 * 3), said=2**31 - 1)),
            self.write("short.tif", tiff(300, 16, 3, noise(300 * 16 * 3), said=200)),
            self.write("bomb.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
                ">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")),
            self.path("none.tif"),
            self.folder,
        ]
        os.mkfifo(self.path("pipe.tif"))
        bad.append(self.path("pipe.tif"))
        for ranks in (0, 3):
            out = self.run_hpips(ranks, "run", "blur", *bad, good, "-o", f"out{ranks}/", code=1)
            for path in bad:
                self.assertIn(path + ": ", out)
            self.assertIn("10 of 11 images failed", out)
            # The list is for --resume, which leaves alone what is done.
            self.assertEqual(sorted(os.listdir(self.path(f"out{ranks}"))), ["good.tif", "hpips-done"])
        again = self.run_hpips(0, "run", "blur", bad[0], good, "-o", "out0/", "--resume", code=1)
        self.assertIn("out0/good.tif is there already", again)

    def test_the_input_is_never_the_output(self):
        picture = self.picture()
        before = self.read("in.tif")
        self.assertIn("replace the input", self.run_hpips(0, "run", "blur", picture, "-o", ".", code=1))
        self.assertEqual(self.read("in.tif"), before)

    def test_a_name_that_is_none_for_the_output_is_said(self):
        picture, other = self.picture(), self.picture("other.tif")
        for words in ((picture, "-o", "out.gif"), (picture, other, "-o", "out.tif")):
            self.assertIn("a folder's name ends in /", self.run_hpips(0, "run", "invert", *words, code=2))
        self.run_hpips(0, "run", "invert", picture, "-o", "out.2026/")
        self.assertEqual(os.listdir(self.path("out.2026")), ["in.tif"])

    def test_a_full_disk_is_said(self):
        picture = self.picture()
        done = subprocess.run(["sh", "-c", f"ulimit -f 100; exec {HPIPS} run invert {picture} -o out.tif --tile 64"],
                              capture_output=True, text=True, cwd=self.folder, env=self.environment,
                              timeout=TIME_LIMIT_S, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        self.assertEqual(done.returncode, 1)
        self.assertIn("--resume", done.stderr)
        self.run_hpips(0, "run", "invert", picture, "-o", "out.tif", "--resume")
        self.run_hpips(0, "run", "invert", picture, "-o", "right.tif")
        self.assertEqual(self.read("out.tif"), self.read("right.tif"))

    def test_wrong_words_end_every_rank(self):
        for words in (("run", "blur sigma=0", "a.tif", "-o", "out/"), ("run", "blur"), ("run", "none.hpips", "a", "-o", "b/"),
                      ("ops", "blurr"), ("run", "blur", "a/x.tif", "b/x.tif", "-o", "out/"), ("fly",), ("run", "--no")):
            for ranks in (0, 2):
                self.run_hpips(ranks, *words, code=2)
        self.assertIn("         ^", self.run_hpips(0, "run", "blur | blur sigma=x", "a", "-o", "b/", code=2))

    def test_ops_info_dry_run_and_an_own_operator(self):
        picture = self.picture()
        names = [op["name"] for op in json.loads(self.run_hpips(0, "ops", "--json"))]
        self.assertIn("denoise", names)
        self.assertIn("sigma=2", self.run_hpips(0, "ops", "blur"))
        info = json.loads(self.run_hpips(0, "info", "--json", picture))
        self.assertEqual((info[0]["width"], info[0]["height"], info[0]["format"]), (300, 260, "tif"))
        dry = self.run_hpips(0, "run", "denoise", picture, "--dry-run")
        self.assertIn("GHz", dry)
        self.assertIn("halo of 13", dry)
        self.run_hpips(2, "run", "posterize tones=3 | median", picture, "-o", "poster.png", program=MY_OPERATOR)
        self.run_hpips(0, "run", "posterize tones=3 | median", picture, "-o", "poster1.png", program=MY_OPERATOR)
        self.assertEqual(self.read("poster.png"), self.read("poster1.png"))


if __name__ == "__main__":
    if not os.path.exists(HPIPS):
        print("hpips is not built: libvips-dev or libtiff-dev is missing")
        sys.exit(77)
    unittest.main()
