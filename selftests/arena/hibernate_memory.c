// SPDX-License-Identifier: GPL-2.0
/*
 * Who pays for stacks that hibernate, and what comes of it where there is no memory:
 * in a memory cgroup of their owner's.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include "cgroup.h"
#include "hibernate.h"

#define SLOTS 4096
#define LIVE 1900

FIXTURE(memory)
{
	char cgroup[CGROUP_PATH];
	int pair[2]; /* the owner's end, and ours */
};

FIXTURE_SETUP(memory)
{
	parameters_restore();
	fault_catch();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->pair));
	cgroup_make(self->cgroup);
}

FIXTURE_TEARDOWN(memory)
{
	close(self->pair[0]);
	close(self->pair[1]);
	if (self->cgroup[0])
		rmdir(self->cgroup);
}

#define NEED_CGROUPS()                                          \
	do {                                                    \
		if (!self->cgroup[0] || !own_cgroup_bytes())    \
			SKIP(return, "no memory cgroups here"); \
	} while (0)

/* ---- who pays --------------------------------------------------------------- */

/* Says its arena, and when its stacks are there and when they hibernate. */
static int owns_sleepers(void *arg)
{
	struct _test_data_memory *self = arg;
	struct arena arena;
	int fd, end = self->pair[0];
	uint64_t i;
	char byte;

	if (!cgroup_enter(self->cgroup))
		return 1;
	fd = context_open();
	arena = stack_arena(fd, KIB(64), SLOTS);
	if (write(end, &arena, sizeof(arena)) != sizeof(arena) ||
	    read(end, &byte, 1) != 1)
		return 2;
	for (i = 0; i < SLOTS; i++) {
		park(&arena, i, 1, LIVE);
		if (hibernate_slot(&arena, i, LIVE) != (int64_t)PAGE)
			return 3;
	}
	context_drain(fd);
	if (write(end, "h", 1) != 1 || read(end, &byte, 1) != 1)
		return 4;
	for (i = 0; i < SLOTS; i++)
		if (!is_whole(&arena, i, LIVE))
			return 5;
	return context_stats(fd).restores == SLOTS ? 0 : 6;
}

/* A debugger, or whoever else looks from outside. */
static uint64_t look_at_all(pid_t pid, const struct arena *arena)
{
	uint64_t i, right = 0;
	unsigned char byte;

	for (i = 0; i < SLOTS; i++) {
		struct iovec local = { &byte, 1 };
		struct iovec remote = { slot_top(arena, i) - 5, 1 };

		right += process_vm_readv(pid, &local, 1, &remote, 1, 0) == 1 &&
			 byte == live_byte(i, 5);
	}
	return right;
}

TEST_F(memory, the_owner_pays_for_the_store_and_for_what_others_restore)
{
	uint64_t before, mine, charged;
	struct arena arena;
	char byte;
	pid_t pid;

	NEED_CGROUPS();
	pid = child_start(owns_sleepers, self);
	ASSERT_EQ(sizeof(arena), read(self->pair[1], &arena, sizeof(arena)));
	before = cgroup_read(self->cgroup, "memory.current", NULL);
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	ASSERT_EQ(1, read(self->pair[1], &byte, 1));
	charged = cgroup_read(self->cgroup, "memory.current", NULL) - before;
	/* Page tables and records are in it. */
	EXPECT_LE(SLOTS * LIVE, charged);
	EXPECT_GE(SLOTS * PAGE * 3 / 4, charged);

	mine = own_cgroup_bytes();
	EXPECT_EQ(SLOTS, look_at_all(pid, &arena));
	charged = cgroup_read(self->cgroup, "memory.current", NULL) - before;
	EXPECT_LE(SLOTS * PAGE, charged);
	/* Less than before is well, too: caches come and go. */
	EXPECT_GE(mine + SLOTS * PAGE / 4, own_cgroup_bytes());
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	EXPECT_EQ(0, child_status(pid));
}

/* ---- at its limit ------------------------------------------------------------ */

/* Writes to page after page until one is refused; false: none was. */
static bool fill(const struct arena *heap)
{
	uint64_t i;

	for (i = 0; i < heap->create.bytes / PAGE; i++)
		if (poke_write(heap->base + i * PAGE))
			return fault_seen.sig == SIGBUS;
	return false;
}

static int sleeps_at_the_limit(void *arg)
{
	struct _test_data_memory *self = arg;
	struct arena stack, heap;
	uint64_t i;
	int fd;

	if (!cgroup_enter(self->cgroup))
		return 1;
	fd = context_open();
	stack = stack_arena(fd, KIB(256), 16);
	heap = heap_arena(fd, MIB(64));
	/* Page tables are the core's, and are there before it gets tight. */
	for (i = 0; i < 32; i++)
		touch(heap.base + i * MIB(2));
	for (i = 0; i < 8; i++)
		park(&stack, i, 4, i ? LIVE : 700);
	for (i = 1; i < 8; i++)
		if (hibernate_slot(&stack, i, LIVE) != (int64_t)(4 * PAGE))
			return 2;
	context_drain(fd);
	fault_catch();
	if (!fill(&heap))
		return 3;
	/* No room to save: it stays. No page to restore: as any fault without. */
	if (hibernate_slot(&stack, 0, 700) != -ENOMEM ||
	    slot_pages(&stack, 0) != 4 || !is_whole(&stack, 0, 700))
		return 4;
	if (poke_read(slot_top(&stack, 1) - 8) != SIGBUS ||
	    context_stats(fd).restores || context_stats(fd).limits ||
	    !context_stats(fd).nomem)
		return 5;
	/* There is room again, and no grudge. */
	if (heap_release(&heap, 0, 1024, NULL) ||
	    hibernate_slot(&stack, 0, 700) != (int64_t)(4 * PAGE))
		return 6;
	for (i = 0; i < 8; i++)
		if (!is_whole(&stack, i, i ? LIVE : 700))
			return 7;
	return context_stats(fd).restores == 8 ? 0 : 8;
}

TEST_F(memory, no_room_in_the_cgroup_to_save_or_to_restore)
{
	NEED_CGROUPS();
	ASSERT_EQ(0, cgroup_write(self->cgroup, "memory.max", "33554432"));
	EXPECT_EQ(0, in_child(sleeps_at_the_limit, self));
	EXPECT_EQ(0, cgroup_read(self->cgroup, "memory.events", "oom_kill "));
	EXPECT_LT(0, cgroup_read(self->cgroup, "memory.events", "max "));
}

ARENA_TEST_MAIN
