#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Set-up says by name what is missing, and where it may not install, the exact
# command that would; with all there it is silent.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# pretend NAME TEXT: a program NAME that comes first on PATH
pretend() {
	printf '#!/bin/sh\n%s\n' "$2" >"$tmp/$1"
	chmod 755 "$tmp/$1"
}

run() {
	out=$(PATH=$tmp:$PATH "$top/selftests/setup" "$@" 2>&1)
	status=$?
}

pretend dpkg-query 'echo "installed gcc"'
pretend id 'echo 1000'
pretend apt-get 'echo "apt-get was run: $*"'
run vm
is "not root: exit status" $status 1
like "not root: the package and why" "$out" '^  busybox-static +[a-z]'
like "not root: the exact command" "$out" \
	'^  apt-get install --no-install-recommends .*busybox-static'
is "not root: nothing is run" "$(grep -c 'was run' <<<"$out")" 0

pretend id 'echo 0'
run vm
is "root: exit status" $status 0
like "root: installs by name" "$out" 'was run: install .*busybox-static'
is "root: only the group asked for" "$(grep -c clang-format <<<"$out")" 0

pretend apt-get 'case $1 in update) touch '"$tmp"'/updated ;; install) [ -e '"$tmp"'/updated ] ;; esac'
run vm
is "package lists out of date are read again" $status 0
pretend apt-get 'exit 100'
run vm
is "apt-get fails: so does set-up" $((status != 0)) 1

rm -f "$tmp"/*
run build vm
is "all there: exit status" $status 0
is "all there: silence" "$out" ""
# The best of several: the machine may have other things to do.
took=1000000
for _ in 1 2 3 4 5; do
	begin=$(date +%s%N)
	run build vm
	ms=$((($(date +%s%N) - begin) / 1000000))
	((ms >= took)) || took=$ms
done
is "all there: under a second ($took ms)" $((took < 1000)) 1
finish
