#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The instructions that the operations of the scheduler take, as callgrind counts
# them, whatever the machine does besides: none may grow by more than 5 % over
# what stands in the file `instructions`. With --record they are written there.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

known=$top/selftests/native/instructions
program=$top/build/selftests/native/operations
compiler="gcc $(gcc -dumpversion), $(uname -m)"
times=20000

# ran NAME TIMES: instructions of the whole program
ran() {
	valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		"$program" "$1" "$2" 2>&1 |
		sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

# for_one NAME: instructions of one operation, in tenths; start and end of the
# program are in both counts and drop out
for_one() {
	local few many

	few=$(ran "$1" $times)
	many=$(ran "$1" $((2 * times)))
	[ -n "$few" ] && [ -n "$many" ] || return 1
	echo $(((many - few) * 10 / times))
}

# The least of some: the thread that watches over the others runs by the clock.
least() {
	local i n best=

	for i in 1 2 3; do
		n=$(for_one "$1") || return 1
		[ -n "$best" ] && [ "$best" -le "$n" ] || best=$n
		[ -z "${2:-}" ] || [ "$best" -gt "$2" ] || break
	done
	echo "$best"
}

record() {
	local name n

	echo "# SPDX-License-Identifier: GPL-2.0"
	echo "# $compiler; tenths of an instruction, selftests/native/callgrind.sh --record"
	for name in switch spawn unbuffered buffered select close mutex; do
		n=$(least $name) || exit 1
		echo "$name $n"
	done
}

if ! command -v valgrind >/dev/null; then
	skip "no valgrind here"
	finish
fi
if [ "${1:-}" = --record ]; then
	record >"$known.new" && mv "$known.new" "$known"
	exit
fi
if ! grep -qF "# $compiler;" "$known"; then
	skip "recorded with another compiler than $compiler"
	finish
fi
while read -r name was; do
	most=$((was * 105 / 100))
	n=$(least "$name" $most)
	if [ -z "$n" ]; then
		not_ok "$name: no count"
	elif [ "$n" -le $most ]; then
		ok "$name: $((n / 10)) instructions, $((was / 10)) recorded"
	else
		not_ok "$name: $((n / 10)) instructions, $((was / 10)) recorded"
	fi
done < <(grep -v '^#' "$known")
finish
