# SPDX-License-Identifier: BSD-3-Clause
# docs/fuzzing.md. One program per target: libFuzzer's, built with clang in a tree of its own, as
# everything below it must be built with it too; and one program of all targets for every build,
# which replays the stored inputs.
# A further target: its name here, NAME_fuzz.cc in fuzz_targets, and a program below; in run.sh its
# longest input, in corpus/NAME its first ones.
FUZZ_TARGETS = tx block voucher keystore genesis vectors frame handshake join kept headers votes \
  gossip shares stage orte calendar
if HAVE_LDNS
FUZZ_TARGETS += mdns
endif
FUZZ_CLANG = clang-14
FUZZ_CLANGXX = clang++-14
# Comparisons are not traced: fill.cc knows the turning points, and a run is a third faster.
FUZZ_FLAGS = -O2 -g1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr \
  -fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# For how long each target runs, or, when FUZZ_RUNS is given, how many inputs it takes.
FUZZ_SECONDS = 20
FUZZ_RUNS =

fuzz_world = tests/fuzz/target.h tests/fuzz/target.cc tests/fuzz/choices.h tests/fuzz/fill.h \
  tests/fuzz/fill.cc tests/fuzz/world.h tests/fuzz/world.cc
fuzz_vectors = tests/fuzz/vectors_fuzz.cc tests/chain/backend/vectors.cc tests/chain/backend/vectors.h
fuzz_validators = tests/fuzz/validators.cc tests/fuzz/validators.h
fuzz_targets = $(fuzz_validators) tests/fuzz/tx_fuzz.cc tests/fuzz/block_fuzz.cc tests/fuzz/voucher_fuzz.cc \
  tests/fuzz/keystore_fuzz.cc tests/fuzz/genesis_fuzz.cc $(fuzz_vectors) tests/fuzz/frame_fuzz.cc \
  tests/fuzz/handshake_fuzz.cc tests/fuzz/join_fuzz.cc tests/fuzz/kept_fuzz.cc \
  tests/fuzz/headers_fuzz.cc tests/fuzz/votes_fuzz.cc tests/fuzz/gossip_fuzz.cc \
  tests/fuzz/shares_fuzz.cc tests/fuzz/stage_fuzz.cc tests/fuzz/orte_fuzz.cc \
  tests/fuzz/calendar_fuzz.cc
if HAVE_LDNS
fuzz_targets += tests/fuzz/mdns_fuzz.cc
endif
EXTRA_DIST += tests/fuzz/run.sh tests/fuzz/corpus

check_PROGRAMS += tests/fuzz_replay_test
TESTS += tests/fuzz_replay_test
tests_fuzz_replay_test_SOURCES = tests/fuzz/replay_test.cc $(fuzz_world) $(fuzz_targets)
tests_fuzz_replay_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_replay_test_LDADD = libompi-chain-cli.la $(TEST_LIBS)

# ---- in the tree of clang

# Only these folders, and two files in a cheaper form.
FUZZ_FOLDERS = chain/base chain/wire chain/identity chain/store incentive chain/ledger \
  chain/consensus chain/p2p chain/backend chain/market chain/stage
FUZZ_OBJECTS = $(filter-out chain/identity/schnorr.lo chain/ledger/state_digest.lo, \
  $(filter $(FUZZ_FOLDERS:=/%) $(patsubst %,unity/%.lo,$(subst /,_,$(FUZZ_FOLDERS))), \
  $(libompi_chain_la_OBJECTS))) chain/client/join_file.lo \
  chain/client/bill.lo chain/client/start_time.lo chain/client/text.lo chain/daemon/chain_sync.lo \
  chain/daemon/gossip_relay.lo chain/daemon/orte_guard.lo chain/daemon/orte_messages.lo \
  chain/daemon/orte_reader.lo chain/daemon/orte_spawn.lo
FUZZ_LIBS = $(SECP256K1_LIBS) $(PROTOBUF_LIBS) $(LIBEVENT_LIBS) $(OPENSSL_LIBS) $(LEVELDB_LIBS) \
  $(RANDOMX_LIBS) $(LDNS_LIBS) $(MINIUPNPC_LIBS) $(NATPMP_LIBS) $(CURL_LIBS)

fuzz_common = tests/fuzz/entry.cc tests/fuzz/cheap_schnorr.cc tests/fuzz/cheap_digest.cc \
  $(fuzz_world)
FUZZ_BINARIES = tests/fuzz/tx_fuzz tests/fuzz/block_fuzz tests/fuzz/voucher_fuzz \
  tests/fuzz/keystore_fuzz tests/fuzz/genesis_fuzz tests/fuzz/vectors_fuzz \
  tests/fuzz/frame_fuzz tests/fuzz/handshake_fuzz tests/fuzz/join_fuzz \
  tests/fuzz/kept_fuzz tests/fuzz/headers_fuzz tests/fuzz/votes_fuzz tests/fuzz/gossip_fuzz \
  tests/fuzz/shares_fuzz tests/fuzz/stage_fuzz tests/fuzz/orte_fuzz tests/fuzz/calendar_fuzz \
  tests/fuzz/make_corpus
if HAVE_LDNS
FUZZ_BINARIES += tests/fuzz/mdns_fuzz
endif
EXTRA_PROGRAMS += $(FUZZ_BINARIES)

