# SPDX-License-Identifier: BSD-3-Clause
chain_host_sources = \
  chain/host/cgroup_layout.cc chain/host/cgroup_layout.h \
  chain/host/control_group.cc chain/host/control_group.h \
  chain/host/logind.cc chain/host/logind.h \
  chain/host/scratch_volume.cc chain/host/scratch_volume.h
