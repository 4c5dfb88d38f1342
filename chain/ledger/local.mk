# SPDX-License-Identifier: BSD-3-Clause
LEDGER_PROTOS = chain/ledger/state.proto

chain_ledger_sources = \
  chain/ledger/account_cache.cc chain/ledger/account_cache.h \
  chain/ledger/block.cc chain/ledger/block.h \
  chain/ledger/block_writer.cc chain/ledger/block_writer.h \
  chain/ledger/chain.cc chain/ledger/chain.h \
  chain/ledger/chain_records.cc chain/ledger/chain_records.h \
  chain/ledger/codec.cc \
  chain/ledger/describe.cc \
  chain/ledger/finality.cc chain/ledger/finality.h \
  chain/ledger/genesis.cc \
  chain/ledger/lease_end_rules.cc \
  chain/ledger/history.cc chain/ledger/history.h \
  chain/ledger/history_query.cc \
  chain/ledger/history_rebuild.cc \
  chain/ledger/lease_rules.cc \
  chain/ledger/mempool.cc chain/ledger/mempool.h \
  chain/ledger/overlay.cc chain/ledger/overlay.h \
  chain/ledger/payout_rules.cc \
  chain/ledger/chain_finality.cc chain/ledger/seal_rule.h \
  chain/ledger/signature_cache.cc chain/ledger/signature_cache.h \
  chain/ledger/share_rules.cc chain/ledger/share_tree.cc chain/ledger/share_tree.h \
  chain/ledger/shares.cc chain/ledger/shares.h \
  chain/ledger/stake_rules.cc \
  chain/ledger/state.cc chain/ledger/state.h \
  chain/ledger/state_records.cc \
  chain/ledger/tip.h \
  chain/ledger/transition.cc chain/ledger/transition.h \
  chain/ledger/tx_cache.cc chain/ledger/tx_cache.h chain/ledger/tx_list.h \
  chain/ledger/types.h \
  chain/ledger/validator_rules.cc
# By itself: fuzzers have one of their own in its place.
libompi_chain_la_SOURCES += chain/ledger/state_digest.cc chain/ledger/state_digest.h
nodist_libompi_chain_la_SOURCES += chain/ledger/state.pb.cc
BUILT_SOURCES += chain/ledger/state.pb.h
CLEANFILES += chain/ledger/state.pb.cc chain/ledger/state.pb.h
EXTRA_DIST += $(LEDGER_PROTOS)
