// SPDX-License-Identifier: GPL-2.0
/*
 * When the system or a memory cgroup is short of memory, what no stack uses is
 * given back: pages in the pool, and those of stacks that were trimmed lazily.
 */
#include "cgroup.h"

#define DROP_CACHES "/proc/sys/vm/drop_caches"

FIXTURE(pressure)
{
	int fd;
	char cgroup[CGROUP_PATH];
};

FIXTURE_SETUP(pressure)
{
	if (getuid())
		die("these tests make memory cgroups, which takes root");
	self->fd = context_open();
}

FIXTURE_TEARDOWN(pressure)
{
	close(self->fd);
	if (self->cgroup[0])
		rmdir(self->cgroup);
}

/* ---- of the system ----------------------------------------------------------- */

TEST_F(pressure, the_pool_goes_when_memory_is_wanted)
{
	struct arena stack = stack_arena(self->fd, MIB(64), 1);
	unsigned int i;

	touch(slot_page(&stack, 0, 5999));
	trim_slot(&stack, 0, 0);
	EXPECT_LE(MIB(20), context_stats(self->fd).pool_bytes);
	for (i = 0; i < 20 && context_stats(self->fd).pool_bytes; i++)
		if (spew(DROP_CACHES, "2"))
			SKIP(return, "no " DROP_CACHES);
	EXPECT_EQ(0, context_stats(self->fd).pool_bytes);
	touch(slot_page(&stack, 0, 100));
}

/* Soon, that is: it is left to somebody who may wait for locks. */
TEST_F(pressure, what_was_trimmed_lazily_goes_when_memory_is_wanted)
{
	struct arena stack = stack_arena(self->fd, MIB(64), 2);
	struct burrow_context_stats stats;
	uint64_t held;
	unsigned int i;

	touch(slot_page(&stack, 0, 5999));
	touch(slot_page(&stack, 1, 99));
	memset(slot_page(&stack, 0, 9), 0x5a, 10 * PAGE);
	trim_slot_later(&stack, 0, 10 * PAGE);
	trim_slot_later(&stack, 1, 0);
	wake_slot(&stack, 1);
	held = context_stats(self->fd).user_bytes;
	for (i = 0; i < 500 && context_stats(self->fd).lazy_bytes; i++) {
		if (spew(DROP_CACHES, "2"))
			SKIP(return, "no " DROP_CACHES);
		nap_ms(10);
	}
	stats = context_stats(self->fd);
	EXPECT_EQ(0, stats.lazy_bytes);
	EXPECT_EQ(10, slot_pages(&stack, 0));
	EXPECT_EQ(100, slot_pages(&stack, 1));
	EXPECT_TRUE(is_filled(slot_page(&stack, 0, 9), 0x5a, 10 * PAGE));
	/* Not into the pool, or not for long. */
	for (i = 0; i < 500 && context_stats(self->fd).pool_bytes; i++)
		nap_ms(10);
	EXPECT_GE(held - 5000 * PAGE, context_stats(self->fd).user_bytes);
}

static atomic_bool stop;

static void *drops_caches(void *arg UNUSED)
{
	while (!stop)
		spew(DROP_CACHES, "2");
	return NULL;
}

