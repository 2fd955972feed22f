// SPDX-License-Identifier: GPL-2.0
/*
 * Misuse that Go panics on, and calls from where they may not come: one line
 * that names the call and the goroutine, a backtrace, SIGABRT.
 */
#include <pthread.h>

#include "runtime.h"

static struct burrow_mutex m;
static struct burrow_rwmutex rw;
static struct burrow_cond c;
static struct burrow_waitgroup wg;
static struct burrow_once once;
static struct burrow_sem sem;
static struct burrow_group group;

static void unlock_unlocked(void)
{
	burrow_mutex_lock(&m);
	burrow_mutex_unlock(&m);
	burrow_mutex_unlock(&m);
}

static void runlock_unlocked(void)
{
	burrow_rwmutex_rlock(&rw);
	burrow_rwmutex_runlock(&rw);
	burrow_rwmutex_runlock(&rw);
}

static void runlock_of_a_writer(void)
{
	burrow_rwmutex_lock(&rw);
	burrow_rwmutex_runlock(&rw);
}

static void unlock_of_a_reader(void)
{
	burrow_rwmutex_rlock(&rw);
	burrow_rwmutex_unlock(&rw);
}

static void wait_unlocked(void)
{
	burrow_cond_wait(&c, &m);
}

static void wait_unlocked_deadline(void)
{
	burrow_cond_wait_deadline(&c, &m, 0);
}

static void done_too_often(void)
{
	burrow_waitgroup_add(&wg, 1);
	burrow_waitgroup_done(&wg);
	burrow_waitgroup_done(&wg);
}

static void add_less_than_none(void)
{
	burrow_waitgroup_add(&wg, 2);
	burrow_waitgroup_add(&wg, -3);
}

static void add_too_much(void)
{
	burrow_waitgroup_add(&wg, INT64_MAX);
	burrow_waitgroup_add(&wg, 1);
}

static void again(void *arg)
{
	burrow_once_do(&once, again, arg);
}

static void once_in_itself(void)
{
	burrow_once_do(&once, again, NULL);
}

static void sem_of_less(void)
{
	burrow_sem_init(&sem, -1);
}

static void acquire_less(void)
{
	burrow_sem_acquire(&sem, -1);
}

static void acquire_less_deadline(void)
{
	burrow_sem_acquire_deadline(&sem, -1, 0);
}

static void tryacquire_less(void)
{
	burrow_sem_tryacquire(&sem, INT64_MIN);
}

static void release_less(void)
{
	burrow_sem_release(&sem, -1);
}

static void release_too_much(void)
{
	burrow_sem_release(&sem, INT64_MAX);
	burrow_sem_release(&sem, 1);
}

static int long_work(void *arg)
{
	(void)arg;
	return burrow_sleep(10000 * MS);
}

static void limit_while_running(void)
{
	burrow_group_go(&group, long_work, NULL);
	burrow_group_limit(&group, 3);
}

static void ctx_while_running(void)
{
	burrow_group_go(&group, long_work, NULL);
	burrow_group_ctx(&group, NULL);
}

struct misuse {
	void (*fn)(void);
	const char *call;
	const char *what;
};

#define LESS "the count is negative"

