# SPDX-License-Identifier: BSD-3-Clause
chain_base_sources = \
  chain/base/bytes.cc chain/base/bytes.h \
  chain/base/clock.cc chain/base/clock.h \
  chain/base/descriptors.cc chain/base/descriptors.h \
  chain/base/file.cc chain/base/file.h \
  chain/base/folder_walk.cc chain/base/folder_walk.h \
  chain/base/log.cc chain/base/log.h \
  chain/base/loop.cc chain/base/loop.h \
  chain/base/namespaces.cc chain/base/namespaces.h \
  chain/base/recent_set.h \
  chain/base/parallel.cc chain/base/parallel.h \
  chain/base/result.cc chain/base/result.h \
  chain/base/round_trip.cc chain/base/round_trip.h \
  chain/base/split.h \
  chain/base/text.cc chain/base/text.h \
  chain/base/units.cc chain/base/units.h
