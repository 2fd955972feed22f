#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# burrow top in a terminal: keys are typed and the screen is read, by tmux.

. "$(dirname "$0")/tool.bash"

watched=$top/build/selftests/tool/watched
count=30

if ! command -v tmux >/dev/null; then
	echo "1..0 # SKIP no tmux here"
	exit 4
fi
export TMUX_TMPDIR=$tmp
unset TMUX
terminal() { tmux -f /dev/null -L burrow "$@"; }
trap 'terminal kill-server 2>/dev/null; kill -KILL $pid $other 2>/dev/null; rm -rf "$tmp"' EXIT

"$watched" $count 2 0 0 600000 >/dev/null 2>&1 </dev/null &
pid=$!
"$watched" 2 1 0 0 600000 >/dev/null 2>&1 </dev/null &
other=$!

# open TERM ARGUMENT...: top in a terminal of 120 by 24; its status is shown then
open() {
	local term=$1

	shift
	terminal kill-session -t top 2>/dev/null
	terminal new-session -d -s top -x 120 -y 24 \
		"TERM=$term '$burrow' top $*; echo status \$?; exec sleep 1000"
}

screen() { terminal capture-pane -p -t top; }

# shows NAME PATTERN: a line of the screen matches, before long
shows() {
	local i

	for i in {1..200}; do
		screen | grep -qE -- "$2" && break
		sleep 0.1
	done
	like "$1" "$(screen)" "$2"
}

keys() { terminal send-keys -t top "$@"; }

# A server that stays: one that ends can't be told from one that is there.
terminal new-session -d -s stays 'exec sleep 1000'

open screen -d 0.2
shows "processes: a summary" '^burrow top: [0-9]+ processes, [0-9]+ goroutines; '
shows "processes: headings" '^ +PID +GOROUT +QUEUED +P +STACK .* COMMAND$'
shows "processes: one" "^ +$pid +$((count + 1)) +0 .* watched$"
shows "processes: the other" "^ +$other +3 +0 .* watched$"
is "processes: most goroutines first" \
	"$(screen | awk -v a=$pid -v b=$other '$1 == a || $1 == b { print $1 }' | tr '\n' ' ')" "$pid $other "
shows "keys are named" '^q quit .* sort: goroutines '

keys r
shows "reversed" 'sort: goroutines \(reversed\)'
is "and so are the rows" \
	"$(screen | awk -v a=$pid -v b=$other '$1 == a || $1 == b { print $1 }' | tr '\n' ' ')" "$other $pid "
keys r '>'
shows "the next column" 'sort: queued '
keys '<' '<'
shows "the one before" 'sort: pid '
keys '<'
shows "round the end" 'sort: command '

keys s
shows "sites: headings" '^ +PID +GOROUT +RUNS +CAN RUN +WAITS .* STARTED AT$'
shows "sites: one" "^ +$pid +$count +0 +0 +$count .* round_of_all \(.*watched.c:[0-9]+\)$"
keys g
shows "goroutines: headings" '^ +PID +GOROUT +STACK +GROWN/S +WAITS s +STATE '
shows "goroutines: one" "^ +$pid +[0-9]+ .* semaphore acquire +round_of_all "

# Only its own: others on the machine come and go.
open screen -d 0.2 -p $pid --by goroutine
shows "goroutines of one process" "^ +$pid +[0-9]+ .* semaphore acquire +round_of_all "
first=$(screen | sed -n 3p)
keys NPage
for _ in {1..50}; do
	[ "$(screen | sed -n 3p)" != "$first" ] && break
	sleep 0.1
done
check "a page further" test "$(screen | sed -n 3p)" != "$first"
keys PPage
for _ in {1..50}; do
	[ "$(screen | sed -n 3p | cut -c 1-16)" = "$(cut -c 1-16 <<<"$first")" ] && break
	sleep 0.1
done
is "and back" "$(screen | sed -n 3p | cut -c 1-16)" "$(cut -c 1-16 <<<"$first")"

# With its bracket: a path may have the function's name in it.
keys / r o x
shows "a filter is typed" '^filter: rox_$'
keys BSpace BSpace u n Space '('
shows "and mended" '^filter: run \(_$'
keys Enter
shows "and shown" '/ filter: run \($'
for _ in {1..50}; do
	[ "$(screen | grep -c 'semaphore')" = 0 ] && break
	sleep 0.1
done
is "rows without the text are gone" "$(screen | grep -c 'semaphore')" 0
shows "those with it are not" "^ +$pid +1 .* main +run "
keys / q Escape
shows "a filter that is not taken" '/ filter: run \($'
keys / BSpace BSpace BSpace BSpace BSpace Enter
shows "all again" "^ +$pid +[0-9]+ .* semaphore acquire +round_of_all "
keys p
shows "as a process" "^ +$pid +$((count + 1)) +0 .* watched$"

# Sizes.
terminal resize-window -t top -x 40 -y 10
for _ in {1..100}; do
	[ "$(screen | grep -c 'q quit')" = 1 ] && [ "$(screen | wc -l)" -le 10 ] && break
	sleep 0.1
done
shows "smaller: the last line is where the screen ends" '^q quit '
is "smaller: headings are cut" "$(screen | sed -n 2p | grep -c COMMAND)" 0
terminal resize-window -t top -x 10 -y 1
sleep 0.5
terminal resize-window -t top -x 3 -y 2
sleep 0.5
terminal resize-window -t top -x 300 -y 50
shows "tiny, and large again" "^ +$pid +$((count + 1)) +0 .* watched$"

keys q
shows "q ends it" '^status 0$'
is "and the screen is as it was" "$(screen | grep -c 'GOROUT')" 0

open screen -d 0.2
shows "again" 'q quit '
# tmux's pane is the shell that runs it.
kill -TERM "$(pgrep -P "$(terminal display-message -p -t top '#{pane_pid}')")"
shows "SIGTERM ends it" '^status 0$'
open screen -d 0.2 --by site
shows "--by" 'STARTED AT'
keys C-c
shows "Ctrl-C ends it" '^status 0$'

open screen -d 0.2 -p $other
shows "of one process" '^burrow top: 1 process, 3 goroutines; '
kill -KILL $other
shows "that ends: it is said" "process $other has ended"
shows "that ends: status" '^status 0$'

for term in dumb no-such-terminal; do
	open $term
	shows "TERM=$term: it is said" "TERM=$term.*burrow top --batch"
	shows "TERM=$term: status" '^status 1$'
done
run top
is "not a terminal: status" $status 1
like "not a terminal: it is said" "$(cat "$tmp/err")" 'no terminal: see burrow top --batch'
finish
