# SPDX-License-Identifier: BSD-3-Clause
chain_store_sources = \
  chain/store/leveldb_store.cc chain/store/memory_store.cc chain/store/store.h
