# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/consensus_test tests/simulation_test tests/por_share_test
TESTS += tests/consensus_test tests/simulation_test tests/por_share_test \
  tests/chain/consensus/asert_vectors.py
EXTRA_DIST += tests/chain/consensus/asert_vectors.py tests/chain/consensus/asert_vectors.txt
tests_consensus_test_sources = tests/chain/consensus/asert_test.cc \
  tests/chain/consensus/block_tree_test.cc tests/chain/consensus/finality_test.cc \
  tests/chain/consensus/miner_test.cc tests/chain/consensus/pow_test.cc \
  tests/chain/consensus/rule_test.cc tests/chain/consensus/share_test.cc \
  tests/chain/consensus/target_test.cc \
  tests/chain/consensus/targets.h tests/chain/consensus/trees.h \
  tests/chain/consensus/validator_chain.h tests/chain/consensus/voter_test.cc
tests_consensus_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_consensus_test_LDADD = $(TEST_LIBS)
# Its own schnorr.cc comes before the library's: signatures are not what is tested.
tests_simulation_test_SOURCES = tests/chain/consensus/simulation_test.cc \
  tests/chain/consensus/simulator.cc tests/chain/consensus/simulator.h tests/fuzz/cheap_schnorr.cc
tests_simulation_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_simulation_test_LDADD = $(TEST_LIBS)
tests_por_share_test_SOURCES = tests/chain/consensus/por_share_test.cc \
  tests/chain/consensus/por_simulation.cc tests/chain/consensus/por_simulation.h
tests_por_share_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_por_share_test_LDADD = $(TEST_LIBS)

# The long forms of two: some twenty minutes each.
SCHEDULES_OF_FINALITY = 100000
check-finality: tests/simulation_test
	@tests/simulation_test $(SCHEDULES_OF_FINALITY)
BLOCKS_OF_SHARES = 100000
check-por-share: tests/por_share_test
	@tests/por_share_test $(BLOCKS_OF_SHARES)
.PHONY: check-finality check-por-share
