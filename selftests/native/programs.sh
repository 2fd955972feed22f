#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs of others on the collected heap: Lua 5.1 and Jim Tcl, from the
# distribution's source packages, which are fetched once (~/.cache/burrow). Their
# malloc() is burrow_alloc(), their free() does nothing, their main() is a goroutine
# (collected.c). Each runs its own tests, with what is dead overwritten and a
# collection at every so manieth refill, checked; and has to write what it writes
# when it is built as it is. With BURROW_TEST_ALL (check-all) only.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/burrow/sources-1
build=$top/build/programs
. "$here/../tap.sh"

export BURROW_BACKEND=mmap
unset BURROW_GC BURROW_MEMLIMIT

give_up() {
	skip "$*"
	finish
}

[ -n "${BURROW_TEST_ALL:-}" ] || give_up "programs of others: make check-all"
command -v apt-get >/dev/null || give_up "no apt-get"

# The lists of source packages, beside the system's.
apt() {
	timeout 300 apt-get -qq -o Dir::Etc::sourcelist="$cache/list" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$cache/lists" \
		-o Dir::Cache="$cache/apt" -o APT::Sandbox::User=root "$@"
}

update() {
	mkdir -p "$cache/lists/partial" "$cache/apt/archives/partial"
	[ ! -e "$cache/list.done" ] || return 0
	echo "deb-src http://deb.debian.org/debian bookworm main" >"$cache/list"
	apt update && touch "$cache/list.done"
}

# fetch PACKAGE: its original source, unpacked to $build/PACKAGE
fetch() {
	local archive

	mkdir -p "$cache/$1" "$build/$1"
	if [ ! -e "$cache/$1/done" ]; then
		update && (cd "$cache/$1" && apt source --download-only "$1") \
			>"$cache/$1/log" 2>&1 || return 1
		touch "$cache/$1/done"
	fi
	for archive in "$cache/$1/"*.orig.tar.?z; do
		tar -xf "$archive" --strip-components=1 -C "$build/$1" || return 1
	done
}

mkdir -p "$build"
collected=(-include "$here/collected.h")
library=("$build/collected.o" "$top/build/libburrow.a" -luring -pthread -lm)
check "memory for them is built" gcc -O2 -g -Wall -Wextra -Werror \
	-I"$top/userland/include" -c -o "$build/collected.o" "$here/collected.c"

# Both by the same name, for messages.
run='exec -a program "$0" "$@"'

# same NAME CYCLES PLAIN COLLECTED ARGUMENT...: both write the same and end alike
same() {
	local name=$1 least=$2 plain=$3 other=$4 rc=0 rc_other=0 n

	shift 4
	timeout 120 bash -c "$run" "$plain" "$@" >"$build/plain" 2>&1 \
		</dev/null || rc=$?
	COLLECTED_REPORT=$build/cycles timeout 300 bash -c "$run" "$other" "$@" \
		>"$build/other" 2>&1 </dev/null || rc_other=$?
	# Times and addresses are their own.
	sed -Ei 's/0x[0-9a-f]+|[0-9]+\.[0-9]+//g' "$build/plain" "$build/other"
	n=$(cat "$build/cycles" 2>/dev/null)
	rm -f "$build/cycles"
	if [ $rc = $rc_other ] && cmp -s "$build/plain" "$build/other" &&
		[ "${n:-0}" -ge "$least" ]; then
		ok "$name: $n collections"
		return
	fi
	diff "$build/plain" "$build/other" | head -20 | sed 's/^/# /'
	not_ok "$name: status $rc and $rc_other, ${n:-no} collections"
}

lua() {
	local from=$build/lua5.1 f

	f=$(ls "$from"/src/*.c | grep -vE '/(luac|print)\.c$')
	check "lua: is built as it is" gcc -O1 -w -DLUA_USE_POSIX \
		-o "$build/lua-plain" $f -lm
	check "lua: is built" gcc -O1 -g -w -DLUA_USE_POSIX "${collected[@]}" \
		-o "$build/lua" $f "${library[@]}"
	cd "$from/test" || exit 1
	export BURROW_DEBUG=gcstress=4,gcpoison=1,gcverify=1
	for f in bisect cf factorial fibfor globals printf readonly sort; do
		same "lua: $f" 1 "$build/lua-plain" "$build/lua" $f.lua
	done
	# They make a lot.
	export BURROW_DEBUG=gcstress=64,gcpoison=1,gcverify=1
	same "lua: sieve" 1 "$build/lua-plain" "$build/lua" sieve.lua
	export BURROW_DEBUG=gcpoison=1
	same "lua: life" 1 "$build/lua-plain" "$build/lua" life.lua
}

# Without what starts processes: fork() is not for goroutines.
jim_configure() {
	cd "$build/jimtcl" && ./configure --disable-docs \
		--without-ext=clock,exec,posix,signal,readline,interactive,history,load,syslog,eventloop
}

jim_make() {
	make -s -C "$build/jimtcl" clean && make -s -C "$build/jimtcl" jimsh "$@"
}

jim() {
	local t

	check "jim: is configured" jim_configure
	check "jim: is built as it is" jim_make
	cp "$build/jimtcl/jimsh" "$build/jim-plain"
	check "jim: is built" jim_make LDLIBS="${library[*]}" \
		CFLAGS="-g -O1 -w ${collected[*]}"
	cp "$build/jimtcl/jimsh" "$build/jim"
	cd "$build/jimtcl/tests" || exit 1
	export JIMLIB=..:. TERM=dumb
	export BURROW_DEBUG=gcstress=16,gcpoison=1,gcverify=1
	for t in list lsort dict dict2 expr expr-old proc lsearch regexp string \
		array format scan upvar uplevel switch while misc parse \
		namespace subst linsert lreplace; do
		[ -f $t.test ] || continue
		same "jim: $t" 1 "$build/jim-plain" "$build/jim" $t.test
	done
}

if fetch lua5.1; then lua; else skip "lua: its source can't be had"; fi
if fetch jimtcl; then jim; else skip "jim: its source can't be had"; fi
finish
