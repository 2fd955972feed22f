// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks from anonymous memory: what any kernel has, without the module.
 *
 * Memory is faulted in page by page and goes back with madvise(DONTNEED). The
 * guards are lightweight ones where the kernel has them (MADV_GUARD_INSTALL,
 * Linux 6.13): a chunk is made accessible as a whole and each slot gets its
 * guard before it is first used. On older kernels a slot is made accessible
 * above its guard only, which costs two mappings, and a process may have
 * vm.max_map_count of those: promises end there. No stack is without a guard.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stack.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define CHUNK (64ULL << 20)
#define WINDOW_PAGES 512 /* in one look; on a stack that may be small */

/* Believed when seen: the advice was taken and the kernel can't write there. */
static bool guard_install_works(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	bool works = false;
	char *p;

	p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	munlock(p, 2 * page);
	if (!madvise(p, page, MADV_GUARD_INSTALL))
		works = !burrow_stack_writable(p) &&
			burrow_stack_writable(p + page);
	munmap(p, 2 * page);
	return works;
}

static unsigned long max_map_count(void)
{
	unsigned long n = 0;
	FILE *f;

	f = fopen("/proc/sys/vm/max_map_count", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static void mmap_probe(struct burrow_stack_report *report)
{
	unsigned long maps;

	report->usable = true;
	if (guard_install_works()) {
		snprintf(report->detail, sizeof(report->detail),
			 "guards by MADV_GUARD_INSTALL, no mapping each");
		return;
	}
	maps = max_map_count();
	snprintf(report->detail, sizeof(report->detail),
		 "guards by mprotect, two mappings a stack: about %lu stacks",
		 maps / 2);
	snprintf(
		report->advice, sizeof(report->advice),
		"for more stacks: load the module, or use Linux 6.13 or later, or sysctl -w vm.max_map_count=%lu",
		maps * 16);
}

static int mmap_open(struct burrow_stack_pool *pool)
{
	pool->guard_install = !pool->no_guard_install && guard_install_works();
	return 0;
}

static void mmap_close(struct burrow_stack_pool *pool)
{
	pool->fd = -1;
}

static size_t arena_bytes(const struct burrow_stack_arena *arena)
{
	size_t bytes = arena->slots * arena->stride;

	return (bytes + BURROW_BLOCK_SIZE - 1) & -BURROW_BLOCK_SIZE;
}

static int mmap_arena_create(struct burrow_stack_arena *arena)
{
	arena->base = burrow_stack_reserve_space(arena_bytes(arena));
	if (!arena->base)
		return -ENOMEM;

	/* A huge page would give a stack of one page two megabytes. */
	madvise(arena->base, arena_bytes(arena), MADV_NOHUGEPAGE);

	arena->table_bytes = arena->slots * sizeof(arena->table[0]);
	arena->table = mmap(NULL, arena->table_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->table == MAP_FAILED) {
		munmap(arena->base, arena_bytes(arena));
		return -ENOMEM;
	}
	return 0;
}

static void mmap_arena_destroy(struct burrow_stack_arena *arena)
{
	munmap(arena->table, arena->table_bytes);
	munmap(arena->base, arena_bytes(arena));
}

/* A chunk less where memory is accounted strictly and a whole one is refused. */
static int prepare_chunk(struct burrow_stack_arena *arena)
{
	uint32_t n = arena->slots - arena->ready;
	char *from = arena->base + arena->ready * arena->stride;

	if (n > CHUNK / arena->stride)
		n = arena->stride < CHUNK ? CHUNK / arena->stride : 1;
	while (mprotect(from, n * arena->stride, PROT_READ | PROT_WRITE)) {
		if (errno != ENOMEM || n == 1)
			return -errno;
		n /= 2;
	}
	return n;
}

static int prepare_slot(struct burrow_stack_arena *arena)
{
	char *from = arena->base + arena->ready * arena->stride;

	if (mprotect(from + arena->guard, arena->stride - arena->guard,
		     PROT_READ | PROT_WRITE))
		return -errno;
	return 1;
}

static int mmap_prepare(struct burrow_stack_arena *arena)
{
	return arena->pool->guard_install ? prepare_chunk(arena) :
					    prepare_slot(arena);
}

static int mmap_guard(struct burrow_stack_arena *arena, uint32_t slot)
{
	char *low = arena->base + slot * arena->stride;

	if (!arena->pool->guard_install)
		return 0;
	if (!madvise(low, arena->guard, MADV_GUARD_INSTALL))
		return 0;
	if (errno != EINVAL)
		return -errno;

	/* Since the probe mlockall() was called, and locked memory takes none. */
	munlock(arena->base, arena_bytes(arena));
	return madvise(low, arena->guard, MADV_GUARD_INSTALL) ? -errno : 0;
}

static void mmap_prefault(struct burrow_stack_arena *arena, uint32_t slot,
			  size_t bytes)
{
	char *top = arena->base + (slot + 1) * arena->stride;
	size_t page = sysconf(_SC_PAGESIZE);

	bytes = (bytes + page - 1) & -page;
	madvise(top - bytes, bytes, MADV_POPULATE_WRITE);
}

static int64_t mmap_resident(struct burrow_stack_arena *arena, uint32_t slot)
{
	unsigned char vec[WINDOW_PAGES];
	size_t page = sysconf(_SC_PAGESIZE);
	char *p = arena->base + slot * arena->stride + arena->guard;
	char *end = arena->base + (slot + 1) * arena->stride;
	int64_t bytes = 0;
	size_t n, i;

	for (; p < end; p += n * page) {
		n = (end - p) / page;
		if (n > WINDOW_PAGES)
			n = WINDOW_PAGES;
		if (mincore(p, n * page, vec))
			return -errno;
		for (i = 0; i < n; i++)
			bytes += (vec[i] & 1) * page;
	}
	return bytes;
}

/*
 * Neighbours that keep nothing go in one call, with the guards between them,
 * which hold all the same: MADV_DONTNEED leaves markers and protection alone.
 */
static uint32_t count_neighbours(const struct burrow_trim_entry *entries,
				 uint32_t n)
{
	uint32_t i = 1;

	while (i < n && !entries[0].keep && !entries[i].keep &&
	       entries[i].slot == entries[0].slot + i)
		i++;
	return i;
}

static int64_t mmap_trim(struct burrow_stack_arena *arena,
			 struct burrow_trim_entry *entries, uint32_t n)
{
	size_t page = sysconf(_SC_PAGESIZE), keep, len;
	int64_t bytes = 0, result;
	uint32_t i, end;
	char *low;

	for (i = 0; i < n; i = end) {
		end = i + count_neighbours(entries + i, n - i);
		keep = (entries[i].keep + page - 1) & -page;
		if (keep >= arena->stride - arena->guard)
			continue;
		low = arena->base + entries[i].slot * arena->stride +
		      arena->guard;
		len = arena->stride - arena->guard - keep;
		result = madvise(low, len + (end - i - 1) * arena->stride,
				 MADV_DONTNEED) ?
				 -errno :
				 (int64_t)len;
		for (; i < end; i++) {
			entries[i].result = result;
			bytes += result > 0 ? result : 0;
		}
	}
	return bytes;
}

static void mmap_advise(struct burrow_stack_pool *pool, int err, char *text,
			size_t len)
{
	unsigned long maps = max_map_count();

	if (pool->guard_install)
		snprintf(text, len,
			 "%s: raise ulimit -v or vm.overcommit_memory",
			 strerror(-err));
	else
		snprintf(
			text, len,
			"%s: a guard takes a mapping and the process may have %lu: sysctl -w vm.max_map_count=%lu, or load the module, or use Linux 6.13 or later",
			strerror(-err), maps, maps * 16);
}

static const char *mmap_no_memory(struct burrow_stack_pool *pool)
{
	(void)pool;
	return "the system or the memory cgroup has none left";
}

static void mmap_stats(struct burrow_stack_pool *pool,
		       struct burrow_stats *stats)
{
	struct burrow_stack_class *c;
	uint32_t slot, fresh;
	unsigned int i;
	int64_t ret;

	for (c = pool->classes; c < pool->classes + BURROW_STACK_CLASSES; c++) {
		pthread_mutex_lock(&c->lock);
		for (i = 0; i < c->nr_arenas; i++) {
			fresh = c->arenas[i]->fresh;
			for (slot = 0; slot < fresh; slot++) {
				ret = mmap_resident(c->arenas[i], slot);
				stats->stack_bytes += ret > 0 ? ret : 0;
			}
		}
		pthread_mutex_unlock(&c->lock);
	}
}

const struct burrow_stack_backend burrow_stack_mmap = {
	.name = "mmap",
	.probe = mmap_probe,
	.open = mmap_open,
	.close = mmap_close,
	.arena_create = mmap_arena_create,
	.arena_destroy = mmap_arena_destroy,
	.prepare = mmap_prepare,
	.guard = mmap_guard,
	.trim = mmap_trim,
	.prefault = mmap_prefault,
	.resident = mmap_resident,
	.advise = mmap_advise,
	.no_memory = mmap_no_memory,
	.stats = mmap_stats,
	.rests = true,
};
