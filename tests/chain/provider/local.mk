# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/meter_test tests/sandbox_test tests/owner_test
TESTS += tests/meter_test tests/sandbox_test tests/owner_test

tests_meter_test_SOURCES = \
  tests/chain/meter/meter_test.cc tests/chain/meter/rank_folder_test.cc \
  tests/chain/provider/support.h
tests_meter_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_meter_test_LDADD = $(TEST_LIBS)

tests_sandbox_test_SOURCES = \
  tests/chain/provider/lease_folder_test.cc tests/chain/provider/sandbox_test.cc \
  tests/chain/provider/support.h
tests_sandbox_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_sandbox_test_LDADD = $(TEST_LIBS)

tests_owner_test_SOURCES = \
  tests/chain/provider/owner_policy_test.cc tests/chain/provider/owner_watch_test.cc \
  tests/chain/provider/settings_test.cc \
  tests/chain/provider/support.h
tests_owner_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_owner_test_LDADD = $(TEST_LIBS)
