// SPDX-License-Identifier: GPL-2.0
/*
 * Growth on anonymous memory, faulted in as it is touched:
 *
 * mmap		a new mapping with a guard for each stack, unmapped afterwards
 * mmap-warm	stacks that were grown before and kept their pages
 * madvfree	the same, but given up with MADV_FREE after each use; the kernel
 *		takes the pages only when it is short of memory, so this is the
 *		cheap side of a promise, and its cost is in ns/cycle
 * populate	a new mapping, made present with MADV_POPULATE_WRITE in steps
 *		that double, as a runtime could that knows how deep it will go
 * mthp		a new mapping with huge pages of 64 KiB, which are allowed for
 *		the time of the benchmark and put back as they were
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../sysfile.h"
#include "../clock.h"
#include "../descend.h"
#include "../growth.h"

#define THP "/sys/kernel/mm/transparent_hugepage/"
#define HUGE_SIZE (64UL << 10)

struct state {
	size_t depth;
	size_t stride;
	unsigned long frames;
	unsigned int batch;
	char **stacks;
};

static int unmap_batch(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++) {
		if (s->stacks[i] && munmap(s->stacks[i], s->stride))
			return -errno;
		s->stacks[i] = NULL;
	}
	return 0;
}

static int map_batch(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++) {
		char *low = mmap(NULL, s->stride, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					 MAP_STACK,
				 -1, 0);

		if (low == MAP_FAILED)
			return -errno;
		s->stacks[i] = low;
		if (mprotect(low, GROWTH_GUARD, PROT_NONE))
			return -errno;
	}
	return 0;
}

static void close_state(void *p)
{
	struct state *s = p;

	unmap_batch(s);
	free(s->stacks);
	free(s);
}

static void *open_state(struct growth_plan *plan)
{
	struct state *s = growth_alloc(1, sizeof(*s));

	s->depth = plan->depth;
	s->stride = growth_stride(plan->depth);
	s->frames = plan->frames;
	s->batch = plan->batch;
	s->stacks = growth_alloc(plan->batch, sizeof(*s->stacks));
	return s;
}

static void *open_kept(struct growth_plan *plan)
{
	struct state *s = open_state(plan);
	int err = map_batch(s);

	if (err) {
		close_state(s);
		return growth_cannot(plan, "mapping a stack: %s",
				     strerror(-err));
	}
	return s;
}

static int grow(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;

	*ticks = descend_on(s->stacks[i] + s->stride, s->frames);
	return 0;
}

const struct growth_way growth_mmap = {
	.name = "mmap",
	.open = open_state,
	.begin = map_batch,
	.grow = grow,
	.end = unmap_batch,
	.close = close_state,
};

const struct growth_way growth_mmap_warm = {
	.name = "mmap-warm",
	.open = open_kept,
	.grow = grow,
	.close = close_state,
};

static int free_batch(void *p)
{
	struct state *s = p;
	unsigned int i;

	for (i = 0; i < s->batch; i++)
		if (madvise(s->stacks[i] + GROWTH_GUARD,
			    s->stride - GROWTH_GUARD, MADV_FREE))
			return -errno;
	return 0;
}

const struct growth_way growth_madvfree = {
	.name = "madvfree",
	.open = open_kept,
	.grow = grow,
	.end = free_batch,
	.close = close_state,
};

/* Page, page, two pages, four ...: what there is doubles with each call. */
static int populate(char *top, size_t depth)
{
	size_t have = 0, page = sysconf(_SC_PAGESIZE), more;

	for (; have < depth; have += more) {
		more = have ? have : page;
		if (more > depth - have)
			more = depth - have;
		if (madvise(top - have - more, more, MADV_POPULATE_WRITE))
			return -errno;
	}
	return 0;
}

static int grow_populated(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;
	char *top = s->stacks[i] + s->stride;
	uint64_t t0 = bench_ticks();
	int err = populate(top, s->depth);

	*ticks = bench_ticks() - t0;
	*ticks += descend_on(top, s->frames);
	return err;
}

