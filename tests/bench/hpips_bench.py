# SPDX-License-Identifier: BSD-3-Clause
"""hpips against libvips and OpenCV: the same pipelines, in one run, on the same two cores; and what
ranks bring and cost.

The three take turns (A B C A B C …); the first round warms the disk's cache and is not counted (of large
images, which do not stay there, there is one round only); each figure is the median of the others. A run is
over when its output is on the disk.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS; HPIPS_SIDES, the images' sides in pixels.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
from figures import figure  # noqa: E402

BUILD = os.environ["TEST_BUILD_DIR"]
HPIPS = f"{BUILD}/bin/hpips"
RIVALS = f"{BUILD}/tests/bench/image_rivals"
ROUNDS = int(os.environ["BENCH_ROUNDS"])
SIDES = [int(side) for side in os.environ.get("HPIPS_SIDES", "3000 10000 30000").split()]
LARGE_SIDE = 20_000
PHOTO = "/usr/share/visp-images-data/ViSP-images/Klimt/Klimt.png"
# OpenCV reads no more than this without being told, and wants all of it in memory several times.
OPENCV_PIXELS_MAX = 1 << 30

# By the rivals' names for them.
PIPELINES = {
    "shrink": "crop x=100 y=100 | shrink factor=2",
    "levels": "levels black=0.05 white=0.95",
    "blur": "blur sigma=2",
    "sharpen": "sharpen radius=2 amount=0.5",
    "median": "median radius=1",
}
HEAVY = {
    "denoise": "denoise strength=7 search=7",
    "bilateral": "bilateral radius=5",
    "deconvolve": "deconvolve sigma=1.5 iterations=10",
}


def run(words, out):
    """Wall time until `out` is on the disk, and the peak memory in MiB."""
    if os.path.exists(out):
        os.unlink(out)
    began = time.monotonic()
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{words}: {child.returncode}\n{error}")
    with open(out, "rb") as file:
        os.fsync(file.fileno())
    return time.monotonic() - began, usage.ru_maxrss / 1024


def make_image(folder, side):
    """A photograph, side by side, as a TIFF of tiles without compression."""
    path = f"{folder}/{side}.tif"
    subprocess.run([RIVALS, "make", str(side), PHOTO, path], check=True)
    return path


def ways(task, image, out):
    alone = [HPIPS, "run", PIPELINES[task], image, "-o", out, "--threads", "2", "--quiet"]
    programs = {"hpips": alone, "vips": [RIVALS, "vips", task, image, out]}
    side = int(os.path.basename(image).split(".")[0])
    if side * side < OPENCV_PIXELS_MAX:
        programs["opencv"] = [RIVALS, "opencv", task, image, out]
    return programs


def take_turns(programs, out, rounds=ROUNDS):
    turns = []
    for turn in range(rounds + 1):
        taken = {name: run(words, out) for name, words in programs.items()}
        if turn > 0 or rounds == 0:
            turns.append(taken)
    return turns


def median(turns, value):
    return statistics.median(value(turn) for turn in turns)


def against_rivals(folder):
    peaks = {}
    for side in SIDES:
        image = make_image(folder, side)
        for task in PIPELINES:
            turns = take_turns(ways(task, image, f"{folder}/out.tif"), f"{folder}/out.tif",
                               ROUNDS if side < LARGE_SIDE else 0)
            name = f"hpips_{task}_{side}"
            figure(name, median(turns, lambda turn: turn["hpips"][0]), "s")
            figure(f"{name}_vips_to_hpips",
                   median(turns, lambda turn: turn["vips"][0] / turn["hpips"][0]), "times", 1.0)
            if "opencv" in turns[0]:
                figure(f"{name}_opencv_to_hpips",
                       median(turns, lambda turn: turn["opencv"][0] / turn["hpips"][0]), "times")
            for program in turns[0]:
                figure(f"{name}_memory_{program}",
                       median(turns, lambda turn, of=program: turn[of][1]), "MiB", places=0)
            peaks.setdefault(task, []).append(median(turns, lambda turn: turn["hpips"][1]))
        os.unlink(image)
    # Of the largest image, against the next one: a share of its size would be nine times as much.
    for task, taken in peaks.items():
        if len(taken) > 1:
            figure(f"hpips_memory_{task}_free_of_size", taken[-2] / taken[-1], "times", 0.7)


def ranks(folder):
    image = make_image(folder, min(1500, SIDES[-1] // 4))
    out = f"{folder}/out.tif"
    for task, pipeline in HEAVY.items():
        job = [HPIPS, "run", pipeline, image, "-o", out, "--quiet"]
        mpirun = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe"]
        turns = take_turns({"alone": [*job, "--threads", "1"], "one": [*mpirun, "-n", "1", *job],
                            "two": [*mpirun, "-n", "2", *job]}, out)
        figure(f"hpips_{task}_one_thread", median(turns, lambda turn: turn["alone"][0]), "s")
        figure(f"hpips_{task}_1_to_2_ranks",
               median(turns, lambda turn: turn["one"][0] / turn["two"][0]), "times", 1.85)
        figure(f"hpips_{task}_alone_to_1_rank",
               median(turns, lambda turn: turn["alone"][0] / turn["one"][0]), "times", 0.98,
               places=3)


def main():
    with tempfile.TemporaryDirectory(prefix="hpips-bench-") as folder:
        against_rivals(folder)
        ranks(folder)


if __name__ == "__main__":
    main()
