# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += orte/mca/ras/chain/mca_ras_chain.la
orte_mca_ras_chain_mca_ras_chain_la_SOURCES = \
  orte/mca/ras/chain/ras_chain.h \
  orte/mca/ras/chain/ras_chain_component.cc \
  orte/mca/ras/chain/ras_chain_module.cc
orte_mca_ras_chain_mca_ras_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS) $(PROTOBUF_CFLAGS) \
  -DCHAIN_HELP_DIR='"$(helpdir)"' \
  -DCHAIN_COMPONENT_SOURCE_DIR='"$(abs_top_srcdir)/orte/mca/ras/chain"'
orte_mca_ras_chain_mca_ras_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
orte_mca_ras_chain_mca_ras_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
orte_mca_ras_chain_mca_ras_chain_la_LIBADD = libompi-chain.la
dist_help_DATA += orte/mca/ras/chain/help-ras-chain.txt
