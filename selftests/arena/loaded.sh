#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What others see of the module once it is loaded.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

if [ ! -d /sys/module/burrow ]; then
	echo "1..0 # SKIP the module is not loaded"
	exit 4
fi

check "/dev/burrow is a character device" test -c /dev/burrow
check "every user may open it" test "$(stat -c %a /dev/burrow)" = 666
check "the module's types are in the kernel (BTF)" test -s /sys/kernel/btf/burrow
check "no taint but that of being out of tree and unsigned" \
	test -z "$(tr -d 'OE\n' </sys/module/burrow/taint)"

events=/sys/kernel/tracing/events/burrow
# fields EVENT FIELD...
fields() {
	local event=$1 field

	shift
	for field; do
		grep -qE "field:.*[ *]$field(\[.*])?;" "$events/$event/format" || {
			echo "no field $field in:"
			cat "$events/$event/format"
			return 1
		}
	done
}
for event in arena_create arena_destroy; do
	check "event burrow_$event" fields burrow_$event pid arena kind bytes stride
done
check "event burrow_stack_grow" fields burrow_stack_grow \
	pid arena slot goroutine old_bytes new_bytes recycled
check "event burrow_stack_trim" fields burrow_stack_trim \
	pid arena slot goroutine old_bytes new_bytes
for event in stack_hibernate stack_restore; do
	check "event burrow_$event" fields burrow_$event \
		pid arena slot goroutine old_bytes new_bytes live_bytes
done
check "event burrow_stack_overflow" fields burrow_stack_overflow \
	pid arena slot goroutine address limit
check "event burrow_heap_dirty" fields burrow_heap_dirty \
	pid arena first_page pages dirty
check "event burrow_limit" fields burrow_limit pid arena what bytes limit
finish
