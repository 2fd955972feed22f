// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Goroutines that have been parked for long keep what is live of their stacks, some
 * hundred bytes as a rule, and no page for it: the module saves it elsewhere, and puts
 * it back where it was when anybody touches the stack (kmod/hibernate.c).
 *
 * All goroutines are gone over in rounds. One that has parked since the last round began
 * to look so far back, and long enough ago, is looked at once, whatever comes of it: who
 * wakes often is never parked for long, and who could not be saved (its stack is pinned,
 * or holds too much) is left alone until it has run again. One who says that he waits and
 * is still on his stack, for he has lost his CPU on the way, is looked at once more in the
 * next round, if there are not too many of them.
 *
 * While there is memory enough the monitor does it, for a hundredth of its time. Millions
 * take it hours, so where memory gets short (shortage.c) those who run goroutines help:
 * a processor takes a batch with every sixteenth switch, in its thread's loop (idle.c),
 * which is twice what those switches can have left behind. And they begin with those who
 * have been parked for a second, and end with those who have for hundredths of it.
 *
 * The lock is over where a round is, and is only ever tried: who can't have it has
 * others who do the work. Nothing else is locked, and others run. What is read of a
 * goroutine is right if its slot's word says that nobody is on the stack, both before
 * and after: the word was stored after the context (burrow_stack_leave() releases, here
 * it is acquired), and is another before the stack is run on. The module compares it
 * again, before it takes the memory and after.
 */
#include <string.h>
#include <time.h>

#include "../stack/stack.h"
#include "sched.h"
#include "shortage.h"

#define LIVE_MAX 3072 /* bytes; where there is more little of a page is saved */
#define LOOKS 256 /* in which a batch may not be found */
#define SHARE 100 /* of the monitor's time, one in so many */
#define SLICE_NS 200000 /* at a time, and then as long as that is SHARE of */
#define ROUND_NS 20000000LL /* between their beginnings at least, and */
#define ROUND_PART 8 /* of the time that one must have been parked */
/* That time if memory is short, a tenth from round to round, and rounds then. */
#define SHORT_AGE_NS 1000000000LL
#define SHORT_AGE_LEAST_NS 10000000LL
#define SHORT_ROUND_NS 5000000LL
#define MISSED 32 /* who is looked at once more */

/**
 * struct hibernation - the round that is under way
 * @lock:	over it all, but for @next_at
 * @walk:	who is next
 * @on:		it is
 * @young:	it has met some who have not been parked for long enough
 * @missed:	they were still on their stacks when it met them
 * @again:	those of the last one, who are still to be looked at
 * @nr_missed:	how many of the former
 * @nr_again:	and of the latter
 * @age:	how long that is, ns
 * @since:	runtime.clock: who had parked before was looked at
 * @before:	runtime.clock: who has parked later is not
 * @begun_at:	when the round began, burrow_now()
 * @round_at:	when the next one may
 * @next_at:	when the monitor is to go on, burrow_now(); the monitor's alone
 */
static struct hibernation {
	pthread_mutex_t lock;
	struct goroutine_walk walk;
	bool on;
	bool young;
	struct goroutine *missed[MISSED];
	struct goroutine *again[MISSED];
	uint32_t nr_missed;
	uint32_t nr_again;
	int64_t age;
	uint32_t since;
	uint32_t before;
	int64_t begun_at;
	int64_t round_at;
	int64_t next_at;
} round = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

/**
 * struct batch - stacks to save with one call
 * @stacks:	which
 * @live:	bytes of each
 * @site:	where its goroutine comes from, if what it has is what that used
 * @count:	how many
 */
struct batch {
	struct burrow_stack stacks[BURROW_STACK_BATCH];
	size_t live[BURROW_STACK_BATCH];
	void *site[BURROW_STACK_BATCH];
	uint32_t count;
};

void burrow_hibernate_open(void)
{
	pthread_mutex_lock(&round.lock);
	round.on = false;
	round.nr_missed = 0;
	round.nr_again = 0;
	round.age = burrow_runtime.config.hibernate_ns;
	round.before = 0;
	round.begun_at = 0;
	round.round_at = 0;
	round.next_at = 0;
	pthread_mutex_unlock(&round.lock);
	burrow_shortage_open();
}

/* Clocks begin anew after 49 days. */
static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/*
 * What @g has live, if it is parked: then @stack is as its word says. 0: it is not, or
 * was not for a moment.
 */
static __attribute__((no_sanitize("thread"))) size_t
live_of(const struct goroutine *g, struct burrow_stack *stack)
{
	const struct burrow_slot *entry;
	const char *context;
	uint64_t word;

	*stack = g->stack;
	if (!stack->arena || stack->slot >= stack->arena->slots)
		return 0;
	entry = &stack->arena->table[stack->slot];
	word = __atomic_load_n(&entry->word, __ATOMIC_ACQUIRE);
	stack->generation = word >> 1;
	if (word != burrow_stack_word(stack, false))
		return 0;
	context = __atomic_load_n(&g->context, __ATOMIC_ACQUIRE);
	if (__atomic_load_n(&g->state, __ATOMIC_ACQUIRE) != GOROUTINE_WAITING ||
	    g->stack.arena != stack->arena || g->stack.slot != stack->slot ||
	    !burrow_stack_holds(stack, context))
		return 0;
	return burrow_stack_top(stack) - context;
}

static void miss(struct goroutine *g)
{
	if (round.nr_missed < MISSED)
		round.missed[round.nr_missed++] = g;
}

