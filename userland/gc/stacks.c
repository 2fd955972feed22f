// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks as roots: the live part of each, and the registers.
 *
 * A goroutine that does not run has its registers on its stack, above its saved
 * stack pointer; one that has not run yet has its argument. One that runs has
 * them where the stop signal put them, and its stack is live from the stack
 * pointer of that moment, less the red zone. In burrow_blocking() it has two:
 * the upper part of the thread's own as well, above what goroutine.context says
 * of its first one.
 *
 * A thread may be on neither, in a handler of the program's on the signal stack,
 * or on a stack that the program made itself. Then all of its goroutine's stack
 * counts as live, for we do not know where it was; and what the program keeps
 * on stacks of its own making it must register.
 *
 * The stack of who called burrow_run() is live from there up.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "../heap/heap.h"
#include "../sched/sched.h"
#include "deep.h"
#include "roots.h"
#include "saved.h"
#include "stop.h"

#if defined(__x86_64__)
#define RED_ZONE 128
#define XSTATE_MAGIC 0x46505853 /* <asm/sigcontext.h>: FP_XSTATE_MAGIC1 */
#define XSTATE_AT 464 /* where the frame says how long it is */
#define XSTATE_LEAST 512
#else
#define RED_ZONE 0
#endif

static pthread_t caller;
static const char *caller_low;
static const char *caller_high; /* NULL: not known yet */

__attribute__((noinline)) void burrow_stacks_caller(void)
{
	caller = pthread_self();
	caller_low = __builtin_frame_address(0);
	caller_high = NULL;
}

/* Of the first thread glibc reads it from /proc: not in a stop. */
void burrow_stacks_prepare(void)
{
	pthread_attr_t attr;
	size_t size;
	void *low;

	if (caller_high || pthread_getattr_np(caller, &attr))
		return;
	if (!pthread_attr_getstack(&attr, &low, &size))
		caller_high = (char *)low + size;
	pthread_attr_destroy(&attr);
}

/* A range of addresses; empty where high is not above low. */
struct range {
	const char *low;
	const char *high;
};

static bool holds(const struct range *range, const char *address)
{
	return address >= range->low && address < range->high;
}

/* Lowers @low to @address if that is in the range. */
static void lower(const char **low, const struct range *range,
		  const char *address)
{
	if (holds(range, address) && (!*low || address < *low))
		*low = address;
}

static struct range slot_of(const struct goroutine *g)
{
	return (struct range){
		burrow_stack_low(&g->stack) + g->stack.arena->guard,
		burrow_stack_top(&g->stack),
	};
}

static struct range own_of(const struct burrow_thread *t)
{
	return (struct range){ t->stack_low, t->loop.context };
}

static const char *stack_pointer(const ucontext_t *uc)
{
#if defined(__x86_64__)
	return (const char *)uc->uc_mcontext.gregs[REG_RSP] - RED_ZONE;
#else
	return (const char *)uc->uc_mcontext.sp - RED_ZONE;
#endif
}

/* General registers lie in the frame itself, the others may lie beside it. */
static void registers(const ucontext_t *uc, burrow_root_fn *fn, void *arg)
{
#if defined(__x86_64__)
	const char *state = (const char *)uc->uc_mcontext.fpregs;
	uint32_t said[2] = { 0 }, size = XSTATE_LEAST;

	if (state) {
		memcpy(said, state + XSTATE_AT, sizeof(said));
		if (said[0] == XSTATE_MAGIC)
			size = said[1];
		fn(arg, state, state + size);
	}
#endif
	fn(arg, uc, uc + 1);
}

/*
 * All of it that there may be something on. On the module less than the slot: what
 * has no memory would get some by being read.
 */
static const char *lowest(const struct goroutine *g, const struct range *slot)
{
	int64_t bytes = -1;

	if (g->stack.arena->pool->backend->packed)
		bytes = burrow_stack_resident(&g->stack);
	return bytes < 0 ? slot->low : slot->high - bytes;
}

static void standing(const struct burrow_thread *t, burrow_root_fn *fn,
		     void *arg)
{
	const struct goroutine *g = t->current;
	const struct range slot = slot_of(g), own = own_of(t);
	const struct range signal = { t->signal_stack, t->signal_top };
	const char *sp = stack_pointer(t->stop_context);
	const char *low = NULL, *own_low = NULL;

	registers(t->stop_context, fn, arg);
	lower(&own_low, &own, sp);
	lower(&own_low, &own, t->stop_frame);
	lower(&low, &slot, sp);
	lower(&low, &slot, t->stop_frame);
	if (own_low || t->attention & ATTENTION_BLOCKING)
		lower(&low, &slot, g->context);
	if (holds(&signal, sp)) {
		/* A handler of the program's: where was it called? */
		fn(arg, sp, signal.high);
		low = NULL;
		if (t->attention & ATTENTION_BLOCKING)
			own_low = own.low;
	}
	fn(arg, low ? low : lowest(g, &slot), slot.high);
	if (own_low)
		fn(arg, own_low, own.high);
}

static void of_thread(const struct burrow_thread *t, burrow_root_fn *fn,
		      void *arg)
{
	const struct goroutine *g = t->current;

	if (g == &t->loop)
		return;
	if (__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE) == STOP_STANDS)
		standing(t, fn, arg);
	else
		fn(arg, g->context, burrow_stack_top(&g->stack));
}

