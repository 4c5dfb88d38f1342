# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += ompi/mca/hook/chain/mca_hook_chain.la
ompi_mca_hook_chain_mca_hook_chain_la_SOURCES = \
  ompi/mca/hook/chain/hook_chain.h \
  ompi/mca/hook/chain/hook_chain_component.cc \
  ompi/mca/hook/chain/hook_chain_module.cc
ompi_mca_hook_chain_mca_hook_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS)
ompi_mca_hook_chain_mca_hook_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
ompi_mca_hook_chain_mca_hook_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
