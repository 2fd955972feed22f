/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Goroutines, processors, threads and the runtime that holds them.
 *
 * A goroutine runs on a thread that holds a processor. The processor carries
 * what running takes: a queue of goroutines, warm stacks, a heap of sleepers.
 * There is one thread and one processor today; what is per processor and what
 * is shared is already told apart.
 *
 * A goroutine that stops picks the next one itself and switches straight to it.
 * What must be done once nobody runs on the old stack (queue it, free it) is
 * done on the new one: struct burrow_thread says what, burrow_sched_landed()
 * does it. Where there is nothing to run the thread goes back to its own stack,
 * to the loop in sched.c, and waits there.
 *
 * Locks: runtime.lock guards the global queue, the slabs of goroutines, and
 * whether the runtime runs; the lock of a stack class is taken inside it.
 * Processors have no lock: their own thread alone touches them.
 */
#ifndef BURROW_SCHED_H
#define BURROW_SCHED_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../include/burrow.h"
#include "../stack/stack.h"

#define BURROW_NAME_BYTES 32
#define BURROW_QUEUE_LEN 256 /* a power of two */

/* What a goroutine is doing; dumps show it. */
enum goroutine_state {
	GOROUTINE_FREE, /* no goroutine */
	GOROUTINE_RUNNABLE, /* in a queue */
	GOROUTINE_RUNNING,
	GOROUTINE_WAITING, /* see its reason */
};

/* Why it waits. */
enum goroutine_reason {
	GOROUTINE_SLEEP,
	GOROUTINE_PARKED, /* until someone makes it ready */
};

/**
 * struct goroutine - one goroutine
 * @context:	its stack pointer while it is not running
 * @stack:	none until it first runs
 * @next:	the next one of the queue or of the free list it is on
 * @id:		never used twice in a process
 * @fn:		what it runs
 * @arg:	its argument
 * @exceptions:	C++ exceptions in flight while it is not running
 * @state:	enum goroutine_state
 * @reason:	enum goroutine_reason, where it waits
 * @class:	of its stack
 * @name:	NUL terminated, empty if it has none
 *
 * Lies in a slab (goroutine.c) that lives as long as the runtime runs.
 */
struct goroutine {
	void *context;
	struct burrow_stack stack;
	struct goroutine *next;
	uint64_t id;
	void (*fn)(void *arg);
	void *arg;
	uintptr_t exceptions[2];
	uint8_t state;
	uint8_t reason;
	uint8_t class;
	char name[BURROW_NAME_BYTES];
};

/* For "goroutine %lu%s%s%s": " (name)", or nothing. */
#define BURROW_NAME_ARGS(g) \
	(g)->name[0] ? " (" : "", (g)->name, (g)->name[0] ? ")" : ""

/**
 * struct goroutine_queue - first in, first out
 */
struct goroutine_queue {
	struct goroutine *first;
	struct goroutine *last;
	size_t count;
};

/**
 * struct burrow_sleeper - an entry of the heap of sleepers
 */
struct burrow_sleeper {
	int64_t when;
	struct goroutine *g;
};

/**
 * struct burrow_sleepers - those who wait for a time, soonest first
 * @heap:	4-ary heap
 * @count:	entries used
 * @room:	entries there is room for
 */
struct burrow_sleepers {
	struct burrow_sleeper *heap;
	size_t count;
	size_t room;
};

/**
 * struct burrow_proc - what a thread needs to run goroutines
 * @queue:	ring of those that can run
 * @head:	next to run
 * @tail:	where the next is put
 * @tick:	counts switches
 * @sleepers:	who sleeps
 * @cache:	warm stacks
 * @free:	goroutine structs to use again
 * @decay_at:	when warm stacks are looked at next
 */
struct burrow_proc {
	struct goroutine *queue[BURROW_QUEUE_LEN];
	uint32_t head;
	uint32_t tail;
	uint64_t tick;
	struct burrow_sleepers sleepers;
	struct burrow_stack_cache cache;
	struct goroutine_queue free;
	int64_t decay_at;
};

/* What is to be done with the goroutine that was left. */
enum burrow_after {
	AFTER_NOTHING,
	AFTER_QUEUE,
	AFTER_FREE,
};

/**
 * struct burrow_thread - a thread that runs goroutines
 * @current:	who runs on it, &@loop if none
 * @left:	whom it ran before
 * @after:	what is to be done with @left
 * @proc:	the processor it holds
 * @loop:	the thread's own stack, as if it were a goroutine
 * @exceptions:	the C++ library's per-thread state, NULL without C++
 * @blocking:	in burrow_blocking(): on the thread's stack
 * @tid:	of the kernel
 * @signal_stack: where signals are handled
 * @signal_old:	what was set before
 */
