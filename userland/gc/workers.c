// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Marking by several threads.
 *
 * The collector's own thread marks always. Where a whole heap is marked in a stop
 * the program's processors do nothing meanwhile, and where a cycle runs beside a
 * program that waits some do nothing either: as many threads more mark then, one
 * less than there are processors. They take blocks of grey objects that are shared
 * (mark.c); who has some left shares the older half when another has none: one of
 * them, or the collector's thread, which says so by `starving`.
 *
 * That nothing is grey any more is seen thus: `active` counts in its lower half
 * those who may have something in hand, who count themselves before they take a
 * block and after they have shared what was left, and in its upper half how often
 * anybody began. If nobody was active, then nothing was shared, and then nobody
 * had begun since, that is all (after Dijkstra's termination of diffusing
 * computations, with the count in place of the tree).
 *
 * The threads sleep on `wake` in between. Everything here is under workers.lock
 * but `active`, `ending`, `starving` and the counts, which are atomic; `marking` is
 * looked at without. Threads of the program never take that lock.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "../arch/arch.h"
#include "../sched/sched.h"
#include "workers.h"

#define WORKERS_MAX 15
#define SLICE_BYTES (32UL << 10) /* scanned between looks at others */
#define SPINS 200
#define LOOK_NS 20000
#define BEGAN (1UL << 32) /* in `active` */

/**
 * struct worker - one of them
 * @thread:	its thread
 * @seen:	the last phase that it had a part in, or that was before it
 */
struct worker {
	pthread_t thread;
	uint64_t seen;
};

/**
 * struct workers - all of them
 * @lock:	over what is not atomic
 * @wake:	something has changed for those who wait
 * @idle:	the last of those who marked is through
 * @all:	the first @nr are there
 * @heap:	to mark
 * @phase:	counts burrow_workers_begin()
 * @marking:	how many have yet to end this phase
 * @beside:	as told
 * @quit:	they are to end
 * @active:	see above
 * @ending:	this phase is over
 * @starving:	the collector's own thread has nothing to scan
 * @bytes:	marked
 * @cpu_ns:	taken
 */
static struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t idle;
	struct worker all[WORKERS_MAX];
	int nr;
	struct burrow_heap *heap;
	uint64_t phase;
	int marking;
	bool beside;
	bool quit;
	uint64_t active;
	bool ending;
	bool starving;
	uint64_t bytes;
	int64_t cpu_ns;
} workers = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.wake = PTHREAD_COND_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
};

static int64_t cpu_now(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* The program wants the CPU back. */
static bool is_wanted(int index)
{
	return workers.beside &&
	       (int)__atomic_load_n(&burrow_runtime.nr_idle, __ATOMIC_RELAXED) <
		       index + 2;
}

static bool is_over(int index)
{
	return __atomic_load_n(&workers.ending, __ATOMIC_ACQUIRE) ||
	       is_wanted(index);
}

static void mark_blocks(struct burrow_marker *m, int index)
{
	__atomic_add_fetch(&workers.active, BEGAN + 1, __ATOMIC_SEQ_CST);
	while (burrow_mark_drain(m, SLICE_BYTES) && !is_over(index)) {
		if (burrow_workers_hungry(m->heap))
			burrow_mark_share_half(m);
	}
	burrow_mark_share(m);
	/* Pairs with burrow_workers_through(): what is left is shared. */
	__atomic_sub_fetch(&workers.active, 1, __ATOMIC_SEQ_CST);
}

static void mark(int index)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };
	struct burrow_heap *heap = workers.heap;
	int64_t cpu = cpu_now();
	struct burrow_marker m;
	int spins = 0;

	if (burrow_mark_open(&m, heap))
		return;
	while (!is_over(index)) {
		if (burrow_mark_shared(heap)) {
			mark_blocks(&m, index);
			spins = 0;
		} else if (++spins < SPINS) {
			burrow_arch_relax();
		} else {
			nanosleep(&look, NULL);
		}
	}
	__atomic_add_fetch(&workers.bytes, m.bytes, __ATOMIC_RELAXED);
	burrow_mark_close(&m);
	__atomic_add_fetch(&workers.cpu_ns, cpu_now() - cpu, __ATOMIC_RELAXED);
}

