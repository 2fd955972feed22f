// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines that keep their thread: in plain C code, in burrow_blocking(), in
 * loops of calls that never wait. Others go on, and nothing that they share is
 * hurt when a processor is taken from one of them.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sync.h"

#define LONG (20000 * MS) /* never reached where all is well */
#define SOON (100 * MS) /* in one of several tries; 8 ms are usual */
#define TRIES 10

static int stop, ran;

static void hog_until_stop(void *arg)
{
	(void)arg;
	while (!get(&stop))
		;
	add(&ran, 1);
}

static void start_hogs(void)
{
	int i, procs = burrow_set_procs(0);

	put(&stop, 0);
	put(&ran, 0);
	for (i = 0; i < procs; i++)
		burrow_go(hog_until_stop, NULL);
}

static void stop_hogs(void)
{
	put(&stop, 1);
	wait_for_others();
	CHECK(get(&ran) == burrow_set_procs(0));
}

/* How long we waited for our turn beside as many hogs as processors. */
static int64_t yield_beside_hogs(void)
{
	int64_t begin, took;

	start_hogs();
	begin = burrow_now();
	burrow_yield();
	took = burrow_now() - begin;
	stop_hogs();
	return took;
}

static int64_t sleep_beside_hogs(void)
{
	int64_t begin, took;

	start_hogs();
	begin = burrow_now();
	burrow_sleep(5 * MS);
	took = burrow_now() - begin - 5 * MS;
	stop_hogs();
	return took;
}

static void *start_one(void *arg)
{
	(void)arg;
	usleep(20000);
	put(&stop, burrow_go(hog_until_stop, NULL) ? 0 : 1);
	return NULL;
}

/* We hog, too: the goroutine that another thread starts needs a processor. */
static int64_t start_beside_hogs(void)
{
	pthread_t thread;
	int64_t begin;
	int procs = burrow_set_procs(0);

	start_hogs();
	pthread_create(&thread, NULL, start_one, NULL);
	while (!get(&stop))
		;
	begin = burrow_now();
	while (get(&ran) < procs + 1 && burrow_now() - begin < LONG)
		;
	begin = burrow_now() - begin;
	pthread_join(thread, NULL);
	wait_for_others();
	return begin;
}

static void best_of(int64_t (*fn)(void))
{
	int64_t took, best = INT64_MAX;
	int i;

	for (i = 0; i < TRIES; i++) {
		took = fn();
		CHECK(took < LONG);
		if (took < best)
			best = took;
		if (best < SOON)
			break;
	}
	CHECK(best < SOON);
}

TEST_ON(others_run_beside_hogs)
{
	best_of(yield_beside_hogs);
}

TEST_ON(sleepers_wake_beside_hogs)
{
	best_of(sleep_beside_hogs);
}

TEST_ON(foreign_starts_run_beside_hogs)
{
	best_of(start_beside_hogs);
}

static void tick(void *arg)
{
	(void)arg;
	add(&ran, 1);
}

static int64_t timer_beside_hogs(void)
{
	int64_t begin;

	start_hogs();
	burrow_timer_new(MS, 0, tick, NULL);
	begin = burrow_now();
	while (!get(&ran) && burrow_now() - begin < LONG)
		;
	begin = burrow_now() - begin;
	CHECK(get(&ran) == 1);
	put(&ran, 0);
	stop_hogs();
	return begin;
}

TEST_ON(timers_run_beside_hogs)
{
	best_of(timer_beside_hogs);
}

/* Calls that never wait: no switch, and inside of the runtime half of the time. */
static void call_until_stop(void *arg)
{
	struct burrow_chan *ch = burrow_chan_new(sizeof(int), 1);
	int n = 0;

	(void)arg;
	while (!get(&stop)) {
		burrow_chan_try_send(ch, &n);
		burrow_chan_try_recv(ch, &n);
	}
	add(&ran, 1);
}

static int64_t yield_beside_callers(void)
{
	int64_t begin, took;
	int i, procs = burrow_set_procs(0);

	put(&stop, 0);
	put(&ran, 0);
	for (i = 0; i < procs; i++)
		burrow_go(call_until_stop, NULL);
	begin = burrow_now();
	burrow_yield();
	took = burrow_now() - begin;
	stop_hogs();
	return took;
}

TEST_ON(others_run_beside_loops_of_calls)
{
	best_of(yield_beside_callers);
}

/* burrow_blocking() */

static int blocked;

static void sleep_in_c(void *arg)
{
	usleep((intptr_t)arg);
	add(&blocked, -1);
}

static void block_for_second(void *arg)
{
	(void)arg;
	burrow_blocking(sleep_in_c, (void *)1000000L);
}

TEST_ON(burrow_blocking_holds_nobody_up)
{
	int i, ticks = 0, procs = burrow_set_procs(0);

	blocked = procs;
	for (i = 0; i < procs; i++)
		burrow_go(block_for_second, NULL);
	while (get(&blocked) == procs) {
		burrow_yield();
		burrow_sleep(MS);
		ticks++;
	}
	/* Some 900 on a machine of one's own. */
	CHECK(ticks > 20);
	wait_for_others();
}

#define CROWD 60

static void meet(void *arg)
{
	int64_t begin = burrow_now();

	add(arg, 1);
	while (get(arg) < CROWD && burrow_now() - begin < LONG)
		usleep(1000);
	CHECK(get(arg) == CROWD);
}

static void go_and_meet(void *arg)
{
	burrow_blocking_nogc(meet, arg);
}

