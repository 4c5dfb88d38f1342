# SPDX-License-Identifier: BSD-3-Clause
mca_LTLIBRARIES += orte/mca/schizo/chain/mca_schizo_chain.la
orte_mca_schizo_chain_mca_schizo_chain_la_SOURCES = \
  orte/mca/schizo/chain/schizo_chain.h \
  orte/mca/schizo/chain/schizo_chain_component.cc \
  orte/mca/schizo/chain/schizo_chain_module.cc
orte_mca_schizo_chain_mca_schizo_chain_la_CPPFLAGS = $(COMPONENT_CPPFLAGS) \
  -DCHAIN_HELP_DIR='"$(helpdir)"' \
  -DCHAIN_COMPONENT_SOURCE_DIR='"$(abs_top_srcdir)/orte/mca/schizo/chain"'
orte_mca_schizo_chain_mca_schizo_chain_la_CXXFLAGS = $(COMPONENT_CXXFLAGS)
orte_mca_schizo_chain_mca_schizo_chain_la_LDFLAGS = $(COMPONENT_LDFLAGS)
dist_help_DATA += orte/mca/schizo/chain/help-schizo-chain.txt

# All components side by side, as Open MPI looks for them: env.sh points there.
components: $(mca_LTLIBRARIES)
	@$(MKDIR_P) $(top_builddir)/components
	@for library in $(mca_LTLIBRARIES); do \
	  file=`basename $$library .la`.so; \
	  ln -sf $(abs_top_builddir)/`dirname $$library`/.libs/$$file \
	    $(top_builddir)/components/$$file || exit 1; \
	done
ALL_LOCAL += components
.PHONY: components

clean-local-components:
	rm -rf $(top_builddir)/components
clean-local: clean-local-components
.PHONY: clean-local-components
