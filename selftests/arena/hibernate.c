// SPDX-License-Identifier: GPL-2.0
/*
 * Hibernation: live bytes come back whoever touches them, pages go, and what can
 * not be hibernated stays as it is. What happens to stacks that are used
 * meanwhile is in hibernate_race.c.
 */
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "hibernate.h"
#include "uring.h"

/* ---- what comes back -------------------------------------------------------- */

/* Lengths that are dense where rounding could go wrong. */
static uint64_t next_live(uint64_t live)
{
	return live < 80 || live % 32 > 28 || live % 32 < 3 ? live + 1 :
							      live + 5;
}

TEST_F(hibernate, live_bytes_come_back)
{
	uint64_t live, slot = 0, pages, n = 0;

	for (live = 1; live <= BOUND; live = next_live(live)) {
		pages = 1 + live % 6;
		park(&self->arena, slot, pages, live);
		ASSERT_EQ((int64_t)(pages * PAGE),
			  hibernate_slot(&self->arena, slot, live))
		TH_LOG("%llu bytes", (unsigned long long)live);
		ASSERT_EQ(0, slot_pages(&self->arena, slot));
		ASSERT_TRUE(is_whole(&self->arena, slot, live))
		TH_LOG("%llu bytes", (unsigned long long)live);
		ASSERT_EQ(1, slot_pages(&self->arena, slot));
		slot = (slot + 13) % 1000;
		n++;
	}
	EXPECT_EQ(n, context_stats(self->fd).hibernates);
	EXPECT_EQ(n, context_stats(self->fd).restores);
	EXPECT_EQ(0, context_stats(self->fd).saved_bytes);
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
}

/* All of them at a time: no object lies on another. */
TEST_F(hibernate, many_lengths_side_by_side)
{
	struct burrow_hibernate_entry entries[1000];
	struct burrow_hibernate told;
	uint64_t i, round, bytes;

	for (round = 0; round < 3; round++) {
		bytes = 0;
		for (i = 0; i < 1000; i++) {
			entries[i] = (struct burrow_hibernate_entry){
				.slot = i,
				.live = 1 + (i * 37 + round * 1001) % BOUND,
			};
			bytes += (entries[i].live + 7) & ~7ULL;
			park(&self->arena, i, 1, entries[i].live);
		}
		ASSERT_EQ(0, hibernate(&self->arena, entries, 1000, &told));
		EXPECT_EQ(bytes, told.bytes);
		EXPECT_EQ(1000 * PAGE, told.freed);
		EXPECT_EQ(bytes, context_stats(self->fd).saved_bytes);
		/* Every third one comes back and goes again meanwhile. */
		for (i = round; i < 1000; i += 3) {
			ASSERT_TRUE(is_whole(&self->arena, i, entries[i].live));
			ASSERT_EQ((int64_t)PAGE,
				  hibernate_slot(&self->arena, i,
						 entries[i].live));
		}
		for (i = 0; i < 1000; i++)
			ASSERT_TRUE(is_whole(&self->arena, i, entries[i].live))
		TH_LOG("slot %llu", (unsigned long long)i);
		EXPECT_EQ(0, context_stats(self->fd).store_bytes);
	}
}

TEST_F(hibernate, pages_go_and_the_store_is_small)
{
	struct burrow_context_stats stats;
	uint64_t i, held;

	for (i = 0; i < 1000; i++) {
		park(&self->arena, i, 2, 300);
		poke_read(&self->arena.table[i]);
	}
	held = context_stats(self->fd).user_bytes;
	for (i = 0; i < 1000; i++)
		ASSERT_EQ((int64_t)(2 * PAGE),
			  hibernate_slot(&self->arena, i, 300));
	stats = context_drain(self->fd);
	EXPECT_EQ(0, stats.stack_bytes);
	EXPECT_EQ(0, stats.pool_bytes);
	EXPECT_EQ(1000 * 304, stats.saved_bytes);
	/* 320 bytes and a tenth at most. */
	EXPECT_GE(1000 * 352, stats.store_bytes);
	EXPECT_LE(1000 * 320, stats.store_bytes);
	EXPECT_EQ(held - 2000 * PAGE + stats.store_bytes, stats.user_bytes);
}

TEST_F(hibernate, a_restored_stack_grows_as_any_other)
{
	park(&self->arena, 4, 20, 500);
	ASSERT_EQ((int64_t)(20 * PAGE), hibernate_slot(&self->arena, 4, 500));
	EXPECT_EQ(20 * PAGE, slot_state(&self->arena, 4).peak);
	/* Far below the live bytes: all that lies between comes too. */
	touch(slot_page(&self->arena, 4, 9));
	EXPECT_EQ(10, slot_pages(&self->arena, 4));
	EXPECT_TRUE(is_whole(&self->arena, 4, 500));
	EXPECT_EQ(1, context_stats(self->fd).restores);
	EXPECT_EQ(20 * PAGE, slot_state(&self->arena, 4).peak);
	touch(slot_page(&self->arena, 4, 29));
	EXPECT_TRUE(is_whole(&self->arena, 4, 500));
	EXPECT_EQ(30 * PAGE, slot_state(&self->arena, 4).peak);
	EXPECT_EQ(30 * PAGE, context_stats(self->fd).stack_bytes);
}

