/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queues of goroutines that can run: what is done at every switch. runq.c
 * says how it works.
 */
#ifndef BURROW_RUNQ_H
#define BURROW_RUNQ_H

#include "sched.h"

#define BURROW_QUEUE_FEW 4 /* the owner comes to them soon, if he moves */

#define BURROW_RING(proc, i) (&(proc)->ring[(i) % BURROW_QUEUE_LEN])

void burrow_runq_spill(struct burrow_proc *proc, struct goroutine *g);
struct goroutine *burrow_runq_steal(struct burrow_proc *thief,
				    struct burrow_proc *victim, bool few);
void burrow_global_push(struct goroutine *g); /* under runtime.lock */
struct goroutine *burrow_global_take(struct burrow_proc *proc);
struct goroutine *burrow_global_take_turn(struct burrow_proc *proc, size_t n);

/* Somebody was woken for what its own processor runs now: less often then. */
static inline void burrow_runq_told_in_vain(struct burrow_proc *proc)
{
	uint32_t skip = READ_ONCE(proc->skip_max);

	/* A thief sets it back meanwhile: it is a guess. */
	if (skip < 4096)
		WRITE_ONCE(proc->skip_max, skip * 2 + 1);
}

/* By the holder: it would have to spill. */
static inline bool burrow_runq_full(const struct burrow_proc *proc)
{
	return proc->tail - __atomic_load_n(&proc->head, __ATOMIC_ACQUIRE) ==
	       BURROW_QUEUE_LEN;
}

/* By the holder: at the tail. It is not full. */
static inline void burrow_runq_put(struct burrow_proc *proc,
				   struct goroutine *g)
{
	uint32_t tail = proc->tail;

	__atomic_store_n(BURROW_RING(proc, tail), g, __ATOMIC_RELAXED);
	/* Pairs with the acquire of a thief: it sees the entry. */
	__atomic_store_n(&proc->tail, tail + 1, __ATOMIC_RELEASE);
}

/* By the holder: at the tail. */
static inline void burrow_runq_push(struct burrow_proc *proc,
				    struct goroutine *g)
{
	if (burrow_unlikely(burrow_runq_full(proc)))
		burrow_runq_spill(proc, g);
	else
		burrow_runq_put(proc, g);
}

/* Takes @n entries from the head for good; false: a thief came first. */
static inline bool burrow_runq_advance(struct burrow_proc *proc, uint32_t head,
				       uint32_t n)
{
	if (burrow_likely(burrow_solo)) {
		WRITE_ONCE(proc->head, head + n);
		return true;
	}
	return __atomic_compare_exchange_n(&proc->head, &head, head + n, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* By the holder: from the head. */
static inline struct goroutine *burrow_runq_pop_ring(struct burrow_proc *proc)
{
	struct goroutine *g;
	uint32_t head;

	do {
		head = __atomic_load_n(&proc->head, __ATOMIC_ACQUIRE);
		if (head == proc->tail)
			return NULL;
		g = __atomic_load_n(BURROW_RING(proc, head), __ATOMIC_RELAXED);
	} while (burrow_unlikely(!burrow_runq_advance(proc, head, 1)));
	return g;
}

static inline struct goroutine *burrow_runq_take_next(struct burrow_proc *proc)
{
	struct goroutine *g = __atomic_load_n(&proc->next, __ATOMIC_RELAXED);

	if (!g)
		return NULL;
	if (burrow_likely(burrow_solo)) {
		WRITE_ONCE(proc->next, NULL);
		return g;
	}
	return __atomic_exchange_n(&proc->next, NULL, __ATOMIC_ACQ_REL);
}

/*
 * By the holder: @g runs before all in the ring; who was to is returned. Only
 * the holder fills the place, so an empty one stays empty.
 */
static inline struct goroutine *burrow_runq_set_next(struct burrow_proc *proc,
						     struct goroutine *g)
{
	struct goroutine *old = burrow_runq_take_next(proc);

	__atomic_store_n(&proc->next, g, __ATOMIC_RELEASE);
	return old;
}

void burrow_fresh_spill(struct burrow_proc *proc, struct goroutine *g);

/* By the holder: one that has not run yet. */
static inline void burrow_fresh_push(struct burrow_proc *proc,
				     struct goroutine *g)
{
	struct burrow_fresh *f = &proc->fresh;

	burrow_lock_take(&f->lock);
	if (burrow_unlikely(f->tail - f->head == BURROW_QUEUE_LEN)) {
		burrow_fresh_spill(proc, g);
		return;
	}
	f->ring[f->tail % BURROW_QUEUE_LEN] = g;
	__atomic_store_n(&f->tail, f->tail + 1, __ATOMIC_RELEASE);
	burrow_lock_drop(&f->lock);
}

static inline bool burrow_fresh_empty(const struct burrow_proc *proc)
{
	return __atomic_load_n(&proc->fresh.head, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&proc->fresh.tail, __ATOMIC_ACQUIRE);
}

/* By the holder: the youngest. */
static inline struct goroutine *burrow_fresh_pop(struct burrow_proc *proc)
{
	struct burrow_fresh *f = &proc->fresh;
	struct goroutine *g = NULL;

	if (burrow_fresh_empty(proc))
		return NULL;
	burrow_lock_take(&f->lock);
	if (f->head != f->tail) {
		g = f->ring[(f->tail - 1) % BURROW_QUEUE_LEN];
		__atomic_store_n(&f->tail, f->tail - 1, __ATOMIC_RELAXED);
	}
	burrow_lock_drop(&f->lock);
	return g;
}

/* The oldest half of another's, or of one's own: the oldest is returned. */
struct goroutine *burrow_fresh_steal(struct burrow_proc *thief,
				     struct burrow_proc *victim);

static inline struct goroutine *burrow_runq_pop(struct burrow_proc *proc)
{
	struct goroutine *g = burrow_runq_take_next(proc);

	if (!g) {
		g = burrow_runq_pop_ring(proc);
		return g ? g : burrow_fresh_pop(proc);
	}
	if (burrow_unlikely(proc->next_told)) {
		proc->next_told = false;
		burrow_runq_told_in_vain(proc);
	}
	return g;
}

/* All that wait there, but for the one that is next; a moment's guess. */
static inline uint32_t burrow_runq_length(const struct burrow_proc *proc)
{
	return READ_ONCE(proc->tail) - READ_ONCE(proc->head) +
	       READ_ONCE(proc->fresh.tail) - READ_ONCE(proc->fresh.head);
}

static inline bool burrow_runq_empty(const struct burrow_proc *proc)
{
	return __atomic_load_n(&proc->head, __ATOMIC_ACQUIRE) ==
		       __atomic_load_n(&proc->tail, __ATOMIC_ACQUIRE) &&
	       burrow_fresh_empty(proc);
}

#endif /* BURROW_RUNQ_H */
