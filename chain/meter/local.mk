# SPDX-License-Identifier: BSD-3-Clause
chain_meter_sources = \
  chain/meter/calibrate.cc \
  chain/meter/cpu_time.cc chain/meter/cpu_time.h \
  chain/meter/meter.cc chain/meter/meter.h \
  chain/meter/perf_counter.cc chain/meter/perf_counter.h \
  chain/meter/rank_file.h \
  chain/meter/rank_folder.cc
