// SPDX-License-Identifier: GPL-2.0
/* How a stack that is full ends, and what is not taken for that. */
#include <fcntl.h>
#include <time.h>

#include "runtime.h"

char frame_plain(unsigned long depth);
char frame_clash(unsigned long depth);

__attribute__((noinline)) static char recurse(unsigned long n)
{
	volatile char bytes[100];

	bytes[n % sizeof(bytes)] = n;
	if (n < ~0UL)
		bytes[0] += recurse(n + 1);
	return bytes[0];
}

static void overflow(void *arg)
{
	recurse((unsigned long)arg);
}

static int start_overflow(void *arg)
{
	burrow_go_opts(arg, overflow, NULL);
	burrow_sleep(60000 * MS);
	return 0;
}

static void run_overflow(void *arg)
{
	burrow_run(NULL, start_overflow, arg);
}

static int overflow_in_main(void *arg)
{
	overflow(arg);
	return 0;
}

static void run_overflow_in_main(void *arg)
{
	burrow_run(NULL, overflow_in_main, arg);
}

TEST(overflow_is_told_and_dies_of_sigsegv)
{
	static struct outcome o;

	outcome_of(&o, run_overflow, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(begins(
		&o,
		"burrow: goroutine 2: stack overflow: limit 229376 bytes\n"));
	EXPECT_TRUE(says(&o, "  #0 recurse+0x"));
	EXPECT_TRUE(says(&o, " overflow+0x"));
	EXPECT_TRUE(says(&o, "BURROW_STACKMAX=448KiB"));
	EXPECT_TRUE(says(&o, "burrow_go_options.stack_max"));
}

TEST(overflow_names_the_goroutine)
{
	struct burrow_go_options opts = {
		.size = sizeof(opts),
		.name = "digger",
		.stack_max = 900 * KIB,
	};
	static struct outcome o;

	outcome_of(&o, run_overflow, &opts);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(begins(
		&o,
		"burrow: goroutine 2 (digger): stack overflow: limit 1835008 bytes\n"));
}

TEST(overflow_in_main_has_at_least_8_mib)
{
	static struct outcome o;

	outcome_of(&o, run_overflow_in_main, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(begins(
		&o,
		"burrow: goroutine 1 (main): stack overflow: limit 14680064 bytes\n"));
}

TEST(the_environment_sets_the_limit)
{
	static struct outcome o;

	setenv("BURROW_STACKMAX", "40KiB", 1);
	outcome_of(&o, run_overflow, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(says(&o, "stack overflow: limit 98304 bytes\n"));
}

/*
 * Frames of 20 KiB whose lowest byte alone is written: where the stack ends in
 * the middle of one the write lands in the guard, for that is larger.
 */
static char (*frame)(unsigned long depth);

static void frames_for_ever(void *arg)
{
	(void)arg;
	frame(1000000);
}

static int start_frames(void *arg)
{
	burrow_go(frames_for_ever, arg);
	burrow_sleep(60000 * MS);
	return 0;
}

static void run_frames(void *arg)
{
	burrow_run(NULL, start_frames, arg);
}

TEST(a_large_frame_hits_the_guard)
{
	static struct outcome o;

	frame = frame_plain;
	outcome_of(&o, run_frames, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(begins(&o, "burrow: goroutine 2: stack overflow: limit "));
	EXPECT_TRUE(says(&o, "  #0 frame_plain+0x"));

	frame = frame_clash;
	outcome_of(&o, run_frames, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(begins(&o, "burrow: goroutine 2: stack overflow: limit "));
	EXPECT_TRUE(says(&o, "  #0 frame_clash+0x"));
}

/* The guard of the stack we are on: below it by its usable size. */
static char *guard_of_this_stack(void)
{
	char here;

	return (char *)(((uintptr_t)&here & -(256 * KIB)) + 8 * KIB);
}

static void calls_with_a_guard(void *arg)
{
	char *guard = guard_of_this_stack();
	int *bad = arg;
	int fd = open("/proc/self/exe", O_RDONLY);

	*bad = 0;
	errno = 0;
	*bad += read(fd, guard, 100) != -1 || errno != EFAULT;
	errno = 0;
	*bad += write(fd, guard, 100) != -1;
	*bad += clock_gettime(CLOCK_PROCESS_CPUTIME_ID, (void *)guard) != -1 ||
		errno != EFAULT;
	/* Below a stack that is not grown yet a call can write all the same. */
	*bad += read(fd, guard + 64 * KIB, 4096) != 4096;
	*bad += memcmp(guard + 64 * KIB, "\177ELF", 4) != 0;
	close(fd);
}

static int run_calls(void *arg)
{
	burrow_go(calls_with_a_guard, arg);
	wait_for_others();
	return 0;
}

TEST(system_calls_get_efault_from_a_guard)
{
	int bad = -1;

	EXPECT_EQ(0, burrow_run(NULL, run_calls, &bad));
	EXPECT_EQ(0, bad);
}

static void wild(void *arg)
{
	*(volatile int *)arg = 1;
}

static int run_wild_in(void *arg)
{
	burrow_go(wild, arg);
	burrow_sleep(60000 * MS);
	return 0;
}

static void run_wild(void *arg)
{
	burrow_run(NULL, run_wild_in, arg);
}

TEST(other_faults_are_not_ours)
{
	static struct outcome o;

	outcome_of(&o, run_wild, (void *)16);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_STREQ("", o.text);
}

static void old_handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGSEGV && info->si_addr == (void *)16)
		_exit(77);
	_exit(78);
}

static void run_wild_with_handler(void *arg)
{
	struct sigaction sa = { .sa_sigaction = old_handler };

	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, NULL);
	run_wild(arg);
}

TEST(other_faults_go_to_the_handler_that_was_there)
{
	static struct outcome o;

	outcome_of(&o, run_wild_with_handler, (void *)16);
	EXPECT_TRUE(exited_with(&o, 77));
}

static void run_overflow_with_handler(void *arg)
{
	struct sigaction sa = { .sa_sigaction = old_handler };

	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, NULL);
	run_overflow(arg);
}

TEST(an_overflow_does_not_go_there)
{
	static struct outcome o;

	outcome_of(&o, run_overflow_with_handler, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_TRUE(says(&o, "stack overflow"));
}

static void run_sent(void *arg)
{
	(void)arg;
	raise(SIGSEGV);
}

static int run_sent_in(void *arg)
{
	run_sent(arg);
	return 0;
}

static void run_run_sent(void *arg)
{
	burrow_run(NULL, run_sent_in, arg);
}

TEST(a_sigsegv_that_was_sent_kills_too)
{
	static struct outcome o;

	outcome_of(&o, run_run_sent, NULL);
	EXPECT_TRUE(killed_by(&o, SIGSEGV));
	EXPECT_STREQ("", o.text);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

TEST(handlers_are_put_back)
{
	struct sigaction sa = { .sa_sigaction = old_handler }, now;
	stack_t before, after;

	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, NULL);
	sigaltstack(NULL, &before);
	ASSERT_EQ(0, burrow_run(NULL, nothing, NULL));
	sigaction(SIGSEGV, NULL, &now);
	EXPECT_TRUE(now.sa_sigaction == old_handler);
	sigaction(SIGBUS, NULL, &now);
	EXPECT_TRUE(now.sa_handler == SIG_DFL);
	sigaltstack(NULL, &after);
	EXPECT_EQ(before.ss_flags, after.ss_flags);
	EXPECT_EQ(before.ss_sp, after.ss_sp);
}

TEST_HARNESS_MAIN
