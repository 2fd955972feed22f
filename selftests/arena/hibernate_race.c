// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernation against those who use the stacks meanwhile: no write is lost,
 * whoever writes, and no stack is taken from who was woken.
 */
#include <sched.h>
#include <sys/uio.h>

#include "hibernate.h"

/* How many times stacks are to be hibernated, 0 if nobody says. */
static unsigned long cycles_wanted(void)
{
	const char *cycles = getenv("BURROW_TEST_CYCLES");
	long n = cycles ? atol(cycles) : 0;

	return n > 0 ? n : 0;
}

/* For as long as is wanted; else 20,000 times, or a minute on a slow machine. */
static bool is_enough(unsigned long cycles, uint64_t begin)
{
	uint64_t ns = now_ns() - begin;

	if (ns < seconds_of_stress(1) * 1000000000ULL)
		return false;
	if (cycles_wanted())
		return cycles >= cycles_wanted();
	return cycles >= 20000 || ns >= time_scale() * 60000000000ULL;
}

static atomic_bool stop;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Writers of live bytes: three threads increment counters in stacks that are
 * parked, as others do through a pointer, while a fourth hibernates them. Beside
 * them a reader that is another process to the kernel, a collector, and one that
 * forks.
 */
#define STACKS 24
#define WRITERS 3

struct counts {
	struct arena *arena;
	atomic_ulong hibernated, read, gathered, backwards, forked;
	uint64_t written[WRITERS][STACKS];
	uint64_t seen[WRITERS][STACKS];
};

/* Counters lie apart, the last one at the lower end of what is live. */
static uint64_t counter_depth(unsigned int writer, unsigned int stack)
{
	return writer == 2 ? 64 + stack * 128 : 8 + writer * 16;
}

static uint64_t stack_live(unsigned int stack)
{
	return counter_depth(2, stack);
}

static uint64_t *counter(struct counts *c, unsigned int writer,
			 unsigned int stack)
{
	return (uint64_t *)(slot_top(c->arena, stack) -
			    counter_depth(writer, stack));
}

struct writer {
	struct counts *counts;
	unsigned int number;
};

static void *writes(void *arg)
{
	struct writer *w = arg;
	uint64_t random = 0x9e3779b97f4a7c15 + w->number;
	unsigned int stack;

	while (!stop) {
		stack = next_random(&random) % STACKS;
		++*(volatile uint64_t *)counter(w->counts, w->number, stack);
		w->counts->written[w->number][stack]++;
	}
	return NULL;
}

static void *hibernates(void *arg)
{
	struct counts *c = arg;
	struct burrow_hibernate_entry entries[STACKS];
	unsigned int i, n, first, round = 0;
	uint64_t begin = now_ns();

	while (!is_enough(c->hibernated, begin)) {
		/* Now all of them as runs, now some, now one. */
		n = 1 + round % STACKS;
		first = round++ % (STACKS - n + 1);
		for (i = 0; i < n; i++)
			entries[i] = (struct burrow_hibernate_entry){
				.slot = first + i,
				.live = stack_live(first + i),
			};
		if (hibernate(c->arena, entries, n, NULL))
			die("hibernate");
		for (i = 0; i < n; i++) {
			if (entries[i].result > 0)
				atomic_fetch_add(&c->hibernated, 1);
			else if (entries[i].result &&
				 entries[i].result != -EBUSY)
				die("hibernate: %lld",
				    (long long)entries[i].result);
		}
		if (round % 4 == 0)
			sched_yield();
	}
	stop = true;
	return NULL;
}

/* A counter never goes back, however it is read. */
static void saw(struct counts *c, unsigned int writer, unsigned int stack,
		uint64_t value)
{
	if (value < c->seen[writer][stack])
		atomic_fetch_add(&c->backwards, 1);
	c->seen[writer][stack] = value;
}

static void read_one(struct counts *c, unsigned int writer, unsigned int stack)
{
	uint64_t value;
	struct iovec local = { &value, sizeof(value) };
	struct iovec remote = { counter(c, writer, stack), sizeof(value) };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) !=
	    sizeof(value))
		die("process_vm_readv");
	saw(c, writer, stack, value);
	atomic_fetch_add(&c->read, 1);
}

static void gather(struct counts *c)
{
	static char buffer[64 * 1024] __attribute__((aligned(8)));
	struct burrow_saved_slot *record;
	struct burrow_saved told;
	unsigned int writer;
	uint64_t at, value;

	told = saved_from(c->arena, 0, STACKS, buffer, sizeof(buffer));
	for (at = 0; at < told.done; at += sizeof(*record) + record->live) {
		record = (void *)(buffer + at);
		for (writer = 0; writer < WRITERS; writer++) {
			memcpy(&value,
			       (char *)(record + 1) + record->live -
				       counter_depth(writer, record->slot),
			       sizeof(value));
			saw(c, writer, record->slot, value);
		}
		atomic_fetch_add(&c->gathered, 1);
	}
}

