// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks that hibernate are roots as all others are, and are not put back for that: the
 * module hands out what it has saved of them, many in a call (BURROW_IOC_SAVED).
 *
 * That is done in the stop in which roots are looked at, first of all. Which slots were
 * among them is noted down, and the walk of the goroutines passes these over. Nobody
 * runs meanwhile, so none of them is anything else by then; what the kernel writes into
 * one (a read that was under way) has no pointers in it.
 *
 * What a stop needs is made ready before it. Arenas that are newer, or for which there
 * was no memory, are looked at as they are, and so put back.
 *
 * By the thread that runs the cycle alone.
 */
#define _GNU_SOURCE
#include <linux/burrow.h>
#include <string.h>
#include <sys/mman.h>

#include "../sched/sched.h"
#include "saved.h"

#define BUFFER (256UL << 10) /* bytes that a call may fill */
#define TABLES 64 /* arenas; others are looked at as they are */

/**
 * struct table - the slots of an arena
 * @arena:	which
 * @seen:	a bit for each: what it has saved was looked at in this walk
 * @bytes:	of @seen
 */
struct table {
	struct burrow_stack_arena *arena;
	uint64_t *seen;
	size_t bytes;
};

static struct {
	struct table tables[TABLES];
	int count;
	char *buffer;
	bool on;
} saved;

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool has_table(const struct burrow_stack_arena *arena)
{
	int i;

	for (i = 0; i < saved.count; i++) {
		if (saved.tables[i].arena == arena)
			return true;
	}
	return false;
}

static void add_table(struct burrow_stack_arena *arena)
{
	struct table *table = &saved.tables[saved.count];

	if (has_table(arena) || saved.count == TABLES)
		return;
	table->bytes = (arena->slots + 63UL) / 64 * sizeof(*table->seen);
	table->seen = map(table->bytes);
	if (!table->seen)
		return;
	table->arena = arena;
	saved.count++;
}

void burrow_saved_prepare(struct burrow_stack_pool *pool)
{
	struct burrow_stack_class *c;
	unsigned int i;

	if (!__atomic_load_n(&pool->hibernated, __ATOMIC_RELAXED))
		return;
	if (!saved.buffer) {
		saved.buffer = map(BUFFER);
		if (!saved.buffer)
			return;
		/* A stop is no place for faults. */
		memset(saved.buffer, 0, BUFFER);
	}
	for (c = pool->classes; c < pool->classes + BURROW_STACK_CLASSES; c++) {
		pthread_mutex_lock(&c->lock);
		for (i = 0; i < c->nr_arenas; i++)
			add_table(c->arenas[i]);
		pthread_mutex_unlock(&c->lock);
	}
}

void burrow_saved_mode(bool on)
{
	saved.on = on;
}

/* The records of one call. */
static void look_at(struct table *table, size_t bytes, burrow_root_fn *fn,
		    void *arg)
{
	const char *at = saved.buffer, *end = at + bytes;
	const struct burrow_saved_slot *slot;

	while (at < end) {
		slot = (const struct burrow_saved_slot *)at;
		at = (const char *)(slot + 1) + slot->live;
		fn(arg, slot + 1, at);
		table->seen[slot->slot / 64] |= 1UL << slot->slot % 64;
	}
}

static void of_arena(struct table *table, burrow_root_fn *fn, void *arg)
{
	struct burrow_stack_arena *arena = table->arena;
	uint64_t from, next = 0;
	int64_t bytes;

	memset(table->seen, 0,
	       (arena->ready + 63UL) / 64 * sizeof(*table->seen));
	do {
		from = next;
		bytes = arena->pool->backend->saved(arena, from,
						    arena->ready - from,
						    saved.buffer, BUFFER,
						    &next);
		if (bytes > 0)
			look_at(table, bytes, fn, arg);
	} while (bytes >= 0 && next > from && next < arena->ready);
}

void burrow_saved_each(burrow_root_fn *fn, void *arg)
{
	int i;

	if (!saved.on)
		return;
	for (i = 0; i < saved.count; i++)
		of_arena(&saved.tables[i], fn, arg);
}

bool burrow_saved_seen(const struct burrow_stack *stack)
{
	const struct table *table;

	if (!saved.on)
		return false;
	for (table = saved.tables; table < saved.tables + saved.count;
	     table++) {
		if (table->arena == stack->arena)
			return table->seen[stack->slot / 64] >>
				       stack->slot % 64 &
			       1;
	}
	return false;
}

void burrow_saved_close(void)
{
	int i;

	for (i = 0; i < saved.count; i++)
		munmap(saved.tables[i].seen, saved.tables[i].bytes);
	if (saved.buffer)
		munmap(saved.buffer, BUFFER);
	memset(&saved, 0, sizeof(saved));
}
