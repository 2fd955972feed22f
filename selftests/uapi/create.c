// SPDX-License-Identifier: GPL-2.0
/*
 * Creating and destroying arenas: what descriptions are refused, what is
 * filled in, numbers and windows.
 */
#include "../arena/arena.h"

FIXTURE(create)
{
	int fd;
};

FIXTURE_SETUP(create)
{
	self->fd = context_open();
}

FIXTURE_TEARDOWN(create)
{
	close(self->fd);
}

static int try(int fd, struct burrow_arena_create create)
{
	struct burrow_arena_destroy destroy = { .size = sizeof(destroy) };
	int err;

	create.size = sizeof(create);
	err = call(fd, BURROW_IOC_ARENA_CREATE, &create);
	if (err)
		return err;
	destroy.arena = create.arena;
	if (call(fd, BURROW_IOC_ARENA_DESTROY, &destroy))
		die("BURROW_IOC_ARENA_DESTROY");
	return 0;
}

#define STACK(...)                                                 \
	((struct burrow_arena_create){ .kind = BURROW_ARENA_STACK, \
				       __VA_ARGS__ })
#define HEAP(...) \
	((struct burrow_arena_create){ .kind = BURROW_ARENA_HEAP, __VA_ARGS__ })

TEST_F(create, refused)
{
	const struct burrow_arena_create wrong[] = {
		{ .kind = 0, .stride = KIB(64), .slots = 1 },
		{ .kind = 3, .stride = KIB(64), .slots = 1 },
		{ .kind = ~0U, .bytes = MIB(2) },
		STACK(.stride = 0, .slots = 1),
		STACK(.stride = KIB(8), .slots = 1),
		STACK(.stride = KIB(24), .slots = 1),
		STACK(.stride = KIB(16) + 1, .slots = 1),
		STACK(.stride = GIB(2), .slots = 1),
		STACK(.stride = 1ULL << 63, .slots = 1),
		STACK(.stride = KIB(64), .slots = 0),
		STACK(.stride = KIB(64), .slots = (1ULL << 31) + 1),
		STACK(.stride = KIB(16), .slots = BURROW_SLOTS_MAX + 1),
		STACK(.stride = KIB(64), .slots = 1ULL << 48),
		STACK(.stride = KIB(64), .slots = ~0ULL),
		STACK(.stride = GIB(1), .slots = (1ULL << 17) + 1),
		STACK(.stride = KIB(64), .slots = 1, .guard = 1),
		STACK(.stride = KIB(64), .slots = 1, .guard = PAGE - 1),
		STACK(.stride = KIB(64), .slots = 1, .guard = PAGE + 1),
		STACK(.stride = KIB(64), .slots = 1, .guard = KIB(64)),
		STACK(.stride = KIB(64), .slots = 1, .guard = KIB(128)),
		STACK(.stride = KIB(64), .slots = 1, .guard = -PAGE),
		STACK(.stride = KIB(64), .slots = 1, .batch = 3),
		STACK(.stride = KIB(64), .slots = 1, .batch = 8192),
		STACK(.stride = KIB(64), .slots = 1, .batch = 1U << 31),
		STACK(.stride = KIB(64), .slots = 1, .batch = ~0U),
		STACK(.stride = KIB(64), .slots = 1, .bytes = MIB(2)),
		HEAP(.bytes = 0),
		HEAP(.bytes = PAGE),
		HEAP(.bytes = MIB(1)),
		HEAP(.bytes = MIB(3)),
		HEAP(.bytes = MIB(2) + 1),
		HEAP(.bytes = BURROW_ARENA_BYTES_MAX + MIB(2)),
		HEAP(.bytes = -MIB(2)),
		HEAP(.bytes = MIB(2), .stride = KIB(64)),
		HEAP(.bytes = MIB(2), .slots = 1),
		HEAP(.bytes = MIB(2), .guard = PAGE),
		HEAP(.bytes = MIB(2), .batch = 12),
		HEAP(.bytes = MIB(2), .batch = 8192),
	};
	size_t i;

	for (i = 0; i < COUNT(wrong); i++)
		EXPECT_EQ(-EINVAL, try(self->fd, wrong[i]))
	TH_LOG("description %zu", i);
}

TEST_F(create, taken)
{
	const struct burrow_arena_create right[] = {
		STACK(.stride = KIB(16), .slots = 1),
		STACK(.stride = GIB(1), .slots = 1),
		STACK(.stride = KIB(256), .slots = 4000000),
		STACK(.stride = GIB(1), .slots = 1ULL << 17),
		STACK(.stride = KIB(64), .slots = 1, .guard = PAGE),
		STACK(.stride = KIB(64), .slots = 1, .guard = KIB(60)),
		STACK(.stride = KIB(64), .slots = 1, .batch = 1),
		STACK(.stride = KIB(64), .slots = 1, .batch = 4096),
		STACK(.stride = KIB(64), .slots = 3),
		HEAP(.bytes = MIB(2)),
		HEAP(.bytes = BURROW_ARENA_BYTES_MAX),
		HEAP(.bytes = MIB(2), .batch = 1),
		HEAP(.bytes = MIB(2), .batch = 4096),
		HEAP(.bytes = MIB(2), .flags = BURROW_ARENA_DUMP),
	};
	size_t i;

	for (i = 0; i < COUNT(right); i++)
		EXPECT_EQ(0, try(self->fd, right[i]))
	TH_LOG("description %zu", i);
}

