#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The virtual machine tells the truth: output and status of the command come
# through as they are, and all that goes wrong in the kernel is a failure.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

export KERNEL=6.1 MODULE=none CPUS=2 MEM=1G
unset CMD ICOUNT TIMEOUT KMOD_ARGS UNLOAD APPEND
boot=$top/selftests/vm/boot
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# run COMMAND: leaves $status, and what it said in $tmp/out and $tmp/err
run() {
	"$boot" "$@" >"$tmp/out" 2>"$tmp/err"
	status=$?
}

begin=$(date +%s)
run 'printf "one\r\n\0two"; echo aside >&2; cat /proc/self/cgroup >&2; exit 42'
is "exit status comes through" $status 42
# How long a boot takes here and now.
boot_seconds=$(($(date +%s) - begin))
is "standard output is the command's alone, byte for byte" \
	"$(od -An -c "$tmp/out")" "$(printf 'one\r\n\0two' | od -An -c)"
is "standard error is apart" "$(head -n 1 "$tmp/err")" aside
like "the command has a memory cgroup of its own" "$(cat "$tmp/err")" '^0::/.+'

run 'kill -SEGV $$'
is "death by a signal comes through" $status 139

run 'head -c 5000000 /dev/urandom >build/vm/random.$$; cat build/vm/random.$$; echo $$ >&2'
check "five megabytes, and build/ is writable" \
	cmp "$tmp/out" "$top/build/vm/random.$(cat "$tmp/err")"
rm -f "$top"/build/vm/random.*

run 'sleep 600 & echo $!'
is "what is left running does not hold the machine" $status 0

run 'touch /etc/burrow-test || echo read-only'
is "the host's root is out of reach" "$(cat "$tmp/out")" read-only

BOOT_PATIENCE=0 run true
is "a machine that does not come up is a failure" $status 125
is "after three tries" "$(grep -c 'once more' "$tmp/err")" 3

run 'echo c >/proc/sysrq-trigger'
is "a panic is a failure" $status 125
like "and the console's last lines are shown" "$(cat "$tmp/err")" 'sysrq triggered crash'

run 'echo "<4>BUG: sleeping function called from a test" >/dev/kmsg'
is "a complaint in the kernel's log is a failure" $status 125
like "and it is shown" "$(cat "$tmp/err")" 'sleeping function called from a test'

# Where allocations are made to fail the kernel tells of it, with a trace.
told='<4>x: vmalloc error: size 16384
<4>Call Trace:
<4> </TASK>'
run "printf '%s\n' '$told' | while read -r l; do echo \"\$l\" >/dev/kmsg; done"
is "a trace is a complaint" $status 125
FAILURES=1 run "printf '%s\n' '$told' | while read -r l; do echo \"\$l\" >/dev/kmsg; done"
is "but not of a failure that was asked for" $status 0
FAILURES=1 run "printf '%s\n' '$told' '<4>BUG: another' | while read -r l; do echo \"\$l\" >/dev/kmsg; done"
is "and what comes after it is one again" $status 125

# A busy host may take all of the time to boot: then nothing was said, and it
# is given twice as long.
said=$top/build/vm/said.$$
limit=$((3 * boot_seconds + 5))
for _ in 1 2 3 4; do
	TIMEOUT=$limit run "echo early; touch '$said'; sleep 6000"
	[ ! -e "$said" ] || break
	limit=$((2 * limit))
done
check "the command of a machine with little time begins" test -e "$said"
rm -f "$said"
is "a time-out is a failure" $status 124
is "what was said before it is not lost" "$(cat "$tmp/out")" early

ICOUNT=1 run 'nproc; grep -cw erms /proc/cpuinfo; a=$(date +%s); sleep 1000; b=$(($(date +%s) - a)); echo $((b >= 1000))'
is "ICOUNT: one processor, no erms, guest time is not ours" \
	"$(tr '\n' ' ' <"$tmp/out")" "1 0 1 "

MODULE=$(KMOD_SRC=$top/selftests/vm/provoke KMOD_OUT=$top/build/selftests/provoke \
	"$top/selftests/vm/kmod" 6.1 2>"$tmp/err")
export MODULE
if [ -n "$MODULE" ]; then
	ok "a module for tests of the harness builds"
else
	sed 's/^/# /' "$tmp/err"
	not_ok "a module for tests of the harness builds"
	finish
fi

run 'cat /proc/modules'
is "a module that behaves is no failure" $status 0
like "and it is loaded" "$(cat "$tmp/out")" '^burrow '

KMOD_ARGS=what=warn run true
is "a warning in the module is a failure" $status 125
KMOD_ARGS=what=oops run true
is "an oops is a failure" $status 125
APPEND=sysctl.kernel.watchdog_thresh=1 KMOD_ARGS=what=spin run true
is "a processor stuck in the kernel is a failure" $status 125
like "and it was found out" "$(cat "$tmp/err")" 'soft lockup - CPU'
KMOD_ARGS=what=refuse run true
is "a module that does not load is a failure" $status 125
KMOD_ARGS=what=hold run true
is "a module that does not unload is a failure" $status 125
like "and it is said" "$(cat "$tmp/err")" 'does not unload'
UNLOAD=0 KMOD_ARGS=what=hold run true
is "unless it need not" $status 0

"$boot" 'sleep 100' >/dev/null 2>&1 &
pid=$!
sleep 2
is "while it runs, it has a folder" "$(ls -d "$top"/build/vm/run.$pid.* | wc -l)" 1
kill -TERM $pid
wait $pid
is "ended from outside, it ends" $? 143
is "and leaves nothing behind" "$(ls -d "$top"/build/vm/run.$pid.* 2>/dev/null)" ""
finish
