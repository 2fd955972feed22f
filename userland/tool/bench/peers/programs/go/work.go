// SPDX-License-Identifier: GPL-2.0

package main

import (
	"runtime"
	"sync"
	"time"
)

// spawn starts n goroutines which each end at once.
func spawn(n int) int {
	var all sync.WaitGroup

	all.Add(n)
	for range n {
		go func() {
			all.Done()
		}()
	}
	all.Wait()
	return n
}

// join starts a goroutine and waits for its end, n times.
func join(n int) int {
	var one sync.WaitGroup

	for range n {
		one.Add(1)
		go func() {
			one.Done()
		}()
		one.Wait()
	}
	return n
}

// yield has two goroutines yield to each other, n times in all.
func yield(n int) int {
	var all sync.WaitGroup

	for range 2 {
		all.Go(func() {
			for range n / 2 {
				runtime.Gosched()
			}
		})
	}
	all.Wait()
	return n / 2 * 2
}

// messages sends n numbers from one goroutine to another.
func messages(c chan int, n int) int {
	sum := 0

	go func() {
		for i := range n {
			c <- i
		}
		close(c)
	}()
	for v := range c {
		sum += v
	}
	return n
}

func message(n int) int {
	return messages(make(chan int), n)
}

func buffered(n int) int {
	return messages(make(chan int, 128), n)
}

// receive takes n numbers from whichever of four channels has one.
func receive(a, b, c, d chan int, n int) (sum int) {
	for range n {
		select {
		case v := <-a:
			sum += v
		case v := <-b:
			sum += v
		case v := <-c:
			sum += v
		case v := <-d:
			sum += v
		}
	}
	return sum
}

// selectOf4 receives from four senders with a channel each.
func selectOf4(n int) int {
	var c [4]chan int

	n /= len(c)
	for i := range c {
		c[i] = make(chan int)
		go func() {
			for v := range n {
				c[i] <- v
			}
		}()
	}
	receive(c[0], c[1], c[2], c[3], n*len(c))
	return n * len(c)
}

// selectAlternating receives from one sender that uses four channels in turn.
func selectAlternating(n int) int {
	var c [4]chan int

	for i := range c {
		c[i] = make(chan int)
	}
	go func() {
		for v := range n {
			c[v%len(c)] <- v
		}
	}()
	receive(c[0], c[1], c[2], c[3], n)
	return n
}

// actor has ten actors below it, or is one of size at the bottom; it sends the
// sum of their numbers upwards. It returns how many there are.
func actor(up chan<- int64, number, size int64) {
	if size == 1 {
		up <- number
		return
	}
	below := make(chan int64)
	for i := range int64(10) {
		go actor(below, number+i*size/10, size/10)
	}
	var sum int64
	for range 10 {
		sum += <-below
	}
	up <- sum
}

// skynet starts a tree with the largest power of ten up to n at its bottom.
func skynet(n int) int {
	size, total := int64(1), 1
	for size*10 <= int64(n) {
		size *= 10
		total += int(size)
	}
	up := make(chan int64)
	go actor(up, 0, size)
	if <-up != size*(size-1)/2 {
		return 0
	}
	return total
}

// ring passes a number round 10,000 goroutines, n hops in all.
func ring(n int) int {
	const members = 10000

	first := make(chan int)
	in := first
	for range members - 1 {
		out := make(chan int)
		go func(in, out chan int) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	rounds := n / members
	for range rounds {
		first <- 0
		<-in
	}
	close(first)
	<-in
	return rounds * members
}

// crowd has 1,000 goroutines enter the same mutex, n times in all.
func crowd(n int, hold func()) int {
	const members = 1000
	var all sync.WaitGroup
	var lock sync.Mutex
	count := 0

	for range members {
		all.Go(func() {
			for range n / members {
				lock.Lock()
				count++
				if hold != nil {
					hold()
				}
				lock.Unlock()
			}
		})
	}
	all.Wait()
	return count
}

func mutex(n int) int {
	return crowd(n, nil)
}

func mutexHeld(n int) int {
	return crowd(n, runtime.Gosched)
}

// sleep has n goroutines sleep a second each.
func sleep(n int) int {
	var all sync.WaitGroup

	all.Add(n)
	for range n {
		go func() {
			time.Sleep(time.Second)
			all.Done()
		}()
	}
	all.Wait()
	return n
}
