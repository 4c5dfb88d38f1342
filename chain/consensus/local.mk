# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += \
  chain/consensus/sealer.h chain/consensus/solo_sealer.cc \
  chain/consensus/target.cc chain/consensus/target.h