static const struct misuse misuses[] = {
	{ unlock_unlocked, "burrow_mutex_unlock", "it is not locked" },
	{ runlock_unlocked, "burrow_rwmutex_runlock", "no reader has it" },
	{ runlock_of_a_writer, "burrow_rwmutex_runlock", "no reader has it" },
	{ unlock_of_a_reader, "burrow_rwmutex_unlock", "no writer has it" },
	{ wait_unlocked, "burrow_cond_wait", "the mutex is not locked" },
	{ wait_unlocked_deadline, "burrow_cond_wait_deadline",
	  "the mutex is not locked" },
	{ done_too_often, "burrow_waitgroup_done", "the counter is negative" },
	{ add_less_than_none, "burrow_waitgroup_add",
	  "the counter is negative" },
	{ add_too_much, "burrow_waitgroup_add", "the counter overflows" },
	{ once_in_itself, "burrow_once_do",
	  "called again by the function that it runs" },
	{ sem_of_less, "burrow_sem_init", LESS },
	{ acquire_less, "burrow_sem_acquire", LESS },
	{ acquire_less_deadline, "burrow_sem_acquire_deadline", LESS },
	{ tryacquire_less, "burrow_sem_tryacquire", LESS },
	{ release_less, "burrow_sem_release", LESS },
	{ release_too_much, "burrow_sem_release", "the count overflows" },
	{ limit_while_running, "burrow_group_limit",
	  "something runs in the group" },
	{ ctx_while_running, "burrow_group_ctx",
	  "something runs in the group" },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int do_misuse(void *arg)
{
	const struct misuse *misuse = arg;

	misuse->fn();
	return 0;
}

static void run_misuse(void *arg)
{
	burrow_run(NULL, do_misuse, arg);
}

TEST(misuse_is_told_and_ends_the_program)
{
	static struct outcome o;
	char line[256];
	size_t i;

	for (i = 0; i < COUNT(misuses); i++) {
		outcome_of(&o, run_misuse, (void *)&misuses[i]);
		snprintf(line, sizeof(line),
			 "burrow: goroutine 1 (main): %s: %s\n",
			 misuses[i].call, misuses[i].what);
		EXPECT_TRUE(begins(&o, line))
		{
			TH_LOG("expected %sgot %s", line, o.text);
		}
		EXPECT_TRUE(killed_by(&o, SIGABRT));
		EXPECT_TRUE(says(&o, "do_misuse+0x"));
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Those without a result that could say -EPERM. */
#define CALL(name, statement)            \
	static void name##_outside(void) \
	{                                \
		statement;               \
	}

CALL(chan_new, burrow_chan_new(1, 1))
CALL(chan_len, burrow_chan_len(NULL))
CALL(chan_cap, burrow_chan_cap(NULL))
CALL(mutex_lock, burrow_mutex_lock(&m))
CALL(mutex_unlock, burrow_mutex_unlock(&m))
CALL(rwmutex_lock, burrow_rwmutex_lock(&rw))
CALL(rwmutex_unlock, burrow_rwmutex_unlock(&rw))
CALL(rwmutex_rlock, burrow_rwmutex_rlock(&rw))
CALL(rwmutex_runlock, burrow_rwmutex_runlock(&rw))
CALL(cond_wait, burrow_cond_wait(&c, &m))
CALL(cond_signal, burrow_cond_signal(&c))
CALL(cond_broadcast, burrow_cond_broadcast(&c))
CALL(waitgroup_add, burrow_waitgroup_add(&wg, 1))
CALL(waitgroup_done, burrow_waitgroup_done(&wg))
CALL(waitgroup_wait, burrow_waitgroup_wait(&wg))
CALL(once_do, burrow_once_do(&once, nothing, NULL))
CALL(sem_acquire, burrow_sem_acquire(&sem, 0))
CALL(sem_release, burrow_sem_release(&sem, 0))
CALL(ctx_with_cancel, burrow_ctx_with_cancel(NULL))
CALL(ctx_with_deadline, burrow_ctx_with_deadline(NULL, 0))
CALL(ctx_with_value, burrow_ctx_with_value(NULL, &m, NULL))
CALL(group_ctx, burrow_group_ctx(&group, NULL))
CALL(group_limit, burrow_group_limit(&group, 1))

#define OUTSIDE(name)                                 \
	{                                             \
		name##_outside, "burrow_" #name, NULL \
	}

static const struct misuse outsiders[] = {
	OUTSIDE(chan_new),	  OUTSIDE(chan_len),
	OUTSIDE(chan_cap),	  OUTSIDE(mutex_lock),
	OUTSIDE(mutex_unlock),	  OUTSIDE(rwmutex_lock),
	OUTSIDE(rwmutex_unlock),  OUTSIDE(rwmutex_rlock),
	OUTSIDE(rwmutex_runlock), OUTSIDE(cond_wait),
	OUTSIDE(cond_signal),	  OUTSIDE(cond_broadcast),
	OUTSIDE(waitgroup_add),	  OUTSIDE(waitgroup_done),
	OUTSIDE(waitgroup_wait),  OUTSIDE(once_do),
	OUTSIDE(sem_acquire),	  OUTSIDE(sem_release),
	OUTSIDE(ctx_with_cancel), OUTSIDE(ctx_with_deadline),
	OUTSIDE(ctx_with_value),  OUTSIDE(group_ctx),
	OUTSIDE(group_limit),
};

/* Before any runtime runs: as from any thread that is no goroutine. */
static void call_outside(void *arg)
{
	const struct misuse *misuse = arg;

	misuse->fn();
}

TEST(calls_from_other_threads_are_told)
{
	static struct outcome o;
	char call[128];
	size_t i;

	for (i = 0; i < COUNT(outsiders); i++) {
		outcome_of(&o, call_outside, (void *)&outsiders[i]);
		snprintf(call, sizeof(call),
			 "%s: called by a thread that runs no goroutine\n",
			 outsiders[i].call);
		EXPECT_TRUE(begins(&o, "burrow: "));
		EXPECT_TRUE(says(&o, call))
		{
			TH_LOG("expected %sgot %s", call, o.text);
		}
		EXPECT_TRUE(killed_by(&o, SIGABRT));
	}
}

static int in_blocking(void *arg)
{
	burrow_blocking(call_outside, arg);
	return 0;
}

static void run_in_blocking(void *arg)
{
	burrow_run(NULL, in_blocking, arg);
}

static void try_in_blocking(void)
{
	burrow_mutex_trylock(&m);
}

static void send_in_blocking(void)
{
	burrow_chan_send(NULL, NULL);
}

static void select_in_blocking(void)
{
	burrow_select(NULL, 0, 0);
}

static const struct misuse blockers[] = {
	{ mutex_lock_outside, "burrow_mutex_lock", NULL },
	{ try_in_blocking, "burrow_mutex_trylock", NULL },
	{ send_in_blocking, "burrow_chan_send", NULL },
	{ select_in_blocking, "burrow_select", NULL },
	{ waitgroup_wait_outside, "burrow_waitgroup_wait", NULL },
};

TEST(calls_in_blocking_are_told)
{
	static struct outcome o;
	char line[128];
	size_t i;

	for (i = 0; i < COUNT(blockers); i++) {
		outcome_of(&o, run_in_blocking, (void *)&blockers[i]);
		snprintf(
			line, sizeof(line),
			"burrow: goroutine 1 (main): %s: called in burrow_blocking()",
			blockers[i].call);
		EXPECT_TRUE(begins(&o, line))
		{
			TH_LOG("expected %s, got %s", line, o.text);
		}
		EXPECT_TRUE(killed_by(&o, SIGABRT));
	}
}

/* What waits for ever is found out when nothing else is left. */
static void wait_for_ever(void)
{
	burrow_chan_recv(NULL, NULL);
}

static void lock_twice(void)
{
	burrow_mutex_lock(&m);
	burrow_mutex_lock(&m);
}

static void select_nothing(void)
{
	burrow_select(NULL, 0, -1);
}

static void recv_that_nobody_sends(void)
{
	burrow_chan_recv(burrow_chan_new(1, 1), NULL);
}

static void acquire_what_is_not_there(void)
{
	burrow_sem_acquire(&sem, 1);
}

static void wait_for_nobody(void)
{
	burrow_waitgroup_add(&wg, 1);
	burrow_waitgroup_wait(&wg);
}

TEST(waiting_for_nothing_is_a_deadlock)
{
	static const struct misuse deadlocks[] = {
		{ wait_for_ever, "chan receive (nil chan)", NULL },
		{ lock_twice, "mutex", NULL },
		{ select_nothing, "select (no cases)", NULL },
		{ recv_that_nobody_sends, "chan receive", NULL },
		{ acquire_what_is_not_there, "semaphore", NULL },
		{ wait_for_nobody, "waitgroup", NULL },
	};
	static const char asleep[] =
		"burrow: all goroutines are asleep - deadlock!\n";
	static struct outcome o;
	size_t i;

	for (i = 0; i < COUNT(deadlocks); i++) {
		outcome_of(&o, run_misuse, (void *)&deadlocks[i]);
		EXPECT_TRUE(begins(&o, asleep));
		EXPECT_TRUE(says(&o, deadlocks[i].call))
		{
			TH_LOG("expected %s, got %s", deadlocks[i].call,
			       o.text);
		}
		EXPECT_TRUE(exited_with(&o, 2));
	}
}

TEST_HARNESS_MAIN
