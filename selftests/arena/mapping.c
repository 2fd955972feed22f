// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of arenas: which are refused, and what a process may do to those
 * that it has without harm to what is in them.
 */
#include <linux/userfaultfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "arena.h"

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define RW (PROT_READ | PROT_WRITE)

FIXTURE(mapping)
{
	int fd;
	struct arena stack; /* 32 slots of 256 KiB, four blocks */
	struct arena heap; /* four blocks */
};

FIXTURE_SETUP(mapping)
{
	self->fd = context_open();
	self->stack = stack_arena(self->fd, KIB(256), 32);
	self->heap = heap_arena(self->fd, MIB(8));
	fault_catch();
}

FIXTURE_TEARDOWN(mapping)
{
	close(self->fd);
}

/* ---- what is refused ---------------------------------------------------------- */

static int try_map(char *at, uint64_t bytes, int prot, int flags, int fd,
		   uint64_t offset)
{
	void *p = mmap(at, bytes, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, bytes);
	return 0;
}

TEST_F(mapping, private_ones)
{
	uint64_t offset = self->heap.create.offset;
	char *at = address_space(MIB(8));

	EXPECT_EQ(-EINVAL, try_map(at, MIB(8), RW, MAP_PRIVATE | MAP_FIXED,
				   self->fd, offset));
	EXPECT_EQ(-EINVAL, try_map(at, MIB(8), PROT_READ,
				   MAP_PRIVATE | MAP_FIXED, self->fd, offset));
	EXPECT_EQ(0, try_map(at, MIB(8), RW, MAP_SHARED | MAP_FIXED, self->fd,
			     offset));
}

