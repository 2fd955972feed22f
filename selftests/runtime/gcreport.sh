#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A heap profile and a heap dump, read by the script that the library comes with.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
writer=$top/build/selftests/runtime/gcprofile
script=$top/userland/debug/burrow-heap.py
. "$here/../tap.sh"

if ! command -v python3 >/dev/null; then
	skip "no python3"
	finish
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The program makes a list of 500 objects that a static variable holds.
check "both are written" env BURROW_DEBUG=heapprofile=1 \
	"$writer" "$work/profile" "$work/dump"
like "types" "$("$script" types "$work/dump")" '^ +24000 +500 node_type$'
like "sites" "$("$script" sites "$work/profile")" \
	'^ +24000 of +24000 bytes: make_nodes\+0x[0-9a-f]+ < write_both\+'

# The way to the third of the list.
first=$(awk '$1 == "root" && $2 == "global" {print $5}' "$work/dump" | head -1)
next() { awk -v o="$1" '$2 == o {sub(/.*:/, "", $6); print $6}' "$work/dump"; }
third=$(next "$(next "$first")")
is "why an object lives" \
	"$("$script" why "$work/dump" "$third" | sed 's/ 0x[0-9a-f]*//' | paste -sd';')" \
	"root, global;object 48 typed node_type;  at 0 in;object 48 typed node_type;  at 0 in;object 48 typed node_type"

head -c 5000 "$work/dump" >"$work/short"
like "a dump that is cut off" "$("$script" types "$work/short" 2>&1)" 'cut off$'
if command -v pprof >/dev/null; then
	like "pprof" "$(pprof -top "$writer" "$work/profile" 2>&1)" 'make_nodes'
fi
finish
