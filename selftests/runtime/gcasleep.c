// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines that hibernate, and the collector, which has read once what they hold:
 * what is written to their stacks while it marks is not lost, whoever writes it, and a
 * stop does not look at who sleeps on.
 *
 * Who is parked is put to sleep by the test itself: all at once, and when it suits.
 */
#include <linux/burrow.h>
#include <sys/ioctl.h>

#include "../../userland/gc/roots.h"
#include "../../userland/heap/heap.h"
#include "gc.h"

#define SLEEPERS 1500 /* more than a stop reads */
#define WORDS 48 /* of each one's own */
#define FEW 40 /* goroutines of the runtime's and the test's own */
#define LENGTH 100000 /* of a list, so that marking takes a while */

/**
 * struct sleeper - one of them
 * @chan:	tells it whom to give what it has, or NULL: to take the list's end
 * @local:	what it has, on its stack
 */
struct sleeper {
	struct burrow_chan *chan;
	struct thing *volatile *local;
};

static struct sleeper sleepers[4 * SLEEPERS];
static int here, moved, stop;
static struct thing *first; /* of a list */
static uintptr_t tail; /* hidden: the list alone leads to it */

static bool module_hibernates(void)
{
	struct burrow_runtime *rt = &burrow_runtime;

	return rt->pool->hibernates;
}

static void look_for_it(void)
{
	CHECK(module_hibernates());
}

static struct burrow_context_stats module_stats(void)
{
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	CHECK(!ioctl(burrow_runtime.pool->fd, BURROW_IOC_STATS, &stats));
	return stats;
}

/* ---- asleep and awake ------------------------------------------------------------- */

/* It may be through, and have no stack, a moment later. */
static bool is_parked(const struct goroutine *g, struct burrow_stack *stack)
{
	*stack = g->stack;
	return stack->arena && READ_ONCE(g->state) == GOROUTINE_WAITING;
}

/* The module finds out who has woken, or is another, meanwhile. */
static void put_to_sleep(void)
{
	struct burrow_stack stacks[BURROW_STACK_BATCH];
	size_t live[BURROW_STACK_BATCH];
	struct goroutine_walk walk;
	struct goroutine *g;
	uint32_t n = 0;

	goroutine_walk_begin(&walk);
	do {
		g = goroutine_walk_next(&walk);
		if (g && is_parked(g, &stacks[n])) {
			live[n] = burrow_stack_top(&stacks[n]) -
				  (char *)READ_ONCE(g->context);
			n += live[n] && live[n] < 3000;
		}
		if (n == BURROW_STACK_BATCH || (!g && n)) {
			burrow_stack_hibernate(stacks, live, n, NULL);
			n = 0;
		}
	} while (g);
}

__attribute__((noipa)) static void take_the_end(struct thing *volatile *to)
{
	struct thing *last = unhide(tail);

	*to = last->next;
	last->next = NULL;
}

static void be_told(struct thing *volatile *local, struct sleeper *to)
{
	if (!to) {
		take_the_end(local);
	} else {
		*to->local = *local;
		*local = NULL;
	}
	add(&moved, 1);
	scrub();
}

static void sleeper(void *arg)
{
	struct thing *volatile local = NULL;
	volatile uint64_t words[WORDS];
	struct sleeper *self = arg, *to;
	int i;

	for (i = 0; i < WORDS; i++)
		words[i] = i;
	self->local = &local;
	add(&here, 1);
	while (burrow_chan_recv(self->chan, &to) == 1)
		be_told(&local, to);
	for (i = 0; i < WORDS; i++)
		CHECK(words[i] == (uint64_t)i);
	CHECK(!local || local->magic == MAGIC);
}

static void start(int n)
{
	int i;

	here = 0;
	for (i = 0; i < n; i++) {
		sleepers[i].chan = burrow_chan_new(sizeof(void *), 0);
		CHECK(burrow_go(sleeper, &sleepers[i]) == 0);
	}
	while (get(&here) < n)
		burrow_yield();
	burrow_sleep(MS);
	put_to_sleep();
}

static void end(int n)
{
	int i;

	for (i = 0; i < n; i++)
		burrow_chan_close(sleepers[i].chan);
	wait_for_others();
	memset(sleepers, 0, sizeof(sleepers));
	first = NULL;
}

static void tell(int who, struct sleeper *to)
{
	CHECK(burrow_chan_send(sleepers[who].chan, &to) == 0);
}

FIXTURE(asleep){};

FIXTURE_VARIANT(asleep)
{
	struct way way;
};

