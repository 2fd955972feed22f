#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The command line of bpftool that README shows does what README shows, to the
# last line.

. "$(dirname "$0")/bpf.bash"
need_module

# What stands in README: the commands, and what they print.
shown=$(awk '/^\$ make -s vm CMD=/ { on = 1; next } /^```/ { on = 0 } on' "$top/README.md")
commands=$(awk '{ last = sub(/\047$/, ""); print } last { exit }' <<<"$shown")
output=$(awk 'seen; /\047$/ { seen = 1 }' <<<"$shown")

check "README has such a command" test -n "$commands" -a -n "$output"
cd "$top" || exit 1
bash -c "$commands" >"$tmp/out" 2>"$tmp/err"
is "it ends well" $? 0
is "it prints what README shows" "$(cat "$tmp/out")" "$output"
is "and nothing else" "$(cat "$tmp/err")" ""
rm -rf /sys/fs/bpf/growth /sys/fs/bpf/growth_maps
finish
