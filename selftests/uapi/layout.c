// SPDX-License-Identifier: GPL-2.0
/*
 * The layout of the kernel contract: programs that were built yesterday run on
 * the module of tomorrow, so no size, offset or ioctl number may move. The
 * figures here are written out by hand; fields are appended, never shifted.
 */
#include <stddef.h>
#include <stdint.h>

#include <linux/burrow.h>

#include "kselftest_harness.h"

#define FIELD(type, name, at, bytes)                                \
	do {                                                        \
		EXPECT_EQ(at, offsetof(struct type, name));         \
		EXPECT_EQ(bytes, sizeof(((struct type *)0)->name)); \
		end += bytes;                                       \
	} while (0)

/* No hole anywhere: the fields' sizes add up to the struct's. */
#define ENDS(type, bytes)                              \
	do {                                           \
		EXPECT_EQ(bytes, sizeof(struct type)); \
		EXPECT_EQ(end, sizeof(struct type));   \
	} while (0)

TEST(version)
{
	size_t end = 0;

	FIELD(burrow_version, size, 0, 4);
	FIELD(burrow_version, flags, 4, 4);
	FIELD(burrow_version, abi, 8, 4);
	FIELD(burrow_version, page_size, 12, 4);
	FIELD(burrow_version, features, 16, 8);
	FIELD(burrow_version, context_limit, 24, 8);
	FIELD(burrow_version, user_limit, 32, 8);
	FIELD(burrow_version, pool_limit, 40, 8);
	FIELD(burrow_version, release, 48, 32);
	ENDS(burrow_version, 80);
}

TEST(arena_create)
{
	size_t end = 0;

	FIELD(burrow_arena_create, size, 0, 4);
	FIELD(burrow_arena_create, flags, 4, 4);
	FIELD(burrow_arena_create, kind, 8, 4);
	FIELD(burrow_arena_create, batch, 12, 4);
	FIELD(burrow_arena_create, bytes, 16, 8);
	FIELD(burrow_arena_create, stride, 24, 8);
	FIELD(burrow_arena_create, slots, 32, 8);
	FIELD(burrow_arena_create, guard, 40, 8);
	FIELD(burrow_arena_create, arena, 48, 4);
	FIELD(burrow_arena_create, pad, 52, 4);
	FIELD(burrow_arena_create, offset, 56, 8);
	FIELD(burrow_arena_create, table_offset, 64, 8);
	FIELD(burrow_arena_create, table_bytes, 72, 8);
	ENDS(burrow_arena_create, 80);
}

TEST(arena_destroy)
{
	size_t end = 0;

	FIELD(burrow_arena_destroy, size, 0, 4);
	FIELD(burrow_arena_destroy, flags, 4, 4);
	FIELD(burrow_arena_destroy, arena, 8, 4);
	FIELD(burrow_arena_destroy, pad, 12, 4);
	ENDS(burrow_arena_destroy, 16);
}

TEST(slot)
{
	size_t end = 0;

	FIELD(burrow_slot, word, 0, 8);
	FIELD(burrow_slot, goroutine, 8, 8);
	ENDS(burrow_slot, 16);
}

TEST(trim)
{
	size_t end = 0;

	FIELD(burrow_trim_entry, slot, 0, 8);
	FIELD(burrow_trim_entry, keep, 8, 8);
	FIELD(burrow_trim_entry, word, 16, 8);
	FIELD(burrow_trim_entry, result, 24, 8);
	ENDS(burrow_trim_entry, 32);

	end = 0;
	FIELD(burrow_trim, size, 0, 4);
	FIELD(burrow_trim, flags, 4, 4);
	FIELD(burrow_trim, arena, 8, 4);
	FIELD(burrow_trim, count, 12, 4);
	FIELD(burrow_trim, entries, 16, 8);
	FIELD(burrow_trim, done, 24, 8);
	FIELD(burrow_trim, bytes, 32, 8);
	ENDS(burrow_trim, 40);
}

TEST(slot_info)
{
	size_t end = 0;

	FIELD(burrow_slot_state, bytes, 0, 8);
	FIELD(burrow_slot_state, peak, 8, 8);
	ENDS(burrow_slot_state, 16);

	end = 0;
	FIELD(burrow_slot_info, size, 0, 4);
	FIELD(burrow_slot_info, flags, 4, 4);
	FIELD(burrow_slot_info, arena, 8, 4);
	FIELD(burrow_slot_info, count, 12, 4);
	FIELD(burrow_slot_info, first, 16, 8);
	FIELD(burrow_slot_info, states, 24, 8);
	FIELD(burrow_slot_info, done, 32, 8);
	ENDS(burrow_slot_info, 40);
}

