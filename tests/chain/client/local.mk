# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/client_test
TESTS += tests/client_test
tests_client_test_sources = tests/chain/client/bill_test.cc tests/chain/client/client_test.cc \
  tests/chain/client/control_server.cc tests/chain/client/control_server.h \
  tests/chain/client/s3_access_test.cc tests/chain/client/start_time_test.cc \
  tests/chain/client/text_test.cc
tests_client_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_LDADD = $(TEST_LIBS)
