/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Open MPI's oshmem/constants.h asks for this name, which packages do not install; the public
 * header is the same file.
 */
#include <shmem.h>
