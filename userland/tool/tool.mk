# SPDX-License-Identifier: GPL-2.0
#
# Included by userland/Makefile: what the tool needs beyond its sources.

# The events that trace and stat live on: a BPF object of the tool's own (stock
# bpftool can't attach to the library's probes), and a skeleton that carries it.
BPF := ../bpf
include $(BPF)/compile.mk
BPFTOOL = $(or $(shell ../selftests/bpftool),bpftool)
TOOL_LIBS += -lbpf -lncurses

$(OBJ)/bpf/runtime.bpf.o: $(BPF)/runtime.bpf.c $(wildcard $(BPF)/*.h) $(BPF)/compile.mk
	@mkdir -p $(@D)
	$(BPF_COMPILE)

$(OBJ)/bpf/runtime.skel.h: $(OBJ)/bpf/runtime.bpf.o
	echo '/* NOLINTBEGIN */' >$@.new
	$(BPFTOOL) gen skeleton $< name runtime_bpf >>$@.new
	echo '/* NOLINTEND */' >>$@.new
	mv $@.new $@

$(OBJ)/tool/watch/watch.c.o: $(OBJ)/bpf/runtime.skel.h
$(OBJ)/tool/watch/watch.c.o: ALL_CFLAGS += -I$(OBJ)/bpf

# Names of system calls, as this machine's headers have them.
$(OBJ)/tool/syscalls.h:
	@mkdir -p $(@D)
	echo '#include <sys/syscall.h>' | $(CC) -E -dM - | \
		sed -nE 's/^#define __NR_([a-z0-9_]+) [0-9]+$$/[__NR_\1] = "\1",/p' | \
		sort >$@.new
	mv $@.new $@

$(OBJ)/tool/stat.c.o: $(OBJ)/tool/syscalls.h
$(OBJ)/tool/stat.c.o: ALL_CFLAGS += -I$(OBJ)/tool

# The -fsplit-stack row of the growth benchmark, where the compiler has it.
split := $(shell echo 'int x;' | $(CC) -fsplit-stack -x c -c -o /dev/null - \
		2>/dev/null && echo -fsplit-stack)
$(OBJ)/tool/bench/peers/descend-split.c.o: ALL_CFLAGS += $(split)
$(OBJ)/tool/bench/peers/splitstack.c.o: ALL_CFLAGS += \
	$(if $(split),-DBENCH_SPLIT_STACK)

# Programs that other libraries' rows run, for `make peers`: each where its
# library is found. Nothing of the tool links with them.
PEERS := tool/bench/peers/programs
PEER := $(BUILD)/peers
TOOL_OBJ := $(filter-out $(OBJ)/$(PEERS)/%,$(TOOL_OBJ))
GO := $(shell ../selftests/go --found)

have = $(if $(wildcard $(addprefix /usr/include/,$(1))),$(PEER)/$(2))
peers: $(if $(GO),$(PEER)/go) $(call have,boost/fiber/all.hpp,boost) \
	$(call have,st.h,st) $(call have,pth.h,pth) \
	$(call have,gc.h,gc)

$(PEER)/go: $(wildcard $(PEERS)/go/*)
	@mkdir -p $(@D)
	cd $(PEERS)/go && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false \
		$(GO) build -o $@ .

$(PEER)/boost: $(PEERS)/boost.cc $(PEERS)/serve.h
	@mkdir -p $(@D)
	$(CXX) -O2 -DNDEBUG -Wall -Wextra -Werror -pthread -o $@ $< \
		-lboost_fiber -lboost_context

$(PEER)/gc: tool/bench/gc_work.h
$(PEER)/%: $(PEERS)/%.c $(PEERS)/serve.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 $(WARN) -o $@ $< -l$*

.PHONY: peers

# The Go row: its text is in the tool, to be built wherever there is a `go`;
# where there is one now, what it makes lies beside the tool.
GO_DIR := tool/bench/peers/go
TOOL_OBJ += $(OBJ)/tool/bench/peers/go-text.S.o
$(OBJ)/tool/bench/peers/go-text.S.o: $(wildcard $(GO_DIR)/*)

ifneq ($(shell command -v go),)
tool: $(BUILD)/burrow-peer-go

$(BUILD)/burrow-peer-go: $(wildcard $(GO_DIR)/*)
	cd $(GO_DIR) && go build -o $@ .
endif