FUZZ_LINKED = $(FUZZ_OBJECTS) $(FUZZ_LIBS)
tests_fuzz_tx_fuzz_SOURCES = tests/fuzz/tx_fuzz.cc $(fuzz_common)
tests_fuzz_tx_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_tx_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_tx_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_block_fuzz_SOURCES = tests/fuzz/block_fuzz.cc $(fuzz_common)
tests_fuzz_block_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_block_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_block_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_voucher_fuzz_SOURCES = tests/fuzz/voucher_fuzz.cc $(fuzz_common)
tests_fuzz_voucher_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_voucher_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_voucher_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_keystore_fuzz_SOURCES = tests/fuzz/keystore_fuzz.cc $(fuzz_common)
tests_fuzz_keystore_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_keystore_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_keystore_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_vectors_fuzz_SOURCES = $(fuzz_vectors) $(fuzz_common)
tests_fuzz_vectors_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_vectors_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_vectors_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_genesis_fuzz_SOURCES = tests/fuzz/genesis_fuzz.cc $(fuzz_common)
tests_fuzz_genesis_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_genesis_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_genesis_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_frame_fuzz_SOURCES = tests/fuzz/frame_fuzz.cc $(fuzz_common)
tests_fuzz_frame_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_frame_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_frame_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_handshake_fuzz_SOURCES = tests/fuzz/handshake_fuzz.cc $(fuzz_common)
tests_fuzz_handshake_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_handshake_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_handshake_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_mdns_fuzz_SOURCES = tests/fuzz/mdns_fuzz.cc $(fuzz_common)
tests_fuzz_mdns_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_mdns_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_mdns_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
fuzz_calendar_lo = chain/cli/libompi_chain_cli_la-calendar.lo
tests_fuzz_calendar_fuzz_SOURCES = tests/fuzz/calendar_fuzz.cc $(fuzz_common)
tests_fuzz_calendar_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_calendar_fuzz_LDADD = $(fuzz_calendar_lo) $(FUZZ_LINKED) $(ICAL_LIBS)
tests_fuzz_calendar_fuzz_DEPENDENCIES = $(fuzz_calendar_lo) $(FUZZ_OBJECTS)
tests_fuzz_join_fuzz_SOURCES = tests/fuzz/join_fuzz.cc $(fuzz_common)
tests_fuzz_join_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_join_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_join_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_kept_fuzz_SOURCES = tests/fuzz/kept_fuzz.cc $(fuzz_validators) $(fuzz_common)
tests_fuzz_kept_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_kept_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_kept_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_headers_fuzz_SOURCES = tests/fuzz/headers_fuzz.cc $(fuzz_validators) $(fuzz_common)
tests_fuzz_headers_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_headers_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_headers_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_votes_fuzz_SOURCES = tests/fuzz/votes_fuzz.cc $(fuzz_validators) $(fuzz_common)
tests_fuzz_votes_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_votes_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_votes_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_gossip_fuzz_SOURCES = tests/fuzz/gossip_fuzz.cc $(fuzz_validators) $(fuzz_common)
tests_fuzz_gossip_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_gossip_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_gossip_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_shares_fuzz_SOURCES = tests/fuzz/shares_fuzz.cc $(fuzz_validators) $(fuzz_common)
tests_fuzz_shares_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_shares_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_shares_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_stage_fuzz_SOURCES = tests/fuzz/stage_fuzz.cc $(fuzz_common)
tests_fuzz_stage_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_stage_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_stage_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
tests_fuzz_orte_fuzz_SOURCES = tests/fuzz/orte_fuzz.cc $(fuzz_common)
tests_fuzz_orte_fuzz_LDFLAGS = -fsanitize=fuzzer
tests_fuzz_orte_fuzz_LDADD = $(FUZZ_LINKED)
tests_fuzz_orte_fuzz_DEPENDENCIES = $(FUZZ_OBJECTS)
# Writes the first inputs; not part of a run.
tests_fuzz_make_corpus_SOURCES = tests/fuzz/make_corpus.cc tests/fuzz/cheap_schnorr.cc \
  tests/fuzz/cheap_digest.cc $(fuzz_world) $(fuzz_validators)
tests_fuzz_make_corpus_LDADD = $(FUZZ_LINKED)
tests_fuzz_make_corpus_DEPENDENCIES = $(FUZZ_OBJECTS)

fuzz-programs: $(BUILT_SOURCES)
	@$(MAKE) $(AM_MAKEFLAGS) $(FUZZ_BINARIES)

# ---- in any tree

fuzz-build:
	@$(FUZZ_CLANGXX) --version >/dev/null || { \
	  echo 'make fuzz needs clang 14: apt-get install clang-14 libclang-rt-14-dev' >&2; exit 1; }
	@$(MKDIR_P) fuzz
	@ccache=`command -v ccache`; test -f fuzz/config.status || (cd fuzz && \
	  $(abs_top_srcdir)/configure -q --enable-unity --disable-shared --enable-static \
	  CC="$$ccache $(FUZZ_CLANG)" CXX="$$ccache $(FUZZ_CLANGXX)" \
	  CFLAGS='$(FUZZ_FLAGS)' CXXFLAGS='$(FUZZ_FLAGS)')
	@$(MAKE) $(AM_MAKEFLAGS) -C fuzz fuzz-programs

fuzz: fuzz-build
	@$(SHELL) $(srcdir)/tests/fuzz/run.sh fuzz/tests/fuzz $(srcdir)/tests/fuzz/corpus \
	  '$(FUZZ_SECONDS)' '$(FUZZ_RUNS)' $(FUZZ_TARGETS)
.PHONY: fuzz fuzz-build fuzz-programs
