# SPDX-License-Identifier: BSD-3-Clause
# Programs that print figures, one a line; see docs/benchmarks.md.
BENCH_ROUNDS = 7
BENCHES += tests/bench/lease_bench.py tests/bench/sandbox_bench.py tests/bench/owner_bench.py \
  tests/bench/ledger_bench.py tests/bench/lease_network_bench.py
EXTRA_DIST += tests/bench/figures.py tests/bench/lease_bench.py tests/bench/ssh_hosts.py tests/bench/init_time.c \
  tests/bench/ledger_bench.py tests/bench/sandbox_bench.py tests/bench/exchange.c \
  tests/bench/owner_bench.py tests/bench/spin.c tests/bench/lease_network_bench.py \
  tests/bench/stream.c

BUILT_FOR_BENCHES = tests/bench/init_time tests/bench/exchange tests/bench/spin \
  tests/bench/stream
CLEANFILES += $(BUILT_FOR_BENCHES)
tests/bench/init_time: tests/bench/init_time.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=gnu11 -O2 -Wall -Wextra -o $@ \
	  $(top_srcdir)/tests/bench/init_time.c
tests/bench/exchange: tests/bench/exchange.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=gnu11 -O2 -Wall -Wextra -o $@ \
	  $(top_srcdir)/tests/bench/exchange.c
tests/bench/spin tests/bench/stream: %: %.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && $(CC) -std=gnu11 -O2 -Wall -Wextra -o $@ $<

EXTRA_PROGRAMS += tests/bench/ledger_bench
tests_bench_ledger_bench_SOURCES = tests/bench/figures.cc tests/bench/figures.h \
  tests/bench/ledger_bench.cc tests/bench/ledger_bench.h \
  tests/bench/ledger_size.cc tests/bench/ledger_speed.cc
tests_bench_ledger_bench_CPPFLAGS = $(AM_CPPFLAGS)
tests_bench_ledger_bench_LDADD = libompi-chain.la $(SECP256K1_LIBS) $(PROTOBUF_LIBS) \
  $(LIBEVENT_LIBS) $(OPENSSL_LIBS)

EXTRA_PROGRAMS += tests/bench/network_bench
tests_bench_network_bench_SOURCES = tests/bench/figures.cc tests/bench/figures.h \
  tests/bench/network_bench.cc tests/bench/network_nodes.cc tests/bench/network_nodes.h
tests_bench_network_bench_CPPFLAGS = $(AM_CPPFLAGS)
tests_bench_network_bench_LDADD = libompi-chain.la $(SECP256K1_LIBS) $(PROTOBUF_LIBS) \
  $(LIBEVENT_LIBS) $(OPENSSL_LIBS)

if HAVE_HPIPS
EXTRA_PROGRAMS += tests/bench/image_rivals
tests_bench_image_rivals_SOURCES = tests/bench/image_rivals.cc
tests_bench_image_rivals_CPPFLAGS = $(HPIPS_CPPFLAGS)
tests_bench_image_rivals_LDADD = -lopencv_imgcodecs $(HPIPS_LIBS)
# The table in docs/benchmarks.md is of 3000, 10000 and 30000.
HPIPS_SIDES = 500 1000 2000
HPIPS_RANKS_SIDE = 2000
HPIPS_SIZES = HPIPS_SIDES="$(HPIPS_SIDES)" HPIPS_RANKS_SIDE=$(HPIPS_RANKS_SIDE)
HPIPS_BENCH = tests/bench/image_rivals
bench-hpips: all tests/bench/image_rivals
	@$(HPIPS_SIZES) $(RUN_BENCH) $(srcdir)/tests/bench/hpips_bench.py
endif
# What jobs cost on 1 to 8 peers, and at list prices of clouds: docs/cost.md. A minute or two.
COST_PEERS = 1 2 4 8
COST_SIDE = 900
cost-sheet: all
	@COST_PEERS="$(COST_PEERS)" COST_SIDE="$(COST_SIDE)" $(RUN_BENCH) $(srcdir)/tests/bench/cost_sheet.py
EXTRA_DIST += tests/bench/hpips_bench.py tests/bench/cost_sheet.py tests/bench/quotas.py tests/bench/cloud_prices.json

RUN_BENCH = $(AM_TESTS_ENVIRONMENT) BENCH_ROUNDS="$(BENCH_ROUNDS)" $(PYTHON3)

bench: all $(BUILT_FOR_BENCHES) $(HPIPS_BENCH) tests/system/busy tests/bench/ledger_bench \
    tests/bench/network_bench
	@for bench in $(BENCHES); do $(RUN_BENCH) $(srcdir)/$$bench || exit 1; done
	@test -z "$(HPIPS_BENCH)" || $(HPIPS_SIZES) $(RUN_BENCH) $(srcdir)/tests/bench/hpips_bench.py
	@COST_PEERS="1 2" COST_SIDE=300 $(RUN_BENCH) $(srcdir)/tests/bench/cost_sheet.py
	@tests/bench/network_bench $(BENCH_ROUNDS)
bench-lease: all $(BUILT_FOR_BENCHES)
	@$(RUN_BENCH) $(srcdir)/tests/bench/lease_bench.py
bench-sandbox: all $(BUILT_FOR_BENCHES)
	@$(RUN_BENCH) $(srcdir)/tests/bench/sandbox_bench.py
bench-owner: all $(BUILT_FOR_BENCHES) tests/system/busy tests/system/saver
	@$(RUN_BENCH) $(srcdir)/tests/bench/owner_bench.py
bench-lease-network: all $(BUILT_FOR_BENCHES)
	@$(RUN_BENCH) $(srcdir)/tests/bench/lease_network_bench.py
bench-ledger: all tests/bench/ledger_bench
	@$(RUN_BENCH) $(srcdir)/tests/bench/ledger_bench.py
bench-network: all tests/bench/network_bench
	@tests/bench/network_bench $(BENCH_ROUNDS)
.PHONY: bench cost-sheet bench-hpips bench-lease bench-lease-network bench-sandbox bench-owner bench-ledger bench-network