TEST(dirty)
{
	size_t end = 0;

	FIELD(burrow_dirty, size, 0, 4);
	FIELD(burrow_dirty, flags, 4, 4);
	FIELD(burrow_dirty, arena, 8, 4);
	FIELD(burrow_dirty, pad, 12, 4);
	FIELD(burrow_dirty, first_page, 16, 8);
	FIELD(burrow_dirty, pages, 24, 8);
	FIELD(burrow_dirty, bitmap, 32, 8);
	FIELD(burrow_dirty, done, 40, 8);
	FIELD(burrow_dirty, dirty, 48, 8);
	ENDS(burrow_dirty, 56);
}

TEST(release)
{
	size_t end = 0;

	FIELD(burrow_release, size, 0, 4);
	FIELD(burrow_release, flags, 4, 4);
	FIELD(burrow_release, arena, 8, 4);
	FIELD(burrow_release, pad, 12, 4);
	FIELD(burrow_release, first_page, 16, 8);
	FIELD(burrow_release, pages, 24, 8);
	FIELD(burrow_release, done, 32, 8);
	ENDS(burrow_release, 40);
}

TEST(stats)
{
	size_t end = 0;

	FIELD(burrow_context_stats, size, 0, 4);
	FIELD(burrow_context_stats, flags, 4, 4);
	FIELD(burrow_context_stats, stack_bytes, 8, 8);
	FIELD(burrow_context_stats, heap_bytes, 16, 8);
	FIELD(burrow_context_stats, pool_bytes, 24, 8);
	FIELD(burrow_context_stats, table_bytes, 32, 8);
	FIELD(burrow_context_stats, faults, 40, 8);
	FIELD(burrow_context_stats, grows, 48, 8);
	FIELD(burrow_context_stats, recycled, 56, 8);
	FIELD(burrow_context_stats, fresh, 64, 8);
	FIELD(burrow_context_stats, trims, 72, 8);
	FIELD(burrow_context_stats, trim_races, 80, 8);
	FIELD(burrow_context_stats, overflows, 88, 8);
	FIELD(burrow_context_stats, limits, 96, 8);
	FIELD(burrow_context_stats, nomem, 104, 8);
	FIELD(burrow_context_stats, user_bytes, 112, 8);
	FIELD(burrow_context_stats, lazy_bytes, 120, 8);
	FIELD(burrow_context_stats, lazy_trims, 128, 8);
	FIELD(burrow_context_stats, lazy_taken, 136, 8);
	FIELD(burrow_context_stats, saved_bytes, 144, 8);
	FIELD(burrow_context_stats, store_bytes, 152, 8);
	FIELD(burrow_context_stats, hibernates, 160, 8);
	FIELD(burrow_context_stats, restores, 168, 8);
	FIELD(burrow_context_stats, hibernate_races, 176, 8);
	FIELD(burrow_context_stats, pgtable_bytes, 184, 8);
	FIELD(burrow_context_stats, hibernated, 192, 8);
	ENDS(burrow_context_stats, 200);
}

TEST(hibernate)
{
	size_t end = 0;

	FIELD(burrow_hibernate_entry, slot, 0, 8);
	FIELD(burrow_hibernate_entry, live, 8, 8);
	FIELD(burrow_hibernate_entry, word, 16, 8);
	FIELD(burrow_hibernate_entry, result, 24, 8);
	ENDS(burrow_hibernate_entry, 32);

	end = 0;
	FIELD(burrow_hibernate, size, 0, 4);
	FIELD(burrow_hibernate, flags, 4, 4);
	FIELD(burrow_hibernate, arena, 8, 4);
	FIELD(burrow_hibernate, count, 12, 4);
	FIELD(burrow_hibernate, entries, 16, 8);
	FIELD(burrow_hibernate, done, 24, 8);
	FIELD(burrow_hibernate, bytes, 32, 8);
	FIELD(burrow_hibernate, freed, 40, 8);
	ENDS(burrow_hibernate, 48);
}

