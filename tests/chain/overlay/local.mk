# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/overlay_test
TESTS += tests/overlay_test
tests_overlay_test_sources = \
  tests/chain/overlay/engine_test.cc \
  tests/chain/overlay/packet_test.cc \
  tests/chain/overlay/packets.h \
  tests/chain/p2p/channel_pair.h tests/chain/p2p/net_fixture.h
tests_overlay_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_overlay_test_LDADD = $(TEST_LIBS)
