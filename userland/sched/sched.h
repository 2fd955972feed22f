/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Goroutines, processors, threads and the runtime that holds them.
 *
 * A goroutine runs on a thread that holds a processor. The processor carries
 * what running takes: a queue of goroutines, warm stacks, timeouts, a ring for
 * I/O. There are as many processors as goroutines may run at once, and threads
 * as need be: those in burrow_blocking() and those that hog a CPU in plain C
 * code lose their processor to others (monitor.c). sched.c opens with how a
 * goroutine is woken and how a thread finds work or sleeps.
 *
 * Inside and outside. A thread is inside the runtime from burrow_enter() to
 * burrow_leave(), and outside while it runs the program's code. Only outside
 * can it be stopped or lose its processor, so what is inside may use the
 * processor, and take burrow_locks, without another thought. Being inside is a
 * word that the thread alone writes; who wants to stop it sets a bit in
 * thread.attention, passes a heavy barrier and looks at that word, while
 * burrow_enter() writes the word, passes a light barrier and looks at the bits.
 * A thread outside that long does not know that it has lost its processor; it
 * learns of it when it enters, and then its goroutine queues up for another.
 * What travels with the processor: everything in struct burrow_proc. What stays
 * with the thread: struct burrow_thread. Nothing of either is touched outside.
 *
 * Locks, outer before inner: world (world.c), burrow_locks of objects, that of a
 * heap of timeouts, runtime.lock, that of a stack class. So goroutines may be
 * made ready, and timeouts set, under the lock of what they waited for.
 */
#ifndef BURROW_SCHED_H
#define BURROW_SCHED_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../arch/arch.h"
#include "../gc/config.h"
#include "../include/burrow.h"
#include "../stack/stack.h"
#include "lock.h"
#include "timeout.h"
#include "wait.h"

/* The library is built for ThreadSanitizer: debug/sanitize.h. */
#ifdef __SANITIZE_THREAD__
#define BURROW_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BURROW_TSAN 1
#endif
#endif

#define BURROW_NAME_BYTES 32
#define BURROW_QUEUE_LEN 256 /* a power of two */
#define BURROW_PROCS_MAX 1024
#define BURROW_LOOKS 16 /* processors that a thief watches first */

/* What a goroutine is doing; dumps show it. */
enum goroutine_state {
	GOROUTINE_FREE, /* no goroutine */
	GOROUTINE_RUNNABLE, /* in a queue */
	GOROUTINE_RUNNING,
	GOROUTINE_WAITING, /* see its reason */
};

/* Why it waits; goroutine.c has a name for each. */
enum goroutine_reason {
	GOROUTINE_SLEEP,
	GOROUTINE_CHAN_SEND,
	GOROUTINE_CHAN_RECV,
	GOROUTINE_CHAN_SEND_NIL,
	GOROUTINE_CHAN_RECV_NIL,
	GOROUTINE_SELECT,
	GOROUTINE_SELECT_NONE,
	GOROUTINE_MUTEX,
	GOROUTINE_RWMUTEX_READ,
	GOROUTINE_RWMUTEX_WRITE,
	GOROUTINE_COND,
	GOROUTINE_WAITGROUP,
	GOROUTINE_ONCE,
	GOROUTINE_SEM,
	GOROUTINE_EVENT,
	GOROUTINE_IO_READ,
	GOROUTINE_IO_WRITE,
	GOROUTINE_IO_ACCEPT,
	GOROUTINE_IO_CONNECT,
	GOROUTINE_IO_POLL,
	GOROUTINE_IO_FILE,
	GOROUTINE_IO_CLOSE,
	GOROUTINE_GC,
	GOROUTINE_REASONS,
};

