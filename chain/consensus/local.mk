# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += \
  chain/consensus/miner.cc chain/consensus/miner.h \
  chain/consensus/pow.cc chain/consensus/pow.h chain/consensus/randomx_pow.cc \
  chain/consensus/sealer.h chain/consensus/solo_sealer.cc \
  chain/consensus/target.cc chain/consensus/target.h
