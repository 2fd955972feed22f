/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module as the benchmarks use it: a context with one arena, straight on
 * the kernel's contract, so that what is measured is the module and not the
 * runtime above it.
 */
#ifndef BURROW_BENCH_KMOD_H
#define BURROW_BENCH_KMOD_H

#include <stddef.h>
#include <stdint.h>

#include <linux/burrow.h>

/**
 * struct kmod_arena - a context of its own with one arena, mapped
 * @fd:		the context
 * @number:	the arena
 * @base:	where it is mapped
 * @bytes:	how long
 * @stride:	of a stack arena
 * @pool_limit:	bytes that the pool may keep
 * @features:	of the module
 * @table:	of a stack arena, after kmod_map_table(); else NULL
 * @table_bytes: its length
 * @table_offset: where to map it
 */
struct kmod_arena {
	int fd;
	uint32_t number;
	char *base;
	size_t bytes;
	size_t stride;
	uint64_t pool_limit;
	uint64_t features;
	struct burrow_slot *table;
	size_t table_bytes;
	uint64_t table_offset;
};

/*
 * Opens a context and maps an arena; 0, or a negative errno with the reason
 * for the user in @why. kmod_close() afterwards in either case is fine.
 */
int kmod_open_stacks(struct kmod_arena *arena, size_t stride, size_t slots,
		     char *why, size_t size);
int kmod_open_heap(struct kmod_arena *arena, size_t bytes, char *why,
		   size_t size);
void kmod_close(struct kmod_arena *arena);

/* Trims @n slots from @first on to @keep bytes in one call. */
int kmod_trim(struct kmod_arena *arena, size_t first, size_t n, size_t keep);

/*
 * The same lazily: the pages go when they are needed, and only from a slot that
 * kmod_wake() was not called for since. The table must be mapped.
 */
int kmod_trim_lazily(struct kmod_arena *arena, size_t first, size_t n,
		     size_t keep);
int kmod_map_table(struct kmod_arena *arena);

/* Gives all pages in the pool to the system. */
int kmod_drain(struct kmod_arena *arena);

/* Harvests the whole arena; how many pages were written, or -errno. */
int64_t kmod_harvest(struct kmod_arena *arena, uint64_t *bitmap);

/* The slot is about to be run on. */
static inline void kmod_wake(struct kmod_arena *arena, size_t slot)
{
	uint64_t *word = (uint64_t *)&arena->table[slot].word;

	__atomic_store_n(word, *word + 1, __ATOMIC_SEQ_CST);
}

static inline char *kmod_top(const struct kmod_arena *arena, size_t slot)
{
	return arena->base + (slot + 1) * arena->stride;
}

#endif /* BURROW_BENCH_KMOD_H */
