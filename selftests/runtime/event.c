// SPDX-License-Identifier: GPL-2.0
/* Waking from outside: events and signals. */
#include <pthread.h>
#include <semaphore.h>

#include "sync.h"

#define LONG (20000 * MS) /* never reached where all is well */

static struct burrow_event *event;

static int wait_long(void)
{
	return burrow_event_wait_deadline(event, burrow_now() + LONG);
}

static pthread_t start_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, arg))
		abort();
	return thread;
}

#define ROUNDS 300

static sem_t turn;

static void *notify_in_turn(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		sem_wait(&turn);
		burrow_notify(arg);
	}
	return NULL;
}

TEST_ON(a_thread_notifies)
{
	pthread_t thread;
	int i;

	event = burrow_event_new();
	sem_init(&turn, 0, 0);
	thread = start_thread(notify_in_turn, event);
	for (i = 0; i < ROUNDS; i++) {
		sem_post(&turn);
		CHECK(wait_long() == 0);
	}
	pthread_join(thread, NULL);
	CHECK(burrow_event_wait_deadline(event, 0) == -ETIMEDOUT);
	burrow_event_free(event);
}

static void on_signal(int signo)
{
	(void)signo;
	burrow_notify(event);
}

static void *signal_in_turn(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		sem_wait(&turn);
		kill(getpid(), SIGUSR1);
	}
	return NULL;
}

/* It comes on any of our threads, at any place. */
TEST_ON(a_signal_handler_notifies)
{
	struct sigaction sa = { .sa_handler = on_signal,
				.sa_flags = SA_RESTART };
	pthread_t thread;
	int i;

	event = burrow_event_new();
	sigaction(SIGUSR1, &sa, NULL);
	sem_init(&turn, 0, 0);
	thread = start_thread(signal_in_turn, NULL);
	for (i = 0; i < ROUNDS; i++) {
		sem_post(&turn);
		CHECK(wait_long() == 0);
	}
	pthread_join(thread, NULL);
	signal(SIGUSR1, SIG_DFL);
	burrow_event_free(event);
}

TEST_ON(notifications_that_nobody_had_are_one)
{
	int i;

	event = burrow_event_new();
	for (i = 0; i < 10; i++)
		burrow_notify(event);
	CHECK(burrow_event_wait(event) == 0);
	CHECK(burrow_event_wait_deadline(event, burrow_now() + 5 * MS) ==
	      -ETIMEDOUT);
	burrow_notify(event);
	settle();
	burrow_notify(event);
	CHECK(burrow_event_wait(event) == 0);
	CHECK(burrow_event_wait_deadline(event, -1) == -ETIMEDOUT);
	burrow_event_free(event);
	burrow_event_free(NULL);
}

TEST_ON(a_deadline_is_not_early_and_loses_nothing)
{
	int64_t until = burrow_now() + 20 * MS;

	event = burrow_event_new();
	CHECK(burrow_event_wait_deadline(event, until) == -ETIMEDOUT);
	CHECK(burrow_now() >= until);
	burrow_notify(event);
	/* What can be had at once is had, whatever the deadline. */
	CHECK(burrow_event_wait_deadline(event, 0) == 0);
	CHECK(burrow_event_wait_deadline(event, 0) == -ETIMEDOUT);
	burrow_event_free(event);
}

#define WAITERS 20

static int arrived, woken;
static int order[WAITERS];

static void wait_in_line(void *arg)
{
	add(&arrived, 1);
	CHECK(wait_long() == 0);
	put(&order[__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST)],
	    (int)(intptr_t)arg);
}

static void wait_until(int *counter, int n)
{
	int64_t until = burrow_now() + LONG;

	while (get(counter) < n && burrow_now() < until)
		burrow_sleep(MS / 10);
	CHECK(get(counter) == n);
}

TEST_ON(each_notification_wakes_one_in_order)
{
	int i;

	event = burrow_event_new();
	arrived = 0;
	woken = 0;
	for (i = 0; i < WAITERS; i++) {
		burrow_go(wait_in_line, (void *)(intptr_t)i);
		wait_until(&arrived, i + 1);
		settle();
	}
	for (i = 0; i < WAITERS; i++) {
		burrow_notify(event);
		wait_until(&woken, i + 1);
	}
	wait_for_others();
	for (i = 0; i < WAITERS; i++)
		CHECK(get(&order[i]) == i);
	burrow_event_free(event);
}

