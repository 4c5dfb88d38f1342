# SPDX-License-Identifier: BSD-3-Clause
SYSTEM_TESTS_PY = tests/system/lease_test.py tests/system/network_test.py
TESTS += tests/system/install_test.sh $(SYSTEM_TESTS_PY)
EXTRA_DIST += tests/system/install_test.sh tests/system/chain_devnet.py tests/system/busy.c \
  tests/system/errand.c \
  $(SYSTEM_TESTS_PY)

# A program of a renter: built with Open MPI's own wrapper, nothing of ours.
check_SCRIPTS += tests/system/busy tests/system/errand
CLEANFILES += tests/system/busy tests/system/errand
tests/system/busy: tests/system/busy.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=c11 -O2 -Wall -Wextra -o $@ \
	  $(top_srcdir)/tests/system/busy.c
tests/system/errand: tests/system/errand.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=c11 -O2 -Wall -Wextra -o $@ \
	  $(top_srcdir)/tests/system/errand.c
