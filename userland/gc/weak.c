// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cleanups and weak references.
 *
 * Both are lists beside the heap, in memory that nobody scans, so what they say
 * of an object keeps nothing alive. When marking is through, with everybody
 * stopped, what refers to an object that is not marked is taken out: a weak
 * reference becomes NULL, a cleanup goes to those that are ready to run.
 *
 * A weak reference is an object without pointers that holds the address as it
 * is: reading it puts the address in a register, and registers are looked at in
 * the last stop. So no call is needed to read it, and none comes in between.
 *
 * Lock: one mutex over all, taken by goroutines inside the runtime; in a stop
 * nobody holds it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../sched/sched.h"
#include "weak.h"

/**
 * struct burrow_weak - a weak reference
 * @to:		the pointer, or NULL
 */
struct burrow_weak {
	void *to;
};

/**
 * struct entry - of the table of weak references
 * @weak:	the reference, NULL: the entry is free
 * @to:		to what
 * @next:	the next one of the same bucket or of the free ones + 1, 0: none
 */
struct entry {
	struct burrow_weak *weak;
	void *to;
	uint32_t next;
};

/**
 * struct cleanup - one that waits, or is ready
 * @next:	of its list
 * @obj:	start of the object it waits for
 * @fn:		what is called
 * @arg:	with what
 */
struct cleanup {
	struct cleanup *next;
	void *obj;
	void (*fn)(void *arg);
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Entries; after them the buckets, as many. */
static struct entry *entries;
static uint32_t *buckets;
static uint32_t room, used, free_entry;

static struct cleanup *waiting, *ready;
static struct cleanup **ready_last = &ready;
static bool running; /* a goroutine for those that are ready */

static uint32_t *bucket_of(const void *to)
{
	/* Fibonacci hashing */
	uint64_t hash = (uintptr_t)to * 0x9e3779b97f4a7c15ULL;

	return &buckets[(hash >> 32) & (room - 1)];
}

static void link_entry(uint32_t i)
{
	uint32_t *bucket = bucket_of(entries[i].to);

	entries[i].next = *bucket;
	*bucket = i + 1;
}

static int grow(void)
{
	uint32_t i, more = room ? 2 * room : 64;
	struct entry *e;
	uint32_t *b;

	e = realloc(entries, more * sizeof(*e));
	if (!e)
		return -ENOMEM;
	entries = e;
	b = calloc(more, sizeof(*b));
	if (!b)
		return -ENOMEM;
	free(buckets);
	buckets = b;
	room = more;
	for (i = 0; i < used; i++)
		link_entry(i);
	return 0;
}

static struct burrow_weak *look_up(const void *to)
{
	uint32_t i;

	if (!room)
		return NULL;
	for (i = *bucket_of(to); i; i = entries[i - 1].next) {
		if (entries[i - 1].to == to)
			return entries[i - 1].weak;
	}
	return NULL;
}

/* The table grows when no entry is free, so all of them are used then. */
static int insert(struct burrow_weak *weak, void *to)
{
	uint32_t i;

	if (!free_entry && used == room && grow())
		return -ENOMEM;
	if (free_entry) {
		i = free_entry - 1;
		free_entry = entries[i].next;
	} else {
		i = used++;
	}
	entries[i].weak = weak;
	entries[i].to = to;
	link_entry(i);
	return 0;
}

/* Under the lock: the one there is, or @weak as the one from now on. */
static struct burrow_weak *find_or_insert(struct burrow_weak *weak, void *to)
{
	struct burrow_weak *found = look_up(to);

	if (found || !weak)
		return found;
	weak->to = to;
	return insert(weak, to) ? NULL : weak;
}

static bool is_object(void *p)
{
	struct burrow_object object;
	struct burrow_heap *heap = burrow_heap_now();

	return heap && burrow_heap_find(heap, p, &object);
}

static struct burrow_weak *find_inside(struct burrow_weak *weak, void *to)
{
	struct burrow_thread *self = burrow_enter("burrow_weak_new");

	pthread_mutex_lock(&lock);
	weak = find_or_insert(weak, to);
	pthread_mutex_unlock(&lock);
	burrow_leave(self);
	return weak;
}

struct burrow_weak *burrow_weak_new(void *obj)
{
	struct burrow_weak *weak;

