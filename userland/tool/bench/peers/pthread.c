// SPDX-License-Identifier: GPL-2.0
/*
 * Growth on the stack of a fresh thread. The stack is mapped here, because
 * glibc keeps the stacks of ended threads with their upper pages and would
 * give us warm ones. The time is taken in the thread, from its first
 * instruction; making and joining it is in ns/cycle.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../clock.h"
#include "../descend.h"
#include "../growth.h"

/* For what glibc itself puts on a thread's stack. */
#define EXTRA (64UL << 10)

struct state {
	unsigned long frames;
	size_t bytes;
	uint64_t ticks;
};

static void *thread(void *p)
{
	struct state *s = p;
	uint64_t t0 = bench_ticks(), bottom;

	descend(s->frames, &bottom);
	s->ticks = bottom - t0;
	return NULL;
}

static int run_on(struct state *s, char *low)
{
	pthread_attr_t attr;
	pthread_t t;
	int err;

	if (mprotect(low, GROWTH_GUARD, PROT_NONE))
		return errno;
	err = pthread_attr_init(&attr);
	if (err)
		return err;
	err = pthread_attr_setstack(&attr, low + GROWTH_GUARD,
				    s->bytes - GROWTH_GUARD);
	if (!err)
		err = pthread_create(&t, &attr, thread, s);
	if (!err)
		err = pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
	char *low = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	int err;

	(void)i;
	if (low == MAP_FAILED)
		return -errno;
	err = run_on(s, low);
	munmap(low, s->bytes);
	*ticks = s->ticks;
	return -err;
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->frames = plan->frames;
	s->bytes = growth_stride(plan->depth) + EXTRA;
	return s;
}

const struct growth_way growth_pthread = {
	.name = "pthread",
	.open = open_state,
	.grow = grow,
	.close = free,
};
