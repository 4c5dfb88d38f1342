# SPDX-License-Identifier: BSD-3-Clause
# Built as their users would build them: with Open MPI's own compiler wrappers, nothing of ours.
EXAMPLES_BUILT = examples/ring/ring
EDGES_CC = examples/edges/edges.cc examples/edges/drawing.cc examples/edges/options.cc
EDGES_H = examples/edges/drawing.h examples/edges/options.h
EDGES_OPENCV = -lopencv_photo -lopencv_imgproc -lopencv_imgcodecs -lopencv_core
EXTRA_DIST += examples/README.md examples/ring/ring.c examples/hello_oshmem/hello_oshmem.c \
  $(EDGES_CC) $(EDGES_H)

examples/ring/ring: examples/ring/ring.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=c11 -O2 -Wall -Wextra -o $@ \
	  $(top_srcdir)/examples/ring/ring.c

if HAVE_OSHCC
EXAMPLES_BUILT += examples/hello_oshmem/hello_oshmem
examples/hello_oshmem/hello_oshmem: examples/hello_oshmem/hello_oshmem.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" OSHMEM_CC="$(CC)" $(OSHCC) -std=gnu11 -O2 \
	  -Wall -Wextra -o $@ $(top_srcdir)/examples/hello_oshmem/hello_oshmem.c
endif

if HAVE_OPENCV
EXAMPLES_BUILT += examples/edges/edges
examples/edges/edges: $(EDGES_CC) $(EDGES_H)
	$(AM_V_CXXLD)$(MKDIR_P) $(@D) && cd $(top_srcdir) && OMPI_CXX="$(CXX)" $(MPICXX) \
	  -std=gnu++20 -O2 -Wall -Wextra -DOMPI_SKIP_MPICXX -I. $(OPENCV_CFLAGS:-I%=-isystem %) \
	  -o $(abs_top_builddir)/$@ $(EDGES_CC) $(EDGES_OPENCV)
endif

ALL_LOCAL += $(EXAMPLES_BUILT)
CLEANFILES += $(EXAMPLES_BUILT)
