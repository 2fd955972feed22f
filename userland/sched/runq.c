// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The queues of goroutines that can run.
 *
 * Each processor has a ring of 256 and one place before it. Its holder alone
 * puts goroutines in, at the tail; holder and thieves take them out by moving
 * the head with a compare-and-swap, a thief half of them at once. A ring that is
 * full gives half of itself to the global queue, which is under runtime.lock.
 * This is the queue of Go's scheduler (runtime/proc.go, runqput and its kin).
 *
 * What was given away is older than what is left. So as long as any of it waits, who
 * is woken by I/O or by the clock queues up behind it and not in a ring; and now and
 * then the ring gets as many of it as had their turn meanwhile. With a thousand
 * connections that are all busy some were served thirty times before others else.
 *
 * The tail is stored with release after the entry was written, and read with
 * acquire by thieves: they see the entry. A thief copies entries before its
 * compare-and-swap; if that succeeds nobody took them meanwhile, and the holder
 * can't have overwritten them, because it writes no further than 256 past the
 * head that it read.
 *
 * Goroutines that have not run yet have a ring of their own, under a lock. The
 * youngest runs first: it needs the stack that was just given back, and of a
 * tree of goroutines few branches are alive at a time; thieves take the oldest,
 * which are the largest branches (as in Cilk: Blumofe and Leiserson 1999). So
 * that none waits for ever the oldest of them has its turn too, see pick_fair().
 *
 * With one processor there are no thieves, and nothing here is atomic.
 */
#include "runq.h"

static void publish(struct burrow_runtime *rt)
{
	__atomic_store_n(&rt->queued, rt->queue.count + rt->fresh.count,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&rt->spilled, rt->queue.count, __ATOMIC_RELAXED);
}

void burrow_global_push(struct goroutine *g)
{
	goroutine_queue_push(&burrow_runtime.queue, g);
	publish(&burrow_runtime);
}

/* The older half of a full ring goes where all may take from, and @g too. */
static bool spill_half(struct burrow_proc *proc, struct goroutine *g,
		       uint32_t head)
{
	struct goroutine *batch[BURROW_QUEUE_LEN / 2];
	uint32_t i;

	for (i = 0; i < BURROW_QUEUE_LEN / 2; i++)
		batch[i] = __atomic_load_n(BURROW_RING(proc, head + i),
					   __ATOMIC_RELAXED);
	if (!burrow_runq_advance(proc, head, BURROW_QUEUE_LEN / 2))
		return false;
	pthread_mutex_lock(&burrow_runtime.lock);
	for (i = 0; i < BURROW_QUEUE_LEN / 2; i++)
		burrow_global_push(batch[i]);
	burrow_global_push(g);
	pthread_mutex_unlock(&burrow_runtime.lock);
	return true;
}

/* The ring was full; thieves may have been there meanwhile. */
void burrow_runq_spill(struct burrow_proc *proc, struct goroutine *g)
{
	uint32_t head = __atomic_load_n(&proc->head, __ATOMIC_ACQUIRE);

	if (proc->tail - head < BURROW_QUEUE_LEN || !spill_half(proc, g, head))
		burrow_runq_push(proc, g);
}

/* With the lock, which is dropped: the older half of a full ring, and @g. */
void burrow_fresh_spill(struct burrow_proc *proc, struct goroutine *g)
{
	struct goroutine *batch[BURROW_QUEUE_LEN / 2];
	struct burrow_fresh *f = &proc->fresh;
	uint32_t i;

	for (i = 0; i < BURROW_QUEUE_LEN / 2; i++)
		batch[i] = f->ring[(f->head + i) % BURROW_QUEUE_LEN];
	__atomic_store_n(&f->head, f->head + i, __ATOMIC_RELAXED);
	f->ring[f->tail % BURROW_QUEUE_LEN] = g;
	__atomic_store_n(&f->tail, f->tail + 1, __ATOMIC_RELEASE);
	burrow_lock_drop(&f->lock);

	pthread_mutex_lock(&burrow_runtime.lock);
	for (i = 0; i < BURROW_QUEUE_LEN / 2; i++)
		goroutine_queue_push(&burrow_runtime.fresh, batch[i]);
	publish(&burrow_runtime);
	pthread_mutex_unlock(&burrow_runtime.lock);
}

struct goroutine *burrow_fresh_steal(struct burrow_proc *thief,
				     struct burrow_proc *victim)
{
	struct goroutine *batch[BURROW_QUEUE_LEN / 2];
	struct burrow_fresh *f = &victim->fresh;
	uint32_t i, n;

