/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Burrow: goroutines for C.
 *
 * burrow_run() starts the runtime on the calling thread and runs a function as
 * the main goroutine; burrow_go() starts others. A goroutine is an ordinary C
 * function on a stack of its own that grows as it is used.
 *
 * Functions that can fail return 0 or a positive result, or a negative errno;
 * the thread's errno does not survive a switch between goroutines. Options and
 * statistics begin with their own size, which the caller sets, so that they can
 * grow: a struct longer than the library knows is taken if the rest is zero
 * (-E2BIG if not). Durations and times are nanoseconds in an int64_t.
 *
 * From a thread that is no goroutine only the functions that say so may be
 * called; the others return -EPERM or, where they return no int, end the
 * process with a line that says why.
 */
#ifndef BURROW_H
#define BURROW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library is built with all else hidden. */
#pragma GCC visibility push(default)

/**
 * enum burrow_backend - where stacks come from
 * @BURROW_BACKEND_AUTO: the kernel module where it can be used, else mmap
 * @BURROW_BACKEND_KMOD: the kernel module
 * @BURROW_BACKEND_MMAP: anonymous memory
 */
enum burrow_backend {
	BURROW_BACKEND_AUTO = 0,
	BURROW_BACKEND_KMOD = 1,
	BURROW_BACKEND_MMAP = 2,
};

/**
 * struct burrow_options - how the runtime is to run
 * @size:	sizeof(struct burrow_options)
 * @procs:	goroutines that may run at the same time, 1024 at most; by default
 *		as many as the process has CPUs, by its affinity and by the quota
 *		of its cgroup
 * @backend:	where stacks come from
 * @stack_max:	bytes that a goroutine may use of its stack, rounded up so that
 *		stack and guard fill a power of two; 224 KiB by default, 896 MiB
 *		at most. The main goroutine has 8 MiB at least
 * @gc_percent:	how much the heap may grow between collections, 100 by default;
 *		-1: it is not collected as it grows. See burrow_gc_percent()
 * @memory_limit: bytes that heap and stacks should keep to; by default nine tenths
 *		of what the cgroup allows; SIZE_MAX: no limit. See
 *		burrow_memory_limit()
 *
 * 0 means: what the environment says (BURROW_PROCS, BURROW_BACKEND,
 * BURROW_STACKMAX, BURROW_GC, BURROW_MEMLIMIT), or else the default.
 */
struct burrow_options {
	size_t size;
	int procs;
	enum burrow_backend backend;
	size_t stack_max;
	int gc_percent;
	size_t memory_limit;
};

/**
 * struct burrow_go_options - what one goroutine wants
 * @size:	sizeof(struct burrow_go_options)
 * @name:	shown in messages and dumps, 31 bytes of it are kept; may be NULL
 * @stack_max:	as in struct burrow_options; may be more than the runtime's
 */
struct burrow_go_options {
	size_t size;
	const char *name;
	size_t stack_max;
};

/**
 * struct burrow_stats - what the runtime has done and holds
 * @size:	sizeof(struct burrow_stats)
 * @goroutines:	alive now
 * @created:	ever created
 * @switches:	times that a goroutine was switched to
 * @stack_bytes: memory in stacks now, those among it that ended ones left
 * @stack_grows: page faults that made a stack larger, as far as the backend
 *		knows (mmap does not)
 * @stacks_warm: stacks of ended goroutines kept for new ones
 * @procs:	goroutines that may run at the same time
 * @procs_idle:	how many of those find nothing to run now
 * @threads:	that the runtime has started
 * @heap_live:	bytes of objects that the last collection found alive
 * @heap_bytes:	memory in the heap now
 * @gc_cycles:	collections so far
 * @gc_pause_max_ns: the longest time that they stopped the program
 * @gc_pause_total_ns: all such times
 * @gc_cpu_ns:	CPU time of the collector
 * @heap_external: what burrow_external_memory() was told
 * @gc_pause_cpu_max_ns: the most CPU time that the collector took while it
 *		stopped the program
 * @stacks_hibernated: stacks of long parked goroutines that hold no page now; this
 *		and what follows is 0 where stacks do not hibernate, as on mmap
 * @saved_bytes: what is kept of them
 * @store_bytes: memory that it is kept in, no part of @stack_bytes
 * @hibernates:	times that a stack was
 * @restores:	times that one was put back because somebody touched it
 * @hibernate_races: times that one was left alone because its goroutine woke
 */
struct burrow_stats {
	size_t size;
	uint64_t goroutines;
	uint64_t created;
	uint64_t switches;
	uint64_t stack_bytes;
	uint64_t stack_grows;
	uint64_t stacks_warm;
	uint64_t procs;
	uint64_t procs_idle;
	uint64_t threads;
	uint64_t heap_live;
	uint64_t heap_bytes;
	uint64_t gc_cycles;
	uint64_t gc_pause_max_ns;
	uint64_t gc_pause_total_ns;
	uint64_t gc_cpu_ns;
	uint64_t heap_external;
	uint64_t gc_pause_cpu_max_ns;
	uint64_t stacks_hibernated;
	uint64_t saved_bytes;
	uint64_t store_bytes;
	uint64_t hibernates;
	uint64_t restores;
	uint64_t hibernate_races;
};

