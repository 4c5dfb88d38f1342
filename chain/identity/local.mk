# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += chain/identity/keys.cc
