# SPDX-License-Identifier: BSD-3-Clause
"""hpips against libvips and OpenCV: the same pipelines, in one run, on the same two cores; and what
ranks bring and cost.

The three take turns (A B C A B C …); the first round warms the disk's cache and is not counted (of large
images, which do not stay there, there is one round only); each figure is the median of the others. A run is
over when its output is on the disk.

Environment: TEST_BUILD_DIR; BENCH_ROUNDS; HPIPS_SIDES, the images' sides in pixels; HPIPS_RANKS_SIDE,
that of the one which ranks share.
"""

import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
from figures import figure  # noqa: E402
from quotas import Quotas  # noqa: E402

BUILD = os.environ["TEST_BUILD_DIR"]
HPIPS = f"{BUILD}/bin/hpips"
RIVALS = f"{BUILD}/tests/bench/image_rivals"
ROUNDS = int(os.environ["BENCH_ROUNDS"])
SIDES = [int(side) for side in os.environ.get("HPIPS_SIDES", "3000 10000 30000").split()]
LARGE_SIDE = 20_000
RANKS_ROUNDS = 2 * ROUNDS + 1
# Of what ranks share: a job of seconds, or what starting takes would be measured.
RANKS_SIDE = int(os.environ.get("HPIPS_RANKS_SIDE", "2000"))
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
# By the ending of the files. Compressed ones: what there is to do besides on the same cores.
TASKS = {"tif": list(PIPELINES), "deflate.tif": ["blur"]}
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


def make_image(folder, side, ending="tif"):
    """A photograph, side by side, as a TIFF of tiles; without compression unless `ending` says so."""
    path = f"{folder}/{side}.{ending}"
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
    """A rival that fails once is not asked again, and has no figures."""
    turns = []
    programs = dict(programs)
    for turn in range(rounds + 1):
        taken = {}
        for name, words in list(programs.items()):
            try:
                taken[name] = run(words, out)
            except RuntimeError as problem:
                if name == "hpips":
                    raise
                del programs[name]
                print(f"{name} FAILED: {problem}".strip(), flush=True)
        if turn > 0 or rounds == 0:
            turns.append(taken)
    return [{name: turn[name] for name in programs} for turn in turns]


def median(turns, value):
    return statistics.median(value(turn) for turn in turns)


def against_rivals(folder):
    peaks = {}
    for side in SIDES:
        for ending, tasks in TASKS.items():
            image = make_image(folder, side, ending)
            for task in tasks:
                name = task if ending == "tif" else f"{task}_{ending.split('.')[0]}"
                peak = compare(name, side, ways(task, image, f"{folder}/out.{ending}"), f"{folder}/out.{ending}")
                peaks.setdefault(name, []).append(peak)
            os.unlink(image)
    # Of the largest image, against the next one: a share of its size would be nine times as much.
    for name, taken in peaks.items():
        if len(taken) > 1:
            figure(f"hpips_memory_{name}_free_of_size", taken[-2] / taken[-1], "times", 0.7)


def compare(task, side, programs, out):
    """Prints the figures; hpips' memory."""
    turns = take_turns(programs, out, ROUNDS if side < LARGE_SIDE else 0)
    name = f"hpips_{task}_{side}"
    figure(name, median(turns, lambda turn: turn["hpips"][0]), "s")
    for rival, goal in (("vips", 1.0), ("opencv", None)):
        if rival in turns[0]:
            figure(f"{name}_{rival}_to_hpips",
                   median(turns, lambda turn, of=rival: turn[of][0] / turn["hpips"][0]), "times", goal)
    for program in turns[0]:
        figure(f"{name}_memory_{program}",
               median(turns, lambda turn, of=program: turn[of][1]), "MiB", places=0)
    return median(turns, lambda turn: turn["hpips"][1])


def own_clock(words, out, report):
    """How long it took, as the program itself says."""
    run(words, out)
    with open(report, encoding="utf-8") as file:
        return json.load(file)["wall_s"]


