# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/staging_test
TESTS += tests/staging_test

tests_staging_test_sources = \
  tests/chain/stage/broken_transfer_test.cc tests/chain/stage/content_store_test.cc \
  tests/chain/stage/results_test.cc tests/chain/stage/s3_test.cc \
  tests/chain/stage/staged_file_test.cc \
  tests/chain/stage/transfer_test.cc \
  tests/chain/stage/support.h tests/chain/stage/transfer.h tests/chain/provider/support.h
tests_staging_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_staging_test_LDADD = $(TEST_LIBS)
