#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the documentation shows is so: links lead somewhere, the programs compile
# and print what stands below them.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$top" || exit 1

# The targets of links to files of ours: [text](file) and `text <file>`__
links() {
	case $1 in
	*.md)	grep -oE '\]\([^)#:]+\)' "$1" | sed 's/^](//; s/)$//' ;;
	*)	grep -oE '<[^ <>:]+>`_' "$1" | sed 's/^<//; s/>`_$//' ;;
	esac
}

lead_somewhere() {
	local link bad=0

	while read -r link; do
		[ -e "$(dirname "$1")/$link" ] && continue
		echo "$1: there is no $link"
		bad=1
	done < <(links "$1")
	return $bad
}

for doc in README.md Documentation/*.rst; do
	check "links of $doc" lead_somewhere "$doc"
done

# The first program in a document, its margin taken off.
program() {
	awk '{ line = $0; sub(/^(\t|    )/, line ~ /^(\t|    )#include/ || margin ? "" : "&", line) }
	     /^(\t|    )#include <burrow.h>/ { margin = 1 }
	     line ~ /^#include <burrow.h>/ { on = 1 }
	     on && margin && /^[^ \t]/ { exit }
	     on && /^```/ { exit }
	     on { print line }' "$1"
}

for doc in README.md Documentation/quickstart.rst; do
	name=$(basename "$doc" | tr . -)
	program "$doc" >"$tmp/$name.c"
	check "the program of $doc compiles" gcc -Wall -Werror -O2 \
		-Iuserland/include "$tmp/$name.c" -o "$tmp/$name" \
		build/libburrow.a -luring -pthread
	BURROW_BACKEND=mmap "$tmp/$name" >"$tmp/$name.out" 2>&1
	is "and returns" $? 0
	while read -r line; do
		check "and prints a line that stands there: $line" \
			grep -qF -- "$line" "$doc"
	done <"$tmp/$name.out"
done
finish
