#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The benchmarks: rows that are there, and figures that can be true. What is
# compared differs by so much that a busy machine can't turn it round.

. "$(dirname "$0")/tool.bash"

depth_rows() {
	awk -v b="$1" '$2 == b {print $4 $5}' "$tmp/rows" | sort | tr '\n' ' '
}

# Ways that work everywhere.
ways="mmap mmap-warm madvfree sigsegv growsdown pthread"
check "growth of the stock ways" bench growth --runs 7 --depth 64,4,64 \
	--backend "${ways// /,}"
for way in $ways; do
	is "$way has both units at both depths, once" "$(depth_rows $way)" \
		"4ns/cycle 4ns/op 64ns/cycle 64ns/op "
	holds "$way: everything takes longer than growing alone" \
		"$(cell growth $way 64 ns/cycle) > $(cell growth $way 64 ns/op)"
done
is "--runs are the samples" "$(awk '{print $6}' "$tmp/rows" | sort -u)" 7
holds "16 pages cost more than one" \
	"$(cell growth mmap 64 ns/op) > 4 * $(cell growth mmap 4 ns/op)"
holds "pages that are there cost less than pages that are not" \
	"$(cell growth mmap-warm 64 ns/op) < 0.7 * $(cell growth mmap 64 ns/op)"
holds "a signal for each growth costs more than a fault" \
	"$(cell growth sigsegv 4 ns/op) > $(cell growth mmap 4 ns/op)"

# maybe WAY: a row, or a reason why there is none and status 3
maybe() {
	run bench growth --backend $1 --depth 64 --runs 1 --json -
	if [ $status = 3 ]; then
		like "growth $1: no row, and why" "$(cat "$tmp/err")" "no row for $1: ."
		is "growth $1: nothing on standard output" "$(cat "$tmp/out")" ""
	else
		is "growth $1: status" $status 0
		is "growth $1: two rows" "$(rows | wc -l)" 2
	fi
}
for way in populate mthp uffd splitstack go; do
	maybe $way
done

# What a way touches while it opens must not bring pages to stacks that lie in
# the same huge page: where the kernel puts them is chance, one run in eight.
name="growth uffd: stacks have no page before they grow"
run bench growth --backend uffd --depth 4 --runs 1
if [ $status = 3 ]; then
	skip "$name" "userfaultfd is not to be had"
elif ! grep -q '\[always\]' /sys/kernel/mm/transparent_hugepage/enabled; then
	skip "$name" "huge pages do not come by themselves here"
else
	fails=0
	for _ in {1..24}; do
		run bench growth --backend uffd --depth 4 --runs 1
		[ $status = 0 ] || fails=$((fails + 1))
	done
	is "$name" $fails 0
fi

settings() {
	cat /sys/kernel/mm/transparent_hugepage/{enabled,hugepages-*/enabled} 2>/dev/null
}
before=$(settings)
run bench growth --backend mthp --depth 64 --runs 1
is "mthp leaves the settings as they were" "$(settings)" "$before"
if [ -w /sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled ]; then
	"$burrow" bench growth --backend mthp --depth 64 --runs 100000 >/dev/null 2>&1 &
	pid=$!
	sleep 0.5
	kill -INT $pid
	wait $pid
	is "mthp leaves them so when interrupted" "$(settings)" "$before"
fi

PATH=/nowhere run bench growth --backend go,mmap --depth 4 --runs 1 --json -
is "one backend that works is enough: status" $status 0

check "trim of the stock way" bench trim --backend madvise --depth 8,64 --runs 5
holds "taking fifteen pages costs more than taking one" \
	"$(cell trim madvise 64 ns/op) > 1.5 * $(cell trim madvise 8 ns/op)"

run bench dirty --backend uffd --runs 2 --json -
if [ $status = 3 ]; then
	like "dirty uffd: no row, and why" "$(cat "$tmp/err")" "no row for uffd: ."
else
	check "dirty of userfaultfd" bench dirty --backend uffd --runs 5
	holds "a tracked write traps" \
		"$(cell dirty uffd 64 ns/write) > 4 * $(cell dirty uffd 64 ns/clean-page)"
fi

