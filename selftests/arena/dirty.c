// SPDX-License-Identifier: GPL-2.0
/*
 * The harvest of written pages: a page that was written is reported, however
 * it was written and whatever else goes on; and a page that was not is not, or
 * a collector would have nothing of it.
 */
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "uring.h"

#define PAGES 4096
#define WORDS (PAGES / 64)

FIXTURE(dirty)
{
	int fd;
	struct arena heap;
	uint64_t bits[WORDS];
};

FIXTURE_SETUP(dirty)
{
	self->fd = context_open();
	self->heap = heap_arena(self->fd, PAGES * PAGE);
}

FIXTURE_TEARDOWN(dirty)
{
	close(self->fd);
}

/* Populated and harvested: from here on only writes count. */
static void settle(struct _test_data_dirty *self)
{
	memset(self->heap.base, 1, PAGES * PAGE);
	if (harvest(&self->heap, 0, PAGES, self->bits) != PAGES)
		die("a harvest of all pages");
}

static char *at_page(struct _test_data_dirty *self, uint64_t page)
{
	return self->heap.base + page * PAGE;
}

/* Exactly @pages are reported, once. */
static void expect_pages(struct __test_metadata *_metadata,
			 struct _test_data_dirty *self,
			 const unsigned int *pages, unsigned int n)
{
	uint64_t want[WORDS] = { 0 };
	unsigned int i;

	for (i = 0; i < n; i++)
		want[pages[i] / 64] |= 1ULL << pages[i] % 64;
	memset(self->bits, 0xff, sizeof(self->bits));
	EXPECT_EQ(n, harvest(&self->heap, 0, PAGES, self->bits));
	for (i = 0; i < WORDS; i++)
		EXPECT_EQ(want[i], self->bits[i])
	TH_LOG("pages from %u on", i * 64);
	EXPECT_EQ(0, harvest(&self->heap, 0, PAGES, self->bits));
	for (i = 0; i < WORDS; i++)
		EXPECT_EQ(0, self->bits[i]);
}

TEST_F(dirty, nothing_yet)
{
	expect_pages(_metadata, self, NULL, 0);
}

TEST_F(dirty, first_writes)
{
	static const unsigned int pages[] = { 0, 3, 63, 64, 511, 512, 4095 };
	unsigned int i;

	for (i = 0; i < COUNT(pages); i++)
		touch(at_page(self, pages[i]));
	expect_pages(_metadata, self, pages, COUNT(pages));
}

TEST_F(dirty, reads_are_no_writes)
{
	unsigned int i;

	settle(self);
	for (i = 0; i < PAGES; i++)
		poke_read(at_page(self, i));
	expect_pages(_metadata, self, NULL, 0);
}

TEST_F(dirty, later_writes)
{
	unsigned int pages[100], i, round;

	settle(self);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < COUNT(pages); i++) {
			pages[i] = i * 40 + (i * round) % 40;
			at_page(self, pages[i])[round * 100 + i] ^= 1;
		}
		expect_pages(_metadata, self, pages, COUNT(pages));
	}
}

TEST_F(dirty, a_range_leaves_the_others_alone)
{
	static const unsigned int out[] = { 63, 192, 4095 };
	static const unsigned int in[] = { 64, 100, 191 };
	uint64_t word[2];
	unsigned int i;

	settle(self);
	for (i = 0; i < 3; i++) {
		touch(at_page(self, in[i]));
		touch(at_page(self, out[i]));
	}
	EXPECT_EQ(3, harvest(&self->heap, 64, 128, word));
	EXPECT_EQ(1ULL << 0 | 1ULL << 36, word[0]);
	EXPECT_EQ(1ULL << 63, word[1]);
	expect_pages(_metadata, self, out, COUNT(out));
}

TEST_F(dirty, released_pages_come_back_clean)
{
	static const unsigned int pages[] = { 77 };

	memset(self->heap.base, 1, PAGES * PAGE);
	ASSERT_EQ(0, heap_release(&self->heap, 0, PAGES, NULL));
	poke_read(at_page(self, 70));
	touch(at_page(self, 77));
	expect_pages(_metadata, self, pages, 1);
}

