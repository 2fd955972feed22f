#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What it costs a program to be looked at: CPU time of its operations, the least of
# some runs, alone, while burrow top looks ten times a second, and under burrow
# stat. Top may cost next to nothing; what stat costs is told.

. "$(dirname "$0")/tool.bash"

operations=$top/build/selftests/native/operations
watched=$top/build/selftests/tool/watched
rounds=${BURROW_TEST_ROUNDS:-3}

if has_module; then
	echo "1..0 # SKIP beside the module this may be an emulated machine, whose time tells nothing"
	exit 4
fi

# cpu COMMAND...: microseconds that it took, with what it waited for
cpu() {
	local TIMEFORMAT='%U %S'

	{ time "$@" >/dev/null 2>&1 </dev/null; } 2>&1 | awk '{ printf "%d\n", ($1 + $2) * 1e6 }'
}

# least COMMAND...: of some runs
least() {
	local i n best=

	for ((i = 0; i < rounds; i++)); do
		n=$(cpu "$@")
		[ -n "$best" ] && [ "$best" -le "$n" ] || best=$n
	done
	echo "$best"
}

# while_top COMMAND...: the same while it is looked at
while_top() {
	local looker

	"$burrow" top --batch -d 0.1 >/dev/null 2>&1 </dev/null &
	looker=$!
	sleep 2
	least "$@"
	kill $looker
	wait $looker 2>/dev/null
}

# under_stat TIMES COMMAND...: of the program and of the tool that watches it
under_stat() {
	local times=$1 all none

	shift
	all=$(cpu "$burrow" stat ${@//@/$times})
	none=$(cpu "$burrow" stat ${@//@/0})
	echo $(((all - none) * 1000 / times))
}

# costs NAME TIMES FEWER COMMAND...: @ in it stands for how often; FEWER under stat
costs() {
	local name=$1 times=$2 fewer=$3 alone looked none

	shift 3
	none=$(least ${@//@/0})
	alone=$(least ${@//@/$times})
	looked=$(while_top ${@//@/$times})
	echo "# $name, ns each: $(((alone - none) * 1000 / times)) alone," \
		"$(((looked - none) * 1000 / times)) beside top," \
		"$(under_stat "$fewer" "$@") with stat, its own time included"
	check "$name: beside top no more than half as much again" \
		test $((looked * 2)) -le $((alone * 3))
}

costs switch 2000000 100000 "$operations" switch @
costs spawn 500000 50000 "$operations" spawn @
costs message 1000000 50000 "$operations" unbuffered @
costs collection 2000 500 "$watched" 1 1 0 @ 1
finish
