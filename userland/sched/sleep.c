// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Time: the clock, and the heap of those who wait for it.
 *
 * A heap with four children a node, in memory of the system's: shallow, and a
 * sift-down reads one cache line a level. It belongs to a processor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sched.h"

#define ROOM_FIRST 256

int64_t burrow_now(void)
{
	/*
	 * Written first: where the clock is a system call, a stack that cannot
	 * grow ends it by an error and garbage here, rather than by a fault.
	 */
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int make_room(struct burrow_sleepers *s)
{
	size_t room = s->room ? s->room * 2 : ROOM_FIRST;
	size_t size = sizeof(s->heap[0]);
	void *p;

	if (s->heap)
		p = mremap(s->heap, s->room * size, room * size,
			   MREMAP_MAYMOVE);
	else
		p = mmap(NULL, room * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	s->heap = p;
	s->room = room;
	return 0;
}

int burrow_sleepers_add(struct burrow_sleepers *s, int64_t when,
			struct goroutine *g)
{
	size_t i, parent;

	if (s->count == s->room && make_room(s))
		return -ENOMEM;
	for (i = s->count++; i; i = parent) {
		parent = (i - 1) / 4;
		if (s->heap[parent].when <= when)
			break;
		s->heap[i] = s->heap[parent];
	}
	s->heap[i].when = when;
	s->heap[i].g = g;
	return 0;
}

static size_t soonest_child(const struct burrow_sleepers *s, size_t i)
{
	size_t child = 4 * i + 1, best = child, end = child + 4;

	for (; child < end && child < s->count; child++) {
		if (s->heap[child].when < s->heap[best].when)
			best = child;
	}
	return best;
}

struct goroutine *burrow_sleepers_due(struct burrow_sleepers *s, int64_t now)
{
	struct burrow_sleeper moved;
	struct goroutine *g;
	size_t i = 0, child;

	if (!s->count || s->heap[0].when > now)
		return NULL;
	g = s->heap[0].g;
	moved = s->heap[--s->count];
	for (;;) {
		child = soonest_child(s, i);
		if (child >= s->count || s->heap[child].when >= moved.when)
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = moved;
	return g;
}

void burrow_sleepers_free(struct burrow_sleepers *s)
{
	if (s->heap)
		munmap(s->heap, s->room * sizeof(s->heap[0]));
	memset(s, 0, sizeof(*s));
}

int burrow_sleep(int64_t ns)
{
	struct burrow_thread *self = burrow_self();
	int64_t when;

	if (!self || self->current == &self->loop)
		return -EPERM;
	self = burrow_sched_enter("burrow_sleep");
	if (ns <= 0) {
		burrow_yield();
		return 0;
	}
	if (__builtin_add_overflow(burrow_now(), ns, &when))
		when = INT64_MAX;
	if (burrow_sleepers_add(&self->proc->sleepers, when, self->current))
		return -ENOMEM;
	burrow_sched_park(self, GOROUTINE_SLEEP);
	return 0;
}
