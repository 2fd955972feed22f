#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What `make install` puts down is all that a program, a kernel and DKMS need.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

unset MAKEFLAGS MAKELEVEL MFLAGS DESTDIR PREFIX
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT

check "make install" make -s -C "$top" install DESTDIR="$dest" PREFIX=/usr

for file in bin/burrow lib/libburrow.a lib/libburrow.so lib/libburrow.so.0 \
		include/burrow.h include/linux/burrow.h lib/pkgconfig/burrow.pc \
		lib/udev/rules.d/60-burrow.rules lib/burrow/bpf/growth.bpf.o; do
	check "$file is there" test -e "$dest/usr/$file"
done
for page in "$top"/Documentation/man/*.[1-9]; do
	[ -e "$page" ] || continue
	name=${page##*/}
	check "$name is there" cmp "$page" "$dest/usr/share/man/man${name##*.}/$name"
done

# Ours from where it was installed, what it needs from the system.
system=$(pkg-config --variable pc_path pkg-config)
export PKG_CONFIG_LIBDIR=$dest/usr/lib/pkgconfig:$system PKG_CONFIG_SYSROOT_DIR=$dest
cat >"$dest/consumer.c" <<'END'
#include <burrow.h>
#include <linux/burrow.h>
#include <stdio.h>

static int greet(void *arg)
{
	burrow_yield();
	return printf("%s, abi %d\n", (const char *)arg, BURROW_ABI) < 0;
}

int main(void)
{
	static char hello[] = "hello";

	return burrow_run(NULL, greet, hello);
}
END

# consumer NAME COMPILER...: compiles it as users do and runs it
consumer() {
	local program=$dest/$1 how=$2

	shift 2
	"$@" -Wall -Wextra -Werror $(pkg-config --cflags burrow) \
		"$dest/consumer.c" -o "$program" $(pkg-config --libs $how burrow) &&
	[ "$(BURROW_BACKEND=mmap LD_LIBRARY_PATH=$dest/usr/lib "$program")" = "hello, abi 1" ]
}
check "a C program" consumer c "" gcc -std=c11 -pedantic
check "a C++ program" consumer cxx "" g++ -std=c++11 -x c++
check "a C program, linked statically" consumer static --static gcc -std=c11 -static
check "the shared library is the one that was linked" \
	grep -q libburrow.so.0 "$dest/c"
rm "$dest/usr/lib/libburrow.so"*
check "a C program with the archive alone" consumer archive --static gcc -std=c11

version=$(pkg-config --modversion burrow)
is "the tool's version is the library's" \
	"$("$dest/usr/bin/burrow" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" "$version"
is "the module's version is the library's" \
	"$(modinfo -F version "$top/kmod/burrow.ko")" "$version"
dkms=$dest/usr/src/burrow-$version
like "DKMS is told the version" "$(cat "$dkms/dkms.conf")" "^PACKAGE_VERSION=\"$version\"$"

kernel=$("$top/selftests/vm/kernel" 6.1)
release=$(cat "$kernel/release")
# Debian's packaged headers lack a tool that this module has no need of.
check "what DKMS gets builds" make -s -C "$kernel/headers" M="$dkms" \
	RESOLVE_BTFIDS=true modules
check "and where it says" test -s "$dkms/kmod/burrow.ko"
check "make modules_install" make -s -C "$top" modules_install DESTDIR="$dest" \
	KDIR="$kernel/headers" RESOLVE_BTFIDS=true
is "the module is among the kernel's" \
	"$(cd "$dest/lib/modules/$release" && find updates -name 'burrow.ko*')" \
	updates/kmod/burrow.ko
finish