TEST_F(dirty, the_bitmap_may_be_on_the_arena_itself)
{
	uint64_t *bits = (uint64_t *)at_page(self, 1000);

	settle(self);
	touch(at_page(self, 9));
	EXPECT_EQ(1, harvest(&self->heap, 0, PAGES, bits));
	EXPECT_EQ(1ULL << 9, bits[0]);
	/* And writing it was a write. */
	EXPECT_LE(1, harvest(&self->heap, 0, PAGES, self->bits));
	EXPECT_TRUE(bit_set(self->bits, 1000));
}

/* ---- all ways to write ------------------------------------------------------- */

static const unsigned int one_page[] = { 700 };

TEST_F(dirty, by_read)
{
	int file = memfd_create("burrow-test", 0);
	char text[PAGE] = "file";

	ASSERT_EQ(PAGE, write(file, text, PAGE));
	settle(self);
	ASSERT_EQ(PAGE, pread(file, at_page(self, 700), PAGE, 0));
	expect_pages(_metadata, self, one_page, 1);
	close(file);
}

struct other {
	pid_t owner;
	char *at;
};

static int by_process_vm(void *arg)
{
	struct other *o = arg;
	struct iovec local = { "vm", 2 }, remote = { o->at, 2 };

	return process_vm_writev(o->owner, &local, 1, &remote, 1, 0) != 2;
}

static int by_proc_mem(void *arg)
{
	struct other *o = arg;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", o->owner);
	fd = open(path, O_RDWR);
	return pwrite(fd, "mem", 3, (uintptr_t)o->at) != 3;
}

static int by_ptrace(void *arg)
{
	struct other *o = arg;
	int status;

	if (ptrace(PTRACE_ATTACH, o->owner, 0, 0) ||
	    waitpid(o->owner, &status, 0) != o->owner)
		return 1;
	if (ptrace(PTRACE_POKEDATA, o->owner, o->at, 12345L))
		return 2;
	return ptrace(PTRACE_DETACH, o->owner, 0, 0) ? 3 : 0;
}

/* Writes through get_user_pages() set no bit in the page table. */
TEST_F(dirty, by_other_processes)
{
	int (*const ways[])(void *) = { by_process_vm, by_proc_mem, by_ptrace };
	struct other o = { .owner = getpid(), .at = at_page(self, 700) };
	unsigned int i, again;

	settle(self);
	for (i = 0; i < COUNT(ways); i++) {
		/* Every write counts, the second as well as the first. */
		for (again = 0; again < 3; again++) {
			ASSERT_EQ(0, in_child(ways[i], &o));
			expect_pages(_metadata, self, one_page, 1);
		}
	}
}

TEST_F(dirty, by_io_uring)
{
	int file = memfd_create("burrow-test", 0);
	char text[PAGE] = "file";
	struct uring u;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	ASSERT_EQ(PAGE, write(file, text, PAGE));
	settle(self);
	ASSERT_EQ(PAGE, uring_do(&u, IORING_OP_READ, file, at_page(self, 700),
				 PAGE, 0));
	expect_pages(_metadata, self, one_page, 1);
	u.async = true;
	ASSERT_EQ(PAGE, uring_do(&u, IORING_OP_READ, file, at_page(self, 700),
				 PAGE, 0));
	expect_pages(_metadata, self, one_page, 1);
	close(file);
}

/*
 * A block device of memory, where the kernel has one: direct reads from it pin
 * the pages and mark them when they are done. (Direct I/O by 9p does not.)
 */
TEST_F(dirty, by_direct_io)
{
	int file = open("/dev/ram0", O_RDWR | O_DIRECT), i;

	if (file < 0)
		SKIP(return, "no /dev/ram0 here");
	settle(self);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(PAGE, pread(file, at_page(self, 700), PAGE, 0));
		expect_pages(_metadata, self, one_page, 1);
	}
	close(file);
}

