# SPDX-License-Identifier: BSD-3-Clause
"""Files to the peers and back: nothing twice, nothing damaged, nothing lost when a daemon dies amid.

CHAIN_STAGE_BYTES says how large the file is that daemons die over; CHAIN_TEST_SEED repeats moments.
"""

import glob
import hashlib
import os
import random
import sys
import time

from chain_devnet import Devnet, run_tests, say, wait_until

SIZE_BYTES = int(os.environ.get("CHAIN_STAGE_BYTES", str(1 << 30)))
SEED = int(os.environ.get("CHAIN_TEST_SEED", str(random.SystemRandom().randrange(1 << 32))))
# What is on its way when a daemon dies, and what it has not told the disk.
LOST_PER_KILL_BYTES = 16 << 20
OVERHEAD_BYTES = 2 << 20


def sent_bytes(node):
    """To all peers that it is connected with now."""
    return sum(peer["sent_bytes"] for peer in node.call("peer", "list")["peers"])


def make_file(path, size_bytes, seed=1):
    random_bytes = random.Random(seed)
    with open(path, "wb") as file:
        for begin in range(0, size_bytes, 1 << 20):
            file.write(random_bytes.randbytes(min(1 << 20, size_bytes - begin)))


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if sys.version_info >= (3, 11) \
            else hashlib.sha256(file.read()).hexdigest()


def cached_files(node):
    return [path for path in glob.glob(f"{node.data_folder}/cache/*/*") if os.path.isfile(path)]


def lease(net, *words, rc=0, timeout_s=300):
    run = net.mpirun("--chain-lease", 1, "-np", 1, *words, timeout_s=timeout_s)
    assert rc is None or (run.rc == 0) == (rc == 0), run.text()
    return run




def nothing_is_sent_twice(net):
    net.wait_offers()
    provider, = net.providers
    make_file(f"{net.folder}/data", 64 << 20)
    digest = sha256_of(f"{net.folder}/data")
    for folder_name, copies in (("first", 1), ("again", 0), ("other", 0)):
        if folder_name == "other":  # another name, the same content
            os.rename(f"{net.folder}/data", f"{net.folder}/renamed")
        name = "renamed" if folder_name == "other" else "data"
        before = sent_bytes(net.renter)
        run = lease(net, "sha256sum", f"{net.folder}/{name}")
        assert digest in run.out, run.text()
        sent = sent_bytes(net.renter) - before
        say(f"   {folder_name}: {sent} bytes sent")
        assert copies * (64 << 20) <= sent < copies * (64 << 20) + OVERHEAD_BYTES, sent
    # Damaged on the peer's disk: seen, and sent anew.
    kept, = [path for path in cached_files(provider) if os.path.getsize(path) == 64 << 20]
    with open(kept, "r+b") as file:
        file.seek(10_000_000)
        byte = file.read(1)
        file.seek(10_000_000)
        file.write(bytes([byte[0] ^ 1]))
    run = lease(net, "sha256sum", f"{net.folder}/renamed")
    assert digest in run.out, run.text()
    assert sha256_of(kept) == digest
    # The cache stays when the daemon does not.
    provider.kill()
    provider.restart()
    net.wait_offers()
    before = sent_bytes(net.renter)
    lease(net, "sha256sum", f"{net.folder}/renamed")
    assert sent_bytes(net.renter) - before < OVERHEAD_BYTES
    os.unlink(f"{net.folder}/renamed")


