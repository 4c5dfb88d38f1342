# SPDX-License-Identifier: BSD-3-Clause
TESTS += tests/lint/lint_test.py
EXTRA_DIST += tests/lint/lint_test.py tests/lint/rules.py
