# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += \
  chain/identity/bech32m.cc chain/identity/bech32m.h \
  chain/identity/keys.cc chain/identity/keys.h \
  chain/identity/keystore.cc chain/identity/keystore.h \
  chain/identity/schnorr.cc chain/identity/schnorr.h
