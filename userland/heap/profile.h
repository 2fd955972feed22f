/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap profile: where objects were allocated, by sampling; profile.c.
 */
#ifndef BURROW_HEAP_PROFILE_H
#define BURROW_HEAP_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct burrow_heap;
struct burrow_heap_cache;

/* One sample in so many bytes, 0: none. Of a heap that is opened or closed. */
void burrow_profile_open(struct burrow_heap *heap, uint64_t rate);
void burrow_profile_close(struct burrow_heap *heap);

/*
 * Before a run of objects of @size is taken: how many it may have, @most at most,
 * so that one that is to be sampled begins a run; cache->sampled: this one does.
 * And how much was taken.
 */
uint32_t burrow_profile_run(struct burrow_heap_cache *cache, size_t size,
			    uint32_t most);
void burrow_profile_took(struct burrow_heap_cache *cache, size_t bytes);

/* A large object: cache->sampled is set if it is to be. */
void burrow_profile_large(struct burrow_heap_cache *cache, size_t bytes);

/*
 * Inside: the object that was asked for is a sample. @site: the return address
 * into the program.
 */
void burrow_profile_add(struct burrow_heap_cache *cache, const void *object,
			size_t size, const void *site);

/* All threads stopped, before marking ends: samples that are dead. */
void burrow_profile_dead(struct burrow_heap *heap);

/* Around fork(). */
void burrow_profile_lock(void);
void burrow_profile_unlock(void);

#endif /* BURROW_HEAP_PROFILE_H */
