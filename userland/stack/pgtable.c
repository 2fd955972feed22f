// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Page tables of stacks that hibernate: half a kilobyte each at a stride of 256 KiB,
 * which the module gives back for a chunk of an arena at a time, a gigabyte of slots
 * (kmod/pgtable.c).
 *
 * Where an eighth of a chunk's slots came to hibernate since it was last looked at, the
 * module is asked. It does it if it gives a thirty-second of the chunk's tables at least,
 * and no more than an eighth of the slots have pages: these lose their tables, too, and
 * are faulted in again by who wakes, which takes about as much time in the end as it took
 * to give them all back. Who hibernates later needs no table for that.
 *
 * Called by those who have stacks hibernate. No lock: counts are atomic, and who sets one
 * back asks.
 */
#include <errno.h>
#include <unistd.h>

#include "stack.h"

#define PART 8 /* of the slots: so many hibernate, or may have pages */
#define WORTH 32 /* of the tables: what it must give */

static uint32_t slots_of_chunk(const struct burrow_stack_arena *arena)
{
	return BURROW_PGTABLES_MAX / arena->stride;
}

size_t burrow_stack_chunks(const struct burrow_stack_arena *arena)
{
	return arena->slots / slots_of_chunk(arena) + 1;
}

static void ask(struct burrow_stack_arena *arena, uint32_t chunk)
{
	struct burrow_stack_pool *pool = arena->pool;
	uint32_t slots = slots_of_chunk(arena), tables = slots;
	uint32_t from = chunk * slots;
	int64_t ret;

	if (arena->stride < BURROW_BLOCK_SIZE)
		tables = BURROW_PGTABLES_MAX / BURROW_BLOCK_SIZE;
	if (slots > arena->slots - from)
		slots = arena->slots - from;
	ret = pool->backend->pgtables(arena, from, slots,
				      tables / WORTH * getpagesize(),
				      slots / PART);
	/* A chunk that somebody changed says nothing of others. */
	if (ret < 0 && ret != -ENXIO)
		__atomic_store_n(&pool->pgtables, false, __ATOMIC_RELAXED);
}

static void count(struct burrow_stack_arena *arena, uint32_t chunk, uint32_t n)
{
	uint32_t most = slots_of_chunk(arena) / PART;

	if (__atomic_add_fetch(&arena->slept[chunk], n, __ATOMIC_RELAXED) <
	    most)
		return;
	if (__atomic_exchange_n(&arena->slept[chunk], 0, __ATOMIC_RELAXED) >=
	    most)
		ask(arena, chunk);
}

void burrow_stack_slept(struct burrow_stack_arena *arena,
			const struct burrow_hibernate_entry *entries,
			uint32_t n)
{
	uint32_t slots = slots_of_chunk(arena), chunk = 0, i, run = 0;

	if (!__atomic_load_n(&arena->pool->pgtables, __ATOMIC_RELAXED))
		return;
	for (i = 0; i < n; i++) {
		if (entries[i].result <= 0)
			continue;
		if (run && entries[i].slot / slots != chunk) {
			count(arena, chunk, run);
			run = 0;
		}
		chunk = entries[i].slot / slots;
		run++;
	}
	if (run)
		count(arena, chunk, run);
}
