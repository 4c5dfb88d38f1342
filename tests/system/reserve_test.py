# SPDX-License-Identifier: BSD-3-Clause
"""Reservations on real daemons: what is reserved stands through kills of all sides, begins at its
time, and costs what docs/reservations.md says when it does not."""

import datetime
import json
import os
import signal
import sys
import time

from chain_devnet import BUSY, Devnet, run_tests, say, wait_until
from chain_money import burned_by, check_money, check_nothing_left

# Short, so that every way to its end can be waited for.
RULES = {"start_window_ms": 20_000, "reservation_notice_ms": 30_000}
START_WINDOW_S = 20
NO_SHOW_WITHIN_S = START_WINDOW_S + 10 + 40
JOB_TIMEOUT_S = 120


def reserve(net, slots, start, *words):
    bill = net.renter.call("lease", "reserve", "--slots", slots, "--start", start, *words)
    assert bill["state"] == "reserved", bill
    return bill


def refused(net, code, *words):
    """What `ompi-chain lease WORDS…` says when it fails with that exit code."""
    done = net.renter.ask("lease", *words)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stderr


def ready(net):
    net.wait_offers()
    net.wait_nothing_locked()
    return net.balances()


def ends(bill):
    return [leg["end"] for leg in bill["legs"]]


def starts_in_s(bill):
    start = datetime.datetime.strptime(bill["starts_at"], "%Y-%m-%dT%H:%M:%SZ")
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return (start - now).total_seconds()


def begin(net, reservation, *words, timeout_s=JOB_TIMEOUT_S):
    return net.mpirun("--chain-reservation", reservation, *words, timeout_s=timeout_s)


# ---- the way it should go


def reserved_survives_kills_and_begins(net):
    before = ready(net)
    bill = reserve(net, "2", "+25s", "--time", "40s", "--title", "Night run")
    assert bill["title"] == "Night run" and len(bill["legs"]) == 2, bill
    escrow = bill["escrow"]["units"]
    assert net.locked_units() >= escrow, (net.locked_units(), escrow)
    for node in (net.renter, net.providers[0]):
        node.kill()
    for node in (net.renter, net.providers[0]):
        node.restart()
    there = net.lease(bill["lease"])
    assert there["state"] == "reserved" and there["title"] == "Night run", there
    assert there["deposit"] == bill["deposit"], there
    for node in net.providers:
        assert net.lease(bill["lease"], node)["state"] == "reserved", node.name
    assert starts_in_s(there) > 0, "the machine is too slow: its time has come already"
    run = begin(net, bill["lease"][:10], "-np", 2, BUSY, "0.5")
    assert run.rc == 0 and "busy: 2 ranks" in run.out, run.text()
    assert "Waiting until" in run.err, run.text()
    assert run.report["lease"] == bill["lease"], run.report
    settled = check_money(net, before, bill["lease"])
    assert ends(settled) == ["completed", "completed"], settled
    assert settled["paid"]["units"] >= bill["deposit"]["units"], (settled, bill)
    check_nothing_left(net, bill["lease"])
    assert "no reservation" in refused(net, 1, "cancel", bill["lease"][:10])


def mpirun_reserves_waits_and_begins(net):
    before = ready(net)
    started = time.monotonic()
    run = net.mpirun("--chain-start", "+10s", "--chain-lease", 2, "--chain-time", "60s", "-np", 2,
                     BUSY, "0.5", timeout_s=JOB_TIMEOUT_S)
    assert run.rc == 0 and "busy: 2 ranks" in run.out, run.text()
    assert time.monotonic() - started >= 9, run.text()
    for said in ("reserved: from", "provider-1", "escrow", "paid at least, also if it is cancelled", "Waiting until"):
        assert said in run.err, run.text()
    check_money(net, before, run.report["lease"])
    check_nothing_left(net, run.report["lease"])


def the_next_one_begins(net):
    ready(net)
    later = reserve(net, "2", "+10m", "--time", "30s")
    soon = reserve(net, "2", "+8s", "--time", "60s")
    run = begin(net, "next", "hostname")
    assert run.rc == 0 and run.report["lease"] == soon["lease"], run.text()
    assert sorted(run.out.split()) == ["provider-1", "provider-2"], run.text()
    run = begin(net, "ffffffffffff", "hostname")
    assert run.rc == 1 and "no reservation of yours" in run.err, run.text()
    net.renter.call("lease", "cancel", later["lease"])
    run = begin(net, later["lease"], "hostname")
    assert run.rc == 1, run.text()


# ---- it does not begin


def cancelled_in_time_costs_nothing(net):
    before = ready(net)
    bill = reserve(net, "4", "+2m")
    gone = net.renter.call("lease", "cancel", bill["lease"][:8])
    assert gone["state"] == "settled" and gone["paid"]["units"] == 0, gone
    settled = check_money(net, before, bill["lease"])
    assert set(ends(settled)) == {"cancelled"} and burned_by(settled) == [0, 0, 0], settled
    assert net.balances() == before


