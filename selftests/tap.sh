# SPDX-License-Identifier: GPL-2.0
#
# TAP for test programs in shell: source it, call ok, not_ok or skip for each
# result and end with `finish`.

tap_count=0 tap_failed=0

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count $*"
}

not_ok() {
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count $*"
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count # SKIP $*"
}

# check NAME COMMAND...: the command's output is shown where it fails.
check() {
	local name=$1 out

	shift
	if out=$("$@" 2>&1); then
		ok "$name"
	else
		echo "$out" | sed 's/^/# /'
		not_ok "$name"
	fi
}

# is NAME GOT EXPECTED
is() {
	[ "$2" = "$3" ] || printf '# got "%s", expected "%s"\n' "$2" "$3"
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1"; fi
}

# like NAME TEXT PATTERN: some line of the text matches the regular expression
like() {
	if printf '%s\n' "$2" | grep -qE -- "$3"; then
		ok "$1"
	else
		printf '%s\n' "$2" | sed 's/^/# /'
		echo "# nothing there matches: $3"
		not_ok "$1"
	fi
}

finish() {
	echo "1..$tap_count"
	exit $((tap_failed > 0))
}
