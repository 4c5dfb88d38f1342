# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += \
  chain/client/bill.cc chain/client/json.h \
  chain/client/client.cc chain/client/client.h \
  chain/client/text.cc chain/client/text.h