def ranks(folder):
    """By the program's own clock: what mpirun takes to start and to end stands beside it. The least of
    several: what is only computed is disturbed by others of the machine, never helped. Two copies that
    run at once, each alone with the whole image, are the limit: what two processors give if both are
    wanted."""
    image = make_image(folder, RANKS_SIDE)
    out, report = f"{folder}/out.tif", f"{folder}/report.json"

    def take(words):
        began = time.monotonic()
        own_s = own_clock(words, out, report)
        return own_s, time.monotonic() - began - own_s

    def take_two(words):
        with concurrent.futures.ThreadPoolExecutor() as threads:
            places = [(f"{folder}/copy{copy}.tif", f"{folder}/copy{copy}.json") for copy in range(2)]
            return max(threads.map(lambda place: own_clock(words(*place), *place), places))

    for task, pipeline in HEAVY.items():
        def alone(out, report, pipeline=pipeline):
            return [HPIPS, "run", pipeline, image, "-o", out, "--quiet", "--report", report, "--threads", "1"]

        mpirun = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe"]
        turns = [{"alone": take(alone(out, report)),
                  "one": take([*mpirun, "-n", "1", *alone(out, report)]),
                  "two": take([*mpirun, "-n", "2", *alone(out, report)]),
                  "copies": (take_two(alone), 0)} for _ in range(RANKS_ROUNDS)]
        least = {name: min(turn[name][0] for turn in turns) for name in turns[0]}
        figure(f"hpips_{task}_one_thread", least["alone"], "s")
        figure(f"hpips_{task}_1_to_2_ranks", least["one"] / least["two"], "times", 1.85)
        figure(f"hpips_{task}_2_copies_to_2_ranks", least["copies"] / 2 / least["two"], "of the limit", 0.925)
        figure(f"hpips_{task}_alone_to_1_rank", least["alone"] / least["one"], "times", 0.98, places=3)
        figure(f"hpips_{task}_mpirun_around_it", median(turns, lambda turn: turn["one"][1]), "s")


# What each rank gets of a processor.
SHARES = [1, 0.5, 0.25]


def wrapper_into(quotas, path):
    """A program that joins the group of its rank (the first has none) and becomes what follows."""
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\ncase $OMPI_COMM_WORLD_RANK in\n")
        for rank, folder in enumerate(quotas.folders, 1):
            file.write(f"{rank}) echo $$ >{folder}/cgroup.procs ;;\n")
        file.write('esac\nexec "$@"\n')
    os.chmod(path, 0o755)
    return path


def uneven(folder):
    """Ranks of which the second has half a processor, and the third a quarter: against the ideal split,
    which is three programs at once, each by itself with as much of the image as its share."""
    try:
        quotas = Quotas("hpips-bench", SHARES[1:])
    except OSError as problem:
        print(f"hpips_uneven_ranks SKIPPED: no control groups here ({problem})")
        return
    image = make_image(folder, RANKS_SIDE)
    wrapper = wrapper_into(quotas, f"{folder}/wrapper")

    def job(pipeline, name):
        return [wrapper, HPIPS, "run", pipeline, image, "-o", f"{folder}/{name}.tif", "--quiet", "--report",
                f"{folder}/{name}.json", "--tile", "128", "--threads", "1"]

    def take(words, name):
        return own_clock(words, f"{folder}/{name}.tif", f"{folder}/{name}.json")

    def take_split():
        edges = [round(RANKS_SIDE * sum(SHARES[:part]) / sum(SHARES)) for part in range(len(SHARES) + 1)]
        parts = [(f"crop y={above} height={below - above} | {HEAVY['denoise']}", part)
                 for part, (above, below) in enumerate(zip(edges, edges[1:]))]
        with concurrent.futures.ThreadPoolExecutor() as threads:
            return max(threads.map(
                lambda part: take(["env", f"OMPI_COMM_WORLD_RANK={part[1]}", *job(part[0], part[1])], part[1]), parts))

    mpirun = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe", "-n", str(len(SHARES))]
    try:
        turns = [{"split": take_split(), "ranks": take([*mpirun, *job(HEAVY["denoise"], "out")], "out")}
                 for _ in range(RANKS_ROUNDS)]
    finally:
        quotas.remove()
    figure("hpips_uneven_ranks_to_ideal",
           median(turns, lambda turn: turn["split"] / turn["ranks"]), "times", 0.9)


def main():
    with tempfile.TemporaryDirectory(prefix="hpips-bench-") as folder:
        against_rivals(folder)
        ranks(folder)
        uneven(folder)


if __name__ == "__main__":
    main()
