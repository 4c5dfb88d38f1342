# SPDX-License-Identifier: BSD-3-Clause
check_PROGRAMS += tests/mca_unit_test tests/orte_numbers_test tests/fake_lease
TESTS += tests/mca_unit_test tests/orte_numbers_test
tests_mca_unit_test_sources = \
  tests/mca/lease_spec_test.cc tests/mca/orted_command_test.cc tests/mca/stage_plan_test.cc
tests_mca_unit_test_CPPFLAGS = $(TEST_CPPFLAGS)
tests_mca_unit_test_LDADD = $(TEST_LIBS)

# With Open MPI's own headers, as the components.
tests_orte_numbers_test_SOURCES = tests/mca/orte_numbers_test.cc
tests_orte_numbers_test_CPPFLAGS = $(COMPONENT_CPPFLAGS) $(GTEST_CFLAGS)
tests_orte_numbers_test_LDADD = $(GTEST_LIBS)

tests_fake_lease_SOURCES = tests/mca/fake_lease.cc
tests_fake_lease_LDADD = libompi-chain.la $(PROTOBUF_LIBS)

# Programs of users: built by Open MPI's own compilers, as users build theirs.
RANKS_FOR_TESTS = tests/mca/ring
if HAVE_OSHCC
RANKS_FOR_TESTS += tests/mca/hello_oshmem
endif
tests/mca/ring: tests/mca/ring.c
	$(AM_V_GEN)$(MKDIR_P) tests/mca && $(MPICC) -O1 -o $@ $(srcdir)/tests/mca/ring.c
tests/mca/hello_oshmem: tests/mca/hello_oshmem.c
	$(AM_V_GEN)$(MKDIR_P) tests/mca && $(OSHCC) -O1 -o $@ $(srcdir)/tests/mca/hello_oshmem.c

check_SCRIPTS += $(RANKS_FOR_TESTS)
CLEANFILES += $(RANKS_FOR_TESTS)
EXTRA_DIST += tests/mca/ring.c tests/mca/hello_oshmem.c tests/mca/mca_test.py
TESTS += tests/mca/mca_test.py
