# SPDX-License-Identifier: BSD-3-Clause
# CHAIN_NEED(VARIABLE, PKG-CONFIG MODULE, DEBIAN PACKAGE)
# Sets VARIABLE_CFLAGS and VARIABLE_LIBS, or stops and names the package to install.
AC_DEFUN([CHAIN_NEED], [PKG_CHECK_MODULES([$1], [$2], [],
  [AC_MSG_ERROR([$2 was not found: apt-get install $3])])])