static void *open_populate(struct growth_plan *plan)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool able = p != MAP_FAILED && !madvise(p, page, MADV_POPULATE_WRITE);

	if (p != MAP_FAILED)
		munmap(p, page);
	if (!able)
		return growth_cannot(plan, "not in the kernel (since 5.14)");
	return open_state(plan);
}

const struct growth_way growth_populate = {
	.name = "populate",
	.open = open_populate,
	.begin = map_batch,
	.grow = grow_populated,
	.end = unmap_batch,
	.close = close_state,
};

/* What is allowed to be huge: 64 KiB, and nothing larger. */
static struct {
	const char *path;
	const char *want;
	char was[32];
} huge_settings[] = {
	{ THP "hugepages-64kB/enabled", "madvise", "" },
	{ THP "hugepages-128kB/enabled", "never", "" },
	{ THP "hugepages-256kB/enabled", "never", "" },
	{ THP "hugepages-512kB/enabled", "never", "" },
	{ THP "hugepages-1024kB/enabled", "never", "" },
	{ THP "hugepages-2048kB/enabled", "never", "" },
};

#define NSETTINGS (sizeof(huge_settings) / sizeof(huge_settings[0]))

/* "always inherit [madvise] never": the one in brackets. */
static int chosen(const char *path, char *word, size_t size)
{
	char text[128], *from, *to;
	int err = sysfile_read(path, text, sizeof(text));

	if (err)
		return err;
	from = strchr(text, '[');
	to = from ? strchr(from, ']') : NULL;
	if (!to)
		return -EINVAL;
	*to = 0;
	snprintf(word, size, "%s", from + 1);
	return 0;
}

static void put_settings_back(void)
{
	size_t i;

	for (i = 0; i < NSETTINGS; i++)
		if (huge_settings[i].was[0])
			sysfile_write(huge_settings[i].path,
				      huge_settings[i].was);
}

static int change_settings(void)
{
	size_t i;
	int err;

	for (i = 0; i < NSETTINGS; i++) {
		err = chosen(huge_settings[i].path, huge_settings[i].was,
			     sizeof(huge_settings[i].was));
		if (err) {
			huge_settings[i].was[0] = 0;
			continue; /* no such size here */
		}
		err = sysfile_write(huge_settings[i].path,
				    huge_settings[i].want);
		if (err)
			return err;
	}
	return 0;
}

static void close_huge(void *p)
{
	put_settings_back();
	close_state(p);
}

static void *open_huge(struct growth_plan *plan)
{
	int err;

	if (access(THP "hugepages-64kB", F_OK))
		return growth_cannot(plan, "not in the kernel (since 6.8)");
	err = change_settings();
	if (err) {
		put_settings_back();
		return growth_cannot(plan, "allowing huge pages of 64 KiB: %s",
				     strerror(-err));
	}
	return open_state(plan);
}

/* A huge page needs its own alignment at the upper end, where growth starts. */
static int map_huge_batch(void *p)
{
	struct state *s = p;
	int err = map_batch(s);
	unsigned int i;

	for (i = 0; i < s->batch && !err; i++)
		if (madvise(s->stacks[i] + GROWTH_GUARD,
			    s->stride - GROWTH_GUARD, MADV_HUGEPAGE))
			err = -errno;
	return err;
}

static int grow_huge(void *p, unsigned int i, uint64_t *ticks)
{
	struct state *s = p;
	uintptr_t top = (uintptr_t)s->stacks[i] + s->stride;

	*ticks = descend_on((void *)(top & ~(HUGE_SIZE - 1)), s->frames);
	return 0;
}

static void *open_huge_stacks(struct growth_plan *plan)
{
	struct state *s = open_huge(plan);

	/* Room to align the upper end downward. */
	if (s)
		s->stride += HUGE_SIZE;
	return s;
}

const struct growth_way growth_mthp = {
	.name = "mthp",
	.huge = true,
	.open = open_huge_stacks,
	.begin = map_huge_batch,
	.grow = grow_huge,
	.end = unmap_batch,
	.close = close_huge,
};
