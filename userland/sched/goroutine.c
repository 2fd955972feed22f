// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The structs of goroutines, and queues of them.
 *
 * They come from slabs of the system's memory, never from malloc: a dump or a
 * debugger walks the slabs and so finds every goroutine, and a program that
 * broke its heap can still be looked at. A slab stays until the runtime stops;
 * structs of goroutines that ended are used again by their processor.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "sched.h"

#define SLAB_FIRST (64UL << 10)
#define SLAB_MAX (16UL << 20)

/* A million of them should be a small part of what their stacks take. */
_Static_assert(sizeof(struct goroutine) <= 128, "goroutine grew");

/**
 * struct burrow_slab - a piece of memory full of goroutines
 * @next:	the one before it
 * @bytes:	length of the mapping
 * @used:	structs handed out so far
 * @room:	structs that fit
 * @g:		the structs
 */
struct burrow_slab {
	struct burrow_slab *next;
	size_t bytes;
	size_t used;
	size_t room;
	struct goroutine g[] __attribute__((aligned(64)));
};

void goroutine_queue_push(struct goroutine_queue *queue, struct goroutine *g)
{
	g->next = NULL;
	if (queue->last)
		queue->last->next = g;
	else
		queue->first = g;
	queue->last = g;
	queue->count++;
}

struct goroutine *goroutine_queue_pop(struct goroutine_queue *queue)
{
	struct goroutine *g = queue->first;

	if (!g)
		return NULL;
	queue->first = g->next;
	if (!queue->first)
		queue->last = NULL;
	queue->count--;
	return g;
}

/* Each twice as large as the one before: few mappings for very many. */
static struct burrow_slab *slab_add(void)
{
	struct burrow_slab *old = burrow_runtime.slabs, *slab;
	size_t bytes = old ? old->bytes * 2 : SLAB_FIRST;

	if (bytes > SLAB_MAX)
		bytes = SLAB_MAX;
	slab = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
		return NULL;
	slab->bytes = bytes;
	slab->room = (bytes - sizeof(*slab)) / sizeof(slab->g[0]);
	slab->next = old;
	burrow_runtime.slabs = slab;
	return slab;
}

static struct goroutine *slab_get(void)
{
	struct burrow_slab *slab = burrow_runtime.slabs;

	if (!slab || slab->used == slab->room)
		slab = slab_add();
	return slab ? &slab->g[slab->used++] : NULL;
}

/* @self: the calling thread's part, NULL: it has none and holds the lock. */
struct goroutine *goroutine_new(struct burrow_thread *self)
{
	struct goroutine *g = NULL;

	if (self)
		g = goroutine_queue_pop(&self->proc->free);
	if (!g) {
		if (self)
			pthread_mutex_lock(&burrow_runtime.lock);
		g = slab_get();
		if (self)
			pthread_mutex_unlock(&burrow_runtime.lock);
	}
	if (!g)
		return NULL;

	memset(g, 0, sizeof(*g));
	g->id = __atomic_add_fetch(&burrow_runtime.next_id, 1,
				   __ATOMIC_RELAXED);
	__atomic_add_fetch(&burrow_runtime.created, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&burrow_runtime.alive, 1, __ATOMIC_RELAXED);
	return g;
}

void goroutine_free(struct burrow_proc *proc, struct goroutine *g)
{
	g->state = GOROUTINE_FREE;
	goroutine_queue_push(&proc->free, g);
	__atomic_sub_fetch(&burrow_runtime.alive, 1, __ATOMIC_RELAXED);
}

void goroutine_each(void (*fn)(struct goroutine *g, void *arg), void *arg)
{
	struct burrow_slab *slab;
	size_t i;

	for (slab = burrow_runtime.slabs; slab; slab = slab->next) {
		for (i = 0; i < slab->used; i++) {
			if (slab->g[i].state != GOROUTINE_FREE)
				fn(&slab->g[i], arg);
		}
	}
}

void goroutine_slabs_free(void)
{
	struct burrow_slab *slab;

	while ((slab = burrow_runtime.slabs)) {
		burrow_runtime.slabs = slab->next;
		munmap(slab, slab->bytes);
	}
}