static void *worker_main(void *arg)
{
	struct worker *self = arg;

	pthread_mutex_lock(&workers.lock);
	while (!workers.quit) {
		if (workers.phase == self->seen) {
			pthread_cond_wait(&workers.wake, &workers.lock);
			continue;
		}
		self->seen = workers.phase;
		pthread_mutex_unlock(&workers.lock);
		mark(self - workers.all);
		pthread_mutex_lock(&workers.lock);
		WRITE_ONCE(workers.marking, workers.marking - 1);
		if (!workers.marking)
			pthread_cond_signal(&workers.idle);
	}
	pthread_mutex_unlock(&workers.lock);
	return NULL;
}

/* Under the lock: the phase that comes next is its first, however late it starts. */
static bool worker_new(struct worker *worker)
{
	worker->seen = workers.phase;
	return !pthread_create(&worker->thread, NULL, worker_main, worker);
}

/* With all signals blocked but those of faults, as the collector's own thread. */
void burrow_workers_ready(int n)
{
	sigset_t all, old;

	if (n > WORKERS_MAX)
		n = WORKERS_MAX;
	if (workers.nr >= n)
		return;
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_mutex_lock(&workers.lock);
	while (workers.nr < n && worker_new(&workers.all[workers.nr]))
		workers.nr++;
	pthread_mutex_unlock(&workers.lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void burrow_workers_begin(struct burrow_heap *heap, bool beside)
{
	if (!workers.nr)
		return;
	pthread_mutex_lock(&workers.lock);
	workers.heap = heap;
	workers.beside = beside;
	WRITE_ONCE(workers.starving, false);
	WRITE_ONCE(workers.marking, workers.nr);
	workers.phase++;
	__atomic_store_n(&workers.ending, false, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&workers.wake);
	pthread_mutex_unlock(&workers.lock);
}

void burrow_workers_end(void)
{
	if (!workers.nr)
		return;
	__atomic_store_n(&workers.ending, true, __ATOMIC_RELEASE);
	pthread_mutex_lock(&workers.lock);
	while (workers.marking)
		pthread_cond_wait(&workers.idle, &workers.lock);
	pthread_mutex_unlock(&workers.lock);
}

bool burrow_workers_hungry(const struct burrow_heap *heap)
{
	uint64_t active = __atomic_load_n(&workers.active, __ATOMIC_RELAXED);
	int marking = READ_ONCE(workers.marking);

	/* Alone nobody would take it but who shared it. */
	return marking &&
	       ((int)(uint32_t)active < marking ||
		READ_ONCE(workers.starving)) &&
	       !burrow_mark_shared(heap);
}

bool burrow_workers_through(const struct burrow_heap *heap)
{
	/* Both pair with mark_blocks(). */
	uint64_t before = __atomic_load_n(&workers.active, __ATOMIC_SEQ_CST);
	bool nothing = !burrow_mark_shared(heap);

	WRITE_ONCE(workers.starving, nothing);
	return nothing && !(uint32_t)before &&
	       __atomic_load_n(&workers.active, __ATOMIC_SEQ_CST) == before;
}

void burrow_workers_did(uint64_t *bytes, int64_t *cpu_ns)
{
	*bytes = __atomic_exchange_n(&workers.bytes, 0, __ATOMIC_RELAXED);
	*cpu_ns = __atomic_exchange_n(&workers.cpu_ns, 0, __ATOMIC_RELAXED);
}

void burrow_workers_close(void)
{
	int i;

	pthread_mutex_lock(&workers.lock);
	workers.quit = true;
	pthread_cond_broadcast(&workers.wake);
	pthread_mutex_unlock(&workers.lock);
	for (i = 0; i < workers.nr; i++)
		pthread_join(workers.all[i].thread, NULL);
	workers.nr = 0;
	workers.quit = false;
}

void burrow_workers_fork_child(void)
{
	pthread_mutex_init(&workers.lock, NULL);
	pthread_cond_init(&workers.wake, NULL);
	pthread_cond_init(&workers.idle, NULL);
	workers.nr = 0;
	workers.active = 0;
	workers.marking = 0;
}
