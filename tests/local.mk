# SPDX-License-Identifier: BSD-3-Clause
# One program per folder of the tree: tests/chain/base/ -> tests/base_test.
TEST_CPPFLAGS = $(AM_CPPFLAGS) $(GTEST_CFLAGS) -DTEST_SOURCE_DIR='"$(abs_top_srcdir)"' \
  -DTEST_BUILD_DIR='"$(abs_top_builddir)"'
TEST_LIBS = libompi-chain.la $(GTEST_LIBS) $(SECP256K1_LIBS) $(PROTOBUF_LIBS) $(LIBEVENT_LIBS) \
  $(OPENSSL_LIBS)

# A test in Python or shell finds its sources and what was built here by these.
TEST_EXTENSIONS = .py .sh
# A test that hangs fails with exit code 124, long after the 20 seconds that it should take.
LOG_COMPILER = timeout --kill-after=10 300
PY_LOG_COMPILER = timeout --kill-after=10 900 $(PYTHON3)
SH_LOG_COMPILER = timeout --kill-after=10 900 $(SHELL)
AM_TESTS_ENVIRONMENT = \
  TEST_SOURCE_DIR='$(abs_top_srcdir)'; TEST_BUILD_DIR='$(abs_top_builddir)'; \
  TEST_CXX='$(CXX)'; \
  TEST_CPPFLAGS='$(DEFS) -I$(abs_top_builddir) $(AM_CPPFLAGS) $(GTEST_CFLAGS)'; \
  TEST_COMPONENT_CPPFLAGS='$(COMPONENT_CPPFLAGS) $(ORTE_CFLAGS:-I%=-isystem %/../openshmem)'; \
  OMPI_ALLOW_RUN_AS_ROOT=1; OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; PYTHONDONTWRITEBYTECODE=1; \
  export TEST_SOURCE_DIR TEST_BUILD_DIR TEST_CXX TEST_CPPFLAGS TEST_COMPONENT_CPPFLAGS \
    OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM PYTHONDONTWRITEBYTECODE;

# Tests of the whole: daemons, sandboxes, mpirun. make check-system runs these scripts, SYSTEM_LANES at a
# time; those that count time, or fill the machine, alone.
SYSTEM_TESTS =
SYSTEM_TESTS_ALONE =
SYSTEM_LANES = 1

include tests/chain/base/local.mk
include tests/chain/host/local.mk
include tests/chain/identity/local.mk
include tests/chain/ledger/local.mk
include tests/chain/backend/local.mk
include tests/chain/consensus/local.mk
include tests/chain/p2p/local.mk
include tests/chain/market/local.mk
include tests/chain/overlay/local.mk
include tests/chain/provider/local.mk
include tests/chain/stage/local.mk
include tests/chain/client/local.mk
include tests/chain/cli/local.mk
include tests/chain/daemon/local.mk
include tests/examples/local.mk
include tests/hpips/local.mk
include tests/incentive/local.mk
include tests/mca/local.mk
include tests/lint/local.mk
include tests/system/local.mk
include tests/bench/local.mk
include tests/attack/local.mk
include tests/fuzz/local.mk

# As the library: one file of each program.
if UNITY
nodist_tests_attack_test_SOURCES = unity/tests_attack_test.cc
nodist_tests_backend_test_SOURCES = unity/tests_backend_test.cc
nodist_tests_base_test_SOURCES = unity/tests_base_test.cc
nodist_tests_cli_test_SOURCES = unity/tests_cli_test.cc
nodist_tests_client_test_SOURCES = unity/tests_client_test.cc
nodist_tests_consensus_test_SOURCES = unity/tests_consensus_test.cc
nodist_tests_daemon_test_SOURCES = unity/tests_daemon_test.cc
nodist_tests_identity_test_SOURCES = unity/tests_identity_test.cc
nodist_tests_ledger_test_SOURCES = unity/tests_ledger_test.cc
nodist_tests_market_test_SOURCES = unity/tests_market_test.cc
nodist_tests_overlay_test_SOURCES = unity/tests_overlay_test.cc
nodist_tests_p2p_test_SOURCES = unity/tests_p2p_test.cc
nodist_tests_p2p_discovery_test_SOURCES = unity/tests_p2p_discovery_test.cc
nodist_tests_staging_test_SOURCES = unity/tests_staging_test.cc
nodist_tests_incentive_test_SOURCES = unity/tests_incentive_test.cc
nodist_tests_mca_unit_test_SOURCES = unity/tests_mca_unit_test.cc
else
tests_attack_test_SOURCES = $(tests_attack_test_sources)
tests_backend_test_SOURCES = $(tests_backend_test_sources)
tests_base_test_SOURCES = $(tests_base_test_sources)
tests_cli_test_SOURCES = $(tests_cli_test_sources)
tests_client_test_SOURCES = $(tests_client_test_sources)
tests_consensus_test_SOURCES = $(tests_consensus_test_sources)
tests_daemon_test_SOURCES = $(tests_daemon_test_sources)
tests_identity_test_SOURCES = $(tests_identity_test_sources)
tests_ledger_test_SOURCES = $(tests_ledger_test_sources)
tests_market_test_SOURCES = $(tests_market_test_sources)
tests_overlay_test_SOURCES = $(tests_overlay_test_sources)
tests_p2p_test_SOURCES = $(tests_p2p_test_sources)
tests_p2p_discovery_test_SOURCES = $(tests_p2p_discovery_test_sources)
tests_staging_test_SOURCES = $(tests_staging_test_sources)
tests_incentive_test_SOURCES = $(tests_incentive_test_sources)
tests_mca_unit_test_SOURCES = $(tests_mca_unit_test_sources)
endif

