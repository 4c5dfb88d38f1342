# SPDX-License-Identifier: BSD-3-Clause
"""What a wallet's owner does to keep it: a backup that brings the tokens back after the disk is gone, a
transfer signed where no daemon is, and a new node key, with real daemons."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

from chain_devnet import BUSY, Devnet, run_tests, wait_until
from chain_money import check_money

SENT = "2.5"
UNITS_PER_TOKEN = 10**9
SENT_UNITS = 2_500_000_000


def ompi_chain(net, *words, socket="/nonexistent/control.sock", typed=""):
    """`ompi-chain WORDS…`, by default where no daemon can be reached."""
    environment = dict(net.environment)
    environment["OMPI_CHAIN_SOCKET"] = socket
    environment.pop("OMPI_CHAIN_DATA", None)
    return subprocess.run(
        ["ompi-chain", *(str(word) for word in words)], env=environment, input=typed,
        capture_output=True, text=True, timeout=90, check=False,
    )


def succeeds(*arguments, **options):
    done = ompi_chain(*arguments, **options)
    assert done.returncode == 0, (done.args, done.stdout, done.stderr)
    return done.stdout


def refused(net, node, *words):
    """The words of a refusal by that node's daemon, or before it was asked."""
    done = ompi_chain(net, *words, socket=node.socket)
    assert done.returncode == 1, (done.args, done.returncode, done.stdout, done.stderr)
    return done.stderr


def password_file(node):
    return f"{node.data_folder}/wallet.password"


# ---- backup and restore