# parked BACKEND COUNT
parked() {
	local b=$1 n=$2
	check "parked $b" bench parked --backend $b --count $n
	is "parked $b: every guard holds" "$(cell parked $b $n guards)" "$n.00"
	holds "parked $b: at least a page each, and not much more" \
		"$(cell parked $b $n process-bytes/goroutine) >= 4096 &&
		 $(cell parked $b $n process-bytes/goroutine) < 6144"
	holds "parked $b: what counts is the greater figure" \
		"$(cell parked $b $n bytes/goroutine) >= $(cell parked $b $n process-bytes/goroutine) &&
		 $(cell parked $b $n bytes/goroutine) >= $(cell parked $b $n system-bytes/goroutine)"
	holds "parked $b: mappings are counted" "$(cell parked $b $n mappings) >= 10"
	holds "parked $b: times are taken" \
		"$(cell parked $b $n ns/create) > 0 && $(cell parked $b $n ns/wake) > 0 &&
		 $(cell parked $b $n ns/end) > 0"
	holds "parked $b: collections are" \
		"$(cell parked $b $n ns/collection) > 0 && $(cell parked $b $n ns/next-collection) > 0 &&
		 $(cell parked $b $n cpu-ns/collection) > 0 && $(cell parked $b $n ns/stop) > 0 &&
		 $(cell parked $b $n collected-bytes/goroutine) >= 4096"
}
parked mmap 5000

run bench parked --backend go --count 5000 --json -
if [ $status = 0 ]; then
	check "parked go: rows" rows
	is "parked go: has no guards to find" "$(rows | grep -c guards)" 0
else
	like "parked go: no row, and why" "$(cat "$tmp/err")" "no row for go: ."
fi

if has_module; then
	check "growth of the module" bench growth --runs 9 --depth 4,64 \
		--backend kmod-cold,kmod-recycled,kmod-warm
	holds "recycled pages cost less than fresh ones" \
		"$(cell growth kmod-recycled 64 ns/op) < $(cell growth kmod-cold 64 ns/op)"
	holds "pages that are there cost less still" \
		"$(cell growth kmod-warm 64 ns/op) < 0.5 * $(cell growth kmod-recycled 64 ns/op)"
	check "trim of the module" bench trim --backend kmod --depth 8,16 --runs 2
	check "hibernate of the module" bench hibernate --runs 3
	holds "what is saved and restored takes time, more if it is more" \
		"$(cell hibernate kmod 304 ns/hibernate) > 0 && $(cell hibernate kmod 304 ns/restore) > 0 &&
		 $(cell hibernate kmod 2000 ns/hibernate) > $(cell hibernate kmod 304 ns/hibernate)"
	check "dirty of the module" bench dirty --backend kmod --runs 5
	holds "a page that was written costs more to harvest" \
		"$(cell dirty kmod 64 ns/dirty-page) > $(cell dirty kmod 64 ns/clean-page)"
	holds "a tracked write does not trap" \
		"$(cell dirty kmod 64 ns/write) < 20 * $(cell dirty kmod 64 ns/clean-page)"
	parked kmod 5000
	holds "parked kmod: guards cost no mapping" \
		"$(cell parked kmod 5000 mappings) < 500"

	check "parked kmod-hibernated" bench parked --backend kmod,kmod-hibernated \
		--count 5000 --waves 3
	holds "parked kmod-hibernated: all of them do" \
		"$(cell parked kmod-hibernated 5000 hibernated) >= 4950"
	is "parked kmod-hibernated: every guard holds" \
		"$(cell parked kmod-hibernated 5000 guards)" 5000.00
	holds "parked kmod-hibernated: no page each" \
		"$(cell parked kmod-hibernated 5000 process-bytes/goroutine) + 3500 \
		 < $(cell parked kmod 5000 process-bytes/goroutine)"
	holds "parked kmod-hibernated: some hundred bytes live" \
		"$(cell parked kmod-hibernated 5000 live-bytes/goroutine) > 200 &&
		 $(cell parked kmod-hibernated 5000 live-bytes/goroutine) < 600"
	holds "parked kmod-hibernated: times are taken" \
		"$(cell parked kmod-hibernated 5000 ns/hibernate) > 0 &&
		 $(cell parked kmod-hibernated 5000 ns/wake) > 0"
	is "parked kmod: nobody hibernates" \
		"$(cell parked kmod 5000 hibernated)" ""
else
	for b in growth/kmod-cold growth/kmod-recycled growth/kmod-warm trim/kmod hibernate/kmod dirty/kmod parked/kmod parked/kmod-hibernated; do
		run bench ${b%/*} --backend ${b#*/} --depth 4 --count 10 --runs 1 --json -
		is "${b/\// } without the module: status" $status 3
		like "${b/\// } without the module: says so" "$(cat "$tmp/err")" \
			"bench ${b%/*}: no row for ${b#*/}: ."
	done
fi
finish