TEST(saved)
{
	size_t end = 0;

	FIELD(burrow_saved_slot, slot, 0, 8);
	FIELD(burrow_saved_slot, word, 8, 8);
	FIELD(burrow_saved_slot, live, 16, 8);
	ENDS(burrow_saved_slot, 24);

	end = 0;
	FIELD(burrow_saved, size, 0, 4);
	FIELD(burrow_saved, flags, 4, 4);
	FIELD(burrow_saved, arena, 8, 4);
	FIELD(burrow_saved, pad, 12, 4);
	FIELD(burrow_saved, first, 16, 8);
	FIELD(burrow_saved, slots, 24, 8);
	FIELD(burrow_saved, buffer, 32, 8);
	FIELD(burrow_saved, bytes, 40, 8);
	FIELD(burrow_saved, done, 48, 8);
	FIELD(burrow_saved, count, 56, 8);
	FIELD(burrow_saved, next, 64, 8);
	ENDS(burrow_saved, 72);
}

TEST(pgtables)
{
	size_t end = 0;

	FIELD(burrow_pgtables, size, 0, 4);
	FIELD(burrow_pgtables, flags, 4, 4);
	FIELD(burrow_pgtables, arena, 8, 4);
	FIELD(burrow_pgtables, pad, 12, 4);
	FIELD(burrow_pgtables, first, 16, 8);
	FIELD(burrow_pgtables, slots, 24, 8);
	FIELD(burrow_pgtables, least, 32, 8);
	FIELD(burrow_pgtables, most, 40, 8);
	FIELD(burrow_pgtables, bytes, 48, 8);
	FIELD(burrow_pgtables, resident, 56, 8);
	ENDS(burrow_pgtables, 64);
}

TEST(restored)
{
	size_t end = 0;

	FIELD(burrow_restored, size, 0, 4);
	FIELD(burrow_restored, flags, 4, 4);
	FIELD(burrow_restored, arena, 8, 4);
	FIELD(burrow_restored, pad, 12, 4);
	FIELD(burrow_restored, slots, 16, 8);
	FIELD(burrow_restored, room, 24, 8);
	FIELD(burrow_restored, done, 32, 8);
	ENDS(burrow_restored, 40);
}

TEST(ioctl_numbers)
{
	EXPECT_EQ(0xc050b700, BURROW_IOC_VERSION);
	EXPECT_EQ(0xc050b701, BURROW_IOC_ARENA_CREATE);
	EXPECT_EQ(0xc010b702, BURROW_IOC_ARENA_DESTROY);
	EXPECT_EQ(0xc028b703, BURROW_IOC_TRIM);
	EXPECT_EQ(0xc028b704, BURROW_IOC_SLOT_INFO);
	EXPECT_EQ(0xc038b705, BURROW_IOC_DIRTY);
	EXPECT_EQ(0xc028b706, BURROW_IOC_RELEASE);
	EXPECT_EQ(0xc0c8b707, BURROW_IOC_STATS);
	EXPECT_EQ(0xc030b708, BURROW_IOC_HIBERNATE);
	EXPECT_EQ(0xc048b709, BURROW_IOC_SAVED);
	EXPECT_EQ(0xc040b70a, BURROW_IOC_PGTABLES);
	EXPECT_EQ(0xc028b70b, BURROW_IOC_RESTORED);
}

TEST(constants)
{
	EXPECT_EQ(1, BURROW_ABI);
	EXPECT_EQ(2097152, BURROW_BLOCK_SIZE);
	EXPECT_EQ(16384, BURROW_STRIDE_MIN);
	EXPECT_EQ(1073741824, BURROW_STRIDE_MAX);
	EXPECT_EQ(1, BURROW_FEATURE_STACK);
	EXPECT_EQ(2, BURROW_FEATURE_HEAP);
	EXPECT_EQ(4, BURROW_FEATURE_DIRTY);
	EXPECT_EQ(8, BURROW_FEATURE_LAZY);
	EXPECT_EQ(16, BURROW_FEATURE_HIBERNATE);
	EXPECT_EQ(32, BURROW_FEATURE_PGTABLES);
	EXPECT_EQ(1, BURROW_ARENA_STACK);
	EXPECT_EQ(2, BURROW_ARENA_HEAP);
	EXPECT_EQ(1, BURROW_ARENA_ZERO);
	EXPECT_EQ(2, BURROW_ARENA_DUMP);
	EXPECT_EQ(1, BURROW_TRIM_LAZY);
	EXPECT_EQ(1, BURROW_STATS_DRAIN);
	EXPECT_EQ(4096, BURROW_SAVED_MIN);
	EXPECT_EQ(1073741824, BURROW_PGTABLES_MAX);
	EXPECT_EQ(1, BURROW_SAVED_NOTE);
	EXPECT_EQ(2, BURROW_SAVED_NEW);
}

TEST_HARNESS_MAIN
