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

/**
 * struct kmod_arena - a context of its own with one arena, mapped
 * @fd:		the context
 * @number:	the arena
 * @base:	where it is mapped
 * @bytes:	how long
 * @stride:	of a stack arena
 * @pool_limit:	bytes that the pool may keep
 */
struct kmod_arena {
	int fd;
	uint32_t number;
	char *base;
	size_t bytes;
	size_t stride;
	uint64_t pool_limit;
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

/* Gives all pages in the pool to the system. */
int kmod_drain(struct kmod_arena *arena);

/* Harvests the whole arena; how many pages were written, or -errno. */
int64_t kmod_harvest(struct kmod_arena *arena, uint64_t *bitmap);

static inline char *kmod_top(const struct kmod_arena *arena, size_t slot)
{
	return arena->base + (slot + 1) * arena->stride;
}

#endif /* BURROW_BENCH_KMOD_H */
