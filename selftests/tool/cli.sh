#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The command line: help, errors and their exit statuses, clean outputs.

. "$(dirname "$0")/tool.bash"

run --help
is "--help: status" $status 0
for command in bench doctor stat top trace; do
	like "--help names $command" "$(cat "$tmp/out")" "^ +$command "
	run $command --help
	is "$command --help: status" $status 0
	like "$command --help tells its exit status" "$(cat "$tmp/out")" '^Exit status: 0 '
	run --help
done
run --version
is "--version: status" $status 0
like "--version" "$(cat "$tmp/out")" '^burrow [0-9]+\.[0-9]+'

# refused WHAT PATTERN ARGUMENT...: status 2, a reason, no other output
refused() {
	local what=$1 pattern=$2
	shift 2
	run "$@"
	is "$what: status" $status 2
	like "$what: says why" "$(cat "$tmp/err")" "$pattern"
	is "$what: nothing on standard output" "$(cat "$tmp/out")" ""
}

refused "no command" 'Usage: burrow'
refused "unknown command" "no command .frobnicate'" frobnicate
refused "unknown option" 'unrecognized option' --frobnicate
refused "no benchmark" 'which benchmark' bench
refused "unknown benchmark" "no benchmark .frobnicate'" bench frobnicate
refused "unknown benchmark option" 'unrecognized option' bench growth --frobnicate
refused "unknown backend" "no such backend: .frobnicate'" bench growth --backend mmap,frobnicate
refused "backend of another benchmark" "no such backend: .madvise'" bench growth --backend madvise
refused "no backend" '--backend takes names' bench growth --backend ,
for depth in 0 -4 5 abc 4x 1000000000 99999999999999999999; do
	refused "--depth $depth" '--depth takes' bench growth --backend mmap --depth $depth
done
refused "--depth of nothing" '--depth takes a list' bench growth --depth ''
refused "--depth of too many" '--depth takes at most' bench growth \
	--depth "$(seq -s, 4 4 400)"
refused "--count 0" '--count takes a number' bench parked --count 0
refused "--runs 0" '--runs takes a number' bench growth --runs 0
refused "--runs x" '--runs takes a number' bench growth --runs x
refused "--procs 0" '--procs takes a number' bench parked --procs 0
refused "doctor with an argument" "what is .now'" doctor now
for command in stat trace; do
	refused "$command of nothing" 'name a command, or a process' $command
	refused "$command of both" 'name a command, or a process' $command -p 1 true
	refused "$command of no process" 'no process number: x' $command -p x
	refused "$command for no time" 'no number of seconds: 0' $command -s 0 true
done
refused "trace in no format" 'no such format: x' trace --format x true

refused "top with an argument" "what is .now'" top now
refused "top of no process" 'no process number: 0' top -p 0
refused "top without a delay" 'no number of seconds from 0.1 on: 0' top -d 0
refused "top no times" 'no number of times: 0' top -n 0
refused "top by nothing" 'no view by frobnicate' top --by frobnicate
refused "top sorted by nothing" "no column .site' by process" top --sort site

run bench --list
is "--list: status" $status 0
for name in growth parked trim hibernate dirty; do
	like "--list names $name" "$(cat "$tmp/out")" "^$name "
done
like "--list names the backends of growth" "$(cat "$tmp/out")" \
	'^ +kmod-cold kmod-recycled kmod-lazy kmod-warm mmap mmap-warm madvfree populate mthp sigsegv uffd growsdown splitstack pthread go$'

# The manual page knows all that the command knows.
page=$(sed 's/\\-/-/g' "$top/Documentation/man/burrow.1")
for word in $("$burrow" bench --list | sed 's/^\([a-z]*\) .*/\1/'); do
	like "the manual page has $word" "$page" "(^|[ .\"])$word($|[ \",])"
done
for option in $("$burrow" bench --help | grep -oE -- '--[a-z]+' | sort -u); do
	case $option in --help | --usage | --version) continue ;; esac
	like "the manual page has $option" "$page" "$option"
done

for option in $(for command in stat top trace; do "$burrow" $command --help; done); do
	case $option in --*=* | --json | --batch | --reverse) ;; *) continue ;; esac
	like "the manual page has ${option%%=*}" "$page" "${option%%=*}"
done

quick="bench growth --backend mmap --depth 4 --runs 1"

run $quick
is "a quick run: status" $status 0
like "the table is on standard output" "$(cat "$tmp/out")" '^  mmap +[0-9.]+ +1\.000'
is "and nothing on standard error" "$(cat "$tmp/err")" ""

run $quick --json -
is "--json -: status" $status 0
check "--json -: all of standard output is JSON" rows
like "--json -: the table is on standard error" "$(cat "$tmp/err")" '^  mmap +[0-9.]+ +1\.000'

run $quick --json "$tmp/file"
like "--json FILE: the table is on standard output" "$(cat "$tmp/out")" '^  mmap '
cp "$tmp/file" "$tmp/out"
check "--json FILE: JSON" rows

run $quick --json "$tmp/no/such/file"
is "--json where nothing can be written: status" $status 1
like "--json where nothing can be written: says so" "$(cat "$tmp/err")" "can't write .*/no/such/file: No such file"
"$burrow" $quick --json - >/dev/full 2>"$tmp/err"
is "--json - to a full device: status" $? 1

run $quick --svg "$tmp/no/such/file"
is "--svg where nothing can be written: status" $status 1
like "--svg where nothing can be written: says so" "$(cat "$tmp/err")" "can't write .*/no/such/file"
PATH=/nowhere run $quick --svg "$tmp/plot.svg"
is "--svg without gnuplot: status" $status 1
like "--svg without gnuplot: names the package" "$(cat "$tmp/err")" 'gnuplot-nox'
like "--svg without gnuplot: the table is there" "$(cat "$tmp/out")" '^  mmap '
check "--svg without gnuplot: leaves no file" test ! -e "$tmp/plot.svg"

if command -v gnuplot >/dev/null; then
	run bench growth --backend mmap,mmap-warm --depth 4,64 --runs 1 --svg "$tmp/plot.svg"
	is "--svg: status" $status 0
	like "--svg: names a curve" "$(cat "$tmp/plot.svg")" '>mmap-warm<'
	like "--svg: is whole" "$(cat "$tmp/plot.svg")" "^</svg>"
	run bench trim --backend madvise --depth 8 --runs 1 --svg "$tmp/plot.svg"
	is "--svg without growth: status" $status 1
	like "--svg without growth: says so" "$(cat "$tmp/err")" 'draws growth'
else
	skip "--svg: no gnuplot"
fi

# Interrupted in the middle: no half results, and no process left behind.
for signal in INT TERM HUP; do
	"$burrow" bench growth --backend mmap,uffd,pthread --depth 64 --runs 100000 --json - \
		>"$tmp/out" 2>"$tmp/err" &
	pid=$!
	# Not before it can be: starting takes its time under emulation.
	for _ in {1..200}; do
		caught=$(awk '/^SigCgt/ { print $2 }' /proc/$pid/status)
		(((0x${caught:-0} >> ($(kill -l $signal) - 1)) & 1)) && break
		sleep 0.1
	done
	sleep 0.5
	kill -$signal $pid
	wait $pid
	status=$?
	[ $status = 130 ] || sed 's/^/# /' "$tmp/err"
	is "SIG$signal: status" $status 130
	is "SIG$signal: no half results" "$(cat "$tmp/out")" ""
done
finish
