# SPDX-License-Identifier: BSD-3-Clause
"""Control groups that bound how much of a processor their processes get."""

import contextlib
import os

PERIOD_US = 20_000
OLD_ROOT = "/sys/fs/cgroup/cpu"


class Quotas:
    """A group for each share (1: one processor). OSError: there are no control groups here."""

    def __init__(self, name, shares):
        is_old = os.path.exists(f"{OLD_ROOT}/cpu.cfs_quota_us")
        root = OLD_ROOT if is_old else "/sys/fs/cgroup"
        if not is_old:
            _write(f"{root}/cgroup.subtree_control", "+cpu")
        self.folders = []
        for number, share in enumerate(shares):
            folder = f"{root}/{name}-{os.getpid()}-{number}"
            os.mkdir(folder)
            self.folders.append(folder)
            quota_us = int(share * PERIOD_US)
            if is_old:
                _write(f"{folder}/cpu.cfs_period_us", PERIOD_US)
                _write(f"{folder}/cpu.cfs_quota_us", quota_us)
            else:
                _write(f"{folder}/cpu.max", f"{quota_us} {PERIOD_US}")

    def remove(self):
        for folder in self.folders:
            for inner, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(inner)


def _write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))