# After the tests: what each attack on money would gain (tests/chain/ledger/gaming_test.cc).
check-local: $(check_PROGRAMS)
	@case ' $(TESTS) ' in *' tests/gaming_test$(EXEEXT) '*) \
	  tests/gaming_test$(EXEEXT) --gtest_brief=1 | grep -v '^\[\|^Running' ;; esac

# What fails beside another test is told, and run again by itself: that is what counts.
check-system:
	@status=0; \
	$(MAKE) $(AM_MAKEFLAGS) -j$(SYSTEM_LANES) check TESTS='$(SYSTEM_TESTS)' \
	  TEST_SUITE_LOG=system-suite.log || status=1; \
	again=; \
	if test $$status != 0 && test $(SYSTEM_LANES) != 1; then \
	  for test in $(SYSTEM_TESTS); do log=$${test%.*}; \
	    grep -q '^:global-test-result: \(FAIL\|ERROR\)$$' $$log.trs && again="$$again $$test" && \
	      cp $$log.log $$log.beside-another.log; done; fi; \
	if test -n "$$again"; then \
	  echo "AGAIN, alone:$$again"; status=0; \
	  $(MAKE) $(AM_MAKEFLAGS) -j1 check TESTS="$$again" TEST_SUITE_LOG=system-again-suite.log || status=1; fi; \
	$(MAKE) $(AM_MAKEFLAGS) -j1 check TESTS='$(SYSTEM_TESTS_ALONE)' \
	  TEST_SUITE_LOG=system-alone-suite.log || status=1; exit $$status

# The programs among the tests once more, with AddressSanitizer and UBSan, in a build tree inside
# this one. (Python and mpirun would have to be told to load the sanitizers.)
check-sanitizers:
	@$(MKDIR_P) sanitizers
	@test -f sanitizers/config.status || (cd sanitizers && $(abs_top_srcdir)/configure -q \
	  --enable-sanitizers CC='$(CC)' CXX='$(CXX)' CFLAGS='-O1 -g1' CXXFLAGS='-O1 -g1')
	@$(MAKE) $(AM_MAKEFLAGS) -C sanitizers check TESTS='$(filter-out %.py %.sh,$(TESTS))'
# What threads (verification, workers), with ThreadSanitizer, in a tree of its own.
THREADED_TESTS = tests/base_test tests/ledger_test tests/consensus_test tests/daemon_test \
  tests/p2p_discovery_test tests/p2p_test tests/overlay_test
check-threads:
	@$(MKDIR_P) threads
	@test -f threads/config.status || (cd threads && $(abs_top_srcdir)/configure -q \
	  --enable-sanitizers=thread CC='$(CC)' CXX='$(CXX)' CFLAGS='-O1 -g1' CXXFLAGS='-O1 -g1')
	@$(MAKE) $(AM_MAKEFLAGS) -C threads $(BUILT_SOURCES)
	@$(MAKE) $(AM_MAKEFLAGS) -C threads $(bin_PROGRAMS) $(THREADED_TESTS)
	@cd threads && for test in $(THREADED_TESTS); do \
	  TSAN_OPTIONS=halt_on_error=1:suppressions=$(abs_top_srcdir)/tests/threads.supp \
	    $$test --gtest_brief=1 || exit 1; done
EXTRA_DIST += tests/threads.supp
.PHONY: check-system check-sanitizers check-threads
