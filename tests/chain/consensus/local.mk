# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/consensus_test
TESTS += tests/consensus_test tests/chain/consensus/asert_vectors.py
EXTRA_DIST += tests/chain/consensus/asert_vectors.py tests/chain/consensus/asert_vectors.txt
tests_consensus_test_SOURCES = tests/chain/consensus/asert_test.cc \
  tests/chain/consensus/miner_test.cc tests/chain/consensus/pow_test.cc \
  tests/chain/consensus/target_test.cc tests/chain/consensus/targets.h
tests_consensus_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_consensus_test_LDADD = $(TEST_LIBS)
