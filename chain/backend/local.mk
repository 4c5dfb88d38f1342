# SPDX-License-Identifier: BSD-3-Clause
chain_backend_sources = \
  chain/backend/backend.cc chain/backend/backend.h chain/backend/call_all.h \
  chain/backend/validator_backend.cc \
  chain/backend/ledger_backend.cc chain/backend/ledger_backend.h \
  chain/backend/memory_backend.cc chain/backend/memory_backend.h \
  chain/backend/memory_lease.cc chain/backend/memory_lease_end.cc \
  chain/backend/memory_model.cc chain/backend/memory_model.h chain/backend/memory_stake.cc
