# SPDX-License-Identifier: BSD-3-Clause
chain_identity_sources = \
  chain/identity/bech32m.cc chain/identity/bech32m.h \
  chain/identity/keys.cc chain/identity/keys.h \
  chain/identity/keystore.cc chain/identity/keystore.h \
  chain/identity/mnemonic.cc chain/identity/mnemonic.h \
  chain/identity/point_cache.cc chain/identity/point_cache.h
# By itself: tests and fuzzers have one of their own in its place.
libompi_chain_la_SOURCES += chain/identity/schnorr.cc chain/identity/schnorr.h

# The words of BIP 39 come from a package, and only the official list passes.
nodist_libompi_chain_la_SOURCES += chain/identity/seed_words.cc
CLEANFILES += chain/identity/seed_words.cc
EXTRA_DIST += chain/identity/make_seed_words.sh
chain/identity/seed_words.cc: chain/identity/make_seed_words.sh $(SEED_WORDS)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	  sh $(top_srcdir)/chain/identity/make_seed_words.sh "$(SEED_WORDS)" $@
