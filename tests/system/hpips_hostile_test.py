# SPDX-License-Identifier: BSD-3-Clause
"""Pictures that were made to do harm: files of every format with bytes changed, cut, doubled and with
numbers that are absurd, thousands of them, in batches among good ones. hpips names what it cannot read,
never dies, takes no more memory than it is allowed, leaves nothing half-written, and does the good ones.

The seed is printed; CHAIN_TEST_SEED repeats it, CHAIN_TEST_PICTURES says how many pictures (1500).
What kills it is kept in hostile-pictures/ where the test runs.
"""

import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from hpips_test import HPIPS, noise, png, tiff

PICTURES = int(os.environ.get("CHAIN_TEST_PICTURES", "1500"))
SEED = int(os.environ.get("CHAIN_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))
BATCH = 150
MEMORY_BYTES = 3 << 30  # of addresses; libraries and threads take half a GiB of them
BATCH_LIMIT_S = 240
NUMBERS = (0, 1, 2, 3, 7, 8, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
KEPT = "hostile-pictures"


def hpips(folder, *words):
    def limits():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    return subprocess.run([HPIPS, *words], cwd=folder, capture_output=True, text=True, errors="replace",
                          timeout=BATCH_LIMIT_S, preexec_fn=limits)


def make_seeds(folder):
    """By format: small pictures that are right."""
    def write(name, content):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(content)

    write("strips.tif", tiff(70, 50, 3, noise(70 * 50 * 3)))
    write("grey.tif", tiff(33, 40, 1, noise(33 * 40)))
    write("alpha.png", png(60, 45, 4, noise(60 * 45 * 4)))
    made = [("invert", "tiles.tif"), ("blur", "photo.jpg"), ("blur", "photo.webp"), ("depth to=16", "deep.tif"),
            ("depth to=16", "deep.png"), ("depth to=float", "float.tif")]
    for pipeline, name in made:
        done = hpips(folder, "run", pipeline, "strips.tif", "-o", name)
        assert done.returncode == 0, done.stderr
    return {name: open(f"{folder}/{name}", "rb").read() for name in sorted(os.listdir(folder))}


def spoil(data, source):
    """One to four changes of one of these kinds."""
    data = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        kind = source.randrange(7)
        at = source.randrange(len(data)) if data else 0
        # Headers and directories are where the harm is: at the beginning, and in TIFF at the end.
        if source.randrange(3) and data:
            at = source.choice((source.randrange(min(96, len(data))), len(data) - 1 - source.randrange(min(260, len(data)))))
        if kind == 0:
            data[at:at + 1] = bytes([source.randrange(256)])
        elif kind == 1:
            data[at:at + 4] = struct.pack(source.choice("<>") + "I", source.choice(NUMBERS))
        elif kind == 2:
            data[at:at + 2] = struct.pack(source.choice("<>") + "H", source.choice(NUMBERS) & 0xFFFF)
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            del data[at:at + source.randrange(1, 40)]
        elif kind == 5:
            data[at:at] = source.randbytes(source.randrange(1, 40))
        else:
            piece = data[at:at + source.randrange(1, 200)]
            to = source.randrange(len(data) + 1)
            data[to:to + len(piece)] = piece
    return bytes(data)


def check_batch(folder, pictures, right):
    """What hpips makes of `pictures`, a good one among them."""
    done = hpips(folder, "run", "invert", *pictures, "-o", "out/")
    assert done.returncode in (0, 1), f"exit code {done.returncode}: {done.stderr[-2000:]}"
    there = os.listdir(f"{folder}/out")
    failed = 0
    for path in pictures:
        name = os.path.basename(path)
        stem = name.rsplit(".", 1)[0]
        is_there = any(one == name or one.startswith(stem + "-") for one in there)
        is_named = f"{path}: " in done.stderr
        assert is_there or is_named, f"{path}: neither done nor named: {done.stderr[-2000:]}"
        failed += not is_there
    assert (failed == 0) or done.returncode == 1, "a failure that the exit code does not tell"
    left = [one for one in there if ".hpips-" in one]
    assert not left, f"half-written: {left}"
    with open(f"{folder}/out/good.tif", "rb") as file:
        assert file.read() == right, "the good picture among them is another one"
    return failed


def keep_the_culprit(folder, pictures):
    """One by one, to name the file that it was."""
    os.makedirs(KEPT, exist_ok=True)
    for path in pictures:
        shutil.rmtree(f"{folder}/out", ignore_errors=True)
        try:
            code = hpips(folder, "run", "invert", path, "-o", "out/").returncode
        except subprocess.TimeoutExpired:
            code = "none in time"
        if code not in (0, 1):
            shutil.copy(f"{folder}/{path}", KEPT)
            print(f"exit code {code}: {os.path.abspath(KEPT)}/{os.path.basename(path)}")


def main():
    source = random.Random(SEED)
    print(f"seed {SEED}, {PICTURES} pictures", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        seeds = make_seeds(folder)
        assert hpips(folder, "run", "invert", "strips.tif", "-o", "right.tif").returncode == 0
        with open(f"{folder}/right.tif", "rb") as file:
            right = file.read()
        began = time.monotonic()
        failed = 0
        for number in range(0, PICTURES, BATCH):
            shutil.rmtree(f"{folder}/bad", ignore_errors=True)
            shutil.rmtree(f"{folder}/out", ignore_errors=True)
            os.mkdir(f"{folder}/bad")
            pictures = []
            for i in range(min(BATCH, PICTURES - number)):
                name = source.choice(sorted(seeds))
                path = f"bad/{number + i}{os.path.splitext(name)[1]}"
                with open(f"{folder}/{path}", "wb") as file:
                    file.write(spoil(seeds[name], source))
                pictures.append(path)
            shutil.copy(f"{folder}/strips.tif", f"{folder}/bad/good.tif")
            pictures.insert(source.randrange(len(pictures)), "bad/good.tif")
            try:
                failed += check_batch(folder, pictures, right)
            except (AssertionError, OSError, subprocess.SubprocessError):
                keep_the_culprit(folder, pictures)
                raise
        print(f"{PICTURES} pictures in {time.monotonic() - began:.0f} s: {failed} refused, the others read; none killed it")
        assert PICTURES * 0.1 < failed < PICTURES, "nothing was spoilt, or all"
    return 0


if __name__ == "__main__":
    if not os.path.exists(HPIPS):
        print("hpips is not built: libvips-dev or libtiff-dev is missing")
        sys.exit(77)
    sys.exit(main())