/**
 * struct goroutine - one goroutine
 * @context:	its stack pointer while it is not running, or runs on its
 *		thread's own stack
 * @stack:	none until it first runs
 * @next:	the next one of the queue or of the free list it is on
 * @id:		never used twice in a process
 * @fn:		what it runs, until it first runs
 * @arg:	its argument, until then
 * @exceptions:	from then on: C++ exceptions in flight while it is not running
 * @state:	enum goroutine_state
 * @reason:	enum goroutine_reason, where it waits
 * @class:	of its stack
 * @cold:	its stack was empty when it started
 * @locked:	@bound is set: as much of it as a switch has to know
 * @parked_at:	rt.clock of the monitor when it last parked
 * @claimed:	of its select: 0 open, 1 taken; see burrow_waiter_claim()
 * @slept:	its stack may have hibernated; a hint, of hibernate.c
 * @waiter:	its place in the queue that it waits in
 * @timeout:	ends what it waits for
 * @name:	NUL terminated, in a slab of names; NULL if it has none
 * @site:	where it was spawned: return address of burrow_go()
 * @bound:	the thread that it is locked to, or NULL
 * @fiber:	what it is to ThreadSanitizer, while it has a stack
 *
 * Lies in a slab (goroutine.c) that lives as long as the runtime runs.
 */
struct goroutine {
	void *context;
	struct burrow_stack stack;
	struct goroutine *next;
	uint64_t id;
	union {
		struct {
			void (*fn)(void *arg);
			void *arg;
		};
		uintptr_t exceptions[2];
	};
	uint8_t state;
	uint8_t reason;
	uint8_t class;
	uint8_t cold : 1, locked : 1;
	uint32_t parked_at;
	uint32_t claimed;
	uint8_t slept;
	struct burrow_waiter waiter;
	struct burrow_timeout timeout;
	char *name;
	void *site;
	struct burrow_thread *bound;
#ifdef BURROW_TSAN
	void *fiber;
#endif
};

/* For "goroutine %lu%s%s%s": " (name)", or nothing. */
#define BURROW_NAME_ARGS(g) \
	(g)->name ? " (" : "", (g)->name ? (g)->name : "", (g)->name ? ")" : ""

/**
 * struct goroutine_queue - first in, first out
 */
struct goroutine_queue {
	struct goroutine *first;
	struct goroutine *last;
	size_t count;
};

struct burrow_io_ring;
struct burrow_cells;

/**
 * struct burrow_fresh - goroutines that have not run yet
 * @lock:	over it, but that @head and @tail are read without it as hints
 * @head:	the oldest
 * @tail:	where the next is put
 * @ring:	them
 */
struct burrow_fresh {
	struct burrow_lock lock;
	uint32_t head;
	uint32_t tail;
	struct goroutine *ring[BURROW_QUEUE_LEN];
};

/**
 * struct burrow_proc - what a thread needs to run goroutines
 * @head:	next of the ring to run; thieves move it too
 * @tail:	where the next is put; the holder alone moves it
 * @next:	runs before those in the ring; thieves may take it
 * @ring:	those that can run
 * @tick:	counts looks for another to switch to; see burrow_proc_switches()
 * @skip:	readies into @next still to pass before an idle one is woken
 * @skip_max:	what @skip begins with; see burrow_ready()
 * @next_told:	somebody was woken for what is in @next
 * @fresh:	goroutines that have not run yet
 * @thread:	who holds it, NULL: nobody; written under runtime.lock
 * @index:	its number
 * @active:	it may run; under runtime.lock
 * @idle:	on the list of idle ones; under runtime.lock
 * @idle_next:	there; under runtime.lock
 * @timers:	timeouts set here
 * @io:		its ring or what stands for one; owned by io/
 * @io_busy:	requests in flight: somebody must poll; the holder writes it
 * @cache:	warm stacks
 * @free:	goroutine structs to use again, the last in is the first
 * @nr_free:	how many
 * @spare:	promises of a stack of the runtime's class not used
 * @id_next:	ids to give out: from here
 * @id_end:	to here
 * @created:	goroutines ever started here
 * @ended:	goroutines ended here
 * @misses:	those of @tick that led to no switch, less switches without one
 * @fair_at:	runtime.clock when the oldest of @fresh had its turn
 * @decay_at:	when warm stacks are looked at next
 * @region_at:	memory for objects: from here
 * @region_end:	to here
 * @cells:	small memory to use again (chan/cell.c)
 * @random:	state of the generator for stealing and select
 * @seen_switches: switches as the monitor saw them; the monitor's
 * @seen_at:	when it saw that first; the monitor's
 *
 * The holder's alone while it is inside, but for what says otherwise.
 * Counters are read by others without a lock.
 */
struct burrow_proc {
	struct goroutine *next;
	uint32_t tail;
	uint32_t skip;
	uint32_t skip_max;
	bool next_told;
	uint64_t tick;
	uint64_t misses;
	struct goroutine *ring[BURROW_QUEUE_LEN];