	if (!is_object(obj))
		return NULL;
	weak = find_inside(NULL, obj);
	if (weak)
		return weak;
	/* Not under the lock: it may wait for a cycle. */
	weak = burrow_try_alloc_noscan(sizeof(*weak));
	if (weak)
		weak = find_inside(weak, obj);
	burrow_keep_alive(obj);
	return weak;
}

void *burrow_weak_get(const struct burrow_weak *weak)
{
	return __atomic_load_n(&weak->to, __ATOMIC_ACQUIRE);
}

__attribute__((noipa)) void burrow_keep_alive(const void *ptr)
{
	(void)ptr;
}

static int add(void *obj, void (*fn)(void *arg), void *arg)
{
	struct cleanup *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->obj = obj;
	c->fn = fn;
	c->arg = arg;
	pthread_mutex_lock(&lock);
	c->next = waiting;
	waiting = c;
	pthread_mutex_unlock(&lock);
	return 0;
}

int burrow_cleanup(void *obj, void (*fn)(void *arg), void *arg)
{
	struct burrow_thread *self = burrow_enter_try("burrow_cleanup");
	struct burrow_object object, other;
	struct burrow_heap *heap = burrow_heap_now();
	int ret = -EINVAL;

	if (!self)
		return -EPERM;
	if (fn && burrow_heap_find(heap, obj, &object) &&
	    !(burrow_heap_find(heap, arg, &other) &&
	      other.start == object.start))
		ret = add(object.start, fn, arg);
	burrow_leave(self);
	burrow_keep_alive(obj);
	return ret;
}

void burrow_weak_roots(burrow_root_fn *fn, void *arg)
{
	const struct cleanup *c;

	for (c = waiting; c; c = c->next)
		fn(arg, &c->arg, &c->arg + 1);
	for (c = ready; c; c = c->next)
		fn(arg, &c->arg, &c->arg + 1);
}

static void unlink_entry(uint32_t i)
{
	uint32_t *at = bucket_of(entries[i].to);

	while (*at != i + 1)
		at = &entries[*at - 1].next;
	*at = entries[i].next;
	entries[i].weak = NULL;
	entries[i].next = free_entry;
	free_entry = i + 1;
}

static void clear_references(struct burrow_heap *heap)
{
	bool alive, referred;
	uint32_t i;

	for (i = 0; i < used; i++) {
		if (!entries[i].weak)
			continue;
		referred = burrow_heap_is_marked(heap, entries[i].weak);
		alive = burrow_heap_is_marked(heap, entries[i].to);
		if (referred && !alive)
			entries[i].weak->to = NULL;
		if (!referred || !alive)
			unlink_entry(i);
	}
}

void burrow_weak_dead(struct burrow_heap *heap)
{
	struct cleanup **at = &waiting, *c;

	clear_references(heap);
	while ((c = *at)) {
		if (burrow_heap_is_marked(heap, c->obj)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->next = NULL;
		*ready_last = c;
		ready_last = &c->next;
	}
}

/* NULL: there is none, and the goroutine is no more. */
static struct cleanup *take(void)
{
	struct burrow_thread *self = burrow_enter("burrow_cleanup");
	struct cleanup *c;

	pthread_mutex_lock(&lock);
	c = ready;
	if (c)
		ready = c->next;
	else
		running = false;
	if (!ready)
		ready_last = &ready;
	pthread_mutex_unlock(&lock);
	burrow_leave(self);
	return c;
}

static void run(void *arg)
{
	struct cleanup *c, copy;

	(void)arg;
	while ((c = take())) {
		copy = *c;
		free(c);
		copy.fn(copy.arg);
	}
}

bool burrow_weak_due(void)
{
	bool due;

	pthread_mutex_lock(&lock);
	due = ready && !running;
	pthread_mutex_unlock(&lock);
	return due;
}

void burrow_weak_run(void)
{
	const struct burrow_go_options opts = {
		.size = sizeof(opts),
		.name = "cleanups",
	};
	bool start;

	pthread_mutex_lock(&lock);
	start = ready && !running;
	running |= start;
	pthread_mutex_unlock(&lock);
	if (!start || !burrow_go_opts(&opts, run, NULL))
		return;
	/* No stack for it now: after the next cycle. */
	pthread_mutex_lock(&lock);
	running = false;
	pthread_mutex_unlock(&lock);
}

static void free_all(struct cleanup *c)
{
	struct cleanup *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
}

void burrow_weak_close(void)
{
	free_all(waiting);
	free_all(ready);
	waiting = NULL;
	ready = NULL;
	ready_last = &ready;
	running = false;
	free(entries);
	free(buckets);
	entries = NULL;
	buckets = NULL;
	room = 0;
	used = 0;
	free_entry = 0;
}

void burrow_weak_lock(void)
{
	pthread_mutex_lock(&lock);
}

void burrow_weak_unlock(void)
{
	pthread_mutex_unlock(&lock);
}