/* ---- pages that somebody holds ------------------------------------------------ */

TEST_F(dirty, a_held_page_counts_as_written)
{
	struct iovec iov = { at_page(self, 700), PAGE };
	char text[PAGE];
	int pair[2], i;

	settle(self);
	ASSERT_EQ(0, pipe(pair));
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(1, harvest(&self->heap, 0, PAGES, self->bits));
		EXPECT_TRUE(bit_set(self->bits, 700));
	}
	ASSERT_EQ(PAGE, read(pair[0], text, PAGE));
	/* Once more at most, for what was written while it was held. */
	harvest(&self->heap, 0, PAGES, self->bits);
	expect_pages(_metadata, self, NULL, 0);
}

/* It has no page table entry for a while, and is held all the same. */
TEST_F(dirty, a_held_page_that_is_not_mapped)
{
	struct iovec iov = { at_page(self, 700), PAGE };
	int pair[2], i;

	settle(self);
	ASSERT_EQ(0, pipe(pair));
	ASSERT_EQ(PAGE, vmsplice(pair[1], &iov, 1, 0));
	ASSERT_EQ(0, madvise(at_page(self, 700), PAGE, MADV_DONTNEED));
	for (i = 0; i < 3; i++) {
		EXPECT_LE(1, harvest(&self->heap, 0, PAGES, self->bits));
		EXPECT_TRUE(bit_set(self->bits, 700));
	}
}

TEST_F(dirty, a_registered_buffer)
{
	struct uring u;
	int pair[2], i, err;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	settle(self);
	err = uring_register(&u, at_page(self, 700), PAGE);
	if (err == -EOPNOTSUPP)
		SKIP(return, "this kernel registers no buffers of files");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, pipe(pair));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(3, write(pair[1], "abc", 3));
		ASSERT_EQ(3, uring_do(&u, IORING_OP_READ_FIXED, pair[0],
				      at_page(self, 700), PAGE, -1));
		EXPECT_LE(1, harvest(&self->heap, 0, PAGES, self->bits));
		EXPECT_TRUE(bit_set(self->bits, 700));
	}
	EXPECT_EQ(0, uring_unregister(&u));
	harvest(&self->heap, 0, PAGES, self->bits);
	expect_pages(_metadata, self, NULL, 0);
}

/* What was written while it was registered is told when it is no more. */
TEST_F(dirty, a_buffer_that_was_registered)
{
	struct uring u;
	int pair[2], err;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	settle(self);
	err = uring_register(&u, at_page(self, 700), PAGE);
	if (err == -EOPNOTSUPP)
		SKIP(return, "this kernel registers no buffers of files");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, pipe(pair));
	harvest(&self->heap, 0, PAGES, self->bits);
	ASSERT_EQ(3, write(pair[1], "abc", 3));
	ASSERT_EQ(3, uring_do(&u, IORING_OP_READ_FIXED, pair[0],
			      at_page(self, 700), PAGE, -1));
	EXPECT_EQ(0, uring_unregister(&u));
	EXPECT_LE(1, harvest(&self->heap, 0, PAGES, self->bits));
	EXPECT_TRUE(bit_set(self->bits, 700));
	harvest(&self->heap, 0, PAGES, self->bits);
	expect_pages(_metadata, self, NULL, 0);
}

/* Registered, written and given back between two harvests. */
TEST_F(dirty, a_buffer_registered_for_a_moment)
{
	struct uring u;
	int pair[2], err;

	if (uring_open(&u))
		SKIP(return, "io_uring is not allowed here");
	settle(self);
	ASSERT_EQ(0, pipe(pair));
	ASSERT_EQ(3, write(pair[1], "abc", 3));
	err = uring_register(&u, at_page(self, 700), PAGE);
	if (err == -EOPNOTSUPP)
		SKIP(return, "this kernel registers no buffers of files");
	ASSERT_EQ(0, err);
	ASSERT_EQ(3, uring_do(&u, IORING_OP_READ_FIXED, pair[0],
			      at_page(self, 700), PAGE, -1));
	EXPECT_EQ(0, uring_unregister(&u));
	EXPECT_LE(1, harvest(&self->heap, 0, PAGES, self->bits));
	EXPECT_TRUE(bit_set(self->bits, 700));
}

