// SPDX-License-Identifier: GPL-2.0

// Goroutines beside Burrow's: each benchmark of `burrow bench` that Go can do,
// as one would write it in Go. Requests come over standard input, a line each:
// what, on how many processors, how often. The answer is three numbers: how
// often it was done, and the nanoseconds of CPU and of wall time that it took.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Each does it n times, or nearly, and says how often it was.
var works = map[string]func(n int) int{
	"spawn":              spawn,
	"join":               join,
	"yield":              yield,
	"message":            message,
	"buffered":           buffered,
	"select":             selectOf4,
	"select-alternating": selectAlternating,
	"skynet":             skynet,
	"ring":               ring,
	"mutex":              mutex,
	"mutex-held":         mutexHeld,
	"sleep":              sleep,
	"alloc-16":           onAll[words16],
	"alloc-32":           onAll[words32],
	"alloc-64":           onAll[words64],
	"alloc-256":          onAll[words256],
	"trees-18":           func(n int) int { return trees(min(n, 18)) },
	"trees-20":           func(n int) int { return trees(min(n, 20)) },
	"mark-random":        func(n int) int { return mark(n, true) },
	"mark-ordered":       func(n int) int { return mark(n, false) },
	"gcbench":            gcbench,
	"push":               push,
	"worst-256":          pushWorst,
	"worst-1024":         pushWorst,
	"pause-256":          pause,
	"pause-1024":         pause,
	"rss-fill":           func(int) int { return rss(false, false) },
	"rss-churn":          func(int) int { return rss(true, false) },
	"rss-drop":           func(int) int { return rss(true, true) },
}

const clockProcessCPU = 2

func cpuTime() int64 {
	var ts syscall.Timespec

	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockProcessCPU,
		uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func measure(work func(n int) int, n int) (done int, cpu, wall int64) {
	figures = nil
	start := time.Now()
	cpu = cpuTime()
	done = work(n)
	if figures != nil {
		return done, figures[0], figures[1]
	}
	return done, cpuTime() - cpu, time.Since(start).Nanoseconds()
}

func main() {
	var what string
	var procs, n int

	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Sscan(in.Text(), &what, &procs, &n)
		if procs != runtime.GOMAXPROCS(0) {
			runtime.GOMAXPROCS(procs)
		}
		if what == "echo" {
			fmt.Println(echo())
		} else if work := works[what]; work != nil {
			fmt.Println(measure(work, n))
		} else {
			fmt.Println(0, 0, 0)
		}
	}
}