/* It runs meanwhile, or is another already: the module finds out. */
static __attribute__((no_sanitize("thread"))) void
look_at(struct goroutine *g, uint32_t since, struct batch *batch)
{
	uint32_t parked_at = READ_ONCE(g->parked_at);
	struct burrow_stack stack;
	size_t live;

	if (READ_ONCE(g->state) != GOROUTINE_WAITING ||
	    is_before(parked_at, since))
		return;
	if (!is_before(parked_at, round.before)) {
		round.young = true;
		return;
	}
	live = live_of(g, &stack);
	if (!live)
		miss(g);
	if (!live || live > LIVE_MAX)
		return;
	batch->stacks[batch->count] = stack;
	batch->live[batch->count] = live;
	batch->site[batch->count++] = g->cold && !g->slept ? g->site : NULL;
	/* Before it may end: its stack has less than it used then (goroutine.c). */
	__atomic_store_n(&g->slept, 1, __ATOMIC_RELAXED);
}

static void look_at_some(struct batch *batch)
{
	struct goroutine *g;
	int i;

	while (round.nr_again && batch->count < BURROW_STACK_BATCH) {
		g = round.again[--round.nr_again];
		look_at(g, READ_ONCE(g->parked_at), batch);
	}
	for (i = 0; i < LOOKS && batch->count < BURROW_STACK_BATCH; i++) {
		g = goroutine_walk_next(&round.walk);
		if (!g) {
			round.on = false;
			return;
		}
		look_at(g, round.since, batch);
	}
}

/* How long one must have been parked. */
static int64_t age_for(const struct burrow_runtime *rt)
{
	int64_t most = rt->config.hibernate_ns, age = round.age / 10;

	if (!burrow_shortage())
		return most;
	if (age > SHORT_AGE_NS)
		age = SHORT_AGE_NS;
	if (age < SHORT_AGE_LEAST_NS)
		age = SHORT_AGE_LEAST_NS;
	return age < most ? age : most;
}

static void begin(const struct burrow_runtime *rt, int64_t now)
{
	uint32_t clock = READ_ONCE(rt->clock), before;
	int64_t back, part;

	round.age = age_for(rt);
	back = round.age / 1000000;
	before = clock - (uint32_t)(back > clock ? clock : back);
	round.on = true;
	round.young = false;
	round.since = round.before;
	memcpy(round.again, round.missed, sizeof(round.again));
	round.nr_again = round.nr_missed;
	round.nr_missed = 0;
	/* After a shortage it would go back. */
	if (is_before(round.before, before))
		round.before = before;
	part = round.age / ROUND_PART;
	round.begun_at = now;
	round.round_at = now + (part > ROUND_NS ? part : ROUND_NS);
	goroutine_walk_begin(&round.walk);
}

static bool is_due(int64_t now)
{
	if (burrow_shortage())
		return now - round.begun_at >= SHORT_ROUND_NS;
	return now >= round.round_at;
}

/* False: there is nobody to look at now, or others do. */
static bool gather(struct burrow_runtime *rt, int64_t now, struct batch *batch)
{
	bool on;

	if (pthread_mutex_trylock(&round.lock))
		return false;
	if (!round.on && is_due(now))
		begin(rt, now);
	on = round.on;
	if (on)
		look_at_some(batch);
	else if (READ_ONCE(rt->help))
		WRITE_ONCE(rt->help, 0);
	pthread_mutex_unlock(&round.lock);
	return on;
}

static void save(const struct batch *batch)
{
	int64_t gone[BURROW_STACK_BATCH] = { 0 };
	uint32_t i;

	burrow_stack_hibernate(batch->stacks, batch->live, batch->count, gone);
	for (i = 0; i < batch->count; i++) {
		if (batch->site[i] && gone[i] > 0)
			burrow_site_sleep(batch->site[i], gone[i]);
	}
}

static bool save_some(struct burrow_runtime *rt, int64_t now)
{
	struct batch batch;

	batch.count = 0;
	if (!gather(rt, now, &batch))
		return false;
	if (batch.count)
		save(&batch);
	return true;
}

bool burrow_hibernate_help(void)
{
	return save_some(&burrow_runtime, burrow_now());
}

/* CPU time: to wait for a CPU is no work. */
static int64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void go_on(struct burrow_runtime *rt, int64_t now)
{
	int64_t from = cpu_now(), spent;
	bool more;

	do {
		more = save_some(rt, now);
		spent = cpu_now() - from;
	} while (more && spent < SLICE_NS);
	round.next_at = now + spent * SHARE;
}

/* When there will be somebody to look at. */
static int64_t due(int64_t idle_since)
{
	int64_t at = BURROW_FOREVER;

	if (pthread_mutex_trylock(&round.lock))
		return round.next_at;
	if (round.on)
		at = round.next_at;
	/* Who parked as it was begun was not seen by it. */
	else if (round.young || round.nr_missed || round.begun_at <= idle_since)
		at = round.round_at > round.next_at ? round.round_at :
						      round.next_at;
	pthread_mutex_unlock(&round.lock);
	return at;
}

int64_t burrow_hibernate_some(struct burrow_runtime *rt, int64_t now,
			      int64_t idle_since)
{
	if (rt->config.hibernate_ns < 0 || !rt->pool->hibernates)
		return BURROW_FOREVER;
	burrow_shortage_watch(now);
	if (now >= round.next_at)
		go_on(rt, now);
	return due(idle_since);
}