static void *reads(void *arg)
{
	struct counts *c = arg;
	uint64_t random = 88172645463325252ULL;
	unsigned int i;

	while (!stop) {
		for (i = 0; i < 4; i++)
			read_one(c, next_random(&random) % WRITERS,
				 next_random(&random) % STACKS);
		gather(c);
	}
	return NULL;
}

static int touches_nothing_of_ours(void *arg)
{
	struct counts *c = arg;

	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	*counter(c, 0, 0) = 0;
	return 0;
}

/* Children that have the entries of page tables for a moment, and no more. */
static void *forks(void *arg)
{
	struct counts *c = arg;
	int status;

	while (!stop) {
		status = in_child(touches_nothing_of_ours, c);
		if (status != -SIGSEGV && status != -SIGBUS)
			die("a child: %d", status);
		atomic_fetch_add(&c->forked, 1);
		nap_ms(20 * time_scale());
	}
	return NULL;
}

TEST_F_TIMEOUT(hibernate, no_write_is_lost, 3600)
{
	static struct counts c;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS + 3];
	unsigned int i, j, n = 0;

	madvise(self->arena.base, STACKS * KIB(256), MADV_DOFORK);
	c.arena = &self->arena;
	for (i = 0; i < STACKS; i++) {
		touch(slot_page(&self->arena, i, i % 3));
		memset(slot_page(&self->arena, i, 0), 0, PAGE);
	}
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ &c, i };
		threads[n++] = thread_start(writes, &writers[i]);
	}
	threads[n++] = thread_start(hibernates, &c);
	threads[n++] = thread_start(reads, &c);
	threads[n++] = thread_start(forks, &c);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < WRITERS; i++)
		for (j = 0; j < STACKS; j++)
			EXPECT_EQ(c.written[i][j], *counter(&c, i, j))
	TH_LOG("writer %u, stack %u", i, j);
	TH_LOG("%lu hibernated, %lu read, %lu gathered, %lu forked",
	       c.hibernated, c.read, c.gathered, c.forked);
	EXPECT_EQ(0, c.backwards);
	EXPECT_LE(cycles_wanted(), c.hibernated);
	EXPECT_LT(1000, c.hibernated);
	EXPECT_LT(100, c.read);
	EXPECT_LT(10, c.gathered);
	EXPECT_LT(0, c.forked);
	EXPECT_EQ(c.hibernated, context_stats(self->fd).hibernates);
}

/*
 * Wakers: sleepers' stacks are hibernated, and trimmed, all the time by the word
 * and live bytes that were seen, while their owners wake them: change the word,
 * look that what was live is, run below it, look that nothing was lost, and park
 * with other live bytes.
 */
#define SLEEPERS 12
#define WAKERS_MAX 3
#define DEEP (2 * PAGE) /* that a stack uses at most */

struct sleeper {
	_Atomic uint32_t live; /* bytes that are live while it is parked */
	unsigned char stamp; /* what they hold */
};

struct race {
	struct arena *arena;
	struct sleeper sleepers[SLEEPERS];
	unsigned int wakers;
	atomic_ulong wakes, hibernated, refused, lost;
};

