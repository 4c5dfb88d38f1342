# SPDX-License-Identifier: BSD-3-Clause
TESTS += tests/examples/examples_test.py
if HAVE_OPENCV
TESTS += tests/examples/edges_test.py tests/examples/tasks_test.py
SYSTEM_TESTS += tests/system/tasks_lease_test.py
endif
EXTRA_DIST += tests/system/tasks_lease_test.py tests/examples/examples_test.py tests/examples/edges_test.py \
  tests/examples/tasks_test.py tests/examples/lying_rank.c
lying_rank = tests/examples/lying_rank.so
check_SCRIPTS += $(lying_rank)
CLEANFILES += $(lying_rank)
$(lying_rank): %.so: %.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=c11 -O2 -Wall -Wextra -fPIC -shared \
	  -o $@ $<
# They run what `make all` builds, which automake's `check` does not wait for by itself.
tests/examples/examples_test.log tests/examples/edges_test.log \
  tests/examples/tasks_test.log: $(EXAMPLES_BUILT)
