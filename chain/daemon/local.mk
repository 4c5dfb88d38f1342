# SPDX-License-Identifier: BSD-3-Clause
chain_daemon_sources = \
  chain/daemon/agreement_round.cc chain/daemon/agreement_round.h \
  chain/daemon/bill.cc chain/daemon/bill.h \
  chain/daemon/bookings.cc chain/daemon/bookings.h \
  chain/daemon/chain_sync.cc chain/daemon/chain_sync.h \
  chain/daemon/control_calls.cc \
  chain/daemon/control_server.cc chain/daemon/control_server.h \
  chain/daemon/control_stream.cc chain/daemon/control_stream.h \
  chain/daemon/daemon.cc chain/daemon/daemon.h \
  chain/daemon/gossip_relay.cc chain/daemon/gossip_relay.h \
  chain/daemon/history_calls.cc \
  chain/daemon/join.cc chain/daemon/join.h \
  chain/daemon/journal.cc chain/daemon/journal.h \
  chain/daemon/lease_network.cc chain/daemon/lease_network.h \
  chain/daemon/log_categories.h \
  chain/daemon/node.cc chain/daemon/node.h \
  chain/daemon/orte_guard.cc chain/daemon/orte_guard.h \
  chain/daemon/orte_messages.cc chain/daemon/orte_messages.h \
  chain/daemon/orte_protocol.h \
  chain/daemon/orte_reader.cc chain/daemon/orte_reader.h \
  chain/daemon/orte_spawn.cc chain/daemon/orte_spawn.h \
  chain/daemon/provider_agent.cc chain/daemon/provider_agent.h \
  chain/daemon/provider_booking.cc chain/daemon/provider_owner.cc \
  chain/daemon/provider_propose.cc \
  chain/daemon/provider_leg.cc chain/daemon/provider_leg.h \
  chain/daemon/provider_leg_end.cc chain/daemon/provider_leg_network.cc \
  chain/daemon/provider_leg_room.cc \
  chain/daemon/reading_check.cc chain/daemon/reading_check.h \
  chain/daemon/relay_till.cc chain/daemon/relay_till.h \
  chain/daemon/renter_agent.cc chain/daemon/renter_agent.h \
  chain/daemon/renter_lease.cc chain/daemon/renter_lease.h \
  chain/daemon/renter_lease_begin.cc chain/daemon/renter_lease_network.cc \
  chain/daemon/renter_lease_end.cc chain/daemon/renter_lease_stage.cc \
  chain/daemon/reservations.cc chain/daemon/reservations.h \
  chain/daemon/reserving.cc chain/daemon/reserving.h \
  chain/daemon/results_desk.cc chain/daemon/results_desk.h \
  chain/daemon/results_fetch.cc chain/daemon/results_fetch.h \
  chain/daemon/results_taker.cc chain/daemon/results_taker.h \
  chain/daemon/stage_intake.cc chain/daemon/stage_intake.h \
  chain/daemon/stage_pump.cc chain/daemon/stage_pump.h \
  chain/daemon/tx_calls.cc chain/daemon/validator_calls.cc \
  chain/daemon/wallet.cc chain/daemon/wallet.h
nodist_libompi_chain_la_SOURCES += chain/daemon/journal.pb.cc
BUILT_SOURCES += chain/daemon/journal.pb.h
CLEANFILES += chain/daemon/journal.pb.cc chain/daemon/journal.pb.h
EXTRA_DIST += chain/daemon/journal.proto

bin_PROGRAMS += bin/ompi-chaind
bin_ompi_chaind_SOURCES = chain/daemon/main.cc
bin_ompi_chaind_LDADD = libompi-chain.la $(PROTOBUF_LIBS)