TEST_F(hibernate, a_guard_restores_nothing)
{
	park(&self->arena, 4, 2, 500);
	hibernate_slot(&self->arena, 4, 500);
	EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&self->arena, 4) - 100));
	EXPECT_EQ(0, context_stats(self->fd).restores);
	EXPECT_TRUE(is_whole(&self->arena, 4, 500));
}

TEST_F(hibernate, zeroed_where_that_was_asked_for)
{
	struct arena arena;

	arena = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .flags = BURROW_ARENA_ZERO,
					       .stride = KIB(256),
					       .slots = 8,
				       });
	arena_map(&arena);
	park(&arena, 0, 4, 100);
	ASSERT_EQ((int64_t)(4 * PAGE), hibernate_slot(&arena, 0, 100));
	touch(slot_page(&arena, 1, 3));
	EXPECT_TRUE(is_filled(slot_page(&arena, 1, 2), 0, 3 * PAGE));
	EXPECT_TRUE(is_whole(&arena, 0, 100));
}

/* ---- who touches it --------------------------------------------------------- */

struct toucher {
	struct arena *arena;
	pid_t owner;
	char byte;
};

#define LIVE 700

static char *at_live(const struct toucher *t)
{
	return slot_top(t->arena, 6) - 333;
}

static bool touch_by_write(struct toucher *t)
{
	return !poke_write(at_live(t));
}

static bool touch_by_read(struct toucher *t)
{
	return !poke_read(at_live(t));
}

static bool touch_by_write_call(struct toucher *t)
{
	int pair[2];

	return !pipe(pair) && write(pair[1], at_live(t), 1) == 1 &&
	       read(pair[0], &t->byte, 1) == 1 && !close(pair[0]) &&
	       !close(pair[1]);
}

static bool touch_by_read_call(struct toucher *t)
{
	int pair[2];

	return !pipe(pair) && write(pair[1], &t->byte, 1) == 1 &&
	       read(pair[0], at_live(t), 1) == 1 && !close(pair[0]) &&
	       !close(pair[1]);
}

static int child_reads(void *arg)
{
	struct toucher *t = arg;
	struct iovec local = { &t->byte, 1 }, remote = { at_live(t), 1 };

	return process_vm_readv(t->owner, &local, 1, &remote, 1, 0) != 1 ||
	       (unsigned char)t->byte != live_byte(6, 333);
}

static bool touch_by_process_vm(struct toucher *t)
{
	return !in_child(child_reads, t);
}

static bool touch_by_proc_mem(struct toucher *t)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	bool done = pwrite(fd, &t->byte, 1, (uintptr_t)at_live(t)) == 1;

	close(fd);
	return done;
}

/* Our tracer is a child; it stops us while it looks. */
static int child_traces(void *arg)
{
	struct toucher *t = arg;
	unsigned long word, *at = (void *)((uintptr_t)at_live(t) & ~7UL);
	unsigned int byte = at_live(t) - (char *)at;
	int err;

	if (ptrace(PTRACE_ATTACH, t->owner, NULL, NULL) ||
	    waitpid(t->owner, NULL, __WALL) != t->owner)
		return 1;
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, t->owner, at, NULL);
	err = errno || (unsigned char)(word >> byte * 8) != live_byte(6, 333);
	if (t->byte) {
		word &= ~(0xffUL << byte * 8);
		word |= (unsigned long)t->byte << byte * 8;
		err |= ptrace(PTRACE_POKEDATA, t->owner, at, word) != 0;
	}
	return ptrace(PTRACE_DETACH, t->owner, NULL, NULL) || err;
}

static bool touch_by_ptrace(struct toucher *t)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	return !in_child(child_traces, t);
}

static bool touch_by_vmsplice(struct toucher *t)
{
	struct iovec iov = { at_live(t), 1 };
	int pair[2];

	return !pipe(pair) && vmsplice(pair[1], &iov, 1, 0) == 1 &&
	       read(pair[0], &t->byte, 1) == 1 && !close(pair[0]) &&
	       !close(pair[1]);
}

static bool touch_by_populate(struct toucher *t)
{
	return !madvise(slot_page(t->arena, 6, 0), PAGE,
			23 /* MADV_POPULATE_WRITE */);
}

static bool touch_by_a_second_mapping(struct toucher *t)
{
	struct arena again = *t->arena;

	again.base = address_space(MIB(2));
	arena_map_piece(&again, again.base, 0, MIB(2));
	t->byte = *(volatile char *)(slot_top(&again, 6) - 333);
	munmap(again.base, MIB(2));
	return true;
}

