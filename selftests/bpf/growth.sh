#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Growth as the maps of growth.bpf.o have it is what was grown, to the last event:
# the sum is the module's counter and the kernel's own histogram, and goroutines
# that grow by a known amount make exactly the histogram that follows from it.
#
# BURROW_TEST_GOROUTINES: how many of them, 200 without. BURROW_TEST_PAGES: how far
# they grow, powers of two.

. "$(dirname "$0")/bpf.bash"
need_module

goroutines=${BURROW_TEST_GOROUTINES:-200}

log2s() {
	values growth_log2 'map("\(.key) \(.value.events) \(.value.bytes)") | .[]' | sort -n
}

# What was added from one such list to another.
added() {
	awk 'NR == FNR { e[$1] = $2; b[$1] = $3; next }
	     $2 > e[$1] { print $1, $2 - e[$1], $3 - b[$1] }' "$1" "$2"
}

# What COUNT goroutines make that grow to PAGES, a power of two, page by page:
# the first page, then as much again each time.
expected() {
	local count=$1 size=4096 log2=12 by=4096

	while [ $size -le $(($2 * 4096)) ]; do
		echo "$log2 $count $((by * count))"
		by=$size log2=$((log2 + 1)) size=$((size * 2))
	done
}

counter() {
	awk -v name="$1" '$1 == name { print $2 }' /sys/kernel/debug/burrow/"$pid"-*/stats
}

# Goroutines that grew to that many pages as expected. They may be very many.
exactly() {
	bpftool map dump pinned "$pins/growth-maps/growth_by_goroutine" | tr -d '",:' |
	awk -v pid="$pid" -v events="$(expected "$1" "$2" | wc -l)" -v bytes=$(($2 * 4096)) '
		{ v[$1] = $2 }
		$1 == "largest" && v["pid"] == pid && v["goroutine"] > 1 &&
		v["events"] == events && v["bytes"] == bytes && v["largest"] == bytes { n++ }
		END { print n + 0 }'
}

# await WORD: the program's line
await() {
	local line

	read -r -t 600 line <&"${grow[0]}" && [ "$line" = "$1" ]
}

# Growth of others in between would be counted too: nobody else uses the module.
grown_by() {
	local count=$1 pages=$2 name="$1 goroutines, $2 pages each"

	attach growth
	hist_begin burrow_stack_grow new_bytes
	coproc grow { exec "$programs/grow" "$count" "$pages"; }
	pid=$grow_PID
	await ready || { not_ok "$name: begin"; return; }
	log2s >"$tmp/before"
	echo >&"${grow[1]}"
	await grown || { not_ok "$name: all grown"; return; }
	hist_end
	log2s >"$tmp/after"

	is "$name: exactly the histogram expected" \
		"$(added "$tmp/before" "$tmp/after")" "$(expected "$count" "$pages")"
	is "$name: as many as the module counted" "$(total growth events)" "$(counter grows)"
	is "$name: as many bytes as stacks hold" "$(total growth bytes)" "$(counter stack_bytes)"
	is "$name: pages from the pool as the module counted" \
		"$(total growth recycled)" "$(($(counter recycled_pages) * 4096))"
	is "$name: as many as the kernel's histogram" \
		"$(total growth events)" "$(hist_sum hitcount)"
	is "$name: the process has them all" \
		"$(values growth_by_process 'map("\(.key) \(.value.events) \(.value.bytes)") | .[]')" \
		"$pid $(total growth events) $(total growth bytes)"
	is "$name: no call left out" "$(missed growth stack_grow)" 0
	is "$name: nothing lost" "$(total growth lost)" 0
	is "$name: goroutines that grew by just that" "$(exactly "$count" "$pages")" "$count"
	echo >&"${grow[1]}"
	wait "$pid"
	is "$name: and it ends well" $? 0
	detach growth
}

for pages in ${BURROW_TEST_PAGES:-1 2 16}; do
	grown_by "$goroutines" $pages
done
finish