/* One wake-up; the slot is this thread's, only its word is anybody's. */
static void wake(struct race *r, unsigned int slot, uint64_t *random)
{
	struct sleeper *s = &r->sleepers[slot];
	uint64_t *word = (uint64_t *)&r->arena->table[slot].word;
	char *top = slot_top(r->arena, slot);
	uint64_t seen = *word;
	size_t deep;

	__atomic_store_n(word, seen + 1, __ATOMIC_SEQ_CST);
	/* Sometimes below first, as a frame that is pushed. */
	deep = s->live + next_random(random) % (DEEP - s->live);
	if (next_random(random) % 2)
		memset(top - deep, 0x5a, deep - s->live);
	if (s->live && !is_filled(top - s->live, s->stamp, s->live))
		atomic_fetch_add(&r->lost, 1);
	s->stamp = next_random(random);
	memset(top - deep, s->stamp, deep);
	if (next_random(random) % 4 == 0)
		sched_yield();
	if (deep && !is_filled(top - deep, s->stamp, deep))
		atomic_fetch_add(&r->lost, 1);
	deep = deep < BOUND ? deep : BOUND;
	s->live = deep ? 1 + next_random(random) % deep : 0;
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

/* Word and live bytes that belong together, or would have a moment ago. */
static uint64_t look_at(struct race *r, unsigned int slot, __u64 *live)
{
	uint64_t word =
		__atomic_load_n(&r->arena->table[slot].word, __ATOMIC_ACQUIRE);

	*live = r->sleepers[slot].live;
	/* Odd: it runs, and a runtime would leave it alone. */
	return word & 1 ? word - 1 : word;
}

static void hibernate_some(struct race *r, unsigned int first, unsigned int n)
{
	struct burrow_hibernate_entry entries[SLEEPERS];
	unsigned int i;

	for (i = 0; i < n; i++) {
		entries[i].slot = first + i;
		entries[i].word = look_at(r, first + i, &entries[i].live);
		entries[i].live += !entries[i].live;
	}
	if (hibernate(r->arena, entries, n, NULL))
		die("hibernate");
	for (i = 0; i < n; i++) {
		if (entries[i].result > 0)
			atomic_fetch_add(&r->hibernated, 1);
		else if (entries[i].result == -EAGAIN)
			atomic_fetch_add(&r->refused, 1);
		else if (entries[i].result && entries[i].result != -EBUSY)
			die("hibernate: %lld", (long long)entries[i].result);
	}
}

static void *hibernates_sleepers(void *arg)
{
	struct race *r = arg;
	unsigned int round = 0, n, first;
	struct burrow_trim_entry trimmed;

	while (!stop) {
		/* Long runs: time goes by between the words and the unmapping. */
		n = round % 2 ? SLEEPERS : 1 + round % SLEEPERS;
		first = round++ % (SLEEPERS - n + 1);
		hibernate_some(r, first, n);
		if (round % 8)
			continue;
		trimmed.slot = first;
		trimmed.word = look_at(r, first, &trimmed.keep);
		if (trim_with(r->arena, round & 8 ? BURROW_TRIM_LAZY : 0,
			      &trimmed, 1, NULL))
			die("trim");
	}
	return NULL;
}

TEST_F_TIMEOUT(hibernate, who_wakes_is_not_hibernated, 3600)
{
	static struct race r;
	struct waker wakers[WAKERS_MAX];
	pthread_t threads[WAKERS_MAX + 1];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int i, n = 0;
	uint64_t random = 1;

	r.arena = &self->arena;
	stop = false;
	/* One CPU is for who hibernates, if there are two. */
	r.wakers = cpus > WAKERS_MAX ? WAKERS_MAX : cpus > 1 ? cpus - 1 : 1;
	for (i = 0; i < SLEEPERS; i++)
		wake(&r, i, &random);
	for (i = 0; i < r.wakers; i++) {
		wakers[i] = (struct waker){ &r, i };
		threads[n++] = thread_start(wakes, &wakers[i]);
	}
	threads[n++] = thread_start(hibernates_sleepers, &r);
	nap_ms(seconds_of_stress(8) * 1000);
	/* A slow machine has more time. */
	for (i = 0; i < 10 * time_scale() &&
		    (r.wakes <= 100 || r.hibernated <= 100 || !r.refused);
	     i++)
		nap_ms(1000);
	stop = true;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu wakes, %lu hibernated, %lu refused, %lu lost", r.wakes,
	       r.hibernated, r.refused, r.lost);
	EXPECT_EQ(0, r.lost);
	EXPECT_LT(100, r.wakes);
	EXPECT_LT(100, r.hibernated);
	EXPECT_LT(0, r.refused);
}

/*
 * A store that comes and goes by the page: threads hibernate and touch stacks of
 * their own, of all lengths, while memory is drained.
 */
struct owner {
	struct arena *arena;
	unsigned int number;
	unsigned long rounds, lost;
};

static void *hibernates_its_own(void *arg)
{
	struct owner *o = arg;
	uint64_t random = 77 + o->number, slot, live;

	while (!stop) {
		slot = o->number * 200 + next_random(&random) % 100;
		live = 1 + next_random(&random) % BOUND;
		park(o->arena, slot, 1, live);
		if (hibernate_slot(o->arena, slot, live) != (int64_t)PAGE)
			die("a slot is not hibernated");
		if (!is_whole(o->arena, slot, live))
			o->lost++;
		trim_slot(o->arena, slot, 0);
		o->rounds++;
	}
	return NULL;
}

TEST_F_TIMEOUT(hibernate, threads_of_their_own, 3600)
{
	struct owner owners[3];
	pthread_t threads[3];
	uint64_t end;
	unsigned int i;

	stop = false;
	for (i = 0; i < 3; i++) {
		owners[i] = (struct owner){
			.arena = &self->arena,
			.number = i,
		};
		threads[i] = thread_start(hibernates_its_own, &owners[i]);
	}
	end = now_ns() + seconds_of_stress(3) * 1000000000ULL;
	while (now_ns() < end) {
		context_drain(self->fd);
		nap_ms(5);
	}
	stop = true;
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, owners[i].lost);
		EXPECT_LT(10, owners[i].rounds);
	}
	EXPECT_EQ(0, context_stats(self->fd).saved_bytes);
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
}

ARENA_TEST_MAIN
