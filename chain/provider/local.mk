# SPDX-License-Identifier: BSD-3-Clause
# Where a leg finds the components that are loaded into its ranks, and Open MPI's own.
AM_CPPFLAGS += -DCHAIN_COMPONENT_DIR='"$(component_dir)"' \
  -DOMPI_COMPONENT_DIR='"$(OMPI_COMPONENT_DIR)"'

chain_provider_sources = \
  chain/provider/bwrap_arguments.cc chain/provider/bwrap_arguments.h \
  chain/provider/gpu_devices.cc chain/provider/gpu_devices.h \
  chain/provider/image.cc chain/provider/image.h \
  chain/provider/lease_folder.cc chain/provider/lease_folder.h \
  chain/provider/sandbox.cc chain/provider/sandbox.h \
  chain/provider/seccomp_filter.cc chain/provider/seccomp_filter.h \
  chain/provider/spawn.cc chain/provider/spawn.h
chain_provider_sources += chain/provider/orted_command.cc chain/provider/orted_command.h \
  chain/provider/owner_policy.cc chain/provider/owner_policy.h \
  chain/provider/owner_watch.cc chain/provider/owner_watch.h \
  chain/provider/settings.cc chain/provider/settings.h chain/provider/settings_text.cc