/* The shrinker takes pages while stacks give and take them. */
static void run_under_pressure(struct __test_metadata *_metadata, int fd,
			       uint32_t flags)
{
	struct arena stack = stack_arena(fd, KIB(256), 64);
	pthread_t thread = thread_start(drops_caches, NULL);
	uint64_t end = now_ns() + 2000000000ULL, i;

	while (now_ns() < end) {
		for (i = 0; i < 64; i++) {
			wake_slot(&stack, i);
			memset(slot_page(&stack, i, 15), i, 16 * PAGE);
		}
		for (i = 0; i < 64; i++) {
			ASSERT_TRUE(is_filled(slot_page(&stack, i, 15), i,
					      16 * PAGE));
			trim_slot_with(&stack, flags, i, 0);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	context_drain(fd);
	EXPECT_EQ(0, context_stats(fd).stack_bytes);
	EXPECT_EQ(0, context_stats(fd).pool_bytes);
	EXPECT_EQ(0, context_stats(fd).lazy_bytes);
}

TEST_F(pressure, the_pool_goes_under_way)
{
	run_under_pressure(_metadata, self->fd, 0);
}

TEST_F(pressure, what_was_trimmed_lazily_goes_under_way)
{
	run_under_pressure(_metadata, self->fd, BURROW_TRIM_LAZY);
	EXPECT_LT(10, context_stats(self->fd).lazy_taken);
}

/* ---- of a memory cgroup ------------------------------------------------------ */

struct tenant {
	const char *cgroup;
	uint32_t flags; /* of the trim */
};

/*
 * Uses 40 MiB of stack, trims it, then wants 40 MiB for something else, in a
 * cgroup of 64 MiB.
 */
static int needs_its_memory_twice(void *arg)
{
	struct tenant *t = arg;
	struct arena stack;
	char *other;
	int fd;

	if (!cgroup_enter(t->cgroup))
		return 1;
	fd = context_open();
	stack = stack_arena(fd, MIB(64), 1);
	touch(slot_page(&stack, 0, MIB(40) / PAGE - 1));
	memset(slot_page(&stack, 0, 3), 0x5a, 4 * PAGE);
	if (trim_slot_with(&stack, t->flags, 0, 4 * PAGE) <= 0)
		return 2;
	if (context_stats(fd).user_bytes < MIB(40))
		return 3;
	other = mmap(NULL, MIB(40), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (other == MAP_FAILED)
		return 4;
	memset(other, 1, MIB(40));
	if (context_stats(fd).user_bytes > MIB(30))
		return 5;
	return is_filled(slot_page(&stack, 0, 3), 0x5a, 4 * PAGE) ? 0 : 6;
}

static void run_in_a_cgroup(struct __test_metadata *_metadata,
			    struct _test_data_pressure *self, uint32_t flags)
{
	struct tenant tenant = { self->cgroup, flags };

	if (!cgroup_make(self->cgroup))
		SKIP(return, "no memory cgroups here");
	ASSERT_EQ(0, cgroup_write(self->cgroup, "memory.max", "67108864"));
	EXPECT_EQ(0, in_child(needs_its_memory_twice, &tenant));
	EXPECT_EQ(0, cgroup_read(self->cgroup, "memory.events", "oom_kill "));
	EXPECT_LT(0, cgroup_read(self->cgroup, "memory.events", "max "));
}

TEST_F(pressure, the_pool_of_a_cgroup_s_context)
{
	run_in_a_cgroup(_metadata, self, 0);
}

TEST_F(pressure, what_a_cgroup_s_context_trimmed_lazily)
{
	run_in_a_cgroup(_metadata, self, BURROW_TRIM_LAZY);
}

/* Another cgroup's reclaim is none of this context's business. */
TEST_F(pressure, not_for_another_cgroup)
{
	struct arena stack = stack_arena(self->fd, MIB(64), 1);
	struct tenant tenant = { self->cgroup, 0 };
	uint64_t pooled;

	if (!cgroup_make(self->cgroup))
		SKIP(return, "no memory cgroups here");
	touch(slot_page(&stack, 0, 999));
	trim_slot(&stack, 0, 0);
	pooled = context_stats(self->fd).pool_bytes;
	EXPECT_LE(1000 * PAGE, pooled);
	ASSERT_EQ(0, cgroup_write(self->cgroup, "memory.max", "67108864"));
	EXPECT_EQ(0, in_child(needs_its_memory_twice, &tenant));
	EXPECT_EQ(pooled, context_stats(self->fd).pool_bytes);
}

/* The cgroup goes, the context stays: it is the parent's then. */
static int outlives_its_cgroup(void *arg)
{
	struct tenant *t = arg;
	struct arena stack;
	unsigned int i;
	int fd;

	if (!cgroup_enter(t->cgroup))
		return 1;
	fd = context_open();
	stack = stack_arena(fd, MIB(64), 1);
	touch(slot_page(&stack, 0, 999));
	trim_slot(&stack, 0, 0);
	if (spew(CGROUPS "cgroup.procs", "0") || rmdir(t->cgroup))
		return 2;
	for (i = 0; i < 20 && context_stats(fd).pool_bytes; i++)
		spew(DROP_CACHES, "2");
	return context_stats(fd).pool_bytes ? 3 : 0;
}

TEST_F(pressure, a_context_that_outlives_its_cgroup)
{
	struct tenant tenant = { self->cgroup, 0 };

	if (!cgroup_make(self->cgroup))
		SKIP(return, "no memory cgroups here");
	EXPECT_EQ(0, in_child(outlives_its_cgroup, &tenant));
}

ARENA_TEST_MAIN
