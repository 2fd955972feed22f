// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Goroutines that have been parked for long keep what is live of their stacks, some
 * hundred bytes as a rule, and no page for it: the module saves it elsewhere, and puts
 * it back where it was when anybody touches the stack (kmod/hibernate.c).
 *
 * Called by the monitor, which has a hundredth of its time for it. It goes over all
 * goroutines in rounds. One that has parked since the last round began to look so far
 * back, and long enough ago, is looked at once, whatever comes of it: who wakes often is
 * never parked for long, and who could not be saved (its stack is pinned, or holds too
 * much) is left alone until it has run again.
 *
 * No lock is held, and others run. What is read of a goroutine is right if its slot's
 * word says that nobody is on the stack, both before and after: the word was stored
 * after the context (burrow_stack_leave() releases, here it is acquired), and is
 * another before the stack is run on. The module compares it again, before it takes the
 * memory and after.
 */
#include <time.h>

#include "../stack/stack.h"
#include "sched.h"

#define LIVE_MAX 3072 /* bytes; where there is more little of a page is saved */
#define LOOKS 256 /* between looks at the clock */
#define SHARE 100 /* of the monitor's time, one in so many */
#define SLICE_NS 200000 /* at a time, and then as long as that is SHARE of */
#define ROUND_NS 20000000LL /* between their beginnings at least, and */
#define ROUND_PART 8 /* of the time that one must have been parked */

/**
 * struct hibernation - the round that is under way; the monitor's alone
 * @walk:	who is next
 * @on:		it is
 * @young:	it has met some who have not been parked for long enough
 * @since:	runtime.clock: who had parked before was looked at
 * @before:	runtime.clock: who has parked later is not
 * @next_at:	when to go on, burrow_now()
 * @begun_at:	when the round began, burrow_now()
 * @round_at:	when the next one may
 * @stacks:	gathered
 * @live:	bytes of each
 * @count:	how many
 */
static struct hibernation {
	struct goroutine_walk walk;
	bool on;
	bool young;
	uint32_t since;
	uint32_t before;
	int64_t next_at;
	int64_t begun_at;
	int64_t round_at;
	struct burrow_stack stacks[BURROW_STACK_BATCH];
	size_t live[BURROW_STACK_BATCH];
	uint32_t count;
} round;

void burrow_hibernate_open(void)
{
	round = (struct hibernation){ 0 };
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

/* It runs meanwhile, or is another already: the module finds out. */
static __attribute__((no_sanitize("thread"))) void
look_at(const struct goroutine *g)
{
	uint32_t parked_at = READ_ONCE(g->parked_at);
	struct burrow_stack stack;
	size_t live;

	if (READ_ONCE(g->state) != GOROUTINE_WAITING ||
	    is_before(parked_at, round.since))
		return;
	if (!is_before(parked_at, round.before)) {
		round.young = true;
		return;
	}
	live = live_of(g, &stack);
	if (!live || live > LIVE_MAX)
		return;
	round.stacks[round.count] = stack;
	round.live[round.count++] = live;
}

static void save(void)
{
	if (round.count)
		burrow_stack_hibernate(round.stacks, round.live, round.count);
	round.count = 0;
}

/* False: the round is over. */
static bool look_at_some(void)
{
	struct goroutine *g = NULL;
	int i;

	for (i = 0; i < LOOKS && round.count < BURROW_STACK_BATCH; i++) {
		g = goroutine_walk_next(&round.walk);
		if (!g)
			break;
		look_at(g);
	}
	save();
	return g;
}

static void begin(const struct burrow_runtime *rt, int64_t now)
{
	int64_t ns = rt->config.hibernate_ns, back = ns / 1000000;
	uint32_t clock = READ_ONCE(rt->clock);

	if (back > clock)
		back = clock;
	round.on = true;
	round.young = false;
	round.since = round.before;
	round.before = clock - back;
	ns /= ROUND_PART;
	round.begun_at = now;
	round.round_at = now + (ns > ROUND_NS ? ns : ROUND_NS);
	goroutine_walk_begin(&round.walk);
}

/* CPU time: to wait for a CPU is no work. */
static int64_t cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void go_on(int64_t now)
{
	int64_t from = cpu_now(), spent = 0;

	while (round.on && spent < SLICE_NS) {
		round.on = look_at_some();
		spent = cpu_now() - from;
	}
	round.next_at = now + spent * SHARE;
}

int64_t burrow_hibernate_some(struct burrow_runtime *rt, int64_t now,
			      int64_t idle_since)
{
	if (rt->config.hibernate_ns < 0 || !rt->pool->hibernates)
		return BURROW_FOREVER;
	if (!round.on && now >= round.round_at)
		begin(rt, now);
	if (round.on && now >= round.next_at)
		go_on(now);
	if (round.on)
		return round.next_at;
	/* Who parked as it was begun was not seen by it. */
	if (round.young || round.begun_at <= idle_since)
		return round.round_at;
	return BURROW_FOREVER;
}
