// SPDX-License-Identifier: GPL-2.0
/*
 * How a run ends: with its main goroutine, whatever the others are at; by a
 * deadlock, or by want of threads; and what another run finds after it.
 */
#include <dirent.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "sync.h"

#define LONG (20000 * MS) /* never reached where all is well */
#define EXITING 4 /* of the flags in /proc/.../stat: PF_EXITING */
#define DEADLOCK "burrow: all goroutines are asleep - deadlock!\n"

static int entries(const char *folder)
{
	DIR *d = opendir(folder);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

/* A number after @what in a file of /proc; -1: the file is gone. */
static long number_in(const char *path, const char *what, const char *format)
{
	FILE *f = fopen(path, "re");
	char text[2048];
	const char *at;
	long n = -1;

	if (!f)
		return -1;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	at = strstr(text, what);
	if (at)
		sscanf(at + strlen(what), format, &n);
	return n;
}

static bool is_exiting(const char *tid)
{
	char path[PATH_MAX];
	long flags;

	snprintf(path, sizeof(path), "/proc/self/task/%s/stat", tid);
	flags = number_in(path, ") ", "%*c %*d %*d %*d %*d %*d %ld");
	return flags < 0 || flags & EXITING;
}

static int list_tasks(long *listed)
{
	DIR *d = opendir("/proc/self/task");
	const struct dirent *e;
	int n = 0;

	*listed = 0;
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		(*listed)++;
		n += !is_exiting(e->d_name);
	}
	if (d)
		closedir(d);
	return n;
}

/*
 * Threads that have not begun to exit. Who was joined may be listed for a moment longer;
 * and a list ends early where the one it has come to goes away. So one is made until
 * nobody in it is exiting and it is as long as the system says, and whom any of them
 * had counts.
 */
static int threads_now(void)
{
	int n, most = 0;
	long listed;

	do {
		n = list_tasks(&listed);
		most = n > most ? n : most;
	} while (n != listed ||
		 n != number_in("/proc/self/status", "Threads:", "%ld"));
	return most;
}

static int mappings_now(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int c, n = 0;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* Deadlock: what there is to wait for, and what there is not. */

static struct burrow_mutex mutex;
static struct burrow_waitgroup group;
static struct burrow_cond cond;
static struct burrow_sem sem;

static void never(void *arg)
{
	(void)arg;
}

static void receive_for_ever(void)
{
	burrow_chan_recv(burrow_chan_new(0, 0), NULL);
}

static void lock_twice(void)
{
	burrow_mutex_lock(&mutex);
	burrow_mutex_lock(&mutex);
}

static void select_none(void)
{
	burrow_select(NULL, 0, -1);
}

static void wait_for_group(void)
{
	burrow_waitgroup_add(&group, 1);
	burrow_waitgroup_wait(&group);
}

static void wait_for_cond(void)
{
	burrow_mutex_lock(&mutex);
	burrow_cond_wait(&cond, &mutex);
}

static void acquire_none(void)
{
	burrow_sem_acquire(&sem, 1);
}

static void receive_in(void *arg)
{
	burrow_chan_recv(arg, NULL);
}

static void all_receive(void)
{
	struct burrow_chan *ch = burrow_chan_new(0, 0);
	int i;

	for (i = 0; i < 100; i++)
		burrow_go(receive_in, ch);
	burrow_chan_recv(ch, NULL);
}

static void wait_beside_a_stopped_timer(void)
{
	burrow_timer_stop(burrow_timer_new(LONG, MS, never, NULL));
	receive_for_ever();
}

static void sleep_in_c(void *arg)
{
	usleep(20000);
	add(arg, 1);
}

static void wait_after_others(void)
{
	struct burrow_chan *ch = burrow_chan_new(0, 0);
	struct burrow_event *event = burrow_event_new();
	int slept = 0;

	burrow_blocking(sleep_in_c, &slept);
	burrow_event_wait_deadline(event, burrow_now() + MS);
	burrow_chan_recv_deadline(ch, NULL, burrow_now() + MS);
	burrow_sleep(MS);
	burrow_lock_thread();
	burrow_chan_recv(ch, NULL);
}

struct case_on {
	int procs;
	void (*fn)(void);
};

static void run_case(void *arg)
{
	struct case_on *c = arg;

	exit(run_on(c->procs, c->fn) ? 1 : 0);
}

TEST_F(on, all_asleep_is_a_deadlock)
{
	static void (*const cases[])(void) = {
		receive_for_ever,  lock_twice,
		select_none,	   wait_for_group,
		wait_for_cond,	   acquire_none,
		all_receive,	   wait_beside_a_stopped_timer,
		wait_after_others,
	};
	static struct outcome o;
	struct case_on c = { .procs = variant->procs };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c.fn = cases[i];
		outcome_of(&o, run_case, &c);
		EXPECT_TRUE(exited_with(&o, 2))
		{
			TH_LOG("case %zu: status %#x: %s", i, o.status, o.text);
		}
		EXPECT_TRUE(begins(&o, DEADLOCK));
		EXPECT_TRUE(says(&o, "goroutine 1 (main) ["));
	}
}

