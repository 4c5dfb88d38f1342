# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/incentive_test
TESTS += tests/incentive_test
tests_incentive_test_SOURCES = tests/incentive/settlement_test.cc
tests_incentive_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_incentive_test_LDADD = $(TEST_LIBS)