/* They wait for each other, in C: each has a thread. */
TEST_ON(many_block_at_once)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int i, inside = 0;

	for (i = 0; i < CROWD; i++)
		burrow_go(go_and_meet, &inside);
	wait_for_others();
	CHECK(inside == CROWD);
	CHECK(burrow_stats(&s) == 0);
	CHECK(s.threads >= CROWD);
}

static void block_again(void *arg)
{
	burrow_blocking(sleep_in_c, arg);
}

TEST_ON(burrow_blocking_nests)
{
	blocked = 1;
	burrow_blocking(block_again, (void *)1000L);
	CHECK(blocked == 0);
}

static void block_outside(void *arg)
{
	burrow_blocking(sleep_in_c, arg);
}

TEST(burrow_blocking_outside_of_goroutines)
{
	static struct outcome o;

	outcome_of(&o, block_outside, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: burrow_blocking: called by a thread that runs no goroutine\n"));
}

/* The world stops, and processors come and go, over the heads of hogs. */
TEST_ON(the_world_stops_beside_hogs)
{
	int procs = burrow_set_procs(0);

	start_hogs();
	burrow_yield();
	CHECK(burrow_set_procs(4) == procs);
	CHECK(burrow_set_procs(1) == 4);
	CHECK(burrow_set_procs(procs) == 1);
	stop_hogs();
}

/*
 * Hogs that lose their processor anywhere: between calls that never wait, they
 * spin for as long as it takes to be taken for one. What they send, allocate
 * and start must add up.
 */
#define CHANS 4
#define SPINNERS 6

static struct burrow_chan *chans[CHANS];
static uint64_t sent, received, started, ended, stopped, fired;

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST);
}

static void end_at_once(void *arg)
{
	count(arg, 1);
}

static void receive_all(void *arg)
{
	struct burrow_chan *ch = arg;
	uint64_t n;

	burrow_chan_for_each(n, ch) count(&received, n);
}

static void spin(uint32_t *state)
{
	/* Mostly short; now and then longer than anybody may. */
	uint32_t r = next_random(state);
	int64_t until = burrow_now() + (r % 64 ? r % 20000 : 12 * MS);

	while (burrow_now() < until)
		;
}

static void send_one(uint32_t *state)
{
	uint64_t n = next_random(state) % 1000;

	if (!burrow_chan_try_send(chans[n % CHANS], &n))
		count(&sent, n);
}

static void send_selected(uint32_t *state)
{
	uint64_t n = next_random(state) % 1000;
	struct burrow_case cases[2] = {
		{ BURROW_SEND, chans[n % CHANS], &n, 0 },
		{ BURROW_SEND, chans[(n + 1) % CHANS], &n, 0 },
	};

	if (burrow_select(cases, 2, 0) >= 0)
		count(&sent, n);
}

static void start_counted(uint32_t *state)
{
	(void)state;
	if (burrow_num_goroutines() < 500 && !burrow_go(end_at_once, &ended))
		count(&started, 1);
}

static void set_timer(uint32_t *state)
{
	struct burrow_timer *t;

	t = burrow_timer_new(next_random(state) % (2 * MS), 0, end_at_once,
			     &fired);
	CHECK(t);
	spin(state);
	if (burrow_timer_stop(t) == 1)
		count(&stopped, 1);
	else
		count(&started, 1);
}

static void do_anything(void *arg)
{
	static void (*const what[])(uint32_t *) = {
		send_one,      send_one,  send_selected,
		start_counted, set_timer, spin,
	};
	uint32_t state = 1 + (uint32_t)(intptr_t)arg;

	while (!get(&stop))
		what[next_random(&state) % 6](&state);
}

TEST_ON(nothing_is_lost_with_a_processor)
{
	int i;

	put(&stop, 0);
	sent = 0;
	received = 0;
	started = 0;
	ended = 0;
	stopped = 0;
	fired = 0;
	for (i = 0; i < CHANS; i++) {
		chans[i] = burrow_chan_new(sizeof(uint64_t), i);
		burrow_go(receive_all, chans[i]);
	}
	for (i = 0; i < SPINNERS; i++)
		burrow_go(do_anything, (void *)(intptr_t)i);
	burrow_sleep(1500 * MS);
	put(&stop, 1);
	while (burrow_num_goroutines() > CHANS + 1)
		burrow_sleep(MS);
	for (i = 0; i < CHANS; i++)
		burrow_chan_close(chans[i]);
	wait_for_others();
	CHECK(sent > 0);
	CHECK(sent == received);
	CHECK(started == ended + fired);
	CHECK(stopped > 0);
}

/* Where membarrier(2) is refused, as in some containers: fences instead. */
static void refuse_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ||
	    syscall(SYS_membarrier, 0, 0, 0) != -1 || errno != EPERM)
		exit(77);
}

static void run_fenced(void *arg)
{
	int procs = *(int *)arg;

	refuse_membarrier();
	if (run_on(procs, test_others_run_beside_hogs))
		exit(1);
	if (run_on(procs, test_the_world_stops_beside_hogs))
		exit(2);
	if (run_on(procs, test_many_block_at_once))
		exit(3);
	if (run_on(procs, test_nothing_is_lost_with_a_processor))
		exit(4);
	exit(50);
}

TEST_F(on, all_works_without_membarrier)
{
	static struct outcome o;
	int procs = variant->procs;

	outcome_of(&o, run_fenced, &procs);
	if (exited_with(&o, 77))
		SKIP(return, "no seccomp filter can be set");
	EXPECT_TRUE(exited_with(&o, 50))
	{
		TH_LOG("status %#x: %s", o.status, o.text);
	}
}

TEST_HARNESS_MAIN
