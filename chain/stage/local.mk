# SPDX-License-Identifier: BSD-3-Clause
chain_stage_sources = \
  chain/stage/content_store.cc chain/stage/content_store.h \
  chain/stage/install.cc chain/stage/install.h \
  chain/stage/pending_file.cc chain/stage/pending_file.h \
  chain/stage/receiver.cc chain/stage/receiver.h \
  chain/stage/results.cc chain/stage/results.h \
  chain/stage/s3.cc chain/stage/s3.h \
  chain/stage/sender.cc chain/stage/sender.h \
  chain/stage/staged_file.cc chain/stage/staged_file.h \
  chain/stage/web.cc chain/stage/web.h