/* The waiter frees it while whoever woke it may not be through with it. */
TEST_ON(a_waiter_may_free_its_event)
{
	struct burrow_event *e;
	pthread_t thread;
	int i;

	for (i = 0; i < 20; i++) {
		e = burrow_event_new();
		sem_init(&turn, 0, ROUNDS);
		thread = start_thread(notify_in_turn, e);
		CHECK(burrow_event_wait(e) == 0);
		pthread_join(thread, NULL);
		burrow_event_free(e);
	}
}

static int stop;

static void yield_on(void *arg)
{
	(void)arg;
	while (!get(&stop))
		burrow_yield();
}

static void hog_on(void *arg)
{
	(void)arg;
	while (!get(&stop))
		;
}

static void *notify_later(void *arg)
{
	usleep(10000);
	burrow_notify(arg);
	return NULL;
}

static void notified_beside(void (*fn)(void *arg))
{
	int i, procs = burrow_set_procs(0);
	pthread_t thread;

	event = burrow_event_new();
	stop = 0;
	for (i = 0; i < procs; i++)
		burrow_go(fn, NULL);
	thread = start_thread(notify_later, event);
	CHECK(wait_long() == 0);
	add(&stop, 1);
	pthread_join(thread, NULL);
	wait_for_others();
	burrow_event_free(event);
}

TEST_ON(processors_that_are_never_idle_serve_events)
{
	notified_beside(yield_on);
}

TEST_ON(hogs_do_not_keep_events_waiting)
{
	notified_beside(hog_on);
}

#define EVENTS 500

static struct burrow_event *events[EVENTS];

static void *notify_all(void *arg)
{
	int i;

	for (i = 0; i < EVENTS; i++)
		burrow_notify(events[(i + (intptr_t)arg) % EVENTS]);
	return NULL;
}

static void wait_for_one(void *arg)
{
	CHECK(burrow_event_wait_deadline(arg, burrow_now() + LONG) == 0);
}

TEST_ON(many_events_from_many_threads)
{
	pthread_t threads[4];
	intptr_t i;

	for (i = 0; i < EVENTS; i++) {
		events[i] = burrow_event_new();
		burrow_go(wait_for_one, events[i]);
	}
	for (i = 0; i < 4; i++)
		threads[i] = start_thread(notify_all, (void *)(i * 117));
	wait_for_others();
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < EVENTS; i++)
		burrow_event_free(events[i]);
}

static void notify_it(void *arg)
{
	burrow_notify(arg);
}

static void notify_blocking(void *arg)
{
	burrow_blocking(notify_it, arg);
}

TEST_ON(goroutines_notify)
{
	event = burrow_event_new();
	burrow_go(notify_it, event);
	CHECK(wait_long() == 0);
	burrow_go(notify_blocking, event);
	CHECK(wait_long() == 0);
	burrow_event_free(event);
}

TEST(a_thread_without_goroutine_may_not_wait)
{
	struct burrow_event *e = burrow_event_new();

	EXPECT_EQ(-EPERM, burrow_event_wait(e));
	EXPECT_EQ(-EPERM, burrow_event_wait_deadline(e, 0));
	burrow_event_free(e);
}

static int wait_twice(void *arg)
{
	pthread_t thread;
	int ret;

	(void)arg;
	ret = burrow_event_wait_deadline(event, 0);
	if (ret)
		return ret;
	thread = start_thread(notify_later, event);
	ret = wait_long();
	pthread_join(thread, NULL);
	return ret;
}

TEST(an_event_is_notified_before_and_between_runs)
{
	event = burrow_event_new();
	burrow_notify(event);
	EXPECT_EQ(0, burrow_run(NULL, wait_twice, NULL));
	burrow_notify(event);
	EXPECT_EQ(0, burrow_run(NULL, wait_twice, NULL));
	burrow_notify(event);
	burrow_event_free(event);
	EXPECT_EQ(0,
		  burrow_run(NULL, run_on_main, &(void (*)(void)){ settle }));
}

static void wait_for_ever(void *arg)
{
	(void)arg;
	burrow_event_wait(event);
	abort();
}

static int leave_waiters(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		burrow_go(wait_for_ever, NULL);
	settle();
	return 0;
}

