# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/identity_test
TESTS += tests/identity_test
tests_identity_test_sources = tests/chain/identity/keys_test.cc \
  tests/chain/identity/keystore_test.cc tests/chain/identity/mnemonic_test.cc
tests_identity_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_identity_test_LDADD = $(TEST_LIBS)