FIXTURE_VARIANT_ADD(asleep, 1_processor){
	.way = { 1, "gcpoison=1" },
};

FIXTURE_VARIANT_ADD(asleep, 2_processors){
	.way = { 2, "gcpoison=1" },
};

FIXTURE_VARIANT_ADD(asleep, 2_processors_verified){
	.way = { 2, "gcpoison=1,gcverify=1" },
};

FIXTURE_VARIANT_ADD(asleep, 2_processors_stopped){
	.way = { 2, "gcpoison=1,gcuffd=0,kmodheap=0" },
};

FIXTURE_VARIANT_ADD(asleep, 8_processors){
	.way = { 8, "gcpoison=1" },
};

/* The monitor leaves it to us. */
FIXTURE_SETUP(asleep)
{
	setenv("BURROW_HIBERNATE", "24h", 1);
}

FIXTURE_TEARDOWN(asleep)
{
}

#define TEST_ASLEEP(name)                                                     \
	static void test_##name(void);                                        \
	TEST_F(asleep, name)                                                  \
	{                                                                     \
		if (!on_kmod() || run_on(1, look_for_it))                     \
			SKIP(return, "stacks hibernate on the module alone"); \
		EXPECT_EQ(0, run_way(&variant->way, test_##name));            \
	}                                                                     \
	static void test_##name(void)

/* ---- what they hold lives --------------------------------------------------------- */

TEST_ASLEEP(what_they_hold_lives)
{
	static struct secret secrets[MANY];
	int i, round;

	start(SLEEPERS);
	for (i = 0; i < MANY; i++)
		*sleepers[i * 20].local = make(&secrets[i]);
	put_to_sleep();
	for (round = 0; round < 4; round++) {
		CHECK(count_living(secrets) == MANY);
		if (round % 2)
			put_to_sleep();
	}
	for (i = 0; i < MANY; i++)
		*sleepers[i * 20].local = NULL;
	put_to_sleep();
	CHECK(count_living(secrets) < MANY - MOST);
	end(SLEEPERS);
}

/* In the descriptor: what they send lies in an object, and they may have forgotten. */
static struct burrow_chan *meeting;

__attribute__((noipa)) static void send_thing(struct secret *secret)
{
	burrow_chan_send(meeting, make(secret));
}

static void send_one(void *arg)
{
	send_thing(arg);
}

TEST_ASLEEP(what_they_wait_with_lives)
{
	static struct secret secrets[MANY];
	struct thing t;
	int i;

	start(SLEEPERS);
	meeting = burrow_chan_new(sizeof(struct thing), 0);
	for (i = 0; i < MANY; i++)
		CHECK(burrow_go(send_one, &secrets[i]) == 0);
	for (i = 0; i < MANY; i++) {
		while (!__atomic_load_n(&secrets[i].weak, __ATOMIC_ACQUIRE))
			burrow_sleep(MS);
	}
	burrow_sleep(5 * MS);
	put_to_sleep();
	CHECK(count_living(secrets) == MANY);
	CHECK(count_living(secrets) == MANY);
	for (i = 0; i < MANY; i++) {
		CHECK(burrow_chan_recv(meeting, &t) == 1);
		CHECK(t.magic == MAGIC);
	}
	meeting = NULL;
	end(SLEEPERS);
}

/* ---- a stop visits those who are awake ---------------------------------------------- */

static void count_the_visited(void)
{
	static const int counts[] = { SLEEPERS, 4 * SLEEPERS };
	uint64_t restores;
	size_t i, round;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		start(counts[i]);
		restores = module_stats().restores;
		for (round = 0; round < 3; round++) {
			collect();
			CHECK(burrow_roots_count.goroutines < FEW);
			CHECK(burrow_roots_count.stacks >
			      counts[i] * WORDS * sizeof(uint64_t));
		}
		CHECK(module_stats().restores - restores < FEW);
		/* Those who are woken, and no others. */
		for (round = 0; round < 100; round++)
			tell(round, &sleepers[round + 1]);
		collect();
		CHECK(burrow_roots_count.goroutines >= 100);
		CHECK(burrow_roots_count.goroutines < 200 + FEW);
		put_to_sleep();
		collect();
		CHECK(burrow_roots_count.goroutines < 200 + FEW);
		collect();
		CHECK(burrow_roots_count.goroutines < FEW);
		end(counts[i]);
	}
}

TEST(a_stop_visits_those_who_are_awake)
{
	const struct way way = { 2, "gcpoison=1" };

	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	setenv("BURROW_HIBERNATE", "24h", 1);
	EXPECT_EQ(0, run_way(&way, count_the_visited));
}

/* What the parent knew is not the child's. */
static void run_child(void *arg)
{
	const struct way way = { 2, "gcpoison=1" };
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(!!run_way(&way, count_the_visited));
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	*(bool *)arg = WIFEXITED(status) && !WEXITSTATUS(status);
}

static void fork_beside_sleepers(void)
{
	bool right = false;

	start(SLEEPERS);
	collect();
	burrow_blocking(run_child, &right);
	CHECK(right);
	end(SLEEPERS);
}

TEST(a_child_has_sleepers_of_its_own)
{
	const struct way way = { 2, "gcpoison=1" };

	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	setenv("BURROW_HIBERNATE", "24h", 1);
	EXPECT_EQ(0, run_way(&way, fork_beside_sleepers));
}

static uint64_t cycles(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };

	CHECK(burrow_stats(&stats) == 0);
	return stats.gc_cycles;
}

