# SPDX-License-Identifier: BSD-3-Clause
"""Jobs in an image: another root folder, with an Open MPI of its own, sent by the renter as one file.
The root is made of this machine's packages, so that nothing is downloaded; an OCI image of it by umoci."""

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import sys

from chain_devnet import BUILD_FOLDER, Devnet, run_tests, say, wait_until

RING = f"{BUILD_FOLDER}/examples/ring/ring"
PACKAGES = ("openmpi-bin", "openmpi-common", "libopenmpi3", "libpmix2", "dash", "coreutils",
            "libhwloc-plugins")
MARK = "another system\n"


def is_elf(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"
    return False


def copy_into(root, path):
    """A file or link of this machine, under the same name, and what a link points to."""
    to = f"{root}/usr{path}" if path.startswith(("/lib", "/bin", "/sbin")) else root + path
    if os.path.lexists(to) or os.path.isdir(path):
        return
    os.makedirs(os.path.dirname(to), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), to)
        return copy_into(root, os.path.realpath(path))
    return shutil.copy2(path, to)


def make_root(root):
    files = []
    for package in PACKAGES:
        listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
        files += [path for path in listed.stdout.splitlines()
                  if os.path.isfile(path) and not path.startswith(("/usr/share/doc", "/usr/share/man"))]
    programs = [path for path in files if is_elf(path)]
    found = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    for word in found.split():
        if word.startswith("/") and not word.endswith(":") and os.path.isfile(word):
            files.append(word)
    os.makedirs(f"{root}/usr")
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(f"{root}/usr/{name}", exist_ok=True)
        os.symlink(f"usr/{name}", f"{root}/{name}")
    for path in files:
        copy_into(root, path)
    if not os.path.lexists(f"{root}/usr/bin/sh"):
        os.symlink("dash", f"{root}/usr/bin/sh")
    os.makedirs(f"{root}/etc", exist_ok=True)
    with open(f"{root}/etc/image-mark", "w", encoding="ascii") as file:
        file.write(MARK)


class Image:
    """Made once, for all tests."""

    root = packed = None

    @classmethod
    def get(cls, net):
        if cls.root is None:
            cls.folder = f"{BUILD_FOLDER}/tests/image"
            shutil.rmtree(cls.folder, ignore_errors=True)
            cls.root = f"{cls.folder}/root"
            os.makedirs(cls.folder)
            make_root(cls.root)
            cls.packed = f"{cls.folder}/lab.tar"
            pack(net, cls.root, "--output", cls.packed)
            say(f"   the image has {os.path.getsize(cls.packed) >> 20} MiB")
        return cls.packed


def pack(net, *words, fails=None):
    done = subprocess.run(["ompi-chain", "image", *words], env=net.environment, cwd=net.folder,
                          capture_output=True, text=True, check=False, timeout=120)
    if fails is None:
        assert done.returncode == 0, done
    else:
        assert done.returncode != 0 and fails in done.stderr, done
    return done


def lease(net, image, *words, slots=1, rc=0):
    run = net.mpirun("--chain-lease", f"{slots},image={image}", "-np", slots, *words, timeout_s=120)
    assert run.rc == rc or (rc is None and run.rc != 0), run.text()
    return run


def sent_bytes(node):
    return sum(peer["sent_bytes"] for peer in node.call("peer", "list")["peers"])


def jobs_run_in_the_image(net):
    net.wait_offers()
    image = Image.get(net)
    run = lease(net, image, "cat", "/etc/image-mark")
    assert run.out == MARK, run.text()
    run = lease(net, image, "sh", "-c", "ls /usr/bin/python3 /etc/debian_version; id -u; "
                "echo 1 > /usr/mine; echo made > made", rc=0)
    assert "No such file" in run.err and "Read-only" in run.err and run.out.strip() != "0", run.text()
    before = sent_bytes(net.renter)
    run = lease(net, image, RING, slots=2)
    assert sent_bytes(net.renter) - before < 1 << 20, "the image was sent again"
    assert run.report["legs"][0]["cycles"] > 0, run.text()
    net.wait_no_leftovers(run.report["lease"])
    # Without it, the peer's own system.
    run = net.mpirun("--chain-lease", 1, "-np", 1, "cat", "/etc/image-mark")
    assert run.rc != 0, run.text()


def packing_gives_the_same_bytes(net):
    image = Image.get(net)
    again = f"{net.folder}/again.tar"
    pack(net, Image.root, "--output", again)
    with open(image, "rb") as one, open(again, "rb") as two:
        assert one.read() == two.read()
    pack(net, Image.root, "--output", again, fails="is there already")
    pack(net, Image.root, "--output", f"{net.folder}/small.tar.gz")
    assert os.path.getsize(f"{net.folder}/small.tar.gz") < os.path.getsize(again) * 0.7
    run = lease(net, f"{net.folder}/small.tar.gz", "cat", "/etc/image-mark")
    assert run.out == MARK, run.text()