/* ---- page tables that change ---------------------------------------------------- */

TEST_F(dirty, entries_that_were_taken_away)
{
	settle(self);
	touch(at_page(self, 700));
	ASSERT_EQ(0, madvise(at_page(self, 690), 20 * PAGE, MADV_DONTNEED));
	expect_pages(_metadata, self, one_page, 1);
	touch(at_page(self, 700));
	expect_pages(_metadata, self, one_page, 1);
}

TEST_F(dirty, a_piece_that_is_mapped_anew)
{
	static const unsigned int pages[] = { 513 };

	settle(self);
	touch(at_page(self, 513));
	ASSERT_EQ(0, munmap(at_page(self, 512), MIB(2)));
	arena_map_piece(&self->heap, at_page(self, 512), MIB(2), MIB(2));
	expect_pages(_metadata, self, pages, 1);
	EXPECT_EQ(1, *at_page(self, 513));
	touch(at_page(self, 513));
	expect_pages(_metadata, self, pages, 1);
}

TEST_F(dirty, protection_that_changes)
{
	settle(self);
	touch(at_page(self, 700));
	ASSERT_EQ(0, mprotect(self->heap.base, PAGES * PAGE, PROT_READ));
	expect_pages(_metadata, self, one_page, 1);
	EXPECT_EQ(SIGSEGV, poke_write(at_page(self, 700)));
	ASSERT_EQ(0, mprotect(self->heap.base, PAGES * PAGE,
			      PROT_READ | PROT_WRITE));
	expect_pages(_metadata, self, NULL, 0);
	touch(at_page(self, 700));
	expect_pages(_metadata, self, one_page, 1);
}

/* Checkpointing tools clear soft-dirty bits, which write-protects. */
TEST_F(dirty, soft_dirty_bits_that_are_cleared)
{
	settle(self);
	if (spew("/proc/self/clear_refs", "4"))
		SKIP(return, "no soft-dirty bits here");
	touch(at_page(self, 700));
	expect_pages(_metadata, self, one_page, 1);
	touch(at_page(self, 700));
	expect_pages(_metadata, self, one_page, 1);
}

TEST_F(dirty, a_second_mapping)
{
	char *second = address_space(PAGES * PAGE);

	settle(self);
	if (mmap(second, PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, self->fd,
		 self->heap.create.offset) == MAP_FAILED)
		SKIP(return, "the module allows no second mapping");
	second[700 * PAGE] = 42;
	EXPECT_LE(1, harvest(&self->heap, 0, PAGES, self->bits));
	EXPECT_TRUE(bit_set(self->bits, 700));
	EXPECT_EQ(42, *at_page(self, 700));
}

/* ---- errors ---------------------------------------------------------------------- */

TEST_F(dirty, a_bitmap_that_cannot_be_written_forgets_nothing)
{
	static const unsigned int pages[] = { 0, 5, 64, 2000, 4095 };
	char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	munmap(edge + PAGE, PAGE);
	settle(self);
	for (i = 0; i < COUNT(pages); i++)
		touch(at_page(self, pages[i]));
	EXPECT_EQ(-EFAULT, harvest(&self->heap, 0, PAGES, NULL));
	EXPECT_EQ(-EFAULT, harvest(&self->heap, 0, PAGES, (void *)-64L));
	EXPECT_EQ(-EFAULT, harvest(&self->heap, 0, PAGES,
				   (uint64_t *)(edge + PAGE - 8)));
	EXPECT_EQ(-EFAULT, harvest(&self->heap, 0, PAGES,
				   (uint64_t *)(edge + PAGE - 16)));
	expect_pages(_metadata, self, pages, COUNT(pages));
}

