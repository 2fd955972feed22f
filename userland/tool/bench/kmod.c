// SPDX-License-Identifier: GPL-2.0
/*
 * The module as the benchmarks use it. See kmod.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/burrow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

#define DEVICE "/dev/burrow"

/* As many entries as fit a small array go into one call. */
#define TRIM_MAX 1024

static int fail(char *why, size_t size, const char *what)
{
	int err = errno;

	if (err == ENOENT && !strcmp(what, DEVICE))
		snprintf(why, size, "the module is not loaded (no " DEVICE ")");
	else
		snprintf(why, size, "%s: %s", what, strerror(err));
	return -err;
}

static int open_context(struct kmod_arena *arena, char *why, size_t size)
{
	struct burrow_version v = { .size = sizeof(v), .abi = BURROW_ABI };

	memset(arena, 0, sizeof(*arena));
	arena->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (arena->fd < 0)
		return fail(why, size, DEVICE);
	if (ioctl(arena->fd, BURROW_IOC_VERSION, &v) < 0)
		return fail(why, size, "asking the module for its version");
	arena->pool_limit = v.pool_limit;
	arena->features = v.features;
	return 0;
}

/* The kernel wants it on a block's border, as the offset is. */
static int map_arena(struct kmod_arena *arena, uint64_t offset, char *why,
		     size_t size)
{
	size_t span = arena->bytes + BURROW_BLOCK_SIZE;
	char *hole, *base;

	hole = mmap(NULL, span, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hole == MAP_FAILED)
		return fail(why, size, "reserving address space");
	base = (char *)(((uintptr_t)hole + BURROW_BLOCK_SIZE - 1) &
			~(BURROW_BLOCK_SIZE - 1));
	if (base > hole)
		munmap(hole, base - hole);
	if (base < hole + BURROW_BLOCK_SIZE)
		munmap(base + arena->bytes, hole + BURROW_BLOCK_SIZE - base);
	if (mmap(base, arena->bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, arena->fd, offset) == MAP_FAILED) {
		fail(why, size, "mapping an arena");
		munmap(base, arena->bytes);
		return -ENOMEM;
	}
	arena->base = base;
	return 0;
}

static int open_arena(struct kmod_arena *arena,
		      struct burrow_arena_create *create, char *why,
		      size_t size)
{
	int err = open_context(arena, why, size);

	if (err)
		return err;
	create->size = sizeof(*create);
	if (ioctl(arena->fd, BURROW_IOC_ARENA_CREATE, create) < 0)
		return fail(why, size, "creating an arena");
	arena->number = create->arena;
	arena->bytes = create->bytes;
	arena->stride = create->stride;
	arena->table_bytes = create->table_bytes;
	arena->table_offset = create->table_offset;
	return map_arena(arena, create->offset, why, size);
}

int kmod_open_stacks(struct kmod_arena *arena, size_t stride, size_t slots,
		     char *why, size_t size)
{
	struct burrow_arena_create create = {
		.kind = BURROW_ARENA_STACK,
		.stride = stride,
		.slots = slots,
	};

	return open_arena(arena, &create, why, size);
}

int kmod_open_heap(struct kmod_arena *arena, size_t bytes, char *why,
		   size_t size)
{
	struct burrow_arena_create create = {
		.kind = BURROW_ARENA_HEAP,
		.bytes = bytes,
	};

	return open_arena(arena, &create, why, size);
}

int kmod_map_table(struct kmod_arena *arena)
{
	void *p = mmap(NULL, arena->table_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED, arena->fd, arena->table_offset);

	if (p == MAP_FAILED)
		return -errno;
	arena->table = p;
	return 0;
}

void kmod_close(struct kmod_arena *arena)
{
	if (arena->table)
		munmap(arena->table, arena->table_bytes);
	if (arena->base)
		munmap(arena->base, arena->bytes);
	if (arena->fd >= 0)
		close(arena->fd);
	arena->base = NULL;
	arena->table = NULL;
	arena->fd = -1;
}

static int trim_some(struct kmod_arena *arena, size_t first, size_t n,
		     size_t keep, uint32_t flags)
{
	static struct burrow_trim_entry entries[TRIM_MAX];
	struct burrow_trim trim = {
		.size = sizeof(trim),
		.flags = flags,
		.arena = arena->number,
		.count = n,
		.entries = (uintptr_t)entries,
	};
	size_t i;

	for (i = 0; i < n; i++)
		entries[i] = (struct burrow_trim_entry){
			.slot = first + i,
			.keep = keep,
			.word = arena->table ? arena->table[first + i].word : 0,
		};
	if (ioctl(arena->fd, BURROW_IOC_TRIM, &trim) < 0)
		return -errno;
	return trim.done == n ? 0 : -EINTR;
}

static int trim(struct kmod_arena *arena, size_t first, size_t n, size_t keep,
		uint32_t flags)
{
	int err = 0;

	while (n && !err) {
		size_t some = n < TRIM_MAX ? n : TRIM_MAX;

		err = trim_some(arena, first, some, keep, flags);
		first += some;
		n -= some;
	}
	return err;
}

int kmod_trim(struct kmod_arena *arena, size_t first, size_t n, size_t keep)
{
	return trim(arena, first, n, keep, 0);
}

int kmod_trim_lazily(struct kmod_arena *arena, size_t first, size_t n,
		     size_t keep)
{
	return trim(arena, first, n, keep, BURROW_TRIM_LAZY);
}

int kmod_drain(struct kmod_arena *arena)
{
	struct burrow_context_stats stats = { .size = sizeof(stats),
					      .flags = BURROW_STATS_DRAIN };

	return ioctl(arena->fd, BURROW_IOC_STATS, &stats) < 0 ? -errno : 0;
}

int64_t kmod_harvest(struct kmod_arena *arena, uint64_t *bitmap)
{
	struct burrow_dirty dirty = {
		.size = sizeof(dirty),
		.arena = arena->number,
		.pages = arena->bytes / sysconf(_SC_PAGESIZE),
		.bitmap = (uintptr_t)bitmap,
	};

	if (ioctl(arena->fd, BURROW_IOC_DIRTY, &dirty) < 0)
		return -errno;
	return dirty.done == dirty.pages ? (int64_t)dirty.dirty : -EINTR;
}
