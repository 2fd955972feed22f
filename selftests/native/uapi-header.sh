#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The UAPI header compiles alone, first, twice, pedantically, as C and as C++.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

compiles() {
	printf '#include <linux/burrow.h>\n#include <linux/burrow.h>\n%s\n' \
		"struct burrow_version v; int ioctl_number = BURROW_IOC_VERSION & 0xff;" |
	"$@" -Wall -Wextra -Wpadded -pedantic -Werror -fsyntax-only \
		-I "$top/kmod/uapi" -
}

for std in c99 c11 c17; do
	check "$std" compiles gcc -std=$std -x c
done
for std in c++11 c++17 c++20; do
	check "$std" compiles g++ -std=$std -x c++
done
check "32-bit layout has no padding either" compiles gcc -m32 -std=c11 -x c \
	-I/usr/include/x86_64-linux-gnu
finish
