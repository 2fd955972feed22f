// SPDX-License-Identifier: GPL-2.0

// Goroutines beside Burrow's: the same recursion and the same parked crowd,
// told what to do by `burrow bench` over standard input, a line a request.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// In assembly: a Go function would clear its locals, which C does not.
func ticks() uint64
func descend(frames uint64)

// Where descend notes the time at the bottom.
var bottom uint64

// grow has a new goroutine recurse: the ticks of the growth alone, and of
// everything from its start to its end.
func grow(frames uint64) (op, cycle uint64) {
	done := make(chan uint64)
	start := ticks()
	go func() {
		t0 := ticks()
		descend(frames)
		done <- bottom - t0
	}()
	op = <-done
	return op, ticks() - start
}

// A crowd of goroutines that wait for a channel to close, and wait again if
// something comes out of it.
type crowd struct {
	parked sync.WaitGroup
	woken  sync.WaitGroup
	ended  sync.WaitGroup
	end    chan struct{}
}

func (c *crowd) park(count int) uint64 {
	start := ticks()
	c.end = make(chan struct{})
	c.parked.Add(count)
	c.ended.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			c.parked.Done()
			for range c.end {
				c.woken.Done()
			}
			c.ended.Done()
		}()
	}
	c.parked.Wait()
	return ticks() - start
}

// wake has those who have waited for longest wait once more.
func (c *crowd) wake(count int) uint64 {
	start := ticks()
	c.woken.Add(count)
	for i := 0; i < count; i++ {
		c.end <- struct{}{}
	}
	c.woken.Wait()
	return ticks() - start
}

func (c *crowd) finish() uint64 {
	start := ticks()
	close(c.end)
	c.ended.Wait()
	return ticks() - start
}

func cpu() int64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return used.Utime.Nano() + used.Stime.Nano()
}

// collect tells the ticks of a collection, its CPU time, and how long the program
// stood still in it.
func collect() (uint64, int64, uint64) {
	var stats runtime.MemStats
	used, start := cpu(), ticks()
	runtime.GC()
	took := ticks() - start
	used = cpu() - used
	runtime.ReadMemStats(&stats)
	return took, used, stats.PauseNs[(stats.NumGC+255)%256]
}

func main() {
	var c crowd
	var what string
	var n uint64

	runtime.GOMAXPROCS(1)
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Sscan(in.Text(), &what, &n)
		switch what {
		case "grow":
			fmt.Println(grow(n))
		case "park":
			fmt.Println(c.park(int(n)), n)
		case "collect":
			fmt.Println(collect())
		case "wake":
			fmt.Println(c.wake(int(n)))
		case "end":
			fmt.Println(c.finish())
		}
	}
}
