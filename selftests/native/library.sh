#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The library as others see it: what it exports, what it needs, its header in C
# and C++, and a program on the shared one.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
so=$top/build/libburrow.so.0
headers=$(echo "$top"/userland/include/burrow.h "$top"/userland/include/burrow/*.h)
. "$here/../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Function names that the header declares.
declared() {
	cat $headers | grep -vE '^(static|#)|__asm__' |
		grep -oE '^[a-z].*\bburrow_[a-z0-9_]+\(|^burrow_[a-z0-9_]+\(' |
		grep -oE 'burrow_[a-z0-9_]+\($' | tr -d '(' | sort -u
}

is "exports what the header declares, no less and no more" \
	"$(nm -D --defined-only "$so" | awk '$2 == "T" {sub(/@.*/, "", $3); print $3}' | sort)" \
	"$(declared)"
is "exports no data but what allocation without a call looks at" \
	"$(nm -D --defined-only "$so" | awk '$2 !~ /^[TA]$/ {sub(/@.*/, "", $3); print $3}')" \
	burrow_cache_tls
is "needs libc and the compiler's own library" \
	"$(readelf -d "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
		grep -vE '^(libc|libgcc_s|liburing|ld-linux.*)\.so' )" ""

documented() {
	for f in $(declared); do
		[ -f "$top/Documentation/man/$f.3" ] && echo "$f"
	done
}
is "every function has a manual page" "$(documented)" "$(declared)"
if command -v groff >/dev/null; then
	is "manual pages have no mistakes" \
		"$(grep -L '^\.so ' "$top"/Documentation/man/*.[37] |
			xargs groff -man -Tutf8 -ww -z 2>&1)" ""
fi

# Built again when the headers of valgrind come: they may come after the library.
stamp() {
	make -C "$top/userland" -pn CC="$1" BUILD="$work/stamp" library 2>/dev/null |
		sed -n 's/^VALGRIND := .*-//p'
}
is "a compiler without valgrind's headers is known" "$(stamp "gcc -nostdinc")" missing

cat >"$work/use.c" <<'END'
#include <burrow.h>
static void other(void *arg) { *(int *)arg += 1; }
static int start(void *arg)
{
	if (burrow_go(other, arg))
		return 1;
	while (burrow_num_goroutines() > 1)
		burrow_yield();
	return *(int *)arg == 1 ? 0 : 2;
}
int main(void) { int n = 0; return burrow_run(0, start, &n); }
END
check "header in C11" gcc -std=c11 -pedantic -Wall -Wextra -Werror \
	-I"$top/userland/include" -c -o "$work/use.o" "$work/use.c"
check "header in C++" g++ -x c++ -std=c++11 -pedantic -Wall -Wextra -Werror \
	-I"$top/userland/include" -c -o "$work/use-cxx.o" "$work/use.c"
check "a program on the shared library links" gcc -o "$work/use" \
	"$work/use.o" -L"$top/build" -lburrow
check "and runs" env LD_LIBRARY_PATH="$top/build" "$work/use"
check "a program in C++ on the static library links" g++ -o "$work/use-cxx" \
	"$work/use-cxx.o" "$top/build/libburrow.a" -luring -pthread
check "and runs" "$work/use-cxx"
check "a static program links" gcc -static -o "$work/use-static" \
	"$work/use.o" "$top/build/libburrow.a" -luring -pthread
check "and runs" "$work/use-static"
finish