/* Those of the first run are gone: what is notified is for the second's. */
TEST(waiters_end_with_their_run)
{
	event = burrow_event_new();
	ASSERT_EQ(0, burrow_run(NULL, leave_waiters, NULL));
	burrow_notify(event);
	EXPECT_EQ(0, burrow_run(NULL, wait_twice, NULL));
	ASSERT_EQ(0, burrow_run(NULL, leave_waiters, NULL));
	burrow_notify(event);
	EXPECT_EQ(0, burrow_run(NULL, wait_twice, NULL));
	burrow_event_free(event);
}

TEST_ON(signals_come_as_messages)
{
	struct burrow_chan *ch = burrow_signal_chan(SIGUSR2);
	struct burrow_case c;
	int i, signo;

	CHECK(ch);
	CHECK(burrow_chan_cap(ch) == 16);
	CHECK(burrow_signal_chan(SIGUSR2) == ch);
	for (i = 0; i < 100; i++) {
		kill(getpid(), SIGUSR2);
		signo = 0;
		c = (struct burrow_case){ BURROW_RECV, ch, &signo, 0 };
		CHECK(burrow_select(&c, 1, LONG) == 0);
		CHECK(signo == SIGUSR2);
	}
	/* More than fit, and nobody there: the rest is dropped. */
	for (i = 0; i < 40; i++) {
		raise(SIGUSR2);
		burrow_sleep(MS / 5);
	}
	CHECK(burrow_chan_len(ch) <= 16);
	CHECK(burrow_chan_len(ch) > 0);
	while (burrow_chan_try_recv(ch, &signo) == 1)
		CHECK(signo == SIGUSR2);
}

TEST_ON(signals_that_cannot_be_had)
{
	CHECK(!burrow_signal_chan(SIGKILL));
	CHECK(!burrow_signal_chan(SIGSTOP));
	CHECK(!burrow_signal_chan(SIGSEGV));
	CHECK(!burrow_signal_chan(SIGBUS));
	CHECK(!burrow_signal_chan(0));
	CHECK(!burrow_signal_chan(-1));
	CHECK(!burrow_signal_chan(65));
	CHECK(burrow_signal_chan(SIGRTMIN));
}

static volatile sig_atomic_t seen;

static void on_mine(int signo)
{
	seen = signo;
}

static int take_signals(void *arg)
{
	*(bool *)arg = burrow_signal_chan(SIGUSR1) &&
		       burrow_signal_chan(SIGQUIT);
	raise(SIGUSR1);
	return 0;
}

TEST(handlers_come_back_when_the_run_ends)
{
	struct sigaction sa = { .sa_handler = on_mine }, now;
	bool had;
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	for (i = 0; i < 2; i++) {
		had = false;
		seen = 0;
		ASSERT_EQ(0, burrow_run(NULL, take_signals, &had));
		EXPECT_TRUE(had);
		EXPECT_EQ(0, seen);
		raise(SIGUSR1);
		EXPECT_EQ(SIGUSR1, seen);
		sigaction(SIGQUIT, NULL, &now);
		EXPECT_EQ(SIG_DFL, now.sa_handler);
	}
}

static int deadlock_after_refusal(void *arg)
{
	(void)arg;
	burrow_signal_chan(SIGKILL);
	burrow_chan_recv(NULL, NULL);
	return 0;
}

static void run_deadlock(void *arg)
{
	burrow_run(NULL, deadlock_after_refusal, arg);
}

TEST(a_signal_that_cannot_be_had_hides_no_deadlock)
{
	static struct outcome o;

	outcome_of(&o, run_deadlock, NULL);
	EXPECT_TRUE(exited_with(&o, 2));
	EXPECT_TRUE(
		begins(&o, "burrow: all goroutines are asleep - deadlock!\n"));
}

static int stopped_by_a_signal(void *arg)
{
	struct burrow_chan *ch = burrow_signal_chan(SIGTERM);
	int signo = 0;

	(void)arg;
	burrow_chan_recv(ch, &signo);
	return signo;
}

static void *terminate(void *arg)
{
	struct sigaction action;

	(void)arg;
	do {
		usleep(150000);
		sigaction(SIGTERM, NULL, &action);
	} while (action.sa_handler == SIG_DFL);
	kill(getpid(), SIGTERM);
	return NULL;
}

/* The monitor sleeps deeply by then; waiting for a signal is no deadlock. */
TEST(a_signal_wakes_a_runtime_that_sleeps)
{
	pthread_t thread = start_thread(terminate, NULL);

	EXPECT_EQ(SIGTERM, burrow_run(NULL, stopped_by_a_signal, NULL));
	pthread_join(thread, NULL);
}

TEST_HARNESS_MAIN
