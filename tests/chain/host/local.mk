# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/host_test
TESTS += tests/host_test
tests_host_test_SOURCES = tests/chain/host/control_group_test.cc tests/chain/host/scratch_volume_test.cc
tests_host_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_host_test_LDADD = $(TEST_LIBS)