TEST_F(hibernate, whoever_touches_it_finds_it_whole)
{
	static const struct {
		const char *name;
		bool (*touch)(struct toucher *t);
		char byte; /* that it writes, or 0 */
	} ways[] = {
		{ "write", touch_by_write, 1 },
		{ "read", touch_by_read, 0 },
		{ "write()", touch_by_write_call, 0 },
		{ "read()", touch_by_read_call, 2 },
		{ "process_vm_readv", touch_by_process_vm, 0 },
		{ "/proc/self/mem", touch_by_proc_mem, 3 },
		{ "PTRACE_PEEKDATA", touch_by_ptrace, 0 },
		{ "PTRACE_POKEDATA", touch_by_ptrace, 4 },
		{ "vmsplice", touch_by_vmsplice, 0 },
		{ "populate", touch_by_populate, 0 },
		{ "another mapping", touch_by_a_second_mapping, 0 },
	};
	struct toucher t = { .arena = &self->arena, .owner = getpid() };
	size_t i;

	for (i = 0; i < COUNT(ways); i++) {
		park(&self->arena, 6, 3, LIVE);
		ASSERT_EQ((int64_t)(3 * PAGE),
			  hibernate_slot(&self->arena, 6, LIVE));
		t.byte = ways[i].byte;
		EXPECT_TRUE(ways[i].touch(&t))
		TH_LOG("%s", ways[i].name);
		EXPECT_EQ(i + 1, context_stats(self->fd).restores)
		TH_LOG("%s", ways[i].name);
		if (ways[i].byte) {
			EXPECT_EQ(ways[i].byte, *at_live(&t));
			*at_live(&t) = live_byte(6, 333);
		}
		EXPECT_TRUE(is_whole(&self->arena, 6, LIVE))
		TH_LOG("%s", ways[i].name);
		trim_slot(&self->arena, 6, 0);
	}
}

/* Touched by nobody but the kernel's own threads. */
TEST_F(hibernate, by_io_uring)
{
	struct uring u;
	int pair[2];
	char text[LIVE];
	int round;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	ASSERT_EQ(0, pipe(pair));
	for (round = 0; round < 4; round++) {
		u.async = round % 2;
		park(&self->arena, 6, 3, LIVE);
		ASSERT_EQ((int64_t)(3 * PAGE),
			  hibernate_slot(&self->arena, 6, LIVE));
		ASSERT_EQ(LIVE,
			  uring_do(&u, IORING_OP_WRITE, pair[1],
				   slot_top(&self->arena, 6) - LIVE, LIVE, 0));
		ASSERT_EQ(LIVE, read(pair[0], text, LIVE));
		EXPECT_TRUE(are_live(text + LIVE, 6, LIVE));
		EXPECT_EQ(2 * round + 1, context_stats(self->fd).restores);

		ASSERT_EQ((int64_t)PAGE, hibernate_slot(&self->arena, 6, LIVE));
		ASSERT_EQ(5, write(pair[1], "hello", 5));
		ASSERT_EQ(5, uring_do(&u, IORING_OP_READ, pair[0],
				      slot_top(&self->arena, 6) - LIVE, 5, 0));
		EXPECT_EQ(2 * round + 2, context_stats(self->fd).restores);
		EXPECT_EQ(0,
			  memcmp(slot_top(&self->arena, 6) - LIVE, "hello", 5));
		EXPECT_TRUE(is_whole(&self->arena, 6, LIVE - 5));
		trim_slot(&self->arena, 6, 0);
	}
}

static int child_has_nothing(void *arg)
{
	struct arena *arena = arg;
	int sig = poke_read(slot_top(arena, 6) - 8);

	return sig != SIGSEGV && sig != SIGBUS;
}

TEST_F(hibernate, a_forked_child_sees_nothing)
{
	park(&self->arena, 6, 3, LIVE);
	hibernate_slot(&self->arena, 6, LIVE);
	EXPECT_EQ(0, in_child(child_has_nothing, &self->arena));
	if (!madvise(self->arena.base, MIB(2), MADV_DOFORK))
		EXPECT_EQ(0, in_child(child_has_nothing, &self->arena));
	EXPECT_EQ(0, context_stats(self->fd).restores);
	EXPECT_TRUE(is_whole(&self->arena, 6, LIVE));
}

/* ---- what stays as it is ---------------------------------------------------- */

