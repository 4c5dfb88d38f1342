# SPDX-License-Identifier: BSD-3-Clause
"""OpenStack Swift with its S3 interface, as Debian's python3-swift brings it: one of each server, on
loopback, in one folder. A real store that checks every signature.

usage: /usr/bin/python3 swift_server.py FOLDER PORT      (and PORT + 1 to PORT + 3)
"""

import getpass
import os
import signal
import sys

KINDS = ("account", "container", "object")
SWIFT = """[swift-hash]
swift_hash_path_prefix = test
swift_hash_path_suffix = test
[storage-policy:0]
name = one
default = yes
"""
COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
"""
STORAGE = COMMON + """devices = {folder}/devices
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = COMMON + """[pipeline:main]
pipeline = catch_errors cache s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = swift_server:make_cache
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_lab_tester = {secret} .admin
"""
ACCESS_KEY, SECRET = "lab:tester", "swift-secret"


class Cache:
    """In the place of memcached, for one process."""

    def __init__(self, app):
        self.app, self.kept = app, {}

    def __call__(self, environment, start_response):
        environment["swift.cache"] = self
        return self.app(environment, start_response)

    def get(self, key, *_, **__):
        return self.kept.get(key)

    def set(self, key, value, *_, **__):
        self.kept[key] = value

    def delete(self, key, *_, **__):
        self.kept.pop(key, None)

    def incr(self, key, delta=1, *_, **__):
        self.kept[key] = self.kept.get(key, 0) + delta
        return self.kept[key]


def make_cache(_, **__):
    return Cache


def write_files(folder, port):
    from swift.common.ring import RingBuilder

    os.makedirs(f"{folder}/devices/one", exist_ok=True)
    filled = {"folder": folder, "user": getpass.getuser(), "secret": SECRET}
    with open(f"{folder}/swift.conf", "w", encoding="ascii") as file:
        file.write(SWIFT)
    with open(f"{folder}/proxy-server.conf", "w", encoding="ascii") as file:
        file.write(PROXY.format(port=port, **filled))
    for number, kind in enumerate(KINDS, 1):
        with open(f"{folder}/{kind}-server.conf", "w", encoding="ascii") as file:
            file.write(STORAGE.format(port=port + number, kind=kind, **filled))
        ring = RingBuilder(2, 1, 0)
        place = {"ip": "127.0.0.1", "port": port + number}
        ring.add_dev({"region": 1, "zone": 1, "device": "one", "weight": 1, **place,
                      "replication_ip": place["ip"], "replication_port": place["port"]})
        ring.rebalance()
        ring.get_ring().save(f"{folder}/{kind}.ring.gz")


def main():
    folder, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    write_files(folder, port)
    children = []
    for kind in (*KINDS, "proxy"):
        pid = os.fork()
        if pid == 0:
            from swift.common.utils import set_swift_dir
            from swift.common.wsgi import run_wsgi

            set_swift_dir(folder)  # else /etc/swift is looked at before the file below is
            os._exit(run_wsgi(f"{folder}/{kind}-server.conf", f"{kind}-server", verbose=True) or 0)
        children.append(pid)

    def stop(*_):
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    os.wait()
    stop()


if __name__ == "__main__":
    main()