struct burrow_thread {
	struct goroutine *current;
	struct goroutine *left;
	enum burrow_after after;
	struct burrow_proc *proc;
	struct goroutine loop;
	uintptr_t *exceptions;
	bool blocking;
	pid_t tid;
	void *signal_stack;
	stack_t signal_old;
};

/**
 * struct burrow_config - options, environment and defaults, made into one
 */
struct burrow_config {
	int procs;
	enum burrow_backend backend;
	size_t stack_max;
	bool no_guard_install;
};

/**
 * struct burrow_dump_request - burrow_dump() of a thread that is no goroutine
 * @fd:		where to
 * @state:	1 asked, 2 done; a futex
 */
struct burrow_dump_request {
	int fd;
	uint32_t state;
};

struct burrow_slab;

/**
 * struct burrow_runtime - all there is, once
 * @lock:	see the head of this file
 * @running:	between start and stop; changed under @lock
 * @config:	how
 * @pool:	of stacks
 * @class:	of stacks where no other is asked
 * @queue:	goroutines that any processor may run; under @lock
 * @queued:	its length, for a look without the lock
 * @slabs:	of goroutines; under @lock
 * @alive:	how many goroutines there are
 * @created:	how many there ever were in this run
 * @switches:	how often one was switched to
 * @next_id:	lives on from run to run
 * @wake:	futex of a thread that waits for work
 * @idle:	a thread waits
 * @dump:	someone asks for a dump
 * @main_fn:	the main goroutine's function
 * @main_arg:	its argument
 * @main_result: what it returned
 * @done:	it has returned
 * @told:	the line on stacks that can't be had was written
 * @thread:	the one there is
 * @proc:	the one there is
 */
struct burrow_runtime {
	pthread_mutex_t lock;
	bool running;
	struct burrow_config config;
	struct burrow_stack_pool pool;
	int class;
	struct goroutine_queue queue;
	size_t queued;
	struct burrow_slab *slabs;
	size_t alive;
	uint64_t created;
	uint64_t switches;
	uint64_t next_id;
	uint32_t wake;
	uint32_t idle;
	struct burrow_dump_request *dump;
	int (*main_fn)(void *arg);
	void *main_arg;
	int main_result;
	bool done;
	bool told;
	struct burrow_thread thread;
	struct burrow_proc proc;
};

extern struct burrow_runtime burrow_runtime;

/* The thread's part in the runtime, NULL if it has none. */
struct burrow_thread *burrow_self(void);
void burrow_self_set(struct burrow_thread *thread);

/* The goroutine that runs here (in burrow_blocking() too), or NULL. */
struct goroutine *burrow_current(void);

/* options.c: 0, or a negative errno with a line on standard error. */
int burrow_config_read(struct burrow_config *config,
		       const struct burrow_options *opts);

/* Copies a struct that begins with its size as the caller knows it. */
int burrow_sized_copy(void *to, size_t size, const void *from, size_t least);

/* goroutine.c */
struct goroutine *goroutine_new(struct burrow_thread *self);
void goroutine_free(struct burrow_proc *proc, struct goroutine *g);
void goroutine_each(void (*fn)(struct goroutine *g, void *arg), void *arg);
void goroutine_slabs_free(void);
void goroutine_queue_push(struct goroutine_queue *queue, struct goroutine *g);
struct goroutine *goroutine_queue_pop(struct goroutine_queue *queue);

/* sleep.c: the heap; times are of burrow_now(). */
int burrow_sleepers_add(struct burrow_sleepers *s, int64_t when,
			struct goroutine *g);
struct goroutine *burrow_sleepers_due(struct burrow_sleepers *s, int64_t now);
void burrow_sleepers_free(struct burrow_sleepers *s);

/* sched.c */
void burrow_sched_loop(struct burrow_thread *self);
void burrow_sched_ready(struct goroutine *g);
void burrow_sched_park(struct burrow_thread *self, enum goroutine_reason why);
void burrow_sched_wake(void);

/* The thread, if a goroutine runs on it that may be switched from. */
struct burrow_thread *burrow_sched_enter(const char *call);

/* fork.c */
void burrow_fork_watch(void);

/* Runs @fn on the thread's own stack. */
void burrow_call_on_thread(struct burrow_thread *self, void (*fn)(void *arg),
			   void *arg);

/* debug/crash.c: signal handlers and the stack they run on. */
int burrow_crash_open(struct burrow_thread *self);
void burrow_crash_close(struct burrow_thread *self);
void burrow_crash_no_stack(struct goroutine *g, int err)
	__attribute__((noreturn));

/*
 * debug/dump.c: without asking, from the runtime's thread; from a signal
 * handler with its third argument.
 */
void burrow_dump_all(int fd, const void *ucontext);

#endif /* BURROW_SCHED_H */
