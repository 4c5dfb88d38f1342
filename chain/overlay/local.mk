# SPDX-License-Identifier: BSD-3-Clause
chain_overlay_sources = \
  chain/overlay/address.h \
  chain/overlay/device.cc chain/overlay/device.h \
  chain/overlay/engine.cc chain/overlay/engine.h \
  chain/overlay/link.cc chain/overlay/link.h \
  chain/overlay/packet.cc chain/overlay/packet.h
