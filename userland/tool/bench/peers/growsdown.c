// SPDX-License-Identifier: GPL-2.0
/*
 * Growth as the kernel does it for a process's first stack: MAP_GROWSDOWN. The
 * mapping begins with a page and is extended by the fault, a page at a time.
 * The kernel keeps a gap of 256 pages below such a mapping, so the stacks lie
 * that far apart.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../descend.h"
#include "../growth.h"

#define GAP (2UL << 20)

struct state {
	char *base;
	size_t spacing;
	size_t page;
	unsigned long frames;
	unsigned int batch;
	struct rlimit old_limit;
};

static char *top(const struct state *s, unsigned int i)
{
	return s->base + (i + 1) * s->spacing;
}

static int give_back(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++)
		if (munmap(top(s, i) - s->spacing + GAP, s->spacing - GAP))
			return -errno;
	return 0;
}

static int map_batch(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++)
		if (mmap(top(s, i) - s->page, s->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
				 MAP_FIXED_NOREPLACE,
			 -1, 0) == MAP_FAILED)
			return -errno;
	return 0;
}

static void close_state(void *p)
{
	struct state *s = p;

	give_back(s);
	setrlimit(RLIMIT_STACK, &s->old_limit);
	free(s);
}

/* Such a mapping grows no further than RLIMIT_STACK. */
static int raise_limit(struct state *s, size_t depth)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &s->old_limit))
		return -errno;
	limit = s->old_limit;
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < 2 * depth)
		limit.rlim_cur = 2 * depth;
	return setrlimit(RLIMIT_STACK, &limit) ? -errno : 0;
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));
	size_t bytes;
	int err;

	s->spacing = growth_stride(plan->depth) + GAP;
	s->page = sysconf(_SC_PAGESIZE);
	s->frames = plan->frames;
	s->batch = plan->batch;
	err = raise_limit(s, plan->depth);
	if (err) {
		free(s);
		return growth_cannot(plan, "raising RLIMIT_STACK: %s",
				     strerror(-err));
	}
	/* It only grows where nothing is mapped: find a hole and leave it. */
	bytes = s->spacing * (s->batch + 1);
	s->base = mmap(NULL, bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->base == MAP_FAILED) {
		free(s);
		return growth_cannot(plan, "no hole in the address space: %s",
				     strerror(errno));
	}
	munmap(s->base, bytes);
	return s;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;

	*ticks = descend_on(top(s, i), s->frames);
	return 0;
}

const struct growth_way growth_growsdown = {
	.name = "growsdown",
	.open = open_state,
	.begin = map_batch,
	.grow = grow,
	.end = give_back,
	.close = close_state,
};
