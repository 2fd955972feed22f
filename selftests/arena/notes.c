// SPDX-License-Identifier: GPL-2.0
/*
 * What a collector notes of hibernated stacks: it is handed out once, and when it is
 * over that is told once, whoever restored the stack.
 */
#include <pthread.h>
#include <sys/uio.h>

#include "hibernate.h"

#define LIVE 200

/* ---- a collector that knows who sleeps ---------------------------------------- */

struct known {
	struct arena *arena;
	bool asleep[1000];
	uint64_t stamps[1000]; /* the word at its upper end */
	unsigned int records, overs;
};

static void know(struct known *k, const char *buffer, uint64_t bytes)
{
	const struct burrow_saved_slot *record;
	uint64_t at;

	for (at = 0; at < bytes; at += sizeof(*record) + record->live) {
		record = (const void *)(buffer + at);
		if (record->slot >= 1000)
			die("slot %llu", (unsigned long long)record->slot);
		memcpy(&k->stamps[record->slot],
		       buffer + at + sizeof(*record) + record->live - 8, 8);
		k->asleep[record->slot] = true;
		k->records++;
	}
}

/* All records that these flags give, with so much room at a time; how many. */
static unsigned int note(struct known *k, uint32_t flags, uint64_t room)
{
	static char buffer[1 << 18];
	struct burrow_saved args;
	uint64_t next = 0;

	k->records = 0;
	while (next < k->arena->create.slots) {
		args = (struct burrow_saved){
			.size = sizeof(args),
			.flags = flags,
			.arena = k->arena->create.arena,
			.first = next,
			.slots = k->arena->create.slots - next,
			.buffer = (uintptr_t)buffer,
			.bytes = room,
		};
		if (call(k->arena->fd, BURROW_IOC_SAVED, &args))
			die("BURROW_IOC_SAVED");
		know(k, buffer, args.done);
		next = args.next;
	}
	return k->records;
}

static int restored(const struct arena *arena, uint64_t *slots, uint64_t room,
		    uint64_t *done)
{
	struct burrow_restored args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.slots = (uintptr_t)slots,
		.room = room,
	};
	int err = call(arena->fd, BURROW_IOC_RESTORED, &args);

	*done = args.done;
	return err;
}

/* Who is told to be awake is so; how many. */
static unsigned int hear(struct known *k, uint64_t room)
{
	uint64_t slots[1000], done, i;

	k->overs = 0;
	do {
		if (restored(k->arena, slots, room, &done))
			die("BURROW_IOC_RESTORED");
		for (i = 0; i < done; i++) {
			if (!k->asleep[slots[i]])
				die("%llu was not noted",
				    (unsigned long long)slots[i]);
			k->asleep[slots[i]] = false;
			k->overs++;
		}
	} while (done == room);
	return k->overs;
}

static void park_all(const struct arena *arena, uint64_t from, uint64_t n)
{
	uint64_t i;

	for (i = from; i < from + n; i++) {
		park(arena, i, 1, LIVE);
		if (hibernate_slot(arena, i, LIVE) != (int64_t)PAGE)
			die("slot %llu", (unsigned long long)i);
	}
}

/* ---- one at a time -------------------------------------------------------------- */

TEST_F(hibernate, what_is_noted_is_not_new)
{
	static const uint64_t rooms[] = { 4096, 5000, 1 << 18 };
	struct known k = { .arena = &self->arena };
	size_t i;

	/* Some before anything was noted. */
	for (i = 0; i < COUNT(rooms); i++) {
		park_all(&self->arena, 300 * i, 300);
		EXPECT_EQ(300 * (i + 1), note(&k, 0, rooms[i]));
		EXPECT_EQ(300, note(&k, BURROW_SAVED_NEW, rooms[i]));
		EXPECT_EQ(0, note(&k, BURROW_SAVED_NEW, rooms[i]));
		EXPECT_EQ(300 * (i + 1), note(&k, BURROW_SAVED_NOTE, rooms[i]));
		EXPECT_EQ(0, note(&k, BURROW_SAVED_NEW, rooms[i]));
		EXPECT_EQ(0, hear(&k, 100));
	}
	EXPECT_EQ(0, context_stats(self->fd).restores);
}

