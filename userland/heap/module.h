/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A heap arena of the kernel module: memory whose written pages it knows without
 * a fault for any of them. The heap has one for both halves (source_kmod.c); the
 * collector harvests it (gc/track_kmod.c).
 */
#ifndef BURROW_HEAP_MODULE_H
#define BURROW_HEAP_MODULE_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct burrow_heap_module - an arena
 * @fd:		the module's context; whoever opened it closes it, after the arena
 * @arena:	its number there
 * @offset:	of the arena, for mmap()
 * @page:	bytes of a page
 * @base:	where it is, in addresses reserved for it
 * @bytes:	of it, whole blocks
 */
struct burrow_heap_module {
	int fd;
	uint32_t arena;
	uint64_t offset;
	size_t page;
	char *base;
	size_t bytes;
};

/*
 * Reserves @bytes (whole blocks) in @fd's context: 0 or a negative errno,
 * -EOPNOTSUPP from a module that has no heaps or can't harvest them.
 */
int burrow_heap_module_open(struct burrow_heap_module *m, int fd, size_t bytes);
void burrow_heap_module_close(struct burrow_heap_module *m);

/* Whole blocks from @start on may be touched: 0 or a negative errno. */
int burrow_heap_module_map(struct burrow_heap_module *m, char *start,
			   size_t bytes);

/* Whole pages go to the system and are zero then. */
void burrow_heap_module_release(struct burrow_heap_module *m, char *start,
				size_t bytes);

/*
 * The pages written since they were harvested the last time, or first touched, as
 * bits of @bitmap: @start and @bytes are multiples of 64 pages from the arena's
 * beginning. 0 or a negative errno: then some may have been forgotten.
 */
int burrow_heap_module_dirty(const struct burrow_heap_module *m, char *start,
			     size_t bytes, uint64_t *bitmap);

/* Bytes that the module allows this process, stacks and all. */
uint64_t burrow_heap_module_limit(const struct burrow_heap_module *m);

#endif /* BURROW_HEAP_MODULE_H */
