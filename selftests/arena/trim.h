/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of trimming share: a fixture of a context with an arena of
 * 1,000 stacks, whose pages are filled with marks of their own; the pool's bound
 * is as it was afterwards.
 */
#ifndef TRIM_H
#define TRIM_H

#include "arena.h"

#define POOL_LIMIT "/sys/module/burrow/parameters/pool_limit"

FIXTURE(trim)
{
	int fd;
	struct arena arena; /* 256 KiB, so 8 slots a block */
	char pool_limit[64];
};

FIXTURE_SETUP(trim)
{
	self->fd = context_open();
	self->arena = stack_arena(self->fd, KIB(256), 1000);
	if (slurp(POOL_LIMIT, self->pool_limit, sizeof(self->pool_limit)) < 0)
		die("cannot read " POOL_LIMIT);
}

FIXTURE_TEARDOWN(trim)
{
	close(self->fd);
	spew(POOL_LIMIT, self->pool_limit);
}

static UNUSED int mark(uint64_t slot, uint64_t depth)
{
	return 1 + (slot * 7 + depth) % 250;
}

/* Fills @pages of a slot, and an empty one with no more, with their marks. */
static UNUSED void fill(const struct arena *arena, uint64_t slot,
			uint64_t pages)
{
	uint64_t d;

	if (pages)
		touch(slot_page(arena, slot, pages - 1));
	for (d = 0; d < pages; d++)
		memset(slot_page(arena, slot, d), mark(slot, d), PAGE);
}

static UNUSED bool filled(const struct arena *arena, uint64_t slot,
			  uint64_t pages)
{
	uint64_t d;

	for (d = 0; d < pages; d++)
		if (!is_filled(slot_page(arena, slot, d), mark(slot, d), PAGE))
			return false;
	return true;
}

#endif /* TRIM_H */
