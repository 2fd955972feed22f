#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# burrow trace, on a program of which all is known: what it writes is what the
# program did, to the last event. The figures of all of it are stat.sh's.

. "$(dirname "$0")/tool.bash"

watched=$top/build/selftests/tool/watched
count=20

run trace "$watched" 1 1
if [ $status = 3 ]; then
	skip "bpf() is not allowed here"
	finish
fi

run trace /bin/true
is "a program without the library: status" $status 1
like "and it is said" "$(cat "$tmp/err")" 'no probes of Burrow'
run trace -p 4194303
is "no such process: status" $status 1
run trace -o /no/such/folder/file "$watched" 1 1
is "no such file: status" $status 1
"$burrow" trace "$watched" 2 1 >/dev/full 2>"$tmp/err" </dev/null
is "a full device: status" $? 1

json() { jq -r "$1" <"$tmp/out"; }

# A goroutine that is blocked in a system call.
run trace "$watched" block 5 200
is "blocked: and each is in the log" \
	"$(awk '/ syscall number [0-9]+ ns / && $NF >= 200e6 { n++ } END { print n }' "$tmp/out")" 5

run trace "$watched" $count 1
is "log: status" $status 0
is "log: every start of a goroutine" "$(grep -c ' go_create ' "$tmp/out")" $((count + 1))
is "log: every end" "$(grep -c ' go_end$' "$tmp/out")" $count
is "log: where they were started" \
	"$(grep -c ' go_create by [0-9]* at round_of_all (.*watched.c:[0-9]*)$' "$tmp/out")" $count
like "log: what main runs" "$(cat "$tmp/out")" ' go_create by 0 at run.* name "main"$'
like "log: nothing lost" "$(cat "$tmp/out")" '^# lost: 0$'

run trace --format perfetto --output "$tmp/json" "$watched" $count 1
is "perfetto: status" $status 0
check "perfetto: it is JSON" jq -e .traceEvents "$tmp/json"
mv "$tmp/json" "$tmp/out"
is "perfetto: a track for each goroutine" \
	"$(json '[.traceEvents[] | select(.name == "thread_name")] | length')" $((count + 1))
is "perfetto: all have what the viewer asks for" \
	"$(json '[.traceEvents[] | select((.ph == null) or (.pid == null) or (.tid == null) or
		(.name == null) or (.ph != "M" and .ts == null) or (.ph == "X" and .dur == null))] | length')" 0
is "perfetto: a slice for each wait" \
	"$(json '[.traceEvents[] | select(.cat == "waiting" and .name == "semaphore acquire")] | length')" $count
is "perfetto: a goroutine does one thing at a time" \
	"$(json '[.traceEvents[] | select(.cat == "waiting" or .cat == "running" or .cat == "runnable")] |
		group_by(.tid) | map(sort_by(.ts) | . as $s |
		[range(1; length) | select($s[.].ts + 0.002 < $s[. - 1].ts + $s[. - 1].dur)] | length) | add')" 0

if [ -d /sys/module/burrow ]; then
	run trace --format perfetto --output "$tmp/json" "$watched" $count 4
	grows=$(sed -n 's/^created .* grows //p' "$tmp/out")
	mv "$tmp/json" "$tmp/out"
	is "perfetto: a mark for each growth" \
		"$(json '[.traceEvents[] | select(.name == "burrow_stack_grow" and .ph == "i")] | length')" "$grows"
fi

if has_module; then
	hold=$((2000 * ${BURROW_TEST_SCALE:-1}))
	export BURROW_HIBERNATE=0 BURROW_BACKEND=kmod
	run trace --output "$tmp/log" "$watched" $count 1 0 0 $hold
	hibernated=$(sed -n 's/^hibernated stacks \([0-9]*\) .*/\1/p' "$tmp/out")
	mv "$tmp/log" "$tmp/out"
	told=$(grep -cE ' burrow_stack_hibernate from [1-9][0-9]* to 0 live [1-9][0-9]*$' "$tmp/out")
	check "log: stacks that hibernate ($told of $hibernated)" \
		test "$told" -ge "$hibernated" -a "$hibernated" -ge $((count * 9 / 10))
	check "log: and that are put back" \
		grep -qE ' burrow_stack_restore from 0 to 4096 live [1-9][0-9]*$' "$tmp/out"
	is "log: none is put back that did not hibernate before" \
		"$(awk '/ burrow_stack_hibernate / { asleep[$5]++ }
			/ burrow_stack_restore / && !asleep[$5]-- { bad++ }
			END { print bad + 0 }' "$tmp/out")" 0
	run trace --format perfetto --output "$tmp/json" "$watched" $count 1 0 0 $hold
	mv "$tmp/json" "$tmp/out"
	check "perfetto: marks for both" jq -e '[.traceEvents[] | select(.ph == "i") | .name] |
		index("burrow_stack_hibernate") and index("burrow_stack_restore")' "$tmp/out"
	unset BURROW_HIBERNATE BURROW_BACKEND
