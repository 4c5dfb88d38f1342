# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += opal/mca/pstat/chain/mca_pstat_chain.la
opal_mca_pstat_chain_mca_pstat_chain_la_SOURCES = \
  opal/mca/pstat/chain/pstat_chain.h \
  opal/mca/pstat/chain/pstat_chain_component.cc \
  opal/mca/pstat/chain/pstat_chain_module.cc
opal_mca_pstat_chain_mca_pstat_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS) \
  -DCHAIN_HELP_DIR='"$(helpdir)"' \
  -DCHAIN_COMPONENT_SOURCE_DIR='"$(abs_top_srcdir)/opal/mca/pstat/chain"'
opal_mca_pstat_chain_mca_pstat_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
opal_mca_pstat_chain_mca_pstat_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
dist_help_DATA += opal/mca/pstat/chain/help-pstat-chain.txt
