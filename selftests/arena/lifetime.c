// SPDX-License-Identifier: GPL-2.0
/*
 * How contexts, arenas and their pages end: by unmapping, exit, exec, a kill
 * in the middle of faults; and that nothing is left of them.
 */
#include <dirent.h>
#include <sys/syscall.h>

#include "arena.h"

FIXTURE(lifetime)
{
	int fd;
};

FIXTURE_SETUP(lifetime)
{
	self->fd = context_open();
}

FIXTURE_TEARDOWN(lifetime)
{
	close(self->fd);
}

/* Directories of contexts in debugfs, or -1 without it. */
static int contexts_in_view(void)
{
	DIR *dir = opendir("/sys/kernel/debug/burrow");
	struct dirent *entry;
	int n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static uint64_t user_bytes(int fd)
{
	return context_stats(fd).user_bytes;
}

/* ---- unmapping -------------------------------------------------------------- */

TEST_F(lifetime, pages_go_with_the_last_mapping)
{
	uint64_t before = user_bytes(self->fd), i;
	struct burrow_context_stats stats;
	struct arena stack = stack_arena(self->fd, KIB(256), 32);
	struct arena heap = heap_arena(self->fd, MIB(4));

	for (i = 0; i < 32; i++)
		memset(slot_page(&stack, i, 7), 0xab, 8 * PAGE);
	memset(heap.base, 0xab, MIB(4));
	stack.table[3].word = 77;
	trim_slot(&stack, 0, 0);
	stats = context_stats(self->fd);
	EXPECT_EQ(31 * 8 * PAGE, stats.stack_bytes);
	EXPECT_EQ(8 * PAGE, stats.pool_bytes);
	EXPECT_EQ(PAGE, stats.table_bytes);

	/* All but one piece. */
	munmap(stack.base, MIB(6));
	EXPECT_EQ(31 * 8 * PAGE, context_stats(self->fd).stack_bytes);
	munmap(stack.base + MIB(6), MIB(2));
	EXPECT_EQ(0, context_stats(self->fd).stack_bytes);
	munmap(heap.base, MIB(4));
	EXPECT_EQ(0, context_stats(self->fd).heap_bytes);
	munmap(stack.table, PAGE);
	stats = context_stats(self->fd);
	EXPECT_EQ(0, stats.table_bytes);
	/* With the very last one goes the pool. */
	EXPECT_EQ(0, stats.pool_bytes);
	/* What describes two arenas is a few pages at most. */
	EXPECT_GE(before + 16 * PAGE, stats.user_bytes);

	/* Mapped again, all of it is new. */
	arena_map(&stack);
	arena_map(&heap);
	EXPECT_EQ(0, slot_pages(&stack, 5));
	EXPECT_EQ(0, slot_state(&stack, 5).peak);
	EXPECT_EQ(0, stack.table[3].word);
	poke_read(slot_page(&stack, 5, 7));
	EXPECT_TRUE(is_filled(slot_page(&stack, 5, 7), 0, 8 * PAGE));
	EXPECT_TRUE(is_filled(heap.base, 0, MIB(4)));

	arena_unmap(&stack);
	arena_unmap(&heap);
	EXPECT_EQ(0, arena_destroy(&stack));
	EXPECT_EQ(0, arena_destroy(&heap));
	EXPECT_EQ(before, user_bytes(self->fd));
}

TEST_F(lifetime, destroy_takes_no_mapped_arena)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 32);

	EXPECT_EQ(-EBUSY, arena_destroy(&stack));
	munmap(stack.base, MIB(6));
	EXPECT_EQ(-EBUSY, arena_destroy(&stack));
	munmap(stack.base + MIB(6), MIB(2));
	EXPECT_EQ(-EBUSY, arena_destroy(&stack));
	munmap(stack.table, PAGE);
	EXPECT_EQ(0, arena_destroy(&stack));
	EXPECT_EQ(-ENOENT, arena_destroy(&stack));

	stack = stack_arena(self->fd, KIB(256), 32);
	munmap(stack.table, PAGE);
	EXPECT_EQ(-EBUSY, arena_destroy(&stack));
	munmap(stack.base, MIB(8));
	EXPECT_EQ(0, arena_destroy(&stack));
}

