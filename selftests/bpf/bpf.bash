# SPDX-License-Identifier: GPL-2.0
#
# What the scripts here share; sourced by each. They need the module, tracefs,
# bpffs and a bpftool that attaches.

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/selftests/tap.sh"

PATH=$top/build:$PATH
events=/sys/kernel/tracing/events/burrow
programs=$top/build/selftests/bpf
pins=/sys/fs/bpf/burrow-test-$$
tmp=$(mktemp -d)
trap 'detach; rm -rf "$tmp"' EXIT

need_module() {
	local lack=

	[ -d /sys/module/burrow ] || lack="the module is not loaded"
	[ -w $events/enable ] || lack=${lack:-"no tracefs here"}
	mkdir -p "$pins" 2>/dev/null || lack=${lack:-"no bpffs here"}
	[ -z "$lack" ] && return
	echo "1..0 # SKIP $lack"
	exit 4
}

# attach NAME: bpf/NAME.bpf.o as users do; what bpftool said is in $tmp/bpftool
attach() {
	bpftool prog loadall "$top/bpf/$1.bpf.o" "$pins/$1" \
		pinmaps "$pins/$1-maps" autoattach >"$tmp/bpftool" 2>&1
}

# detach [NAME]: that one, or all
detach() {
	rm -rf "$pins/${1:-}"* 2>/dev/null
	[ -n "${1:-}" ] || rmdir "$pins" 2>/dev/null
}

# values MAP FILTER: what jq makes of the entries of a pinned map
values() {
	bpftool -j map dump pinned "$pins/${1%%_*}-maps/$1" |
		jq -r "[.[].formatted] | $2"
}

# total NAME FIELD: of the map NAME_total
total() {
	values "$1_total" ".[0].value.$2"
}

# missed OBJECT PROGRAM: calls that the kernel left out
missed() {
	bpftool -j prog show id "$(bpftool -j link show pinned "$pins/$1/$2" | jq .prog_id)" |
		jq '.recursion_misses // 0'
}

# A histogram that the kernel keeps: hist_begin EVENT KEYS [VALUE]; its truth is
# what the programs' maps are compared with. It must be gone before the module.
hist_begin() {
	hist_event=$1 hist_text="hist:keys=$2${3:+:vals=$3}:size=16384"
	echo "$hist_text" >"$events/$1/trigger"
}

hist_end() {
	cat "$events/$hist_event/hist" >"$tmp/hist"
	echo "!$hist_text" >"$events/$hist_event/trigger"
}

# hist_sum VALUE: of a value, or hitcount, over all its entries
hist_sum() {
	awk -v want="$1:" '/^\{/ {
			for (i = 1; i < NF; i++)
				if ($i == want)
					sum += $(i + 1)
		}
		END { printf "%d\n", sum }' "$tmp/hist"
}

hist_dropped() {
	awk '/^ *Dropped:/ { print $2 }' "$tmp/hist"
}
