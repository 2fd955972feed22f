// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ways to track writes, and whether they do: each is tried on a few pages
 * before it is trusted. The kernel may have a call and not the effect.
 */
#define _GNU_SOURCE
#include <linux/burrow.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../heap/module.h"
#include "track.h"

#define PAGES 8

const struct burrow_tracker *const burrow_trackers[] = {
	&burrow_track_kmod,
	&burrow_track_uffd,
	NULL,
};

/* Which of the pages were reported, as bits. */
struct seen {
	char *base;
	size_t page;
	unsigned int pages;
};

static void note(char *low, char *high, void *arg)
{
	struct seen *seen = arg;

	for (; low < high; low += seen->page)
		seen->pages |= 1U << (low - seen->base) / seen->page;
}

static bool look(const struct burrow_tracker *tracker, struct seen *seen)
{
	seen->pages = 0;
	return !tracker->look(seen->base, seen->base + PAGES * seen->page, note,
			      seen);
}

static bool harvest(const struct burrow_tracker *tracker, struct seen *seen)
{
	seen->pages = 0;
	return !tracker->harvest(seen->base, seen->base + PAGES * seen->page,
				 note, seen);
}

/*
 * Pages 0 to 3 are touched before they are armed, the others are not; 1 and 5
 * are written then, 2 is read, 3 is written by the kernel, 4 is read.
 */
static const char *use(const struct burrow_tracker *tracker, struct seen *seen)
{
	volatile char *base = seen->base;
	size_t page = seen->page;
	int fds[2], i;
	bool read_in;

	if (tracker->watch(seen->base, seen->base + PAGES * page))
		return "memory can't be watched";
	for (i = 0; i < 4; i++)
		base[i * page] = 1;
	if (tracker->arm(seen->base, seen->base + PAGES * page))
		return "memory can't be armed";
	if (!harvest(tracker, seen))
		return "memory can't be harvested";
	base[page] = 2;
	(void)base[2 * page];
	(void)base[4 * page];
	base[5 * page] = 2;
	if (pipe(fds))
		return "no pipe";
	read_in = write(fds[1], "x", 1) == 1 &&
		  read(fds[0], seen->base + 3 * page, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	if (!read_in || !harvest(tracker, seen))
		return "memory can't be harvested";
	if ((seen->pages & 0x2a) != 0x2a)
		return "writes are not seen";
	if (seen->pages & 0x07 & ~0x02)
		return "pages count as written that were not";
	if (!harvest(tracker, seen) || seen->pages & 0x2f)
		return "harvested pages are not armed again";
	base[page] = 3;
	if (!look(tracker, seen) || !(seen->pages & 0x02))
		return "writes after a harvest are not seen";
	if (!tracker->free && (!look(tracker, seen) || !(seen->pages & 0x02)))
		return "a look arms";
	return NULL;
}

static const char *try_on(const struct burrow_tracker *tracker, char *base,
			  const struct burrow_heap_module *module)
{
	struct seen seen = { .base = base, .page = sysconf(_SC_PAGESIZE) };
	const char *why;

	if (tracker->open(module))
		return "not allowed, or not there";
	why = use(tracker, &seen);
	tracker->close();
	return why;
}

static const char *try_anonymous(const struct burrow_tracker *tracker)
{
	size_t bytes = PAGES * sysconf(_SC_PAGESIZE);
	const char *why;
	char *base;

	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return "no memory";
	why = try_on(tracker, base, NULL);
	munmap(base, bytes);
	return why;
}

static const char *try_module(const struct burrow_tracker *tracker, int fd)
{
	struct burrow_heap_module module;
	const char *why = "no memory";

	if (burrow_heap_module_open(&module, fd, BURROW_BLOCK_SIZE))
		return "the module has no heaps";
	if (!burrow_heap_module_map(&module, module.base, module.bytes))
		why = try_on(tracker, module.base, &module);
	burrow_heap_module_close(&module);
	return why;
}

const char *burrow_track_try(const struct burrow_tracker *tracker, int fd)
{
	return fd >= 0 ? try_module(tracker, fd) : try_anonymous(tracker);
}
