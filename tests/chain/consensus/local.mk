# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/consensus_test tests/simulation_test
TESTS += tests/consensus_test tests/simulation_test tests/chain/consensus/asert_vectors.py
EXTRA_DIST += tests/chain/consensus/asert_vectors.py tests/chain/consensus/asert_vectors.txt
tests_consensus_test_SOURCES = tests/chain/consensus/asert_test.cc \
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

# The long form of the second: a quarter of an hour.
SCHEDULES_OF_FINALITY = 100000
check-finality: tests/simulation_test
	@tests/simulation_test $(SCHEDULES_OF_FINALITY)
.PHONY: check-finality