/* Allocates what nobody keeps until so many cycles are through. */
__attribute__((noipa)) static void churn(uint64_t n)
{
	uint64_t last = cycles() + n;
	int i;

	while (cycles() < last) {
		for (i = 0; i < 2000; i++)
			((struct thing *)burrow_new(&thing_type))->magic =
				~MAGIC;
	}
}

/* Young cycles don't read again what was read, and hold it for alive. */
static void stay_young(void)
{
	static struct secret secrets[MANY];
	uint64_t restores;
	int i;

	start(SLEEPERS);
	for (i = 0; i < MANY; i++)
		*sleepers[i * 20].local = make(&secrets[i]);
	put_to_sleep();
	collect();
	restores = module_stats().restores;
	churn(5);
	CHECK(module_stats().restores - restores < FEW);
	for (i = 0; i < MANY; i++)
		CHECK(lives(&secrets[i]));
	for (i = 0; i < MANY; i++)
		*sleepers[i * 20 + 1].local = make(&secrets[i]);
	put_to_sleep();
	churn(5);
	for (i = 0; i < MANY; i++)
		CHECK(lives(&secrets[i]));
	end(SLEEPERS);
}

TEST_ASLEEP(in_young_cycles)
{
	stay_young();
}

/* ---- written to while marking goes on ------------------------------------------------ */

/* @n things; the last one's pointer is the only one to one more. */
__attribute__((noipa)) static void make_list(int n)
{
	struct thing *t = burrow_new(&thing_type);

	t->magic = MAGIC;
	first = burrow_new(&thing_type);
	first->next = t;
	tail = hide(first);
	while (n--) {
		t = burrow_new(&thing_type);
		t->next = first;
		first = t;
	}
}

static bool marks(void)
{
	return burrow_heap_marking(burrow_runtime.heap);
}

static int which;

/* The list's end is marked long after sleepers are read: at any time after that. */
static void wait_for_marking(void)
{
	int64_t until;

	while (!marks() && !get(&stop))
		;
	until = burrow_now() + (which % 8 + 1) * scale() * MS / 2;
	while (burrow_now() < until)
		;
}

static void write_to_one(void)
{
	take_the_end(sleepers[which * 37 % SLEEPERS].local);
	add(&moved, 1);
}

/* All are put back, and the last of them has it. */
static void write_to_all(void)
{
	int i;

	for (i = 0; i < SLEEPERS; i++)
		*sleepers[i].local = NULL;
	take_the_end(sleepers[which * 37 % SLEEPERS].local);
	add(&moved, 1);
}

static void have_one_take_it(void)
{
	tell(which * 37 % SLEEPERS, NULL);
}

/* It takes it, and gives it to another one, who sleeps. */
static void have_one_pass_it_on(void)
{
	tell((which * 37 + 5) % SLEEPERS, NULL);
	tell((which * 37 + 5) % SLEEPERS, &sleepers[which * 37 % SLEEPERS]);
}

static void mover(void *arg)
{
	wait_for_marking();
	((void (*)(void))arg)();
	scrub();
	while (!get(&stop))
		burrow_yield();
}

static void move_beside(void (*fn)(void), int moves)
{
	struct thing *volatile *to = sleepers[which * 37 % SLEEPERS].local;
	int64_t begin = burrow_now();

	stop = 0;
	moved = 0;
	make_list(LENGTH);
	put_to_sleep();
	burrow_go(mover, fn);
	/* Where all is marked in a stop there is no moment for it. */
	do {
		collect();
	} while (get(&moved) < moves && burrow_now() - begin < 1000 * MS);
	stop = 1;
	while (get(&moved) < moves)
		burrow_yield();
	collect();
	CHECK(*to && (*to)->magic == MAGIC);
	*to = NULL;
	while (burrow_num_goroutines() > SLEEPERS + 1)
		burrow_yield();
}

