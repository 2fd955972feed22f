# SPDX-License-Identifier: GPL-2.0
#
# Included by userland/Makefile: what the tool needs beyond its sources.

TOOL_LIBS += -luring

# The -fsplit-stack row of the growth benchmark, where the compiler has it.
split := $(shell echo 'int x;' | $(CC) -fsplit-stack -x c -c -o /dev/null - \
		2>/dev/null && echo -fsplit-stack)
$(OBJ)/tool/bench/peers/descend-split.c.o: ALL_CFLAGS += $(split)
$(OBJ)/tool/bench/peers/splitstack.c.o: ALL_CFLAGS += \
	$(if $(split),-DBENCH_SPLIT_STACK)

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
