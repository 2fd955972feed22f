// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Chores: short calls that protect pages, or take protection away, made by who
 * allocates instead of the collector's thread.
 *
 * When a page becomes read-only each CPU that runs the process has to forget what it
 * may write there: it is interrupted, and who made the call waits until it has. On a
 * virtual machine that took 30 to 50 us for each run of spans, with a program on one
 * CPU and the collector on another, and was a third of what binary trees took. A CPU
 * that asks for itself alone interrupts nobody. So where one processor runs, the
 * collector's thread makes a list, wakes up when all of it is done, and does what is
 * left itself where nobody comes. What is long it does at once: there an interrupt
 * is little beside the call.
 *
 * Who helps is inside the runtime, so no stop falls between taking a chore and having
 * done it, and marking can't begin with pages that are not armed yet: the collector's
 * thread does not ask for a stop before the list is done.
 *
 * Pages go by their numbers: in static data their addresses would be roots.
 *
 * Everything here is under chores.lock but `pending`, which is looked at without, what
 * a chore says of itself, which is its own until it is done, and `nr_found`, atomic.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <time.h>

#include "../sched/sched.h"
#include "chores.h"

#define PAGE_SHIFT 12
#define CHORES 256
#define FOUND 1024 /* runs of dirty pages; past these a chore counts as failed */
#define BYTES_MOST (256L << 10) /* of one */
#define AT_ONCE 4 /* by one who helps: some ten microseconds */
#define PATIENCE_NS 200000L /* in which somebody must come */

/**
 * struct pages - a range of addresses, by the system's pages
 * @from:	the first
 * @to:		behind the last
 */
struct pages {
	uint64_t from;
	uint64_t to;
};

/**
 * struct chore - one call
 * @pages:	to make it for
 * @failed:	and what came of it
 */
struct chore {
	struct pages pages;
	bool failed;
};

/**
 * struct chores - the list
 * @lock:	over what follows
 * @through:	the last one is done
 * @tracker:	whose calls
 * @what:	which
 * @list:	of these the first @nr; written while none is pending
 * @nr:		how many
 * @next:	the first that nobody has taken
 * @pending:	how many those are; 0: there is no list to take from
 * @left:	how many are not done
 * @nr_found:	how many harvests have found, and more than there was room for
 * @found:	runs of dirty pages
 */
static struct chores {
	pthread_mutex_t lock;
	pthread_cond_t through;
	const struct burrow_tracker *tracker;
	enum burrow_chore what;
	struct chore list[CHORES];
	uint32_t nr;
	uint32_t next;
	uint32_t pending;
	uint32_t left;
	uint32_t nr_found;
	struct pages found[FOUND];
} chores = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.through = PTHREAD_COND_INITIALIZER,
};

static char *address(uint64_t page)
{
	return (char *)(page << PAGE_SHIFT);
}

static struct pages pages_of(const char *low, const char *high)
{
	return (struct pages){ (uintptr_t)low >> PAGE_SHIFT,
			       (uintptr_t)high >> PAGE_SHIFT };
}

static void find(char *low, char *high, void *arg)
{
	uint32_t i = __atomic_fetch_add(&chores.nr_found, 1, __ATOMIC_RELAXED);
	struct chore *chore = arg;

	if (i < FOUND)
		chores.found[i] = pages_of(low, high);
	else
		chore->failed = true;
}

static void carry_out(struct chore *chore)
{
	const struct burrow_tracker *t = chores.tracker;
	char *low = address(chore->pages.from), *high = address(chore->pages.to);

	chore->failed = false;
	if (chores.what == CHORE_ARM)
		chore->failed |= t->arm(low, high) != 0;
	else if (chores.what == CHORE_HARVEST)
		chore->failed |= t->harvest(low, high, find, chore) != 0;
	else
		t->disarm(low, high);
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
	if (burrow_likely(!READ_ONCE(chores.pending)) ||
	    pthread_mutex_trylock(&chores.lock))
		return;
	take_some(AT_ONCE);
	pthread_mutex_unlock(&chores.lock);
}

/* One runs: whoever else did would be interrupted all the same. */
static bool one_runs(void)
{
	const struct burrow_runtime *rt = &burrow_runtime;

	return READ_ONCE(rt->nr_active) == READ_ONCE(rt->nr_idle) + 1;
}

bool burrow_chores_begin(const struct burrow_tracker *tracker,
			 enum burrow_chore what)
{
	if (tracker->free || !one_runs())
		return false;
	chores.tracker = tracker;
	chores.what = what;
	chores.nr = 0;
	chores.nr_found = 0;
	return true;
}

bool burrow_chores_add(char *low, char *high)
{
	if (high - low > BYTES_MOST || chores.nr == CHORES)
		return false;
	chores.list[chores.nr++].pages = pages_of(low, high);
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

	pthread_mutex_lock(&chores.lock);
	chores.next = 0;
	chores.left = chores.nr;
	WRITE_ONCE(chores.pending, chores.nr);
	while (chores.pending && wait_for_somebody())
		;
	came = chores.next;
	take_some(CHORES);
	while (chores.left)
		pthread_cond_wait(&chores.through, &chores.lock);
	pthread_mutex_unlock(&chores.lock);
	return came;
}

bool burrow_chores_end(void (*fn)(char *low, char *high, bool failed, void *arg),
		       burrow_dirty_fn *dirty, void *arg)
{
	bool came = !chores.nr || have_done();
	const struct chore *chore = chores.list;
	uint32_t i;

	for (; chore < chores.list + chores.nr; chore++)
		fn(address(chore->pages.from), address(chore->pages.to),
		   chore->failed, arg);
	for (i = 0; i < chores.nr_found && i < FOUND; i++)
		dirty(address(chores.found[i].from),
		      address(chores.found[i].to), arg);
	return came;
}

void burrow_chores_fork_child(void)
{
	pthread_mutex_init(&chores.lock, NULL);
	pthread_cond_init(&chores.through, NULL);
	chores.nr = 0;
	chores.next = 0;
	chores.left = 0;
	chores.pending = 0;
}