	uint32_t head __attribute__((aligned(64)));

	struct burrow_fresh fresh __attribute__((aligned(64)));

	struct burrow_thread *thread __attribute__((aligned(64)));
	int index;
	bool active;
	bool idle;
	struct burrow_proc *idle_next;

	struct burrow_timers timers;
	struct burrow_io_ring *io;
	uint32_t io_busy;

	struct burrow_stack_cache cache;
	struct goroutine *free;
	uint32_t nr_free;
	uint32_t spare;
	uint64_t id_next;
	uint64_t id_end;
	uint64_t created;
	uint64_t ended;
	uint32_t fair_at;
	int64_t decay_at;
	char *region_at;
	char *region_end;
	struct burrow_cells *cells;
	uint64_t random;

	uint64_t seen_switches;
	int64_t seen_at;
};

/* How often one was switched to here; from other threads a moment's guess. */
static inline uint64_t burrow_proc_switches(const struct burrow_proc *proc)
{
	return __atomic_load_n(&proc->tick, __ATOMIC_RELAXED) -
	       __atomic_load_n(&proc->misses, __ATOMIC_RELAXED);
}

/* What is to be done with the goroutine that was left. */
enum burrow_after {
	AFTER_NOTHING,
	AFTER_LOOP, /* it was the thread's loop */
	AFTER_QUEUE, /* at the tail of the processor's ring */
	AFTER_FREE,
	AFTER_UNLOCK, /* a burrow_lock */
	AFTER_CALL, /* a function */
};

/* Bits of thread.attention. */
enum burrow_attention {
	ATTENTION_STOP = 1, /* the world stops */
	ATTENTION_LOST = 2, /* it has no processor any more */
	ATTENTION_GONE = 4, /* the runtime has ended */
	ATTENTION_BLOCKING = 8, /* in burrow_blocking(); own thread sets it */
	ATTENTION_FENCE = 16, /* light barriers are fences; from its start on */
	ATTENTION_NOGC = 32, /* in burrow_blocking_nogc(), with BLOCKING */
};

/* thread.sleep: what kick must do. */
enum burrow_sleep_state {
	SLEEP_AWAKE,
	SLEEP_FUTEX, /* on this word */
	SLEEP_IO, /* in its processor's ring */
	SLEEP_KICKED,
};

/**
 * struct burrow_thread - a thread that runs goroutines
 * @inside:	in the runtime; it alone writes that
 * @attention:	enum burrow_attention, as atomic bits; a futex while STOP is set
 * @current:	who runs on it, &@loop if none
 * @left:	whom it ran before
 * @after:	what is to be done with @left
 * @after_fn:	what AFTER_CALL calls, AFTER_UNLOCK drops
 * @after_arg:	its argument
 * @proc:	the processor it holds; written under runtime.lock
 * @loop:	the thread's own stack, as if it were a goroutine
 * @exceptions:	the C++ library's per-thread state, NULL without C++
 * @spinning:	looks for work and is counted in runtime.spinning
 * @woken_by:	the processor that wanted it woken to look for work, or NULL; by
 *		itself, and under runtime.lock while it sleeps
 * @seen:	switches of others when it began to look, as far as they fit
 * @look:	it is to look around before it runs anything
 * @picked:	what it was to run when it went back to its loop, or NULL
 * @start_fn:	function of the goroutine that is being started
 * @start_arg:	its argument
 * @bound:	the goroutine that is locked to it
 * @bound_count: how often it was locked
 * @bound_ready: @bound waits to run here; under runtime.lock
 * @sleep:	enum burrow_sleep_state; a futex
 * @sleep_proc:	in whose ring it sleeps, while SLEEP_IO
 * @remains:	what it must let go when it ends, where the run ended before
 * @next:	list of all of them; under runtime.lock
 * @spare_next:	list of those without a processor; under runtime.lock
 * @spare:	on it
 * @exited:	has left its loop; under runtime.lock
 * @pthread:	handle
 * @tid:	of the kernel
 * @signal_stack: where signals are handled
 * @signal_top:	its upper end
 * @signal_old:	what was set before
 * @stack_low:	low end of its own stack
 * @stop:	enum burrow_stop_state; gc/stop.c says who writes it
 * @stop_context: while it stands: what the signal interrupted
 * @stop_frame:	and a frame below which it has nothing
 * @own_low:	low end of its own stack, as AddressSanitizer says; else NULL
 * @own_size:	bytes of that
 */
