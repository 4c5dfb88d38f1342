# SPDX-License-Identifier: BSD-3-Clause
# Apart from the shared library, which mpirun loads too: the CLI is for the program and its tests.
noinst_LTLIBRARIES = libompi-chain-cli.la
chain_cli_sources = \
  chain/cli/backup_commands.cc \
  chain/cli/block_commands.cc \
  chain/cli/bundle.cc chain/cli/bundle.h chain/cli/bundle_command.cc \
  chain/cli/calendar.cc chain/cli/calendar.h \
  chain/cli/cli.cc chain/cli/cli.h \
  chain/cli/console.cc \
  chain/cli/devnet.cc chain/cli/devnet.h \
  chain/cli/devnet_commands.cc \
  chain/cli/devnet_run.cc \
  chain/cli/devnet_start.cc \
  chain/cli/help.cc \
  chain/cli/image_command.cc \
  chain/cli/lease_commands.cc \
  chain/cli/reserve_command.cc \
  chain/cli/market_commands.cc \
  chain/cli/network_commands.cc \
  chain/cli/network_validators.cc chain/cli/network_validators.h \
  chain/cli/node_commands.cc \
  chain/cli/offer_commands.cc \
  chain/cli/parse.cc \
  chain/cli/plot.cc chain/cli/plot.h \
  chain/cli/process.cc chain/cli/process.h \
  chain/cli/program.cc chain/cli/program.h \
  chain/cli/provide_command.cc \
  chain/cli/stake_commands.cc \
  chain/cli/transfer_commands.cc \
  chain/cli/validator_commands.cc \
  chain/cli/wallet_commands.cc
# What only configure knows: where programs and Open MPI's own components are.
libompi_chain_cli_la_CPPFLAGS = $(AM_CPPFLAGS) -DOMPI_CHAIN_BINDIR='"$(bindir)"' \
  -DOMPI_CHAIN_COMPONENT_DIR='"$(OMPI_COMPONENT_DIR)"' $(ICAL_CFLAGS)
libompi_chain_cli_la_LIBADD = libompi-chain.la $(ICAL_LIBS)

bin_PROGRAMS += bin/ompi-chain
bin_ompi_chain_SOURCES = chain/cli/main.cc
bin_ompi_chain_LDADD = libompi-chain-cli.la libompi-chain.la $(PROTOBUF_LIBS)

dist_man_MANS += man/ompi-chain.1 man/ompi-chaind.8
