# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/backend_test
TESTS += tests/backend_test
tests_backend_test_sources = tests/chain/ledger/ledger_fixture.h \
  tests/chain/backend/differential_test.cc tests/chain/backend/memory_backend_test.cc \
  tests/chain/backend/validator_backend_test.cc \
  tests/chain/backend/schedule_actions.cc \
  tests/chain/backend/schedule_player.cc tests/chain/backend/schedule_player.h \
  tests/chain/backend/vectors.cc tests/chain/backend/vectors.h \
  tests/chain/backend/vectors_replay.cc tests/chain/backend/vectors_replay.h \
  tests/chain/backend/vectors_subjects.cc tests/chain/backend/vectors_test.cc
EXTRA_DIST += tests/vectors
tests_backend_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_backend_test_LDADD = $(TEST_LIBS)

# After a change that is meant to change states (a parameter, a record): new digests, where all
# three back ends agree and all that the files say of balances holds.
renew-vectors: tests/backend_test
	@CHAIN_RENEW_DIGESTS=1 tests/backend_test --gtest_filter='Vectors.EveryFile*'

# The rules, written twice, on 100,000 random schedules: a few minutes.
check-schedules: tests/backend_test
	@CHAIN_SCHEDULES=100000 tests/backend_test --gtest_filter='Differential*'
.PHONY: check-schedules renew-vectors