struct burrow_thread {
	uint32_t inside;
	uint32_t attention;
	struct goroutine *current;
	struct burrow_proc *proc;
	struct goroutine *left;
	enum burrow_after after;
	void (*after_fn)(struct goroutine *g, void *arg);
	void *after_arg;
	uintptr_t *exceptions;
	bool spinning;
	bool look;
	struct burrow_proc *woken_by;
	uint64_t seen[BURROW_LOOKS];
	struct goroutine *picked;
	void (*start_fn)(void *arg);
	void *start_arg;
	struct goroutine *bound;
	uint32_t bound_count;
	bool bound_ready;
	uint32_t sleep;
	struct burrow_proc *sleep_proc;
	struct burrow_remains *remains;
	struct burrow_thread *next;
	struct burrow_thread *spare_next;
	bool spare;
	bool exited;
	pthread_t pthread;
	pid_t tid;
	void *signal_stack;
	void *signal_top;
	stack_t signal_old;
	const char *stack_low;
	uint32_t stop;
	const void *stop_context;
	const void *stop_frame;
	const void *own_low;
	size_t own_size;
	struct goroutine loop;
};

/**
 * struct burrow_config - options, environment and defaults, made into one
 */
struct burrow_config {
	int procs;
	enum burrow_backend backend;
	size_t stack_max;
	bool no_guard_install;
	bool no_uring;
	int64_t schedtrace_ns;
	int64_t hibernate_ns; /* who has been parked for so long; -1: nobody */
	struct burrow_gc_config gc;
	bool heap_poison;
	bool heap_check;
	bool no_kmod_heap;
};

struct burrow_slab;
struct burrow_region;
struct burrow_event;
struct burrow_remains;

/**
 * struct burrow_runtime - all there is, once
 * @lock:	over what says so
 * @running:	between start and stop; changed under @lock
 * @run:	number of this run, from 1 on
 * @config:	how
 * @pool:	of stacks; outlives the run where threads are still in C code
 * @remains:	takes what threads in C code may touch when the run has ended
 * @class:	of stacks where no other is asked
 * @queue:	goroutines that any processor may run; under @lock
 * @fresh:	the same of those that have not run yet; under @lock
 * @queued:	length of both, for a look without the lock
 * @spilled:	that of the first
 * @slabs:	of goroutines; under @lock
 * @free:	goroutine structs to use again; under @lock
 * @names:	of named goroutines, to use again; under @lock
 * @regions:	memory of cells and listeners; region.c
 * @heap:	of this run
 * @procs:	all there ever were in this process, NULL behind them
 * @nr_procs:	how many may run; changed with the world stopped
 * @nr_active:	those and the ones that are still to retire; under @lock
 * @unmanned:	processors with work that wait for a thread; under @lock
 * @created:	goroutines that foreign threads started; under @lock
 * @threads:	all of them; under @lock
 * @nr_threads:	how many; under @lock
 * @stopped:	the world is; under @lock
 * @spares:	threads without a processor; under @lock
 * @idle:	processors without work; under @lock
 * @nr_idle:	how many; changed under @lock, read without
 * @spinning:	threads that look for work; atomic
 * @away:	threads that are in C code without a processor: in
 *		burrow_blocking() or as hogs; under @lock
 * @waiters:	goroutines that wait for what comes from outside of the runtime
 *		(events, signals); atomic
 * @notified:	events that were notified, as a stack; atomic
 * @help:	memory is short, and there is something to be done about it: the
 *		monitor sets it, who finds nothing takes it back
 * @next_id:	lives on from run to run; atomic
 * @clock:	milliseconds since the start as the monitor last looked
 * @started_at:	burrow_now() then
 * @bell:	futex that the monitor sleeps on; bumped to wake it
 * @deep:	the monitor sleeps until the bell rings
 * @quit:	SIGQUIT has come
 * @main_fn:	the main goroutine's function
 * @main_arg:	its argument
 * @main_result: what it returned
 * @done:	it has returned
 * @told:	the line on stacks that can't be had was written
 */
