// SPDX-License-Identifier: GPL-2.0
/*
 * Callers of 32 bits: the contract's structs have one layout for both, so the
 * calls mean the same by the other entry into the kernel. This program enters
 * by int 0x80, as they do, with arguments below 4 GiB.
 */
#include "../arena/arena.h"

#ifdef __x86_64__

#define NR32_getpid 20
#define NR32_ioctl 54

static long enter32(long nr, long a, long b, void *c)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static void no_entry(int sig UNUSED)
{
	_exit(1);
}

/* Caught, so that the kernel has nothing to say about it. */
static int has_entry(void *arg UNUSED)
{
	signal(SIGSEGV, no_entry);
	return enter32(NR32_getpid, 0, 0, NULL) == getpid() ? 0 : 1;
}

/* Room below 4 GiB, for arguments. */
static void *low_page(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

TEST(all_calls)
{
	union {
		struct burrow_version version;
		struct burrow_arena_create create;
		struct burrow_trim trim;
		struct burrow_slot_info info;
		struct burrow_dirty dirty;
		struct burrow_context_stats stats;
		struct burrow_hibernate hibernate;
		struct burrow_saved saved;
		struct burrow_pgtables pgtables;
		struct burrow_arena_destroy destroy;
		uint32_t words[64];
	} *a = low_page();
	struct burrow_trim_entry *entry = low_page();
	struct burrow_slot_state *state = low_page();
	struct burrow_hibernate_entry *parked = low_page();
	struct burrow_saved_slot *record = low_page();
	uint64_t *bits = low_page();
	int fd = context_open_raw();
	struct arena arena = { .fd = fd };

	if (in_child(has_entry, NULL))
		SKIP(return, "no entry into the kernel for 32-bit programs");

	a->version.size = sizeof(a->version);
	a->version.abi = BURROW_ABI;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_VERSION, a));
	EXPECT_EQ(PAGE, a->version.page_size);

	memset(a, 0, sizeof(*a));
	a->create.size = sizeof(a->create);
	a->create.kind = BURROW_ARENA_STACK;
	a->create.stride = KIB(64);
	a->create.slots = 8;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_ARENA_CREATE, a));
	arena.create = a->create;
	arena_map(&arena);
	touch(slot_page(&arena, 2, 3));

	memset(a, 0, sizeof(*a));
	a->info.size = sizeof(a->info);
	a->info.arena = arena.create.arena;
	a->info.first = 2;
	a->info.count = 1;
	a->info.states = (uintptr_t)state;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_SLOT_INFO, a));
	EXPECT_EQ(4 * PAGE, state->bytes);

	memset(a, 0, sizeof(*a));
	a->dirty.size = sizeof(a->dirty);
	a->dirty.arena = arena.create.arena;
	a->dirty.pages = 64;
	a->dirty.bitmap = (uintptr_t)bits;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_DIRTY, a));
	EXPECT_TRUE(bit_set(bits, 3 * 16 - 4));

	memset(a, 0, sizeof(*a));
	a->hibernate.size = sizeof(a->hibernate);
	a->hibernate.arena = arena.create.arena;
	a->hibernate.count = 1;
	a->hibernate.entries = (uintptr_t)parked;
	*(uint64_t *)(slot_top(&arena, 2) - 8) = 0x1234567890;
	parked->slot = 2;
	parked->live = 8;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_HIBERNATE, a));
	EXPECT_EQ(4 * PAGE, parked->result);

	memset(a, 0, sizeof(*a));
	a->saved.size = sizeof(a->saved);
	a->saved.arena = arena.create.arena;
	a->saved.slots = 8;
	a->saved.buffer = (uintptr_t)record;
	a->saved.bytes = PAGE;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_SAVED, a));
	EXPECT_EQ(1, a->saved.count);
	EXPECT_EQ(2, record->slot);
	EXPECT_EQ(0x1234567890, *(uint64_t *)(record + 1));

	memset(a, 0, sizeof(*a));
	a->pgtables.size = sizeof(a->pgtables);
	a->pgtables.arena = arena.create.arena;
	a->pgtables.slots = 8;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_PGTABLES, a));
	EXPECT_LE(PAGE, a->pgtables.bytes);
	touch(slot_page(&arena, 2, 3));

	memset(a, 0, sizeof(*a));
	a->trim.size = sizeof(a->trim);
	a->trim.arena = arena.create.arena;
	a->trim.count = 1;
	a->trim.entries = (uintptr_t)entry;
	entry->slot = 2;
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_TRIM, a));
	EXPECT_EQ(4 * PAGE, entry->result);

	memset(a, 0, sizeof(*a));
	a->stats.size = sizeof(a->stats);
	ASSERT_EQ(0, enter32(NR32_ioctl, fd, BURROW_IOC_STATS, a));
	EXPECT_EQ(1, a->stats.trims);

	memset(a, 0, sizeof(*a));
	a->destroy.size = sizeof(a->destroy);
	a->destroy.arena = arena.create.arena;
	EXPECT_EQ(-EBUSY, enter32(NR32_ioctl, fd, BURROW_IOC_ARENA_DESTROY, a));
	EXPECT_EQ(-ENOTTY, enter32(NR32_ioctl, fd, BURROW_IOC_VERSION + 64, a));
	EXPECT_EQ(-EFAULT, enter32(NR32_ioctl, fd, BURROW_IOC_STATS, NULL));
}

#else

TEST(all_calls)
{
	SKIP(return, "this machine has no callers of 32 bits");
}

#endif

ARENA_TEST_MAIN
