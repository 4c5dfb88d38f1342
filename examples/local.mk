# SPDX-License-Identifier: BSD-3-Clause
# Built as their users would build them: with Open MPI's own compiler wrappers, nothing of ours.
EXAMPLES_BUILT = examples/ring/ring
EDGES_CC = examples/edges/edges.cc examples/edges/drawing.cc examples/edges/options.cc
EDGES_H = examples/edges/drawing.h examples/edges/options.h
EDGES_OPENCV = -lopencv_photo -lopencv_imgproc -lopencv_imgcodecs -lopencv_core
EXTRA_DIST += man/hpips.1 examples/README.md examples/ring/ring.c examples/hello_oshmem/hello_oshmem.c \
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

# What programs have in common that go on when ranks are lost.
RANKS_CC = examples/ranks/channel.cc examples/ranks/link.cc examples/ranks/process.cc \
  examples/ranks/schedule.cc
RANKS_H = examples/ranks/channel.h examples/ranks/link.h examples/ranks/pool.h \
  examples/ranks/process.h examples/ranks/schedule.h

# Many tasks that know nothing of each other, on ranks.
TASK_FARM_CC = $(RANKS_CC) examples/task_farm/bytes.cc examples/task_farm/files.cc \
  examples/task_farm/opencv.cc examples/task_farm/task_farm.cc
TASK_FARM_H = $(RANKS_H) examples/task_farm/bytes.h examples/task_farm/files.h \
  examples/task_farm/opencv.h examples/task_farm/task_farm.h
TASK_PROGRAMS_CC = examples/faces/faces.cc examples/motion/motion.cc examples/panorama/panorama.cc
EXTRA_DIST += $(TASK_FARM_CC) $(TASK_FARM_H) $(TASK_PROGRAMS_CC)
if HAVE_OPENCV
task_programs = $(TASK_PROGRAMS_CC:.cc=)
EXAMPLES_BUILT += $(task_programs)
examples/faces/faces: LIBS_USED = -lopencv_objdetect -lopencv_imgproc -lopencv_imgcodecs
examples/motion/motion: LIBS_USED = -lopencv_video -lopencv_videoio -lopencv_imgproc
examples/panorama/panorama: LIBS_USED = -lopencv_stitching -lopencv_calib3d -lopencv_features2d \
  -lopencv_imgproc -lopencv_imgcodecs
$(task_programs): %: %.cc $(TASK_FARM_CC) $(TASK_FARM_H)
	$(AM_V_CXXLD)$(MKDIR_P) $(@D) && cd $(top_srcdir) && OMPI_CXX="$(CXX)" $(MPICXX) \
	  -std=gnu++20 -O2 -Wall -Wextra -pthread -DOMPI_SKIP_MPICXX -I. $(OPENCV_CFLAGS:-I%=-isystem %) \
	  -o $(abs_top_builddir)/$@ $@.cc $(TASK_FARM_CC) $(LIBS_USED) -lopencv_core
endif

# hpips is a library, so that anyone can add operators, and two programs. Contracted into one, a * b + c
# would be rounded otherwise on some processors; -O3 for loops over samples, square roots among them.
if HAVE_HPIPS
HPIPS_CPPFLAGS = -I$(top_srcdir) -DOMPI_SKIP_MPICXX $(JSON_CFLAGS) $(OMPI_CFLAGS:-I%=-isystem %) \
  $(OPENCV_CFLAGS:-I%=-isystem %) $(VIPS_CFLAGS:-I%=-isystem %) $(TIFF_CFLAGS)
HPIPS_CXXFLAGS = $(CHAIN_CXXFLAGS) -O3 -ffp-contract=off -fno-math-errno
HPIPS_LIBS = $(OMPI_LIBS) -lopencv_photo -lopencv_imgproc -lopencv_core $(VIPS_LIBS) $(TIFF_LIBS) \
  -lpthread
noinst_LIBRARIES = examples/hpips/libhpips.a
examples_hpips_libhpips_a_SOURCES = \
  examples/hpips/batch.cc examples/hpips/batch.h \
  examples/hpips/commands.cc examples/hpips/commands.h \
  examples/hpips/crew.cc examples/hpips/crew.h \
  examples/hpips/estimate.cc examples/hpips/estimate.h \
  examples/hpips/exact.cc examples/hpips/exact.h \
  examples/hpips/farm.cc examples/hpips/farm.h \
  examples/hpips/hpips.h \
  examples/hpips/image.cc examples/hpips/image.h \
  examples/hpips/operators.cc examples/hpips/operators.h \
  examples/hpips/ops_bands.cc examples/hpips/ops_denoise.cc examples/hpips/ops_filter.cc \
  examples/hpips/ops_geometry.cc examples/hpips/ops_rank.cc examples/hpips/ops_tone.cc \
  examples/hpips/options.cc examples/hpips/options.h \
  examples/hpips/output.cc examples/hpips/output.h examples/hpips/row_gate.h \
  examples/hpips/pipeline.cc examples/hpips/pipeline.h \
  examples/hpips/plan.cc examples/hpips/plan.h \
  examples/hpips/program.cc \
  examples/hpips/progress.cc examples/hpips/progress.h \
  examples/hpips/store.cc examples/hpips/store.h \
  examples/hpips/tiff.cc examples/hpips/tiff.h examples/hpips/tiff_image.cc \
  examples/hpips/viewer.cc examples/hpips/viewer.h \
  examples/hpips/vips_image.cc examples/hpips/vips_image.h \
  $(RANKS_CC) $(RANKS_H)
examples_hpips_libhpips_a_CPPFLAGS = $(HPIPS_CPPFLAGS)
examples_hpips_libhpips_a_CXXFLAGS = $(HPIPS_CXXFLAGS)

bin_PROGRAMS += examples/hpips/hpips
dist_man_MANS += man/hpips.1
examples_hpips_hpips_SOURCES = examples/hpips/hpips.cc
examples_hpips_hpips_CPPFLAGS = $(HPIPS_CPPFLAGS)
examples_hpips_hpips_CXXFLAGS = $(HPIPS_CXXFLAGS)
examples_hpips_hpips_LDADD = examples/hpips/libhpips.a $(HPIPS_LIBS)

# env.sh puts bin/ into a shell's search path.
ALL_LOCAL += bin/hpips
bin/hpips: examples/hpips/hpips
	@$(MKDIR_P) bin && $(LN_S) -f ../examples/hpips/hpips $@

noinst_PROGRAMS += examples/my_operator/my_operator
examples_my_operator_my_operator_SOURCES = examples/my_operator/my_operator.cc
examples_my_operator_my_operator_CPPFLAGS = $(HPIPS_CPPFLAGS)
examples_my_operator_my_operator_CXXFLAGS = $(HPIPS_CXXFLAGS)
examples_my_operator_my_operator_LDADD = examples/hpips/libhpips.a $(HPIPS_LIBS)
endif

ALL_LOCAL += $(EXAMPLES_BUILT)
CLEANFILES += $(EXAMPLES_BUILT) bin/hpips