	if (burrow_fresh_empty(victim))
		return NULL;
	burrow_lock_take(&f->lock);
	n = thief == victim ? f->head != f->tail : (f->tail - f->head + 1) / 2;
	for (i = 0; i < n; i++)
		batch[i] = f->ring[(f->head + i) % BURROW_QUEUE_LEN];
	__atomic_store_n(&f->head, f->head + n, __ATOMIC_RELAXED);
	burrow_lock_drop(&f->lock);
	for (i = 1; i < n; i++)
		burrow_fresh_push(thief, batch[i]);
	return n ? batch[0] : NULL;
}

/* With runtime.lock: this processor's share of a global queue, half a ring at most. */
static size_t share(const struct burrow_runtime *rt,
		    const struct goroutine_queue *queue)
{
	size_t n = (queue->count + rt->nr_procs - 1) / rt->nr_procs;

	return n < BURROW_QUEUE_LEN / 2 ? n : BURROW_QUEUE_LEN / 2;
}

/* One to run, and more for the own queues, which are empty. */
struct goroutine *burrow_global_take(struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct goroutine *batch[BURROW_QUEUE_LEN / 2];
	struct goroutine_queue *queue = &rt->queue;
	size_t i, n;
	bool fresh;

	if (!__atomic_load_n(&rt->queued, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&rt->lock);
	fresh = !queue->count;
	if (fresh)
		queue = &rt->fresh;
	n = share(rt, queue);
	for (i = 0; i < n; i++)
		batch[i] = goroutine_queue_pop(queue);
	publish(rt);
	pthread_mutex_unlock(&rt->lock);
	for (i = 1; i < n; i++) {
		if (fresh)
			burrow_fresh_push(proc, batch[i]);
		else
			burrow_runq_push(proc, batch[i]);
	}
	return n ? batch[0] : NULL;
}

/*
 * One that has run before, or came from outside; and more of them, @n at most, for
 * the ring, as far as they fill no more than half of what is left of it.
 */
struct goroutine *burrow_global_take_turn(struct burrow_proc *proc, size_t n)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct goroutine *batch[BURROW_QUEUE_LEN / 2];
	size_t i, room;

	if (!READ_ONCE(rt->spilled))
		return NULL;
	room = BURROW_QUEUE_LEN - (proc->tail - READ_ONCE(proc->head));
	if (n > room / 2 + 1)
		n = room / 2 + 1;
	pthread_mutex_lock(&rt->lock);
	if (n > share(rt, &rt->queue))
		n = share(rt, &rt->queue);
	for (i = 0; i < n; i++)
		batch[i] = goroutine_queue_pop(&rt->queue);
	publish(rt);
	pthread_mutex_unlock(&rt->lock);
	for (i = 1; i < n; i++)
		burrow_runq_push(proc, batch[i]);
	return n ? batch[0] : NULL;
}

/* The one that runs next, if its processor does not get to it by itself. */
static struct goroutine *steal_next(struct burrow_proc *victim)
{
	struct goroutine *g = __atomic_load_n(&victim->next, __ATOMIC_RELAXED);

	if (!g ||
	    !__atomic_compare_exchange_n(&victim->next, &g, NULL, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return NULL;
	/* Whoever made it ready went on: tell at once from now on. */
	__atomic_store_n(&victim->skip_max, 0, __ATOMIC_RELAXED);
	return g;
}

static struct goroutine *steal_other(struct burrow_proc *thief,
				     struct burrow_proc *victim, bool next)
{
	struct goroutine *g = burrow_fresh_steal(thief, victim);

	return g || !next ? g : steal_next(victim);
}

struct goroutine *burrow_runq_steal(struct burrow_proc *thief,
				    struct burrow_proc *victim, bool few)
{
	uint32_t head, n, i, tail = thief->tail;

	if (!few && burrow_runq_length(victim) <= BURROW_QUEUE_FEW)
		return NULL;
	for (;;) {
		head = __atomic_load_n(&victim->head, __ATOMIC_ACQUIRE);
		n = __atomic_load_n(&victim->tail, __ATOMIC_ACQUIRE) - head;
		n -= n / 2;
		if (!n)
			return steal_other(thief, victim, few);
		if (n > BURROW_QUEUE_LEN / 2)
			continue; /* head and tail were not of one moment */
		for (i = 0; i < n; i++)
			__atomic_store_n(
				BURROW_RING(thief, tail + i),
				__atomic_load_n(BURROW_RING(victim, head + i),
						__ATOMIC_RELAXED),
				__ATOMIC_RELAXED);
		if (__atomic_compare_exchange_n(&victim->head, &head, head + n,
						false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			break;
	}
	/* Whoever made them ready went on: tell at once from now on. */
	__atomic_store_n(&victim->skip_max, 0, __ATOMIC_RELAXED);
	/* The last of them runs at once. */
	__atomic_store_n(&thief->tail, tail + n - 1, __ATOMIC_RELEASE);
	return __atomic_load_n(BURROW_RING(thief, tail + n - 1),
			       __ATOMIC_RELAXED);
}
