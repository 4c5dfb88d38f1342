# SPDX-License-Identifier: BSD-3-Clause
# One program per folder of the tree: tests/chain/base/ -> tests/base_test.
TEST_CPPFLAGS = $(AM_CPPFLAGS) $(GTEST_CFLAGS) -DTEST_SOURCE_DIR='"$(abs_top_srcdir)"' \
  -DTEST_BUILD_DIR='"$(abs_top_builddir)"'
TEST_LIBS = libompi-chain.la $(GTEST_LIBS) $(SECP256K1_LIBS) $(PROTOBUF_LIBS) $(LIBEVENT_LIBS) \
  $(OPENSSL_LIBS)

include tests/chain/base/local.mk
include tests/chain/identity/local.mk
include tests/chain/ledger/local.mk
include tests/chain/p2p/local.mk
include tests/chain/market/local.mk
include tests/chain/provider/local.mk
include tests/chain/client/local.mk
include tests/chain/daemon/local.mk
include tests/incentive/local.mk
include tests/mca/local.mk
include tests/lint/local.mk
include tests/system/local.mk