struct burrow_runtime {
	pthread_mutex_t lock;
	bool running;
	uint32_t run;
	struct burrow_config config;
	struct burrow_stack_pool *pool;
	struct burrow_remains *remains;
	int class;
	struct goroutine_queue queue;
	struct goroutine_queue fresh;
	size_t queued;
	size_t spilled;
	struct burrow_slab *slabs;
	struct goroutine_queue free;
	void *names;
	struct burrow_region *regions;
	struct burrow_heap *heap;
	struct burrow_proc *procs[BURROW_PROCS_MAX + 1];
	int nr_procs;
	uint32_t nr_active;
	struct burrow_proc *unmanned;
	uint64_t created;
	struct burrow_thread *threads;
	int nr_threads;
	bool stopped;
	struct burrow_thread *spares;
	struct burrow_proc *idle;
	uint32_t nr_idle;
	uint32_t spinning;
	uint32_t away;
	uint32_t waiters;
	struct burrow_event *notified;
	uint32_t help;
	uint64_t next_id;
	uint32_t clock;
	int64_t started_at;
	uint32_t bell;
	uint32_t deep;
	uint32_t quit;
	int (*main_fn)(void *arg);
	void *main_arg;
	int main_result;
	uint32_t done;
	bool told;
};

extern struct burrow_runtime burrow_runtime BURROW_HIDDEN;

extern __thread struct burrow_thread *burrow_self_of_thread BURROW_HIDDEN
	__attribute__((tls_model("initial-exec")));

/* The thread's part in the runtime, NULL if it has none. */
static inline struct burrow_thread *burrow_self(void)
{
	return BURROW_ARCH_THREAD_LOCAL(burrow_self_of_thread);
}

void burrow_self_set(struct burrow_thread *thread);

/* The goroutine that runs here (in burrow_blocking() too), or NULL. */
struct goroutine *burrow_current(void);

/* enter.c: the rare ways in. */
struct burrow_thread *burrow_enter_slow(struct burrow_thread *self,
					const char *call);
void burrow_enter_refuse(const char *call) __attribute__((noreturn));

/*
 * The way into the runtime, for the API's functions. The program ends with a
 * line if this is no goroutine, or one in burrow_blocking(). May come back on
 * another thread than it was called on: use what it returns, and what
 * burrow_park() returns after that.
 */
static inline struct burrow_thread *
burrow_enter_self(struct burrow_thread *self, const char *call)
{
	__atomic_store_n(&self->inside, 1, __ATOMIC_RELAXED);
	/*
	 * Pairs with the heavy barrier in burrow_thread_stop(). Where that takes
	 * a fence on this side, ATTENTION_FENCE is always set.
	 */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	/* Pairs with mark() in world.c: what changed while the world stood. */
	if (burrow_unlikely(
		    __atomic_load_n(&self->attention, __ATOMIC_ACQUIRE)))
		return burrow_enter_slow(self, call);
	return self;
}

static inline struct burrow_thread *burrow_enter(const char *call)
{
	struct burrow_thread *self = burrow_self();

	if (burrow_unlikely(!self))
		burrow_enter_refuse(call);
	return burrow_enter_self(self, call);
}

/* The same for functions that return -EPERM where this is no goroutine: NULL. */
static inline struct burrow_thread *burrow_enter_try(const char *call)
{
	struct burrow_thread *self = burrow_self();

	return burrow_likely(self) ? burrow_enter_self(self, call) : NULL;
}

/*
 * The same for functions that are short: NULL where there is anything to heed,
 * and the whole call is left to another function that enters as above. So what
 * they do when all is well calls nothing, and keeps all in registers.
 */
static inline struct burrow_thread *burrow_enter_quick(void)
{
	struct burrow_thread *self = burrow_self();

	if (burrow_unlikely(!self))
		return NULL;
	__atomic_store_n(&self->inside, 1, __ATOMIC_RELAXED);
	/* As in burrow_enter_self(). */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (burrow_unlikely(
		    __atomic_load_n(&self->attention, __ATOMIC_ACQUIRE)))
		return NULL;
	return self;
}

/* Back to the program's code: everything done inside is seen before this. */
static inline void burrow_leave(struct burrow_thread *self)
{
	__atomic_store_n(&self->inside, 0, __ATOMIC_RELEASE);
}