/* A bitmap whose end is missing: what was not delivered comes next time. */
TEST_F(dirty, a_bitmap_that_ends_half_way)
{
	const uint64_t pages = GIB(1) / PAGE, half = pages / 2;
	struct arena arena = heap_arena(self->fd, GIB(1));
	char *map = mmap(NULL, pages / 8 + PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct burrow_dirty args = {
		.size = sizeof(args),
		.arena = arena.create.arena,
		.pages = pages,
		.bitmap = (uintptr_t)map,
	};
	uint64_t *bits = calloc(pages / 64, 8), page, missed = 0;

	munmap(map + half / 8, PAGE + pages / 8 - half / 8);
	for (page = 0; page < pages; page += 1000)
		touch(arena.base + page * PAGE);
	EXPECT_EQ(-EFAULT, call(self->fd, BURROW_IOC_DIRTY, &args));
	EXPECT_LE(args.done, half);
	harvest(&arena, 0, pages, bits);
	for (page = 0; page < pages; page += 1000)
		if (!bit_set(bits, page) &&
		    !(page < args.done && bit_set((uint64_t *)map, page)))
			missed++;
	EXPECT_EQ(0, missed);
	free(bits);
}

/* ---- large arenas ----------------------------------------------------------------- */

TEST_F(dirty, large_and_sparse)
{
	static const uint64_t sizes[] = { GIB(1024) * 16, GIB(1024) * 64 };
	const uint64_t window = GIB(64) / PAGE;
	uint64_t *bits = malloc(window / 8), begin, first;
	struct arena arena;
	size_t i;

	for (i = 0; i < COUNT(sizes); i++) {
		arena = heap_arena(self->fd, sizes[i]);
		first = sizes[i] / PAGE - window;
		touch(arena.base + first * PAGE + GIB(40));
		touch(arena.base + 12345 * PAGE);
		begin = now_ns();
		EXPECT_EQ(1, harvest(&arena, first, window, bits));
		EXPECT_TRUE(bit_set(bits, GIB(40) / PAGE));
		EXPECT_EQ(1, harvest(&arena, 0, window, bits));
		EXPECT_TRUE(bit_set(bits, 12345));
		EXPECT_EQ(0, harvest(&arena, 0, window, bits));
		EXPECT_GT(3000000000ULL * time_scale(), now_ns() - begin);
		arena_unmap(&arena);
	}
	free(bits);
}

/* ---- stacks ------------------------------------------------------------------------ */

static uint64_t stack_page_number(const struct arena *stack, char *at)
{
	return (at - stack->base) / PAGE;
}

TEST_F(dirty, stacks_too)
{
	static const uint64_t strides[] = { KIB(16), KIB(64), MIB(2), MIB(16) };
	struct arena stack;
	uint64_t *bits, pages, slot, n;
	size_t i;

	for (i = 0; i < COUNT(strides); i++) {
		stack = stack_arena(self->fd, strides[i], 20);
		pages = stack.create.bytes / PAGE;
		bits = calloc(pages / 64, 8);
		for (slot = 0; slot < 20; slot++)
			touch(slot_page(&stack, slot, slot % 2));
		EXPECT_EQ(20, harvest(&stack, 0, pages, bits));
		for (slot = 0; slot < 20; slot++)
			EXPECT_TRUE(bit_set(
				bits, stack_page_number(&stack,
							slot_page(&stack, slot,
								  slot % 2))));
		EXPECT_EQ(0, harvest(&stack, 0, pages, bits));

		touch(slot_page(&stack, 7, 0));
		EXPECT_EQ(1, harvest(&stack, 0, pages, bits));
		n = stack_page_number(&stack, slot_page(&stack, 7, 0));
		EXPECT_TRUE(bit_set(bits, n));
		free(bits);
		arena_unmap(&stack);
	}
}

/* Kept pages go out of the page table and in again while neighbours go. */
TEST_F(dirty, trims_lose_no_write)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 64);
	struct burrow_trim_entry entries[64];
	uint64_t bits[64 * 64 / 64], slot, n;

	for (slot = 0; slot < 64; slot++) {
		touch(slot_page(&stack, slot, 9));
		entries[slot] = (struct burrow_trim_entry){
			.slot = slot,
			.keep = (1 + slot / 16) * PAGE,
		};
	}
	harvest(&stack, 0, 64 * 64, bits);
	for (slot = 0; slot < 64; slot++)
		touch(slot_page(&stack, slot, 0));
	ASSERT_EQ(0, trim(&stack, entries, 64, NULL));
	EXPECT_LE(64, harvest(&stack, 0, 64 * 64, bits));
	for (slot = 0; slot < 64; slot++)
		EXPECT_TRUE(bit_set(
			bits,
			stack_page_number(&stack, slot_page(&stack, slot, 0))));
	/* A page that was there before, for somebody else, is new here. */
	for (slot = 0; slot < 64; slot++)
		touch(slot_page(&stack, slot, 9));
	harvest(&stack, 0, 64 * 64, bits);
	for (slot = 0; slot < 64; slot++) {
		n = stack_page_number(&stack, slot_page(&stack, slot, 9));
		EXPECT_TRUE(bit_set(bits, n));
	}
}

