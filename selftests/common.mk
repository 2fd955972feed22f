# SPDX-License-Identifier: GPL-2.0
#
# Included by the Makefile of each collection of tests: every .c file is a test
# program of its own, every .sh file is one as it stands, and the kernel's own
# lib.mk builds them (it is unpacked from the distribution's kernel source by
# selftests/setup).

top := $(realpath $(dir $(lastword $(MAKEFILE_LIST)))/..)
kselftest := $(top)/build/kselftest
COLLECTION := $(notdir $(CURDIR))
OUTPUT := $(top)/build/selftests/$(COLLECTION)
KHDR_INCLUDES := -I$(top)/kmod/uapi

TEST_GEN_PROGS := $(filter-out $(NOT_A_TEST),$(patsubst %.c,%,$(wildcard *.c)))
TEST_PROGS := $(wildcard *.sh)

CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE \
	$(KHDR_INCLUDES) -isystem $(kselftest) $(CFLAGS)
LOCAL_HDRS := $(wildcard *.h) $(wildcard $(top)/kmod/uapi/linux/*.h) $(LOCAL_HDRS)

# lib.mk does not make the folder that it writes to.
$(shell mkdir -p $(OUTPUT))

include $(kselftest)/lib.mk