/* options.c: 0, or a negative errno with a line on standard error. */
int burrow_config_read(struct burrow_config *config,
		       const struct burrow_options *opts);

/* cpus.c: how many CPUs this process may use. */
int burrow_cpus(void);

/* Copies a struct that begins with its size as the caller knows it. */
int burrow_sized_copy(void *to, size_t size, const void *from, size_t least);

/* goroutine.c; @self NULL: a foreign thread that holds runtime.lock. */
struct goroutine *goroutine_new(struct burrow_thread *self);

/*
 * Collects if there is no memory for another one, so that the call above finds some.
 * May park: returns the thread that it is on then.
 */
struct burrow_thread *goroutine_make_room(struct burrow_thread *self);
int goroutine_promise(struct burrow_thread *self, int class);
void goroutine_unpromise(struct burrow_thread *self, int class);
int goroutine_set_name(struct goroutine *g, const char *name, bool locked);
void goroutine_slabs_each(struct burrow_slab *slabs,
			  void (*fn)(struct goroutine *g, void *arg),
			  void *arg);
void goroutine_end(struct burrow_proc *proc, struct goroutine *g);
void goroutine_flush(struct burrow_proc *proc); /* under runtime.lock */
void goroutine_each(void (*fn)(struct goroutine *g, void *arg), void *arg);

/*
 * The same one by one, by any thread while others run: those that come meanwhile
 * may be left out, and what is said of one may be over.
 */
struct goroutine_walk {
	struct burrow_slab *slab;
	size_t at;
	const uint64_t *without;
};

void goroutine_walk_begin(struct goroutine_walk *walk);
struct goroutine *goroutine_walk_next(struct goroutine_walk *walk);

/*
 * The number of that one: of its struct, which is another's when it has ended. If
 * walk.without is set, numbers whose bit there is set are passed over, 64 by a look.
 */
size_t goroutine_walk_number(const struct goroutine_walk *walk);

/*
 * hibernate.c: by the monitor, every few milliseconds. @idle_since: since then nothing
 * has run. When it wants to be called again, burrow_now(); BURROW_FOREVER: not before
 * somebody has run. And by anybody who helps, if runtime.help says so: one batch; false:
 * there was none, or others are at it.
 */
void burrow_hibernate_open(void);
int64_t burrow_hibernate_some(struct burrow_runtime *rt, int64_t now,
			      int64_t idle_since);
bool burrow_hibernate_help(void);

const char *goroutine_reason_name(const struct goroutine *g);
void goroutine_queue_push(struct goroutine_queue *queue, struct goroutine *g);
struct goroutine *goroutine_queue_pop(struct goroutine_queue *queue);

/*
 * region.c: memory that nobody frees: it goes when the runtime
 * stops. Zeroed, aligned to 16; NULL: none.
 */
void *burrow_region_alloc(struct burrow_thread *self, size_t size);
void *burrow_region_chunk(size_t bytes); /* under runtime.lock */
void burrow_regions_each(void (*fn)(void *arg, const void *low,
				    const void *high),
			 void *arg); /* with the world stopped */
void burrow_regions_free(struct burrow_region *regions);

/*
 * Parking and waking, for whoever makes goroutines wait. All of it inside.
 *
 * burrow_park() stops the current goroutine; when nobody runs on its stack any
 * more, @lock is dropped (NULL: nothing is). It returns when somebody has
 * called burrow_ready(), with the thread it came back on. The caller must have
 * made sure that somebody will: its waiter is in a queue under @lock, or its
 * timeout is set (burrow_park_call(): by @fn, once nobody runs on the stack).
 */
struct burrow_thread *burrow_park(struct burrow_thread *self,
				  enum goroutine_reason why,
				  struct burrow_lock *lock);
struct burrow_thread *
burrow_park_call(struct burrow_thread *self, enum goroutine_reason why,
		 void (*fn)(struct goroutine *g, void *arg), void *arg);

/* Runs soon, before others that wait here; for one that was just served. */
void burrow_ready(struct burrow_thread *self, struct goroutine *g);

/* The same at the end of a call of the API: leaves the runtime, returns @ret. */
int burrow_ready_leave(struct burrow_thread *self, struct goroutine *g,
		       int ret);

