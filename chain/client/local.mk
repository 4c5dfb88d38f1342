# SPDX-License-Identifier: BSD-3-Clause
chain_client_sources = \
  chain/client/bill.cc chain/client/json.h \
  chain/client/client.cc chain/client/client.h \
  chain/client/join_file.cc chain/client/join_file.h \
  chain/client/layout.h \
  chain/client/text.cc chain/client/text.h \
  chain/client/tries.cc chain/client/tries.h
chain_client_sources += \
  chain/client/home_files.cc chain/client/home_files.h \
  chain/client/home_network.cc chain/client/home_network.h \
  chain/client/lease_session.cc chain/client/lease_session.h \
  chain/client/lease_spec.cc chain/client/lease_spec.h \
  chain/client/s3_access.cc chain/client/s3_access.h \
  chain/client/stage_plan.cc chain/client/stage_plan.h \
  chain/client/start_time.cc chain/client/start_time.h
