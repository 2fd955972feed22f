#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module comes and goes as often as one likes and leaves nothing behind.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

parameters=/sys/module/burrow/parameters
view=/sys/kernel/debug/burrow

# The module built for this kernel, if it is there.
module() {
	local ko

	for ko in "$top"/build/kmod-*/burrow.ko; do
		if [ "$(modinfo -F vermagic "$ko" | cut -d ' ' -f 1)" = "$(uname -r)" ]; then
			echo "$ko"
			return
		fi
	done
}

unreclaimable() { awk '/^SUnreclaim:/ { print $2 }' /proc/meminfo; }

ko=$(module)
if [ ! -d /sys/module/burrow ] || [ -z "$ko" ]; then
	echo "1..0 # SKIP no module is loaded, or its file is not in build/"
	exit 4
fi
if ! rmmod burrow; then
	echo "1..0 # SKIP somebody is using the module"
	exit 4
fi

is "no device without the module" "$(ls /dev/burrow 2>/dev/null)" ""
is "no view without it" "$(ls -d $view 2>/dev/null)" ""

check "limits are parameters" insmod "$ko" context_limit=123456789 \
	user_limit=234567890 pool_limit=3456789
is "limit of a context" "$(cat $parameters/context_limit)" 123456789
is "limit of a user" "$(cat $parameters/user_limit)" 234567890
is "limit of a pool" "$(cat $parameters/pool_limit)" 3456789
rmmod burrow
is "parameters that make no sense are refused" \
	"$(insmod "$ko" context_limit=much 2>&1 >/dev/null | wc -l; rmmod burrow 2>/dev/null)" 1
is "unknown parameters do no harm" \
	"$(insmod "$ko" no_such_thing=1 2>&1 && rmmod burrow 2>&1)" ""

before=
for i in $(seq 1 12); do
	[ "$i" != 4 ] || before=$(unreclaimable)
	insmod "$ko" || break
	[ -c /dev/burrow ] || break
	"$top/build/selftests/uapi/version" >/dev/null 2>&1 || break
	rmmod burrow || break
done
is "loaded, used and unloaded 12 times" "$i" 12

# Killed while its stacks hibernate: what the store has goes with it, and the module
# at once after that.
hibernated() { cat $view/*/stats 2>/dev/null | awk '$1 == "hibernated" { n += $2 } END { print n + 0 }'; }
for i in $(seq 1 6); do
	insmod "$ko" || break
	BURROW_BACKEND=kmod BURROW_HIBERNATE=0 "$top/build/selftests/runtime/target" >/dev/null 2>&1 &
	pid=$!
	for _ in {1..300}; do
		[ "$(hibernated)" = 0 ] || break
		sleep 0.1
	done
	[ "$(hibernated)" -gt 0 ] || break
	rmmod burrow 2>/dev/null && break
	kill -KILL $pid
	wait $pid 2>/dev/null
	rmmod burrow || break
done
is "unloaded 6 times after what hibernated was killed" "$i $(ls -d $view 2>/dev/null)" "6 "
after=$(unreclaimable)
is "and no memory lost ($before to $after KiB)" $((after < before + 4000)) 1

check "it is back" insmod "$ko"
default=$(cat $parameters/context_limit)
total=$(awk '/^MemTotal:/ { print $2 * 1024 }' /proc/meminfo)
is "by default a context may hold about 3/4 of memory" \
	$((default > total / 10 * 7 && default < total / 10 * 8)) 1
is "module BTF is there" "$(ls /sys/kernel/btf/burrow 2>/dev/null)" \
	"$([ -d /sys/kernel/btf ] && echo /sys/kernel/btf/burrow)"
finish