/* Runs after all others that wait here. */
void burrow_ready_last(struct burrow_thread *self, struct goroutine *g);

/* One that has not run yet; and the same as burrow_ready_leave(), returns 0. */
void burrow_ready_new(struct burrow_thread *self, struct goroutine *g);
int burrow_ready_new_leave(struct burrow_thread *self, struct goroutine *g);

/* From a thread without a processor. Not from signal handlers. */
void burrow_ready_foreign(struct goroutine *g);

/* Lets others run; comes back on the thread returned. */
struct burrow_thread *burrow_pass(struct burrow_thread *self);

/* Starts a goroutine from inside. 0, -ENOMEM, -EAGAIN. */
int burrow_spawn(struct burrow_thread *self, int class, const char *name,
		 void (*fn)(void *arg), void *arg, void *site);

/*
 * wait.c: queues up, parks and comes back: the whole of most blocking calls.
 *
 * @lock guards @queue and is held; it is not when this returns. The waiter is
 * that of the current goroutine, its elem, index and so on as the caller set
 * them. @deadline is BURROW_FOREVER or a time of burrow_now(). *@self becomes
 * the thread it came back on. Returns waiter.result as the waker set it, or
 * -ETIMEDOUT, or -ENOMEM (no timeout could be set; it did not wait).
 */
int burrow_wait(struct burrow_thread **self, struct burrow_lock *lock,
		struct burrow_waitq *queue, enum goroutine_reason why,
		int64_t deadline);

/* The same without a deadline; the result is in the goroutine's waiter. */
static inline struct burrow_thread *burrow_wait_in(struct burrow_thread *self,
						   struct burrow_lock *lock,
						   struct burrow_waitq *queue,
						   enum goroutine_reason why)
{
	struct goroutine *g = self->current;

	g->waiter.g = g;
	g->waiter.lock = lock;
	g->waiter.select = false;
	burrow_waitq_push(queue, &g->waiter);
	return burrow_park(self, why, lock);
}

/* The same where the waiter is in its queue already. */
int burrow_wait_queued(struct burrow_thread **self, struct burrow_lock *lock,
		       enum goroutine_reason why, int64_t deadline);

/*
 * With the queue's lock held: takes @w out and makes its goroutine ready with
 * @result. A waiter of a select must have been claimed. The goroutine may be
 * running before the lock is dropped: where what the lock lies in may go then,
 * take the waiter out, drop the lock, and call burrow_ready().
 */
void burrow_wake(struct burrow_thread *self, struct burrow_waiter *w,
		 int result);

/*
 * For a queue that may outlive runs, under its lock and before it is looked at:
 * true if the last one to wait there did so in another run. That one is gone,
 * with whoever was in the queue, which has to be emptied.
 */
static inline bool burrow_run_is_another(uint32_t *run)
{
	if (burrow_likely(*run == burrow_runtime.run))
		return false;
	*run = burrow_runtime.run;
	return true;
}

/* Of several who could end a select only one may; true: it is the caller. */
static inline bool burrow_claim(struct goroutine *g)
{
	if (burrow_solo) {
		if (g->claimed)
			return false;
		g->claimed = 1;
		return true;
	}
	return !__atomic_exchange_n(&g->claimed, 1, __ATOMIC_ACQ_REL);
}

/*
 * The first waiter that can be had, taken out of the queue (under its lock);
 * those of selects are claimed, and dropped if another case took them.
 */
static inline struct burrow_waiter *
burrow_waitq_take(struct burrow_waitq *queue)
{
	struct burrow_waiter *w;

	while ((w = burrow_waitq_pop(queue))) {
		if (!w->select || burrow_claim(w->g))
			break;
	}
	return w;
}

/* Random bits of the processor's own; not for secrets. */
static inline uint32_t burrow_random(struct burrow_proc *proc)
{
	/* xorshift64*, Vigna 2016 */
	proc->random ^= proc->random >> 12;
	proc->random ^= proc->random << 25;
	proc->random ^= proc->random >> 27;
	return (proc->random * 0x2545f4914f6cdd1dULL) >> 32;
}

/*
 * site.c: of a goroutine whose stack was empty: it starts, it has ended, or hibernates
 * for the first time, from any thread.
 */
