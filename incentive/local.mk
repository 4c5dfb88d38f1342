# SPDX-License-Identifier: BSD-3-Clause
libompi_chain_la_SOURCES += incentive/params.h incentive/settlement.cc incentive/settlement.h