/* The table may be mapped alone, before and after the arena. */
TEST_F(lifetime, a_table_alone)
{
	struct arena stack;

	stack = arena_create(self->fd, (struct burrow_arena_create){
					       .kind = BURROW_ARENA_STACK,
					       .stride = KIB(256),
					       .slots = 8,
				       });
	arena_map_table(&stack);
	stack.table[2].word = 9;
	stack.base = address_space(MIB(2));
	arena_map_piece(&stack, stack.base, 0, MIB(2));
	touch(slot_page(&stack, 2, 3));
	EXPECT_EQ((int64_t)(3 * PAGE), trim_slot(&stack, 2, PAGE));
	munmap(stack.base, MIB(2));
	EXPECT_EQ(9, stack.table[2].word);
	EXPECT_EQ(0, context_stats(self->fd).stack_bytes);
	stack.table[3].word = 1;
	munmap(stack.table, stack.create.table_bytes);
	EXPECT_EQ(0, context_stats(self->fd).table_bytes);
}

/* Stacks that have pages, and where no word is, keep some bytes and none of them. */
static void hibernate_some(const struct arena *arena, uint64_t first,
			   unsigned int n)
{
	struct burrow_hibernate_entry entries[32];
	struct burrow_hibernate args = {
		.size = sizeof(args),
		.arena = arena->create.arena,
		.count = n,
		.entries = (uintptr_t)entries,
	};
	char buffer[8192];
	struct burrow_saved saved = {
		.size = sizeof(saved),
		.arena = arena->create.arena,
		.first = first,
		.slots = n,
		.buffer = (uintptr_t)buffer,
		.bytes = sizeof(buffer),
	};
	unsigned int i;

	for (i = 0; i < n; i++)
		entries[i] = (struct burrow_hibernate_entry){
			.slot = first + i,
			.live = 200 + i * 64,
		};
	if (call(arena->fd, BURROW_IOC_HIBERNATE, &args))
		die("hibernate");
	if (call(arena->fd, BURROW_IOC_SAVED, &saved))
		die("saved");
}

/* Threads fault and call while another unmaps and maps. */
static atomic_bool stop;
static struct arena shared;

static void *calls_all_the_time(void *arg UNUSED)
{
	struct burrow_slot_state states[32];
	struct burrow_trim_entry entries[32];
	uint64_t bits[32];
	unsigned int i;

	while (!stop) {
		struct burrow_slot_info info = {
			.size = sizeof(info),
			.arena = shared.create.arena,
			.count = 32,
			.states = (uintptr_t)states,
		};

		for (i = 0; i < 32; i++)
			entries[i] = (struct burrow_trim_entry){
				.slot = i,
				.keep = PAGE,
			};
		if (trim(&shared, entries, 32, NULL))
			die("trim");
		hibernate_some(&shared, 0, 32);
		if (harvest(&shared, 0, 2048, bits) < 0)
			die("harvest");
		if (call(shared.fd, BURROW_IOC_SLOT_INFO, &info))
			die("info");
		context_drain(shared.fd);
	}
	return NULL;
}

static void *faults_all_the_time(void *arg UNUSED)
{
	unsigned int i = 0;

	fault_catch();
	while (!stop) {
		/* Nothing may be mapped there at this moment. */
		poke_write(slot_page(&shared, i % 32, i % 7));
		i++;
	}
	return NULL;
}

