// SPDX-License-Identifier: GPL-2.0
/*
 * Programs as they are: they fork, start others, change the rounding mode and
 * have signal handlers of their own.
 */
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>

#include "runtime.h"

static int fork_here(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	fprintf(stderr, "forked\n");
	_exit(pid < 0);
}

static void run_fork(void *arg)
{
	burrow_run(NULL, fork_here, arg);
}

TEST(fork_in_a_goroutine_is_refused)
{
	static struct outcome o;

	outcome_of(&o, run_fork, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(&o, "burrow: goroutine 1 (main): fork: "));
	EXPECT_TRUE(says(&o, "burrow_blocking()"));
	EXPECT_TRUE(says(&o, "fork_here+0x"));
	EXPECT_FALSE(says(&o, "forked"));
}

static int in_child(void *arg)
{
	*(int *)arg = 9;
	return 11;
}

/* The child may go on without goroutines, and start a runtime of its own. */
static void fork_and_wait(void *arg)
{
	int *status = arg;
	int n = 0;
	pid_t pid = fork();

	if (!pid) {
		if (burrow_id() || burrow_go(fork_and_wait, NULL) != -ESRCH)
			_exit(1);
		if (burrow_run(NULL, in_child, &n) != 11 || n != 9)
			_exit(2);
		_exit(33);
	}
	waitpid(pid, status, 0);
}

static int fork_blocking(void *arg)
{
	burrow_blocking(fork_and_wait, arg);
	return burrow_id() == 1 ? 0 : 1;
}

TEST(fork_in_burrow_blocking)
{
	int status = -1;

	EXPECT_EQ(0, burrow_run(NULL, fork_blocking, &status));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(33, WEXITSTATUS(status));
}

static void fork_and_return(void *arg)
{
	pid_t pid = fork();
	int status;

	(void)arg;
	if (!pid)
		return;
	waitpid(pid, &status, 0);
	exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : 1);
}

static int return_in_child(void *arg)
{
	burrow_blocking(fork_and_return, arg);
	fprintf(stderr, "came back\n");
	_exit(1);
}

static void run_return_in_child(void *arg)
{
	burrow_run(NULL, return_in_child, arg);
}

TEST(a_child_that_returns_is_stopped)
{
	static struct outcome o;

	outcome_of(&o, run_return_in_child, NULL);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_TRUE(begins(
		&o, "burrow: burrow_blocking: the child of a fork() returned"));
	EXPECT_FALSE(says(&o, "came back"));
}

static void yield_in_blocking(void *arg)
{
	(void)arg;
	burrow_yield();
}

static int block_and_yield(void *arg)
{
	burrow_blocking(yield_in_blocking, arg);
	return 0;
}

static void run_block_and_yield(void *arg)
{
	burrow_run(NULL, block_and_yield, arg);
}

TEST(parking_in_burrow_blocking_is_refused)
{
	static struct outcome o;

	outcome_of(&o, run_block_and_yield, NULL);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(
		&o,
		"burrow: goroutine 1 (main): burrow_yield: called in burrow_blocking()\n"));
	EXPECT_TRUE(says(&o, "block_and_yield+0x"));
}

struct blocked {
	uint64_t id;
	bool on_thread;
	int ran;
};

static void count(void *arg)
{
	++*(int *)arg;
}

static void look_around(void *arg)
{
	struct blocked *b = arg;
	pthread_attr_t attr;
	size_t size;
	void *low;
	char here;

	b->id = burrow_id();
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	b->on_thread = (size_t)(&here - (char *)low) < size;
	burrow_go(count, &b->ran);
}

static int block(void *arg)
{
	burrow_blocking(look_around, arg);
	wait_for_others();
	return 0;
}

TEST(burrow_blocking_runs_on_the_threads_stack)
{
	struct blocked b = { 0 };

	ASSERT_EQ(0, burrow_run(NULL, block, &b));
	EXPECT_NE(0, b.id);
	EXPECT_EQ(1, b.ran);
	EXPECT_TRUE(b.on_thread);
}

extern char **environ;

