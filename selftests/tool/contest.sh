#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The benchmarks of the scheduler: Burrow's rows, and peers made of a few lines
# of shell, of which it is known what they answer.

. "$(dirname "$0")/tool.bash"

# Beside a copy of the command of its own, so that the peers are ours.
cp "$burrow" "$tmp/burrow" && mkdir "$tmp/peers"
burrow=$tmp/burrow

# peer NAME COMMAND: a peer that runs the command for each request
peer() {
	printf '#!/bin/sh\necho ready\nwhile read -r what procs count; do\n%s\ndone\n' \
		"$2" >"$tmp/peers/$1"
	chmod 755 "$tmp/peers/$1"
}

# rows_of BACKEND: its units, sorted
rows_of() {
	awk -v b="$1" '$2 == b {print $4 ":" $5}' "$tmp/rows" | LC_ALL=C sort -u | tr '\n' ' '
}

goal() {
	grep -F "$1" "$tmp/err" | head -n 1
}

check "every one runs on one processor" bench spawn switch chan select skynet \
	ring mutex --count 20000 --procs 1 --runs 2 --backend mmap
is "and has its rows" "$(rows_of mmap)" "$(printf '1:%s ' $(printf '%s\n' \
	{,wall-}ns/{spawn,join,yield,bare-switch,message,buffered,select} \
	{,wall-}ns/{select-alternating,actor,hop,lock,held-lock} | sort))"
is "--runs are the samples" "$(awk '$1 != "chan" {print $6}' "$tmp/rows" | sort -u)" 2
holds "a yield costs more than the bare switch" \
	"$(cell switch mmap 1 ns/yield) > $(cell switch mmap 1 ns/bare-switch)"
holds "and a message more than a buffered one" \
	"$(cell chan mmap 1 ns/message) > $(cell chan mmap 1 ns/buffered)"
check "sleepers sleep a second" bench timers --count 100 --procs 1 --runs 1 --backend mmap
holds "of wall time" "$(cell timers mmap 1 wall-ns/sleeper) * 100 >= 1000000000"
holds "and hardly of CPU time" "$(cell timers mmap 1 ns/sleeper) * 100 < 500000000"
check "an echo server" bench io --count 20 --procs 1 --runs 1 --backend mmap,epoll
is "has its rows" "$(rows_of mmap)" "1:ns/request 1:p50-us 1:p99-us 1:wall-ns/request "
is "and so has the bare loop" "$(rows_of epoll)" "$(rows_of mmap)"
holds "of a request's times the median is not the longest" \
	"$(cell io mmap 1 p50-us) < $(cell io mmap 1 p99-us)"
holds "a request takes longer than the server's part" \
	"$(cell io mmap 1 p50-us) * 1000 > $(cell io mmap 1 ns/request)"
check "collections" bench gc --count 6 --procs 1 --runs 1 --backend mmap
is "have their rows" "$(rows_of mmap)" "$(printf '1:%s ' $(printf '%s\n' \
	{,wall-}ns/{16-bytes,32-bytes,64-bytes,256-bytes,node-of-18,node-of-20} \
	{,wall-}ns/{node-of-gcbench,random-mark,ordered-mark,push} \
	{,wall-}ns-{worst,paused}-of-{256-MiB,1-GiB} \
	{,wall-}ns-paused-beside-{10000,1000000,crowd,deep,small} \
	peak-KiB/{16-bytes,32-bytes,64-bytes,256-bytes,trees-18,trees-20} \
	peak-KiB/{gcbench,random-mark,ordered-mark,push} \
	{KiB/1000-,rss/}{filled,churned,dropped} |
	LC_ALL=C sort))"
check "two processors" bench skynet --count 1000 --procs 2 --runs 1 --backend mmap
is "are told apart" "$(rows_of mmap)" "2:ns/actor 2:wall-ns/actor "

run bench ring --procs 1 --runs 1 --backend boost --json -
is "a peer that is not there: status" $status 3
like "a peer that is not there: says so" "$(cat "$tmp/err")" \
	"bench ring: no row for boost: peers/boost: not built"

peer go 'echo $count $((count * 90000)) $((count * 100000))'
check "a peer's answer" bench skynet ring --count 20000 --procs 1 --runs 3 --backend mmap,go
is "is divided by how often" "$(cell ring go 1 ns/hop) $(cell ring go 1 wall-ns/hop)" \
	"90000.00 100000.00"
like "a figure within its goal is shown so" "$(goal 'ring of 10,000')" " ok "
like "beside the peer's" "$(goal 'ring of 10,000')" " 90000 "
like "and is in the JSON" "$(cat "$tmp/out")" '"met":true'

peer go 'echo 1000000 1 1'
run bench ring --count 20000 --procs 1 --runs 1 --backend mmap,go --json -
like "a figure past its goal is shown so" "$(goal 'ring of 10,000')" " SHORT "
like "and in the JSON" "$(cat "$tmp/out")" '"met":false'

peer go 'echo $what $procs >>'"$tmp/asked"'; echo 1 $((SECONDS + 7)) 1'
check "peers are asked" bench spawn --procs 2 --runs 1 --backend go
is "once where a cold start counts, else twice" "$(tr '\n' ',' <"$tmp/asked")" \
	"spawn 2,join 2,join 2,"

peer st 'echo 0 0 0'
check "what a peer can't do" bench spawn --procs 1 --runs 1 --backend st,go
is "has no row" "$(rows_of st)" ""

peer st 'exit 1'
run bench spawn --procs 1 --runs 1 --backend st,go --json -
is "a peer that dies: status" $status 1
like "a peer that dies: says so" "$(cat "$tmp/err")" "spawn of st failed: its process died"
is "and the others are shown" "$(rows | grep -c ' go ')" 4

if [ -n "$(command -v gnuplot)" ]; then
	peer go 'echo $count $((count * 1000)) 1'
	run bench ring --count 20000 --procs 1 --runs 1 --backend mmap,go --svg "$tmp/svg"
	like "a picture of it" "$(cat "$tmp/svg")" "ring of 10,000, per hop, 1 P"
else
	skip "no gnuplot"
fi
finish