TEST_F(hibernate, another_word_means_hands_off)
{
	struct burrow_hibernate_entry entries[16];
	struct burrow_hibernate told;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		park(&self->arena, i, 5, 200);
		self->arena.table[i].word = 1000 + i;
		entries[i] = (struct burrow_hibernate_entry){
			.slot = i,
			.live = 200,
			.word = 1000 + i,
		};
	}
	entries[0].word = 0;
	entries[5].word++;
	entries[6].word = ~0ULL;
	entries[15].word ^= 1ULL << 63;
	ASSERT_EQ(0, hibernate(&self->arena, entries, 16, &told));
	EXPECT_EQ(12 * 5 * PAGE, told.freed);
	EXPECT_EQ(12 * 200, told.bytes);
	for (i = 0; i < 16; i++) {
		bool other = entries[i].word != 1000 + i;

		EXPECT_EQ(other ? -EAGAIN : (int64_t)(5 * PAGE),
			  entries[i].result);
		EXPECT_EQ(other ? 5 : 0, slot_pages(&self->arena, i));
		EXPECT_TRUE(is_whole(&self->arena, i, 200));
	}
	EXPECT_EQ(4, context_stats(self->fd).hibernate_races);
	EXPECT_EQ(12, context_stats(self->fd).hibernates);
}

TEST_F(hibernate, a_page_that_is_pinned_stays)
{
	struct iovec iov = { slot_page(&self->arena, 1, 0), PAGE };
	struct burrow_hibernate_entry entries[3];
	char text[PAGE];
	unsigned int i;
	int pair[2];

	ASSERT_EQ(0, pipe(pair));
	for (i = 0; i < 3; i++) {
		park(&self->arena, i, 3, LIVE);
		entries[i] = (struct burrow_hibernate_entry){
			.slot = i,
			.live = LIVE,
		};
	}
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	/* One of a run: its neighbours go. */
	ASSERT_EQ(0, hibernate(&self->arena, entries, 3, NULL));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i == 1 ? -EBUSY : (int64_t)(3 * PAGE),
			  entries[i].result);
	EXPECT_EQ(3, slot_pages(&self->arena, 1));
	/* It is the same page still: a write is seen through the pin. */
	slot_page(&self->arena, 1, 0)[5] = 0x77;
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_EQ(0x77, text[5]);
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(is_whole(&self->arena, i, LIVE));
	EXPECT_EQ((int64_t)(3 * PAGE), hibernate_slot(&self->arena, 1, LIVE));
	EXPECT_TRUE(is_whole(&self->arena, 1, LIVE));
}

/* What is not live is nobody's, as for a trim. */
TEST_F(hibernate, a_dead_page_that_is_pinned_goes)
{
	struct iovec iov = { slot_page(&self->arena, 1, 1), PAGE };
	char text[PAGE];
	int pair[2];

	ASSERT_EQ(0, pipe(pair));
	park(&self->arena, 1, 3, LIVE);
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	EXPECT_EQ((int64_t)(3 * PAGE), hibernate_slot(&self->arena, 1, LIVE));
	touch(slot_page(&self->arena, 2, 5));
	memset(slot_page(&self->arena, 2, 5), 0, 6 * PAGE);
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	EXPECT_TRUE(is_filled(text, 0xdd, PAGE));
	EXPECT_TRUE(is_whole(&self->arena, 1, LIVE));
}

TEST_F(hibernate, one_slot_many_times)
{
	struct burrow_hibernate_entry entries[40];
	struct burrow_hibernate told;
	unsigned int i;

	park(&self->arena, 3, 4, LIVE);
	for (i = 0; i < 40; i++)
		entries[i] = (struct burrow_hibernate_entry){
			.slot = 3,
			.live = LIVE - i,
		};
	ASSERT_EQ(0, hibernate(&self->arena, entries, 40, &told));
	EXPECT_EQ((int64_t)(4 * PAGE), entries[0].result);
	for (i = 1; i < 40; i++)
		EXPECT_EQ(0, entries[i].result);
	EXPECT_EQ(1, context_stats(self->fd).hibernates);
	EXPECT_TRUE(is_whole(&self->arena, 3, LIVE));
}

TEST_F(hibernate, entries_that_can_not_be)
{
	const uint64_t most = KIB(256) - self->arena.create.guard;
	struct burrow_hibernate_entry entries[] = {
		{ .slot = 0, .live = 100 },
		{ .slot = 1, .live = 0 },
		{ .slot = 2, .live = most + 1 },
		{ .slot = 3, .live = ~0ULL },
		{ .slot = 4, .live = most },
		{ .slot = 5, .live = BOUND + 1 },
		{ .slot = 6, .live = BOUND },
		{ .slot = 999, .live = 100 },
		{ .slot = 1000, .live = 100 },
		{ .slot = 1001, .live = 100 },
		{ .slot = ~0ULL, .live = 100 },
		{ .slot = 1ULL << 63, .live = 100 },
		{ .slot = 7, .live = 100 },
	};
	static const int64_t wanted[] = {
		2 * PAGE, -EINVAL,  -EINVAL,  -EINVAL, -E2BIG,
		-E2BIG,	  2 * PAGE, 2 * PAGE, -EINVAL, -EINVAL,
		-EINVAL,  -EINVAL,  2 * PAGE,
	};
	struct burrow_hibernate told;
	unsigned int i;

	for (i = 0; i < 8; i++)
		park(&self->arena, i, 2, 100);
	park(&self->arena, 999, 2, 100);
	ASSERT_EQ(0, hibernate(&self->arena, entries, COUNT(entries), &told));
	for (i = 0; i < COUNT(entries); i++)
		EXPECT_EQ(wanted[i], entries[i].result)
	TH_LOG("entry %u", i);
	EXPECT_EQ(4 * 2 * PAGE, told.freed);
	for (i = 0; i < 8; i++)
		EXPECT_TRUE(is_whole(&self->arena, i, 100));
	EXPECT_TRUE(is_whole(&self->arena, 999, 100));
}

