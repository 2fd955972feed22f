# SPDX-License-Identifier: GPL-2.0
#
# Every job by name; `make help` lists them. What is built goes to build/, but
# for kmod/burrow.ko; kernels to test on go to ~/.cache/burrow (BURROW_CACHE).

.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# The series to build and test for: 6.1, 6.12, 7.2 or debug.
KERNEL ?= 6.1

all: module programs ## the module, the library, the burrow tool, examples

module:
	@selftests/vm/kmod 6.1 >/dev/null
	@cmp -s build/kmod-6.1/burrow.ko kmod/burrow.ko || \
		cp build/kmod-6.1/burrow.ko kmod/burrow.ko

programs:
	@$(if $(wildcard userland/Makefile),$(MAKE) -C userland)

setup: ## install what is missing from the distribution, by name
	@selftests/setup

check: ## all tests (KERNEL=); the last line is `N passed, N failed, N skipped`
	@selftests/setup build vm
	@selftests/vm/kmod $(KERNEL) >/dev/null
	@$(MAKE) -s all
	@$(MAKE) -s -C selftests all
	@selftests/check $(KERNEL)

check-debug: ## the tests on a kernel with KASAN, lockdep, kmemleak
	@$(MAKE) check KERNEL=debug

# The command goes by the environment as it was written: neither make nor a
# shell on the way takes its dollars and quotes apart.
vm: override export CMD := $(value CMD)
vm: ## run CMD='...' in a virtual machine (KERNEL= MEM= CPUS= ICOUNT=1 TIMEOUT=)
	@selftests/setup build vm
ifneq ($(MODULE),none)
	@selftests/vm/kmod $(KERNEL) >/dev/null
endif
	@$(if $(wildcard userland/Makefile),$(MAKE) -s -C userland >&2)
	@KERNEL=$(KERNEL) selftests/vm/boot

clean: ## remove what was built
	rm -rf build kmod/burrow.ko

help: ## this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / \
		{ printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: all module programs setup check check-debug vm clean help
