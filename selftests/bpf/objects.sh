#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Stock bpftool loads, attaches and lists each object; while tests of the module
# run, what the maps hold is what the kernel's own histograms of the same events
# hold.

. "$(dirname "$0")/bpf.bash"
need_module

# attached OBJECT EVENT: bpftool pins what it cannot attach and is content
attached() {
	attach "$1"
	is "$1: bpftool loads it" $? 0
	is "$1: and does not fall back to pinning" \
		"$(grep -c 'falling back' "$tmp/bpftool")" 0
	like "$1: the link is there" "$(bpftool link show)" "$2"
	is "$1: pinned as a link" "$(bpftool -j link show pinned "$pins/$1/${2#burrow_}" |
		jq -r .tp_name)" "$2"
}

# while_runs PROGRAM OBJECT EVENT KEYS [VALUES]: both watch
while_runs() {
	attached "$2" "$3"
	hist_begin "$3" "$4" "${5:-}"
	BURROW_BACKEND=kmod timeout 200 "$top/build/selftests/$1" >"$tmp/run" 2>&1
	hist_end
	is "$2: the kernel's histogram had room" "$(hist_dropped)" 0
	check "$2: something was seen" test "$(hist_sum hitcount)" -gt 0
	is "$2: as many as the kernel's histogram" "$(total "$2" events)" "$(hist_sum hitcount)"
}

maps_agree() {
	is "$1: by size as in all" \
		"$(values "$1_log2" '"\(map(.value.events) | add) \(map(.value.bytes) | add)"')" \
		"$(total "$1" events) $(total "$1" bytes)"
	is "$1: by process as in all" \
		"$(values "$1_by_process" '"\(map(.value.events) | add) \(map(.value.bytes) | add)"')" \
		"$(total "$1" events) $(total "$1" bytes)"
	is "$1: nothing lost" "$(total "$1" lost)" 0
}

while_runs runtime/overflow growth burrow_stack_grow pid old_bytes,new_bytes
is "growth: bytes" "$(total growth bytes)" $(($(hist_sum new_bytes) - $(hist_sum old_bytes)))
maps_agree growth
detach growth

while_runs arena/trim trim burrow_stack_trim pid old_bytes,new_bytes
is "trim: bytes" "$(total trim bytes)" $(($(hist_sum old_bytes) - $(hist_sum new_bytes)))
maps_agree trim
detach trim

while_runs arena/hibernate hibernate burrow_stack_hibernate pid live_bytes,old_bytes
is "hibernate: bytes" "$(total hibernate bytes)" "$(hist_sum live_bytes)"
is "hibernate: pages" "$(total hibernate freed)" "$(hist_sum old_bytes)"
maps_agree hibernate
is "hibernate: a link for what is put back" \
	"$(bpftool -j link show pinned "$pins/hibernate/stack_restore" | jq -r .tp_name)" \
	burrow_stack_restore
detach hibernate

attach hibernate
hist_begin burrow_stack_restore pid live_bytes
BURROW_BACKEND=kmod timeout 200 "$top/build/selftests/arena/hibernate" >"$tmp/run" 2>&1
hist_end
check "hibernate: some were put back" test "$(hist_sum hitcount)" -gt 0
is "hibernate: as many as the kernel's histogram" \
	"$(total hibernate restores)" "$(hist_sum hitcount)"
is "hibernate: bytes put back" "$(total hibernate restored)" "$(hist_sum live_bytes)"
is "hibernate: for how long, of all" \
	"$(values hibernate_time_log2 'map(.value.events) | add')" \
	$(($(total hibernate restores) - $(total hibernate untimed)))
is "hibernate: all are timed" "$(total hibernate untimed)" 0
detach hibernate

while_runs arena/dirty dirty burrow_heap_dirty pid dirty,pages
is "dirty: bytes" "$(total dirty bytes)" $(($(hist_sum dirty) * 4096))
is "dirty: looked at" "$(total dirty looked_at)" $(($(hist_sum pages) * 4096))
maps_agree dirty
detach dirty

# A histogram has three keys at most.
while_runs runtime/overflow overflow burrow_stack_overflow pid,arena,limit
check "overflow: few enough for the log" test "$(total overflow events)" -le 256
is "overflow: who, in which arena and at which limit" \
	"$(values overflow_log 'map(select(.value.number > 0) | .value |
		"\(.pid) \(.arena) \(.limit)") | .[]' | sort | uniq -c |
		awk '{ print $2, $3, $4, $1 }')" \
	"$(awk '/^\{/ { gsub(/[{},:]/, ""); print $2, $4, $6, $8 }' "$tmp/hist" | sort)"
detach overflow

attach growth
bpftool map dump pinned "$pins/growth-maps/growth_by_goroutine" >"$tmp/dump" 2>&1
is "a map that is empty can be dumped" $? 0
detach growth
is "links are gone with their pins" "$(bpftool link show | grep -c burrow_)" 0
finish