TEST_F(hibernate, the_bound_is_settable)
{
	park(&self->arena, 0, 2, 4064);
	set_parameter("hibernate_limit", 100);
	EXPECT_EQ(-E2BIG, hibernate_slot(&self->arena, 0, 101));
	set_parameter("hibernate_limit", 1000000);
	EXPECT_EQ(-E2BIG, hibernate_slot(&self->arena, 0, 4065));
	EXPECT_EQ((int64_t)(2 * PAGE), hibernate_slot(&self->arena, 0, 4064));
	EXPECT_TRUE(is_whole(&self->arena, 0, 4064));
	set_parameter("hibernate_limit", 0);
	EXPECT_EQ(-E2BIG, hibernate_slot(&self->arena, 0, 1));
}

/* Nothing to save in one that is empty, nor in one that was never touched. */
TEST_F(hibernate, stacks_without_pages)
{
	EXPECT_EQ(0, hibernate_slot(&self->arena, 0, 100));
	touch(slot_page(&self->arena, 1, 0));
	EXPECT_EQ(0, hibernate_slot(&self->arena, 0, 100));
	trim_slot(&self->arena, 1, 0);
	EXPECT_EQ(0, hibernate_slot(&self->arena, 1, 100));
	EXPECT_EQ(0, context_stats(self->fd).hibernates);
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
}

TEST_F(hibernate, an_arena_of_another_context)
{
	struct burrow_hibernate_entry entry = { .slot = 0, .live = 100 };
	int fd = context_open();
	struct arena other = self->arena;

	park(&self->arena, 0, 1, 100);
	other.fd = fd;
	EXPECT_EQ(-ENOENT, hibernate(&other, &entry, 1, NULL));
	EXPECT_EQ(1, slot_pages(&self->arena, 0));
	close(fd);
}

/* ---- trim ------------------------------------------------------------------- */

TEST_F(hibernate, a_trim_to_nothing_forgets)
{
	struct burrow_trim_entry entry = { .slot = 2, .word = 1 };
	unsigned int later;

	for (later = 0; later < 2; later++) {
		uint32_t flags = later ? BURROW_TRIM_LAZY : 0;

		park(&self->arena, 2, 4, LIVE);
		hibernate_slot(&self->arena, 2, LIVE);
		EXPECT_EQ(0, trim_slot_with(&self->arena, flags, 2, 1));
		EXPECT_EQ(704, context_stats(self->fd).saved_bytes);
		ASSERT_EQ(0, trim_with(&self->arena, flags, &entry, 1, NULL));
		EXPECT_EQ(-EAGAIN, entry.result);
		EXPECT_EQ(704, context_stats(self->fd).saved_bytes);
		EXPECT_EQ(4 * PAGE, slot_state(&self->arena, 2).peak);

		EXPECT_EQ(0, trim_slot_with(&self->arena, flags, 2, 0));
		EXPECT_EQ(0, context_stats(self->fd).saved_bytes);
		EXPECT_EQ(0, context_stats(self->fd).store_bytes);
		EXPECT_EQ(0, slot_state(&self->arena, 2).peak);
	}
	touch(slot_page(&self->arena, 2, 0));
	EXPECT_EQ(0, context_stats(self->fd).restores);
}

TEST_F(hibernate, after_a_lazy_trim)
{
	park(&self->arena, 2, 40, LIVE);
	EXPECT_EQ((int64_t)(39 * PAGE), trim_slot_later(&self->arena, 2, PAGE));
	EXPECT_EQ((int64_t)(40 * PAGE), hibernate_slot(&self->arena, 2, LIVE));
	EXPECT_EQ(0, context_stats(self->fd).lazy_bytes);
	touch(slot_page(&self->arena, 2, 30));
	context_drain(self->fd);
	EXPECT_EQ(31, slot_pages(&self->arena, 2));
	EXPECT_EQ(0, context_stats(self->fd).lazy_taken);
	EXPECT_TRUE(is_whole(&self->arena, 2, LIVE));
}

/* ---- the end ---------------------------------------------------------------- */

