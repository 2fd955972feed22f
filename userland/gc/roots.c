// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Roots of every kind, and the ranges that the program registers.
 *
 * Registered ranges outlive runs; any thread may add and remove them. They are
 * under a mutex, which the collector takes before it stops anybody: a thread
 * that would be stopped in the middle of a change is let finish it, and memory
 * that is being looked at is not given back by who waits to remove it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../sched/sched.h"
#include "deep.h"
#include "images.h"
#include "roots.h"
#include "saved.h"

struct root {
	const char *low;
	size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct root *roots;
static size_t count, room;

struct burrow_roots_count burrow_roots_count;

void burrow_roots_lock(void)
{
	pthread_mutex_lock(&lock);
}

void burrow_roots_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static int make_room(void)
{
	size_t more = room ? 2 * room : 16;
	struct root *p;

	if (count < room)
		return 0;
	p = realloc(roots, more * sizeof(*roots));
	if (!p)
		return -ENOMEM;
	roots = p;
	room = more;
	return 0;
}

int burrow_root_add(void *ptr, size_t len)
{
	int ret;

	if (!ptr || len > UINTPTR_MAX - (uintptr_t)ptr)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	ret = make_room();
	if (!ret)
		roots[count++] = (struct root){ ptr, len };
	pthread_mutex_unlock(&lock);
	return ret;
}

/* The last in first out: they are looked for from the end. */
int burrow_root_remove(void *ptr)
{
	int ret = -ENOENT;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = count; ret && i--;) {
		if (roots[i].low != ptr)
			continue;
		memmove(&roots[i], &roots[i + 1],
			(--count - i) * sizeof(*roots));
		ret = 0;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

/**
 * struct tally - a walk that counts
 * @fn:		where to go with what is found
 * @arg:	its argument
 * @bytes:	what was found
 */
struct tally {
	burrow_root_fn *fn;
	void *arg;
	uint64_t bytes;
};

static void tally(void *arg, const void *low, const void *high)
{
	struct tally *t = arg;

	t->bytes += (const char *)high - (const char *)low;
	t->fn(t->arg, low, high);
}

static uint64_t counted(void (*each)(burrow_root_fn *fn, void *arg),
			burrow_root_fn *fn, void *arg)
{
	struct tally t = { .fn = fn, .arg = arg };

	each(tally, &t);
	return t.bytes;
}

static void registered_each(burrow_root_fn *fn, void *arg)
{
	size_t i;

	for (i = 0; i < count; i++)
		fn(arg, roots[i].low, roots[i].low + roots[i].len);
}

/* Cells with what is in them, and what has a timeout that is set. */
static void runtime_each(burrow_root_fn *fn, void *arg)
{
	burrow_regions_each(fn, arg);
	burrow_timers_each(fn, arg);
}

const struct burrow_root_kind burrow_root_kinds[BURROW_ROOT_KINDS] = {
	{ "stack", burrow_stacks_each },
	{ "global", burrow_images_each },
	{ "registered", registered_each },
	{ "runtime", runtime_each },
};

void burrow_roots_each(burrow_root_fn *fn, void *arg)
{
	struct burrow_roots_count *n = &burrow_roots_count;
	uint64_t bytes[BURROW_ROOT_KINDS];
	int i;

	for (i = 0; i < BURROW_ROOT_KINDS; i++)
		bytes[i] = counted(burrow_root_kinds[i].each, fn, arg);
	n->stacks = bytes[0] + burrow_deep_left_out() + burrow_saved_left_out();
	n->statics = bytes[1];
	n->others = bytes[2] + bytes[3];
}
