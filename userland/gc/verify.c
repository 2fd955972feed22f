// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * BURROW_DEBUG=gcverify=1: in the last stop all that can be reached is looked
 * for once more, from the roots, by other code than the marker's: depth first,
 * one object at a time, with a hash table of those that were seen. It knows
 * nothing of dirty pages or of what was marked when. Each object it comes to
 * must be marked; the converse need not be, for what died while marking stays.
 *
 * Memory comes from the system by doubling; the world stands still for long.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../debug/print.h"
#include "ephemeron.h"
#include "roots.h"
#include "verify.h"
#include "weak.h"

#define ROOM_FIRST (1UL << 16) /* a power of two */

/**
 * struct oracle - the search
 * @heap:	in which heap
 * @seen:	addresses of objects, by hash, 0: free
 * @room:	places in @seen, a power of two
 * @count:	of them taken
 * @stack:	of those whose pointers have not been looked at; as long as @room
 * @depth:	how many they are
 * @from:	whose pointers are being looked at: an object, or a root's address
 */
struct oracle {
	struct burrow_heap *heap;
	uintptr_t *seen;
	size_t room;
	size_t count;
	uintptr_t *stack;
	size_t depth;
	uintptr_t from;
};

static void *get_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p != MAP_FAILED)
		return p;
	burrow_print(STDERR_FILENO, "burrow: gcverify: out of memory\n");
	abort();
}

static uintptr_t *place_of(const struct oracle *o, uintptr_t address)
{
	/* Fibonacci hashing */
	size_t i = (address * 0x9e3779b97f4a7c15ULL >> 20) & (o->room - 1);

	while (o->seen[i] && o->seen[i] != address)
		i = (i + 1) & (o->room - 1);
	return &o->seen[i];
}

static void grow(struct oracle *o, size_t room)
{
	struct oracle old = *o;
	size_t i;

	o->room = room;
	o->seen = get_memory(room * sizeof(*o->seen));
	o->stack = get_memory(room * sizeof(*o->stack));
	for (i = 0; i < old.room; i++) {
		if (old.seen[i])
			*place_of(o, old.seen[i]) = old.seen[i];
	}
	for (i = 0; i < old.depth; i++)
		o->stack[i] = old.stack[i];
	if (!old.room)
		return;
	munmap(old.seen, old.room * sizeof(*o->seen));
	munmap(old.stack, old.room * sizeof(*o->stack));
}

static void fail(const struct oracle *o, const struct burrow_object *object)
{
	burrow_print(
		STDERR_FILENO,
		"burrow: gcverify: object %lx of %zu bytes is reached from %lx and not marked\n",
		(unsigned long)object->start, object->size,
		(unsigned long)o->from);
	abort();
}

static void reach(struct oracle *o, void *address)
{
	struct burrow_object object;
	uintptr_t *place;

	if (!burrow_heap_find(o->heap, address, &object))
		return;
	place = place_of(o, (uintptr_t)object.start);
	if (*place)
		return;
	*place = (uintptr_t)object.start;
	if (!burrow_heap_is_marked(o->heap, object.start))
		fail(o, &object);
	o->stack[o->depth++] = *place;
	if (++o->count > o->room / 2)
		grow(o, 2 * o->room);
}

static void reach_at(void **at, void *arg)
{
	reach(arg, *at);
}

__attribute__((no_sanitize("address", "thread"))) static void
root(void *arg, const void *low, const void *high)
{
	struct oracle *o = arg;
	void *const *p = (void *const *)(((uintptr_t)low + 7) & ~7UL);

	for (; (const char *)(p + 1) <= (const char *)high; p++) {
		o->from = (uintptr_t)p;
		reach(o, *p);
	}
}

static void search(struct oracle *o)
{
	struct burrow_object object;

	while (o->depth) {
		o->from = o->stack[--o->depth];
		if (burrow_heap_find(o->heap, (void *)o->from, &object))
			burrow_heap_pointers(o->heap, &object, reach_at, o);
	}
}

static bool was_seen(struct oracle *o, const void *address)
{
	struct burrow_object object;

	return burrow_heap_find(o->heap, address, &object) &&
	       *place_of(o, (uintptr_t)object.start);
}

/* Of a weak map. */
static void entry(void *arg, void *map, void *key, void *value)
{
	struct oracle *o = arg;

	if (!was_seen(o, map) || !was_seen(o, key))
		return;
	o->from = (uintptr_t)key;
	reach(o, value);
}

/* What they will hand out is allocated already. */
static void check_caches(struct burrow_heap *heap)
{
	const void *white = burrow_heap_not_kept(heap);

	if (!white)
		return;
	burrow_print(
		STDERR_FILENO,
		"burrow: gcverify: free object %lx of a cache is not marked\n",
		(unsigned long)white);
	abort();
}

/* A walk of what may have been written passes such parts over. */
static void check_parts(struct burrow_heap *heap)
{
	const void *span = burrow_heap_not_in_part(heap);

	if (!span)
		return;
	burrow_print(
		STDERR_FILENO,
		"burrow: gcverify: span %lx has marks, and its part of the heap has none\n",
		(unsigned long)span);
	abort();
}

void burrow_verify(struct burrow_heap *heap)
{
	struct oracle o = { .heap = heap };
	size_t count;

	check_caches(heap);
	check_parts(heap);
	grow(&o, ROOM_FIRST);
	burrow_roots_each(root, &o);
	burrow_weak_roots(root, &o);
	do {
		search(&o);
		count = o.count;
		burrow_ephemerons_each(entry, &o);
	} while (o.count > count);
	munmap(o.seen, o.room * sizeof(*o.seen));
	munmap(o.stack, o.room * sizeof(*o.stack));
}
