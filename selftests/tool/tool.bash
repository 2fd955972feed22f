# SPDX-License-Identifier: GPL-2.0
#
# What the tests of the burrow command share; sourced by each.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

burrow=$top/build/burrow
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# run ARGUMENT...: leaves $status, and what was said in $tmp/out and $tmp/err
run() {
	"$burrow" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
}

# rows: the rows of the JSON in $tmp/out, as lines; not 0 if it is no such JSON
rows() {
	"$top/build/selftests/tool/rows" <"$tmp/out"
}

# bench ARGUMENT...: runs with JSON on standard output; rows in $tmp/rows
bench() {
	run bench "$@" --json -
	rows >"$tmp/rows" 2>>"$tmp/err"
	[ $? = 0 ] && [ $status = 0 ] && return
	sed 's/^/# /' "$tmp/err"
	return 1
}

# cell BENCH BACKEND VALUE UNIT: its minimum, or nothing. What the machine does
# besides makes samples greater, never smaller.
cell() {
	awk -v b="$1" -v k="$2" -v v="$3" -v u="$4" \
		'$1 == b && $2 == k && $4 == v && $5 == u {print $7}' "$tmp/rows"
}

# holds NAME EXPRESSION: awk finds it true
holds() {
	if awk "BEGIN { exit !($2) }"; then
		ok "$1"
	else
		echo "# not true: $2"
		not_ok "$1"
	fi
}

has_module() {
	[ -w /dev/burrow ]
}
