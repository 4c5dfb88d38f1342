# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/p2p_test
TESTS += tests/p2p_test
tests_p2p_test_sources = \
  tests/chain/p2p/channel_pair.h tests/chain/p2p/channel_test.cc \
  tests/chain/p2p/net_fixture.h \
  tests/chain/p2p/loss_test.cc \
  tests/chain/p2p/parts_test.cc \
  tests/chain/p2p/raw_peer.h \
  tests/chain/p2p/session_test.cc \
  tests/chain/p2p/stranger_test.cc
tests_p2p_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_p2p_test_LDADD = $(TEST_LIBS)

# How peers are found: a program of its own, for each takes under 20 seconds.
check_PROGRAMS += tests/p2p_discovery_test
TESTS += tests/p2p_discovery_test
tests_p2p_discovery_test_sources = \
  tests/chain/p2p/address_book_test.cc \
  tests/chain/p2p/connector_test.cc \
  tests/chain/p2p/discovery_test.cc \
  tests/chain/p2p/net_fixture.h \
  tests/chain/p2p/port_mapping_test.cc \
  tests/chain/p2p/raw_peer.h
if HAVE_LDNS
tests_p2p_discovery_test_sources += tests/chain/p2p/mdns_test.cc
endif
tests_p2p_discovery_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_p2p_discovery_test_LDADD = $(TEST_LIBS)

# How peers are reached that cannot be dialled.
check_PROGRAMS += tests/p2p_meeting_test
TESTS += tests/p2p_meeting_test
tests_p2p_meeting_test_SOURCES = \
  tests/chain/p2p/channel_pair.h \
  tests/chain/p2p/meeting_roles_test.cc \
  tests/chain/p2p/meeting_test.cc \
  tests/chain/p2p/net_fixture.h \
  tests/chain/p2p/raw_peer.h \
  tests/chain/p2p/relay_test.cc
tests_p2p_meeting_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_p2p_meeting_test_LDADD = $(TEST_LIBS)
