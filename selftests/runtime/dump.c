// SPDX-License-Identifier: GPL-2.0
/*
 * Dumps: what they say of each goroutine, wherever it is and whoever asks, and
 * reports that several threads come to at once.
 */
#include <fcntl.h>
#include <pthread.h>

#include "sync.h"

static struct burrow_chan *never;
static int receivers;

static void sleeper(void *arg)
{
	(void)arg;
	burrow_sleep(60000 * MS);
}

static void receiver(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&receivers, 1, __ATOMIC_RELAXED);
	burrow_chan_recv(never, NULL);
}

static int dump_all(void *arg)
{
	struct burrow_go_options o = {
		.size = sizeof(o),
		.name = "a name that is longer than what is kept of it",
	};
	int line;

	never = burrow_chan_new(0, 0);
	line = __LINE__ + 1;
	burrow_go_opts(&o, sleeper, arg);
	burrow_go(receiver, arg);
	settle();
	fprintf(stderr, "spawned at %d\n", line);
	return burrow_dump(STDERR_FILENO);
}

static void run_dump(void *arg)
{
	exit(burrow_run(NULL, dump_all, arg));
}

TEST(every_goroutine_is_shown)
{
	static struct outcome o;
	char want[32], *found;
	int line;

	EXPECT_EQ(-ESRCH, burrow_dump(STDERR_FILENO));
	outcome_of(&o, run_dump, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(
		says(&o, "goroutine 1 (main) [running]:\n  #0 dump_all+0x"));
	EXPECT_TRUE(says(
		&o, "goroutine 2 (a name that is longer than what) [sleep, "));
	EXPECT_TRUE(says(&o, " ms]:\n"));
	EXPECT_TRUE(says(&o, " sleeper+0x"));
	EXPECT_TRUE(says(&o, "goroutine 3 [chan receive, "))
	TH_LOG("%s", o.text);
	EXPECT_TRUE(says(&o, " receiver+0x"));
	/* File and line are what the compiler said where it was. */
	found = strstr(o.text, "spawned at ");
	ASSERT_TRUE(found && sscanf(found, "spawned at %d", &line) == 1);
	sprintf(want, "dump.c:%d)\n", line);
	found = strstr(o.text, "  created by dump_all+0x");
	ASSERT_TRUE(found);
	EXPECT_EQ(strchr(found, '\n') + 1, strstr(found, want) + strlen(want));
}

static int not_started(void *arg)
{
	burrow_go(sleeper, arg);
	return burrow_dump(STDERR_FILENO);
}

static void run_not_started(void *arg)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };

	exit(burrow_run(&o, not_started, arg));
}

TEST(one_that_has_not_run_shows_what_it_will)
{
	static struct outcome o;

	outcome_of(&o, run_not_started, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(
		&o, "goroutine 2 [runnable, not started]:\n  #0 sleeper+0x0 "));
}

static int many(void *arg)
{
	int i;

	never = burrow_chan_new(0, 0);
	for (i = 0; i < 11; i++)
		burrow_go(sleeper, arg);
	for (i = 0; i < 20000; i++)
		burrow_go(receiver, arg);
	while (__atomic_load_n(&receivers, __ATOMIC_RELAXED) < 20000)
		burrow_sleep(MS);
	burrow_sleep(200 * MS);
	return burrow_dump(STDERR_FILENO);
}

static void run_many(void *arg)
{
	exit(burrow_run(NULL, many, arg));
}

TEST(equal_stacks_are_counted)
{
	static struct outcome o;

	outcome_of(&o, run_many, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "\n20000 goroutines [chan receive, "));
	EXPECT_TRUE(says(&o, " and 19992 more\n"));
	/* Those with the smallest numbers are named. */
	EXPECT_TRUE(says(&o, "\n11 goroutines [sleep, "));
	EXPECT_TRUE(says(&o, "]: 2, 3, 4, 5, 6, 7, 8, 9 and 3 more\n"));
	EXPECT_LT(o.len, 8192);
}

static int stop_hogs;

__attribute__((noinline)) static void spin(void)
{
	while (!__atomic_load_n(&stop_hogs, __ATOMIC_RELAXED))
		;
}

static void hog(void *arg)
{
	(void)arg;
	spin();
	burrow_yield();
}

__attribute__((noinline)) static void wait_for_input(void *arg)
{
	char c;

	if (read(*(int *)arg, &c, 1) < 0)
		stop_hogs = 2;
}

