#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What it costs the growth of a stack to be looked at: with nobody there, while
# growth.bpf.o counts, beside burrow top, and under burrow stat. In a machine whose
# time counts instructions (`make vm ICOUNT=1`) the figures are instructions.

. "$(dirname "$0")/bpf.bash"
need_module

burrow=$top/build/burrow
depths=4,64,1024

# growth [COMMAND...]: run by it; lines `DEPTH ns`
growth() {
	"$@" "$burrow" bench growth --backend kmod-recycled --depth $depths \
		--json "$tmp/json" >/dev/null 2>&1 </dev/null
	jq -r '.results[] | select(.unit == "ns/op") |
		"\(.param.depth_kib) \(.median)"' "$tmp/json"
	rm -f "$tmp/json"
}

growth >"$tmp/alone"
attach growth
growth >"$tmp/counted"
check "it was counted" test "$(total growth events)" -gt 1000
detach growth
"$burrow" top --batch -d 0.1 >"$tmp/top" 2>&1 </dev/null &
looker=$!
sleep 2
growth >"$tmp/beside"
kill $looker
wait $looker 2>/dev/null
check "it was looked at" test -s "$tmp/top"
growth "$burrow" stat >"$tmp/watched"

# bound NAME FILE TIMES: no more than so often what it takes alone, at any depth
bound() {
	local depth ns with

	while read -r depth ns; do
		with=$(awk -v d="$depth" '$1 == d { print $2 }' "$tmp/$2")
		echo "# $depth KiB, ns: $ns alone, $with $1"
		check "$depth KiB: $1 no more than $3 times as much" \
			awk -v a="$ns" -v b="${with:-1e99}" -v times="$3" 'BEGIN { exit !(b <= a * times) }'
	done <"$tmp/alone"
}
is "each depth was measured" "$(wc -l <"$tmp/alone")" 3
bound "beside top" beside 3
bound "counted by growth.bpf.o" counted 4
bound "with stat" watched 4
finish
