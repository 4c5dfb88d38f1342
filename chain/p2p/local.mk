# SPDX-License-Identifier: BSD-3-Clause
chain_p2p_sources = \
  chain/p2p/address.cc chain/p2p/address.h \
  chain/p2p/address_book.cc chain/p2p/address_book.h chain/p2p/address_book_file.cc \
  chain/p2p/address_exchange.cc chain/p2p/address_exchange.h \
  chain/p2p/caller.cc chain/p2p/caller.h \
  chain/p2p/channel.cc chain/p2p/channel.h \
  chain/p2p/connector.cc chain/p2p/connector.h \
  chain/p2p/dialing.cc \
  chain/p2p/discouraged.cc chain/p2p/discouraged.h \
  chain/p2p/discovery.cc \
  chain/p2p/doorstep.cc chain/p2p/doorstep.h \
  chain/p2p/eviction.cc chain/p2p/eviction.h \
  chain/p2p/frames.cc chain/p2p/frames.h \
  chain/p2p/hello.cc chain/p2p/hello.h \
  chain/p2p/limits.h \
  chain/p2p/meeting.cc chain/p2p/meeting.h \
  chain/p2p/meeting_point.cc chain/p2p/meeting_point.h \
  chain/p2p/meetings.cc chain/p2p/meetings.h \
  chain/p2p/network.cc chain/p2p/network.h chain/p2p/network_impl.h \
  chain/p2p/peer_address.cc chain/p2p/peer_address.h \
  chain/p2p/port_mapping.cc chain/p2p/port_mapping.h chain/p2p/port_mappers.cc \
  chain/p2p/preamble.h \
  chain/p2p/random.h \
  chain/p2p/reachable.cc chain/p2p/reachable.h \
  chain/p2p/reaching.cc \
  chain/p2p/relay.cc chain/p2p/relay.h chain/p2p/relay_policy.h \
  chain/p2p/seeker.cc chain/p2p/seeker.h \
  chain/p2p/session.cc chain/p2p/session.h \
  chain/p2p/sought.cc chain/p2p/sought.h \
  chain/p2p/tls.cc chain/p2p/tls.h \
  chain/p2p/token_bucket.h

if HAVE_LDNS
libompi_chain_la_SOURCES += \
  chain/p2p/lan_discovery.cc chain/p2p/lan_discovery.h \
  chain/p2p/mdns_packet.cc chain/p2p/mdns_packet.h
endif
