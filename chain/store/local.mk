# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += \
  chain/store/leveldb_store.cc chain/store/memory_store.cc chain/store/store.h