def cancelled_late_costs_the_deposit(net):
    before = ready(net)
    bill = reserve(net, "2", "+20s", "--time", "10m")
    assert bill["deposit"]["units"] > 0, bill
    done = net.renter.ask("lease", "cancel", bill["lease"])
    assert done.returncode == 0 and "it cost" in done.stdout, done
    settled = check_money(net, before, bill["lease"])
    assert set(ends(settled)) == {"cancelled"}, settled
    assert settled["paid"]["units"] == bill["deposit"]["units"], (settled, bill)


def mpirun_that_ends_cancels(net):
    for number in (signal.SIGINT, signal.SIGKILL):
        before = ready(net)
        job = net.start_mpirun("--chain-start", "+3m", "--chain-lease", 2, "hostname")
        bill = net.wait_lease(lambda bill: bill["state"] == "reserved", "it is reserved", job=job)
        os.kill(job.pid, number)
        job.wait(30)
        settled = check_money(net, before, bill["lease"])
        assert set(ends(settled)) == {"cancelled"}, settled
        assert net.balances() == before, number


def daemon_killed_while_mpirun_waits(net):
    before = ready(net)
    job = net.start_mpirun("--chain-start", "+3m", "--chain-lease", 2, "hostname")
    bill = net.wait_lease(lambda bill: bill["state"] == "reserved", "it is reserved", job=job)
    net.renter.kill()
    assert job.wait(30).rc != 0
    net.renter.restart()
    settled = check_money(net, before, bill["lease"])
    assert set(ends(settled)) == {"cancelled"}, settled


def nobody_comes(net):
    """The renter's daemon is there, and says so: its deposit goes to the providers."""
    before = ready(net)
    bill = reserve(net, "2", "+6s", "--time", "10m")
    wait_until(lambda: net.lease(bill["lease"])["state"] == "settled", NO_SHOW_WITHIN_S,
               lambda: f"it is over: {json.dumps(net.lease(bill['lease']))}", 0.5)
    settled = check_money(net, before, bill["lease"])
    assert set(ends(settled)) == {"cancelled"}, settled
    assert settled["paid"]["units"] == bill["deposit"]["units"], (settled, bill)


def renter_is_gone(net):
    """Not even its daemon is there: its deposit burns."""
    before = ready(net)
    bill = reserve(net, "2", "+15s", "--time", "10m")
    net.renter.kill()
    provider = net.providers[0]
    wait_until(lambda: net.lease(bill["lease"], provider)["state"] == "settled",
               NO_SHOW_WITHIN_S + 15,
               lambda: f"it is over: {json.dumps(net.lease(bill['lease'], provider))}", 0.5)
    net.renter.restart()
    settled = check_money(net, before, bill["lease"])
    assert set(ends(settled)) == {"no-show"}, settled
    assert settled["paid"]["units"] == 0, settled
    assert settled["penalty"]["units"] == bill["deposit"]["units"], (settled, bill)


def provider_is_gone(net):
    """The job names it, and nobody pays for it but the one who is not there."""
    before = ready(net)
    gone = net.providers[0]
    bill = reserve(net, "2", "+15s", "--time", "10m")
    gone.kill()
    started = time.monotonic()
    run = begin(net, bill["lease"], "-np", 2, BUSY, "0.5")
    assert run.rc == 1 and "provider-1" in run.err, run.text()
    assert time.monotonic() - started < 15 + START_WINDOW_S + 10, run.text()
    wait_until(lambda: net.lease(bill["lease"])["state"] == "settled", NO_SHOW_WITHIN_S,
               lambda: f"it is over: {json.dumps(net.lease(bill['lease']))}", 0.5)
    gone.restart()
    settled = check_money(net, before, bill["lease"])
    ended = {leg["provider"]: leg["end"] for leg in settled["legs"]}
    assert ended[gone.address] == "never-seen", settled
    assert ended[net.providers[1].address] == "voided", settled
    assert settled["paid"]["units"] == 0 and settled["penalty"]["units"] == 0, settled


def owner_who_lends_nothing_says_so(net):
    before = ready(net)
    bill = reserve(net, "2", "+10s", "--time", "10m")
    paused = net.providers[0]
    paused.call("node", "pause")
    run = begin(net, bill["lease"], "-np", 2, BUSY, "0.5")
    assert run.rc == 1 and "not lent now" in run.err, run.text()
    paused.call("node", "resume")
    settled = check_money(net, before, bill["lease"])
    ended = {leg["provider"]: leg["end"] for leg in settled["legs"]}
    assert ended[paused.address] == "not-started", settled
    assert settled["paid"]["units"] == 0 and settled["penalty"]["units"] == 0, settled


# ---- nothing is promised twice


