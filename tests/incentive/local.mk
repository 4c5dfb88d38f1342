# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/incentive_test
TESTS += tests/incentive_test tests/incentive/examples.py
EXTRA_DIST += tests/incentive/examples.py tests/incentive/golden/money_rules.json \
  tests/incentive/reference.py
tests_incentive_test_sources = tests/incentive/coefficient_test.cc \
  tests/incentive/golden_test.cc tests/incentive/mining_test.cc tests/incentive/property.h \
  tests/incentive/property_test.cc tests/incentive/reputation_test.cc \
  tests/incentive/rewards_test.cc tests/incentive/settlement_test.cc \
  tests/incentive/slashing_test.cc tests/incentive/split_test.cc
tests_incentive_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_incentive_test_LDADD = $(TEST_LIBS)
