# SPDX-License-Identifier: BSD-3-Clause
EXTRA_DIST += \
  docs/README.md \
  docs/benchmarks.md \
  docs/architecture.md \
  docs/consensus.md \
  docs/validators.md \
  docs/lending.md \
  docs/losing_peers.md \
  docs/metering.md \
  docs/staging.md \
  docs/glossary.md \
  docs/peer_protocol.md \
  docs/control_protocol.md \
  docs/ledger_rules.md \
  docs/money_rules.md \
  docs/vectors.md \
  docs/wire_format.md \
  docs/fuzzing.md \
  docs/crash_safety.md \
  docs/adr/0000-template.md \
  docs/adr/0001-extend-packaged-open-mpi.md \
  docs/adr/0002-state-digest.md \
  docs/adr/0003-a-sealer-of-its-own.md \
  docs/adr/0004-who-closes-a-lease.md \
  docs/adr/0005-equal-asks-share-the-slots.md \
  docs/adr/0006-the-daemon-reads-the-files.md \
  docs/adr/0007-sessions-carry-the-heartbeat.md \
  docs/adr/0008-seed-words-are-the-key.md \
  docs/adr/0009-work-that-nobody-signed.md \
  docs/adr/0010-ratios-start-from-nothing.md \
  docs/adr/0011-blocks-are-written-behind-execution.md \
  docs/adr/0012-a-chain-proves-its-own-finality.md \
  docs/adr/0013-shares-are-counted-before-they-are-hashed.md \
  docs/adr/0014-votes-count-for-what-was-executed.md \
  docs/adr/0015-notice-at-once.md \
  docs/adr/0016-one-cache-for-each-renter.md \
  docs/adr/0017-addresses-instead-of-keys.md
