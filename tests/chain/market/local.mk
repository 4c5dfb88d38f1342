# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/market_test
TESTS += tests/market_test
tests_market_test_sources = \
  tests/chain/market/clearing_test.cc tests/chain/market/offer_book_test.cc \
  tests/chain/market/placement_test.cc \
  tests/chain/market/timetable_test.cc
tests_market_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_market_test_LDADD = $(TEST_LIBS)