static struct burrow_chan *done;

static void tell_done(void *arg)
{
	(void)arg;
	burrow_chan_send(done, NULL);
}

static void wait_for_timer(void)
{
	burrow_timer_new(150 * MS, 0, tell_done, NULL);
	burrow_chan_recv(done, NULL);
}

static void sleep_and_tell(void *arg)
{
	burrow_sleep(150 * MS);
	tell_done(arg);
}

static void wait_for_sleeper(void)
{
	burrow_go(sleep_and_tell, NULL);
	burrow_chan_recv(done, NULL);
}

static void usleep_here(void *arg)
{
	(void)arg;
	usleep(150000);
}

static void block_and_tell(void *arg)
{
	burrow_blocking(usleep_here, NULL);
	tell_done(arg);
}

static void wait_for_blocking(void)
{
	burrow_go(block_and_tell, NULL);
	burrow_chan_recv(done, NULL);
}

static void hog_and_tell(void *arg)
{
	int64_t begin = burrow_now();

	while (burrow_now() - begin < 100 * MS)
		;
	tell_done(arg);
}

static void wait_for_hog(void)
{
	burrow_go(hog_and_tell, NULL);
	burrow_chan_recv(done, NULL);
}

static int pipe_fds[2];

static void *write_later(void *arg)
{
	usleep(150000);
	if (write(pipe_fds[1], "x", 1) != 1)
		abort();
	return arg;
}

static void wait_for_io(void)
{
	pthread_t thread;
	char c;

	CHECK(pipe(pipe_fds) == 0);
	pthread_create(&thread, NULL, write_later, NULL);
	CHECK(burrow_read(pipe_fds[0], &c, 1) == 1);
	pthread_join(thread, NULL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void *notify_later(void *arg)
{
	usleep(150000);
	burrow_notify(arg);
	return NULL;
}

static void wait_for_event(void)
{
	struct burrow_event *event = burrow_event_new();
	pthread_t thread;

	pthread_create(&thread, NULL, notify_later, event);
	CHECK(burrow_event_wait(event) == 0);
	pthread_join(thread, NULL);
	burrow_event_free(event);
}

static void receive_after(void)
{
	CHECK(burrow_chan_recv(burrow_after(150 * MS), NULL) == 1);
}

TEST_ON(who_can_be_woken_is_not_dead)
{
	done = burrow_chan_new(0, 0);
	wait_for_timer();
	wait_for_sleeper();
	wait_for_blocking();
	wait_for_hog();
	wait_for_io();
	wait_for_event();
	receive_after();
}

/* The end of a run. */

static int stop, inside;

static void hog(void *arg)
{
	(void)arg;
	add(&inside, 1);
	while (!get(&stop))
		;
}

static void hog_and_call(void *arg)
{
	hog(arg);
	burrow_yield();
	abort();
}

static void wait_in_c(void *arg)
{
	(void)arg;
	add(&inside, 1);
	while (!get(&stop))
		usleep(1000);
}

static void block_and_call(void *arg)
{
	burrow_blocking(wait_in_c, arg);
	abort();
}

static void hog_and_start(void *arg)
{
	hog(arg);
	burrow_go(never, NULL);
	abort();
}

static void hog_and_sleep(void *arg)
{
	hog(arg);
	burrow_sleep(1);
	abort();
}

static void start_leftovers(void)
{
	inside = 0;
	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	burrow_go(hog_and_call, NULL);
	burrow_go(block_and_call, NULL);
	burrow_go(hog_and_start, NULL);
	burrow_go(hog_and_sleep, NULL);
	while (get(&inside) < 4)
		burrow_sleep(MS);
}

static void live_on(void)
{
	int i;

	done = burrow_chan_new(0, 0);
	for (i = 0; i < 20; i++)
		burrow_go(tell_done, NULL);
	for (i = 0; i < 20; i++)
		CHECK(burrow_chan_recv(done, NULL) == 1);
	wait_for_sleeper();
	burrow_set_procs(3);
	burrow_yield();
}

/* The kernel lists one that was joined for a moment more. */
static int threads_soon(int n)
{
	int64_t begin = burrow_now();

	while (threads_now() > n && burrow_now() - begin < LONG)
		usleep(1000);
	return threads_now();
}

static bool alone_soon(void)
{
	return threads_soon(1) == 1;
}

/* Nobody asks those in C code: they hear of it at their next call. */
TEST_F(on, a_run_ends_although_others_are_in_c)
{
	ASSERT_EQ(0, run_on(variant->procs, start_leftovers));
	EXPECT_EQ(5, threads_soon(5));
	EXPECT_EQ(0, burrow_num_goroutines());
	EXPECT_EQ(-ESRCH, burrow_go(never, NULL));
	ASSERT_EQ(0, run_on(variant->procs, live_on));
	EXPECT_EQ(5, threads_soon(5));
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	EXPECT_TRUE(alone_soon());
	ASSERT_EQ(0, run_on(variant->procs, live_on));
	EXPECT_TRUE(alone_soon());
}

static void release_and_live(void)
{
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	live_on();
}

TEST_F(on, those_of_an_old_run_end_during_the_next)
{
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, run_on(variant->procs, start_leftovers));
		ASSERT_EQ(0, run_on(variant->procs, release_and_live));
		ASSERT_TRUE(alone_soon());
	}
}

