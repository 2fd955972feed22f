// SPDX-License-Identifier: GPL-2.0
/* No memory for a stack or the heap to grow: a limit of the module is set low meanwhile. */
#include <fcntl.h>

#include "runtime.h"

#define LIMIT "/sys/module/burrow/parameters/context_limit"

static bool write_limit(const char *text)
{
	int fd = open(LIMIT, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

static bool read_limit(char *text, size_t len)
{
	int fd = open(LIMIT, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, len - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n > 0;
}

/* As outcome_of(), with 16 MiB for a context; why not, or NULL. */
static const char *outcome_limited(struct outcome *o, void (*fn)(void *),
				   void *arg)
{
	char before[32];

	if (!on_kmod())
		return "memory of mmap is the system's";
	if (!read_limit(before, sizeof(before)) || !write_limit("16777216"))
		return "the module's limits cannot be set here";
	outcome_of(o, fn, arg);
	write_limit(before);
	return NULL;
}

__attribute__((noinline)) static char dig(size_t bytes)
{
	volatile char page[2000];

	page[0] = (char)bytes;
	if (bytes > 2048)
		page[0] += dig(bytes - 2048);
	return page[0];
}

static void dig_and_stay(void *arg)
{
	(void)arg;
	/* First they all start, which takes memory too. */
	burrow_sleep(2000 * MS);
	dig(200 * KIB);
	burrow_sleep(3600 * 1000 * MS);
}

static int dig_many(void *arg)
{
	struct burrow_go_options o = { .size = sizeof(o), .name = "greedy" };
	int i;

	for (i = 0; i < 1000; i++)
		burrow_go_opts(&o, dig_and_stay, arg);
	burrow_sleep(60000 * MS);
	return 0;
}

static void run_dig_many(void *arg)
{
	exit(burrow_run(NULL, dig_many, arg));
}

TEST(a_stack_that_cannot_grow_dies_of_sigbus)
{
	static struct outcome o;
	const char *why = outcome_limited(&o, run_dig_many, NULL);

	if (why)
		SKIP(return, "%s", why);
	EXPECT_TRUE(killed_by(&o, SIGBUS));
	EXPECT_TRUE(begins(&o, "burrow: goroutine "));
	EXPECT_TRUE(says(
		&o, " (greedy): out of stack memory: a limit of the module"));
	EXPECT_TRUE(says(&o, "/sys/module/burrow/parameters"));
	EXPECT_TRUE(says(&o, "dig+0x") || says(&o, "entry+0x"));
}

/* A system call that would have to grow a stack past the limit says EFAULT. */
static void read_deep(void *arg)
{
	char *volatile low = (char *)__builtin_frame_address(0) - 200 * KIB;
	int fd = open("/dev/zero", O_RDONLY);
	int *refused = arg;

	/* First they all start, which takes memory too. */
	burrow_sleep(200 * MS);
	errno = 0;
	if (read(fd, low, 4096) == -1 && errno == EFAULT)
		++*refused;
	close(fd);
	burrow_sleep(3600 * 1000 * MS);
}

static int read_many(void *arg)
{
	int i;

	for (i = 0; i < 100; i++)
		burrow_go(read_deep, arg);
	for (i = 0; i < 50 && !*(int *)arg; i++)
		burrow_sleep(100 * MS);
	return *(int *)arg > 0 ? 0 : 1;
}

/* Who hibernates takes a page to come back, and dies like any other without. */
static void run_read_many(void *arg)
{
	setenv("BURROW_HIBERNATE", "off", 1);
	exit(burrow_run(NULL, read_many, arg));
}

TEST(a_system_call_gets_efault)
{
	static struct outcome o;
	int refused = 0;
	const char *why = outcome_limited(&o, run_read_many, &refused);

	if (why)
		SKIP(return, "%s", why);
	EXPECT_TRUE(exited_with(&o, 0));
	EXPECT_STREQ("", o.text);
}

/* The heap keeps to what the module allows, and says so in time. */
static void *keep;

static int hoard(void *arg)
{
	void **block;

	(void)arg;
	for (;;) {
		block = burrow_alloc(64 * KIB);
		memset(block, 0, 64 * KIB);
		*block = keep;
		keep = block;
	}
	return 0;
}

static void run_hoard(void *arg)
{
	exit(burrow_run(NULL, hoard, arg));
}

TEST(a_heap_that_cannot_grow_says_so)
{
	static struct outcome o;
	const char *why = outcome_limited(&o, run_hoard, NULL);

	if (why)
		SKIP(return, "%s", why);
	EXPECT_TRUE(killed_by(&o, SIGABRT));
	EXPECT_TRUE(begins(&o, "burrow: out of memory: burrow_alloc: no "));
	EXPECT_TRUE(says(&o, ", and may have 14745 KiB\n"));
}

/* Less than the heap was promised: the fault itself is refused. */
static int hoard_meanwhile(void *arg)
{
	burrow_alloc(KIB);
	if (!write_limit("16777216"))
		return 1;
	return hoard(arg);
}

static void run_hoard_meanwhile(void *percent)
{
	setenv("BURROW_GC", percent, 1);
	exit(burrow_run(NULL, hoard_meanwhile, NULL));
}

/* Why not, or NULL. */
static const char *outcome_refused(struct outcome *o, char *percent)
{
	char before[32];

	if (!on_kmod())
		return "memory of mmap is the system's";
	if (!read_limit(before, sizeof(before)) || !write_limit(before))
		return "the module's limits cannot be set here";
	outcome_of(o, run_hoard_meanwhile, percent);
	write_limit(before);
	return NULL;
}

TEST(a_heap_page_that_is_refused_is_sigbus)
{
	static struct outcome o;
	const char *why = outcome_refused(&o, "off");

	if (why)
		SKIP(return, "%s", why);
	EXPECT_TRUE(killed_by(&o, SIGBUS));
	EXPECT_TRUE(begins(
		&o,
		"burrow: goroutine 1 (main): out of heap memory: a limit of the module"));
	EXPECT_TRUE(says(&o, "hoard+0x"));
}

/* Whoever comes first: the collector's thread may, and must have its say, too. */
TEST(the_collector_may_be_refused_one_too)
{
	static struct outcome o;
	const char *why;
	int i;

	for (i = 0; i < 5; i++) {
		why = outcome_refused(&o, "20");
		if (why)
			SKIP(return, "%s", why);
		EXPECT_TRUE(killed_by(&o, SIGBUS));
		EXPECT_TRUE(says(&o, "out of heap memory: a limit of the"));
		EXPECT_TRUE(says(&o, "\n  #0 "));
	}
}

TEST_HARNESS_MAIN
