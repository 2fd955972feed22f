#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# burrow doctor: says what the runtime does, and its JSON says the same.

. "$(dirname "$0")/tool.bash"
unset BURROW_BACKEND BURROW_PROCS BURROW_STACKMAX BURROW_DEBUG

run doctor
is "status" $status 0
text=$(cat "$tmp/out")
for name in kernel module device kmod hibernation mmap io_uring 'I/O engine' \
	userfaultfd 'write tracking' bpf tracefs \
	max_map_count overcommit 'address space' 'locked memory' 'core size'; do
	like "tells of $name" "$text" "^$name +(ok|note|missing) +."
done
is "every line has a known standing" \
	"$(printf '%s\n' "$text" | sed '/^ /d; /^$/d; /^The runtime/d' |
		grep -vcE '^.{14} (ok|note|missing|bad) ')" 0

if has_module; then
	like "chooses the module" "$text" '^The runtime would use kmod: '
	like "the module's version" "$text" '^module +ok +loaded, version '
	like "the module's parameters" "$text" '^parameters +ok +.*='
else
	like "chooses mmap" "$text" "^The runtime would use mmap: the module can't be used"
	like "says how to have the module" "$text" 'modprobe burrow'
fi

# The JSON has the same findings in the same order.
run doctor --json
is "--json: status" $status 0
is "--json: nothing on standard error" "$(cat "$tmp/err")" ""
json=$(cat "$tmp/out")
is "--json: the same findings" \
	"$(printf '%s\n' "$json" | sed -n 's/^ *"name": *"\(.*\)",$/\1/p')" \
	"$(printf '%s\n' "$text" | sed '/^ /d; /^$/d; /^The runtime/d; s/ *\(ok\|note\|missing\|bad\) .*//')"
like "--json: the same backend" "$json" \
	"\"backend\": *\"$(printf '%s\n' "$text" | sed -n 's/^The runtime would use \([a-z]*\):.*/\1/p')\""

# What the runtime is told, doctor heeds.
BURROW_DEBUG=uring=0 run doctor
like "BURROW_DEBUG=uring=0 is heeded" "$(cat "$tmp/out")" '^I/O engine +note +epoll'
BURROW_BACKEND=mmap run doctor
is "BURROW_BACKEND=mmap: status" $status 0
like "BURROW_BACKEND=mmap" "$(cat "$tmp/out")" '^The runtime would use mmap: BURROW_BACKEND asks for it'
BURROW_BACKEND=frobnicate run doctor
is "BURROW_BACKEND=frobnicate: status" $status 1
like "BURROW_BACKEND=frobnicate" "$(cat "$tmp/out" "$tmp/err")" 'frobnicate'
if ! has_module; then
	BURROW_BACKEND=kmod run doctor
	is "BURROW_BACKEND=kmod without the module: status" $status 1
	like "BURROW_BACKEND=kmod without the module" "$(cat "$tmp/out")" '^The runtime does not start here'
	BURROW_BACKEND=kmod run doctor --json
	like "--json has no backend then" "$(cat "$tmp/out")" '"backend": *null'
fi

# Shortfalls are noted with what to do.
if unshare -m true 2>/dev/null; then
	unshare -m sh -c 'mount -t tmpfs none /sys/kernel/tracing; exec "$0" doctor' "$burrow" >"$tmp/out" 2>&1
	like "no tracefs" "$(cat "$tmp/out")" '^tracefs +note +not mounted'
	like "and what to do" "$(cat "$tmp/out")" 'to do: mount -t tracefs '
	unshare -m sh -c '{ mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; } && exec "$0" doctor' "$burrow" >"$tmp/out" 2>&1
	like "tracefs is there" "$(cat "$tmp/out")" '^tracefs +ok '
else
	skip "tracefs there and not: no mounts of our own"
fi
(ulimit -v 8000000; "$burrow" doctor >"$tmp/out" 2>&1)
like "a limit of address space" "$(cat "$tmp/out")" '^address space +note +8000000 KiB'
like "and what to do" "$(cat "$tmp/out")" 'to do: ulimit -v unlimited'
(ulimit -c 0; "$burrow" doctor >"$tmp/out" 2>&1)
like "no core dumps" "$(cat "$tmp/out")" '^core size +note +0 KiB'

"$burrow" doctor >/dev/full 2>"$tmp/err"
is "a full device: status" $? 1
finish
