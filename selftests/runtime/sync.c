// SPDX-License-Identifier: GPL-2.0
/* Mutexes, conditions and their kin: what <burrow/sync.h> promises. */
#include <pthread.h>

#include "sync.h"

#define CROWD 100

/* What a test's goroutines share. */
struct shared {
	struct burrow_mutex m;
	struct burrow_rwmutex rw;
	struct burrow_cond c;
	struct burrow_waitgroup wg;
	struct burrow_sem sem;
	struct burrow_once once;
	long counter;
	int inside;
	int done;
	int order[CROWD];
	struct burrow_ctx *ctx;
	uint32_t seed;
	int64_t when;
};

static struct shared s;

static void fresh(void)
{
	memset(&s, 0, sizeof(s));
}

/* @fn on so many goroutines; waits until they have ended. */
static void crowd(int n, void (*fn)(void *arg))
{
	long i;

	burrow_waitgroup_add(&s.wg, n);
	for (i = 0; i < n; i++)
		burrow_go(fn, (void *)i);
	burrow_waitgroup_wait(&s.wg);
}

static void count_locked(void *arg)
{
	long seen, i;

	(void)arg;
	for (i = 0; i < 300; i++) {
		burrow_mutex_lock(&s.m);
		CHECK(burrow_mutex_trylock(&s.m) == -EBUSY);
		seen = s.counter;
		if (i % 16 == 0)
			burrow_yield();
		s.counter = seen + 1;
		burrow_mutex_unlock(&s.m);
	}
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(mutex_lets_one_in)
{
	fresh();
	crowd(CROWD, count_locked);
	CHECK(s.counter == CROWD * 300);
	CHECK(burrow_mutex_trylock(&s.m) == 0);
	CHECK(burrow_mutex_trylock(&s.m) == -EBUSY);
	burrow_mutex_unlock(&s.m);
}

static void count_hastily(void *arg)
{
	uint32_t random = (long)arg * 99 + 5;
	int64_t when;
	long seen, i;
	int ret;

	for (i = 0; i < 200; i++) {
		when = burrow_now() + next_random(&random) % 100000;
		ret = burrow_mutex_lock_deadline(&s.m, when);
		if (ret) {
			CHECK(ret == -ETIMEDOUT);
			CHECK(burrow_now() >= when);
			add(&s.done, 1);
			continue;
		}
		seen = s.counter;
		/* The first has it until others have waited for too long. */
		if (!seen)
			burrow_sleep(20 * MS);
		if (i % 4 == 0)
			burrow_yield();
		s.counter = seen + 1;
		burrow_mutex_unlock(&s.m);
	}
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(mutex_deadlines)
{
	fresh();
	burrow_mutex_lock(&s.m);
	CHECK(burrow_mutex_lock_deadline(&s.m, 0) == -ETIMEDOUT);
	CHECK(burrow_mutex_lock_deadline(&s.m, burrow_now() + MS) ==
	      -ETIMEDOUT);
	burrow_mutex_unlock(&s.m);
	CHECK(burrow_mutex_lock_deadline(&s.m, 0) == 0);
	burrow_mutex_unlock(&s.m);
	crowd(CROWD, count_hastily);
	CHECK(s.counter + s.done == CROWD * 200);
	CHECK(s.counter > 0 && s.done > 0);
	CHECK(burrow_mutex_trylock(&s.m) == 0);
}

static void greedy(void *arg)
{
	(void)arg;
	while (!get(&s.done)) {
		burrow_mutex_lock(&s.m);
		burrow_yield();
		burrow_mutex_unlock(&s.m);
	}
	burrow_waitgroup_done(&s.wg);
}

/*
 * Who comes again and again does not keep the others out. Each of these locks and
 * yields while it has the mutex: whoever is woken finds it taken again.
 */
TEST_ON(mutex_starves_nobody)
{
	int i, ret;

	fresh();
	burrow_waitgroup_add(&s.wg, 4);
	for (i = 0; i < 4; i++)
		burrow_go(greedy, NULL);
	burrow_sleep(MS);
	for (i = 0; i < 50; i++) {
		/* A millisecond and a turn each, and what the machine does. */
		ret = burrow_mutex_lock_deadline(&s.m,
						 burrow_now() + 30000 * MS);
		CHECK(ret == 0);
		if (ret)
			break;
		burrow_mutex_unlock(&s.m);
		burrow_yield();
	}
	add(&s.done, 1);
	burrow_waitgroup_wait(&s.wg);
}

static void unlock_it(void *arg)
{
	(void)arg;
	burrow_mutex_unlock(&s.m);
}

TEST_ON(mutex_has_no_owner)
{
	fresh();
	burrow_mutex_lock(&s.m);
	burrow_go(unlock_it, NULL);
	burrow_mutex_lock(&s.m);
	burrow_mutex_unlock(&s.m);
}

/* The last one to let go frees what the mutex lies in. */
struct counted {
	struct burrow_mutex m;
	int refs;
};

static void let_go(void *arg)
{
	struct counted *counted = arg;
	int refs;

	burrow_mutex_lock(&counted->m);
	refs = --counted->refs;
	burrow_mutex_unlock(&counted->m);
	if (!refs) {
		memset(counted, 0xff, sizeof(*counted));
		free(counted);
	}
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(mutex_may_be_freed_by_the_last)
{
	struct counted *counted;
	int i, j;

	fresh();
	for (i = 0; i < 2000; i++) {
		counted = calloc(1, sizeof(*counted));
		counted->refs = 3;
		burrow_waitgroup_add(&s.wg, 3);
		for (j = 0; j < 3; j++)
			burrow_go(let_go, counted);
		if (i % 16 == 0)
			burrow_waitgroup_wait(&s.wg);
	}
	burrow_waitgroup_wait(&s.wg);
}

static void read_or_write(void *arg)
{
	uint32_t random = (long)arg + 1;
	int i, n;

	for (i = 0; i < 200; i++) {
		if (next_random(&random) % 4) {
			burrow_rwmutex_rlock(&s.rw);
			n = __atomic_add_fetch(&s.inside, 1, __ATOMIC_SEQ_CST);
			CHECK(n > 0 && n < 1000);
			if (i % 8 == 0)
				burrow_yield();
			add(&s.inside, -1);
			burrow_rwmutex_runlock(&s.rw);
		} else {
			burrow_rwmutex_lock(&s.rw);
			CHECK(__atomic_add_fetch(&s.inside, 1000,
						 __ATOMIC_SEQ_CST) == 1000);
			if (i % 8 == 0)
				burrow_yield();
			s.counter++;
			add(&s.inside, -1000);
			burrow_rwmutex_unlock(&s.rw);
		}
	}
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(rwmutex_many_readers_or_one_writer)
{
	fresh();
	crowd(CROWD, read_or_write);
	CHECK(s.inside == 0);
	CHECK(s.counter > CROWD * 30 && s.counter < CROWD * 70);
	burrow_rwmutex_rlock(&s.rw);
	burrow_rwmutex_rlock(&s.rw);
	CHECK(burrow_rwmutex_tryrlock(&s.rw) == 0);
	CHECK(burrow_rwmutex_trylock(&s.rw) == -EBUSY);
	burrow_rwmutex_runlock(&s.rw);
	burrow_rwmutex_runlock(&s.rw);
	burrow_rwmutex_runlock(&s.rw);
	CHECK(burrow_rwmutex_trylock(&s.rw) == 0);
	CHECK(burrow_rwmutex_tryrlock(&s.rw) == -EBUSY);
	CHECK(burrow_rwmutex_rlock_deadline(&s.rw, 1) == -ETIMEDOUT);
	CHECK(burrow_rwmutex_lock_deadline(&s.rw, burrow_now() + MS) ==
	      -ETIMEDOUT);
	burrow_rwmutex_unlock(&s.rw);
	CHECK(burrow_rwmutex_rlock_deadline(&s.rw, 1) == 0);
	burrow_rwmutex_runlock(&s.rw);
	CHECK(burrow_rwmutex_lock_deadline(&s.rw, 1) == 0);
}

static void note(int what)
{
	s.order[__atomic_fetch_add(&s.inside, 1, __ATOMIC_SEQ_CST)] = what;
}

static void reader(void *arg)
{
	burrow_rwmutex_rlock(&s.rw);
	note((long)arg);
	burrow_rwmutex_runlock(&s.rw);
	burrow_waitgroup_done(&s.wg);
}

static void writer(void *arg)
{
	burrow_rwmutex_lock(&s.rw);
	note((long)arg);
	burrow_rwmutex_unlock(&s.rw);
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(rwmutex_starves_neither)
{
	fresh();
	burrow_waitgroup_add(&s.wg, 4);
	burrow_rwmutex_rlock(&s.rw);
	burrow_go(writer, (void *)1);
	settle();
	/* A writer waits: readers do not overtake it. */
	CHECK(burrow_rwmutex_tryrlock(&s.rw) == -EBUSY);
	burrow_go(reader, (void *)2);
	settle();
	burrow_go(writer, (void *)3);
	settle();
	burrow_go(reader, (void *)2);
	settle();
	CHECK(get(&s.inside) == 0);
	burrow_rwmutex_runlock(&s.rw);
	burrow_waitgroup_wait(&s.wg);
	/* Then those readers, and the other writer last. */
	CHECK(s.order[0] == 1 && s.order[1] == 2 && s.order[2] == 2 &&
	      s.order[3] == 3);
}

static void impatient_writer(void *arg)
{
	(void)arg;
	CHECK(burrow_rwmutex_lock_deadline(&s.rw, burrow_now() + 20 * MS) ==
	      -ETIMEDOUT);
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(rwmutex_writer_that_gives_up_lets_readers_go)
{
	fresh();
	burrow_waitgroup_add(&s.wg, 3);
	burrow_rwmutex_rlock(&s.rw);
	burrow_go(impatient_writer, NULL);
	settle();
	burrow_go(reader, (void *)2);
	burrow_go(reader, (void *)2);
	burrow_waitgroup_wait(&s.wg);
	CHECK(get(&s.inside) == 2);
	burrow_rwmutex_runlock(&s.rw);
	CHECK(burrow_rwmutex_trylock(&s.rw) == 0);
}

static void wait_in_line(void *arg)
{
	burrow_mutex_lock(&s.m);
	add(&s.done, 1);
	burrow_cond_wait(&s.c, &s.m);
	CHECK(burrow_mutex_trylock(&s.m) == -EBUSY);
	note((long)arg);
	burrow_mutex_unlock(&s.m);
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(cond_wakes_in_order)
{
	long i;

	fresh();
	burrow_waitgroup_add(&s.wg, 20);
	for (i = 0; i < 20; i++) {
		burrow_go(wait_in_line, (void *)i);
		while (get(&s.done) <= i)
			burrow_yield();
		/* It waits when the mutex is free again. */
		burrow_mutex_lock(&s.m);
		burrow_mutex_unlock(&s.m);
	}
	for (i = 0; i < 10; i++) {
		burrow_cond_signal(&s.c);
		while (get(&s.inside) <= i)
			burrow_yield();
	}
	settle();
	CHECK(get(&s.inside) == 10);
	burrow_cond_broadcast(&s.c);
	burrow_waitgroup_wait(&s.wg);
	for (i = 0; i < 10; i++)
		CHECK(s.order[i] == i);
	CHECK(s.inside == 20);
	burrow_cond_signal(&s.c);
	burrow_cond_broadcast(&s.c);
}

TEST_ON(cond_deadline)
{
	int64_t when;

	fresh();
	burrow_mutex_lock(&s.m);
	when = burrow_now() + 3 * MS;
	CHECK(burrow_cond_wait_deadline(&s.c, &s.m, when) == -ETIMEDOUT);
	CHECK(burrow_now() >= when);
	CHECK(burrow_mutex_trylock(&s.m) == -EBUSY);
	CHECK(burrow_cond_wait_deadline(&s.c, &s.m, 0) == -ETIMEDOUT);
	burrow_mutex_unlock(&s.m);
}

/* A queue of one with two conditions, as in any textbook. */
static struct burrow_cond not_empty, not_full;
static int slot;

static void put_items(void *arg)
{
	long i, from = (long)arg * 1000;

	for (i = 1; i <= 500; i++) {
		burrow_mutex_lock(&s.m);
		while (slot)
			burrow_cond_wait(&not_full, &s.m);
		slot = from + i;
		burrow_cond_signal(&not_empty);
		burrow_mutex_unlock(&s.m);
	}
	burrow_waitgroup_done(&s.wg);
}

static void get_items(void *arg)
{
	int i;

	(void)arg;
	for (i = 1; i <= 500; i++) {
		burrow_mutex_lock(&s.m);
		while (!slot)
			burrow_cond_wait(&not_empty, &s.m);
		s.counter += slot;
		slot = 0;
		burrow_cond_signal(&not_full);
		burrow_mutex_unlock(&s.m);
	}
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(cond_carries_a_queue)
{
	long i, sum = 0;

	fresh();
	slot = 0;
	memset(&not_empty, 0, sizeof(not_empty));
	memset(&not_full, 0, sizeof(not_full));
	burrow_waitgroup_add(&s.wg, 20);
	for (i = 0; i < 10; i++) {
		burrow_go(put_items, (void *)i);
		burrow_go(get_items, NULL);
		sum += 500 * i * 1000 + 500 * 501 / 2;
	}
	burrow_waitgroup_wait(&s.wg);
	CHECK(s.counter == sum);
}

static void done_soon(void *arg)
{
	struct burrow_waitgroup *wg = arg;

	burrow_waitgroup_done(wg);
}

/* On the stack, gone as soon as the wait is over, and written over. */
static __attribute__((noipa)) void wait_for_three(void)
{
	struct burrow_waitgroup wg = { 0 };
	int i;

	burrow_waitgroup_add(&wg, 3);
	for (i = 0; i < 3; i++)
		burrow_go(done_soon, &wg);
	burrow_waitgroup_wait(&wg);
	memset(&wg, 0xff, sizeof(wg));
}

TEST_ON(waitgroup_on_a_stack)
{
	int i;

	for (i = 0; i < 3000; i++)
		wait_for_three();
}

static void wait_too(void *arg)
{
	struct burrow_waitgroup *wg = arg;

	burrow_waitgroup_wait(wg);
	add(&s.done, 1);
}

TEST_ON(waitgroup_counts)
{
	struct burrow_waitgroup wg = { 0 };
	int64_t when;
	int i;

	fresh();
	burrow_waitgroup_wait(&wg);
	CHECK(burrow_waitgroup_wait_deadline(&wg, 0) == 0);
	burrow_waitgroup_add(&wg, 5);
	burrow_waitgroup_add(&wg, -2);
	burrow_waitgroup_add(&wg, 1L << 40);
	for (i = 0; i < 10; i++)
		burrow_go(wait_too, &wg);
	when = burrow_now() + 3 * MS;
	CHECK(burrow_waitgroup_wait_deadline(&wg, when) == -ETIMEDOUT);
	CHECK(burrow_now() >= when);
	burrow_waitgroup_add(&wg, -(1L << 40));
	burrow_waitgroup_done(&wg);
	burrow_waitgroup_done(&wg);
	settle();
	CHECK(get(&s.done) == 0);
	burrow_waitgroup_done(&wg);
	wait_for_others();
	CHECK(get(&s.done) == 10);
}

static void slow_start(void *arg)
{
	CHECK(arg == &s);
	burrow_sleep(3 * MS);
	s.counter++;
	add(&s.inside, 1);
}

static void start_once(void *arg)
{
	(void)arg;
	burrow_once_do(&s.once, slow_start, &s);
	CHECK(get(&s.inside) == 1);
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(once_is_once_and_others_wait)
{
	fresh();
	crowd(CROWD, start_once);
	CHECK(s.counter == 1);
	burrow_once_do(&s.once, slow_start, &s);
	CHECK(s.counter == 1);
}

static void use_some(void *arg)
{
	long n = 1 + (long)arg % 3, i;

	for (i = 0; i < 100; i++) {
		burrow_sem_acquire(&s.sem, n);
		add(&s.inside, n);
		CHECK(get(&s.inside) <= 7);
		if (i % 4 == 0)
			burrow_yield();
		add(&s.inside, -n);
		burrow_sem_release(&s.sem, n);
	}
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(sem_limits)
{
	fresh();
	burrow_sem_init(&s.sem, 7);
	crowd(CROWD, use_some);
	CHECK(burrow_sem_tryacquire(&s.sem, 8) == -EBUSY);
	CHECK(burrow_sem_tryacquire(&s.sem, 7) == 0);
	CHECK(burrow_sem_tryacquire(&s.sem, 0) == 0);
	CHECK(burrow_sem_tryacquire(&s.sem, 1) == -EBUSY);
	CHECK(burrow_sem_acquire_deadline(&s.sem, 1, burrow_now() + MS) ==
	      -ETIMEDOUT);
	burrow_sem_release(&s.sem, INT64_MAX);
	CHECK(burrow_sem_acquire_deadline(&s.sem, INT64_MAX, 0) == 0);
}

static void want(void *arg)
{
	burrow_sem_acquire(&s.sem, (long)arg);
	note((long)arg);
	burrow_waitgroup_done(&s.wg);
}

static void want_in_vain(void *arg)
{
	CHECK(burrow_sem_acquire_deadline(
		      &s.sem, (long)arg, burrow_now() + 25 * MS) == -ETIMEDOUT);
	burrow_waitgroup_done(&s.wg);
}

TEST_ON(sem_serves_in_order)
{
	fresh();
	burrow_waitgroup_add(&s.wg, 3);
	burrow_go(want, (void *)10);
	settle();
	burrow_go(want, (void *)1);
	settle();
	burrow_go(want, (void *)2);
	settle();
	/* There is some, but it is the first one's. */
	burrow_sem_release(&s.sem, 9);
	settle();
	CHECK(get(&s.inside) == 0);
	CHECK(burrow_sem_tryacquire(&s.sem, 1) == -EBUSY);
	burrow_sem_release(&s.sem, 2);
	settle();
	CHECK(get(&s.inside) == 2);
	burrow_sem_release(&s.sem, 2);
	burrow_waitgroup_wait(&s.wg);
	CHECK(s.order[0] == 10 || s.order[1] == 10);
	CHECK(s.order[2] == 2);
	CHECK(burrow_sem_tryacquire(&s.sem, 1) == -EBUSY);
}

TEST_ON(sem_goes_on_when_the_first_gives_up)
{
	fresh();
	burrow_sem_init(&s.sem, 5);
	burrow_waitgroup_add(&s.wg, 2);
	burrow_go(want_in_vain, (void *)6);
	settle();
	burrow_go(want, (void *)5);
	settle();
	CHECK(get(&s.inside) == 0 || burrow_now() >= s.when);
	burrow_waitgroup_wait(&s.wg);
	CHECK(get(&s.inside) == 1);
}

/* Groups. */
static struct burrow_group group;

static int work(void *arg)
{
	long n = (long)arg;

	add(&s.inside, 1);
	CHECK(get(&s.inside) <= 4);
	burrow_sleep(n % 3 * MS);
	add(&s.inside, -1);
	add(&s.done, 1);
	return 0;
}

TEST_ON(group_limits_and_waits)
{
	long i;

	fresh();
	memset(&group, 0, sizeof(group));
	burrow_group_limit(&group, 4);
	for (i = 0; i < 50; i++)
		CHECK(burrow_group_go(&group, work, (void *)i) == 0);
	CHECK(burrow_group_wait(&group) == 0);
	CHECK(get(&s.done) == 50);
	burrow_group_limit(&group, 0);
	CHECK(burrow_group_try_go(&group, work, NULL) == -EBUSY);
	burrow_group_limit(&group, -1);
	CHECK(burrow_group_try_go(&group, work, NULL) == 0);
	CHECK(burrow_group_wait(&group) == 0);
	CHECK(burrow_group_wait(&group) == 0);
}

static int fail_or_wait(void *arg)
{
	long n = (long)arg;

	if (n == 7) {
		burrow_sleep(5 * MS);
		return -EIO;
	}
	return burrow_chan_recv(burrow_ctx_done(s.ctx), NULL) ? 0 : -ENOENT;
}

TEST_ON(group_keeps_the_first_error)
{
	struct burrow_ctx *ctx;
	long i;

	fresh();
	memset(&group, 0, sizeof(group));
	ctx = burrow_group_ctx(&group, NULL);
	s.ctx = ctx;
	CHECK(ctx && burrow_ctx_err(ctx) == 0);
	for (i = 0; i < 20; i++)
		CHECK(burrow_group_go(&group, fail_or_wait, (void *)i) == 0);
	CHECK(burrow_group_wait(&group) == -EIO);
	CHECK(burrow_ctx_err(ctx) == -EIO);
	/* It begins anew. */
	fresh();
	ctx = burrow_group_ctx(&group, NULL);
	CHECK(burrow_group_go(&group, work, (void *)1) == 0);
	CHECK(burrow_ctx_err(ctx) == 0);
	CHECK(burrow_group_wait(&group) == 0);
	CHECK(burrow_ctx_err(ctx) == -ECANCELED);
}

static int one_more(void *arg)
{
	(void)arg;
	add(&s.done, 1);
	return 0;
}

/* On a stack: gone as soon as the wait is over. */
static __attribute__((noipa)) void group_on_stack(void)
{
	struct burrow_group g = { 0 };
	int i;

	for (i = 0; i < 3; i++)
		CHECK(burrow_group_go(&g, one_more, NULL) == 0);
	CHECK(burrow_group_wait(&g) == 0);
	memset(&g, 0xff, sizeof(g));
}

TEST_ON(group_on_a_stack)
{
	int i;

	fresh();
	for (i = 0; i < 3000; i++)
		group_on_stack();
	CHECK(get(&s.done) == 9000);
}

static void *outside(void *arg)
{
	(void)arg;
	CHECK(burrow_mutex_trylock(&s.m) == -EPERM);
	CHECK(burrow_mutex_lock_deadline(&s.m, 0) == -EPERM);
	CHECK(burrow_rwmutex_trylock(&s.rw) == -EPERM);
	CHECK(burrow_rwmutex_tryrlock(&s.rw) == -EPERM);
	CHECK(burrow_rwmutex_lock_deadline(&s.rw, 0) == -EPERM);
	CHECK(burrow_rwmutex_rlock_deadline(&s.rw, 0) == -EPERM);
	CHECK(burrow_cond_wait_deadline(&s.c, &s.m, 0) == -EPERM);
	CHECK(burrow_waitgroup_wait_deadline(&s.wg, 0) == -EPERM);
	CHECK(burrow_sem_tryacquire(&s.sem, 0) == -EPERM);
	CHECK(burrow_sem_acquire_deadline(&s.sem, 0, 0) == -EPERM);
	CHECK(burrow_group_go(&group, work, NULL) == -EPERM);
	CHECK(burrow_group_try_go(&group, work, NULL) == -EPERM);
	CHECK(burrow_group_wait(&group) == -EPERM);
	CHECK(burrow_ctx_cancel(NULL, 0) == -EPERM);
	return NULL;
}

/*
 * In static memory they outlive a run: who waited in them when it ended is gone,
 * and they can be used in the next.
 */
static struct {
	struct burrow_mutex m;
	struct burrow_rwmutex rw;
	struct burrow_cond c;
	struct burrow_waitgroup wg;
	struct burrow_sem sem;
	struct burrow_group g;
	struct burrow_event *event;
	int came;
} kept;

static void wait_in_mutex(void *arg)
{
	(void)arg;
	burrow_mutex_lock(&kept.m);
	add(&kept.came, 1);
	burrow_mutex_unlock(&kept.m);
}

static void wait_to_read(void *arg)
{
	(void)arg;
	burrow_rwmutex_rlock(&kept.rw);
	add(&kept.came, 1);
	burrow_rwmutex_runlock(&kept.rw);
}

static void wait_to_write(void *arg)
{
	(void)arg;
	burrow_rwmutex_lock(&kept.rw);
	add(&kept.came, 1);
	burrow_rwmutex_unlock(&kept.rw);
}

static void wait_for_signal(void *arg)
{
	struct burrow_mutex m = { 0 };

	(void)arg;
	burrow_mutex_lock(&m);
	burrow_cond_wait(&kept.c, &m);
	add(&kept.came, 1);
}

static void wait_for_group(void *arg)
{
	(void)arg;
	burrow_waitgroup_wait(&kept.wg);
	add(&kept.came, 1);
}

static void wait_for_two(void *arg)
{
	(void)arg;
	burrow_sem_acquire(&kept.sem, 2);
	add(&kept.came, 1);
	burrow_sem_release(&kept.sem, 2);
}

static void wait_for_event(void *arg)
{
	(void)arg;
	burrow_event_wait(kept.event);
	add(&kept.came, 1);
}

static int sleep_long(void *arg)
{
	(void)arg;
	return burrow_sleep(100000 * MS);
}

static void wait_for_tasks(void *arg)
{
	(void)arg;
	burrow_group_wait(&kept.g);
	add(&kept.came, 1);
}

static void (*const all_waits[])(void *arg) = {
	wait_in_mutex,	wait_to_read, wait_to_write,  wait_for_signal,
	wait_for_group, wait_for_two, wait_for_event, wait_for_tasks,
};

#define WAITS ((int)(sizeof(all_waits) / sizeof(all_waits[0])))

/* Leaves them all waiting, and what they wait for as it was. */
static void leave_waiting(void)
{
	int i;

	burrow_mutex_lock(&kept.m);
	burrow_rwmutex_lock(&kept.rw);
	burrow_waitgroup_add(&kept.wg, 1);
	CHECK(burrow_sem_tryacquire(&kept.sem, 1) == 0);
	CHECK(burrow_group_go(&kept.g, sleep_long, NULL) == 0);
	for (i = 0; i < 3 * WAITS; i++)
		burrow_go(all_waits[i % WAITS], NULL);
	settle();
	CHECK(get(&kept.came) == 0);
}

/* What was locked and counted still is; those who wait now are served. */
static void use_again(void)
{
	int i;

	CHECK(burrow_mutex_trylock(&kept.m) == -EBUSY);
	CHECK(burrow_rwmutex_tryrlock(&kept.rw) == -EBUSY);
	CHECK(burrow_waitgroup_wait_deadline(&kept.wg, 0) == -ETIMEDOUT);
	CHECK(burrow_sem_tryacquire(&kept.sem, 2) == -EBUSY);
	CHECK(burrow_group_wait(&kept.g) == 0);
	CHECK(burrow_group_go(&kept.g, sleep_long, NULL) == 0);
	for (i = 0; i < WAITS; i++)
		burrow_go(all_waits[i], NULL);
	settle();
	CHECK(get(&kept.came) == 0);
	burrow_mutex_unlock(&kept.m);
	burrow_rwmutex_unlock(&kept.rw);
	burrow_cond_signal(&kept.c);
	burrow_waitgroup_done(&kept.wg);
	burrow_sem_release(&kept.sem, 1);
	burrow_notify(kept.event);
	/* All but the one who waits for the sleeper. */
	while (get(&kept.came) < WAITS - 1)
		burrow_sleep(MS);
	settle();
	CHECK(get(&kept.came) == WAITS - 1);
}

TEST_F(on, what_outlives_a_run_forgets_its_waiters)
{
	memset(&kept, 0, sizeof(kept));
	burrow_sem_init(&kept.sem, 2);
	kept.event = burrow_event_new();
	EXPECT_EQ(0, run_on(variant->procs, leave_waiting));
	EXPECT_EQ(0, run_on(variant->procs, use_again));
	burrow_event_free(kept.event);
}

static struct burrow_once cut_off;

static void start_cut_off(void *arg)
{
	(void)arg;
	burrow_once_do(&cut_off, wait_for_event, NULL);
}

static void begin_once(void)
{
	burrow_go(start_cut_off, NULL);
	settle();
}

static void begin_again(void)
{
	start_cut_off(NULL);
}

static void cut_once_off(void *arg)
{
	(void)arg;
	kept.event = burrow_event_new();
	run_on(2, begin_once);
	run_on(2, begin_again);
}

TEST(a_once_that_was_cut_off_is_told)
{
	static struct outcome o;

	outcome_of(&o, cut_once_off, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(says(
		&o,
		"burrow_once_do: the function was cut off by the end of a run"));
}

TEST_ON(other_threads_may_not)
{
	pthread_t thread;

	fresh();
	memset(&group, 0, sizeof(group));
	CHECK(!pthread_create(&thread, NULL, outside, NULL));
	pthread_join(thread, NULL);
	CHECK(burrow_mutex_trylock(&s.m) == 0);
}

TEST_HARNESS_MAIN