static void blocker(void *arg)
{
	burrow_blocking(wait_for_input, arg);
}

static int dump_hogs(void *arg)
{
	int fds[2], ret;

	(void)arg;
	if (pipe(fds))
		return 1;
	burrow_go(hog, NULL);
	burrow_go(blocker, fds);
	burrow_sleep(50 * MS);
	ret = burrow_dump(STDERR_FILENO);
	stop_hogs = 1;
	close(fds[1]);
	wait_for_others();
	return ret ? ret : stop_hogs - 1;
}

static void run_hogs(void *arg)
{
	exit(burrow_run(arg, dump_hogs, arg));
}

static void run_hogs_on_1(void *arg)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };

	(void)arg;
	run_hogs(&o);
}

TEST(threads_in_c_code_say_where_they_are)
{
	static struct outcome o;
	int i;

	for (i = 0; i < 2; i++) {
		outcome_of(&o, i ? run_hogs_on_1 : run_hogs, NULL);
		EXPECT_TRUE(exited_with(&o, 0));
		EXPECT_TRUE(says(&o, "goroutine 2 [running]:\n  #0 spin+0x"));
		EXPECT_TRUE(says(&o, " hog+0x"));
		EXPECT_TRUE(says(&o, "goroutine 3 [in burrow_blocking]:\n"));
		EXPECT_TRUE(says(&o, " wait_for_input+0x"));
		EXPECT_TRUE(says(&o, " blocker+0x"));
	}
}

static int urgent;

static void on_urgent(int sig)
{
	(void)sig;
	urgent++;
}

static int dump_hogs_and_count(void *arg)
{
	int ret = dump_hogs(arg);

	/* Not asked for by a dump: it is the program's. */
	kill(getpid(), SIGURG);
	burrow_sleep(20 * MS);
	return ret || urgent != 1;
}

static void run_urgent(void *arg)
{
	signal(SIGURG, on_urgent);
	exit(burrow_run(NULL, dump_hogs_and_count, arg));
}

TEST(the_stop_signal_of_others_is_passed_on)
{
	static struct outcome o;

	outcome_of(&o, run_urgent, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "goroutine 2 [running]:\n  #0 spin+0x"));
}

static int look_at_handlers(void *arg)
{
	struct sigaction urg, usr;

	sigaction(SIGURG, NULL, &urg);
	sigaction(SIGUSR2, NULL, &usr);
	if (urg.sa_handler != SIG_DFL || usr.sa_handler == SIG_DFL)
		return 3;
	return dump_hogs(arg);
}

static void run_other_signal(void *arg)
{
	struct sigaction now;

	setenv("BURROW_DEBUG", "stopsignal=12", 1);
	if (burrow_run(NULL, look_at_handlers, arg))
		exit(1);
	sigaction(SIGUSR2, NULL, &now);
	exit(now.sa_handler == SIG_DFL ? 0 : 2);
}

TEST(the_stop_signal_can_be_another)
{
	static struct outcome o;

	outcome_of(&o, run_other_signal, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "goroutine 2 [running]:\n  #0 spin+0x"));
}

static void deaf_hog(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	hog(arg);
}

static int dump_deaf(void *arg)
{
	int64_t began;
	int ret;

	burrow_go(deaf_hog, arg);
	burrow_go(hog, arg);
	burrow_sleep(50 * MS);
	began = burrow_now();
	ret = burrow_dump(STDERR_FILENO);
	if (burrow_now() - began > 10000 * MS)
		ret = 9;
	stop_hogs = 1;
	return ret;
}

static void run_deaf(void *arg)
{
	exit(burrow_run(NULL, dump_deaf, arg));
}

TEST(a_thread_that_blocks_the_signal_is_named)
{
	static struct outcome o;

	outcome_of(&o, run_deaf, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "goroutine 2 [running]:\n  thread "));
	EXPECT_TRUE(says(&o, " does not answer"));
	EXPECT_TRUE(says(&o, "goroutine 3 [running]:\n  #0 spin+0x"));
}

static void dump_in_blocking(void *arg)
{
	*(int *)arg = burrow_dump(STDERR_FILENO);
}

static int blocking_dump(void *arg)
{
	int ret = 1;

	(void)arg;
	burrow_blocking(dump_in_blocking, &ret);
	return ret;
}

static void run_blocking_dump(void *arg)
{
	exit(burrow_run(NULL, blocking_dump, arg));
}

