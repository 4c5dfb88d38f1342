# SPDX-License-Identifier: BSD-3-Clause
EXTRA_DIST += docs/README.md docs/architecture.md docs/glossary.md docs/peer_protocol.md \
  docs/adr/0000-template.md docs/adr/0001-extend-packaged-open-mpi.md
