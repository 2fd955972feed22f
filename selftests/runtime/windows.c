// SPDX-License-Identifier: GPL-2.0
/*
 * Windows of a few instructions in which the scheduler once went wrong, held
 * open. The library's calls of libc come by here (the linker sees to that, see
 * the Makefile), and a thread that is in the state in question stays until the
 * test has done what used to be too much.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "../../userland/sched/runq.h"
#include "sync.h"

#define PATIENCE (5000 * MS)

enum window {
	FALLS_ASLEEP, /* found nothing, about to join the idle list */
	WAKES_WITH_WORK, /* about to leave that list, its queue is not empty */
	WOKEN_TO_SPIN, /* came out of its sleep, outside still */
	GIVES_PROC, /* has kicked a spare thread, under the lock */
	WINDOWS,
};

static struct {
	int open;
	int caught; /* a thread is in it */
	int released;
} windows[WINDOWS];

static void wait_for(int *word, int value)
{
	int64_t until = burrow_now() + PATIENCE;

	while (get(word) != value && burrow_now() < until)
		usleep(100);
}

static void set(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static void open_window(enum window w)
{
	windows[w].caught = 0;
	windows[w].released = 0;
	set(&windows[w].open, 1);
}

static void wait_until_caught(enum window w)
{
	wait_for(&windows[w].caught, 1);
	CHECK(get(&windows[w].caught));
}

static void release(enum window w)
{
	set(&windows[w].released, 1);
}

static bool is_open(enum window w)
{
	return get(&windows[w].open);
}

/* The first to come stays; the window is shut behind him. */
static void stay(enum window w)
{
	if (!__atomic_exchange_n(&windows[w].open, 0, __ATOMIC_SEQ_CST))
		return;
	set(&windows[w].caught, 1);
	wait_for(&windows[w].released, 1);
}

/* A thread that holds a processor wants the runtime's lock. */
static void look_at(struct burrow_thread *self)
{
	struct burrow_proc *proc = self->proc;

	if (self->current != &self->loop)
		return;
	if (is_open(FALLS_ASLEEP) && READ_ONCE(self->spinning) &&
	    !proc->io_busy && burrow_runq_empty(proc) &&
	    !READ_ONCE(burrow_runtime.queued))
		stay(FALLS_ASLEEP);
	else if (is_open(WAKES_WITH_WORK) && READ_ONCE(proc->idle) &&
		 !burrow_runq_empty(proc))
		stay(WAKES_WITH_WORK);
}

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	struct burrow_thread *self = burrow_self();

	if (lock == &burrow_runtime.lock && self && self->proc)
		look_at(self);
	return __real_pthread_mutex_lock(lock);
}

long __real_syscall(long nr, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret = __real_syscall(nr, a, b, c, d, e, f);
	int op = (int)b & FUTEX_CMD_MASK;

	if (nr == SYS_futex && op == FUTEX_WAIT_BITSET &&
	    is_open(WOKEN_TO_SPIN) && READ_ONCE(burrow_self()->spinning))
		stay(WOKEN_TO_SPIN);
	if (nr == SYS_futex && op == FUTEX_WAKE && is_open(GIVES_PROC) &&
	    a != (long)&burrow_runtime.bell)
		stay(GIVES_PROC);
	return ret;
}

static void nothing(void *arg)
{
	(void)arg;
}

/*
 * Until all processors but @busy sleep, and nobody is left whom the monitor will
 * have one woken for.
 */
static void wait_for_idle(int busy)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int64_t until = burrow_now() + PATIENCE;

	while ((READ_ONCE(rt->queued) ||
		READ_ONCE(rt->nr_idle) + busy != READ_ONCE(rt->nr_active)) &&
	       burrow_now() < until)
		usleep(100);
}

/*
 * A processor that sleeps in its ring is woken by a byte, and has somebody in its
 * queue, but is on the list of the idle still; another, which found nothing a
 * moment ago, joins that list. It was called a deadlock.
 */
static int fds[2];
static struct burrow_chan *heard;

static void hear(void *arg)
{
	char c;

	(void)arg;
	CHECK(burrow_read(fds[0], &c, 1) == 1);
	CHECK(burrow_chan_send(heard, NULL) == 0);
}

static void *knock(void *arg)
{
	(void)arg;
	wait_for_idle(0);
	open_window(FALLS_ASLEEP);
	/* The reader's wakes, too, and may be the last to look for work. */
	while (!get(&windows[FALLS_ASLEEP].caught)) {
		CHECK(burrow_go(nothing, NULL) == 0);
		usleep(500);
	}
	wait_for_idle(1);
	usleep(2000);
	open_window(WAKES_WITH_WORK);
	CHECK(write(fds[1], "x", 1) == 1);
	wait_until_caught(WAKES_WITH_WORK);
	release(FALLS_ASLEEP);
	usleep(20000);
	release(WAKES_WITH_WORK);
	return NULL;
}

