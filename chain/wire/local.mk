# SPDX-License-Identifier: BSD-3-Clause
WIRE_PROTOS = chain/wire/ledger.proto chain/wire/peer.proto chain/wire/control.proto \
  chain/wire/meeting.proto
WIRE_GENERATED_CC = $(WIRE_PROTOS:.proto=.pb.cc)
WIRE_GENERATED_H = $(WIRE_PROTOS:.proto=.pb.h)

libompi_chain_la_SOURCES += chain/wire/frame.cc chain/wire/frame.h
nodist_libompi_chain_la_SOURCES += \
  chain/wire/ledger.pb.cc chain/wire/peer.pb.cc chain/wire/control.pb.cc \
  chain/wire/meeting.pb.cc
BUILT_SOURCES += chain/wire/ledger.pb.h chain/wire/peer.pb.h chain/wire/control.pb.h \
  chain/wire/meeting.pb.h
CLEANFILES += $(WIRE_GENERATED_CC) $(WIRE_GENERATED_H)
EXTRA_DIST += $(WIRE_PROTOS)

SUFFIXES = .proto .pb.cc .pb.h
%.pb.cc %.pb.h: %.proto
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(PROTOC) -I$(top_srcdir) --cpp_out=$(top_builddir) $<