TEST_F(create, default_guards)
{
	struct burrow_arena_create create;
	uint64_t stride, guard;

	for (stride = KIB(16); stride <= GIB(1); stride *= 2) {
		guard = stride / 8 > KIB(32) ? stride / 8 : KIB(32);
		if (guard > stride / 2)
			guard = stride / 2;
		create = STACK(.size = sizeof(create), .stride = stride,
			       .slots = 1);
		ASSERT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
		EXPECT_EQ(guard, create.guard)
		TH_LOG("stride %llu", (unsigned long long)stride);
	}
}

TEST_F(create, lengths_are_whole_blocks_and_pages)
{
	struct burrow_arena_create create;
	uint64_t slots;

	for (slots = 1; slots < 600; slots += 37) {
		create = STACK(.size = sizeof(create), .stride = KIB(64),
			       .slots = slots);
		ASSERT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
		EXPECT_EQ((slots * KIB(64) + MIB(2) - 1) / MIB(2) * MIB(2),
			  create.bytes);
		EXPECT_EQ((slots * sizeof(struct burrow_slot) + PAGE - 1) /
				  PAGE * PAGE,
			  create.table_bytes);
	}
	create = HEAP(.size = sizeof(create), .bytes = MIB(4));
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
	EXPECT_EQ(MIB(4), create.bytes);
	EXPECT_EQ(0, create.table_bytes);
	EXPECT_EQ(0, create.table_offset);
}

/* No two windows of arenas or tables overlap. */
TEST_F(create, windows_are_apart)
{
	struct {
		uint64_t from, to;
	} windows[64];
	struct burrow_arena_create create;
	size_t i, j, n = 0;

	while (n < COUNT(windows)) {
		create = STACK(.size = sizeof(create), .stride = GIB(1),
			       .slots = 1 << 17);
		ASSERT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
		windows[n].from = create.offset;
		windows[n++].to = create.offset + create.bytes;
		windows[n].from = create.table_offset;
		windows[n++].to = create.table_offset + create.table_bytes;
	}
	for (i = 0; i < n; i++) {
		EXPECT_LE(0, (int64_t)windows[i].from);
		EXPECT_LT(windows[i].from, windows[i].to);
		for (j = 0; j < i; j++)
			EXPECT_TRUE(windows[i].to <= windows[j].from ||
				    windows[j].to <= windows[i].from);
	}
}

TEST_F(create, numbers_are_given_again)
{
	struct arena arenas[10];
	uint32_t freed;
	size_t i, j;

	for (i = 0; i < COUNT(arenas); i++) {
		arenas[i] = arena_create(self->fd,
					 STACK(.stride = KIB(64), .slots = 1));
		EXPECT_LT(0, arenas[i].create.arena);
		for (j = 0; j < i; j++)
			EXPECT_NE(arenas[j].create.arena,
				  arenas[i].create.arena);
	}
	freed = arenas[4].create.arena;
	EXPECT_EQ(0, arena_destroy(&arenas[4]));
	EXPECT_EQ(-ENOENT, arena_destroy(&arenas[4]));
	arenas[4] = arena_create(self->fd, HEAP(.bytes = MIB(2)));
	EXPECT_EQ(freed, arenas[4].create.arena);
	arena_map(&arenas[4]);
	touch(arenas[4].base);
	EXPECT_EQ(-EBUSY, arena_destroy(&arenas[4]));
}

TEST_F(create, so_many_and_no_more)
{
	struct arena arena, first;
	struct burrow_arena_create create;
	int i;

	first = arena_create(self->fd, STACK(.stride = KIB(64), .slots = 1));
	for (i = 1; i < BURROW_ARENAS_MAX; i++) {
		arena = arena_create(self->fd, HEAP(.bytes = MIB(2)));
		arena_map(&arena);
		*arena.base = 7;
	}
	create = HEAP(.size = sizeof(create), .bytes = MIB(2));
	EXPECT_EQ(-EBUSY, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
	EXPECT_EQ(0, arena_destroy(&first));
	create = HEAP(.size = sizeof(create), .bytes = MIB(2));
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
}

static atomic_bool stop;

static void *creates_and_destroys(void *arg)
{
	int fd = *(int *)arg;
	struct arena arena;

	while (!stop) {
		arena = arena_create(fd, STACK(.stride = KIB(64), .slots = 8));
		/* Another thread may guess the number and be faster. */
		arena_destroy(&arena);
	}
	return NULL;
}

static void *guesses(void *arg)
{
	struct arena arena = { .fd = *(int *)arg };
	uint32_t id = 0;

	while (!stop) {
		arena.create.arena = id++ % 4 + 1;
		arena_destroy(&arena);
	}
	return NULL;
}

TEST_F(create, threads_that_race)
{
	pthread_t threads[4];
	struct arena arena;
	size_t i;

	for (i = 0; i < COUNT(threads); i++)
		threads[i] = thread_start(
			i & 1 ? guesses : creates_and_destroys, &self->fd);
	nap_ms(1000);
	stop = true;
	for (i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	arena = stack_arena(self->fd, KIB(64), 8);
	touch(slot_page(&arena, 0, 0));
}

ARENA_TEST_MAIN
