#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# run.sh PROGRAMS CORPUS SECONDS RUNS TARGET…: runs PROGRAMS/TARGET_fuzz one after the other from the
# inputs in CORPUS/TARGET. New inputs and those that break a target stay in PROGRAMS; exit code 1
# when one breaks.
set -u
programs=$1
corpus=$2
seconds=$3
runs=$4
shift 4
targets=$*
status=0
for target in $targets; do
    found=$programs/found/$target
    log=$programs/$target.log
    mkdir -p "$found"
    case $target in
        keystore | genesis | vectors | join | calendar) length_max=2048 ;;
        frame | mdns | orte) length_max=512 ;;
        block | handshake | kept | gossip) length_max=256 ;;
        voucher) length_max=128 ;;
        *) length_max=192 ;;
    esac
    set -- -max_len=$length_max -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -entropic=0 \
        "-artifact_prefix=$programs/broken-$target-"
    if [ -n "$runs" ]; then
        set -- "$@" "-runs=$runs"
    else
        set -- "$@" "-max_total_time=$seconds"
    fi
    start=$(date +%s)
    if "$programs/${target}_fuzz" "$@" "$found" "$corpus/$target" >"$log" 2>&1; then
        word=fine
    else
        word=BROKEN
        status=1
        grep -v '^#' "$log" | tail -n 60
    fi
    printf 'fuzz %-9s %s: %s inputs in %d s, coverage %s, log %s\n' "$target" "$word" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" $(($(date +%s) - start)) \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" "$log"
done
exit $status
