/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tells AddressSanitizer, ThreadSanitizer and valgrind of our stacks.
 *
 * AddressSanitizer comes with the program: its calls are weak symbols, and the
 * library that is always used makes them where they are there. Valgrind is
 * asked for at the start too. So what is in the plain library's way is one look
 * at burrow_san_tools. ThreadSanitizer wants to see every atomic operation of
 * the library, which must be built for it; then (BURROW_TSAN) a goroutine
 * carries a fiber of its, and a switch tells it.
 *
 * The scheduler calls all of it; what it is to call where stands at each.
 */
#ifndef BURROW_SANITIZE_H
#define BURROW_SANITIZE_H

#include "../sched/sched.h"

/* Bits of burrow_san_tools. */
enum burrow_san_tool {
	BURROW_SAN_ASAN = 1,
	BURROW_SAN_VALGRIND = 2,
};

/* Which of them are there; set by burrow_san_open() before threads start. */
extern uint8_t burrow_san_tools BURROW_HIDDEN;

/*
 * At the start of each run. 0, or -ENOTSUP with a line on standard error: the
 * program is built for ThreadSanitizer and the library is not.
 */
int burrow_san_open(void);

/*
 * The ways of a tool that is there; sanitize.c.
 *
 * burrow_asan_begin() comes right before burrow_arch_switch() to @to, which may
 * be the thread's loop; @fake is a variable in the frame of the function that
 * switches, NULL if the goroutine that runs here ends. burrow_asan_end() comes
 * right after it, with the thread it came out on and that variable; and first of
 * all where a goroutine starts, with NULL. thread.left must be set.
 */
void burrow_asan_begin(struct burrow_thread *self, struct goroutine *to,
		       void **fake);
void burrow_asan_end(struct burrow_thread *self, void *fake);
void burrow_asan_forget(struct goroutine *g, void *arg);
void burrow_san_call(struct burrow_thread *self, void *top,
		     void (*fn)(void *arg), void *arg);
void burrow_valgrind_stack(const struct burrow_stack *stack);

#ifdef BURROW_TSAN
void burrow_tsan_thread(struct burrow_thread *self);
void burrow_tsan_create(struct goroutine *g);
void burrow_tsan_free(struct goroutine *g);
void burrow_tsan_switch(struct goroutine *to);
#else
static inline void burrow_tsan_thread(struct burrow_thread *self)
{
	(void)self;
}

static inline void burrow_tsan_create(struct goroutine *g)
{
	(void)g;
}

static inline void burrow_tsan_free(struct goroutine *g)
{
	(void)g;
}

static inline void burrow_tsan_switch(struct goroutine *to)
{
	(void)to;
}
#endif

/* By a thread that is going to run goroutines, first of all. */
static inline void burrow_san_thread(struct burrow_thread *self)
{
	burrow_tsan_thread(self);
}

/* A goroutine has got its stack: after burrow_stack_enter() for the first time. */
static inline void burrow_san_create(struct goroutine *g)
{
	burrow_tsan_create(g);
	if (burrow_unlikely(burrow_san_tools & BURROW_SAN_VALGRIND))
		burrow_valgrind_stack(&g->stack);
}

/* The run is over; stacks are to be unmapped with what is left on them. */
static inline void burrow_san_forget(struct burrow_slab *slabs)
{
	if (burrow_unlikely(burrow_san_tools & BURROW_SAN_ASAN))
		goroutine_slabs_each(slabs, burrow_asan_forget, NULL);
}

/* It has ended, and nobody runs on its stack any more. */
static inline void burrow_san_free(struct goroutine *g)
{
	burrow_tsan_free(g);
	if (burrow_unlikely(burrow_san_tools & BURROW_SAN_ASAN))
		burrow_asan_forget(g, NULL);
}

#endif /* BURROW_SANITIZE_H */
