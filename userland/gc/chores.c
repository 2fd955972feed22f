// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Chores: short calls that protect pages, or take protection away, made by who
 * allocates instead of the collector's thread.
 *
 * When a page becomes read-only each CPU that runs the process has to forget what it
 * may write there: it is interrupted, and who made the call waits until it has. On a
 * virtual machine that takes longer than the call. A CPU that asks for itself alone
 * interrupts nobody. So where one processor runs, the collector's thread makes a list,
 * wakes up when all of it is done, and does what is left itself where nobody comes.
 * What is long it does at once: there an interrupt is little beside the call.
 *
 * Who helps is inside the runtime, so no stop falls between taking a chore and having
 * done it, and marking can't begin with pages that are not armed yet: the collector's
 * thread does not ask for a stop before the list is done.
 *
 * The list lies in memory of its own, for in static data its addresses would be roots.
 * It is the collector's while `pending` is 0 and nothing is `left`. Else what is not a
 * chore's own, or its place among what is found, is under chores.lock; `pending` is looked
 * at without.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "../sched/sched.h"
#include "chores.h"

#define PAGE 4096UL
#define CHORES 256
#define BYTES_MOST (256UL << 10) /* of one */
#define RUNS_MOST \
	(BYTES_MOST / PAGE / 2) /* of dirty pages in one: every other */
#define AT_ONCE 4 /* by one who helps: some ten microseconds */
#define PATIENCE_NS 200000L /* in which somebody must come */
#define WAITS 10 /* so often, and the rest is the collector's */

/**
 * struct range - a range of addresses
 * @low:	its first byte
 * @high:	behind its last
 */
struct range {
	char *low;
	char *high;
};

/**
 * struct chore - one call
 * @range:	to make it for
 * @failed:	and what came of it
 * @nr_found:	how many runs of dirty pages a harvest has found
 * @found:	these
 */
struct chore {
	struct range range;
	bool failed;
	uint32_t nr_found;
	struct range found[RUNS_MOST];
};

/**
 * struct chores - the list
 * @lock:	see above
 * @through:	the last one is done
 * @tracker:	whose calls
 * @what:	which
 * @list:	of these the first @nr; NULL until it is needed first, then kept
 * @nr:		how many
 * @next:	the first that nobody has taken
 * @pending:	how many those are; 0: there is no list to take from
 * @left:	how many are not done
 * @ns:		that others have taken for them, since it was last asked
 */
static struct chores {
	pthread_mutex_t lock;
	pthread_cond_t through;
	const struct burrow_tracker *tracker;
	enum burrow_chore what;
	struct chore *list;
	uint32_t nr;
	uint32_t next;
	uint32_t pending;
	uint32_t left;
	int64_t ns;
} chores = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.through = PTHREAD_COND_INITIALIZER,
};

static void find(char *low, char *high, void *arg)
{
	struct chore *chore = arg;

	if (chore->nr_found < RUNS_MOST)
		chore->found[chore->nr_found++] = (struct range){ low, high };
	else
		chore->failed = true;
}

static void carry_out(struct chore *chore)
{
	const struct burrow_tracker *t = chores.tracker;
	char *low = chore->range.low, *high = chore->range.high;

	if (chores.what == CHORE_DISARM)
		t->disarm(low, high);
	else if (chores.what == CHORE_ARM ? t->arm(low, high) :
					    t->harvest(low, high, find, chore))
		chore->failed = true;
}

/* Under the lock, which is dropped meanwhile: @most of what nobody has taken. */
static void take_some(uint32_t most)
{
	uint32_t from = chores.next, n = chores.pending, i;

	n = n < most ? n : most;
	chores.next += n;
	WRITE_ONCE(chores.pending, chores.pending - n);
	pthread_mutex_unlock(&chores.lock);
	for (i = from; i < from + n; i++)
		carry_out(&chores.list[i]);
	pthread_mutex_lock(&chores.lock);
	chores.left -= n;
	if (n && !chores.left)
		pthread_cond_signal(&chores.through);
}

void burrow_chores_help(void)
{
	int err = errno;
	int64_t from;

	if (burrow_likely(!READ_ONCE(chores.pending)) ||
	    pthread_mutex_trylock(&chores.lock))
		return;
	from = burrow_now();
	take_some(AT_ONCE);
	chores.ns += burrow_now() - from;
	pthread_mutex_unlock(&chores.lock);
	errno = err;
}

/* One runs: whoever else did would be interrupted all the same. */
static bool one_runs(void)
{
	const struct burrow_runtime *rt = &burrow_runtime;

	return READ_ONCE(rt->nr_active) == READ_ONCE(rt->nr_idle) + 1;
}

static bool have_list(void)
{
	void *list;

	if (chores.list)
		return true;
	list = mmap(NULL, CHORES * sizeof(*chores.list), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (list == MAP_FAILED)
		return false;
	chores.list = list;
	return true;
}

bool burrow_chores_begin(const struct burrow_tracker *tracker,
			 enum burrow_chore what)
{
	if (tracker->free || !one_runs() || !have_list())
		return false;
	chores.tracker = tracker;
	chores.what = what;
	chores.nr = 0;
	return true;
}

bool burrow_chores_add(char *low, char *high)
{
	struct chore *chore = &chores.list[chores.nr];

	if ((size_t)(high - low) > BYTES_MOST || chores.nr == CHORES)
		return false;
	chore->range = (struct range){ low, high };
	chore->failed = false;
	chore->nr_found = 0;
	chores.nr++;
	return true;
}

/* Under the lock. True: somebody has taken some since, or all is done. */
static bool wait_for_somebody(void)
{
	uint32_t next = chores.next;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PATIENCE_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (chores.left &&
	       !pthread_cond_clockwait(&chores.through, &chores.lock,
				       CLOCK_MONOTONIC, &until))
		;
	return chores.next != next || !chores.left;
}

/* True: somebody came. */
static bool have_done(void)
{
	bool came;
	int i;

	pthread_mutex_lock(&chores.lock);
	chores.next = 0;
	chores.left = chores.nr;
	WRITE_ONCE(chores.pending, chores.nr);
	for (i = 0; i < WAITS && chores.pending && wait_for_somebody(); i++)
		;
	came = chores.next;
	take_some(CHORES);
	while (chores.left)
		pthread_cond_wait(&chores.through, &chores.lock);
	pthread_mutex_unlock(&chores.lock);
	return came;
}

bool burrow_chores_end(void (*fn)(char *low, char *high, bool failed,
				  void *arg),
		       burrow_dirty_fn *dirty, void *arg)
{
	bool came = !chores.nr || have_done();
	const struct chore *chore = chores.list;
	uint32_t i;

	for (; chore < chores.list + chores.nr; chore++) {
		for (i = 0; i < chore->nr_found && !chore->failed; i++)
			dirty(chore->found[i].low, chore->found[i].high, arg);
		fn(chore->range.low, chore->range.high, chore->failed, arg);
	}
	return came;
}

int64_t burrow_chores_ns(void)
{
	int64_t ns;

	pthread_mutex_lock(&chores.lock);
	ns = chores.ns;
	chores.ns = 0;
	pthread_mutex_unlock(&chores.lock);
	return ns;
}

void burrow_chores_fork_child(void)
{
	pthread_mutex_init(&chores.lock, NULL);
	pthread_cond_init(&chores.through, NULL);
	chores.nr = 0;
	chores.next = 0;
	chores.pending = 0;
	chores.left = 0;
}