TEST(dump_in_burrow_blocking)
{
	static struct outcome o;

	outcome_of(&o, run_blocking_dump, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "  #0 dump_in_blocking+0x"));
	EXPECT_TRUE(says(&o, " blocking_dump+0x"));
}

static void *dump_foreign(void *arg)
{
	usleep(100000);
	*(int *)arg = burrow_dump(STDERR_FILENO);
	__atomic_store_n(&stop_hogs, 1, __ATOMIC_RELAXED);
	return NULL;
}

static int dump_while(void *arg)
{
	pthread_t thread;
	int ret = 1;

	burrow_go(sleeper, NULL);
	pthread_create(&thread, NULL, dump_foreign, &ret);
	if (arg)
		spin();
	else
		burrow_sleep(1000 * MS);
	pthread_join(thread, NULL);
	return ret;
}

static void run_foreign(void *arg)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };

	exit(burrow_run(&o, dump_while, arg));
}

TEST(dump_from_another_thread)
{
	static struct outcome o;

	outcome_of(&o, run_foreign, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "goroutine 1 (main) [sleep, "));
	EXPECT_TRUE(says(&o, " dump_while+0x"));
	EXPECT_TRUE(says(&o, " sleeper+0x"));

	outcome_of(&o, run_foreign, "busy");
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(says(&o, "goroutine 1 (main) [running]:\n  #0 spin+0x"));
	EXPECT_TRUE(says(&o, " dump_while+0x"));
}

/* Different stacks by the hundred: more text than a pipe takes. */
__attribute__((noinline)) static int wait_deep(int depth)
{
	volatile int more = depth;

	if (!depth)
		return burrow_sleep(60000 * MS);
	return wait_deep(depth - 1) + more;
}

static void deep(void *arg)
{
	wait_deep((long)arg);
}

struct reader {
	int fd;
	size_t bytes;
};

static void reader(void *arg)
{
	struct reader *r = arg;
	char text[4096];
	ssize_t n;

	while ((n = burrow_read(r->fd, text, sizeof(text))) > 0)
		__atomic_add_fetch(&r->bytes, n, __ATOMIC_RELAXED);
}

static int dump_to_reader(void *arg)
{
	struct reader r = { 0 };
	int fds[2], ret;
	long i;

	(void)arg;
	if (pipe(fds))
		return 1;
	fcntl(fds[1], F_SETPIPE_SZ, 4096);
	r.fd = fds[0];
	burrow_go(reader, &r);
	for (i = 0; i < 200; i++)
		burrow_go(deep, (void *)i);
	burrow_sleep(50 * MS);
	ret = burrow_dump(fds[1]);
	close(fds[1]);
	burrow_sleep(50 * MS);
	return ret ? ret : __atomic_load_n(&r.bytes, __ATOMIC_RELAXED) < 65536;
}

TEST(a_goroutine_reads_the_dump)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 1 };

	EXPECT_EQ(0, burrow_run(&o, dump_to_reader, NULL));
	EXPECT_EQ(0, burrow_run(NULL, dump_to_reader, NULL));
}

/* When main has come to where it spins. */
static void *quit_soon(void *arg)
{
	usleep(100000);
	kill(getpid(), SIGQUIT);
	return arg;
}

static int quit(void *busy)
{
	pthread_t thread;

	burrow_go(sleeper, busy);
	burrow_sleep(20 * MS);
	if (busy) {
		pthread_create(&thread, NULL, quit_soon, NULL);
		spin();
	}
	kill(getpid(), SIGQUIT);
	burrow_sleep(60000 * MS);
	return 0;
}

static void run_quit(void *arg)
{
	exit(burrow_run(NULL, quit, arg));
}

TEST(sigquit_dumps_and_exits_2)
{
	static struct outcome o;

	outcome_of(&o, run_quit, NULL);
	EXPECT_TRUE(exited_with(&o, 2));
	EXPECT_TRUE(begins(&o, "burrow: SIGQUIT\ngoroutine 1 (main) ["));
	EXPECT_TRUE(says(&o, " quit+0x"));
	EXPECT_TRUE(says(&o, "goroutine 2 [sleep, "));

	outcome_of(&o, run_quit, "busy");
	EXPECT_TRUE(exited_with(&o, 2));
	EXPECT_TRUE(says(&o, "goroutine 1 (main) [running]:\n  #0 spin+0x"));
}

