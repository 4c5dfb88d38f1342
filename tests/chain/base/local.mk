# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/base_test
TESTS += tests/base_test
tests_base_test_sources = \
  tests/chain/base/descriptors_test.cc tests/chain/base/parallel_test.cc \
  tests/chain/base/round_trip_test.cc tests/chain/base/temporary_folder.h \
  tests/chain/base/text_test.cc tests/chain/base/units_test.cc
tests_base_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_base_test_LDADD = $(TEST_LIBS)
