// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory for what nobody frees: cells, listeners.
 *
 * Cut from chunks of the system's memory, a chunk for each processor at a time;
 * large objects have a chunk of their own. All of it goes when the runtime
 * stops.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "sched.h"

#define CHUNK (256UL << 10)
#define LARGE (CHUNK / 4)

/**
 * struct burrow_region - one chunk
 * @next:	the one before it; under runtime.lock
 * @bytes:	its length
 */
struct burrow_region {
	struct burrow_region *next;
	size_t bytes;
};

/* Under runtime.lock. */
static char *chunk_add(size_t bytes)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_region *region;

	region = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (region == MAP_FAILED)
		return NULL;
	region->bytes = bytes;
	region->next = rt->regions;
	/* The collector walks the list without the lock. */
	__atomic_store_n(&rt->regions, region, __ATOMIC_RELEASE);
	return (char *)(region + 1);
}

static char *chunk_new(size_t bytes)
{
	char *p;

	pthread_mutex_lock(&burrow_runtime.lock);
	p = chunk_add(bytes);
	pthread_mutex_unlock(&burrow_runtime.lock);
	return p;
}

/* Under runtime.lock: without a processor; for a few bytes of the runtime itself. */
void *burrow_region_chunk(size_t bytes)
{
	return chunk_add((sizeof(struct burrow_region) + bytes + 4095) &
			 ~4095UL);
}

void *burrow_region_alloc(struct burrow_thread *self, size_t size)
{
	struct burrow_proc *proc = self->proc;
	char *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + 15) & ~15UL;
	if (size > LARGE)
		return chunk_new((sizeof(struct burrow_region) + size + 4095) &
				 ~4095UL);
	if ((size_t)(proc->region_end - proc->region_at) < size) {
		p = chunk_new(CHUNK);
		if (!p)
			return NULL;
		proc->region_at = p;
		proc->region_end = p + CHUNK - sizeof(struct burrow_region);
	}
	p = proc->region_at;
	proc->region_at += size;
	return p;
}

void burrow_regions_each(void (*fn)(void *arg, const void *low,
				    const void *high),
			 void *arg)
{
	const struct burrow_region *region;

	for (region =
		     __atomic_load_n(&burrow_runtime.regions, __ATOMIC_ACQUIRE);
	     region; region = region->next)
		fn(arg, region + 1, (const char *)region + region->bytes);
}

void burrow_regions_free(struct burrow_region *regions)
{
	struct burrow_region *region;

	while ((region = regions)) {
		regions = region->next;
		munmap(region, region->bytes);
	}
}