void burrow_site_start(struct goroutine *g);
void burrow_site_end(struct goroutine *g);
void burrow_site_sleep(void *site, size_t bytes);

/* sched.c */
void burrow_sched_loop(struct burrow_thread *self);
struct burrow_thread *burrow_switch_to_loop(struct burrow_thread *self,
					    enum burrow_after after);

/* idle.c: finding work when the own queue is empty, sleeping, deadlock. */
struct goroutine *burrow_find(struct burrow_thread *self);
void burrow_thread_kick(struct burrow_thread *thread);
void burrow_futex_sleep(struct burrow_thread *self, int64_t until);
void burrow_io_sleep(struct burrow_thread *self, int64_t until);

bool burrow_idle_remove(struct burrow_proc *proc); /* under runtime.lock */
void burrow_cache_decay(struct burrow_proc *proc, int64_t now);

/* Wakes an idle processor if nobody looks for work already; any thread. */
void burrow_wake_one(void);

/* Inside again after a wait in the loop; see thread->proc and attention then. */
void burrow_reenter(struct burrow_thread *self);

/* thread.c; those that say so under runtime.lock */
int burrow_thread_new(struct burrow_proc *proc); /* locked */
void burrow_thread_give(struct burrow_thread *thread,
			struct burrow_proc *proc); /* locked */
bool burrow_proc_man(struct burrow_proc *proc); /* locked */
void burrow_thread_spare(struct burrow_thread *self);
void burrow_bound_run(struct burrow_thread *self, struct goroutine *g);
void burrow_unbind(struct burrow_thread *self);

/*
 * world.c: nobody is inside between these two; threads outside go on in their C
 * code and wait where they enter. The caller is outside, and holds no lock; its
 * own thread is not stopped (@self, NULL: a foreign thread).
 */
extern pthread_mutex_t burrow_world BURROW_HIDDEN;
void burrow_world_stop(struct burrow_thread *self);
void burrow_world_start(struct burrow_thread *self);

/* The same, but gives up: false, after @ns. */
bool burrow_world_try_stop(struct burrow_thread *self, int64_t ns);

/*
 * True: the thread is outside, and sees @bit before it goes on inside. False:
 * it is inside; the bit stays set.
 */
bool burrow_thread_stop(struct burrow_thread *thread, uint32_t bit);

/* proc.c: processors come and go. */
int burrow_procs_open(int n);
void burrow_procs_close(void);
void burrow_proc_retire(struct burrow_thread *self);

/* monitor.c: runs on the thread that called burrow_run(). */
void burrow_monitor(void);
void burrow_monitor_rouse(void); /* under runtime.lock: something runs again */
void burrow_bell(void); /* from signal handlers too */

/* event.c */
void burrow_events_serve(struct burrow_thread *self);
void burrow_events_close(void);

/* run.c */
void burrow_remains_put(struct burrow_remains *remains);

/* fork.c */
int burrow_fork_watch(void);

/* Runs @fn on the thread's own stack. */
void burrow_call_on_thread(struct burrow_thread *self, void (*fn)(void *arg),
			   void *arg);

/* debug/crash.c: signal handlers, and the stack of each thread they run on. */
void burrow_crash_open(void);
void burrow_crash_close(void);
int burrow_crash_thread_open(struct burrow_thread *self); /* memory: before */
void burrow_crash_thread_install(struct burrow_thread *self); /* on the thread */
void burrow_crash_thread_close(struct burrow_thread *self);
void burrow_crash_no_stack(struct goroutine *g, int err)
	__attribute__((noreturn));

/*
 * debug/dump.c: every goroutine; with the world stopped, or from a program that
 * is about to end.
 */
void burrow_dump_all(int fd);

/*
 * io/: what the scheduler asks of it. poll: submits what waits to be submitted,
 * makes ready whoever is served, and waits until that or @until (0: not at all);
 * the loop of the processor's holder calls it, inside; where it waits it has
 * left, and entered again when it comes back.
 * kick: ends the wait, from any thread. close: with the processor's holder
 * gone: it cancels and reaps what is under way.
 */
void burrow_io_close(struct burrow_proc *proc);
const void *burrow_files_table(size_t *bytes);
void burrow_io_poll(struct burrow_thread *self, int64_t until);
void burrow_io_kick(struct burrow_proc *proc);

#endif /* BURROW_SCHED_H */
