#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# `make install` puts everything where the system's own mpirun finds it, and `make uninstall` leaves
# nothing behind. Installed below a folder of the test's own; the machine stays as it is.
set -u
build=${TEST_BUILD_DIR:?}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
root=$work/root
components="schizo ras plm"

# What make check and build/env.sh tell their children is not for this installation.
unset MAKEFLAGS MAKELEVEL MFLAGS
unset OMPI_MCA_mca_base_component_path OMPI_CHAIN_COMPONENTS

fail() {
    printf 'install_test: %s\n' "$*"
    [ -f "$work/log" ] && tail -n 20 "$work/log"
    exit 1
}

mpirun_help() {
    HOME=$work/home LD_LIBRARY_PATH=$1 mpirun --help launch 2>&1
}

make -C "$build" install DESTDIR="$root" >"$work/log" 2>&1 || fail "make install failed"
(cd "$root" && find . -type f -o -type l) | sort >"$work/installed"

for file in bin/ompi-chain bin/ompi-chaind libompi-chain.so.0; do
    grep -q "/$file\$" "$work/installed" || fail "$file was not installed"
done
for name in $components; do
    grep -q "/mca_${name}_chain.so\$" "$work/installed" || fail "mca_${name}_chain.so was not installed"
    grep -q "/help-$name-chain.txt\$" "$work/installed" || fail "help-$name-chain.txt was not installed"
done
if grep -E '/mca_[^/]*\.(la|a)$' "$work/installed"; then
    fail "Open MPI has no use for these"
fi

library=$(cd "$root" && find "$PWD" -name libompi-chain.so.0)
LD_LIBRARY_PATH=${library%/*} "$(find "$root" -path '*/bin/ompi-chain')" --help >"$work/log" 2>&1 ||
    fail "the installed ompi-chain does not run"
if ldd "$(find "$root" -path '*/bin/ompi-chain')" | grep -F "$build"; then
    fail "an installed program uses the build tree"
fi

# The component folder as a user's own: on the default search path of every Open MPI.
folder=$(cd "$root" && find "$PWD" -name mca_schizo_chain.so)
mkdir -p "$work/home/.openmpi/components"
mpirun_help "${library%/*}" | grep -q -e --chain-lease && fail "mpirun knew the flags before"
cp "${folder%/*}"/mca_*_chain.so "$work/home/.openmpi/components/"
mpirun_help "${library%/*}" >"$work/log"
grep -q -e --chain-lease "$work/log" || fail "mpirun does not know the flags"

make -C "$build" uninstall DESTDIR="$root" >"$work/log" 2>&1 || fail "make uninstall failed"
left=$(cd "$root" && find . -type f -o -type l)
[ -z "$left" ] || fail "left behind: $left"
printf 'installed and removed %d files\n' "$(grep -c . "$work/installed")"