fi

run trace --format folded "$watched" $count 1
is "folded: lines that flame graphs are made of" \
	"$(grep -v '^created' "$tmp/out" | grep -cvE '^watched;[^;]+;(running|runnable|waiting;[^;]+) [0-9]+$')" 0
like "folded: by where they were started" "$(cat "$tmp/out")" \
	'^watched;round_of_all \(.*\);waiting;semaphore acquire [0-9]+$'

cycles=5
run trace "$watched" 1 1 0 $cycles
is "log: collections" \
	"$(grep -cE ' gc_start cycle [0-9]+ wanted heap [0-9]+$' "$tmp/out")" $cycles
is "log: ends of marking" \
	"$(grep -cE ' gc_mark_done cycle [0-9]+ live [0-9]+ help_ns [0-9]+$' "$tmp/out")" $cycles
is "log: ends of sweeping" \
	"$(grep -cE ' gc_sweep_done cycle [0-9]+ freed [0-9]+ heap [0-9]+$' "$tmp/out")" $cycles
is "log: as many stops begin as end" \
	"$(grep -cE ' gc_stw_begin cycle [0-9]+ (mark( begin| end)?|trim)$' "$tmp/out")" \
	"$(grep -cE ' gc_stw_end cycle [0-9]+ ns [0-9]+$' "$tmp/out")"

# A heap that begins cycles by itself; one that was given up begins again.
run trace "$watched" alloc 200
check "log: cycles that nobody asked for" grep -qE ' gc_start cycle [0-9]+ heap ' "$tmp/out"
is "log: each is swept before the next one begins" \
	"$(awk '{ for (i = 1; i < NF && $i != "cycle"; i++); n = $(i + 1) }
		/ gc_start / && marked != swept && n != started { bad++ }
		/ gc_start / { started = n }
		/ gc_mark_done / { marked = n; if (n != started) bad++ }
		/ gc_sweep_done / { swept = n; if (n != marked) bad++ }
		END { print bad + 0 }' "$tmp/out")" 0

run trace --format perfetto --output "$tmp/json" "$watched" 1 1 0 $cycles
mv "$tmp/json" "$tmp/out"
is "perfetto: phases of the collector" \
	"$(json '[.traceEvents[] | select(.cat == "gc" and .tid == 0) | .name] | group_by(.) |
		map("\(.[0]) \(length)") | join(", ")')" "mark $cycles, sweep $cycles"
is "perfetto: the world is stopped within a marking" \
	"$(json '[.traceEvents[] | select(.cat == "gc" and .name == "mark")] as $m |
		[.traceEvents[] | select(.cat == "pause" and .args.why != "trim") | . as $p |
		select([$m[] | select(.ts <= $p.ts and .ts + .dur + 0.002 >= $p.ts + $p.dur)] == [])] | length')" 0
holds "perfetto: as many times as it was" \
	"$(json '[.traceEvents[] | select(.cat == "pause")] | length') >= $cycles"
is "perfetto: the heap, at the begin and the end of each" \
	"$(json '[.traceEvents[] | select(.ph == "C" and .name == "heap")] | length')" $((2 * cycles))

run trace --format folded "$watched" 1 1 0 $cycles
like "folded: the collector" "$(cat "$tmp/out")" '^watched;collector;mark [0-9]+$'
like "folded: and its stops" "$(cat "$tmp/out")" '^watched;collector;mark;world stopped [0-9]+$'

# A command does not outlive who started it.
run trace --seconds 1 "$watched" 1 1 60
is "a command that takes too long: status" $status 0
is "is ended" "$(pgrep -fc "^$watched 1 1 60")" 0
finish
