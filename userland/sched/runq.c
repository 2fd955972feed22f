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
 * The tail is stored with release after the entry was written, and read with
 * acquire by thieves: they see the entry. A thief copies entries before its
 * compare-and-swap; if that succeeds nobody took them meanwhile, and the holder
 * can't have overwritten them, because it writes no further than 256 past the
 * head that it read.
 *
 * With one processor there are no thieves, and nothing here is atomic.
 */
#include "runq.h"

void burrow_global_push(struct goroutine *g)
{
	goroutine_queue_push(&burrow_runtime.queue, g);
	__atomic_store_n(&burrow_runtime.queued, burrow_runtime.queue.count,
			 __ATOMIC_RELAXED);
}

static struct goroutine *global_pop(void)
{
	struct goroutine *g = goroutine_queue_pop(&burrow_runtime.queue);

	__atomic_store_n(&burrow_runtime.queued, burrow_runtime.queue.count,
			 __ATOMIC_RELAXED);
	return g;
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

/* Somebody was woken for what its own processor runs now: less often then. */
void burrow_runq_told_in_vain(struct burrow_proc *proc)
{
	proc->next_told = false;
	if (proc->skip_max < 4096)
		proc->skip_max = proc->skip_max * 2 + 1;
}

/* One to run, and as many more for the ring as half of it takes. */
struct goroutine *burrow_global_take(struct burrow_proc *proc)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct goroutine *g, *more;
	size_t n;

	if (!__atomic_load_n(&rt->queued, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&rt->lock);
	n = rt->queued / rt->nr_procs;
	if (n > BURROW_QUEUE_LEN / 2)
		n = BURROW_QUEUE_LEN / 2;
	g = global_pop();
	while (n-- && proc->tail - proc->head < BURROW_QUEUE_LEN / 2 &&
	       (more = global_pop()))
		burrow_runq_push(proc, more);
	pthread_mutex_unlock(&rt->lock);
	return g;
}

/* The one that runs next, if its processor does not get to it by itself. */
static struct goroutine *steal_next(struct burrow_proc *victim)
{
	struct goroutine *g = __atomic_load_n(&victim->next, __ATOMIC_RELAXED);

	if (!g || !__atomic_compare_exchange_n(&victim->next, &g, NULL, false,
					       __ATOMIC_ACQ_REL,
					       __ATOMIC_RELAXED))
		return NULL;
	/* Whoever made it ready went on: tell at once from now on. */
	__atomic_store_n(&victim->skip_max, 0, __ATOMIC_RELAXED);
	return g;
}

struct goroutine *burrow_runq_steal(struct burrow_proc *thief,
				    struct burrow_proc *victim, bool next)
{
	uint32_t head, n, i, tail = thief->tail;

	for (;;) {
		head = __atomic_load_n(&victim->head, __ATOMIC_ACQUIRE);
		n = __atomic_load_n(&victim->tail, __ATOMIC_ACQUIRE) - head;
		n -= n / 2;
		if (!n)
			return next ? steal_next(victim) : NULL;
		if (n > BURROW_QUEUE_LEN / 2)
			continue; /* head and tail were not of one moment */
		for (i = 0; i < n; i++)
			__atomic_store_n(BURROW_RING(thief, tail + i),
					 __atomic_load_n(BURROW_RING(victim, head + i),
							 __ATOMIC_RELAXED),
					 __ATOMIC_RELAXED);
		if (__atomic_compare_exchange_n(&victim->head, &head, head + n,
						false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			break;
	}
	/* The last of them runs at once. */
	__atomic_store_n(&thief->tail, tail + n - 1, __ATOMIC_RELEASE);
	return __atomic_load_n(BURROW_RING(thief, tail + n - 1), __ATOMIC_RELAXED);
}