/**
 * burrow_run() - start the runtime and run a function as the main goroutine
 * @opts:	how, or NULL
 * @fn:		the main goroutine
 * @arg:	its argument
 *
 * Goroutines run on threads of the runtime's own; the calling one waits, and
 * watches over them. Returns when @fn does; goroutines that are left end with it,
 * where they are, those in plain C code at their next call into the library. May
 * be called again then. Handles SIGSEGV and SIGBUS meanwhile, for stacks
 * that overflow, and passes others to the handlers that were there; SIGQUIT,
 * if it was at its default, dumps all goroutines and exits with 2. SIGPIPE, if
 * at its default, does nothing from then on.
 *
 * Return: what @fn returned, or if the runtime can't start a negative errno,
 * with a line on standard error: -EBUSY if it runs already.
 */
int burrow_run(const struct burrow_options *opts, int (*fn)(void *arg),
	       void *arg);

/**
 * burrow_go() - start a goroutine
 * @fn:		what it runs
 * @arg:	its argument
 *
 * It has its stack reserved, and starts when a processor is free. May be
 * called from any thread while the runtime runs.
 *
 * Return: 0, -ENOMEM or -EAGAIN if no stack can be promised or the heap has no room
 * for its record (a line on standard error says what to do, once), -ESRCH if no
 * runtime runs.
 */
int burrow_go(void (*fn)(void *arg), void *arg);

/**
 * burrow_go_opts() - start a goroutine that wants something special
 * @opts:	what, or NULL
 * @fn:		what it runs
 * @arg:	its argument
 *
 * Return: as burrow_go(); -EINVAL if @opts asks for what can't be.
 */
int burrow_go_opts(const struct burrow_go_options *opts, void (*fn)(void *arg),
		   void *arg);

/**
 * burrow_yield() - let other goroutines run
 */
void burrow_yield(void);

/**
 * burrow_exit() - end this goroutine
 *
 * If it is the main one, the others go on, and burrow_run() does not return.
 */
void burrow_exit(void) __attribute__((noreturn));

/**
 * burrow_sleep() - wait for a time
 * @ns:		how long; not more than 0: just yield
 *
 * Return: 0, or -EPERM outside of goroutines.
 */
int burrow_sleep(int64_t ns);

/**
 * burrow_now() - the time, of CLOCK_MONOTONIC
 *
 * From any thread.
 *
 * Return: nanoseconds.
 */
int64_t burrow_now(void);

/**
 * burrow_id() - which goroutine is this
 *
 * From any thread.
 *
 * Return: a number that no other goroutine of this process has or had, 1 for
 * the first main one; 0 if this thread runs no goroutine.
 */
uint64_t burrow_id(void);

/**
 * burrow_num_goroutines() - how many goroutines there are
 *
 * From any thread.
 */
size_t burrow_num_goroutines(void);

/**
 * burrow_set_procs() - how many goroutines may run at the same time
 * @n:		1 to 1024; 0 changes nothing
 *
 * From any thread while the runtime runs. Takes effect at once upwards, and as
 * goroutines come to their next switch downwards.
 *
 * Return: what it was before, or -EINVAL, -ESRCH if no runtime runs, -ENOMEM.
 */
int burrow_set_procs(int n);

/**
 * burrow_lock_thread() - keep this goroutine on the thread that it runs on
 *
 * For libraries with state in thread-locals. Until burrow_unlock_thread() was
 * called as often, or the goroutine ends, it runs on this thread only and nobody
 * else runs on it. Each switch then takes a hand-over between two threads.
 */
void burrow_lock_thread(void);

/**
 * burrow_unlock_thread() - undo burrow_lock_thread()
 */
void burrow_unlock_thread(void);

/**
 * burrow_blocking() - run code that may block or fork on the thread's stack
 * @fn:		the code; calls that may park end the process with a line
 * @arg:	its argument
 *
 * Others run meanwhile: the goroutine gives its processor up if it is missed,
 * and comes back when it gets one again. fork() works in @fn (elsewhere in a
 * goroutine it ends the process with a line); the child has no goroutines and
 * must not return from @fn.
 */
void burrow_blocking(void (*fn)(void *arg), void *arg);

/**
 * burrow_blocking_nogc() - the same for code that touches no collected memory
 * @fn:		the code
 * @arg:	its argument
 */
void burrow_blocking_nogc(void (*fn)(void *arg), void *arg);

/**
 * burrow_stats() - read counters
 * @stats:	where to, @size set
 *
 * From any thread.
 *
 * Return: 0, or -EINVAL if @size makes no sense, -ESRCH if no runtime runs.
 */
int burrow_stats(struct burrow_stats *stats);

/**
 * burrow_dump() - write the state and the backtrace of every goroutine
 * @fd:		where to
 *
 * From any thread. Goroutines stop meanwhile; those in plain C code go on.
 *
 * Return: 0, or -ESRCH if no runtime runs.
 */
int burrow_dump(int fd);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include "burrow/chan.h"
#include "burrow/collector.h"
#include "burrow/ctx.h"
#include "burrow/event.h"
#include "burrow/gc.h"
#include "burrow/io.h"
#include "burrow/sync.h"
#include "burrow/timer.h"

#endif /* BURROW_H */
