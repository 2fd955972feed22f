# SPDX-License-Identifier: GPL-2.0
#
# How a BPF object is made of its source: $(BPF_COMPILE) as the recipe of a rule.
# Debug information is what type information (BTF) is made of; nothing else of it
# stays.

CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPF_TARGET := $(shell $(CC) -dumpmachine)
BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(firstword \
	$(subst -, ,$(BPF_TARGET)))))

BPF_COMPILE = $(CLANG) -std=gnu11 -O2 -g -target bpf -mcpu=v3 \
	-D__TARGET_ARCH_$(BPF_ARCH) -Wall -Wextra -Werror -Wno-unused-parameter \
	-isystem /usr/include/$(BPF_TARGET) -c -o $@.new $< && \
	$(LLVM_STRIP) -g $@.new && mv $@.new $@
