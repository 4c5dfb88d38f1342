# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += \
  chain/backend/backend.cc chain/backend/backend.h \
  chain/backend/ledger_backend.cc chain/backend/ledger_backend.h