static void sleep_for_ever(void *arg)
{
	(void)arg;
	burrow_sleep(INT64_MAX);
	abort();
}

static void read_for_ever(void *arg)
{
	char c;

	(void)arg;
	burrow_read(pipe_fds[0], &c, 1);
	abort();
}

static void leave_all_sorts(void)
{
	struct burrow_chan *ch = burrow_chan_new(0, 0);
	int i;

	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	for (i = 0; i < 10; i++) {
		burrow_go(receive_in, ch);
		burrow_go(sleep_for_ever, NULL);
		burrow_go(read_for_ever, NULL);
	}
	burrow_go(hog_and_call, NULL);
	burrow_go(block_and_call, NULL);
	burrow_timer_new(LONG, MS, never, NULL);
	burrow_after(LONG);
	burrow_sleep(MS / 2);
}

static void release(void)
{
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	alone_soon();
}

TEST_F(on, runs_leave_nothing_behind)
{
	int i, mappings = 0, fds = 0;

	ASSERT_EQ(0, pipe(pipe_fds));
	for (i = 0; i < 70; i++) {
		ASSERT_EQ(0, run_on(variant->procs, leave_all_sorts));
		release();
		ASSERT_EQ(1, threads_now());
		if (i == 9) {
			mappings = mappings_now();
			fds = entries("/proc/self/fd");
		}
	}
	/* Malloc's own, and stacks that the system keeps for new threads. */
	EXPECT_LE(mappings_now(), mappings + 20);
	EXPECT_EQ(fds, entries("/proc/self/fd"));
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void run_nested(void *arg)
{
	*(int *)arg = burrow_run(NULL, do_nothing, NULL);
}

static void *run_beside(void *arg)
{
	run_nested(arg);
	return NULL;
}

TEST_ON(one_run_at_a_time)
{
	pthread_t thread;
	int ret = 0;

	run_nested(&ret);
	CHECK(ret == -EBUSY);
	burrow_blocking(run_nested, &ret);
	CHECK(ret == -EBUSY);
	ret = 0;
	pthread_create(&thread, NULL, run_beside, &ret);
	pthread_join(thread, NULL);
	CHECK(ret == -EBUSY);
}

static struct burrow_event *bell;

/* They know nothing of when a run begins and ends. */
static void *call_all_the_time(void *arg)
{
	struct burrow_stats s = { .size = sizeof(s) };
	int i, ret, bad = 0;

	for (i = 0; !get(&stop); i++) {
		ret = burrow_go(never, NULL);
		bad += ret && ret != -ESRCH;
		ret = burrow_set_procs(i % 4);
		bad += ret < 1 && ret != -ESRCH;
		ret = burrow_stats(&s);
		bad += ret && ret != -ESRCH;
		burrow_notify(bell);
		burrow_num_goroutines();
		usleep(100);
	}
	add(arg, bad);
	return NULL;
}

static void live_shortly(void)
{
	CHECK(burrow_event_wait_deadline(bell, burrow_now() + LONG) == 0);
	burrow_sleep(MS / 5);
}

TEST_F(on, other_threads_call_while_runs_begin_and_end)
{
	pthread_t callers[3];
	int i, bad = 0;

	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	bell = burrow_event_new();
	for (i = 0; i < 3; i++)
		pthread_create(&callers[i], NULL, call_all_the_time, &bad);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, run_on(variant->procs, live_shortly));
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < 3; i++)
		pthread_join(callers[i], NULL);
	EXPECT_EQ(0, bad);
	burrow_event_free(bell);
}

static void live_in_child(void)
{
	struct burrow_chan *ch = burrow_signal_chan(SIGUSR1);
	int signo = 0;

	live_on();
	wait_for_timer();
	kill(getpid(), SIGUSR1);
	CHECK(burrow_chan_recv(ch, &signo) == 1);
	CHECK(signo == SIGUSR1);
}

