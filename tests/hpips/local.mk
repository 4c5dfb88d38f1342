# SPDX-License-Identifier: BSD-3-Clause
if HAVE_HPIPS
check_PROGRAMS += tests/hpips_test
TESTS += tests/hpips_test
tests_hpips_test_SOURCES = \
  tests/hpips/operators_test.cc tests/hpips/pipeline_test.cc \
  tests/hpips/random_images.cc tests/hpips/random_images.h \
  tests/hpips/store_test.cc tests/ranks/schedule_test.cc
tests_hpips_test_CPPFLAGS = $(HPIPS_CPPFLAGS) $(GTEST_CFLAGS)
tests_hpips_test_LDADD = examples/hpips/libhpips.a $(GTEST_LIBS) $(HPIPS_LIBS)

# What only tests want of hpips: ranks that lie and that are slow.
check_PROGRAMS += tests/hpips/odd_rank
tests_hpips_odd_rank_SOURCES = tests/hpips/odd_rank.cc
tests_hpips_odd_rank_CPPFLAGS = $(HPIPS_CPPFLAGS)
tests_hpips_odd_rank_LDADD = examples/hpips/libhpips.a $(HPIPS_LIBS)
SYSTEM_TESTS += tests/system/hpips_test.py tests/system/hpips_lease_test.py \
  tests/system/hpips_hostile_test.py
endif
EXTRA_DIST += tests/system/hpips_test.py tests/system/hpips_lease_test.py \
  tests/system/hpips_hostile_test.py
