# SPDX-License-Identifier: BSD-3-Clause
"""Renter and providers without root: each lease has its network all the same, and mpirun leaves the
machine's. Where there is no TUN device for them nothing is lent, and it is said why.

As root it runs itself once more as a user who is nobody, who sees a /dev/net/tun with the mode that
Debian gives it.
"""

import os
import shutil
import subprocess
import sys
import tempfile

from chain_devnet import BUILD_FOLDER, BUSY, Devnet, descendants, run_tests, say

TALKER = f"{BUILD_FOLDER}/tests/system/talker"
USER = 54_321
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
SKIPPED = 77
# $1: the mode of the device; then what to run.
AS_SOMEBODY = """
set -e
folder=$1 mode=$2; shift 2
mknod -m "$mode" "$folder/tun" c 10 200
mount --bind "$folder/tun" /dev/net/tun
exec setpriv --reuid USER --regid USER --clear-groups "$@"
""".replace("USER", str(USER))


def leases_as_ever(net):
    run = net.mpirun("--chain-lease", 2, "-np", 2, TALKER, "rootless", 4)
    assert run.rc == 0 and "rootless: 2 ranks" in run.out, run.text()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, 30)
    net.wait_voucher(job=job)
    networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in
                [job.pid, *[process.pid for node in net.providers
                            for process in node.lease_processes() if process.name == "busy"]]}
    assert len(networks) == 3 and os.readlink("/proc/self/ns/net") not in networks, networks
    job.kill()
    net.wait_nothing_locked()


def says_what_is_missing(net):
    run = net.mpirun("--chain-lease", 2, "-np", 2, "hostname")
    assert run.rc == 3 and "can make no network for a lease" in run.err, run.text()
    log = net.providers[0].log_tail(200)
    assert "/dev/net/tun" in log and "plain_network" in log, log


def as_somebody(mode, test):
    folder = tempfile.mkdtemp(prefix="cr-", dir="/tmp")
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/tmp")
    os.chmod(f"{folder}/tmp", 0o1777)
    try:
        environment = {**os.environ, "HOME": f"{folder}/tmp", "TMPDIR": f"{folder}/tmp",
                       "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(["unshare", "--mount", "sh", "-c", AS_SOMEBODY, "sh", folder, mode,
                               PYTHON, __file__, test],
                              env=environment, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    tests = [("leases_as_ever", leases_as_ever), ("says_what_is_missing", says_what_is_missing)]
    if os.geteuid() != 0:
        if len(sys.argv) == 1:
            del tests[1:]  # this machine's device is as it is
        return run_tests(tests, lambda: Devnet(providers=2, slots=1))
    reads = subprocess.run(["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups",
                            PYTHON, "-c", f"open('{BUILD_FOLDER}/env.sh'); open('{__file__}')"],
                           check=False)
    if reads.returncode != 0:
        say("SKIPPED: OTHER USERS MAY NOT READ THE BUILD FOLDER")
        return SKIPPED
    return max(as_somebody("666", "leases_as_ever"), as_somebody("600", "says_what_is_missing"))


if __name__ == "__main__":
    sys.exit(main())