static void run_in_child(void *arg)
{
	int i, status = -1;
	pid_t pid = fork();

	if (!pid) {
		alarm(100);
		for (i = 1; i < 5; i++) {
			if (run_on(i, live_in_child))
				_exit(1);
		}
		_exit(threads_now() == 1 ? 33 : 2);
	}
	waitpid(pid, &status, 0);
	*(int *)arg = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fork_under_load(void *arg)
{
	burrow_blocking(run_in_child, arg);
}

TEST_ON(a_child_runs_its_own)
{
	int i, status[3];

	/* What the parent has under way the child has not. */
	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	burrow_signal_chan(SIGUSR1);
	burrow_go(hog, NULL);
	burrow_go(sleep_for_ever, NULL);
	burrow_timer_new(MS, MS, never, NULL);
	burrow_sleep(5 * MS);
	for (i = 0; i < 3; i++)
		burrow_go(fork_under_load, &status[i]);
	while (burrow_num_goroutines() > 3)
		burrow_sleep(MS);
	for (i = 0; i < 3; i++)
		CHECK(status[i] == 33);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
}

/* Threads that can't be had. */

static void refuse_threads(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_TSYNC, &prog))
		_exit(77);
}

static void run_without_threads(void *arg)
{
	(void)arg;
	refuse_threads();
	if (run_on(2, live_on) != -EAGAIN || run_on(2, live_on) != -EAGAIN)
		exit(1);
	exit(burrow_num_goroutines() || burrow_set_procs(0) != -ESRCH);
}

TEST(no_thread_at_the_start)
{
	static struct outcome o;
	const char *line =
		"burrow: no thread can be started: Resource temporarily unavailable\n";

	outcome_of(&o, run_without_threads, NULL);
	if (exited_with(&o, 77))
		SKIP(return, "no seccomp filter can be set");
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(begins(&o, line));
	EXPECT_STREQ(line, o.text + strlen(line));
}

static void need_a_thread(void)
{
	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	refuse_threads();
	burrow_go(hog, NULL);
	burrow_go(hog, NULL);
	hog(NULL);
}

static void run_out_of_threads(void *arg)
{
	(void)arg;
	run_on(1, need_a_thread);
}

TEST(no_thread_later)
{
	static struct outcome o;

	outcome_of(&o, run_out_of_threads, NULL);
	if (exited_with(&o, 77))
		SKIP(return, "no seccomp filter can be set");
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: no thread for a processor (there are 1): Resource "));
	EXPECT_TRUE(
		says(&o, ": see ulimit -u and the pids limit of the cgroup\n"));
}

/* A busy bell makes the second that is granted no shorter. */
static void *ring_the_bell(void *arg)
{
	while (!get(&stop)) {
		burrow_notify(arg);
		usleep(200);
	}
	return NULL;
}

static void need_a_thread_amid_bells(void)
{
	struct burrow_event *event = burrow_event_new();
	pthread_t thread;

	__atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
	pthread_create(&thread, NULL, ring_the_bell, event);
	refuse_threads();
	burrow_go(hog, NULL);
	hog(NULL);
}

static void run_out_amid_bells(void *arg)
{
	(void)arg;
	/* As long as there are some that sleep an event rings the bell. */
	run_on(300, need_a_thread_amid_bells);
}

TEST(no_thread_later_is_a_second_by_the_clock)
{
	static struct outcome o;
	int64_t begin = burrow_now();

	outcome_of(&o, run_out_amid_bells, NULL);
	if (exited_with(&o, 77))
		SKIP(return, "no seccomp filter can be set");
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(&o, "burrow: no thread for a processor "));
	EXPECT_GE(burrow_now() - begin, 1000 * MS);
}

static void sleep_a_little(void)
{
	burrow_sleep(300 * MS);
}

static void run_traced(void *arg)
{
	setenv("BURROW_DEBUG", "schedtrace=20", 1);
	exit(run_on(*(int *)arg, sleep_a_little));
}

/* Also where the monitor has nothing else to do. */
TEST_F(on, schedtrace_writes_lines)
{
	static struct outcome o;
	char field[64];
	int procs = variant->procs, lines = 0;
	const char *p;

	outcome_of(&o, run_traced, &procs);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(begins(&o, "SCHED "));
	snprintf(field, sizeof(field), "ms: gomaxprocs=%d idleprocs=", procs);
	for (p = o.text; (p = strstr(p, field)); p++)
		lines++;
	EXPECT_GE(lines, 3);
	EXPECT_LE(lines, 16);
	EXPECT_TRUE(says(&o, " runqueue=0 [0"));
}

TEST_HARNESS_MAIN
