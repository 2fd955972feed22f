#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The library for arm64: it builds with the cross compiler, and where qemu can
# run programs of that kind, the runtime's tests pass, on mmap.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
. "$here/../tap.sh"

CC=aarch64-linux-gnu-gcc
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64)
command -v $CC >/dev/null || { skip "no $CC here"; finish; }

build=$top/build/arm64
check "library builds" make -s -C "$top/userland" CC=$CC BUILD="$build" library
[ -n "$emulator" ] || { skip "no qemu-aarch64 here"; finish; }

# test_one NAME [SOURCE...]: some cannot run under emulation and are not here
test_one() {
	local name=$1 out

	shift
	$CC -std=gnu11 -O2 -D_GNU_SOURCE -fno-optimize-sibling-calls -static -pthread \
		-I"$top/kmod/uapi" -I"$top/userland/include" \
		-isystem "$top/build/kselftest" -o "$build/$name" \
		"$here/../runtime/$name.c" "$@" "$build/libburrow.a" -lm 2>&1 ||
		return 1
	# With 16 GiB of address space: it keeps a record of every page.
	out=$(BURROW_BACKEND=mmap timeout 200 "$emulator" -R 0x400000000 \
		"$build/$name" 2>&1)
	echo "$out"
	grep -q '^# PASSED' <<<"$out"
}

for name in basics process; do
	check "runtime/$name" test_one $name
done
finish
