# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/daemon_test
TESTS += tests/daemon_test
tests_daemon_test_sources = tests/chain/daemon/bookings_test.cc tests/chain/daemon/gossip_test.cc \
  tests/chain/daemon/orte_guard_test.cc tests/chain/daemon/orte_packer.h \
  tests/chain/daemon/reading_check_test.cc \
  tests/chain/daemon/relay_till_test.cc \
  tests/chain/daemon/stranger_test.cc
tests_daemon_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_daemon_test_LDADD = $(TEST_LIBS)
