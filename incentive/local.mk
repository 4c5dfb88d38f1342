# SPDX-License-Identifier: BSD-3-Clause
incentive_sources = incentive/mining.cc incentive/mining.h incentive/params.h \
  incentive/reputation.cc incentive/reputation.h incentive/rewards.cc incentive/rewards.h \
  incentive/settlement.cc incentive/settlement.h incentive/slashing.cc incentive/slashing.h \
  incentive/split.cc incentive/split.h
