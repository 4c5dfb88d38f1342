# SPDX-License-Identifier: BSD-3-Clause
chain_market_sources = \
  chain/market/clearing.cc chain/market/clearing.h \
  chain/market/gpu.cc chain/market/gpu.h \
  chain/market/offer_book.cc chain/market/offer_book.h \
  chain/market/placement.cc chain/market/placement.h \
  chain/market/timetable.cc chain/market/timetable.h