TEST_F(lifetime, unmapped_under_way)
{
	uint64_t end = now_ns() + 2000000000ULL;
	pthread_t threads[3];
	unsigned int rounds = 0, i;
	uint64_t before = user_bytes(self->fd);

	shared = stack_arena(self->fd, KIB(256), 32);
	threads[0] = thread_start(calls_all_the_time, NULL);
	threads[1] = thread_start(faults_all_the_time, NULL);
	threads[2] = thread_start(faults_all_the_time, NULL);
	while (now_ns() < end) {
		/* Whole, or in two steps; the addresses stay reserved. */
		if (rounds++ & 1)
			mmap(shared.base + MIB(2), MIB(2), PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		mmap(shared.base, MIB(8), PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		arena_map_piece(&shared, shared.base, 0, MIB(4));
		arena_map_piece(&shared, shared.base + MIB(4), MIB(4), MIB(4));
		nap_ms(rounds % 4);
	}
	stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_LT(10, rounds);
	arena_unmap(&shared);
	EXPECT_EQ(0, context_stats(self->fd).stack_bytes);
	EXPECT_LT(0, context_stats(self->fd).hibernates);
	EXPECT_EQ(0, context_stats(self->fd).hibernated);
	EXPECT_EQ(0, context_stats(self->fd).store_bytes);
	ASSERT_EQ(0, arena_destroy(&shared));
	EXPECT_EQ(before, user_bytes(self->fd));
}

/* ---- the ends of a process ---------------------------------------------------- */

struct busy {
	struct arena stack, heap;
	unsigned int number;
};

static void *is_busy(void *arg)
{
	struct busy *b = arg;
	uint64_t bits[64], i, random = 88172645463325252ULL + b->number;

	for (;;) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		i = random % 64;
		touch(slot_page(&b->stack, i, random / 64 % 50));
		touch(b->heap.base + random % MIB(8));
		if (random % 5 == 0)
			trim_slot(&b->stack, i, random % KIB(64));
		if (random % 5 == 1)
			hibernate_some(&b->stack, i & ~7UL, 8);
		if (random % 50 == 0)
			heap_release(&b->heap, random % 1024, 256, NULL);
		if (random % 50 == 1)
			harvest(&b->heap, 0, 2048, bits);
	}
	return NULL;
}

static void get_busy(unsigned int threads)
{
	static struct busy busy[4];
	int fd = context_open();
	struct arena stack = stack_arena(fd, KIB(256), 64);
	struct arena heap = heap_arena(fd, MIB(8));
	unsigned int i;

	for (i = 0; i < threads; i++) {
		busy[i] = (struct busy){ stack, heap, i };
		thread_start(is_busy, &busy[i]);
	}
}

static int busy_for_ever(void *arg UNUSED)
{
	get_busy(4);
	return pause();
}

static int busy_and_returns(void *arg)
{
	get_busy(4);
	nap_ms((uintptr_t)arg);
	return 0;
}

static int busy_and_execs(void *arg)
{
	get_busy(4);
	nap_ms((uintptr_t)arg);
	execl("/bin/true", "true", NULL);
	return 1;
}

static int busy_and_overflows(void *arg)
{
	int fd = context_open();
	struct arena stack = stack_arena(fd, KIB(256), 4);

	signal(SIGSEGV, SIG_DFL);
	get_busy(3);
	nap_ms((uintptr_t)arg);
	touch(slot_limit(&stack, 1) - 1);
	return 1;
}

static void expect_nothing_left(struct __test_metadata *_metadata, int fd,
				uint64_t bytes, int contexts)
{
	unsigned int tries;

	/* The last reference to a dead mm may go a little later. */
	for (tries = 0; tries < 200; tries++) {
		if (user_bytes(fd) == bytes && contexts_in_view() == contexts)
			return;
		nap_ms(10);
	}
	EXPECT_EQ(bytes, user_bytes(fd));
	EXPECT_EQ(contexts, contexts_in_view());
}

TEST_F_TIMEOUT(lifetime, killed_in_the_middle_of_faults, 120)
{
	uint64_t bytes = user_bytes(self->fd);
	int contexts = contexts_in_view(), i;
	pid_t pid;

	for (i = 0; i < 15; i++) {
		pid = child_start(busy_for_ever, NULL);
		nap_ms(20 + i * 13 % 100);
		kill(pid, SIGKILL);
		ASSERT_EQ(-SIGKILL, child_status(pid));
	}
	expect_nothing_left(_metadata, self->fd, bytes, contexts);
}

TEST_F_TIMEOUT(lifetime, exit_exec_and_death_in_the_middle_of_faults, 120)
{
	uint64_t bytes = user_bytes(self->fd);
	int contexts = contexts_in_view();
	uintptr_t i;

	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, in_child(busy_and_returns, (void *)(20 + i * 17)));
		ASSERT_EQ(0, in_child(busy_and_execs, (void *)(20 + i * 17)));
		ASSERT_EQ(-SIGSEGV,
			  in_child(busy_and_overflows, (void *)(20 + i * 17)));
	}
	expect_nothing_left(_metadata, self->fd, bytes, contexts);
}

/* ---- two processes -------------------------------------------------------------- */

struct hammer {
	unsigned int pattern;
	unsigned int ms;
};

