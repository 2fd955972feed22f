# SPDX-License-Identifier: GPL-2.0
#
# Every job by name; `make help` lists them. What is built goes to build/, but
# for kmod/burrow.ko and bpf/*.bpf.o; kernels to test on go to ~/.cache/burrow (BURROW_CACHE).

.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

# The series to build and test for: 6.1, 6.12, 7.2 or debug.
KERNEL ?= 6.1

# The kernel that load and modules_install build for.
KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build

# The benchmarks that bench runs: those of memory in a virtual machine, with the
# module; those of the scheduler on this one.
BENCH ?= $(MEMORY) spawn switch chan select skynet ring mutex timers io
MEMORY = growth trim dirty parked
RUNS ?= 5

# What stress runs, and for how long each race.
DURATION ?= 300
RACES ?= arena:chaos arena:dirty arena:lifetime arena:trim_race arena:hibernate_race
RUNTIME_RACES ?= $(addprefix runtime:,model windows sched chan select sync event timer io ioclose ioshot)

# What the jobs that boot need from the distribution (selftests/setup).
NEEDS = build vm $(if $(filter 7.2,$(KERNEL)),kernels)

PREFIX ?= /usr/local
D = $(DESTDIR)$(PREFIX)
DKMS = $(D)/src/burrow-$(VERSION)
VERSION := $(shell sed -n 's/^.define BURROW_RELEASE[^"]*"\(.*\)"/\1/p' kmod/uapi/linux/burrow.h)

all: module objects programs ## the module, BPF objects, the library, the burrow tool, examples

module:
	@selftests/vm/kmod 6.1 >/dev/null
	@cmp -s build/kmod-6.1/burrow.ko kmod/burrow.ko || \
		cp build/kmod-6.1/burrow.ko kmod/burrow.ko

# With them a bpftool that attaches, on the PATH of the virtual machine.
objects:
	@$(MAKE) -C bpf
	@mkdir -p build
	@ln -sfn "$$(selftests/bpftool)" build/bpftool

programs:
	@$(MAKE) -C userland

setup: ## install what is missing from the distribution, by name
	@selftests/setup

demo: ## the main job: module, runtime, growth benchmark, plot (ON=vm or ON=host)
	@selftests/setup $(NEEDS)
	@selftests/vm/kmod $(KERNEL) >/dev/null
	@$(MAKE) -s all
	@KERNEL=$(KERNEL) ON=$(ON) selftests/demo

check: ## all tests (KERNEL=); the last line is `N passed, N failed, N skipped`
	@selftests/setup $(NEEDS) test
	@selftests/vm/kmod $(KERNEL) >/dev/null
	@$(MAKE) -s all
	@$(MAKE) -s -C selftests all
	@selftests/check $(KERNEL)

check-debug: ## the tests on a kernel with KASAN, lockdep, kmemleak; then allocations fail
	@selftests/setup build vm debug test
	@selftests/vm/kmod debug >/dev/null
	@$(MAKE) -s all
	@$(MAKE) -s -C selftests all
	@selftests/vm/check-debug

check-all: ## check on every kernel there is, and check-debug
	@rc=0; export BURROW_TEST_SANITIZERS=1 BURROW_TEST_ALL=1; for kernel in 6.1 6.12 7.2; do \
		$(MAKE) check KERNEL=$$kernel || rc=1; \
	done; \
	$(MAKE) check-debug || rc=1; exit $$rc

stress: ## the race tests for long, at random (DURATION= seconds each, KERNEL=)
	@selftests/setup $(NEEDS) test
	@selftests/vm/kmod $(KERNEL) >/dev/null
	@$(MAKE) -s all
	@$(MAKE) -s -C selftests all
	@$(if $(RUNTIME_RACES),BURROW_BACKEND=mmap DURATION=$(DURATION) \
		selftests/repeat -v mmap $(RUNTIME_RACES))
	@$(if $(RACES),$(MAKE) -s stress-vm)

stress-vm:
	@KERNEL=$(KERNEL) CPUS=$(or $(CPUS),2) TIMEOUT=$(or $(TIMEOUT),86400) selftests/vm/boot \
		'export DURATION=$(DURATION) BURROW_TEST_SCALE=$(shell expr 2 + $(DURATION) / 20); \
		selftests/run -v stress $(RACES)'

bench: ## the benchmarks beside their peers: table, JSON and SVG in build/bench (BENCH=)
	@selftests/setup $(NEEDS) bench
	@mkdir -p build/bench
	@$(if $(filter-out $(MEMORY),$(BENCH)),$(MAKE) -s bench-here)
	@$(if $(filter $(MEMORY),$(BENCH)),$(MAKE) -s bench-vm)