#define AHEAD 16 /* stacks whose memory is on its way, a power of two */
#define LINES 4 /* of each, of 64 bytes */
#define WARM 32768 /* stacks; of more than that a cache keeps little */

static void fetch(const char *line, const char *high)
{
	int i;

	for (i = 0; i < LINES && line < high; i++, line += 64)
		__builtin_prefetch(line);
}

/*
 * Each stack is in a page of its own that nobody has looked at for long: most of what a
 * look at it takes is to wait for memory. So it is fetched beside the program first. It
 * may be wrong by then where it lies: a prefetch never faults.
 */
__attribute__((no_sanitize("thread"))) void burrow_stacks_warm(void)
{
	const char *low[AHEAD] = { NULL };
	struct goroutine_walk walk;
	struct goroutine *g;
	int i;

	goroutine_walk_begin(&walk);
	walk.without = burrow_saved_asleep();
	for (i = 0; i < WARM && (g = goroutine_walk_next(&walk)); i++) {
		fetch(low[i % AHEAD], low[i % AHEAD] + LINES * 64);
		low[i % AHEAD] = READ_ONCE(g->context);
		__builtin_prefetch(low[i % AHEAD]);
	}
}

/**
 * struct walk - where to go with what is found
 * @fn:		the function
 * @arg:	its argument
 * @ring:	stacks that are being fetched: each is in a page of its own that
 *		nobody has looked at for long
 * @count:	how many were ever put there
 * @goroutines:	how many were visited
 */
struct walk {
	burrow_root_fn *fn;
	void *arg;
	struct range ring[AHEAD];
	uint64_t count;
	uint64_t goroutines;
};

/* Fetches one, and looks at the one before by AHEAD; none where that is empty. */
static void pass(struct walk *walk, struct range range)
{
	struct range *at = &walk->ring[walk->count++ % AHEAD];

	if (at->low < at->high)
		walk->fn(walk->arg, at->low, at->high);
	*at = range;
	fetch(range.low, range.high);
}

/*
 * What it waits in may be an object, and so may be where what is handed over lies:
 * its own frames need neither any more. (The queue is where its lock is.)
 */
static void of_waiter(const struct burrow_waiter *w, const struct walk *walk)
{
	const struct burrow_heap *heap = burrow_runtime.heap;

	if (!w->queue)
		return;
	if (burrow_heap_holds(heap, w->lock))
		walk->fn(walk->arg, &w->lock, &w->lock + 1);
	if (burrow_heap_holds(heap, w->elem))
		walk->fn(walk->arg, &w->elem, &w->elem + 1);
}

static void of_stack(const struct goroutine *g, struct walk *walk)
{
	const struct range live = { g->context, burrow_stack_top(&g->stack) };

	if (burrow_unlikely(burrow_stack_is_deep(live.low, live.high)) &&
	    burrow_deep_stack(g, live.low, live.high, walk->fn, walk->arg))
		return;
	pass(walk, live);
}

/* Those that run are their threads' business. */
static void of_goroutine(const struct goroutine *g, size_t number,
			 struct walk *walk)
{
	walk->goroutines++;
	if (g->state == GOROUTINE_RUNNING)
		return;
	of_waiter(&g->waiter, walk);
	if (!g->stack.arena)
		walk->fn(walk->arg, &g->arg, &g->arg + 1);
	else if (!burrow_saved_noted(&g->stack, number))
		of_stack(g, walk);
}

static void of_goroutines(burrow_root_fn *fn, void *arg)
{
	struct walk walk = { .fn = fn, .arg = arg };
	struct goroutine_walk at;
	struct goroutine *g;
	int i;

	goroutine_walk_begin(&at);
	if (burrow_saved_on())
		at.without = burrow_saved_asleep();
	while ((g = goroutine_walk_next(&at)))
		of_goroutine(g, goroutine_walk_number(&at), &walk);
	for (i = 0; i < AHEAD; i++)
		pass(&walk, (struct range){ 0 });
	burrow_roots_count.goroutines = walk.goroutines;
}

void burrow_stacks_each(burrow_root_fn *fn, void *arg)
{
	const struct burrow_thread *t;

	burrow_deep_each(fn, arg);
	if (burrow_saved_each(fn, arg))
		of_goroutines(fn, arg);
	for (t = __atomic_load_n(&burrow_runtime.threads, __ATOMIC_ACQUIRE); t;
	     t = t->next)
		of_thread(t, fn, arg);
	if (caller_high)
		fn(arg, caller_low, caller_high);
}

/* See saved.c for why they may wake meanwhile. */
__attribute__((no_sanitize("thread"))) void
burrow_stacks_asleep(burrow_root_fn *fn, void *arg)
{
	struct walk walk = { .fn = fn, .arg = arg };
	struct goroutine_walk at;
	struct goroutine *g;
	uint32_t *place;

	goroutine_walk_begin(&at);
	while ((g = goroutine_walk_next(&at))) {
		place = burrow_saved_sleeps(g);
		if (!place)
			continue;
		of_waiter(&g->waiter, &walk);
		burrow_saved_note(place, goroutine_walk_number(&at));
	}
}