def a_lost_disk(net):
    renter = net.renter
    renter.call("wallet", "send", net.sealer.address, "1")  # history beyond the genesis
    before = renter.call("wallet", "show")
    backup = succeeds(net, "wallet", "backup", "--data", renter.data_folder,
                      "--password-file", password_file(renter))
    assert renter.address not in backup and len(backup.split()) == 48, backup
    words = f"{net.folder}/words"
    with open(os.open(words, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(backup)
    restore = ("wallet", "restore", "--data", renter.data_folder, "--words-file", words,
               "--password-file", "-")
    message = refused(net, renter, *restore)
    assert "never overwritten" in message and renter.address in message, message

    renter.kill()
    shutil.rmtree(renter.data_folder)
    restored = succeeds(net, *restore, typed="another password\n")
    assert restored.split() == ["address", renter.address], restored
    with open(os.open(password_file(renter), os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("another password\n")
    renter.restart()
    renter.scratch_folder = scratch_folder(renter)
    net.wait_agreement()
    after = renter.call("wallet", "show")
    assert after == before, (before, after)
    renter.call("wallet", "send", net.sealer.address, "1")  # and the key signs
    os.unlink(words)


def words_for_a_running_daemon(net):
    """A daemon without a wallet takes the restored one without a restart."""
    renter = net.renter
    words = succeeds(net, "wallet", "backup", "--data", renter.data_folder,
                     "--password-file", password_file(renter))
    with lone_daemon(net) as (folder, socket):
        done = ompi_chain(net, "wallet", "show", socket=socket)
        assert done.returncode == 4, done
        # --words-file and --password-file from one pipe: the words, then the password.
        succeeds(net, "wallet", "restore", "--words-file", "-", "--password-file", "-",
                 socket=socket, typed=words + "a third password\n")
        assert os.path.exists(f"{folder}/wallet.json")
        succeeds(net, "wallet", "unlock", "--password-file", "-", socket=socket,
                 typed="a third password\n")
        shown = json.loads(succeeds(net, "wallet", "show", "--json", socket=socket))
        assert shown["address"] == renter.address and shown["state"] == "unlocked", shown
        assert shown["balance"] == renter.call("wallet", "show")["balance"], shown


@contextlib.contextmanager
def lone_daemon(net, *options):
    """A daemon of the network that has no wallet: its data folder and socket."""
    folder = f"{net.folder}/lone"
    command = [net.sealer.program, "--data", folder, "--genesis",
               f"{net.chain_folder}/genesis.json", "--connect", net.sealer.listen, *options]
    environment = dict(net.sealer.environment)
    with open(f"{net.folder}/lone.log", "wb") as log:
        daemon = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log)
    socket = f"{folder}/control.sock"
    try:
        height = net.sealer.status()["height"]

        def level():
            assert daemon.poll() is None, f"the lone daemon ended with {daemon.returncode}"
            done = ompi_chain(net, "node", "status", "--json", socket=socket)
            return done.returncode == 0 and json.loads(done.stdout)["height"] >= height

        wait_until(level, 30, "the lone daemon has every block")
        yield folder, socket
    finally:
        daemon.terminate()
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def a_wallet_at_two_daemons(net):
    """The words in a second place: what runs at the first goes on, and is paid."""
    renter = net.renter
    net.wait_offers()
    words = succeeds(net, "wallet", "backup", "--data", renter.data_folder,
                     "--password-file", password_file(renter))
    with lone_daemon(net) as (_, socket):
        succeeds(net, "wallet", "restore", "--words-file", "-", "--password-file", "-",
                 socket=socket, typed=words + "a third password\n")
        job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, 6)
        net.wait_voucher(job=job)
        succeeds(net, "wallet", "unlock", "--password-file", "-", socket=socket,
                 typed="a third password\n")
        run = job.wait(40)
        assert run.rc == 0, run.text()
        report = job.report()
        assert net.wait_settled(report["lease"])["paid"] == report["paid"], report


def an_old_voucher_from_a_copied_folder(net):
    """Somebody with the renter's key closes a running lease with what was signed long ago: each
    provider brings the highest voucher in time."""
    renter = net.renter
    net.wait_offers()
    before = net.balances()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, 60)
    lease = net.wait_voucher(job=job)["lease"]
    lone = f"{net.folder}/lone"
    shutil.copytree(renter.data_folder, lone,
                    ignore=shutil.ignore_patterns("*.sock", "node.key", "listen.address", "LOCK"))
    old = net.lease(lease)["paid"]["units"]
    known = wait_until(lambda: max(net.lease(lease)["paid"]["units"] - 2 * old, 0), 30,
                       "the renter has signed for more than twice as much") + 2 * old
    with lone_daemon(net, "--password-file", f"{lone}/wallet.password"):
        run = job.wait(40)
        assert run.rc != 0 and "closed the lease on the ledger" in run.text(), run.text()
        settled = net.wait_settled(lease)
    assert settled["paid"]["units"] >= known > old, (settled, known, old)
    check_money(net, before, lease)


# ---- transfers


def sign(net, sender, to, name, nonce, *chain):
    """The signed transfer's file, made without any daemon."""
    path = f"{net.folder}/{name}"
    succeeds(net, "wallet", "sign-transfer", to, SENT, "--nonce", nonce, *chain, "--output", path,
             "--data", sender.data_folder, "--password-file", password_file(sender))
    return path


def next_nonce(net, address):
    return net.sealer.call("wallet", "show", address)["nonce"]


def what_became_of(net, node, tx_id, height):
    """A transaction and its block are found by their ids, and by the first digits of these."""
    for digits in (8, 13, 64):
        found = node.call("tx", "show", tx_id[:digits])
        assert (found["tx"], found["state"], found["height"]) == (tx_id, "final", height), found
        assert found["kind"] == "transfer", found
        block = node.call("block", "show", found["block"][:digits])
        assert block["height"] == height and tx_id in [tx["tx"] for tx in block["txs"]], block
    for unknown, says in ((f"{tx_id[:62]}zz", "is no id of a transaction"),
                          (tx_id[:7], "is no id of a transaction"),
                          ("ab" * 32, "there is no transaction")):
        message = refused(net, node, "tx", "show", unknown)
        assert says in message, message


def an_offline_transfer(net):
    sender, (carrier, receiver) = net.renter, net.providers
    chain = ("--chain", net.sealer.status()["chain_id"])
    genesis = ("--genesis", f"{net.chain_folder}/genesis.json")
    nonce = next_nonce(net, sender.address)
    before = net.balances()
    pay = sign(net, sender, receiver.address, "pay", nonce, *chain)
    receipt = carrier.call("wallet", "submit", pay)
    assert receipt["height"] > 0 and receipt["from"] == sender.address, receipt
    net.wait_agreement()
    after = net.balances()
    assert after["renter"] == before["renter"] - SENT_UNITS, (before, after)
    assert after[receiver.name] == before[receiver.name] + SENT_UNITS, (before, after)

    message = refused(net, net.sealer, "wallet", "submit", pay)
    assert f"stands in block {receipt['height']} already" in message, message
    used = sign(net, sender, carrier.address, "used", nonce, *genesis)
    message = refused(net, carrier, "wallet", "submit", used)
    assert f"sign again with nonce {nonce + 1}" in message, message
    early = sign(net, sender, carrier.address, "early", nonce + 2, *genesis)
    message = refused(net, carrier, "wallet", "submit", early)
    assert f"too high: the next one is {nonce + 1}" in message, message
    other = sign(net, sender, carrier.address, "other", nonce + 1, "--chain", "ab" * 32)
    message = refused(net, carrier, "wallet", "submit", other)
    assert "is for chain abababab" in message, message
    assert net.balances() == after

    what_became_of(net, carrier, receipt["tx"], receipt["height"])

    # By a daemon that has no wallet; and what was too early is in time once the gap is filled.
    with lone_daemon(net) as (_, socket):
        last = sign(net, sender, receiver.address, "last", nonce + 1, *genesis)
        assert "sent 2.5 in block" in succeeds(net, "wallet", "submit", last, socket=socket)
    assert "sent 2.5 in block" in succeeds(net, "wallet", "submit", early, socket=carrier.socket)
    net.wait_agreement()
    assert net.balances()["renter"] == after["renter"] - 2 * SENT_UNITS


def what_the_sealer_missed(net):
    """The sealer stands still while a lease is asked for: when it is back, nothing waits behind the
    lease that came too late, and a transfer that waited is done once."""
    net.wait_offers()
    net.sealer.signal(signal.SIGSTOP)
    try:
        job = net.start_mpirun("--chain-lease", 1, "hostname", report=False)
        wait_until(lambda: net.renter.call("wallet", "show")["waiting"] == 1, 10,
                   "the lease waits for a block")
        run = job.wait(40)
        assert run.rc != 0, run.text()
    finally:
        net.sealer.signal(signal.SIGCONT)
    wait_until(lambda: net.renter.call("wallet", "show")["waiting"] == 0, 60,
               "nothing of the renter waits any more", 0.5)
    net.wait_nothing_locked()
    before = net.balances()
    net.renter.call("wallet", "send", net.sealer.address, SENT)
    net.wait_agreement()
    after = net.balances()
    assert after["renter"] == before["renter"] - SENT_UNITS, (before, after)
    lease_works(net)


# ---- the node key


def scratch_folder(node):
    return f"/var/tmp/ompi-chain-{os.geteuid()}/{node.status()['node_key'][:8]}"


def peers_of(node):
    return {peer["node_key"] for peer in node.call("peer", "list")["peers"]}


def rotate(net, node):
    """Until no lease of the past holds the old key; the old and the new one."""
    change = wait_until(lambda: node.call("node", "rotate-key", check=False), 30,
                        f"{node.name} gets a new key", 0.2)
    node.scratch_folder = scratch_folder(node)
    old, new = change["old_node_key"], change["new_node_key"]
    assert old != new and node.status()["node_key"] == new, change
    others = [other for other in net.nodes.values() if other is not node]
    # Whoever was connected is again (all are with the sealer); nobody knows the old key.
    hubs = [net.sealer] if node is not net.sealer else others
    wait_until(lambda: all(new in peers_of(hub) for hub in hubs) and
               not any(old in peers_of(other) for other in others), 30,
               f"the peers know {node.name} by its new key")
    return old, new


def lease_works(net):
    net.wait_offers()
    run = net.mpirun("--chain-lease", 2, "-np", 2, BUSY, 1)
    assert run.rc == 0, run.text()
    assert {leg["host"] for leg in run.report["legs"]} == {each.name for each in net.providers}


def a_new_node_key(net):
    provider = net.providers[0]
    _, new = rotate(net, provider)
    offers = wait_until(
        lambda: [offer for offer in net.renter.call("offer", "list", "--all")["offers"]
                 if offer["node_key"] == new], 20, "the renter sees the offer under the new key")
    assert [offer["provider"] for offer in offers] == [provider.address], offers
    lease_works(net)
    rotate(net, net.renter)
    rotate(net, net.sealer)
    lease_works(net)


def no_new_key_while_a_lease_runs(net):
    net.wait_offers()
    job = net.start_mpirun("--chain-lease", 2, "-np", 2, BUSY, 5)
    lease = net.wait_running(job=job)["lease"]
    for node in (net.providers[0], net.renter):
        key = node.status()["node_key"]
        message = refused(net, node, "node", "rotate-key")
        assert lease[:8] in message and "leases that run" in message, message
        assert node.status()["node_key"] == key
    run = job.wait(40)
    assert run.rc == 0, run.text()


def a_daemon_killed_after_it(net):
    provider = net.providers[1]
    _, new = rotate(net, provider)
    provider.kill()
    assert provider.restart()["node_key"] == new
    lease_works(net)


# ---- stake and ratings


def stake_comes_back_after_a_while(net):
    node = net.providers[0]
    before = node.call("wallet", "show")
    node.call("wallet", "stake", "3", "--yes")
    node.call("wallet", "unstake", "1")
    shown = node.call("wallet", "show")
    assert shown["staked"]["tokens"] == "2" and shown["unbonding"]["tokens"] == "1", shown
    assert shown["balance"]["units"] == before["balance"]["units"] - 3 * UNITS_PER_TOKEN, shown
    message = refused(net, node, "wallet", "withdraw-stake")
    assert "can be withdrawn from 20" in message, message
    message = refused(net, node, "wallet", "unstake", "2.5")
    assert "2 tokens are staked" in message and "2.5" in message, message
    assert node.call("wallet", "show")["staked"] == shown["staked"]


def a_lease_is_rated_once(net):
    net.wait_offers()
    run = net.mpirun("--chain-lease", 2, "-np", 2, BUSY, 1)
    assert run.rc == 0, run.text()
    lease = run.report["lease"]
    net.wait_settled(lease)
    message = refused(net, net.providers[0], "lease", "rate", lease, "satisfied")
    assert "only the renter" in message, message
    message = refused(net, net.renter, "lease", "rate", lease[:12], "satisfied", "--leg", "2")
    assert "legs 0 to 1" in message, message
    net.renter.call("lease", "rate", lease[:12], "satisfied", "--leg", "1")
    message = refused(net, net.renter, "lease", "rate", lease[:12], "satisfied", "--leg", "1")
    assert "rated already" in message, message
    net.renter.call("lease", "rate", lease[:12], "dissatisfied", "--left-early")  # the other leg
    message = refused(net, net.renter, "lease", "rate", lease[:12], "satisfied")
    assert "rated already" in message, message


TESTS = [
    ("a_lost_disk", a_lost_disk),
    ("words_for_a_running_daemon", words_for_a_running_daemon),
    ("a_wallet_at_two_daemons", a_wallet_at_two_daemons),
    ("an_old_voucher_from_a_copied_folder", an_old_voucher_from_a_copied_folder),
    ("an_offline_transfer", an_offline_transfer),
    ("what_the_sealer_missed", what_the_sealer_missed),
    ("a_new_node_key", a_new_node_key),
    ("no_new_key_while_a_lease_runs", no_new_key_while_a_lease_runs),
    ("a_daemon_killed_after_it", a_daemon_killed_after_it),
    ("stake_comes_back_after_a_while", stake_comes_back_after_a_while),
    ("a_lease_is_rated_once", a_lease_is_rated_once),
]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS, lambda: Devnet(providers=2, slots=1)))
