// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How deep goroutines go, by where they were spawned.
 *
 * A stack that comes from the pool is empty, and grows by faults, each of which
 * maps twice as much as there was. What a goroutine from the same burrow_go()
 * used before is the best guess at what this one will: it is mapped at once when
 * the goroutine starts. This is Go's adaptive initial stack (runtime/mgcstack.go,
 * GODEBUG=adaptivestackstart), with a guess for each site rather than an average
 * of all.
 *
 * A goroutine that began on such a stack is measured when it ends, or hibernates for
 * the first time: that takes what it used. The first few of a site are measured always
 * and then one of sixteen. The guess goes up to what was seen at once and comes down by
 * an eighth of the difference, and it is bounded: memory that is mapped for nothing
 * costs more than a few faults.
 *
 * The table has no lock: an entry is claimed by a compare-and-swap of its site,
 * the rest are hints, written and read by themselves. When it is full further
 * sites go without.
 */
#include <unistd.h>

#include "sched.h"

#define SITES 1024 /* a power of two */
#define PROBES 8
#define ALWAYS 8 /* first ones of a site that are measured */
#define ONE_OF 16 /* of those after */
#define GUESS_MAX (256UL << 10)
#define STRIDE_MAX (8UL << 20) /* measuring a larger slot takes long */

/**
 * struct site - one burrow_go() of the program
 * @pc:		its return address, NULL: unused
 * @bytes:	what a goroutine of it is guessed to use
 * @ended:	goroutines of it that could be measured
 */
struct site {
	void *pc;
	uint32_t bytes;
	uint32_t ended;
};

static struct site sites[SITES];

/* The entry of a site, NULL: none is free. */
static struct site *find(void *pc)
{
	uint64_t hash = (uintptr_t)pc * 0x9e3779b97f4a7c15ULL;
	struct site *site;
	void *seen;
	int i;

	for (i = 0; i < PROBES; i++) {
		site = &sites[((hash >> 32) + i) % SITES];
		seen = __atomic_load_n(&site->pc, __ATOMIC_RELAXED);
		if (!seen && __atomic_compare_exchange_n(
				     &site->pc, &seen, pc, false,
				     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return site;
		if (seen == pc)
			return site;
	}
	return NULL;
}

void burrow_site_start(struct goroutine *g)
{
	struct site *site = find(g->site);
	size_t bytes;

	if (!site)
		return;
	bytes = __atomic_load_n(&site->bytes, __ATOMIC_RELAXED);
	if (bytes > (size_t)sysconf(_SC_PAGESIZE))
		burrow_stack_prefault(&g->stack, bytes);
}

/*
 * Down slowly: now and then one does less than the others. But all the way, for
 * a byte more than a page is a page more.
 */
static void learn(struct site *site, size_t bytes)
{
	size_t old = __atomic_load_n(&site->bytes, __ATOMIC_RELAXED);

	if (bytes > GUESS_MAX)
		bytes = GUESS_MAX;
	if (bytes < old)
		bytes = old - (old - bytes + 7) / 8;
	__atomic_store_n(&site->bytes, bytes, __ATOMIC_RELAXED);
}

/* Another one could be measured: is it to be? */
static bool is_measured(struct site *site)
{
	uint32_t ended = __atomic_load_n(&site->ended, __ATOMIC_RELAXED);

	__atomic_store_n(&site->ended, ended + 1, __ATOMIC_RELAXED);
	return ended < ALWAYS || ended % ONE_OF == 0;
}

void burrow_site_end(struct goroutine *g)
{
	struct site *site = find(g->site);
	int64_t bytes;

	if (!site || g->stack.arena->stride > STRIDE_MAX || !is_measured(site))
		return;
	bytes = burrow_stack_resident(&g->stack);
	if (bytes > 0)
		learn(site, bytes);
}

void burrow_site_sleep(void *pc, size_t bytes)
{
	struct site *site = find(pc);

	if (site && is_measured(site))
		learn(site, bytes);
}
