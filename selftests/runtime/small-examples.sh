#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The examples that need no network do what they say, on one and more processors.

here=$(dirname "$(realpath "$0")")
top=$(realpath "$here/../..")
examples=$top/build/examples
. "$here/../tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
printf 'one two\nthree\n' >a
seq 10000 >b

for procs in 1 2 8; do
	export BURROW_PROCS=$procs
	is "pipeline, $procs" "$("$examples/pipeline" 300)" \
		"the squares of 1 to 300 add up to 9045050"
	out=$("$examples/pipeline" 100000000000 20)
	is "pipeline out of time, $procs" "$? ${out% *}" \
		"1 out of time; the sum so far is"
	out=$("$examples/workers" a b a nothing 2>err)
	is "workers, one file is missing, $procs" "$?" 1
	is "and the others are counted" \
		"$(LC_ALL=C sort <<<"$out" | tr -s ' ' | tr '\n' ',')" \
		" 3 a, 3 a, 10000 b, 10006 in all,"
	is "and it is told" "$(cat err)" "nothing: No such file or directory"
	like "sort, $procs" "$("$examples/sort" 200000)" \
		"^200000 numbers in order after [0-9]+ ms$"
done
finish
