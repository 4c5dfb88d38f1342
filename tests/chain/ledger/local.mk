# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/ledger_test tests/ledger_kill_test tests/store_full_test
TESTS += tests/ledger_test tests/ledger_kill_test tests/store_full_test
tests_ledger_test_sources = tests/chain/ledger/account_cache_test.cc \
  tests/chain/ledger/ledger_fixture.h \
  tests/chain/ledger/backend_test.cc tests/chain/ledger/block_writer_test.cc \
  tests/chain/ledger/chain_test.cc \
  tests/chain/ledger/codec_test.cc tests/chain/ledger/entry_test.cc \
  tests/chain/ledger/free_leg_test.cc tests/chain/ledger/history_test.cc \
  tests/chain/ledger/lease_end_test.cc \
  tests/chain/ledger/naive_history.h tests/chain/ledger/overlay_test.cc \
  tests/chain/ledger/power_loss_test.cc tests/chain/ledger/reservation_test.cc \
  tests/chain/ledger/schedule_test.cc tests/chain/ledger/stake_test.cc \
  tests/chain/ledger/transition_fixture.h tests/chain/ledger/transition_test.cc \
  tests/chain/ledger/tx_cache_test.cc
tests_ledger_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ledger_test_LDADD = $(TEST_LIBS)
# Its own schnorr.cc comes before the library's.
tests_ledger_kill_test_SOURCES = tests/chain/ledger/kill_disk.h tests/chain/ledger/kill_test.cc \
  tests/chain/ledger/kill_writer.cc tests/chain/ledger/kill_writer.h tests/fuzz/cheap_schnorr.cc
tests_ledger_kill_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ledger_kill_test_LDADD = $(TEST_LIBS)
tests_store_full_test_SOURCES = tests/chain/ledger/store_full_test.cc
tests_store_full_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_store_full_test_LDADD = $(TEST_LIBS)

# The long form of one of them: minutes.
KILLS = 1000
check-kills: tests/ledger_kill_test
	@tests/ledger_kill_test $(KILLS)
.PHONY: check-kills

# Its table is what `make check` shows in the end: what each attack on money gains.
check_PROGRAMS += tests/gaming_test
TESTS += tests/gaming_test
tests_gaming_test_SOURCES = tests/chain/ledger/gaming_test.cc tests/chain/ledger/ledger_fixture.h \
  tests/chain/ledger/transition_fixture.h
tests_gaming_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_gaming_test_LDADD = $(TEST_LIBS)
