// SPDX-License-Identifier: GPL-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Objects that may hold pointers; what they are kept in makes them escape.
type words16 struct{ p [2]*byte }
type words32 struct{ p [4]*byte }
type words64 struct{ p [8]*byte }
type words256 struct{ p [32]*byte }

// onAll has as many goroutines as processors make n objects in all.
func onAll[T any](n int) int {
	var all sync.WaitGroup
	procs := runtime.GOMAXPROCS(0)
	sinks := make([]*T, procs*16)

	for i := range procs {
		all.Go(func() {
			for range n / procs {
				sinks[i*16] = new(T)
			}
		})
	}
	all.Wait()
	runtime.KeepAlive(sinks)
	return n / procs * procs
}

type tree struct{ left, right *tree }

func treeMake(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{treeMake(depth - 1), treeMake(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

// trees is the binary-trees benchmark; it returns how many nodes there were.
func trees(most int) int {
	nodes := treeMake(most + 1).count()
	keep := treeMake(most)
	for depth := 4; depth <= most; depth += 2 {
		for range 1 << (most - depth + 4) {
			nodes += treeMake(depth).count()
		}
	}
	return nodes + keep.count()
}

type item struct {
	key   [3]uint64
	left  *item
	value [3]uint64
	right *item
}

var items *item

func shuffle(all []*item) {
	x := uint64(88172645463325252)
	for i := len(all) - 1; i > 0; i-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		k := x % uint64(i+1)
		all[i], all[k] = all[k], all[i]
	}
}

func linkAll(all []*item) *item {
	if len(all) == 0 {
		return nil
	}
	rest := all[1:]
	all[0].left = linkAll(rest[:len(rest)/2])
	all[0].right = linkAll(rest[len(rest)/2:])
	return all[0]
}

func itemsMake(n int, random bool) {
	all := make([]*item, n)
	for i := range all {
		all[i] = new(item)
	}
	if random {
		shuffle(all)
	}
	items = linkAll(all)
}

// mark makes n objects when first called, and collects.
func mark(n int, random bool) int {
	if items == nil {
		itemsMake(n, random)
	}
	runtime.GC()
	return n
}

// GCBench, of Ellis, Kovac and Boehm.
type node struct {
	left, right *node
	i, j        int32
}

const (
	stretchDepth = 18
	longDepth    = 16
	arraySize    = 500000
)

func nodesOf(depth int) int { return 1<<(depth+1) - 1 }

func (n *node) populate(depth int) {
	if depth <= 0 {
		return
	}
	n.left = new(node)
	n.right = new(node)
	n.left.populate(depth - 1)
	n.right.populate(depth - 1)
}

func nodeMake(depth int) *node {
	if depth <= 0 {
		return new(node)
	}
	left, right := nodeMake(depth-1), nodeMake(depth-1)
	return &node{left: left, right: right}
}

var nodeSink *node

func construct(depth int) int {
	n := 2 * nodesOf(stretchDepth) / nodesOf(depth)
	for range n {
		top := new(node)
		top.populate(depth)
		nodeSink = top
	}
	for range n {
		nodeSink = nodeMake(depth)
	}
	return 2 * n * nodesOf(depth)
}

func gcbench(int) int {
	nodeSink = nodeMake(stretchDepth)
	keep := new(node)
	keep.populate(longDepth)
	array := make([]float64, arraySize)
	for i := 1; i < arraySize/2; i++ {
		array[i] = 1 / float64(i)
	}
	nodes := nodesOf(stretchDepth) + nodesOf(longDepth)
	for depth := 4; depth <= longDepth; depth += 2 {
		nodes += construct(depth)
	}
	if keep.left == nil || array[1000] != 1.0/1000 {
		return 0
	}
	return nodes
}

var itemSink *item

// itemsTouch goes down a path of its own, to one in the middle of the tree.
func itemsTouch(random uint64) {
	at := items
	for i := range 12 {
		if random>>i&1 != 0 {
			at = at.left
		} else {
			at = at.right
		}
	}
	at.left, at.right = at.right, at.left
}

// pause tells how long the program stood at most, with that many MiB of items
// alive and three times as many that come and go. There is no CPU time of it.
func pause(mib int) int {
	n := mib << 20 / int(unsafe.Sizeof(item{}))
	x := uint64(88172645463325252)
	itemsMake(n, true)
	for i := range 3 * n {
		itemSink = new(item)
		if i%64 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			itemsTouch(x)
		}
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	longest := int64(0)
	for _, ns := range stats.PauseNs {
		longest = max(longest, int64(ns))
	}
	figures = &[2]int64{longest, longest}
	return 1
}

// The last 200,000 messages of 1 KiB are kept, or as many as are asked for.
const usualWindow = 200000

type message1K [1024]byte

var window []*message1K

func pushOne(i int) {
	m := new(message1K)
	for k := range m {
		m[k] = byte(i)
	}
	window[i%len(window)] = m
}

func pushOpen(size int) {
	if window != nil {
		return
	}
	window = make([]*message1K, size)
	for i := range size {
		pushOne(i)
	}
}

func push(n int) int {
	pushOpen(usualWindow)
	for i := range n {
		pushOne(i)
	}
	return n
}

// Works that tell figures of their own leave them here: for CPU and wall time.
var figures *[2]int64

const clockThreadCPU = 3

func threadTime() int64 {
	var ts syscall.Timespec

	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU,
		uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// pushWorst tells how long the longest took of three times as many as are kept.
func pushWorst(mib int) int {
	n := mib << 20 / len(message1K{})
	pushOpen(n)
	n *= 3
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var worst [2]int64
	last := time.Now()
	for i := range n {
		cpu := threadTime()
		pushOne(i)
		worst[0] = max(worst[0], threadTime()-cpu)
		now := time.Now()
		worst[1] = max(worst[1], now.Sub(last).Nanoseconds())
		last = now
	}
	figures = &worst
	return 1
}

// Memory: objects of 16 to 4,096 bytes that may hold pointers, small ones more
// often, in a table; each step puts another one in a random place; then three of
// four are dropped.
const (
	slots = 200000
	steps = 2000000
)

type rssTable struct {
	slots [slots][]*byte
	live  int
	x     uint64
}

var table *rssTable
var one byte

func (t *rssTable) random() uint64 {
	t.x ^= t.x << 13
	t.x ^= t.x >> 7
	t.x ^= t.x << 17
	return t.x
}

func (t *rssTable) put(i int) {
	random := t.random()
	size := 16 << (random % 8)
	size += int((random >> 32) % uint64(size))
	words := (size + 7) / 8
	t.live += 8 * (words - cap(t.slots[i]))
	t.slots[i] = make([]*byte, words, words)
	for k := range t.slots[i] {
		t.slots[i][k] = &one
	}
}

func resident() int {
	var pages int

	text, _ := os.ReadFile("/proc/self/statm")
	fmt.Sscanf(string(text), "%d %d", new(int), &pages)
	return pages * os.Getpagesize()
}

func rss(churn, drop bool) int {
	before := resident()
	table = &rssTable{x: 88172645463325252}
	for i := range slots {
		table.put(i)
	}
	for range steps {
		if !churn {
			break
		}
		table.put(int(table.random() % slots))
	}
	for i := range slots {
		if drop && table.random()%4 != 0 {
			table.live -= 8 * cap(table.slots[i])
			table.slots[i] = nil
		}
	}
	for range 3 {
		if !drop {
			break
		}
		runtime.GC()
		time.Sleep(time.Second)
	}
	bytes := resident() - before
	live := table.live + int(unsafe.Sizeof(*table))
	figures = &[2]int64{int64(bytes / (live / 1000)), int64(bytes >> 10)}
	return 1000
}
