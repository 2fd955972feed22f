#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# burrow top as text and JSON, on programs of which all is known. The terminal is
# screen.sh's.

. "$(dirname "$0")/tool.bash"

watched=$top/build/selftests/tool/watched
count=20
started=()
trap 'kill -KILL ${started[*]} 2>/dev/null; rm -rf "$tmp"' EXIT

# start COMMAND...: in the background, its number in $pid
start() {
	"$@" >/dev/null 2>&1 </dev/null &
	pid=$!
	started+=("$pid")
}

end() {
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# await_output: of one that runs; it may take its time
await_output() {
	local i

	for i in {1..600}; do
		[ -s "$tmp/out" ] && return
		sleep 0.1
	done
}

json() { jq -r "$1" <"$tmp/out"; }

# rows_of PID [OPTION...]: one look at it, in $tmp/out
rows_of() {
	run top --json -n 1 -p "$@"
}

# wait_for PID FILTER: until a look shows what jq finds true
wait_for() {
	local i

	for i in {1..200}; do
		rows_of "$1"
		[ $status = 0 ] && json "$2" | grep -qx true && return
		sleep 0.1
	done
	return 1
}

# is_known NAME PROGRAM: top's figures of one whose goroutines all wait
is_known() {
	local name=$1

	start "$2" $count 4 0 0 60000
	check "$name: all goroutines are seen" \
		wait_for $pid ".rows[0].goroutines == $count + 1 and .rows[0].queued == 0"
	rows_of $pid --by goroutine
	is "$name: status" $status 0
	is "$name: a row for each" "$(json '.rows | length')" $((count + 1))
	is "$name: what they wait for" \
		"$(json '[.rows[] | select(.state == "semaphore acquire")] | length')" $count
	is "$name: where they were started" \
		"$(json '[.rows[] | select(.site | test("^round_of_all .*watched.c:[0-9]+"))] | length')" $count
	is "$name: numbers" "$(json '[.rows[].goroutine] | unique | length')" $((count + 1))
	is "$name: the name of one" "$(json '.rows[] | select(.name == "main") | .state')" sleep
	rows_of $pid --by site
	is "$name: sites" "$(json '[.rows[] | "\(.goroutines) \(.waiting)"] | sort | join(", ")')" \
		"1 1, $count $count"
	holds "$name: four pages of stack each, no more than growth by doubling leaves" \
		"$(json '.rows[0].stack_each') >= 4 * 4096 && $(json '.rows[0].stack_each') <= 8 * 4096"
	is "$name: and the sum of them" "$(json '.rows[0].stack')" \
		"$(json '.rows[0].stack_each * .rows[0].goroutines')"
	end $pid
}
is_known "linked statically" "$watched"
LD_LIBRARY_PATH=$top/build is_known "linked with the shared library" \
	"$top/build/selftests/tool/watched-shared"
strip -o "$tmp/stripped" "$watched"
start "$tmp/stripped" $count 4 0 0 60000
check "stripped: it is seen" wait_for $pid ".rows[0].goroutines == $count + 1"
end $pid

cp "$watched" "$tmp/deleted"
start "$tmp/deleted" $count 1 0 0 60000
wait_for $pid ".rows[0].goroutines == $count + 1"
rm "$tmp/deleted"
rows_of $pid --by site
is "a program that was deleted: its sites have names where root looks" \
	"$(json '[.rows[] | select(.site | test("^round_of_all .*watched.c:[0-9]+"))] | length')" \
	$(($(id -u) == 0))
end $pid

# The library of one that runs was replaced; and by what must not be opened.
mkdir "$tmp/lib"
cp "$top/build/libburrow.so.0" "$tmp/lib"
LD_LIBRARY_PATH=$tmp/lib start "$top/build/selftests/tool/watched-shared" $count 4 0 0 60000
check "library replaced: it is seen before" wait_for $pid ".rows[0].goroutines == $count + 1"
rm "$tmp/lib/libburrow.so.0"
mkfifo "$tmp/lib/libburrow.so.0" "$tmp/lib/libburrow.so.0 (deleted)"
timeout 20 "$burrow" top --json -n 1 -p $pid >"$tmp/out" 2>"$tmp/err" </dev/null
status=$?
if [ "$(id -u)" = 0 ]; then
	is "library replaced: and after" "$(json '.rows[0].goroutines')" $((count + 1))
	run stat --json -s 0.5 -p $pid
	[ $status = 3 ] || is "library replaced: its probes, too" $status 0
else
	is "library replaced: nobody waits for it" $status 1
fi
end $pid

# Stopped before those that it started could run: they are in its queue.
for _ in 1 2 3; do
	start env BURROW_PROCS=1 "$watched" stop 100
	wait_for $pid '.rows[0].goroutines == 101' && [ "$(json '.rows[0].queued')" = 100 ] && break
	end $pid
done
is "queued: all that wait for a processor" "$(json '.rows[0].queued')" 100
is "queued: it has one" "$(json '.rows[0].procs')" 1
rows_of $pid --by site
is "queued: by site" "$(json '.rows[] | select(.goroutines == 100) | .runnable')" 100
end $pid

# Who grows: 40 pages in a second, then another one.
start "$watched" grow 40 25
wait_for $pid '.rows[0].goroutines == 2'
run top --json -n 3 -d 2 --by goroutine -p $pid
is "growth: of the first look it is not known" \
	"$(head -n 1 "$tmp/out" | jq -c '[.rows[].grown_per_s] | unique')" "[null]"
tail -n +2 "$tmp/out" >"$tmp/last" && mv "$tmp/last" "$tmp/out"
holds "growth: the stack that grows" \
	"$(jq -s 'map(.rows[] | select(.name == "grower") | .grown_per_s) | max' <"$tmp/out") > 0"
is "growth: the one that does not" \
	"$(jq -s 'map(.rows[] | select(.name == "main") | .grown_per_s) | max' <"$tmp/out")" 0
run top --json -n 2 -d 2 --by site -p $pid
tail -n 1 "$tmp/out" >"$tmp/last" && mv "$tmp/last" "$tmp/out"
is "growth: where it was started" \
	"$(json '[.rows[] | select(.grown_per_s > 0) | .site | test("run_grow")] | join(" ")')" true
end $pid

# Collections while it is watched.
start "$watched" 2 1 60 5 200
wait_for $pid '.rows[0].cycles > 0'
before=$(json '.rows[0].cycles')
run top --json -n 3 -d 1 -p $pid
tail -n 1 "$tmp/out" >"$tmp/last" && mv "$tmp/last" "$tmp/out"
holds "collector: cycles go on" "$(json '.rows[0].cycles') > $before"
if jq -e 'has("lost")' <"$tmp/out" >/dev/null; then
	is "collector: nothing was lost" "$(json .lost)" 0
	holds "collector: pauses" "$(json '.rows[0].pause_p50_ns') > 0"
	holds "collector: half of them are no longer than 99 in 100" \
		"$(json '.rows[0].pause_p50_ns') <= $(json '.rows[0].pause_p99_ns')"
else
	skip "collector: pauses: bpf() is not allowed here"
fi
end $pid

# Each pause is counted once, however many run the same program. They collect when
# the watch has begun, and are there for as long after that.
hold=$((4000 * ${BURROW_TEST_SCALE:-1}))
"$watched" 1 1 0 5 $hold >"$tmp/one" 2>&1 </dev/null &
pid=$!
"$watched" 1 1 0 5 $hold >"$tmp/two" 2>&1 </dev/null &
other=$!
started+=("$pid" "$other")
"$burrow" top --json -d 0.2 >"$tmp/looks" 2>"$tmp/err" </dev/null &
watcher=$!
for _ in {1..300}; do
	grep -q ^created "$tmp/one" && grep -q ^created "$tmp/two" && break
	sleep 0.1
done
sleep 1.5
kill $watcher
wait $watcher
tail -n 1 "$tmp/looks" >"$tmp/out"
if jq -e 'has("lost")' <"$tmp/out" >/dev/null; then
	is "two of a program: how long the one was stopped" \
		"$(json ".rows[] | select(.pid == $pid) | .paused_ns")" \
		"$(sed -n 's/.* pauses \([0-9]*\) .*/\1/p' "$tmp/one")"
	is "two of a program: and the other" \
		"$(json ".rows[] | select(.pid == $other) | .paused_ns")" \
		"$(sed -n 's/.* pauses \([0-9]*\) .*/\1/p' "$tmp/two")"
else
	skip "two of a program: bpf() is not allowed here"
fi
end $pid
end $other

# Among others; order; what is wanted of it.
start "$watched" 3 1 0 0 60000
few=$pid
start "$watched" 30 1 0 0 60000
many=$pid
wait_for $few '.rows[0].goroutines == 4' && wait_for $many '.rows[0].goroutines == 31'
both="[.rows[] | select(.pid == $few or .pid == $many) | .pid] | map(tostring) | join(\" \")"
run top --json -n 1
is "all processes: most goroutines first" "$(json "$both")" "$many $few"
run top --json -n 1 --reverse
is "all processes: the other way round" "$(json "$both")" "$few $many"
run top --json -n 1 --sort pid
is "all processes: by a column" "$(json "$both")" \
	"$(printf '%s\n' $few $many | sort -rn | tr '\n' ' ' | sed 's/ $//')"
run top --json -n 1 --filter no-such-thing
is "all processes: none has such a text" "$(json '.rows | length')" 0
rows_of $many --by goroutine --filter SEMAPHORE
is "a filter, whatever the case of letters" "$(json '.rows | length')" 30
run top --batch -n 2 -d 0.1 -p $few
is "as text: twice" "$(grep -c '^ *PID  GOROUT ' "$tmp/out")" 2
like "as text: a row" "$(cat "$tmp/out")" "^ *$few +4 .* watched$"
like "as text: what was lost, or why it is not known" "$(cat "$tmp/out")" \
	'^burrow top: 1 process, 4 goroutines; (events lost: 0|no pauses)'

# What a process says of itself is not believed.
for way in 0 1 2 3; do
	start "$top/build/selftests/tool/hostile" $way
	sleep 0.2
	for by in process goroutine site; do
		timeout 20 "$burrow" top --batch -n 1 -p $pid --by $by >"$tmp/out" 2>"$tmp/err" </dev/null
		is "a process that lies, $way, by $by: status" $? 0
		is "and it moves no cursor" "$(LC_ALL=C grep -c '[^ -~]' "$tmp/out")" 0
	done
	end $pid
done

# One that ends while it is watched, asleep.
>"$tmp/out"
"$burrow" top --batch -d 0.1 -p $few >"$tmp/out" 2>"$tmp/err" </dev/null &
watcher=$!
await_output
end $few
wait $watcher
is "a process that ends: status" $? 0
like "and it is said" "$(cat "$tmp/err")" "process $few has ended"
>"$tmp/out"
"$burrow" top --batch -d 0.1 >"$tmp/out" 2>"$tmp/err" </dev/null &
watcher=$!
await_output
kill -TERM $watcher
wait $watcher
is "ended by a signal: status" $? 0

run top -p 4194303 -b
is "no such process: status" $status 1
like "and it is said" "$(cat "$tmp/err")" 'no process 4194303'
run top -p $$ -b
is "a process without the library: status" $status 1
like "and it is said" "$(cat "$tmp/err")" "process $$ does not use Burrow"
"$burrow" top --batch -n 1 >/dev/full 2>"$tmp/err" </dev/null
is "a full device: status" $? 1

if has_module && [ -d /sys/kernel/debug/burrow ]; then
	BURROW_BACKEND=kmod start "$watched" $count 4 0 0 60000
	check "module: all goroutines are seen" wait_for $pid ".rows[0].goroutines == $count + 1"
	is "module: stacks, as it says" "$(json '.rows[0].stack')" \
		"$(cat /sys/kernel/debug/burrow/$pid-*/stats | awk '$1 == "stack_bytes" { print $2 }')"
	is "module: pool" "$(json '.rows[0].pool')" \
		"$(cat /sys/kernel/debug/burrow/$pid-*/stats | awk '$1 == "pool_bytes" { print $2 }')"
	all=$(json '.rows[0].stack')
	is "module: nobody hibernates" "$(json '.rows[0].hibernated')" 0
	rows_of $pid --by goroutine
	holds "module: each goroutine has its part" \
		"$(json '[.rows[].stack] | add') <= $all && $(json '[.rows[].stack] | add') >= $count * 4 * 4096"
	end $pid

	BURROW_HIBERNATE=0 BURROW_BACKEND=kmod start "$watched" $count 4 0 0 600000
	check "hibernation: nearly all of them do" \
		wait_for $pid ".rows[0].hibernated >= $count * 9 / 10"
	of_module() { awk -v name=$1 '$1 == name { print $2 }' /sys/kernel/debug/burrow/$pid-*/stats; }
	is "hibernation: as many as the module says" "$(json '.rows[0].hibernated')" \
		"$(of_module hibernated)"
	is "hibernation: what is saved" "$(json '.rows[0].saved')" "$(of_module saved_bytes)"
	is "hibernation: in how much memory" "$(json '.rows[0].store')" "$(of_module store_bytes)"
	holds "hibernation: that is less than pages" "$(json '.rows[0].store') < $count * 4096 / 2"
	run top --json -n 2 -d 1 -p $pid
	tail -n 1 "$tmp/out" >"$tmp/last" && mv "$tmp/last" "$tmp/out"
	is "hibernation: nobody wakes" "$(json '.rows[0].restores_per_s')" 0
	rows_of $pid --by goroutine
	is "hibernation: to look wakes nobody" "$(of_module restores)" 0
	holds "hibernation: who does has no stack" \
		"$(json '[.rows[] | select(.stack == 0)] | length') >= $count * 9 / 10"
	end $pid
fi

# The module's figures, as it would write them, where there is none to write them.
if [ -d /sys/kernel/debug/burrow ] || ! unshare -m true 2>/dev/null; then
	skip "debugfs: no mounts of our own, or the module's is there"
else
	check "debugfs: a folder to write to" unshare -m sh -c '
		mount -t tmpfs none /sys/kernel/debug &&
		d=/sys/kernel/debug/burrow && mkdir -p $d/$1-1 $d/$1-2 $d/1-3 &&
		printf "pid %s\nstack_bytes 4096\npool_bytes 100\ngrows 7\nhibernated 5\nsaved_bytes 600\nstore_bytes 4096\nhibernates 9\nrestores 4\n" $1 >$d/$1-1/stats &&
		printf "pid %s\nstack_bytes 8192\npool_bytes 11\ngrows 0\nhibernated 2\nsaved_bytes 50\nstore_bytes 4096\nhibernates 2\nrestores 0\n" $1 >$d/$1-2/stats &&
		printf "pid 1\nstack_bytes 1\npool_bytes 1\ngrows 1\n" >$d/1-3/stats &&
		{ sleep 0.5; printf "stack_bytes 0\npool_bytes 0\ngrows 1007\nhibernates 9\nrestores 2004\n" >$d/$1-1/stats; } &
		"$2" top --json -n 2 -d 1 -p $1 >"$3"; wait' sh $many "$burrow" "$tmp/both"
	head -n 1 "$tmp/both" >"$tmp/out"
	is "debugfs: stacks of all contexts" "$(json '.rows[0].stack')" 12288
	is "debugfs: pools" "$(json '.rows[0].pool')" 111
	is "debugfs: stacks that hibernate" "$(json '.rows[0].hibernated')" 7
	is "debugfs: what is saved" "$(json '.rows[0].saved')" 650
	is "debugfs: in how much memory" "$(json '.rows[0].store')" 8192
	tail -n 1 "$tmp/both" >"$tmp/out"
	is "debugfs: stacks now" "$(json '.rows[0].stack')" 8192
	is "debugfs: the most that it was" "$(json '.rows[0].stack_high')" 12288
	holds "debugfs: growths in a second" \
		"$(json '.rows[0].grows_per_s') > 400 && $(json '.rows[0].grows_per_s') <= 1000"
	holds "debugfs: put back in a second" \
		"$(json '.rows[0].restores_per_s') > 800 && $(json '.rows[0].restores_per_s') <= 2000"
	is "debugfs: hibernated in a second" "$(json '.rows[0].hibernates_per_s')" 0
fi

# Without rights: what is missing, and what works.
if [ "$(id -u)" = 0 ]; then
	setpriv --reuid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$burrow" top --json -n 2 -p $many >"$tmp/out" 2>"$tmp/err" </dev/null
	is "without rights: status" $? 1
	like "which are missing" "$(cat "$tmp/err")" 'lacks CAP_BPF CAP_PERFMON'
	like "and what that means" "$(cat "$tmp/err")" "process $many may not be looked at"
	setpriv --reuid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$burrow" top --json -n 2 -d 0.1 >"$tmp/out" 2>"$tmp/err" </dev/null
	is "without rights, all processes: status" $? 0
	tail -n 1 "$tmp/out" >"$tmp/last" && mv "$tmp/last" "$tmp/out"
	holds "how many may not be looked at" "$(json .refused) > 0"
	is "nothing is said of what was lost" "$(json 'has("lost")')" false
fi
end $many
finish