def killed_on_the_way_in(net):
    """Renter and provider die in turn while the file is sent: each try goes on where it was."""
    net.wait_offers()
    say(f"   seed {SEED}")
    moments = random.Random(SEED)
    provider, = net.providers
    big = f"{net.folder}/big"
    make_file(big, SIZE_BYTES, 2)
    digest = sha256_of(big)
    sent, kills = 0, 0
    victims = (provider, net.renter, provider, net.renter)
    for victim, moment in zip(victims, sorted(moments.random() for _ in victims)):
        job = net.start_mpirun("--chain-lease", 1, "-np", 1, "sha256sum", big, report=False)
        there = max(progress_of(provider) + 1, int(moment * SIZE_BYTES))
        wait_until(lambda: progress_of(provider) >= there or not job.is_running(), 60,
                   "the file is on its way", 0.002)
        if not job.is_running():
            break
        sent += received_bytes(provider) if victim is net.renter else sent_bytes(net.renter)
        victim.kill()
        kills += 1
        run = job.wait(60)
        assert run.rc != 0, run.text()
        victim.restart()
        net.wait_offers()
        say(f"   after the kill of {victim.name}, {progress_of(provider)} bytes are there")
    before = sent_bytes(net.renter)
    run = lease(net, "sha256sum", big)
    assert digest in run.out, run.text()
    sent += sent_bytes(net.renter) - before
    say(f"   {kills} kills; {sent} bytes sent for {SIZE_BYTES}")
    assert kills > 0 and sent < SIZE_BYTES + kills * LOST_PER_KILL_BYTES + OVERHEAD_BYTES, sent
    os.unlink(big)


def progress_of(provider):
    """Bytes of the largest content that is on its way to it."""
    sizes = [0]
    for path in glob.glob(f"{provider.data_folder}/cache/*/*.part"):
        try:
            sizes.append(os.path.getsize(path))
        except FileNotFoundError:
            pass
    return max(sizes)


def received_bytes(node):
    return sum(peer["received_bytes"] for peer in node.call("peer", "list")["peers"])


def killed_on_the_way_back(net):
    """Renter and provider die while results come: fetched, all of them, and the right ones."""
    net.wait_offers()
    moments = random.Random(SEED + 1)
    provider, = net.providers
    for victim in (net.renter, provider):
        make = f"head -c {SIZE_BYTES} /dev/urandom > made; sha256sum made > digest"
        job = net.start_mpirun("--chain-lease", 1, "-np", 1, "sh", "-c", make, report=False)
        bill = net.wait_running(job=job)
        there = int(moments.uniform(0, 0.9) * SIZE_BYTES)
        wait_until(lambda: coming_bytes(net.renter) > there or not job.is_running(), 120,
                   "results come back", 0.002)
        victim.kill()
        run = job.wait(60)
        assert run.rc != 0 and "lease fetch" in run.err, run.text()
        there = coming_bytes(net.renter)
        victim.restart()
        net.wait_offers()
        say(f"   killed {victim.name} with {there} bytes of the results here")
        before = received_bytes(net.renter)
        done = net.renter.ask("lease", "fetch", bill["lease"], timeout_s=120)
        assert done.returncode == 0, (done.stdout, done.stderr)
        got = received_bytes(net.renter) - before
        say(f"   fetched with {got} bytes more")
        assert got < SIZE_BYTES - there + LOST_PER_KILL_BYTES, got
        with open(f"{job.folder}/digest", encoding="ascii") as file:
            assert file.read().split()[0] == sha256_of(f"{job.folder}/made")
        net.wait_nothing_locked()
        net.wait_no_leftovers(bill["lease"])
        os.unlink(f"{job.folder}/made")


def coming_bytes(node):
    sizes = [0]
    for path in glob.glob(f"{node.data_folder}/results/*/*/*"):
        try:
            sizes.append(os.path.getsize(path))
        except FileNotFoundError:
            pass
    return max(sizes)


def results_of_a_job_that_fails(net):
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", 1, "-np", 1, "sh", "-c", "echo half > half; exit 3")
    run = job.wait(60)
    assert run.rc == 3, run.text()
    with open(f"{job.folder}/half", encoding="ascii") as file:
        assert file.read() == "half\n"


TESTS = [(test.__name__, test) for test in (
    nothing_is_sent_twice, results_of_a_job_that_fails, killed_on_the_way_in,
    killed_on_the_way_back)]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, lambda: Devnet(providers=1, slots=2)))
