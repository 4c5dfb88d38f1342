# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/cli_test
TESTS += tests/cli_test
tests_cli_test_sources = tests/chain/cli/ask.h tests/chain/cli/typed.h \
  tests/chain/cli/bundle_test.cc tests/chain/cli/calendar_test.cc tests/chain/cli/cli_test.cc \
  tests/chain/cli/key_commands_test.cc \
  tests/chain/cli/market_test.cc tests/chain/cli/stake_test.cc \
  tests/chain/cli/process_test.cc tests/chain/cli/provide_test.cc \
  tests/chain/client/control_server.cc tests/chain/client/control_server.h
tests_cli_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_cli_test_LDADD = libompi-chain-cli.la $(TEST_LIBS)