def what_is_no_image_is_said(net):
    net.wait_offers()
    folder = net.folder
    with open(f"{folder}/noise", "wb") as file:
        file.write(os.urandom(100_000))
    Image.get(net)
    os.makedirs(f"{folder}/bare/usr/bin")
    done = pack(net, f"{folder}/bare", "--output", f"{folder}/bare.tar")
    assert "no orted" in done.stderr, done
    # Links that lead out of it lead nowhere: it is unpacked where there is nothing else.
    os.makedirs(f"{folder}/evil/usr/bin")
    os.symlink("/", f"{folder}/evil/etc")
    os.symlink("/etc/passwd", f"{folder}/evil/usr/bin/orted")
    pack(net, f"{folder}/evil", "--output", f"{folder}/evil.tar")
    # A link where the sandbox puts something of its own: nothing of the host is touched.
    victim = f"{folder}/victim"
    os.makedirs(victim)
    os.chmod(victim, 0o777)
    shutil.copytree(Image.root, f"{folder}/linked", symlinks=True)
    os.symlink(f"/oldroot{victim}", f"{folder}/linked/run")
    pack(net, f"{folder}/linked", "--output", f"{folder}/linked.tar")
    for image, words in (("noise", "cannot be unpacked"), ("bare.tar", "no orted"),
                         ("evil.tar", "no orted"), ("linked.tar", "has a link"), ("absent.tar", "there is no such file"),
                         ("bare", "ompi-chain image")):
        run = lease(net, f"{folder}/{image}", "true", rc=None)
        assert words in run.err, (image, run.text())
    assert os.listdir(victim) == [], os.listdir(victim)
    pack(net, f"{folder}/absent", fails="no such folder")
    pack(net, "docker://debian:12", fails="by digest")
    os.makedirs(f"{folder}/neither/data")
    pack(net, f"{folder}/neither", fails="neither a root folder")
    net.wait_nothing_locked()


def oci_images(net):
    if shutil.which("umoci") is None or shutil.which("skopeo") is None:
        say("OCI images ... skipped (apt-get install umoci skopeo)")
        return
    Image.get(net)
    net.wait_offers()
    folder = f"{net.folder}/oci"
    os.makedirs(folder)

    def run(*words):
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    run("umoci", "init", "--layout", "layout")
    run("umoci", "new", "--image", "layout:lab")
    run("umoci", "insert", "--rootless", "--image", "layout:lab", Image.root, "/")
    pack(net, f"{folder}/layout", "--tag", "lab", "--output", f"{folder}/layout.tar")
    assert lease(net, f"{folder}/layout.tar", "cat", "/etc/image-mark").out == MARK
    run("skopeo", "copy", "oci:layout:lab", "oci-archive:archive.tar:lab")
    pack(net, f"{folder}/archive.tar", "--output", f"{folder}/packed.tar")
    assert lease(net, f"{folder}/packed.tar", "cat", "/etc/image-mark").out == MARK
    program = find_registry(folder)
    if program is None:
        say("a registry ... skipped (apt-get download docker-registry)")
        return
    with registry(program, folder) as address:
        run("skopeo", "copy", "--dest-tls-verify=false", "oci:layout:lab",
            f"docker://{address}/lab:1")
        digest = run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}",
                     f"docker://{address}/lab:1").strip()
        source = f"docker://{address}/lab@{digest}"
        pack(net, source, "--output", f"{folder}/pulled.tar", fails="skopeo")  # it has no certificate
        pack(net, source, "--plain-http", "--output", f"{folder}/pulled.tar")
        wrong = source[:-4] + ("0000" if source[-4:] != "0000" else "1111")
        pack(net, wrong, "--plain-http", "--output", f"{folder}/wrong.tar", fails="skopeo")
    assert lease(net, f"{folder}/pulled.tar", "cat", "/etc/image-mark").out == MARK


def find_registry(folder):
    """Debian's, from its package, which is not installed: that would start it, for everybody."""
    if shutil.which("docker-registry"):
        return shutil.which("docker-registry")
    got = subprocess.run(["apt-get", "download", "docker-registry"], cwd=folder, check=False,
                         capture_output=True, timeout=120)
    for package in os.listdir(folder):
        if got.returncode == 0 and package.startswith("docker-registry_"):
            subprocess.run(["dpkg-deb", "-x", package, "registry"], cwd=folder, check=True)
            return f"{folder}/registry/usr/bin/docker-registry"
    return None


@contextlib.contextmanager
def registry(program, folder):
    """On loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with open(f"{folder}/registry.yml", "w", encoding="ascii") as file:
        file.write(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}/store\n"
                   f"http:\n  addr: {address}\n")
    with open(f"{folder}/registry.log", "wb") as log:
        process = subprocess.Popen([program, "serve", f"{folder}/registry.yml"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def answers():
        host, port = address.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        return False

    try:
        wait_until(answers, 20, "the registry answers")
        yield address
    finally:
        process.terminate()
        process.wait()


def killed_while_unpacking(net):
    """The provider's daemon dies in the middle of an image: tar dies with it, nothing stays, and the
    same image works right after."""
    net.wait_offers()
    image = Image.get(net)
    provider, = net.providers
    job = net.start_mpirun("--chain-lease", f"1,image={image}", "-np", 1, "true", report=False)
    wait_until(lambda: glob.glob(f"{provider.scratch_folder}/*/root/usr") or not job.is_running(), 60,
               "the image is being unpacked", 0.001)
    tar = [process for process in provider.lease_processes() if process.name == "tar"]
    net.note_processes()
    provider.kill()
    lease_id = net.wait_lease(lambda bill: True, "there is a lease")["lease"]
    run = job.wait(60)
    assert tar and run.rc != 0, run.text()
    provider.restart()
    net.wait_no_leftovers(lease_id)
    net.wait_nothing_locked()
    net.wait_offers()
    assert lease(net, image, "cat", "/etc/image-mark").out == MARK


TESTS = [(test.__name__, test) for test in (
    jobs_run_in_the_image, killed_while_unpacking, packing_gives_the_same_bytes, what_is_no_image_is_said, oci_images)]

if __name__ == "__main__":
    try:
        sys.exit(run_tests(TESTS, lambda: Devnet(providers=1, slots=2)))
    finally:
        shutil.rmtree(f"{BUILD_FOLDER}/tests/image", ignore_errors=True)