TEST_F(hibernate, what_is_saved_goes_with_the_last_mapping)
{
	uint64_t before = context_stats(self->fd).user_bytes, i;
	struct arena arena = stack_arena(self->fd, KIB(64), 500);
	struct burrow_context_stats stats;

	for (i = 0; i < 500; i++) {
		park(&arena, i, 1, 10 + i * 5);
		hibernate_slot(&arena, i, 10 + i * 5);
	}
	EXPECT_LT(0, context_stats(self->fd).store_bytes);
	arena_unmap(&arena);
	stats = context_drain(self->fd);
	EXPECT_EQ(0, stats.store_bytes);
	EXPECT_EQ(0, stats.saved_bytes);
	EXPECT_EQ(0, arena_destroy(&arena));
	EXPECT_EQ(before, context_stats(self->fd).user_bytes);
}

static int ends_hibernated(void *arg)
{
	int fd = context_open();
	struct arena arena = stack_arena(fd, KIB(64), 500);
	uint64_t i;

	for (i = 0; i < 500; i++) {
		park(&arena, i, 1, 10 + i * 5);
		if (hibernate_slot(&arena, i, 10 + i * 5) != (int64_t)PAGE)
			return 1;
	}
	return arg ? raise(SIGKILL) : 0;
}

TEST_F(hibernate, what_is_saved_goes_with_the_process)
{
	uint64_t before = context_stats(self->fd).user_bytes;

	EXPECT_EQ(0, in_child(ends_hibernated, NULL));
	EXPECT_EQ(-SIGKILL, in_child(ends_hibernated, self));
	EXPECT_EQ(before, context_stats(self->fd).user_bytes);
}

/* ---- memory that is not there ----------------------------------------------- */

TEST_F(hibernate, no_room_to_save_means_that_it_stays)
{
	park(&self->arena, 0, 4, LIVE);
	park(&self->arena, 1, 4, LIVE);
	/* The table's page is there before it gets tight. */
	poke_read(self->arena.table);
	context_drain(self->fd);
	set_parameter("context_limit", context_stats(self->fd).user_bytes);
	EXPECT_EQ(-ENOMEM, hibernate_slot(&self->arena, 0, LIVE));
	EXPECT_EQ(4, slot_pages(&self->arena, 0));
	EXPECT_TRUE(is_whole(&self->arena, 0, LIVE));
	/* Nothing that was needed was refused. */
	EXPECT_EQ(0, context_stats(self->fd).limits);
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
	/* What the pool has does not stand in the way. */
	trim_slot(&self->arena, 1, 0);
	EXPECT_EQ((int64_t)(4 * PAGE), hibernate_slot(&self->arena, 0, LIVE));
	EXPECT_TRUE(is_whole(&self->arena, 0, LIVE));
}

/* Four in a row are not to be had; for what is shorter than half of one, one is. */
TEST_F(hibernate, a_page_of_the_store_will_do)
{
	struct burrow_context_stats stats;
	uint64_t i;

	for (i = 0; i < 8; i++)
		park(&self->arena, i, 1, i ? 2000 : BOUND);
	poke_read(self->arena.table);
	context_drain(self->fd);
	set_parameter("context_limit",
		      context_stats(self->fd).user_bytes + PAGE);
	EXPECT_EQ(-ENOMEM, hibernate_slot(&self->arena, 0, BOUND));
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
	EXPECT_EQ((int64_t)PAGE, hibernate_slot(&self->arena, 1, 2000));
	EXPECT_EQ(PAGE, context_stats(self->fd).store_bytes);
	/* The page that was its own makes room for others'. */
	for (i = 2; i < 8; i++)
		EXPECT_EQ((int64_t)PAGE, hibernate_slot(&self->arena, i, 2000));
	stats = context_drain(self->fd);
	EXPECT_EQ(7, stats.hibernated);
	EXPECT_EQ(PAGE, stats.stack_bytes);
	/* In three pages, and four in a row as soon as there were so many. */
	EXPECT_GE(7 * PAGE, stats.store_bytes);
	parameters_restore();
	for (i = 0; i < 8; i++)
		EXPECT_TRUE(is_whole(&self->arena, i, i ? 2000 : BOUND));
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
}

TEST_F(hibernate, no_page_to_restore_into)
{
	uint64_t limits, i;

	park(&self->arena, 0, 4, LIVE);
	hibernate_slot(&self->arena, 0, LIVE);
	context_drain(self->fd);
	limits = context_stats(self->fd).limits;
	set_parameter("context_limit", 0);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(SIGBUS, poke_read(slot_top(&self->arena, 0) - 8));
		EXPECT_EQ(SIGBUS, poke_write(slot_page(&self->arena, 0, 3)));
	}
	EXPECT_EQ(limits + 6, context_stats(self->fd).limits);
	EXPECT_EQ(0, context_stats(self->fd).restores);
	parameters_restore();
	EXPECT_TRUE(is_whole(&self->arena, 0, LIVE));
	EXPECT_EQ(1, context_stats(self->fd).restores);
}

