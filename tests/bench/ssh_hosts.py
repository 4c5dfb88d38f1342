# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts that plain mpirun reaches over ssh, on this machine: what a lease is compared with.

    with SshHosts() as hosts:
        subprocess.run(["mpirun", *hosts.mpirun_words, "-np", "2", "hostname"], env=hosts.environment)

Each is an sshd of its own on a loopback port, with keys made for this once, in a folder that goes
away, and with a host name of its own, so that Open MPI starts an orted for each. Needs root (for
the host names) and sshd.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time

SSHD = "/usr/sbin/sshd"
START_TIMEOUT_S = 10
NAMES = ("ssh-peer-1", "ssh-peer-2")


def why_not():
    """Why there can be no such hosts here; None if there can."""
    if os.geteuid() != 0:
        return "only root can give each sshd a host name of its own"
    for program, package in ((SSHD, "openssh-server"), ("ssh", "openssh-client"),
                             ("unshare", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is missing: apt-get install {package}"
    if subprocess.run(["unshare", "--mount", "--uts", "true"], capture_output=True).returncode != 0:
        return "no mount and UTS namespaces here"
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SshHosts:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ssh-hosts-", dir="/tmp")
        self.daemons = []
        self.environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("OMPI_", "MAKE", "MFLAGS"))
        }
        self.environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                                TMPDIR=self.folder)

    def __enter__(self):
        try:
            for key in ("host_key", "key"):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._path(key)],
                               check=True, stdin=subprocess.DEVNULL)
            shutil.copy(self._path("key.pub"), self._path("authorized_keys"))
            ports = [free_port() for _ in NAMES]
            self._write_client_config(ports)
            for name, port in zip(NAMES, ports):
                self._start(name, port)
            for name, port in zip(NAMES, ports):
                self._wait(name, port)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, kind, error, trace):
        self._remove()

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _write_client_config(self, ports):
        with open(self._path("config"), "w", encoding="ascii") as file:
            for name, port in zip(NAMES, ports):
                file.write(f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n")
            file.write(
                f"Host *\n  IdentityFile {self._path('key')}\n  IdentitiesOnly yes\n"
                f"  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
                f"  BatchMode yes\n"
            )

    def _start(self, name, port):
        # Two orteds of one user on one machine need a folder each for their sessions.
        session = self._path(name)
        os.mkdir(session)
        config = self._path(f"{name}.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(
                f"ListenAddress 127.0.0.1:{port}\nHostKey {self._path('host_key')}\n"
                f"AuthorizedKeysFile {self._path('authorized_keys')}\nStrictModes no\n"
                f"PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\n"
                f"PidFile none\nPrintMotd no\nSetEnv TMPDIR={session}\n"
            )
        script = ('mount -t tmpfs tmpfs /run && mkdir /run/sshd && hostname "$1" && '
                  'exec "$2" -D -e -f "$3"')
        with open(self._path(f"{name}.log"), "wb") as log:
            self.daemons.append(subprocess.Popen(
                ["unshare", "--mount", "--uts", "sh", "-c", script, "sh", name, SSHD, config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]},
            ))

    def _wait(self, name, port):
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        with open(self._path(f"{name}.log"), encoding="utf-8", errors="replace") as log:
            raise RuntimeError(f"sshd did not start:\n{log.read()}")

    @property
    def mpirun_words(self):
        """One slot on each host, every orted started by mpirun itself as on a real pair."""
        return [
            "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", f"ssh -F {self._path('config')}",
            "--bind-to", "none", "-H", ",".join(f"{name}:1" for name in NAMES),
        ]

    def _remove(self):
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
