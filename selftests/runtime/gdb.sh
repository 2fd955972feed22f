#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What debuggers see: goroutines of a live process and of a core file, and no
# signal while stacks grow.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
target=$top/build/selftests/runtime/target
script=$top/userland/debug/burrow-gdb.py
folder=$(dirname "$target")
. "$here/../tap.sh"

work=$(mktemp -d)
cd "$work" || exit 1
pid= pattern=
cleanup() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	[ -z "$pattern" ] || echo "$pattern" >/proc/sys/kernel/core_pattern
	rm -rf "$work"
}
trap cleanup EXIT

# Starts the target; returns when it says that its goroutines are there.
start() {
	mkfifo ready
	"$target" "$@" >ready 2>err &
	pid=$!
	read -r line <ready
	rm ready
}

stop() {
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
}

# The commands come from the program itself.
debug() {
	gdb -q -nx -batch -iex "add-auto-load-safe-path $folder" \
		-ex 'set pagination off' \
		-ex 'info goroutines' -ex 'goroutine 2 bt' -ex 'goroutine 3 bt' \
		-ex 'goroutine 1 bt' "$@" 2>&1
}

# The parked goroutines, from their innermost frame to where they begin.
shows_parked() {
	like "$1: list" "$2" '^goroutine 2 \(deep\) \[sleep, [0-9]+ (ms|seconds)\]:$'
	like "$1: all 51 frames of the recursion" \
		"$(grep -c ' dig (depth=' <<<"$2")" '^5[12]$'
	like "$1: what the recursion was called by" "$2" ' deep \(arg='
	like "$1: the other one" "$2" ' shallow \(arg='
	like "$1: the end of the stack" "$2" ' burrow_arch_start '
	if grep -q 'corrupt stack\|Backtrace stopped' <<<"$2"; then
		not_ok "$1: backtraces end cleanly"
	else
		ok "$1: backtraces end cleanly"
	fi
}

# counted NAME: of the process, by the module
counted() {
	awk -v name="$1" '$1 == name { print $2 }' /sys/kernel/debug/burrow/$pid-*/stats
}

# Goroutines 1, 3 and 4 hibernate; 2 holds too much for that.
start_dozing() {
	BURROW_BACKEND=kmod BURROW_HIBERNATE=0 start doze
	for _ in {1..600}; do
		[ "$(counted hibernated)" -ge 3 ] && return
		sleep 0.1
	done
}

shows_dozing() {
	is "$1: all 11 frames of the one that hibernates" \
		"$(grep -c ' doze (depth=' <<<"$2")" 11
	like "$1: what they were called by" "$2" ' dozing \(arg='
}

if ! command -v gdb >/dev/null; then
	skip "gdb is not installed"
else
	start busy
	out=$(debug -p "$pid")
	shows_parked "live process" "$out"
	like "live process: the running one" "$out" ' start \(arg='
	like "live process: is said to run" "$out" '^goroutine 1 \(main\) \[running\]:$'
	out=$(gdb -q -nx -batch -iex 'set auto-load no' -ex "source $script" \
		-ex 'set pagination off' -ex 'goroutine all bt' -p "$pid" 2>&1)
	like "sourced: all of them: the running one" "$out" ' start \(arg='
	like "sourced: all of them: a parked one" "$out" ' shallow \(arg='
	stop

	if [ -w /dev/burrow ] && [ -d /sys/kernel/debug/burrow ]; then
		start_dozing
		is "hibernating: three of them" "$(counted hibernated)" 3
		restores=$(counted restores)
		out=$(debug -ex 'goroutine 4 bt' -p "$pid")
		shows_parked "hibernating" "$out"
		shows_dozing "hibernating" "$out"
		is "hibernating: nobody was put back" "$(counted restores)" "$restores"
		out=$(debug -ex 'goroutine all bt' -p "$pid")
		shows_dozing "hibernating: all of them" "$out"
		is "hibernating: nobody was put back for all" "$(counted restores)" "$restores"
		is "hibernating: still three of them" "$(counted hibernated)" 3
		stop
	else
		skip "hibernating: it takes the module, and its view"
	fi

	# In the virtual machine nobody else minds where they go.
	if [ -n "${BURROW_TEST_KMSG:-}" ]; then
		pattern=$(cat /proc/sys/kernel/core_pattern)
		echo core >/proc/sys/kernel/core_pattern
	fi
	ulimit -c unlimited
	case $(cat /proc/sys/kernel/core_pattern) in
	core)
		start overflow
		wait "$pid" 2>/dev/null
		is "core: died of SIGSEGV" $? 139
		pid=
		like "core: says so" "$(cat err)" 'stack overflow: limit'
		is "core: there is one" "$(ls core* | wc -l)" 1
		# Reserved, unused stacks are no part of it.
		is "core: not all that is reserved" \
			"$(find . -name 'core*' -size -3145728k | wc -l)" 1
		out=$(debug -ex 'goroutine 4 bt' "$target" core*)
		shows_parked "core" "$out"
		like "core: the one that overflowed" "$out" \
			' overflow \(depth=(depth@entry=)?2[0-9]{2}'
		rm core*
		if [ -w /dev/burrow ] && [ -d /sys/kernel/debug/burrow ]; then
			start_dozing
			kill -ABRT "$pid"
			wait "$pid" 2>/dev/null
			pid=
			out=$(debug -ex 'goroutine 4 bt' "$target" core*)
			shows_parked "core of who hibernates" "$out"
			shows_dozing "core of who hibernates" "$out"
		fi
		;;
	*)
		skip "core: the system sends core files elsewhere" ;;
	esac
fi

if ! command -v strace >/dev/null; then
	skip "strace is not installed"
else
	timeout 60 strace -f -e trace=none -o trace "$target" grow >out 2>err
	is "strace: the program ended" $? 0
	is "strace: no signal while stacks grew" "$(grep -c -- '---' trace)" 0
fi
finish