/* The reader's processor is to be the first to sleep, ours the last. */
static void listen_for_knocks(void)
{
	pthread_t thread;

	heard = burrow_chan_new(0, 0);
	if (pipe(fds))
		abort();
	burrow_go(hear, NULL);
	wait_for_idle(1);
	pthread_create(&thread, NULL, knock, NULL);
	CHECK(burrow_chan_recv(heard, NULL) == 1);
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

static void run_knocks(void *arg)
{
	setenv("BURROW_DEBUG", arg, 1);
	exit(run_on(2, listen_for_knocks) != 0);
}

static bool nobody_calls_it_a_deadlock(char *engine)
{
	static struct outcome o;
	int i;

	/* It takes some luck for the other one to be the last that looks. */
	for (i = 0; i < 6; i++) {
		outcome_of(&o, run_knocks, engine);
		if (!exited_with(&o, 0) || o.len) {
			printf("# status 0x%x: %s\n", o.status, o.text);
			return false;
		}
	}
	return true;
}

TEST(a_processor_that_wakes_in_its_ring_is_no_deadlock)
{
	EXPECT_TRUE(nobody_calls_it_a_deadlock("uring=0"));
	EXPECT_TRUE(nobody_calls_it_a_deadlock(""));
}

/* One that is idle may have no thread yet, or not have gone to sleep. */
static bool another_sleeps(void)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_thread *thread;
	bool sleeps = false;
	int i;

	__real_pthread_mutex_lock(&rt->lock);
	for (i = 0; rt->procs[i]; i++) {
		thread = rt->procs[i]->thread;
		if (rt->procs[i]->idle && thread)
			sleeps |= READ_ONCE(thread->sleep) == SLEEP_FUTEX;
	}
	pthread_mutex_unlock(&rt->lock);
	return sleeps;
}

static void wait_until_another_sleeps(void)
{
	int64_t until = burrow_now() + PATIENCE;

	burrow_go(nothing, NULL);
	while (!another_sleeps() && burrow_now() < until)
		usleep(100);
	CHECK(another_sleeps());
}

/*
 * A processor is woken to look for work, and before it comes to that there are
 * too many of them. As long as it counted as looking nobody else was woken.
 */
static void fewer_while_one_wakes(void)
{
	wait_until_another_sleeps();
	open_window(WOKEN_TO_SPIN);
	burrow_go(nothing, NULL);
	wait_until_caught(WOKEN_TO_SPIN);
	CHECK(burrow_set_procs(1) == 2);
	release(WOKEN_TO_SPIN);
	wait_for((int *)&burrow_runtime.spinning, 0);
	CHECK(READ_ONCE(burrow_runtime.spinning) == 0);
}

/* The same where it has to stay for I/O that is under way there. */
static void fewer_while_a_reader_waits(void)
{
	heard = burrow_chan_new(0, 1);
	if (pipe(fds))
		abort();
	burrow_go(hear, NULL);
	wait_for_idle(1);
	/* It sleeps in its ring: a kick is a call of write(). */
	burrow_go(nothing, NULL);
	CHECK(burrow_set_procs(1) == 2);
	burrow_sleep(20 * MS);
	CHECK(READ_ONCE(burrow_runtime.spinning) == 0);
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK(burrow_chan_recv(heard, NULL) == 1);
	close(fds[0]);
	close(fds[1]);
}

TEST(one_that_was_woken_to_spin_may_go)
{
	EXPECT_EQ(0, run_on(2, fewer_while_one_wakes));
	EXPECT_EQ(0, run_on(2, fewer_while_a_reader_waits));
}

/*
 * A spare thread has its processor, and looks for work, before the one who gave
 * it has said that it spins. It was counted twice.
 */
static int stop, running;

static void busy(void *arg)
{
	(void)arg;
	add(&running, 1);
	while (!get(&stop))
		;
	add(&running, -1);
}

static void doze(void *arg)
{
	(void)arg;
	usleep(20000);
}

static void block(void *arg)
{
	burrow_blocking(doze, arg);
}

static int count_spares(void)
{
	struct burrow_thread *t;
	int n = 0;

	__real_pthread_mutex_lock(&burrow_runtime.lock);
	for (t = burrow_runtime.spares; t; t = t->spare_next)
		n++;
	pthread_mutex_unlock(&burrow_runtime.lock);
	return n;
}

static void *release_soon(void *arg)
{
	(void)arg;
	wait_until_caught(GIVES_PROC);
	usleep(20000);
	release(GIVES_PROC);
	return NULL;
}

/* More threads than processors: those too many are spares. */
static void make_spares(void)
{
	int64_t until = burrow_now() + PATIENCE;
	int i;

	while (count_spares() < 3 && burrow_now() < until) {
		for (i = 0; i < 12; i++)
			burrow_go(block, NULL);
		wait_for_others();
	}
	CHECK(count_spares() >= 3);
}

static void give_to_a_spare(void)
{
	pthread_t thread;
	int i;

	make_spares();
	stop = 0;
	for (i = 0; i < 3; i++)
		burrow_go(busy, NULL);
	while (get(&running) < 3)
		burrow_sleep(MS);
	CHECK(burrow_set_procs(5) == 4);
	CHECK(count_spares() > 0);
	pthread_create(&thread, NULL, release_soon, NULL);
	open_window(GIVES_PROC);
	for (i = 0; i < 8; i++)
		burrow_go(nothing, NULL);
	pthread_join(thread, NULL);
	set(&stop, 1);
	wait_for_others();
	wait_for_idle(1);
	wait_for((int *)&burrow_runtime.spinning, 0);
	CHECK(READ_ONCE(burrow_runtime.spinning) == 0);
}

TEST(a_spare_thread_is_counted_once)
{
	EXPECT_EQ(0, run_on(4, give_to_a_spare));
}

TEST_HARNESS_MAIN