bench-vm:
	@selftests/vm/kmod $(KERNEL) >/dev/null
	@$(MAKE) -s programs
	@KERNEL=$(KERNEL) MEM=$(or $(MEM),4G) ICOUNT=$(or $(ICOUNT),1) selftests/vm/boot \
		'set -o pipefail; cd build/bench && \
		burrow bench $(filter $(MEMORY),$(BENCH)) \
		--json bench.json --svg growth.svg | tee table'

bench-here: SHELL = bash
bench-here:
	@$(MAKE) -s programs
	@$(MAKE) -s -C userland peers
	@set -o pipefail; build/burrow bench $(filter-out $(MEMORY),$(BENCH)) --runs $(RUNS) \
		--json build/bench/scheduler.json --svg build/bench/scheduler.svg | \
		tee build/bench/scheduler-table

# The command goes by the environment as it was written: neither make nor a
# shell on the way takes its dollars and quotes apart.
vm: override export CMD := $(value CMD)
vm: ## run CMD='...' in a virtual machine (KERNEL= MEM= CPUS= ICOUNT=1 TIMEOUT=)
	@selftests/setup $(NEEDS)
ifneq ($(MODULE),none)
	@selftests/vm/kmod $(KERNEL) >/dev/null
endif
	@$(MAKE) -s objects programs >&2
	@KERNEL=$(KERNEL) selftests/vm/boot

# Built from a copy: the source tree stays clean.
module-here:
	@[ -e $(KDIR) ] || selftests/setup build host
	@[ -e $(KDIR) ] || { echo "no $(KDIR): install linux-headers-$(KVER)" >&2; exit 1; }
	@mkdir -p build/kmod-here
	@cp -ru Kbuild kmod build/kmod-here/
	@rm -f build/kmod-here/kmod/burrow.ko
	@$(MAKE) -C $(KDIR) M=$(CURDIR)/build/kmod-here modules

load: ## insert the module into the running kernel (KMOD_ARGS=)
	@[ -e /proc/modules ] || { echo "this kernel loads no modules: use make vm" >&2; exit 1; }
	@$(MAKE) -s module-here
	insmod build/kmod-here/kmod/burrow.ko $(KMOD_ARGS)

unload: ## remove the module from the running kernel
	rmmod burrow

install: objects programs ## library, headers, tool, man pages, BPF objects, udev rule, DKMS source (DESTDIR=, PREFIX=)
	install -D -m 755 build/burrow $(D)/bin/burrow
	install -D -m 755 userland/debug/burrow-heap.py $(D)/bin/burrow-heap
	install -D -m 644 build/libburrow.a $(D)/lib/libburrow.a
	install -D -m 755 build/libburrow.so.0 $(D)/lib/libburrow.so.0
	ln -sf libburrow.so.0 $(D)/lib/libburrow.so
	install -D -m 644 userland/include/burrow.h $(D)/include/burrow.h
	install -D -m 644 -t $(D)/include/burrow userland/include/burrow/*.h
	install -D -m 644 kmod/uapi/linux/burrow.h $(D)/include/linux/burrow.h
	install -D -m 644 kmod/60-burrow.rules $(D)/lib/udev/rules.d/60-burrow.rules
	install -D -m 644 -t $(D)/lib/burrow/bpf bpf/*.bpf.o
	install -d $(D)/lib/pkgconfig $(DKMS)
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' userland/burrow.pc.in \
		>$(D)/lib/pkgconfig/burrow.pc
	sed 's|@VERSION@|$(VERSION)|' kmod/dkms.conf.in >$(DKMS)/dkms.conf
	tar -c --exclude='*.o' --exclude='*.ko' Kbuild kmod | tar -x -C $(DKMS)
	for page in $(wildcard Documentation/man/*.[1-9]); do \
		install -D -m 644 -t $(D)/share/man/man$${page##*.} $$page || exit 1; \
	done

modules_install: module-here ## the module for kernel KVER (DESTDIR=)
	@$(MAKE) -C $(KDIR) M=$(CURDIR)/build/kmod-here \
		INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=updates modules_install

lint: ## checkpatch, sparse, clang-tidy, cppcheck, clang-format
	@selftests/setup build lint bench
	@selftests/lint

docs: ## Documentation/ as HTML in build/docs; what warns is an error
	@selftests/setup docs
	@Documentation/build

clean: ## remove what was built
	rm -rf build kmod/burrow.ko bpf/*.bpf.o

help: ## this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / \
		{ printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: all module module-here objects programs setup demo check check-debug check-all \
	stress stress-vm bench bench-vm bench-here vm load unload install modules_install lint docs clean help