/* The page comes back, and what is needed below it does not. */
TEST_F(hibernate, no_page_to_grow_into)
{
	park(&self->arena, 0, 4, LIVE);
	park(&self->arena, 1, 4, LIVE);
	hibernate_slot(&self->arena, 0, LIVE);
	/* Beside it, so that the store gives nothing back. */
	hibernate_slot(&self->arena, 1, LIVE);
	context_drain(self->fd);
	set_parameter("context_limit",
		      context_stats(self->fd).user_bytes + PAGE);
	EXPECT_EQ(SIGBUS, poke_write(slot_page(&self->arena, 0, 3)));
	EXPECT_EQ(1, context_stats(self->fd).restores);
	EXPECT_TRUE(is_whole(&self->arena, 0, LIVE));
}

/* ---- reading what is saved -------------------------------------------------- */

/* Records in @buffer for slots from @*slot on, each 7 apart; how many are right. */
static uint64_t records_right(struct arena *arena, char *buffer, uint64_t bytes,
			      uint64_t *slot)
{
	struct burrow_saved_slot *record;
	uint64_t at, n = 0;

	for (at = 0; at < bytes; at += sizeof(*record) + record->live) {
		record = (void *)(buffer + at);
		if (record->slot != *slot ||
		    record->word != arena->table[*slot].word ||
		    record->live != ((1 + *slot * 3 + 7) & ~7ULL) ||
		    !are_live(buffer + at + sizeof(*record) + record->live,
			      *slot, 1 + *slot * 3))
			return n;
		*slot += 7;
		n++;
	}
	return at == bytes ? n : 0;
}

TEST_F(hibernate, saved_bytes_are_read_without_restoring)
{
	static const uint64_t rooms[] = { 4096, 5000, 16384, 70000, 1 << 20 };
	char *buffer = malloc(1 << 20);
	uint64_t i, slot, at, n;
	struct burrow_saved told;
	size_t r;

	for (i = 0; i < 1000; i++) {
		park(&self->arena, i, 1, 1 + i * 3);
		self->arena.table[i].word = i * i;
	}
	for (i = 0; i < 1000; i += 7)
		ASSERT_EQ((int64_t)PAGE,
			  hibernate_slot(&self->arena, i, 1 + i * 3));
	for (r = 0; r < COUNT(rooms); r++) {
		slot = 0;
		n = 0;
		for (at = 0; at < 1000; at = told.next) {
			memset(buffer, 0, 1 << 20);
			told = saved_from(&self->arena, at, 1000 - at, buffer,
					  rooms[r]);
			ASSERT_LT(at, told.next);
			ASSERT_GE(rooms[r], told.done);
			ASSERT_EQ(told.count,
				  records_right(&self->arena, buffer, told.done,
						&slot))
			TH_LOG("slot %llu", (unsigned long long)slot);
			n += told.count;
		}
		EXPECT_EQ(143, n);
	}
	/* A word that changes is told; parts are parts. */
	self->arena.table[700].word = 5;
	told = saved_from(&self->arena, 694, 13, buffer, 4096);
	EXPECT_EQ(1, told.count);
	EXPECT_EQ(707, told.next);
	EXPECT_EQ(5, ((struct burrow_saved_slot *)buffer)->word);
	told = saved_from(&self->arena, 701, 6, buffer, 4096);
	EXPECT_EQ(0, told.count);
	EXPECT_EQ(0, told.done);
	EXPECT_EQ(707, told.next);
	EXPECT_EQ(0, context_stats(self->fd).restores);
	for (i = 0; i < 1000; i++)
		ASSERT_TRUE(is_whole(&self->arena, i, 1 + i * 3));
	told = saved_from(&self->arena, 0, 1000, buffer, 4096);
	EXPECT_EQ(0, told.count);
	free(buffer);
}

/* What was never touched costs no time: 8 TiB of it. */
TEST_F(hibernate, saved_bytes_of_an_arena_that_is_large)
{
	struct arena arena = stack_arena(self->fd, MIB(1), 1 << 23);
	static const uint64_t slots[] = { 0, 511, 512, 1 << 20, (1 << 23) - 1 };
	char buffer[4096];
	struct burrow_saved_slot *record = (void *)buffer;
	struct burrow_saved told;
	uint64_t begin, at = 0;
	size_t i;

	for (i = 0; i < COUNT(slots); i++) {
		park(&arena, slots[i], 1, 3000);
		ASSERT_EQ((int64_t)PAGE,
			  hibernate_slot(&arena, slots[i], 3000));
	}
	begin = now_ns();
	for (i = 0; i < COUNT(slots); i++, at = told.next) {
		told = saved_from(&arena, at, (1 << 23) - at, buffer, 4096);
		ASSERT_EQ(1, told.count);
		EXPECT_EQ(slots[i], record->slot);
		EXPECT_TRUE(are_live(buffer + told.done, slots[i], 3000));
	}
	EXPECT_EQ(1 << 23, at);
	EXPECT_GT(2000000000ULL * time_scale(), now_ns() - begin);
}

