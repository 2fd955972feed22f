#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# burrow stat, on a program of which all is known: its figures are what the
# program's own runtime counted, to the last event.

. "$(dirname "$0")/tool.bash"

watched=$top/build/selftests/tool/watched
shared=$top/build/selftests/tool/watched-shared
count=20

# Without rights: said which, and what works without. Nobody may read this tree, if it
# is in somebody's home.
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$tmp"
	cp "$burrow" "$watched" "$tmp/"
	setpriv --reuid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$tmp/${burrow##*/}" stat "$tmp/${watched##*/}" 1 1 \
		>"$tmp/out" 2>"$tmp/err" </dev/null
	is "without rights: status" $? 3
	like "which are missing" "$(cat "$tmp/err")" 'lacks CAP_BPF CAP_PERFMON'
	like "what works without" "$(cat "$tmp/err")" 'kill -QUIT'
	is "and nothing is run" "$(cat "$tmp/out")" ""
fi

run stat "$watched" 1 1
if [ $status = 3 ]; then
	skip "bpf() is not allowed here"
	finish
fi

run stat /no/such/program
is "no such program: status" $status 1
run stat /bin/sh -c 'exit 1'
is "a command that is no program of the library" $status 1

json() { jq -r "$1" <"$tmp/out"; }

# counts NAME PROGRAM: stat's figures beside the program's own
counts() {
	local name=$1 created grows

	"$burrow" stat --json "$2" $count 4 >"$tmp/both" 2>"$tmp/err" </dev/null
	is "$name: status" $? 0
	read -r _ created _ grows < <(grep '^created ' "$tmp/both")
	grep -v '^created ' "$tmp/both" >"$tmp/out"
	is "$name: nothing was lost" "$(json .lost)" 0
	is "$name: goroutines started" "$(json .created)" "$created"
	is "$name: and they are those of the program" "$created" $((count + 1))
	is "$name: goroutines ended" "$(json .ended)" $count
	is "$name: waits" "$(json '.waits[] | select(.reason == "semaphore acquire") | .count')" $count
	holds "$name: each for the 50 ms that the gate was shut" \
		"$(json '.waits[] | select(.reason == "semaphore acquire") | .ns') > $count * 50e6"
	holds "$name: waits for a processor are as many as could run" \
		"$(json .queued.count) >= $(json .created) + $(json .readies)"
	if [ "$(json .module)" = true ]; then
		is "$name: growths" "$(json .grown.count)" "$grows"
		holds "$name: sites: what grew is of those started there" \
			"$(json '[.sites[].grown_bytes] | add') <= $(json .grown.bytes)"
		holds "$name: sites: a page each, at least, of those that waited together" \
			"$(json '[.sites[].stack_bytes_most] | max') >= $count * 4096"
	else
		like "$name: no module: it is said" "$(cat "$tmp/err")" 'module is not loaded'
	fi
}
counts "linked statically" "$watched"
LD_LIBRARY_PATH=$top/build counts "linked with the shared library" "$shared"

# Times that goroutines waited for a processor, and who.
"$burrow" stat --json "$watched" $count 1 >"$tmp/both" 2>"$tmp/err" </dev/null
grep -v '^created ' "$tmp/both" >"$tmp/out"
is "queued: all are in the histogram" "$(json '[.queued.buckets[].count] | add')" "$(json .queued.count)"
is "queued: it is in order" \
	"$(json '[.queued.buckets[].to_ns] | . == sort and length == (unique | length)')" true
holds "queued: the longest is in the last bucket" \
	"$(json '.queued.buckets[-1].to_ns') >= $(json .queued.max_ns)"
is "queued: those that waited longest are no more than ten" "$(json '.queued_longest | length')" 10
is "queued: the longest first" "$(json '[.queued_longest[].ns] | . == (sort | reverse)')" true
holds "queued: none waited longer than all together" \
	"$(json '[.queued_longest[].ns] | add') <= $(json .queued.sum_ns)"
holds "queued: nor less than the longest time" \
	"$(json '.queued_longest[0].ns') >= $(json .queued.max_ns)"

# One that loses its processor does not yield.
BURROW_PROCS=1 run stat --json "$watched" hog
holds "processors lost: by the one in C code" "$(json .processors_lost) >= 1"
holds "processors lost: and it waited for another" \
	"$(json .queued.count) >= $(json .created) + $(json .processors_lost)"

# Time that goroutines were blocked in a system call.
run stat --json "$watched" block 5 200
is "blocked: in one system call, as often as it was" \
	"$(json '[.syscalls[] | select(.ns >= 5 * 200 * 1e6) | .count] | join(" ")')" 5

is "blocked: its name" \
	"$(json '[.syscalls[] | select(.ns >= 5 * 200 * 1e6) | .name] | join(" ")')" clock_nanosleep
is "sites: all that were started" "$(json '[.sites[].goroutines] | add')" "$(json .created)"
is "sites: where" \
	"$(json '.sites[] | select(.goroutines == 5) | .site | test("^run_block .*watched.c:[0-9]+")')" true

# What is told while the tool stands still finds no room after a while.
"$burrow" stat --json "$watched" 40000 1 0 0 1000 >"$tmp/both" 2>"$tmp/err" </dev/null &
tool=$!
for _ in {1..200}; do
	child=$(pgrep -P $tool -f "$watched 40000")
	[ -n "$child" ] && [ "$(readlink "/proc/$child/exe")" = "$watched" ] && break
	sleep 0.02
done
kill -STOP $tool
for _ in {1..1000}; do
	grep -q '^State:.Z' "/proc/$child/status" && break
	sleep 0.1
done
kill -CONT $tool
wait $tool
is "lost events: status" $? 0
grep -v '^created ' "$tmp/both" >"$tmp/out"
holds "lost events: how many" "$(json .lost) > 0"
like "lost events: it is said" "$(cat "$tmp/err")" "$(json .lost) events were lost"
holds "lost events: of each kind none is told twice" \
	"$(json .created) <= 40001 && $(json .ended) <= 40000"
holds "lost events: what is missing is what was lost, of these at least" \
	"80001 - $(json .created) - $(json .ended) <= $(json .lost)"

run stat "$watched" $count 1
like "stat: text: goroutines" "$(cat "$tmp/out")" "^ +$((count + 1))  goroutines started$"
like "stat: text: waits" "$(cat "$tmp/out")" "^ +$count  waits: semaphore acquire, together [0-9.]+ ms$"

# The collector: as often and as long as the program's own runtime counted.
cycles=5
"$burrow" stat --json "$watched" 1 1 0 $cycles >"$tmp/both" 2>"$tmp/err" </dev/null
is "collector: status" $? 0
read -r _ collected _ pauses _ live < <(grep '^collected ' "$tmp/both")
grep -vE '^(created|collected) ' "$tmp/both" >"$tmp/out"
is "collector: cycles" "$(json .collections)" "$collected"
is "collector: and they are those of the program" "$collected" $cycles
is "collector: time that the world was stopped" "$(json .pauses.sum_ns)" "$pauses"
is "collector: bytes that live" "$(json .collector.live_bytes)" "$live"
is "collector: markings" "$(json .collector.mark.count)" $cycles
is "collector: sweeps" "$(json .collector.sweep.count)" $cycles
holds "collector: bytes that were freed" \
	"$(json .collector.freed_bytes) >= ($cycles - 1) * 1048576"
holds "collector: a marking is longer than its stops" \
	"$(json .collector.mark.sum_ns) > $(json .pauses.sum_ns)"

run stat "$watched" 1 1 0 $cycles
like "stat: text: collections" "$(cat "$tmp/out")" "^ +$cycles  collections, KiB: [1-9][0-9]* freed, "
like "stat: text: stops" "$(cat "$tmp/out")" "^ +[0-9]+  stops of the world, us: "

# Those that wait hibernate until they are woken. After the program has said how many
# its main goroutine waits, too.
if has_module; then
	hold=$((2000 * ${BURROW_TEST_SCALE:-1}))
	BURROW_HIBERNATE=0 BURROW_BACKEND=kmod "$burrow" stat --json \
		"$watched" $count 1 0 0 $hold >"$tmp/both" 2>"$tmp/err" </dev/null
	is "hibernation: status" $? 0
	read -r _ _ hibernated _ restored < <(grep '^hibernated ' "$tmp/both")
	grep -vE '^(created|hibernated) ' "$tmp/both" >"$tmp/out"
	is "hibernation: nothing was lost" "$(json .lost)" 0
	holds "hibernation: nearly all that wait" "$(json .hibernated.count) >= $count * 9 / 10"
	holds "hibernation: as many as the program's runtime counted" \
		"$(json .hibernated.count) >= $hibernated &&
		$(json .hibernated.count) <= $hibernated + 2"
	holds "hibernation: as many were put back" \
		"$(json .restored.count) >= $restored && $(json .restored.count) <= $restored + 2"
	holds "hibernation: some bytes of each" \
		"$(json .hibernated.bytes) >= $(json .hibernated.count) * 64 &&
		$(json .hibernated.bytes) <= $(json .hibernated.count) * 3072"
	is "hibernation: of each that was put back, how long it was" \
		"$(json .asleep.count)" "$(json .restored.count)"
	holds "hibernation: most of the time that they waited" \
		"$(json .asleep.max_ns) >= $hold * 1e6 / 2"
	BURROW_HIBERNATE=0 BURROW_BACKEND=kmod run stat "$watched" $count 1 0 0 $hold
	like "stat: text: hibernation" "$(cat "$tmp/out")" \
		'^ +[0-9]+  stacks that hibernated, saved of them, KiB: [1-9]'
	like "stat: text: until they were put back" "$(cat "$tmp/out")" '^ +[0-9]+  times between, us: '
else
	"$burrow" stat --json "$watched" 1 1 2>"$tmp/err" </dev/null | grep -v '^created ' >"$tmp/out"
	is "hibernation: none without the module" "$(json .hibernated.count)" 0
fi

# One that runs already, for a time.
"$watched" $count 1 60 >/dev/null 2>&1 &
pid=$!
sleep 1
run stat --json --seconds 1 -p $pid
is "a process that runs: status" $status 0
holds "goroutines come and go" "$(json .created) > 0 && $(json .ended) > 0"
check "and it still runs" kill -0 $pid
kill $pid
wait $pid 2>/dev/null
finish
