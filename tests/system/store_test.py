# SPDX-License-Identifier: BSD-3-Clause
"""Files from and to an S3-compatible store: peers get and put them themselves, and never see a key.

The store is OpenStack Swift, whose own interface, which knows no such signatures, fills it.
"""

import contextlib
import glob
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import swift_server
from chain_devnet import BUILD_FOLDER, Devnet, run_tests, say, wait_until
from swift_server import ACCESS_KEY, SECRET

PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's modules
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1"}
# In no other file of this machine.
WRONG_SECRET = "dM0tXq8vN3-not-to-be-seen-anywhere"
SIZE_BYTES = 32 << 20


def free_ports(count):
    """The first of some in a row."""
    while True:
        first = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in range(first, first + count):
                probes.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


class Store:
    """Swift on loopback, with one bucket."""

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.folder = folder
        self.port = free_ports(4)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        with open(f"{folder}/log", "ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, swift_server.__file__, folder, str(self.port)], env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self.has_bucket, 30, "Swift answers", 0.2)

    def has_bucket(self):
        request = urllib.request.Request(f"{self.endpoint}/auth/v1.0", headers={
            "X-Auth-User": ACCESS_KEY, "X-Auth-Key": SECRET})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            self.url, self.token = answer.headers["X-Storage-Url"], answer.headers["X-Auth-Token"]
            with self.ask("PUT", "/photos") as made:
                return made.status == 201
        return False

    def ask(self, method, path, content=None):
        request = urllib.request.Request(self.url + urllib.parse.quote(path), data=content,
                                         method=method, headers={"X-Auth-Token": self.token})
        return urllib.request.urlopen(request, timeout=60)

    def put(self, key, content):
        with self.ask("PUT", f"/photos/{key}", content) as answer:
            assert answer.status == 201

    def get(self, key):
        try:
            with self.ask("GET", f"/photos/{key}") as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
            return None

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class BadLine:
    """Passes connections on to the store, and cuts each after some bytes of its answer."""

    def __init__(self, port, cut_after):
        self.to_port, self.cut_after, self.cuts = port, list(cut_after), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        with client, socket.create_connection(("127.0.0.1", self.to_port)) as store:
            threading.Thread(target=self.send, args=(client, store), daemon=True).start()
            carried = 0
            limit = None
            with contextlib.suppress(OSError):
                while piece := store.recv(1 << 16):
                    client.sendall(piece)
                    carried += len(piece)
                    # Questions of how large something is are short, and pass.
                    if limit is None and carried > 100_000:
                        limit = self.cut_after.pop(0) if self.cut_after else 1 << 60
                    if limit is not None and carried > limit:
                        self.cuts += 1
                        break
                # A socket that another thread waits for is not closed by closing it.
                client.shutdown(socket.SHUT_RDWR)
                store.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def send(client, store):
        with contextlib.suppress(OSError):
            while piece := client.recv(1 << 16):
                store.sendall(piece)

    def close(self):
        self.listener.close()


store = None


def allow(node, *endpoints):
    """Writes the owner's settings and starts the daemon again."""
    with open(f"{node.data_folder}/settings.toml", "w", encoding="utf-8") as file:
        names = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
        file.write(f"[lend]\nstores = [{names}]\n")
    node.kill()
    node.restart()
    node.net.wait_offers()


@contextlib.contextmanager
def keys(net, endpoint, **more):
    """The renter's environment has keys for a store."""
    given = {**KEYS, "AWS_ENDPOINT_URL": endpoint, **more}
    net.environment.update(given)
    try:
        yield
    finally:
        for name in given:
            net.environment.pop(name, None)


def make_object(key, size_bytes=SIZE_BYTES):
    content = random.Random(key).randbytes(size_bytes)
    store.put(key, content)
    return hashlib.sha256(content).hexdigest()


def lease(net, *words):
    job = net.start_mpirun("--chain-lease", 1, "-np", 1, *words)
    return job, job.wait(90)


def sent_bytes(node):
    return sum(peer["sent_bytes"] for peer in node.call("peer", "list")["peers"])


def peers_fetch_objects(net):
    provider, = net.providers
    digest = make_object("in/data 1.bin")
    net.wait_offers()
    with keys(net, store.endpoint):
        _, run = lease(net, "--chain-stage-in", "s3://photos/in/data 1.bin", "sha256sum",
                       "data 1.bin")
        assert run.rc != 0 and "its owner allows" in run.err, run.text()
        assert provider.name in run.err and "Signature" not in run.text(), run.text()
        allow(provider, store.endpoint)
        before = sent_bytes(net.renter)
        _, run = lease(net, "--chain-stage-in", "s3://photos/in/data 1.bin", "sha256sum",
                       "data 1.bin")
        assert run.rc == 0 and digest in run.out, run.text()
        assert sent_bytes(net.renter) - before < 1 << 20, "the renter sent it"


def results_go_into_the_store(net):
    provider, = net.providers
    allow(provider, store.endpoint)
    with keys(net, store.endpoint):
        job, run = lease(net, "--chain-stage-out", "*.txt,s3://photos/run 1/", "sh", "-c",
                         "mkdir d; echo one > a.txt; echo two > d/ü.txt; : > empty.txt; "
                         "echo no > b.log")
    assert run.rc == 0, run.text()
    assert store.get(f"run 1/{provider.name}/a.txt") == b"one\n"
    assert store.get(f"run 1/{provider.name}/d/ü.txt") == b"two\n"
    assert store.get(f"run 1/{provider.name}/empty.txt") == b""
    assert store.get(f"run 1/{provider.name}/b.log") is None
    assert not os.path.exists(f"{job.folder}/a.txt")
    net.wait_no_leftovers(job.report()["lease"])


def a_bad_line(net):
    provider, = net.providers
    digest = make_object("in/large")
    cuts = sorted(random.randrange(200_000, SIZE_BYTES // 4) for _ in range(3))
    line = BadLine(store.port, cuts)
    allow(provider, line.endpoint)
    with keys(net, line.endpoint):
        _, run = lease(net, "--chain-stage-in", "s3://photos/in/large", "sha256sum", "large")
    assert run.rc == 0 and digest in run.out, run.text()
    assert line.cuts == 3, line.cuts
    line.close()
    # For ever: given up, in words, and nothing is paid.
    line = BadLine(store.port, [200_000] * 100)
    allow(provider, line.endpoint)
    with keys(net, line.endpoint):
        _, run = lease(net, "--chain-stage-in", "s3://photos/in/large", "sha256sum", "large")
    assert run.rc != 0 and "/photos/in/large" in run.err and provider.name in run.err, run.text()
    line.close()
    net.wait_nothing_locked()


def what_is_wrong_is_said(net):
    provider, = net.providers
    allow(provider, store.endpoint)
    make_object("in/small", 1_000)
    stage_in = ("--chain-stage-in", "s3://photos/in/small")
    _, run = lease(net, *stage_in, "true")
    assert run.rc != 0 and "AWS_ACCESS_KEY_ID" in run.err, run.text()
    with keys(net, store.endpoint, AWS_SECRET_ACCESS_KEY=WRONG_SECRET):
        _, run = lease(net, *stage_in, "true")
        assert run.rc != 0 and "403" in run.err and WRONG_SECRET not in run.text(), run.text()
        # What was made is not lost with the key: the peer keeps it.
        job, run = lease(net, "--chain-stage-out", "s3://photos/out/", "sh", "-c", "echo 1 > made")
        assert run.rc != 0 and "403" in run.err and "lease fetch" in run.err, run.text()
        net.renter.call("lease", "fetch", job.report()["lease"])
        with open(f"{job.folder}/made", encoding="ascii") as file:
            assert file.read() == "1\n"
        # Nobody but mpirun and its daemon's memory has seen the key.
        for node in net.nodes.values():
            for path in glob.glob(f"{node.data_folder}/**", recursive=True):
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        content = file.read()
                        assert WRONG_SECRET.encode() not in content, path
    with keys(net, store.endpoint):
        _, run = lease(net, "--chain-stage-in", "s3://photos/in/absent", "true")
        assert run.rc != 0 and "404" in run.err and "s3://photos/in/absent" in run.err, run.text()
        _, run = lease(net, *stage_in, "--chain-stage-max", "100", "true")
        assert run.rc != 0 and "--chain-stage-max" in run.err, run.text()
        _, run = lease(net, "--chain-stage-in", "s3://photos/in/", "true")
        assert run.rc != 0 and "name one object" in run.err, run.text()
        _, run = lease(net, "--chain-stage-out", "s3://no-such-bucket/", "sh", "-c", "echo > made")
        assert run.rc != 0 and "404" in run.err, run.text()
    with keys(net, "http://127.0.0.1:9"):
        started = time.monotonic()
        _, run = lease(net, *stage_in, "true")
        assert run.rc != 0 and "127.0.0.1:9" in run.err, run.text()
        assert time.monotonic() - started < 30
    net.wait_nothing_locked()


TESTS = [(test.__name__, test) for test in (
    peers_fetch_objects, results_go_into_the_store, a_bad_line, what_is_wrong_is_said)]


def main():
    global store
    probe = subprocess.run([PYTHON, "-c", "import swift.common.wsgi"], capture_output=True,
                           check=False)
    if probe.returncode != 0:
        say("a store ... skipped (apt-get install python3-swift)")
        return 77
    store = Store(f"{BUILD_FOLDER}/tests/swift")
    try:
        return run_tests(TESTS, lambda: Devnet(providers=1, slots=2))
    finally:
        store.stop()


if __name__ == "__main__":
    sys.exit(main())