def overbooking_is_refused(net):
    ready(net)
    full = reserve(net, "4", "+10m", "--time", "10m")
    for start, time_ in (("+10m", "10m"), ("+5m", "10m"), ("+12m", "1m"), ("+19m", "30m")):
        said = refused(net, 3, "reserve", "--slots", "1", "--start", start, "--time", time_)
        assert "reserved from" in said, said
    others = [reserve(net, "4", "+21m", "--time", "10m"), reserve(net, "4", "+4m", "--time", "5m")]
    # What would run into it is not begun, and what is reserved so soon is not offered.
    wait_until(lambda: all(offer["slots"] == 0 for offer in
                           net.renter.call("offer", "list", "--all")["offers"]),
               20, "nothing is offered")
    assert net.mpirun("--chain-lease", 1, "hostname").rc == 3
    for bill in [full, *others]:
        net.renter.call("lease", "cancel", bill["lease"])
    ready(net)
    # A lease that runs holds what it has until its end.
    job = net.start_mpirun("--chain-lease", 4, "--chain-time", "10m", "-np", 4, BUSY, 30)
    bill = net.wait_running(job=job)
    said = refused(net, 3, "reserve", "--slots", "1", "--start", "+2m", "--time", "1m")
    assert "slots are free" in said, said
    other = reserve(net, "1", "+30m", "--time", "1m")
    net.renter.call("lease", "cancel", other["lease"])
    job.kill()
    net.wait_settled(bill["lease"])


def times_that_cannot_be(net):
    for start, said in (("2020-01-01T08:00", "has passed"), ("tomorrow", "is no time"),
                        ("+40d", "hours ahead"), ("2027-02-30T08:00Z", "does not exist")):
        assert said in refused(net, 1, "reserve", "--slots", "1", "--start", start), start
    assert "--start is missing" in refused(net, 1, "reserve", "--slots", "1")
    assert "--slots is missing" in refused(net, 1, "reserve", "--start", "+1h")
    refused(net, 3, "reserve", "--slots", "5", "--start", "+1h")


# ---- a calendar


def calendar(first, *lines):
    return "\r\n".join([
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//", "BEGIN:VEVENT", "UID:weekly-render",
        "SUMMARY:Weekly render", f"DTSTART:{first:%Y%m%dT%H%M%SZ}", "DURATION:PT30M",
        "RRULE:FREQ=WEEKLY;COUNT=3", *lines, "END:VEVENT", "END:VCALENDAR", ""])


def a_calendar_reserves_once(net):
    before = ready(net)
    path = f"{net.folder}/team.ics"
    first = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=3)

    def run(text, code=0, *words):
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        done = net.renter.ask("lease", "reserve", "--ics", path, *words, "--json")
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)["events"]

    wants = calendar(first, "X-OMPI-CHAIN-LEASE:2,mem=64M")
    assert [event["what"] for event in run(wants, 0, "--dry-run")] == ["would reserve"] * 3
    assert not net.leases()
    events = run(wants)
    assert [event["what"] for event in events] == ["reserved"] * 3, events
    leases = net.leases()
    assert len(leases) == 3 and all(bill["title"] == "Weekly render" for bill in leases), leases
    assert sorted(bill["lease"] for bill in leases) == sorted(e["lease"] for e in events)
    again = run(wants)
    assert [event["what"] for event in again] == ["there"] * 3, again
    assert [e["lease"] for e in again] == [e["lease"] for e in events], again
    net.renter.kill()
    net.renter.restart()
    net.wait_offers()
    assert [event["what"] for event in run(wants)] == ["there"] * 3
    # A changed one says so, and nothing is done.
    changed = run(calendar(first, "X-OMPI-CHAIN-LEASE:1"), 1)
    assert [event["what"] for event in changed] == ["changed"] * 3, changed
    moved = run(calendar(first + datetime.timedelta(hours=2)), 1, "--slots", "1", "--dry-run")
    assert sorted(e["what"] for e in moved) == ["moved"] * 3 + ["would reserve"] * 3, moved
    assert len(net.leases()) == 3
    # More than there is: each event has its own line.
    failed = run(calendar(first, "X-OMPI-CHAIN-LEASE:9").replace("weekly-render", "other"), 1)
    assert [event["what"] for event in failed] == ["failed"] * 3, failed
    gone = run(calendar(first, "STATUS:CANCELLED"))
    assert [event["what"] for event in gone] == ["cancelled"] * 3, gone
    net.wait_nothing_locked()
    assert net.balances() == before
    with open(path, "w", encoding="utf-8") as file:
        file.write("no calendar")
    assert "has no VCALENDAR" in refused(net, 1, "reserve", "--ics", path)


TESTS = [(test.__name__, test) for test in (
    cancelled_in_time_costs_nothing, times_that_cannot_be, a_calendar_reserves_once,
    overbooking_is_refused, reserved_survives_kills_and_begins, mpirun_reserves_waits_and_begins,
    the_next_one_begins, cancelled_late_costs_the_deposit, mpirun_that_ends_cancels,
    daemon_killed_while_mpirun_waits, nobody_comes, renter_is_gone, provider_is_gone,
    owner_who_lends_nothing_says_so)]

if __name__ == "__main__":
    say(f"start window {START_WINDOW_S} s")
    sys.exit(run_tests(TESTS, lambda: Devnet(providers=2, slots=2, rules=RULES)))
