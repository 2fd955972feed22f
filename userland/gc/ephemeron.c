// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Weak maps: a value lives as long as its key and the map do.
 *
 * The entries of all maps are one table beside the heap, in memory that nobody
 * scans (Hayes 1997 calls an entry an ephemeron). A value is greyed when its map
 * and its key are found marked. What it leads to may be a key again, so that is
 * done over and over, until a pass greys nothing: first beside the program, where
 * most is found, and to the end in the last stop. There nothing is marked that was
 * not reached, everything that can be reached is marked in the end, and so the
 * entries whose key or map is not marked can be reached by nobody, and go.
 *
 * A goroutine that reads a value while marking runs has its key and its map on its
 * stack; the last stop looks there, whatever the marker knew before.
 *
 * A map is an object without pointers: its address is what entries have in common
 * with it.
 *
 * Lock: one mutex over the table, taken by goroutines inside the runtime and by the
 * collector beside them, for a part of the table at a time. In a stop nobody has
 * it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "../sched/sched.h"
#include "ephemeron.h"

#define ROOM_FIRST 64U
#define TRIES 20 /* for the lock, beside goroutines */
#define TRY_US 50
#define PART 1024U /* entries that the collector looks at in one go */

/**
 * struct burrow_weakmap - a map
 * @count:	its entries; under the lock
 */
struct burrow_weakmap {
	size_t count;
};

/* struct entry.map of one that was removed. */
static struct burrow_weakmap *const gone = (void *)1;

/**
 * struct entry - of a map
 * @map:	of which, NULL: free
 * @key:	as it was given
 * @value:	what hangs on it
 */
struct entry {
	struct burrow_weakmap *map;
	void *key;
	void *value;
};

/* Open addressing; @used counts those that are gone as well. */
static struct {
	pthread_mutex_t lock;
	struct entry *entries;
	uint32_t room;
	uint32_t used;
	uint32_t count;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_entry(const struct entry *e)
{
	return e->map && e->map != gone;
}

/* Its place, or the free one where it would be. There is one. */
static struct entry *place_of(struct entry *entries, uint32_t room,
			      const struct burrow_weakmap *map, const void *key)
{
	/* Fibonacci hashing */
	uint64_t hash =
		((uintptr_t)key ^ (uintptr_t)map << 20) * 0x9e3779b97f4a7c15ULL;
	uint32_t i = hash >> 32;

	for (;; i++) {
		struct entry *e = &entries[i & (room - 1)];

		if (!e->map || (e->map == map && e->key == key))
			return e;
	}
}

/* NULL: the map has no such key. */
static struct entry *look_up(const struct burrow_weakmap *map, const void *key)
{
	struct entry *e;

