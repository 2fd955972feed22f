// SPDX-License-Identifier: GPL-2.0

package main

import (
	"runtime"
	"sync"
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

// mark makes n objects when first called, and collects.
func mark(n int, random bool) int {
	if items == nil {
		all := make([]*item, n)
		for i := range all {
			all[i] = new(item)
		}
		if random {
			shuffle(all)
		}
		items = linkAll(all)
	}
	runtime.GC()
	return n
}
