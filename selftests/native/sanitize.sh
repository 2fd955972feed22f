#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The runtime's tests with sanitizers: AddressSanitizer with the library that is
# always used, and in the library too; ThreadSanitizer in both. And valgrind.
# What they find is a failure of the test in which they find it. `make check`
# runs one test with each; with BURROW_TEST_SANITIZERS set (check-all) it is all
# but those of the collector with ThreadSanitizer, which delivers signals late. Of
# some only what is found counts: they want to be in time, or count threads.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
runtime=$top/selftests/runtime
. "$here/../tap.sh"

export BURROW_BACKEND=mmap
# The runtime's own reports are tested, so faults are not the sanitizer's, and
# goroutines that are left hold memory. A child of fork() may start a runtime.
export ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:detect_leaks=0
export TSAN_OPTIONS=die_after_fork=0

# library NAME: build/NAME/libburrow.a, built with -fsanitize=NAME
library() {
	make -s --no-print-directory -C "$top/userland" BUILD="$top/build/$1" \
		CFLAGS="-O1 -g -fsanitize=$1 -w" library 2>&1
}

# try TITLE LIBRARY SANITIZER PROGRAM...: builds and runs tests
try() {
	local title=$1 library=$2 sanitizer=$3 out=$top/build/$1 t log rc

	mkdir -p "$out"
	ln -sf "$top"/build/selftests/runtime/*.so "$out"
	shift 3
	for t; do
		gcc -std=gnu11 -O1 -g -w -D_GNU_SOURCE -I"$top/kmod/uapi" \
			-isystem "$top/build/kselftest" \
			-I"$top/userland/include" -fno-optimize-sibling-calls \
			"-fsanitize=$sanitizer" -o "$out/$t" "$runtime/$t.c" \
			"$library" -luring -pthread -lm || {
			not_ok "$title: $t: is built"
			continue
		}
		log=$out/$t.log
		timeout -k 5 900 "$out/$t" >"$log" 2>&1 </dev/null
		rc=$?
		[ -n "${FINDINGS:-}" ] || is "$title: $t: ends well" $rc 0
		is "$title: $t: nothing found" \
			"$(grep -E '^SUMMARY: (Address|Thread)' "$log" | sort -u)" ""
	done
}

if ! library address || ! library thread; then
	not_ok "the library is built"
elif [ -n "${BURROW_TEST_SANITIZERS:-}" ]; then
	try asan-program "$top/build/libburrow.a" address basics dump thread
	try asan "$top/build/address/libburrow.a" address \
		basics chan select sync ctx timer event sched thread hog io \
		ioclose iofail model gc gcuse gctimer gcmap gcverify heap quick
	try tsan "$top/build/thread/libburrow.a" thread \
		basics ctx chan select sync thread hog model
	FINDINGS=1 try tsan "$top/build/thread/libburrow.a" thread \
		timer end io ioclose event
else
	try asan "$top/build/address/libburrow.a" address ctx
	try tsan "$top/build/thread/libburrow.a" thread thread
fi

cat >"$top/build/plain-library.c" <<'END'
#include <burrow.h>
static int start(void *arg) { return 0; }
int main(void) { return burrow_run(0, start, 0) != -95; }
END
gcc -w -fsanitize=thread -I"$top/userland/include" \
	-o "$top/build/plain-library" "$top/build/plain-library.c" \
	"$top/build/libburrow.a" -luring -pthread
out=$("$top/build/plain-library" 2>&1)
is "ThreadSanitizer and a library without it: refused" $? 0
like "and said" "$out" '^burrow: the program is built for ThreadSanitizer and'

if command -v valgrind >/dev/null; then
	for t in hello pipeline; do
		[ -x "$top/build/examples/$t" ] || continue
		out=$(timeout 120 valgrind --error-exitcode=99 \
			"$top/build/examples/$t" 2>&1 </dev/null)
		is "valgrind: $t: no errors" $? 0
		is "valgrind: $t: knows the stacks" \
			"$(grep -c 'client switching stacks' <<<"$out")" 0
	done
else
	skip "valgrind is not installed"
fi
finish
