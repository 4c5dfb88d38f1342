# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += orte/mca/plm/chain/mca_plm_chain.la
orte_mca_plm_chain_mca_plm_chain_la_SOURCES = \
  orte/mca/plm/chain/plm_chain.h \
  orte/mca/plm/chain/plm_chain_component.cc \
  orte/mca/plm/chain/plm_chain_loss.h \
  orte/mca/plm/chain/plm_chain_loss.cc \
  orte/mca/plm/chain/plm_chain_module.cc
orte_mca_plm_chain_mca_plm_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS) $(PROTOBUF_CFLAGS) \
  -DCHAIN_HELP_DIR='"$(helpdir)"' \
  -DCHAIN_COMPONENT_SOURCE_DIR='"$(abs_top_srcdir)/orte/mca/plm/chain"'
orte_mca_plm_chain_mca_plm_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
orte_mca_plm_chain_mca_plm_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
orte_mca_plm_chain_mca_plm_chain_la_LIBADD = libompi-chain.la
dist_help_DATA += orte/mca/plm/chain/help-plm-chain.txt
