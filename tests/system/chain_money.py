# SPDX-License-Identifier: BSD-3-Clause
"""What must hold after a lease, however it ended: of the money, of what is left, of the next one."""

import contextlib

from chain_devnet import BUSY, Failure, is_alive, say

# With a devnet's challenge window of 3 s and its grace of 10 s.
SETTLED_WITHIN_S = 20
JOB_S = 20


def burned_by(bill):
    """(fee, penalty, forfeit) of all legs."""
    return [sum(leg[name]["units"] for leg in bill["legs"])
            for name in ("burned", "penalty", "forfeit")]


def check_money(net, before, lease_id):
    """renter's loss = providers' gain + burned, of every account, to the unit."""
    bill = net.wait_settled(lease_id, SETTLED_WITHIN_S)
    net.wait_nothing_locked(SETTLED_WITHIN_S)
    net.wait_agreement()
    after = net.balances()
    change = {name: after[name] - before[name] for name in after}
    loss = -change["renter"]
    gain = sum(change[node.name] for node in net.providers)
    fee, penalty, forfeit = burned_by(bill)
    burned = fee + penalty + forfeit
    ends = ", ".join(leg["end"] for leg in bill["legs"])
    say(f"   renter -{loss}, providers +{gain}, burned {burned} ({fee} fee, {penalty} penalty, "
        f"{forfeit} forfeit), paid {bill['paid']['units']} units; legs: {ends}")
    assert change["sealer"] == 0, change
    assert loss == gain + burned, (change, burned)
    assert loss == sum(before.values()) - sum(after.values()) + gain, change
    assert bill["paid"]["units"] == loss - penalty, (bill["paid"], loss)
    assert bill["penalty"]["units"] == penalty, bill
    for node in net.providers:
        theirs = [leg for leg in bill["legs"] if leg["provider"] == node.address]
        due = sum(leg["paid"]["units"] - leg["burned"]["units"] - leg["forfeit"]["units"]
                  for leg in theirs)
        assert change[node.name] == due, (node.name, change, theirs)
    # Every node has the same accounts, and providers tell the same story of the lease.
    for node in net.nodes.values():
        assert net.balances(node) == after, node.name
    for node in net.providers:
        if any(leg["provider"] == node.address for leg in bill["legs"]):
            told = net.lease(lease_id, node)
            assert told["paid"] == bill["paid"], (told, bill)
    return bill


def check_nothing_left(net, lease_id):
    net.wait_no_leftovers(lease_id)
    for node in net.providers:
        left = [process for process in node.lease_processes() if is_alive(process)]
        assert not left, (node.name, left)
    assert not net.leases(), net.leases()


def check_next_lease(net):
    net.wait_offers()
    run = net.mpirun("--chain-lease", 2, "-np", 2, BUSY, "0.5", timeout_s=40)
    assert run.rc == 0, run.text()
    assert "busy: 2 ranks" in run.out, run.text()
    net.wait_settled(run.report["lease"])


@contextlib.contextmanager
def running_job(net, seconds=JOB_S):
    """A job on both providers, after the first voucher of each; (job, its bill, balances before)."""
    net.wait_offers()
    net.wait_nothing_locked()
    before = net.balances()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, seconds)
    bill = net.wait_voucher(job=job)
    assert len(bill["legs"]) == 2, bill
    yield job, bill, before
    job.kill()


def check_after(net, bill, before):
    vouchers = {leg["provider"]: leg["paid"]["units"] for leg in bill["legs"]}
    settled = check_money(net, before, bill["lease"])
    for leg in settled["legs"]:
        assert leg["paid"]["units"] >= vouchers[leg["provider"]], (leg, vouchers)
    check_nothing_left(net, bill["lease"])
    check_next_lease(net)
    return settled


def one_of(net, name):
    found = [p for p in net.providers[0].lease_processes() if p.name == name]
    if not found:
        raise Failure(f"no {name} below {net.providers[0].name}")
    return found[0]