TEST_F(mapping, executable_ones)
{
	uint64_t offset = self->heap.create.offset;
	char *at = address_space(MIB(8));

	EXPECT_EQ(-EACCES, try_map(at, MIB(8), RW | PROT_EXEC,
				   MAP_SHARED | MAP_FIXED, self->fd, offset));
	EXPECT_EQ(-EACCES, try_map(at, MIB(8), PROT_EXEC,
				   MAP_SHARED | MAP_FIXED, self->fd, offset));
	EXPECT_EQ(-1, mprotect(self->heap.base, MIB(2), PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->stack.base, MIB(8), RW | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(self->stack.table, PAGE, RW | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(mapping, offsets_lengths_and_addresses_that_do_not_fit)
{
	const uint64_t heap = self->heap.create.offset;
	const struct {
		uint64_t shift, bytes, offset;
	} wrong[] = {
		{ 0, PAGE, heap },
		{ 0, MIB(1), heap },
		{ 0, MIB(3), heap },
		{ 0, MIB(2) + PAGE, heap },
		{ 0, MIB(2), heap + PAGE },
		{ PAGE, MIB(2), heap + PAGE },
		{ 0, MIB(2), heap + MIB(1) },
		{ PAGE, MIB(2), heap },
		{ MIB(1), MIB(2), heap },
		{ 0, MIB(10), heap },
		{ 0, MIB(8), heap + MIB(2) },
		{ 0, MIB(2), heap + MIB(8) },
		{ 0, MIB(2), heap - MIB(2) },
		{ 0, MIB(2), 0 },
		{ 0, MIB(2), MIB(2) },
		{ 0, MIB(2), 3ULL << 47 },
		{ 0, MIB(2), 1ULL << 62 },
		{ 0, MIB(2), (1ULL << 62) - MIB(2) },
		{ 0, MIB(2), (1ULL << 63) - MIB(2) },
		{ 0, MIB(2), 1ULL << 63 },
		{ 0, MIB(2), -MIB(2) },
		{ 0, MIB(2), 257ULL << 47 },
		{ 0, MIB(2), self->stack.create.table_offset },
		{ 0, 2 * PAGE, self->stack.create.table_offset },
		{ 0, PAGE, self->stack.create.table_offset + PAGE },
		/* A heap has no table. */
		{ 0, PAGE,
		  heap + self->stack.create.table_offset -
			  self->stack.create.offset },
	};
	char *at = address_space(MIB(16));
	size_t i;
	int err;

	for (i = 0; i < COUNT(wrong); i++) {
		err = try_map(at + wrong[i].shift, wrong[i].bytes, RW,
			      MAP_SHARED | MAP_FIXED, self->fd,
			      wrong[i].offset);
		EXPECT_TRUE(err == -EINVAL || err == -EOVERFLOW)
		TH_LOG("mapping %zu: %d", i, err);
	}
	/* And the table, at any page. */
	EXPECT_EQ(0, try_map(at + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED,
			     self->fd, self->stack.create.table_offset));
	EXPECT_EQ(0, try_map(at, MIB(2), RW, MAP_SHARED | MAP_FIXED, self->fd,
			     heap + MIB(6)));
}

TEST_F(mapping, a_descriptor_for_reading_maps_nothing)
{
	int fd = open(DEVICE, O_RDONLY | O_CLOEXEC);
	struct arena heap;
	char *at = address_space(MIB(2));

	ASSERT_LE(0, fd);
	context_version(fd);
	heap = arena_create(fd, (struct burrow_arena_create){
					.kind = BURROW_ARENA_HEAP,
					.bytes = MIB(2),
				});
	EXPECT_EQ(-EACCES, try_map(at, MIB(2), RW, MAP_SHARED | MAP_FIXED, fd,
				   heap.create.offset));
	/* The core makes a private mapping of such a shared one. */
	EXPECT_EQ(-EINVAL,
		  try_map(at, MIB(2), PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			  heap.create.offset));
	close(fd);
}

/* ---- what may be done --------------------------------------------------------- */

/* A pattern in all of both arenas that later must be there still. */
static void fill_both(struct _test_data_mapping *self)
{
	uint64_t slot, d, page;

	for (slot = 0; slot < 32; slot++) {
		touch(slot_page(&self->stack, slot, 7));
		for (d = 0; d < 8; d++)
			memset(slot_page(&self->stack, slot, d),
			       1 + slot * 8 % 200 + d, PAGE);
	}
	for (page = 0; page < 2048; page++)
		memset(self->heap.base + page * PAGE, 1 + page % 200, PAGE);
}

static bool slot_is_whole(struct _test_data_mapping *self, uint64_t slot)
{
	uint64_t d;

	for (d = 0; d < 8; d++)
		if (!is_filled(slot_page(&self->stack, slot, d),
			       1 + slot * 8 % 200 + d, PAGE))
			return false;
	return true;
}

static bool heap_is_whole(struct _test_data_mapping *self, uint64_t first,
			  uint64_t pages)
{
	uint64_t page;

	for (page = first; page < first + pages; page++)
		if (!is_filled(self->heap.base + page * PAGE, 1 + page % 200,
			       PAGE))
			return false;
	return true;
}

static bool both_are_whole(struct _test_data_mapping *self)
{
	uint64_t slot;

	for (slot = 0; slot < 32; slot++)
		if (!slot_is_whole(self, slot))
			return false;
	return heap_is_whole(self, 0, 2048);
}

TEST_F(mapping, dontneed_forgets_nothing)
{
	fill_both(self);
	ASSERT_EQ(0, madvise(self->stack.base, MIB(8), MADV_DONTNEED));
	ASSERT_EQ(0, madvise(self->heap.base, MIB(8), MADV_DONTNEED));
	EXPECT_TRUE(both_are_whole(self));
	EXPECT_EQ(32 * 8 * PAGE, context_stats(self->fd).stack_bytes);
	EXPECT_EQ(MIB(8), context_stats(self->fd).heap_bytes);
}

TEST_F(mapping, a_hole_in_the_middle_of_a_slot)
{
	char *hole = slot_page(&self->stack, 9, 5);

	fill_both(self);
	ASSERT_EQ(0, munmap(hole, 3 * PAGE)); /* depths 3, 4 and 5 */
	EXPECT_EQ(SIGSEGV, poke_read(hole));
	EXPECT_EQ(SIGSEGV, poke_write(hole + 2 * PAGE));
	EXPECT_TRUE(slot_is_whole(self, 8));
	EXPECT_TRUE(slot_is_whole(self, 10));
	EXPECT_EQ(2, *slot_page(&self->stack, 9, 0) -
			     *slot_page(&self->stack, 0, 0) - 70);
	/* Growing below the hole works, and is clamped to what is mapped. */
	EXPECT_EQ(0, poke_write(slot_page(&self->stack, 9, 20)));
	EXPECT_EQ(SIGSEGV, poke_write(hole));
	EXPECT_EQ(21, slot_pages(&self->stack, 9));
	/* So does a slot that first grows when it has a hole. */
	trim_slot(&self->stack, 9, 0);
	EXPECT_EQ(0, poke_write(slot_page(&self->stack, 9, 20)));
	EXPECT_EQ(0, poke_write(slot_page(&self->stack, 9, 0)));
	EXPECT_EQ(SIGSEGV, poke_write(hole));
	/* Mapped again, whatever is in the hole is the slot's own. */
	arena_map_piece(&self->stack, self->stack.base + MIB(2), MIB(2),
			MIB(2));
	EXPECT_EQ(0, poke_write(hole));
	EXPECT_TRUE(slot_is_whole(self, 8));
}

TEST_F(mapping, something_else_over_the_middle)
{
	char *at = slot_page(&self->stack, 9, 4);

	fill_both(self);
	ASSERT_EQ(at, mmap(at, 2 * PAGE, RW,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(at, 0xdd, 2 * PAGE);
	trim_slot(&self->stack, 8, 0);
	trim_slot(&self->stack, 9, 2 * PAGE);
	trim_slot(&self->stack, 10, 0);
	EXPECT_TRUE(is_filled(at, 0xdd, 2 * PAGE));
	EXPECT_EQ(0, poke_write(slot_page(&self->stack, 9, 7)));
	EXPECT_TRUE(is_filled(at, 0xdd, 2 * PAGE));

	at = self->heap.base + MIB(2);
	ASSERT_EQ(at, mmap(at, MIB(2), RW,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	memset(at, 0xdd, MIB(2));
	EXPECT_EQ(0, heap_release(&self->heap, 0, 2048, NULL));
	EXPECT_TRUE(is_filled(at, 0xdd, MIB(2)));
	touch(at - PAGE);
	touch(at + MIB(2));
	EXPECT_TRUE(is_filled(at, 0xdd, MIB(2)));
}

TEST_F(mapping, mremap)
{
	char *elsewhere = address_space(MIB(16));

	fill_both(self);
	EXPECT_EQ(MAP_FAILED,
		  mremap(self->heap.base, MIB(8), MIB(16), MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(self->heap.base, MIB(8), MIB(8),
				     MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
	EXPECT_EQ(MAP_FAILED, mremap(self->stack.base, MIB(2), MIB(2),
				     MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
	EXPECT_EQ(MAP_FAILED,
		  mremap(self->stack.base + KIB(64), KIB(64), KIB(64),
			 MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
	EXPECT_EQ(MAP_FAILED,
		  mremap(self->stack.base, MIB(2), MIB(2),
			 MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
			 elsewhere));
	/* A length of 0 would make a second mapping. */
	EXPECT_EQ(MAP_FAILED,
		  mremap(self->heap.base, 0, MIB(8), MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED,
		  mremap(self->stack.table, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	EXPECT_TRUE(both_are_whole(self));

	/* Less is an munmap() of the rest. */
	if (mremap(self->heap.base, MIB(8), MIB(6), 0) != MAP_FAILED) {
		EXPECT_EQ(SIGSEGV, poke_read(self->heap.base + MIB(6)));
		EXPECT_TRUE(heap_is_whole(self, 0, 1536));
		arena_map_piece(&self->heap, self->heap.base + MIB(6), MIB(6),
				MIB(2));
	}
	EXPECT_TRUE(both_are_whole(self));
}

TEST_F(mapping, protection_of_parts)
{
	char *at = slot_page(&self->stack, 3, 7), byte = 7;
	int null = open("/dev/zero", O_RDWR);
	struct fault f;

	fill_both(self);
	ASSERT_EQ(0, mprotect(at, 4 * PAGE, PROT_NONE));
	f = poke(at + 100, false, &byte);
	EXPECT_EQ(SIGSEGV, f.sig);
	EXPECT_EQ(SEGV_ACCERR, f.code);
	EXPECT_EQ(at + 100, f.addr);
	EXPECT_EQ(-1, read(null, at, 1));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, mprotect(at, 4 * PAGE, PROT_READ));
	EXPECT_EQ(0, poke_read(at));
	EXPECT_EQ(SIGSEGV, poke_write(at));
	EXPECT_EQ(-1, read(null, at, 1));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, mprotect(at, 4 * PAGE, RW));
	EXPECT_TRUE(both_are_whole(self));
	EXPECT_EQ(0, poke_write(at));
	close(null);
}

/* A slot of many protections is one of many mappings. */
TEST_F(mapping, growth_through_parts)
{
	char *base = slot_limit(&self->stack, 5);
	uint64_t d;

	for (d = 0; d < 40; d += 4)
		ASSERT_EQ(0, mprotect(slot_page(&self->stack, 5, d + 1),
				      2 * PAGE, PROT_READ));
	EXPECT_EQ(0, poke_write(slot_page(&self->stack, 5, 39)));
	EXPECT_EQ(40, slot_pages(&self->stack, 5));
	for (d = 0; d < 40; d++) {
		EXPECT_EQ(0, poke_read(slot_page(&self->stack, 5, d)));
		EXPECT_EQ(d % 4 == 0 || d % 4 == 1 ? SIGSEGV : 0,
			  poke_write(slot_page(&self->stack, 5, d)))
		TH_LOG("depth %llu", (unsigned long long)d);
	}
	ASSERT_EQ(0, mprotect(base, KIB(224), RW));
	for (d = 0; d < 40; d++)
		EXPECT_EQ(0, poke_write(slot_page(&self->stack, 5, d)));
	EXPECT_EQ(40 * PAGE, context_stats(self->fd).stack_bytes);
}

TEST_F(mapping, a_second_one_of_the_same)
{
	char *second = address_space(MIB(8));
	struct arena twin = self->stack;

	fill_both(self);
	if (mmap(second, MIB(8), RW, MAP_SHARED | MAP_FIXED, self->fd,
		 self->stack.create.offset) == MAP_FAILED) {
		EXPECT_EQ(EBUSY, errno);
		return;
	}
	/* Where it is allowed, it shows the same pages, and counts as one. */
	twin.base = second;
	EXPECT_EQ(*slot_page(&self->stack, 4, 3), *slot_page(&twin, 4, 3));
	*slot_page(&twin, 4, 3) = 99;
	EXPECT_EQ(99, *slot_page(&self->stack, 4, 3));
	touch(slot_page(&twin, 4, 20));
	EXPECT_EQ(21, slot_pages(&self->stack, 4));
	EXPECT_EQ((int64_t)(21 * PAGE), trim_slot(&self->stack, 4, 0));
	memset(slot_page(&self->stack, 20, 15), 0x33, 8 * PAGE);
	/* No stale view of what was trimmed is left in either. */
	touch(slot_page(&twin, 4, 0));
	EXPECT_EQ(1, slot_pages(&self->stack, 4));
	EXPECT_TRUE(is_filled(slot_page(&self->stack, 20, 15), 0x33, 8 * PAGE));
	munmap(self->stack.base, MIB(8));
	EXPECT_LT(0, context_stats(self->fd).stack_bytes);
	EXPECT_TRUE(is_filled(slot_page(&twin, 20, 15), 0x33, 8 * PAGE));
	munmap(second, MIB(8));
	EXPECT_EQ(0, context_stats(self->fd).stack_bytes);
}

TEST_F(mapping, populate)
{
	struct arena heap;

	heap = arena_create(self->fd, (struct burrow_arena_create){
					      .kind = BURROW_ARENA_HEAP,
					      .bytes = MIB(8),
				      });
	heap.base = address_space(MIB(8));
	ASSERT_EQ(heap.base, mmap(heap.base, MIB(8), RW,
				  MAP_SHARED | MAP_FIXED | MAP_POPULATE,
				  self->fd, heap.create.offset));
	EXPECT_EQ(MIB(8), context_stats(self->fd).heap_bytes);
	ASSERT_EQ(0, heap_release(&heap, 0, 2048, NULL));
	if (madvise(heap.base + MIB(2), MIB(2), MADV_POPULATE_WRITE))
		SKIP(return, "no MADV_POPULATE_WRITE");
	EXPECT_EQ(MIB(2), context_stats(self->fd).heap_bytes);
	/* Of a stack, too, but not through its guard. */
	EXPECT_EQ(0, madvise(slot_page(&self->stack, 2, 9), 10 * PAGE,
			     MADV_POPULATE_WRITE));
	EXPECT_LE(10, slot_pages(&self->stack, 2));
	EXPECT_EQ(-1, madvise(self->stack.base, KIB(256), MADV_POPULATE_WRITE));
	EXPECT_EQ(SIGSEGV, poke_write(self->stack.base));
	EXPECT_EQ(0, slot_pages(&self->stack, 0));
}

TEST_F(mapping, mlockall)
{
	struct arena stack, heap;

	fill_both(self);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		SKIP(return, "mlockall() is not allowed here");
	stack = stack_arena(self->fd, KIB(256), 1000);
	heap = heap_arena(self->fd, MIB(2));
	EXPECT_TRUE(both_are_whole(self));
	touch(slot_page(&stack, 500, 3));
	touch(heap.base);
	EXPECT_EQ(SIGSEGV, poke_write(slot_limit(&stack, 500) - 1));
	EXPECT_EQ(SIGSEGV, poke_write(stack.base));
	EXPECT_LE((int64_t)PAGE, trim_slot(&stack, 500, 0));
	/* No guard was populated, and no thousand stacks either. */
	EXPECT_GT(MIB(2), context_stats(self->fd).stack_bytes);
	EXPECT_EQ(0, munlockall());
	EXPECT_TRUE(both_are_whole(self));
}

TEST_F(mapping, address_space_has_its_limit)
{
	struct rlimit limit, small = { GIB(2), GIB(2) };
	struct burrow_arena_create create = {
		.size = sizeof(create),
		.kind = BURROW_ARENA_HEAP,
		.bytes = GIB(16),
	};
	struct arena heap;

	ASSERT_EQ(0, getrlimit(RLIMIT_AS, &limit));
	small.rlim_max = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &small));
	ASSERT_EQ(0, call(self->fd, BURROW_IOC_ARENA_CREATE, &create));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, GIB(16), RW, MAP_SHARED, self->fd, create.offset));
	EXPECT_EQ(ENOMEM, errno);
	heap = heap_arena(self->fd, MIB(64));
	touch(heap.base + MIB(32));
	touch(slot_page(&self->stack, 0, 10));
}

/* ---- fork ---------------------------------------------------------------------- */

static int sees_nothing(void *arg)
{
	struct _test_data_mapping *self = arg;
	char *const places[] = {
		slot_page(&self->stack, 3, 2),
		slot_page(&self->stack, 3, 30),
		self->heap.base,
		(char *)self->stack.table,
		slot_limit(&self->stack, 3) - 1,
	};
	char byte = 1;
	struct fault f;
	size_t i;

	for (i = 0; i < COUNT(places); i++) {
		f = poke(places[i], false, &byte);
		if (f.sig != SIGSEGV || f.code != SEGV_MAPERR)
			return 1 + i;
	}
	return 0;
}

TEST_F(mapping, a_child_has_none)
{
	fill_both(self);
	touch(self->stack.table);
	EXPECT_EQ(0, in_child(sees_nothing, self));
	EXPECT_TRUE(both_are_whole(self));
}

static int gets_sigbus(void *arg)
{
	struct _test_data_mapping *self = arg;
	int null = open("/dev/zero", O_RDWR);
	char byte = 1;
	size_t i;

	for (i = 0; i < 8; i++) {
		if (poke(slot_page(&self->stack, 3, i), i & 1, &byte).sig !=
		    SIGBUS)
			return 1;
		if (poke(self->heap.base + i * PAGE * 100, i & 1, &byte).sig !=
		    SIGBUS)
			return 2;
		if (poke((char *)self->stack.table + i, i & 1, &byte).sig !=
		    SIGBUS)
			return 3;
	}
	if (read(null, self->heap.base, 1) != -1 || errno != EFAULT)
		return 4;
	madvise(self->heap.base, MIB(8), MADV_DONTNEED);
	return 0;
}

static int forks_again(void *arg)
{
	int status = in_child(gets_sigbus, arg);

	return status ? status : gets_sigbus(arg);
}

static bool may_fork(struct _test_data_mapping *self)
{
	return !madvise(self->stack.base, MIB(8), MADV_DOFORK) &&
	       !madvise(self->heap.base, MIB(8), MADV_DOFORK) &&
	       !madvise(self->stack.table, PAGE, MADV_DOFORK);
}

/* MADV_DOFORK undoes what the module asked for: the child must see nothing. */
TEST_F(mapping, dofork_shows_a_child_nothing)
{
	int round;

	if (!may_fork(self))
		SKIP(return, "this kernel refuses MADV_DOFORK");
	fill_both(self);
	self->stack.table[0].word = 5;
	for (round = 0; round < 5; round++) {
		EXPECT_EQ(0, in_child(gets_sigbus, self));
		EXPECT_EQ(0, in_child(forks_again, self));
		EXPECT_TRUE(both_are_whole(self));
		EXPECT_EQ(5, self->stack.table[0].word);
	}
	EXPECT_EQ(32 * 8 * PAGE, context_stats(self->fd).stack_bytes);
}

static int waits_for_a_byte(void *arg)
{
	struct _test_data_mapping *self = arg;
	char byte;

	if (read(self->fd, &byte, 1) != 1)
		return 9;
	return gets_sigbus(self);
}

/* A child's mapping holds the arena, but neither its pages nor the owner. */
TEST_F(mapping, dofork_and_the_owner_unmaps)
{
	int pair[2], fd = self->fd;
	pid_t pid;

	if (!may_fork(self))
		SKIP(return, "this kernel refuses MADV_DOFORK");
	fill_both(self);
	ASSERT_EQ(0, pipe(pair));
	self->fd = pair[0];
	pid = child_start(waits_for_a_byte, self);
	self->fd = fd;
	munmap(self->stack.base, MIB(8));
	munmap(self->heap.base, MIB(8));
	munmap(self->stack.table, PAGE);
	EXPECT_EQ(0, context_stats(fd).stack_bytes);
	EXPECT_EQ(0, context_stats(fd).heap_bytes);
	EXPECT_EQ(0, context_stats(fd).table_bytes);
	EXPECT_EQ(-EBUSY, arena_destroy(&self->heap));
	ASSERT_EQ(1, write(pair[1], "x", 1));
	EXPECT_EQ(0, child_status(pid));
	EXPECT_EQ(0, arena_destroy(&self->heap));
	EXPECT_EQ(0, arena_destroy(&self->stack));
}

/* Forks while threads fault pages in: each page is the parent's alone. */
static atomic_bool stop;

static void *keeps_faulting(void *arg)
{
	struct _test_data_mapping *self = arg;
	uint64_t i = 0;

	while (!stop) {
		uint64_t slot = 16 + i++ % 16;

		memset(slot_page(&self->stack, slot, 3), slot, 4 * PAGE);
		if (!is_filled(slot_page(&self->stack, slot, 3), slot,
			       4 * PAGE))
			die("a page changed");
		trim_slot(&self->stack, slot, 0);
	}
	return NULL;
}

TEST_F(mapping, forks_while_threads_fault)
{
	pthread_t thread;
	int i;

	may_fork(self);
	fill_both(self);
	thread = thread_start(keeps_faulting, self);
	for (i = 0; i < 30; i++)
		EXPECT_EQ(0,
			  in_child(may_fork(self) ? gets_sigbus : sees_nothing,
				   self));
	stop = true;
	pthread_join(thread, NULL);
	for (i = 0; i < 16; i++)
		EXPECT_TRUE(slot_is_whole(self, i));
}

/* ---- userfaultfd ----------------------------------------------------------------- */

static int uffd_protect(int uffd, char *at, uint64_t bytes)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)at, bytes },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

/* A descriptor that write-protects without messages, or a negative errno. */
static int uffd_register(char *at, uint64_t bytes)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = {
		.range = { (uintptr_t)at, bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		return -errno;
	if (ioctl(uffd, UFFDIO_API, &api) ||
	    ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		close(uffd);
		return -EINVAL;
	}
	return uffd;
}

/* Ends in time, in one way or the other: the page, or SIGBUS. */
static void expect_an_end(struct __test_metadata *_metadata, char *at)
{
	int sig = poke_write(at);

	EXPECT_TRUE(sig == 0 || sig == SIGBUS);
}

/* Markers of write protection sit where pages would go, and stay there. */
TEST_F_TIMEOUT(mapping, userfaultfd_write_protects_what_is_not_there, 15)
{
	uint64_t slot, d;
	int uffd;

	uffd = uffd_register(self->stack.base, MIB(8));
	if (uffd < 0)
		SKIP(return, "userfaultfd of this kernel does not take arenas");
	for (slot = 0; slot < 8; slot++)
		touch(slot_page(&self->stack, slot, 3));
	if (uffd_protect(uffd, self->stack.base, MIB(8)))
		SKIP(return, "userfaultfd of this kernel protects no arenas");
	/* There, trimmed, never there. */
	for (slot = 0; slot < 4; slot++)
		trim_slot(&self->stack, slot, PAGE);
	for (slot = 0; slot < 12; slot++)
		for (d = 0; d < 6; d++)
			expect_an_end(_metadata,
				      slot_page(&self->stack, slot, d));
	close(uffd);
	for (slot = 0; slot < 12; slot++)
		for (d = 0; d < 6; d++)
			EXPECT_EQ(0,
				  poke_write(slot_page(&self->stack, slot, d)));
}

/* ---- odd calls --------------------------------------------------------------------- */

/*
 * Calls that know nothing of arenas. None needs to succeed; afterwards all must
 * be as it was.
 */
TEST_F(mapping, odd_calls_on_memory)
{
	char *const bases[] = { self->stack.base, self->heap.base };
	unsigned char vector[2048];
	int advice, i;

	fill_both(self);
	for (i = 0; i < 2; i++) {
		char *base = bases[i];

		for (advice = 0; advice < 128; advice++) {
			/* These two break memory on purpose. */
			if (advice == 100 || advice == 101)
				continue;
			/* All of it would be dumped, forked, populated. */
			madvise(base, MIB(8), advice);
			madvise(base + PAGE * 3, PAGE, advice);
		}
		msync(base, MIB(8), MS_SYNC);
		msync(base, MIB(8), MS_ASYNC | MS_INVALIDATE);
		mincore(base, MIB(8), vector);
		mlock(base, MIB(8));
		mlock(base + KIB(200), KIB(40));
		munlock(base, MIB(8));
		remap_file_pages(base, MIB(2), 0, 512, 0);
		remap_file_pages(base + PAGE, PAGE, 0, 1, 0);
		syscall(SYS_mbind, base, MIB(8), 2 /* MPOL_BIND */,
			&(unsigned long){ 1 }, 2, 6 /* MOVE | MOVE_ALL */);
		syscall(SYS_mbind, base, MIB(8), 0, NULL, 0, 0);
	}
	syscall(SYS_migrate_pages, 0, 2, &(unsigned long){ 1 },
		&(unsigned long){ 1 });
	/* remap_file_pages() may have unmapped what it was tried on. */
	arena_map_piece(&self->stack, self->stack.base, 0, MIB(2));
	arena_map_piece(&self->heap, self->heap.base, 0, MIB(2));
	EXPECT_TRUE(heap_is_whole(self, 512, 1536));
	for (i = 8; i < 32; i++)
		EXPECT_TRUE(slot_is_whole(self, i));
}

TEST_F(mapping, odd_calls_on_the_descriptor)
{
	int null = open("/dev/null", O_RDWR), pair[2];
	char text[8192];

	fill_both(self);
	ASSERT_EQ(0, pipe(pair));
	EXPECT_GT(0, read(self->fd, text, sizeof(text)));
	EXPECT_GT(0, write(self->fd, text, sizeof(text)));
	EXPECT_GT(0, pread(self->fd, text, 1, self->heap.create.offset));
	EXPECT_GT(0, ftruncate(self->fd, 0));
	EXPECT_GT(0, fallocate(self->fd, 3 /* PUNCH_HOLE | KEEP_SIZE */,
			       self->heap.create.offset, MIB(8)));
	fsync(self->fd);
	fdatasync(self->fd);
	sync_file_range(self->fd, self->heap.create.offset, MIB(8), 7);
	lseek(self->fd, 0, SEEK_END);
	lseek(self->fd, 0, SEEK_DATA);
	readahead(self->fd, self->heap.create.offset, MIB(8));
	posix_fadvise(self->fd, self->heap.create.offset, MIB(8),
		      POSIX_FADV_WILLNEED);
	posix_fadvise(self->fd, self->heap.create.offset, MIB(8),
		      POSIX_FADV_DONTNEED);
	EXPECT_GT(0, splice(self->fd, NULL, pair[1], NULL, PAGE, 0));
	EXPECT_GT(0, syscall(SYS_sendfile, null, self->fd, NULL, PAGE));
	EXPECT_GT(0, syscall(SYS_copy_file_range, self->fd, NULL, null, NULL,
			     PAGE, 0));
	syscall(451 /* cachestat */, self->fd, text, text + 64, 0);
	fcntl(self->fd, F_SETFL, O_NONBLOCK | O_DIRECT | O_APPEND);
	fcntl(self->fd, F_SETLEASE, F_RDLCK);
	fcntl(self->fd, F_ADD_SEALS, 15);
	EXPECT_TRUE(both_are_whole(self));
	close(null);
}

TEST_F(mapping, views_in_proc)
{
	static const char *const files[] = {
		"/proc/self/maps",	   "/proc/self/smaps",
		"/proc/self/smaps_rollup", "/proc/self/numa_maps",
		"/proc/self/status",
	};
	static char text[1 << 20];
	uint64_t entries[16];
	size_t i;
	int fd;

	fill_both(self);
	for (i = 0; i < COUNT(files); i++)
		slurp(files[i], text, sizeof(text));
	ASSERT_LT(0, slurp("/proc/self/maps", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "burrow"));
	fd = open("/proc/self/pagemap", O_RDONLY);
	EXPECT_EQ(sizeof(entries),
		  pread(fd, entries, sizeof(entries),
			(uintptr_t)self->heap.base / PAGE * 8));
	EXPECT_LT(0, (int64_t)(entries[0] >> 63));
	close(fd);
	for (i = 1; i <= 4; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		spew("/proc/self/clear_refs", text);
	}
	spew("/proc/sys/vm/compact_memory", "1");
	spew("/proc/sys/vm/drop_caches", "3");
	EXPECT_TRUE(both_are_whole(self));
}

ARENA_TEST_MAIN
