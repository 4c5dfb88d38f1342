# SPDX-License-Identifier: BSD-3-Clause
TESTS += tests/system/install_test.sh
EXTRA_DIST += tests/system/install_test.sh