TEST_F(hibernate, saved_bytes_onto_a_stack_that_is_hibernated)
{
	char *room = slot_top(&self->arena, 1) - 8192;
	struct burrow_saved told;

	park(&self->arena, 0, 3, 48);
	park(&self->arena, 1, 3, 16);
	park(&self->arena, 2, 3, 80);
	hibernate_slot(&self->arena, 0, 48);
	hibernate_slot(&self->arena, 1, 16);
	hibernate_slot(&self->arena, 2, 80);
	/* It is hibernated when it is read, and restored when it is written. */
	told = saved_from(&self->arena, 0, 3, room, 4096);
	EXPECT_EQ(3, told.count);
	EXPECT_EQ(3 * 24 + 48 + 16 + 80, told.done);
	EXPECT_TRUE(are_live(room + 24 + 48, 0, 48));
	EXPECT_TRUE(are_live(room + 24 + 48 + 24 + 16, 1, 16));
	EXPECT_TRUE(are_live(room + told.done, 2, 80));
	EXPECT_EQ(1, context_stats(self->fd).restores);
	EXPECT_TRUE(is_whole(&self->arena, 1, 16));
}

/* ---- the collector's side --------------------------------------------------- */

TEST_F(hibernate, a_restored_slot_counts_as_written)
{
	uint64_t bits[8], top = 6 * 64 + 63;

	park(&self->arena, 6, 3, LIVE);
	hibernate_slot(&self->arena, 6, LIVE);
	/* What was written before is reported once. */
	harvest(&self->arena, 0, 512, bits);
	EXPECT_TRUE(bit_set(bits, top));
	EXPECT_EQ(0, harvest(&self->arena, 0, 512, bits));
	EXPECT_TRUE(is_whole(&self->arena, 6, LIVE));
	EXPECT_EQ(1, harvest(&self->arena, 0, 512, bits));
	EXPECT_TRUE(bit_set(bits, top));
	/* It was read only; a harvest restores nothing. */
	EXPECT_EQ(0, harvest(&self->arena, 0, 512, bits));
	hibernate_slot(&self->arena, 6, LIVE);
	EXPECT_EQ(0, harvest(&self->arena, 0, 512, bits));
	EXPECT_EQ(1, context_stats(self->fd).restores);
}

/* ---- many at a time --------------------------------------------------------- */

TEST_F(hibernate, entries_on_the_stacks_that_are_hibernated)
{
	struct burrow_hibernate_entry *entries;
	struct burrow_hibernate *args;
	uint64_t i;

	for (i = 0; i < 96; i++)
		park(&self->arena, i, 4, 100);
	entries = (void *)(slot_top(&self->arena, 0) - 3200);
	args = (void *)(slot_top(&self->arena, 1) - 3200);
	for (i = 0; i < 96; i++)
		entries[i] = (struct burrow_hibernate_entry){
			.slot = i,
			.live = 3200,
		};
	*args = (struct burrow_hibernate){
		.size = sizeof(*args),
		.arena = self->arena.create.arena,
		.count = 96,
		.entries = (uintptr_t)entries,
	};
	EXPECT_EQ(0, call(self->fd, BURROW_IOC_HIBERNATE, args));
	EXPECT_EQ(96, args->done);
	EXPECT_EQ(96 * 4 * PAGE, args->freed);
	EXPECT_EQ(2, context_stats(self->fd).restores);
	for (i = 0; i < 96; i++) {
		EXPECT_EQ((int64_t)(4 * PAGE), entries[i].result);
		EXPECT_TRUE(is_whole(&self->arena, i, 100));
	}
}

TEST_F(hibernate, many_entries)
{
	const unsigned int n = 20000;
	struct burrow_hibernate_entry *entries = calloc(n, sizeof(*entries));
	struct arena arena = stack_arena(self->fd, KIB(16), n);
	struct burrow_hibernate told;
	unsigned int i;

	for (i = 0; i < n; i++) {
		*(uint64_t *)(slot_top(&arena, i) - 8) = i;
		*(uint64_t *)(slot_top(&arena, i) - 304) = ~(uint64_t)i;
		entries[i] = (struct burrow_hibernate_entry){
			.slot = i,
			.live = 304,
		};
	}
	ASSERT_EQ(0, hibernate(&arena, entries, n, &told));
	EXPECT_EQ(n * PAGE, told.freed);
	EXPECT_EQ(n * 304, told.bytes);
	EXPECT_GE(n * 330, context_stats(self->fd).store_bytes);
	for (i = 0; i < n; i++) {
		ASSERT_EQ(i, *(uint64_t *)(slot_top(&arena, i) - 8));
		ASSERT_EQ(~(uint64_t)i,
			  *(uint64_t *)(slot_top(&arena, i) - 304));
	}
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
	free(entries);
}

ARENA_TEST_MAIN
