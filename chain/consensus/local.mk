# SPDX-License-Identifier: BSD-3-Clause
CONSENSUS_PROTOS = chain/consensus/consensus.proto

chain_consensus_sources = \
  chain/consensus/block_tree.cc chain/consensus/block_tree.h \
  chain/consensus/consensus.cc chain/consensus/consensus.h \
  chain/consensus/engine.cc chain/consensus/engine.h \
  chain/consensus/finality_file.cc chain/consensus/finality_file.h \
  chain/consensus/ledger_branch.cc chain/consensus/ledger_branch.h \
  chain/consensus/miner.cc chain/consensus/miner.h \
  chain/consensus/pow.cc chain/consensus/pow.h chain/consensus/randomx_pow.cc \
  chain/consensus/rule.cc chain/consensus/rule.h \
  chain/consensus/poa_rule.cc chain/consensus/por_rule.cc \
  chain/consensus/sealer.h chain/consensus/solo_sealer.cc \
  chain/consensus/share_auditor.cc chain/consensus/share_auditor.h \
  chain/consensus/share_keeper.cc chain/consensus/share_keeper.h \
  chain/consensus/target.cc chain/consensus/target.h \
  chain/consensus/vote_pool.cc chain/consensus/vote_pool.h \
  chain/consensus/voter.cc chain/consensus/voter.h
nodist_libompi_chain_la_SOURCES += chain/consensus/consensus.pb.cc
BUILT_SOURCES += chain/consensus/consensus.pb.h
CLEANFILES += chain/consensus/consensus.pb.cc chain/consensus/consensus.pb.h
EXTRA_DIST += $(CONSENSUS_PROTOS)
