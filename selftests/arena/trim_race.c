// SPDX-License-Identifier: GPL-2.0
/*
 * Trim against those who run: it takes nothing from a stack that is woken
 * meanwhile, whether pages go at once or later.
 */
#include "trim.h"

static atomic_bool stop;

struct scribbler {
	char *at;
	unsigned long wrote;
};

static void *scribbles(void *arg)
{
	struct scribbler *s = arg;

	while (!stop) {
		*(volatile char *)s->at = 0xee;
		s->wrote++;
	}
	return NULL;
}

/*
 * A thread writes on and on to a page that is taken from under it and given to
 * another stack: no write of its may land there.
 */
TEST_F(trim, no_stale_translation_is_left)
{
	struct scribbler s = { .at = slot_page(&self->arena, 0, 0) };
	pthread_t thread = thread_start(scribbles, &s);
	uint64_t end = now_ns() + 1500000000ULL, other;
	unsigned long rounds = 0, spin;

	while (now_ns() < end) {
		other = 8 + rounds++ % 16;
		trim_slot(&self->arena, 0, 0);
		memset(slot_page(&self->arena, other, 3), 0x11, 4 * PAGE);
		for (spin = 0; spin < 20000; spin++)
			__asm__ volatile("" ::: "memory");
		ASSERT_TRUE(is_filled(slot_page(&self->arena, other, 3), 0x11,
				      4 * PAGE));
		trim_slot(&self->arena, other, 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(10, rounds);
	EXPECT_LT(rounds, s.wrote);
}

/*
 * The race that the slot's word settles. Sleepers' stacks are trimmed all the
 * time by the word and depth that were seen, while their owners wake them:
 * change the word, run below the old depth, look that nothing was lost, and
 * park at another depth.
 */
#define SLEEPERS 12
#define WAKERS_MAX 3
#define LEVELS 24 /* pages that a stack uses at most */

struct sleeper {
	_Atomic uint32_t live; /* pages in use while parked */
	uint64_t stamp[LEVELS]; /* what was written to each page */
};

struct race {
	struct arena *arena;
	uint32_t flags;
	struct sleeper sleepers[SLEEPERS];
	unsigned int wakers;
	atomic_ulong wakes, trimmed, refused, lost;
};

static void stamp_page(struct race *r, unsigned int slot, unsigned int depth,
		       uint64_t stamp)
{
	uint64_t *page = (uint64_t *)slot_page(r->arena, slot, depth);

	/* Both ends and the middle: recycled pages are not zeroed. */
	page[0] = stamp;
	page[200] = stamp + 1;
	page[511] = stamp + 2;
	r->sleepers[slot].stamp[depth] = stamp;
}

static bool page_is_stamped(struct race *r, unsigned int slot,
			    unsigned int depth)
{
	uint64_t *page = (uint64_t *)slot_page(r->arena, slot, depth);
	uint64_t stamp = r->sleepers[slot].stamp[depth];

	return page[0] == stamp && page[200] == stamp + 1 &&
	       page[511] == stamp + 2;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One wake-up; the slot is this thread's, only its word is anybody's. */
static void wake(struct race *r, unsigned int slot, uint64_t *random)
{
	struct sleeper *s = &r->sleepers[slot];
	uint64_t *word = (uint64_t *)&r->arena->table[slot].word;
	unsigned int live = s->live, depth, top, park;
	uint64_t seen = *word;

	__atomic_store_n(word, seen + 1, __ATOMIC_SEQ_CST);
	top = live + 1 + next_random(random) % (LEVELS - live);
	for (depth = live; depth < top; depth++)
		stamp_page(r, slot, depth, next_random(random));
	if (next_random(random) % 4 == 0)
		sched_yield();
	for (depth = 0; depth < top; depth++)
		if (!page_is_stamped(r, slot, depth))
			atomic_fetch_add(&r->lost, 1);
	park = 1 + next_random(random) % 6;
	s->live = park < top ? park : top;
	__atomic_store_n(word, seen + 2, __ATOMIC_SEQ_CST);
	atomic_fetch_add(&r->wakes, 1);
}

struct waker {
	struct race *race;
	unsigned int number;
};

static void *wakes(void *arg)
{
	struct waker *w = arg;
	uint64_t random = 88172645463325252ULL + w->number;
	unsigned int slot;

	while (!stop) {
		slot = next_random(&random) % (SLEEPERS / w->race->wakers) *
			       w->race->wakers +
		       w->number;
		wake(w->race, slot, &random);
	}
	return NULL;
}

static void *trims(void *arg)
{
	struct race *r = arg;
	struct burrow_trim_entry entries[SLEEPERS];
	unsigned int i, n, first, round = 0;

	while (!stop) {
		/* Now all of them as a run, now some, now one. */
		n = 1 + round % SLEEPERS;
		first = round++ % (SLEEPERS - n + 1);
		for (i = 0; i < n; i++) {
			entries[i].slot = first + i;
			entries[i].word = __atomic_load_n(
				&r->arena->table[first + i].word,
				__ATOMIC_ACQUIRE);
			entries[i].keep = r->sleepers[first + i].live * PAGE;
			/* Odd: it runs, and a runtime would leave it alone. */
			if (entries[i].word & 1)
				entries[i].word--;
		}
		if (trim_with(r->arena, r->flags, entries, n, NULL))
			die("trim");
		for (i = 0; i < n; i++) {
			if (entries[i].result > 0)
				atomic_fetch_add(&r->trimmed, 1);
			else if (entries[i].result == -EAGAIN)
				atomic_fetch_add(&r->refused, 1);
			else if (entries[i].result)
				die("trim: %lld", (long long)entries[i].result);
		}
	}
	return NULL;
}

/*
 * Needs the pages of those that were trimmed lazily: drains, or grows a stack
 * of its own while the pool is empty.
 */
static void *needs_pages(void *arg)
{
	struct race *r = arg;
	unsigned int round = 0;

	while (!stop) {
		if (round++ % 2) {
			context_drain(r->arena->fd);
		} else {
			touch(slot_page(r->arena, 100, 40));
			trim_slot(r->arena, 100, 0);
		}
	}
	return NULL;
}

static void run_race(struct __test_metadata *_metadata, struct race *r)
{
	struct waker wakers[WAKERS_MAX];
	pthread_t threads[WAKERS_MAX + 2];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int i, n = 0;
	uint64_t random = 1;

	/* One CPU is for the trimmer, if there are two. */
	r->wakers = cpus > WAKERS_MAX ? WAKERS_MAX : cpus > 1 ? cpus - 1 : 1;
	for (i = 0; i < SLEEPERS; i++)
		wake(r, i, &random);
	for (i = 0; i < r->wakers; i++) {
		wakers[i] = (struct waker){ r, i };
		threads[n++] = thread_start(wakes, &wakers[i]);
	}
	threads[n++] = thread_start(trims, r);
	if (r->flags & BURROW_TRIM_LAZY)
		threads[n++] = thread_start(needs_pages, r);
	nap_ms(seconds_of_stress(8) * 1000);
	/* A slow machine has more time. */
	for (i = 0; i < 10 * time_scale() &&
		    (r->wakes <= 100 || r->trimmed <= 100 || !r->refused);
	     i++)
		nap_ms(1000);
	stop = true;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu wakes, %lu trimmed, %lu refused, %lu lost", r->wakes,
	       r->trimmed, r->refused, r->lost);
	EXPECT_EQ(0, r->lost);
	EXPECT_LT(100, r->wakes);
	EXPECT_LT(100, r->trimmed);
	EXPECT_LT(0, r->refused);
}

TEST_F_TIMEOUT(trim, wakes_that_race, 3600)
{
	static struct race r;

	r.arena = &self->arena;
	run_race(_metadata, &r);
}

/* Pages go at any time after the trim, to stacks that grow and to the system. */
TEST_F_TIMEOUT(trim, wakes_that_race_with_what_goes_later, 3600)
{
	static struct race r = { .flags = BURROW_TRIM_LAZY };
	struct burrow_context_stats stats;

	r.arena = &self->arena;
	run_race(_metadata, &r);
	stats = context_stats(self->fd);
	TH_LOG("%llu trimmed lazily, %llu taken, %llu put back",
	       (unsigned long long)stats.lazy_trims,
	       (unsigned long long)stats.lazy_taken,
	       (unsigned long long)stats.trim_races);
	EXPECT_LT(100, stats.lazy_taken);
	EXPECT_LT(stats.lazy_taken, stats.lazy_trims);
}

ARENA_TEST_MAIN
