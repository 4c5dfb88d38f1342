#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# usage: tests/system/clean_machine.sh [ROOT [COMMAND…]]
#
# What somebody sees who has Debian 12 and git and nothing else: makes such a machine below the
# folder ROOT (kept, for the next time; without ROOT it is made below /var/tmp and removed), clones
# this checkout's last commit in it and runs COMMAND there (./quickstart). Needs root, debootstrap
# and a Debian mirror, and takes minutes: not part of make check. Exit code 77: cannot run here.
#
# ROOT becomes the root of a mount namespace of its own (in a chroot the kernel refuses the user
# namespaces that a lease's sandbox is made of), so nothing stays mounted when this has ended.
set -u
checkout=$(cd "$(dirname "$0")/../.." && pwd) || exit 99
packages=git,ca-certificates,debian-archive-keyring

skip() {
    printf 'clean_machine: SKIPPED: %s\n' "$*" >&2
    exit 77
}

# The apt of the new machine reads the same mirrors as this machine's.
make_machine() {
    mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
    debootstrap --variant=minbase --include="$packages" bookworm "$root" \
        "${mirror:-http://deb.debian.org/debian}" || return 1
    rm -f "$root/etc/apt/sources.list"
    for part in sources.list.d apt.conf.d trusted.gpg.d keyrings auth.conf.d; do
        if [ -d "/etc/apt/$part" ]; then cp -a "/etc/apt/$part" "$root/etc/apt/" || return 1; fi
    done
    for file in /etc/apt/sources.list /etc/apt/trusted.gpg; do
        if [ -f "$file" ]; then cp -a "$file" "$root/etc/apt/" || return 1; fi
    done
    touch "$root/.whole"
}

# Run in namespaces of its own, see below. The old root goes before anything of ROOT runs.
enter() {
    root=$1
    shift
    mount --make-rprivate / && mount --bind "$root" "$root" && cd "$root" || exit 99
    mkdir -p .old
    mount -t proc proc proc && mount --rbind /sys sys && mount --rbind /dev dev &&
        mount -t tmpfs -o mode=1777 tmpfs tmp && mount -t tmpfs -o mode=755 tmpfs run || exit 99
    cp -L /etc/resolv.conf etc/resolv.conf
    cp -L /etc/hosts etc/hosts
    pivot_root . .old && cd / && umount -l /.old || exit 99
    # shellcheck disable=SC2016 # the new machine's shell expands it
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LANG=C.UTF-8 TERM="${TERM:-dumb}" /bin/sh -c '
            rm -rf /root/checkout && git clone --quiet /mnt/origin.git /root/checkout &&
                cd /root/checkout || exit 99
            git log -1 --oneline
            exec "$@"' clean_machine "$@" </dev/null
}

if [ "${1:-}" = --enter ]; then
    shift
    enter "$@"
fi
[ "$(id -u)" = 0 ] || skip "only root can make a machine of its own root folder"
command -v debootstrap >/dev/null || skip "debootstrap is missing: apt-get install debootstrap"
unshare --mount --pid --fork true 2>/dev/null || skip "no mount namespaces here"
if [ $# -gt 0 ]; then
    mkdir -p "$1" && root=$(cd "$1" && pwd) || exit 99
    shift
else
    root=$(mktemp -d /var/tmp/clean-machine.XXXXXX) || exit 99
    trap 'rm -rf "$root"' EXIT
fi
trap 'exit 130' INT TERM
[ $# -gt 0 ] || set -- ./quickstart
if [ ! -e "$root/.whole" ]; then
    make_machine || skip "debootstrap could not make a Debian 12 below $root"
fi
rm -rf "$root/mnt/origin.git"
git clone --quiet --bare --no-local "$checkout" "$root/mnt/origin.git" || exit 99
unshare --mount --pid --fork --kill-child --uts sh "$0" --enter "$root" "$@"
status=$?
printf 'clean_machine: %s ended with %d\n' "$*" "$status"
exit "$status"