static int deadlock(void *arg)
{
	volatile int n = 2; /* one call, not a copy of it for each */

	never = burrow_chan_new(0, 0);
	while (n--)
		burrow_go(receiver, arg);
	return burrow_chan_send(NULL, NULL);
}

static void run_deadlock(void *arg)
{
	exit(burrow_run(NULL, deadlock, arg));
}

TEST(deadlock_is_told)
{
	static struct outcome o;

	outcome_of(&o, run_deadlock, NULL);
	EXPECT_TRUE(exited_with(&o, 2));
	EXPECT_TRUE(begins(&o, "burrow: all goroutines are asleep - deadlock!\n"
			       "goroutine 1 (main) [chan send (nil chan), "));
	EXPECT_TRUE(says(&o, " deadlock+0x"));
	EXPECT_TRUE(says(&o, "2 goroutines [chan receive, "));
	EXPECT_TRUE(says(&o, " receiver+0x"));
}

__attribute__((noinline)) static char overflow(unsigned long n)
{
	volatile char bytes[100];

	bytes[n % sizeof(bytes)] = n;
	if (n < ~0UL)
		bytes[0] += overflow(n + 1);
	return bytes[0];
}

static void overflow_all_at_once(void *arg)
{
	int *left = arg;

	__atomic_sub_fetch(left, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(left, __ATOMIC_RELAXED) > 0)
		;
	overflow(0);
}

static int crash_together(void *arg)
{
	static int left = 4;
	int i;

	(void)arg;
	for (i = 0; i < 4; i++)
		burrow_go(overflow_all_at_once, &left);
	burrow_sleep(60000 * MS);
	return 0;
}

static void run_crash_together(void *arg)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 4 };

	(void)arg;
	burrow_run(&o, crash_together, NULL);
}

TEST(of_many_crashes_one_is_told)
{
	static struct outcome o;
	char *first;
	int i;

	for (i = 0; i < 10; i++) {
		outcome_of(&o, run_crash_together, NULL);
		EXPECT_TRUE(killed_by(&o, SIGSEGV));
		first = strstr(o.text, ": stack overflow: limit ");
		ASSERT_TRUE(first);
		EXPECT_TRUE(!strstr(first + 1, ": stack overflow: "));
		EXPECT_TRUE(says(&o, "BURROW_STACKMAX="));
		EXPECT_TRUE(says(&o, "dump.c:"));
	}
}

/* Dumps from everywhere while goroutines come, go, wait and block. */
static int churning = 1;

static void churn(void *arg)
{
	struct burrow_chan *ch = arg;

	while (__atomic_load_n(&churning, __ATOMIC_RELAXED)) {
		burrow_chan_send(ch, NULL);
		burrow_chan_recv(ch, NULL);
		burrow_sleep(MS / 10);
	}
}

static void short_sleep(void *arg)
{
	(void)arg;
	usleep(100);
}

static void churn_blocking(void *arg)
{
	while (__atomic_load_n(&churning, __ATOMIC_RELAXED)) {
		burrow_blocking(short_sleep, arg);
		burrow_go(short_sleep, arg);
	}
}

static int dumps;

static void dump_again(int fd)
{
	int i;

	for (i = 0; i < 100; i++)
		__atomic_add_fetch(&dumps, !burrow_dump(fd), __ATOMIC_RELAXED);
}

static void dumper(void *arg)
{
	dump_again(*(int *)arg);
}

static void *dumper_thread(void *arg)
{
	dump_again(*(int *)arg);
	return NULL;
}

static int churn_and_dump(void *arg)
{
	struct burrow_chan *ch = burrow_chan_new(0, 1);
	pthread_t thread;
	int i;

	for (i = 0; i < 10; i++)
		burrow_go(churn, ch);
	burrow_go(churn_blocking, NULL);
	burrow_go(dumper, arg);
	burrow_go(dumper, arg);
	pthread_create(&thread, NULL, dumper_thread, arg);
	while (__atomic_load_n(&dumps, __ATOMIC_RELAXED) < 300)
		burrow_sleep(MS);
	pthread_join(thread, NULL);
	churning = 0;
	return 0;
}

TEST(dumps_while_all_is_moving)
{
	struct burrow_options o = { .size = sizeof(o), .procs = 4 };
	int fd = open("/dev/null", O_WRONLY);

	EXPECT_EQ(0, burrow_run(&o, churn_and_dump, &fd));
	EXPECT_EQ(300, dumps);
	close(fd);
}

TEST_HARNESS_MAIN