static void start_others(void *arg)
{
	static char *const argv[] = { "sh", "-c", "exit 6", NULL };
	int *bad = arg, status;
	char line[16] = "";
	FILE *f;
	pid_t pid;

	*bad += posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) != 0;
	waitpid(pid, &status, 0);
	*bad += WEXITSTATUS(status) != 6;
	*bad += WEXITSTATUS(system("exit 5")) != 5;
	f = popen("echo burrow", "r");
	*bad += !f || !fgets(line, sizeof(line), f) || strcmp(line, "burrow\n");
	*bad += !f || pclose(f) != 0;
	pid = vfork();
	if (!pid) {
		execlp("sh", "sh", "-c", "exit 4", NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	*bad += WEXITSTATUS(status) != 4;
}

static int run_start_others(void *arg)
{
	int i;

	for (i = 0; i < 3; i++)
		burrow_go(start_others, arg);
	wait_for_others();
	return 0;
}

TEST(programs_are_started_from_goroutines)
{
	int bad = 0;

	EXPECT_EQ(0, burrow_run(NULL, run_start_others, &bad));
	EXPECT_EQ(0, bad);
}

static void *fork_in_thread(void *arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(burrow_go(fork_and_wait, NULL) == -ESRCH ? 21 : 1);
	waitpid(pid, arg, 0);
	return NULL;
}

static int fork_beside(void *arg)
{
	pthread_t thread;
	int i;

	pthread_create(&thread, NULL, fork_in_thread, arg);
	for (i = 0; i < 50; i++)
		burrow_sleep(2 * MS);
	pthread_join(thread, NULL);
	return 0;
}

TEST(another_thread_forks_as_it_likes)
{
	int status = -1;

	EXPECT_EQ(0, burrow_run(NULL, fork_beside, &status));
	EXPECT_EQ(21, WEXITSTATUS(status));
}

struct rounding {
	long double mine; /* a third, rounded so */
	int mode;
	int bad;
};

/* volatile: the compiler knows nothing of rounding modes. */
static bool rounds_up(void)
{
	volatile double three = 3.0;
	volatile double third = 1.0;

	third = third / three;
	return third * 3.0 > 1.0 || third > 0.33333333333333331;
}

static volatile long double one = 1.0L, three = 3.0L;

static void round_my_way(void *arg)
{
	struct rounding *r = arg;
	int i;

	r->bad += fegetround() != FE_TONEAREST;
	fesetround(r->mode);
	r->mine = one / three;
	for (i = 0; i < 50; i++) {
		burrow_yield();
		r->bad += fegetround() != r->mode || one / three != r->mine;
		r->bad += rounds_up() != (r->mode == FE_UPWARD);
	}
}

static int run_rounding(void *arg)
{
	static const int modes[4] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD,
				      FE_TOWARDZERO };
	struct rounding *r = arg;
	int i;

	for (i = 0; i < 8; i++) {
		r[i].mode = modes[i % 4];
		burrow_go(round_my_way, &r[i]);
	}
	wait_for_others();
	return fegetround() == FE_TONEAREST ? 0 : 1;
}

TEST(a_switch_keeps_the_rounding_mode)
{
	struct rounding r[8] = { 0 };
	int i;

	EXPECT_EQ(0, burrow_run(NULL, run_rounding, r));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0, r[i].bad);
}

static volatile sig_atomic_t signals_seen;

static void on_any(int sig)
{
	(void)sig;
	signals_seen++;
}

__attribute__((noinline)) static int grow(size_t bytes)
{
	volatile char page[1000];

	page[0] = (char)bytes;
	if (bytes > 1024)
		page[0] += grow(bytes - 1024);
	return page[0];
}

static void grow_goroutine(void *arg)
{
	(void)arg;
	grow(180 * KIB);
	burrow_yield();
}

static int run_growth(void *arg)
{
	struct sigaction sa = { .sa_handler = on_any };
	int sig, i;

	/* After the runtime's own, so that these are what is called. */
	for (sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL);
	for (i = 0; i < 200; i++)
		burrow_go(grow_goroutine, arg);
	wait_for_others();
	grow(8 * MIB);
	return 0;
}

TEST(growth_raises_no_signal)
{
	EXPECT_EQ(0, burrow_run(NULL, run_growth, NULL));
	EXPECT_EQ(0, signals_seen);
	raise(SIGSEGV);
	EXPECT_EQ(1, signals_seen);
}

/* A signal handler without a stack of its own runs on the goroutine's. */
static int run_handler(void *arg)
{
	struct sigaction sa = { .sa_handler = on_any };
	int i;

	(void)arg;
	sigaction(SIGUSR1, &sa, NULL);
	signals_seen = 0;
	raise(SIGUSR1);
	burrow_sleep(MS);
	/* Any thread may get it. */
	kill(getpid(), SIGUSR1);
	for (i = 0; i < 5000 && signals_seen < 2; i++)
		burrow_sleep(MS);
	return signals_seen == 2 ? 0 : 1;
}

TEST(signal_handlers_of_the_program)
{
	EXPECT_EQ(0, burrow_run(NULL, run_handler, NULL));
}

TEST_HARNESS_MAIN
