# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/simulation_test
TESTS += tests/simulation_test
# Its own schnorr.cc comes before the library's: signatures are not what is tested.
tests_simulation_test_SOURCES = tests/chain/consensus/simulation_test.cc \
  tests/chain/consensus/simulator.cc tests/chain/consensus/simulator.h tests/fuzz/cheap_schnorr.cc
tests_simulation_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_simulation_test_LDADD = $(TEST_LIBS)
