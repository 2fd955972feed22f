#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Probes that nobody watches cost next to nothing: with them switching, starting a
# goroutine and sending on a channel take at most 1 % more instructions, as
# callgrind counts them, than in a library that was built without.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

if ! command -v valgrind >/dev/null; then
	skip "no valgrind here"
	finish
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
times=20000

probes_of() { readelf -n "$1" 2>/dev/null | grep -A 1 'Provider: burrow' | awk '/Name:/ { print $2 }' | sort -u; }

check "a library without probes builds" make -s -C "$top/userland" library \
	BUILD="$tmp/without" CFLAGS="-O2 -g -DBURROW_NO_PROBES"
# As on a machine that has no headers of valgrind.
check "and one without valgrind" gcc -std=gnu11 -Wall -Wextra -Werror -O2 -c \
	-DBURROW_NO_VALGRIND -I"$top/kmod/uapi" -I"$top/userland/include" \
	-o "$tmp/sanitize.o" "$top/userland/debug/sanitize.c"
check "and a program with it" gcc -std=gnu11 -O2 -g -I"$top/userland/include" \
	"$top/selftests/native/operations.c" "$tmp/without/libburrow.a" \
	-o "$tmp/operations" -luring -pthread
with=$top/build/selftests/native/operations
is "it has none" "$(probes_of "$tmp/operations")" ""
is "the other has them" "$(probes_of "$with" | tr '\n' ' ')" \
	"gc_mark_done gc_start gc_stw_begin gc_stw_end gc_sweep_done go_create go_end go_park go_ready go_start stack_shrink "

ran() {
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 |
		sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

# least PROGRAM OPERATION: instructions of one, in tenths; the thread that watches
# over the others runs by the clock and adds its own, so of each the least of some
least() {
	local i n few= many=

	for i in 1 2 3; do
		n=$(ran "$1" "$2" $times)
		[ -n "$few" ] && [ "$few" -le "$n" ] || few=$n
		n=$(ran "$1" "$2" $((2 * times)))
		[ -n "$many" ] && [ "$many" -le "$n" ] || many=$n
	done
	echo $(((many - few) * 10 / times))
}

for name in switch spawn unbuffered buffered; do
	before=$(least "$tmp/operations" $name)
	after=$(least "$with" $name)
	check "$name: $after tenths of an instruction, $before without" \
		test $((after * 100)) -le $((before * 101))
done
finish