TEST_F(hibernate, each_way_to_be_restored_is_told)
{
	struct known k = { .arena = &self->arena };
	struct arena *a = &self->arena;
	char byte = 1;
	struct iovec from = { &byte, 1 }, to = { slot_top(a, 3) - 9, 1 };
	int fds[2];

	park_all(a, 0, 8);
	ASSERT_EQ(8, note(&k, BURROW_SAVED_NOTE, 4096));
	EXPECT_TRUE(is_whole(a, 0, LIVE));
	touch(slot_page(a, 1, 2));
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(1, write(fds[1], &byte, 1));
	ASSERT_EQ(1, read(fds[0], slot_top(a, 2) - 9, 1));
	ASSERT_EQ(1, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	EXPECT_EQ(0, trim_slot(a, 4, 0));
	EXPECT_EQ(0, trim_slot(a, 5, PAGE));
	EXPECT_EQ(5, hear(&k, 100));
	EXPECT_TRUE(k.asleep[5] && k.asleep[6] && k.asleep[7]);
	/* Once. */
	EXPECT_EQ(0, hear(&k, 100));
	EXPECT_TRUE(is_whole(a, 0, LIVE));
	EXPECT_EQ(0, hear(&k, 100));
	EXPECT_EQ(0, note(&k, BURROW_SAVED_NEW, 4096));
	close(fds[0]);
	close(fds[1]);
}

TEST_F(hibernate, hibernated_anew_is_new_and_told)
{
	struct known k = { .arena = &self->arena };
	struct arena *a = &self->arena;

	park_all(a, 10, 3);
	ASSERT_EQ(3, note(&k, BURROW_SAVED_NOTE, 4096));
	EXPECT_TRUE(is_whole(a, 11, LIVE));
	ASSERT_EQ((int64_t)PAGE, hibernate_slot(a, 11, LIVE));
	EXPECT_EQ(1, hear(&k, 100));
	EXPECT_FALSE(k.asleep[11]);
	EXPECT_EQ(1, note(&k, BURROW_SAVED_NEW, 4096));
	EXPECT_TRUE(k.asleep[11]);
	/* What is handed out anew stands for what was told before. */
	EXPECT_TRUE(is_whole(a, 11, LIVE));
	ASSERT_EQ((int64_t)PAGE, hibernate_slot(a, 11, LIVE));
	EXPECT_EQ(1, note(&k, BURROW_SAVED_NEW, 4096));
	EXPECT_EQ(0, hear(&k, 100));
	EXPECT_TRUE(is_whole(a, 11, LIVE));
	EXPECT_EQ(1, hear(&k, 100));
}

TEST_F(hibernate, who_was_not_noted_is_not_told)
{
	struct known k = { .arena = &self->arena };

	park_all(&self->arena, 0, 20);
	EXPECT_TRUE(is_whole(&self->arena, 1, LIVE));
	EXPECT_EQ(0, hear(&k, 100));
	EXPECT_EQ(19, note(&k, 0, 4096));
	EXPECT_TRUE(is_whole(&self->arena, 2, LIVE));
	EXPECT_EQ(0, hear(&k, 100));
	EXPECT_EQ(18, note(&k, BURROW_SAVED_NEW, 4096));
	park_all(&self->arena, 1, 1);
	EXPECT_TRUE(is_whole(&self->arena, 1, LIVE));
	EXPECT_EQ(0, hear(&k, 100));
}

/* ---- many ----------------------------------------------------------------------- */

TEST_F(hibernate, all_are_told_whatever_the_room)
{
	static const uint64_t rooms[] = { 1, 7, 32, 33, 999, 1000 };
	struct known k = { .arena = &self->arena };
	uint64_t done, i, slot;

	for (i = 0; i < COUNT(rooms); i++) {
		park_all(&self->arena, 0, 1000);
		ASSERT_EQ(1000, note(&k, BURROW_SAVED_NEW, 8192));
		EXPECT_EQ(0, restored(&self->arena, NULL, 0, &done));
		for (slot = 0; slot < 1000; slot++)
			touch(slot_page(&self->arena, slot, 0));
		EXPECT_EQ(0, restored(&self->arena, NULL, 0, &done));
		EXPECT_EQ(0, done);
		EXPECT_EQ(1000, hear(&k, rooms[i]));
	}
}

TEST_F(hibernate, what_can_not_be_written_is_told_later)
{
	struct known k = { .arena = &self->arena };
	uint64_t done, slot;

	park_all(&self->arena, 0, 100);
	ASSERT_EQ(100, note(&k, BURROW_SAVED_NEW, 8192));
	for (slot = 0; slot < 100; slot += 2)
		touch(slot_page(&self->arena, slot, 0));
	EXPECT_EQ(-EFAULT, restored(&self->arena, NULL, 100, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(50, hear(&k, 100));
}

/* Of any stride: several slots a block, and one. */
TEST_F(hibernate, in_arenas_of_other_strides)
{
	static const uint64_t strides[] = { KIB(16), MIB(1), MIB(2), MIB(16) };
	struct arena arena;
	struct known k = { .arena = &arena };
	size_t i;

	for (i = 0; i < COUNT(strides); i++) {
		arena = stack_arena(self->fd, strides[i], 1000);
		memset(k.asleep, 0, sizeof(k.asleep));
		park_all(&arena, 0, 1);
		park_all(&arena, 500, 130);
		park_all(&arena, 999, 1);
		EXPECT_EQ(132, note(&k, BURROW_SAVED_NEW, 4096));
		EXPECT_EQ(0, note(&k, BURROW_SAVED_NEW, 4096));
		touch(slot_page(&arena, 600, 0));
		touch(slot_page(&arena, 999, 0));
		EXPECT_EQ(2, hear(&k, 100));
		EXPECT_FALSE(k.asleep[600] || k.asleep[999]);
		park_all(&arena, 999, 1);
		EXPECT_EQ(1, note(&k, BURROW_SAVED_NEW, 4096));
		arena_unmap(&arena);
	}
}

/* The arena is emptied: nobody sleeps there, and nothing is told. */
TEST_F(hibernate, after_the_last_mapping)
{
	struct known k = { .arena = &self->arena };

	park_all(&self->arena, 0, 100);
	ASSERT_EQ(100, note(&k, BURROW_SAVED_NEW, 8192));
	arena_unmap(&self->arena);
	EXPECT_EQ(0, hear(&k, 100));
	EXPECT_EQ(0, note(&k, BURROW_SAVED_NEW, 8192));
	arena_map(&self->arena);
	park_all(&self->arena, 50, 100);
	EXPECT_EQ(100, note(&k, BURROW_SAVED_NEW, 8192));
	touch(slot_page(&self->arena, 50, 0));
	EXPECT_EQ(1, hear(&k, 100));
}

/* What was never touched costs no time, nor what was noted: 8 TiB of it. */
TEST_F(hibernate, in_an_arena_that_is_large)
{
	struct arena arena = stack_arena(self->fd, MIB(1), 1 << 23);
	struct burrow_saved args = {
		.size = sizeof(args),
		.flags = BURROW_SAVED_NEW,
		.arena = arena.create.arena,
		.slots = 1 << 23,
	};
	uint64_t begin, done, slot;
	char buffer[4096];

	park(&arena, (1 << 23) - 1, 1, 100);
	hibernate_slot(&arena, (1 << 23) - 1, 100);
	args.buffer = (uintptr_t)buffer;
	args.bytes = sizeof(buffer);
	begin = now_ns();
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_SAVED, &args));
	EXPECT_EQ(1, args.count);
	EXPECT_EQ(1 << 23, args.next);
	touch(slot_page(&arena, (1 << 23) - 1, 0));
	EXPECT_EQ(0, restored(&arena, &slot, 1, &done));
	EXPECT_EQ(1, done);
	EXPECT_EQ((1 << 23) - 1, slot);
	EXPECT_GT(2000000000ULL * time_scale(), now_ns() - begin);
}

/* ---- all at once ------------------------------------------------------------------ */

#define SLOTS 64U
#define WRITERS 3

struct crowd {
	struct arena *arena;
	uint64_t counts[SLOTS]; /* of writes, by all */
};

static volatile bool stop;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Writes to stacks that hibernate; the word at their upper end counts. */
static void *writes(void *arg)
{
	struct crowd *c = arg;
	uint64_t random = 88172645463325252ULL + (uintptr_t)&random;
	unsigned int slot, i;

	while (!stop) {
		slot = next_random(&random) % SLOTS;
		for (i = 0; i < 3; i++)
			__atomic_fetch_add(
				(uint64_t *)slot_top(c->arena, slot) - 1, 1,
				__ATOMIC_RELAXED);
		__atomic_fetch_add(&c->counts[slot], 3, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *hibernates(void *arg)
{
	struct crowd *c = arg;
	unsigned int slot;

	while (!stop) {
		for (slot = 0; slot < SLOTS; slot++)
			hibernate_slot(c->arena, slot, LIVE);
	}
	return NULL;
}

/*
 * Who is known to sleep when all that is over was told holds what was read of him:
 * so nothing was written that had come back before we asked.
 */
static bool knows_right(struct known *k, const uint64_t *least)
{
	unsigned int slot;

	for (slot = 0; slot < SLOTS; slot++) {
		if (k->asleep[slot] && k->stamps[slot] < least[slot])
			return false;
	}
	return true;
}

TEST_F(hibernate, while_others_write)
{
	struct crowd c = { .arena = &self->arena };
	struct known k = { .arena = &self->arena };
	pthread_t threads[WRITERS + 1];
	uint64_t least[SLOTS], end;
	unsigned int i, overs = 0;

	for (i = 0; i < SLOTS; i++) {
		park(&self->arena, i, 1, LIVE);
		*((uint64_t *)slot_top(&self->arena, i) - 1) = 0;
	}
	stop = false;
	for (i = 0; i < WRITERS; i++)
		threads[i] = thread_start(writes, &c);
	threads[i] = thread_start(hibernates, &c);
	end = now_ns() + seconds_of_stress(5) * 1000000000ULL;
	for (i = 0; now_ns() < end; i++) {
		note(&k, i % 8 ? BURROW_SAVED_NEW : BURROW_SAVED_NOTE, 4096);
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			least[slot] = __atomic_load_n(&c.counts[slot],
						      __ATOMIC_ACQUIRE);
		overs += hear(&k, 5);
		ASSERT_TRUE(knows_right(&k, least));
	}
	stop = true;
	for (i = 0; i <= WRITERS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_LT(10, overs);
	for (i = 0; i < SLOTS; i++)
		EXPECT_EQ(c.counts[i],
			  *((uint64_t *)slot_top(&self->arena, i) - 1));
}

TEST_HARNESS_MAIN
