# SPDX-License-Identifier: BSD-3-Clause
# Programs and modules that a script needs go to EXTRA_DIST, the scripts are there already.
# The longest first, where several run at once.
SYSTEM_TESTS += tests/system/reserve_test.py tests/system/daemon_kill_test.py \
  tests/system/install_test.sh tests/system/stage_test.py tests/system/money_test.py \
  tests/system/relaunch_test.py tests/system/wallet_test.py tests/system/image_test.py \
  tests/system/kill_matrix_test.py tests/system/validators_test.py tests/system/lease_test.py \
  tests/system/lease_network_test.py tests/system/home_test.py tests/system/devnet_test.py \
  tests/system/errors_test.py tests/system/network_test.py tests/system/peer_loss_test.py \
  tests/system/discovery_test.py tests/system/por_lease_test.py tests/system/store_test.py \
  tests/system/rootless_test.py tests/system/gpu_test.py tests/system/evil_orted_test.py \
  tests/system/near_test.py tests/system/relay_test.py tests/system/real_gpu_test.py
SYSTEM_TESTS_ALONE += tests/system/owner_test.py tests/system/meter_test.py \
  tests/system/cheat_test.py tests/system/losses_test.py tests/system/gang_test.py \
  tests/system/seven_nodes_test.py tests/system/byzantine_test.py tests/system/por_test.py \
  tests/system/escape_test.py tests/system/net_lab_test.py tests/system/tolerate_loss_test.py
EXTRA_DIST += $(SYSTEM_TESTS) $(SYSTEM_TESTS_ALONE) tests/system/clean_machine.sh tests/system/chain_devnet.py \
  tests/system/chain_money.py tests/system/busy.c tests/system/errand.c tests/system/saver.c \
  tests/system/escapee.c tests/system/consumer.c tests/system/cheater.c tests/system/over_reporter.c \
  tests/system/net_lab.py tests/system/apart.py tests/system/drawing.py tests/system/talker.c tests/system/spawner.c tests/system/tolerant.c \
  tests/system/evil_orted.c tests/system/fake_nvml.c tests/system/swift_server.py \
  tests/system/odd_machine.c tests/system/knocker.c tests/system/gpu_spin.c

# Programs of a renter: built with Open MPI's own wrapper, nothing of ours.
renter_programs = tests/system/busy tests/system/errand tests/system/saver tests/system/escapee \
  tests/system/consumer tests/system/cheater tests/system/talker tests/system/spawner \
  tests/system/tolerant tests/system/knocker tests/system/gpu_spin
check_SCRIPTS += $(renter_programs)
CLEANFILES += $(renter_programs)
$(renter_programs): %: %.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && OMPI_CC="$(CC)" $(MPICC) -std=c11 -O2 -Wall -Wextra -pthread \
	  -o $@ $<

# Hosts in network namespaces, with a network between them that delays and loses; and what makes one
# of them odd.
check_PROGRAMS += tests/system/net_switch
tests_system_net_switch_SOURCES = tests/system/net_switch.cc
preloaded = tests/system/odd_machine.so tests/system/over_reporter.so \
  tests/system/fake_nvml.so tests/system/evil_orted.so
check_SCRIPTS += $(preloaded)
CLEANFILES += $(preloaded)
$(preloaded): %.so: %.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && $(CC) -std=c11 -O2 -Wall -Wextra -fPIC -shared -o $@ $<

# Losses at as many moments as one has time for.
LOSSES = 200
check-losses: all $(renter_programs)
	@$(AM_TESTS_ENVIRONMENT) LOSSES=$(LOSSES) $(PYTHON3) $(srcdir)/tests/system/losses_test.py
	@$(AM_TESTS_ENVIRONMENT) LOSSES=$(LOSSES) $(PYTHON3) \
	  $(srcdir)/tests/system/tolerate_loss_test.py random_losses
.PHONY: check-losses

# Does to real daemons what no honest node does.
check_PROGRAMS += tests/system/hostile
tests_system_hostile_SOURCES = tests/system/hostile.cc
tests_system_hostile_CPPFLAGS = $(TEST_CPPFLAGS)
tests_system_hostile_LDADD = $(TEST_LIBS)
