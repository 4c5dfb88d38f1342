# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/attack_test
TESTS += tests/attack_test
tests_attack_test_sources = tests/attack/attack.h tests/attack/attack_node.h \
  tests/attack/consensus_attack_test.cc tests/attack/stake_attack_test.cc \
  tests/attack/network_attack_test.cc tests/attack/share_attack_test.cc \
  tests/chain/base/temporary_folder.h tests/chain/consensus/trees.h \
  tests/chain/consensus/validator_chain.h tests/chain/p2p/net_fixture.h
tests_attack_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_attack_test_LDADD = $(TEST_LIBS)