/* ---- writers that do not stop ------------------------------------------------------- */

/*
 * Threads write all the time, by the processor and through the kernel, while
 * others disturb the page table. A shadow copy takes over the pages of each
 * harvest, as a collector would scan them; when the writers pause and a last
 * harvest is in, it must be equal to the arena.
 */
#define RACE_PAGES 1024

struct race {
	struct arena *arena;
	char *base; /* of the pages that are written */
	uint64_t first; /* the first one's number in the arena */
	uint64_t stride; /* bytes from one written page to the next */
	unsigned int pages;
	pthread_rwlock_t pause;
	atomic_bool stop;
	atomic_ulong writes, disturbed;
	void (*disturb)(struct race *r, unsigned int round);
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t *race_word(struct race *r, uint64_t random, unsigned int lane)
{
	return (uint64_t *)(r->base + random % r->pages * r->stride) + lane;
}

static void *writes_by_processor(void *arg)
{
	struct race *r = arg;
	uint64_t random = 12345;
	unsigned int i;

	while (!r->stop) {
		pthread_rwlock_rdlock(&r->pause);
		for (i = 0; i < 40; i++) {
			*race_word(r, next_random(&random), 3) = random;
			atomic_fetch_add(&r->writes, 1);
		}
		pthread_rwlock_unlock(&r->pause);
		sched_yield();
	}
	return NULL;
}

static void *writes_by_kernel(void *arg)
{
	struct race *r = arg;
	uint64_t random = 67890;
	unsigned int i;

	while (!r->stop) {
		pthread_rwlock_rdlock(&r->pause);
		for (i = 0; i < 20; i++) {
			uint64_t value = next_random(&random);
			struct iovec local = { &value, 8 };
			struct iovec remote = { race_word(r, value, 5), 8 };

			if (process_vm_writev(getpid(), &local, 1, &remote, 1,
					      0) != 8)
				die("process_vm_writev");
			atomic_fetch_add(&r->writes, 1);
		}
		pthread_rwlock_unlock(&r->pause);
		sched_yield();
	}
	return NULL;
}

/* Never pauses: what was written before a harvest is in it all the same. */
static void *disturbs(void *arg)
{
	struct race *r = arg;
	unsigned int round = 0;

	while (!r->stop) {
		r->disturb(r, round++);
		atomic_fetch_add(&r->disturbed, 1);
		sched_yield();
	}
	return NULL;
}

static void take_over(struct race *r, char *shadow, uint64_t *bits,
		      uint64_t words)
{
	uint64_t step = r->stride / PAGE, i;

	if (harvest(r->arena, 0, words * 64, bits) < 0)
		die("harvest");
	for (i = 0; i < r->pages; i++)
		if (bit_set(bits, r->first + i * step))
			memcpy(shadow + i * PAGE, r->base + i * r->stride,
			       PAGE);
}

static unsigned long differences(struct race *r, const char *shadow)
{
	unsigned long n = 0;
	unsigned int i;

	for (i = 0; i < r->pages; i++)
		n += !!memcmp(shadow + i * PAGE, r->base + i * r->stride, PAGE);
	return n;
}

static void run_race(struct __test_metadata *_metadata, struct race *r,
		     unsigned int seconds)
{
	uint64_t words = r->arena->create.bytes / PAGE / 64;
	uint64_t *bits = calloc(words, 8), end;
	char *shadow = calloc(r->pages, PAGE);
	unsigned long missed = 0, epochs = 0;
	pthread_rwlockattr_t fair;
	pthread_t threads[3];
	unsigned int i, j;

	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(
		&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&r->pause, &fair);
	for (i = 0; i < r->pages; i++)
		memset(r->base + i * r->stride, 0, PAGE);
	take_over(r, shadow, bits, words);
	threads[0] = thread_start(writes_by_processor, r);
	threads[1] = thread_start(writes_by_kernel, r);
	if (r->disturb)
		threads[2] = thread_start(disturbs, r);

	end = now_ns() + seconds * 1000000000ULL;
	/* However slow the machine, a few of them make a race. */
	while ((now_ns() < end || epochs <= 10) && !missed) {
		for (j = 0; j < 3; j++, epochs++)
			take_over(r, shadow, bits, words);
		pthread_rwlock_wrlock(&r->pause);
		take_over(r, shadow, bits, words);
		missed = differences(r, shadow);
		pthread_rwlock_unlock(&r->pause);
	}
	r->stop = true;
	for (i = 0; i < (r->disturb ? 3 : 2); i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu epochs, %lu writes, %lu disturbances, %lu missed", epochs,
	       r->writes, r->disturbed, missed);
	EXPECT_EQ(0, missed);
	EXPECT_LT(10, epochs);
	EXPECT_LT(1000, r->writes);
	free(bits);
	free(shadow);
}

TEST_F_TIMEOUT(dirty, no_write_is_missed, 3600)
{
	struct race r = {
		.arena = &self->heap,
		.base = self->heap.base,
		.stride = PAGE,
		.pages = RACE_PAGES,
	};

	run_race(_metadata, &r, seconds_of_stress(3));
}

static void zap_some(struct race *r, unsigned int round)
{
	madvise(r->base + round * 37 % (RACE_PAGES - 32) * PAGE, 32 * PAGE,
		MADV_DONTNEED);
}

TEST_F_TIMEOUT(dirty, none_while_entries_are_taken_away, 3600)
{
	struct race r = {
		.arena = &self->heap,
		.base = self->heap.base,
		.stride = PAGE,
		.pages = RACE_PAGES,
		.disturb = zap_some,
	};

	run_race(_metadata, &r, seconds_of_stress(3));
	EXPECT_LT(0, r.disturbed);
}

/* Grow each stack of a run by some pages, and trim it to the written one. */
static void trim_some(struct race *r, unsigned int round)
{
	struct burrow_trim_entry entries[16];
	uint64_t first = round * 5 % (64 - 16), i;

	for (i = 0; i < 16; i++) {
		touch(slot_page(r->arena, first + i, 1 + round % 3));
		entries[i] = (struct burrow_trim_entry){
			.slot = first + i,
			.keep = PAGE,
		};
	}
	if (trim(r->arena, entries, 16, NULL))
		die("trim");
}

TEST_F_TIMEOUT(dirty, none_while_stacks_are_trimmed, 3600)
{
	struct arena stack = stack_arena(self->fd, KIB(256), 64);
	struct race r = {
		.arena = &stack,
		.base = slot_page(&stack, 0, 0),
		.first = KIB(256) / PAGE - 1,
		.stride = KIB(256),
		.pages = 64,
		.disturb = trim_some,
	};

	run_race(_metadata, &r, seconds_of_stress(3));
	EXPECT_LT(0, r.disturbed);
}

ARENA_TEST_MAIN