/* To verify a collection takes many times as long. */
static void move_often(void (*fn)(void), int moves)
{
	int times = burrow_runtime.config.gc.verify ? 4 : 8;

	start(SLEEPERS);
	for (which = 0; which < times; which++)
		move_beside(fn, moves);
	end(SLEEPERS);
}

TEST_ASLEEP(others_write_to_one)
{
	move_often(write_to_one, 1);
}

TEST_ASLEEP(others_write_to_all)
{
	move_often(write_to_all, 1);
}

TEST_ASLEEP(one_wakes_and_takes_it)
{
	move_often(have_one_take_it, 1);
}

TEST_ASLEEP(one_wakes_and_passes_it_on)
{
	move_often(have_one_pass_it_on, 2);
}

/* ---- parcels ------------------------------------------------------------------------ */

#define PARCELS 100

static int where[PARCELS];

static void visitor(void *arg)
{
	struct thing *volatile t = burrow_new(&thing_type);

	(void)arg;
	t->magic = MAGIC;
	burrow_sleep(MS);
	CHECK(t->magic == MAGIC);
}

static bool is_taken(int who)
{
	int i;

	for (i = 0; i < PARCELS; i++) {
		if (where[i] == who)
			return true;
	}
	return false;
}

/* From one to another, who is asleep or not; or a new one instead of it. */
static void send_parcel(uint32_t *state)
{
	int i = next_random(state) % PARCELS, to;

	do {
		to = next_random(state) % SLEEPERS;
	} while (is_taken(to));
	if (next_random(state) % 4) {
		moved = 0;
		tell(where[i], &sleepers[to]);
		while (!get(&moved))
			burrow_yield();
	} else {
		*sleepers[to].local = burrow_new(&thing_type);
		(*sleepers[to].local)->magic = MAGIC;
		*sleepers[where[i]].local = NULL;
	}
	where[i] = to;
	CHECK((*sleepers[to].local)->magic == MAGIC);
}

static void collector(void *arg)
{
	(void)arg;
	while (!get(&stop)) {
		collect();
		burrow_sleep(MS);
	}
}

TEST_ASLEEP(parcels)
{
	int64_t until = burrow_now() + 2000 * MS;
	uint32_t state = 4711, i;

	stop = 0;
	start(SLEEPERS);
	make_list(LENGTH / 8);
	for (i = 0; i < PARCELS; i++) {
		where[i] = i;
		*sleepers[i].local = burrow_new(&thing_type);
		(*sleepers[i].local)->magic = MAGIC;
	}
	put_to_sleep();
	CHECK(burrow_go(collector, NULL) == 0);
	for (i = 0; burrow_now() < until; i++) {
		send_parcel(&state);
		if (i % 16 == 0)
			CHECK(burrow_go(visitor, NULL) == 0);
		if (i % 64 == 0)
			put_to_sleep();
		if (i % 256 == 0)
			churn(1);
	}
	stop = 1;
	for (i = 0; i < PARCELS; i++)
		CHECK((*sleepers[where[i]].local)->magic == MAGIC);
	while (burrow_num_goroutines() > SLEEPERS + 1)
		burrow_sleep(MS);
	end(SLEEPERS);
}

/* ---- it is noticed where it goes wrong ------------------------------------------------ */

static void forget(void *arg)
{
	struct burrow_options opts = { .size = sizeof(opts), .procs = 2 };
	void (*fn)(void) = arg;

	setenv("BURROW_DEBUG", "gcverify=1,gcfault=5", 1);
	exit(burrow_run(&opts, run_on_main, &fn));
}

static void write_to_each(void)
{
	move_often(write_to_one, 1);
}

static void wake_each(void)
{
	move_often(have_one_take_it, 1);
}

TEST(forgotten_restores_are_noticed)
{
	static struct outcome o;

	if (!on_kmod() || run_on(1, look_for_it))
		SKIP(return, "stacks hibernate on the module alone");
	setenv("BURROW_HIBERNATE", "24h", 1);
	outcome_of(&o, forget, write_to_each);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(&o, "burrow: gcverify: object "));
	outcome_of(&o, forget, wake_each);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(&o, "burrow: gcverify: object "));
}

TEST_HARNESS_MAIN
