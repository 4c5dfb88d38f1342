# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += ompi/mca/hook/chain/mca_hook_chain.la
ompi_mca_hook_chain_mca_hook_chain_la_SOURCES = \
  ompi/mca/hook/chain/hook_chain.h \
  ompi/mca/hook/chain/hook_chain_component.cc \
  ompi/mca/hook/chain/hook_chain_module.cc
ompi_mca_hook_chain_mca_hook_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS) \
  -DCHAIN_HELP_DIR='"$(helpdir)"' \
  -DCHAIN_COMPONENT_SOURCE_DIR='"$(abs_top_srcdir)/ompi/mca/hook/chain"'
ompi_mca_hook_chain_mca_hook_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
ompi_mca_hook_chain_mca_hook_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
dist_help_DATA += ompi/mca/hook/chain/help-hook-chain.txt
