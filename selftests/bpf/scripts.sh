#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The bpftrace scripts, on a program of which all is known. Those that need the
# module's events are tried where it is loaded.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
watched=$top/build/selftests/tool/watched
count=50

if ! command -v bpftrace >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP no bpftrace here, or not root"
	exit 4
fi
# bpftrace wants to see tracefs in its place: in a mount namespace of our own.
if [ ! -e /sys/kernel/tracing/uprobe_events ] && [ -z "${BURROW_TEST_MOUNTED:-}" ] &&
   unshare -m true 2>/dev/null; then
	BURROW_TEST_MOUNTED=1 exec unshare -m \
		sh -c 'mount -t tracefs tracefs /sys/kernel/tracing; exec "$0"' "$0"
fi
if [ ! -e /sys/kernel/tracing/uprobe_events ]; then
	echo "1..0 # SKIP no tracefs here"
	exit 4
fi

# script NAME COMMAND [ARGUMENT]: until the command ends
script() {
	local name=$1 command=$2

	shift 2
	timeout 300 bpftrace -c "$command" "$top/bpf/$name.bt" "$@" \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	is "$name: status" $? 0
}

# Who may not is told so, and nothing is left behind.
if setpriv --reuid=65534 --clear-groups true 2>/dev/null; then
	for name in parked queue pauses grows stacks asleep; do
		setpriv --reuid=65534 --clear-groups bpftrace "$top/bpf/$name.bt" "$watched" \
			>"$tmp/out" 2>&1 </dev/null
		check "$name: without rights it ends" test $? != 0
		like "$name: and says what it takes" "$(cat "$tmp/out")" root
	done
else
	skip "without rights: nobody else to be here"
fi

script parked "$watched $count 1" "$watched"
like "parked: how often for what" "$(cat "$tmp/out")" "^@times\[semaphore acquire\]: $count$"
like "parked: how long" "$(cat "$tmp/out")" '^@us\[semaphore acquire\]: [0-9]+$'

script queue "$watched $count 1" "$watched"
runs=$(awk '/^\[/ { sub(/.*[\])] */, ""); n += $1 } END { print n + 0 }' "$tmp/out")
check "queue: as many waits as goroutines and wake-ups, at least ($runs)" \
	test "$runs" -ge $((2 * count))
like "queue: who waited" "$(cat "$tmp/out")" '^@longest_us_by_goroutine\[[0-9]+, [0-9]+\]: [0-9]+$'

export BURROW_PROCS=1
script queue "$watched hog" "$watched"
unset BURROW_PROCS
waits=$(awk '/^\[/ { sub(/.*[\])] */, ""); n += $1 } END { print n + 0 }' "$tmp/out")
check "queue: each has waited, and the one that lost its processor again ($waits)" \
	test "$waits" -ge 3

script pauses "$watched 1 1 0 20" "$watched"
is "pauses: nobody is stopped at the end" "$(grep -c '^@why' "$tmp/out")" 0
pauses=$(awk '/^@/ { first = /mark\]|mark begin/ } /^[\[(]/ && first { sub(/.*[\])] */, ""); n += $1 }
	END { print n + 0 }' "$tmp/out")
is "pauses: each collection begins with one" "$pauses" 20
like "pauses: the longest" "$(cat "$tmp/out")" '^@longest_us: [0-9]+$'

if [ ! -d /sys/module/burrow ]; then
	skip "grows, stacks, asleep: the module is not loaded"
	finish
fi
export BURROW_BACKEND=kmod
script grows "$watched $count 4"
is "grows: as many as the program's runtime counted" \
	"$(sed -n 's/^@all: //p' "$tmp/out")" "$(sed -n 's/^created .* grows //p' "$tmp/out")"
script stacks "$watched $count 4"
like "stacks: who holds" "$(cat "$tmp/out")" '^@held\[[0-9]+, [0-9]+\]: [0-9]+$'

# Those that wait hibernate, and are put back as they are woken.
hold=$((2000 * ${BURROW_TEST_SCALE:-1}))
BURROW_HIBERNATE=0 script asleep "$watched $count 1 0 0 $hold"
seen() { sed -n "s/^@$1\(\[[0-9]*\]\)\?: //p" "$tmp/out"; }
told() { sed -n "s/^hibernated .*$1 \([0-9]*\).*/\1/p" "$tmp/out"; }
check "asleep: most of those that wait, at least ($(seen hibernates))" \
	test "$(seen hibernates)" -ge $((count * 9 / 10))
check "asleep: as many as the program's runtime counted ($(told stacks)), and at its end" \
	test "$(seen hibernates)" -ge "$(told stacks)"
check "asleep: as many were put back ($(told restored))" \
	test "$(seen restores)" -ge "$(told restored)"
is "asleep: some are left, or none" "$(seen now | grep -c '^[0-9]*$')" 1
like "asleep: what is saved" "$(cat "$tmp/out")" '^\[[0-9]+, [0-9]+K?\) +[1-9]'
finish
