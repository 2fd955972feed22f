// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tracking by the kernel module: it reads and clears the dirty bits that the
 * processor sets anyway. Nothing is protected, so nothing has to be armed but by
 * forgetting what was written before, and a write costs what it always does.
 *
 * The module works on groups of 64 pages. A range is widened to whole groups, and
 * all that they have is told: what lies beside the range was cleared as well, and
 * whoever asks for it next would not hear of it.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "../heap/module.h"
#include "track.h"

#define GROUP 64 /* pages: a word of the bitmap */
#define GROUPS 512 /* harvested by one call */

static const struct burrow_heap_module *module;

static int kmod_open(const struct burrow_heap_module *m)
{
	if (!m)
		return -ENODEV;
	module = m;
	return 0;
}

static void kmod_close(void)
{
	module = NULL;
}

static int kmod_watch(char *low, char *high)
{
	return low >= module->base && high <= module->base + module->bytes ?
		       0 :
		       -EINVAL;
}

/* Runs of set bits, also across words. */
static void tell(char *start, size_t page_bytes, const uint64_t *bitmap,
		 size_t groups, burrow_dirty_fn *fn, void *arg)
{
	size_t page = 0, end = groups * GROUP, from;
	uint64_t word;

	while (page < end) {
		word = bitmap[page / GROUP] >> page % GROUP;
		if (!word) {
			page = (page | (GROUP - 1)) + 1;
			continue;
		}
		page += __builtin_ctzl(word);
		for (from = page; page < end; page++) {
			if (!(bitmap[page / GROUP] >> page % GROUP & 1))
				break;
		}
		fn(start + from * page_bytes, start + page * page_bytes, arg);
	}
}

int burrow_track_arena(const struct burrow_heap_module *m, char *low,
		       char *high, burrow_dirty_fn *fn, void *arg)
{
	const size_t group = GROUP * m->page;
	size_t at = (size_t)(low - m->base) / group;
	size_t end = ((size_t)(high - m->base) + group - 1) / group;
	uint64_t bitmap[GROUPS];
	size_t n;
	int ret;

	for (; at < end; at += n) {
		n = end - at < GROUPS ? end - at : GROUPS;
		ret = burrow_heap_module_dirty(m, m->base + at * group,
					       n * group, bitmap);
		if (ret)
			return ret;
		tell(m->base + at * group, m->page, bitmap, n, fn, arg);
	}
	return 0;
}

static int kmod_harvest(char *low, char *high, burrow_dirty_fn *fn, void *arg)
{
	return burrow_track_arena(module, low, high, fn, arg);
}

static void ignore(char *low, char *high, void *arg)
{
	(void)low;
	(void)high;
	(void)arg;
}

static int kmod_arm(char *low, char *high)
{
	return kmod_harvest(low, high, ignore, NULL);
}

const struct burrow_tracker burrow_track_kmod = {
	.name = "kmod",
	.free = true,
	.open = kmod_open,
	.close = kmod_close,
	.watch = kmod_watch,
	.arm = kmod_arm,
	.harvest = kmod_harvest,
	.look = kmod_harvest,
};
