# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += oshmem/mca/sshmem/chain/mca_sshmem_chain.la
oshmem_mca_sshmem_chain_mca_sshmem_chain_la_SOURCES = \
  oshmem/include/shmem.h \
  oshmem/mca/sshmem/chain/sshmem_chain.h \
  oshmem/mca/sshmem/chain/sshmem_chain_component.cc \
  oshmem/mca/sshmem/chain/sshmem_chain_module.cc
oshmem_mca_sshmem_chain_mca_sshmem_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS)
oshmem_mca_sshmem_chain_mca_sshmem_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
oshmem_mca_sshmem_chain_mca_sshmem_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