	if (!table.room)
		return NULL;
	e = place_of(table.entries, table.room, map, key);
	return e->map ? e : NULL;
}

/* A table of its own size, without those that are gone. */
static int rebuild(void)
{
	uint32_t room = ROOM_FIRST, i;
	struct entry *entries;

	while (room / 4 < table.count + 1)
		room *= 2;
	entries = calloc(room, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (i = 0; i < table.room; i++) {
		if (is_entry(&table.entries[i]))
			*place_of(entries, room, table.entries[i].map,
				  table.entries[i].key) = table.entries[i];
	}
	free(table.entries);
	table.entries = entries;
	table.room = room;
	table.used = table.count;
	return 0;
}

static int set(struct burrow_weakmap *map, void *key, void *value)
{
	struct entry *e = look_up(map, key);

	if (!e) {
		if (table.used + 1 > table.room / 4 * 3 && rebuild())
			return -ENOMEM;
		e = place_of(table.entries, table.room, map, key);
		e->map = map;
		e->key = key;
		table.used++;
		table.count++;
		map->count++;
	}
	e->value = value;
	return 0;
}

static void drop(struct entry *e)
{
	e->map = gone;
	e->key = NULL;
	e->value = NULL;
	table.count--;
}

struct burrow_weakmap *burrow_weakmap_new(void)
{
	return burrow_try_alloc_noscan(sizeof(struct burrow_weakmap));
}

int burrow_weakmap_set(struct burrow_weakmap *map, void *key, void *value)
{
	struct burrow_thread *self = burrow_enter_try("burrow_weakmap_set");
	struct burrow_object object;
	int ret = -EINVAL;

	if (!self)
		return -EPERM;
	if (map && burrow_heap_find(burrow_heap_now(), key, &object)) {
		pthread_mutex_lock(&table.lock);
		ret = set(map, key, value);
		pthread_mutex_unlock(&table.lock);
	}
	burrow_leave(self);
	burrow_keep_alive(key);
	burrow_keep_alive(value);
	burrow_keep_alive(map);
	return ret;
}

void *burrow_weakmap_get(const struct burrow_weakmap *map, const void *key)
{
	struct burrow_thread *self = burrow_enter("burrow_weakmap_get");
	struct entry *e;
	void *value;

	pthread_mutex_lock(&table.lock);
	e = look_up(map, key);
	value = e ? e->value : NULL;
	pthread_mutex_unlock(&table.lock);
	burrow_leave(self);
	burrow_keep_alive(key);
	burrow_keep_alive(map);
	return value;
}

int burrow_weakmap_remove(struct burrow_weakmap *map, const void *key)
{
	struct burrow_thread *self = burrow_enter_try("burrow_weakmap_remove");
	struct entry *e;

	if (!self)
		return -EPERM;
	pthread_mutex_lock(&table.lock);
	e = look_up(map, key);
	if (e) {
		drop(e);
		map->count--;
	}
	pthread_mutex_unlock(&table.lock);
	burrow_leave(self);
	burrow_keep_alive(key);
	burrow_keep_alive(map);
	return e ? 0 : -ENOENT;
}

size_t burrow_weakmap_len(const struct burrow_weakmap *map)
{
	return map ? __atomic_load_n(&map->count, __ATOMIC_RELAXED) : 0;
}

/* True: its value was greyed. */
static bool grey(struct burrow_marker *m, const struct entry *e)
{
	struct burrow_object object;

	if (!is_entry(e) || !burrow_heap_find(m->heap, e->value, &object) ||
	    burrow_heap_is_marked(m->heap, e->value) ||
	    !burrow_heap_is_marked(m->heap, e->key) ||
	    !burrow_heap_is_marked(m->heap, e->map))
		return false;
	burrow_mark_word(m, (uintptr_t)e->value);
	return true;
}

/* False where they end. */
static bool grey_part(struct burrow_marker *m, uint32_t from, bool *any)
{
	uint32_t i;

	for (i = from; i < table.room && i < from + PART; i++)
		*any |= grey(m, &table.entries[i]);
	return i < table.room;
}

/*
 * Where goroutines always have it we would wait for long: the mutex is not fair.
 * What is left over is done in the stop.
 */
static bool lock_beside(void)
{
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (!pthread_mutex_trylock(&table.lock))
			return true;
		usleep(TRY_US);
	}
	return false;
}

bool burrow_ephemerons_beside(struct burrow_marker *m)
{
	bool any = false, more = true;
	uint32_t from;

	for (from = 0; more && lock_beside(); from += PART) {
		more = grey_part(m, from, &any);
		pthread_mutex_unlock(&table.lock);
	}
	return any;
}

bool burrow_ephemerons_stopped(struct burrow_marker *m)
{
	bool any = false;
	uint32_t from;

	for (from = 0; grey_part(m, from, &any);)
		from += PART;
	return any;
}

void burrow_ephemerons_dead(struct burrow_heap *heap)
{
	struct entry *e;
	uint32_t i;

	for (i = 0; i < table.room; i++) {
		e = &table.entries[i];
		if (!is_entry(e))
			continue;
		if (!burrow_heap_is_marked(heap, e->map)) {
			drop(e);
		} else if (!burrow_heap_is_marked(heap, e->key)) {
			e->map->count--;
			drop(e);
		}
	}
}

void burrow_ephemerons_each(void (*fn)(void *arg, void *map, void *key,
				       void *value),
			    void *arg)
{
	uint32_t i;

	for (i = 0; i < table.room; i++) {
		struct entry *e = &table.entries[i];

		if (is_entry(e))
			fn(arg, e->map, e->key, e->value);
	}
}

void burrow_ephemerons_close(void)
{
	free(table.entries);
	table.entries = NULL;
	table.room = 0;
	table.used = 0;
	table.count = 0;
}

void burrow_ephemerons_lock(void)
{
	pthread_mutex_lock(&table.lock);
}

void burrow_ephemerons_unlock(void)
{
	pthread_mutex_unlock(&table.lock);
}