/* What is found is zero or one's own, whatever the others do. */
static int hammers(void *arg)
{
	struct hammer *h = arg;
	uint64_t end = now_ns() + h->ms * 1000000ULL, round = 0, i, j;
	int fd = context_open();
	struct arena stack = stack_arena(fd, KIB(256), 64);
	struct arena heap = heap_arena(fd, MIB(8));

	while (now_ns() < end) {
		for (i = 0; i < 64; i++) {
			unsigned char *p;

			p = (unsigned char *)slot_page(&stack, i, 15);
			poke_read(p);
			for (j = 0; j < 16 * PAGE; j += 512)
				if (p[j] && p[j] != h->pattern)
					return 1;
			memset(p, h->pattern, 16 * PAGE);
		}
		for (i = 0; i < 256; i++)
			if (!is_filled(heap.base + i * PAGE, 0, PAGE))
				return 2;
		memset(heap.base, h->pattern, 256 * PAGE);
		if (heap_release(&heap, 0, 2048, NULL))
			return 3;
		for (i = 0; i < 64; i++)
			if (trim_slot(&stack, i, 0) != 16 * (int64_t)PAGE)
				return 4;
		if (round++ % 4 == h->pattern % 4)
			context_drain(fd);
	}
	return 0;
}

TEST_F(lifetime, processes_side_by_side)
{
	struct hammer hammers_at[3];
	pid_t pids[3];
	int i;

	for (i = 0; i < 3; i++) {
		hammers_at[i] = (struct hammer){ 0x51 + i, 2500 };
		pids[i] = child_start(hammers, &hammers_at[i]);
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, child_status(pids[i]));
}

/* ---- what is left ----------------------------------------------------------------- */

static uint64_t meminfo_kib(const char *name)
{
	char text[8192], *line;

	if (slurp("/proc/meminfo", text, sizeof(text)) < 0)
		die("/proc/meminfo");
	line = strstr(text, name);
	return line ? strtoull(line + strlen(name) + 1, NULL, 10) : 0;
}

static int uses_a_bit_of_all(void *arg)
{
	int fd = context_open();
	struct arena stack = stack_arena(fd, KIB(256), 512);
	struct arena heap = heap_arena(fd, GIB(64));
	uint64_t i;

	(void)arg;
	for (i = 0; i < 512; i += 8) {
		touch(slot_page(&stack, i, 3));
		stack.table[i].goroutine = i;
		touch(heap.base + i * MIB(64));
		trim_slot(&stack, i, 0);
	}
	return 0;
}

TEST_F_TIMEOUT(lifetime, a_hundred_contexts_leave_nothing, 120)
{
	uint64_t slab = 0, percpu = 0, bytes = user_bytes(self->fd);
	int contexts = contexts_in_view(), i;

	for (i = 0; i < 130; i++) {
		if (i == 30) {
			slab = meminfo_kib("SUnreclaim:");
			percpu = meminfo_kib("Percpu:");
		}
		ASSERT_EQ(0, in_child(uses_a_bit_of_all, NULL));
	}
	expect_nothing_left(_metadata, self->fd, bytes, contexts);
	/* 100 contexts with 150 KiB of records each would be 15 MB. */
	EXPECT_GE(slab + 6000, meminfo_kib("SUnreclaim:"));
	EXPECT_GE(percpu + 1000, meminfo_kib("Percpu:"));
}

TEST_F(lifetime, the_view_is_there_while_the_context_is)
{
	int contexts = contexts_in_view(), fds[10], i;

	if (contexts < 0)
		SKIP(return, "no debugfs here");
	for (i = 0; i < 10; i++)
		fds[i] = context_open_raw();
	EXPECT_EQ(contexts + 10, contexts_in_view());
	for (i = 0; i < 10; i++)
		close(fds[i]);
	EXPECT_EQ(contexts, contexts_in_view());
}

/* ---- the module ------------------------------------------------------------------- */

static void expect_in_use(struct __test_metadata *_metadata)
{
	EXPECT_EQ(-1, syscall(SYS_delete_module, "burrow", O_NONBLOCK));
	EXPECT_TRUE(errno == EWOULDBLOCK || errno == EBUSY)
	TH_LOG("errno %d", errno);
}

TEST_F(lifetime, the_module_stays_while_it_is_used)
{
	struct arena stack;

	if (getuid())
		SKIP(return, "only root unloads modules");
	expect_in_use(_metadata);
	stack = stack_arena(self->fd, KIB(256), 8);
	touch(slot_page(&stack, 0, 0));
	/* A mapping is use enough. */
	close(self->fd);
	expect_in_use(_metadata);
	touch(slot_page(&stack, 0, 9));
	self->fd = context_open();
}

ARENA_TEST_MAIN
