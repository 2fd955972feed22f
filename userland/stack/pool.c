// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Classes, arenas and free slots: what is the same for every backend.
 *
 * A stack is promised before it is needed: burrow_stack_reserve() makes sure
 * that there are as many mapped slots as promises, so that a goroutine that
 * was created will find one when it first runs. Address space is reserved by
 * the arena and mapped by the chunk as promises grow; a slot that nobody has
 * run on costs no memory.
 *
 * Called by the scheduler and by caches; takes the lock of one class.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../debug/probe.h"
#include "stack.h"

#define STRIDE_SHIFT 14 /* of class 0: BURROW_STRIDE_MIN */
#define SLOTS_MAX (4U << 20) /* of one arena */
#define SLOTS_FIRST 64 /* of a class that few will use */
#define ARENA_BYTES (1ULL << 40)

const struct burrow_stack_backend *const burrow_stack_backends[] = {
	&burrow_stack_kmod,
	&burrow_stack_mmap,
	NULL,
};

char *burrow_stack_reserve_space(size_t bytes)
{
	const size_t align = BURROW_BLOCK_SIZE;
	char *p, *start;

	p = mmap(NULL, bytes + align, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;

	start = (char *)(((uintptr_t)p + align - 1) & -align);
	if (start > p)
		munmap(p, start - p);
	if (p + align > start)
		munmap(start + bytes, p + align - start);

	/* After mlockall(MCL_FUTURE) mapping a chunk would fill it. */
	munlock(start, bytes);
	return start;
}

bool burrow_stack_writable(const void *address)
{
	return syscall(SYS_clock_gettime, CLOCK_MONOTONIC, address) == 0;
}

size_t burrow_stack_class_stride(int class)
{
	return (size_t)1 << (STRIDE_SHIFT + class);
}

/* max(32 KiB, stride / 8), at most half: a frame of libc can jump a page. */
static size_t default_guard(size_t stride)
{
	size_t guard = stride / 8;

	if (guard < (32 << 10))
		guard = 32 << 10;
	return guard > stride / 2 ? stride / 2 : guard;
}

size_t burrow_stack_class_usable(int class)
{
	size_t stride = burrow_stack_class_stride(class);

	return stride - default_guard(stride);
}

int burrow_stack_class_for(size_t usable)
{
	int class;

	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		if (burrow_stack_class_usable(class) >= usable)
			return class;
	}
	return -EINVAL;
}

int burrow_stack_pool_open(struct burrow_stack_pool *pool,
			   const struct burrow_stack_backend *backend)
{
	int class;

	pool->backend = backend;
	pool->fd = -1;
	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		memset(&pool->classes[class], 0, sizeof(pool->classes[class]));
		pthread_mutex_init(&pool->classes[class].lock, NULL);
	}
	return backend->open(pool);
}

static size_t next_bytes(const struct burrow_stack_arena *arena)
{
	return (size_t)arena->slots *
		       (sizeof(arena->next[0]) + sizeof(arena->ring[0])) +
	       burrow_stack_chunks(arena) * sizeof(arena->slept[0]);
}

static void arena_destroy(struct burrow_stack_arena *arena)
{
	arena->pool->backend->arena_destroy(arena);
	munmap(arena->next, next_bytes(arena));
	free(arena);
}

void burrow_stack_pool_close(struct burrow_stack_pool *pool)
{
	struct burrow_stack_class *c;
	int class;

	for (class = 0; class < BURROW_STACK_CLASSES; class ++) {
		c = &pool->classes[class];
		while (c->nr_arenas)
			arena_destroy(c->arenas[--c->nr_arenas]);
		pthread_mutex_destroy(&c->lock);
	}
	pool->backend->close(pool);
}

/*
 * How many slots to try for. The default class gets all at once; the others
 * begin small and double, so that a class with one user stays cheap. Where
 * address space is limited, an arena takes an eighth of it at most.
 */
static uint32_t arena_slots(const struct burrow_stack_class *c, size_t stride)
{
	uint64_t slots = SLOTS_MAX, bytes = ARENA_BYTES;
	struct rlimit limit;
	unsigned int i;

	if (stride != BURROW_STACK_DEFAULT) {
		slots = SLOTS_FIRST;
		for (i = 0; i < c->nr_arenas; i++)
			slots += c->arenas[i]->slots;
	}
	if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur / 8 < bytes)
		bytes = limit.rlim_cur / 8;
	if (slots > SLOTS_MAX)
		slots = SLOTS_MAX;
	if (slots > bytes / stride)
		slots = bytes / stride;
	return slots ? slots : 1;
}

static int arena_try(struct burrow_stack_arena *arena)
{
	int ret;

	arena->next = mmap(NULL, next_bytes(arena), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->next == MAP_FAILED)
		return -errno;
	ret = arena->pool->backend->arena_create(arena);
	if (ret)
		munmap(arena->next, next_bytes(arena));
	arena->ring = arena->next + arena->slots;
	arena->slept = arena->ring + arena->slots;
	return ret;
}

/* Reservations shrink by halves where the system refuses the size. */
static int arena_add(struct burrow_stack_pool *pool,
		     struct burrow_stack_class *c, size_t stride)
{
	struct burrow_stack_arena *arena;
	uint32_t slots;
	int ret;

	if (c->nr_arenas == BURROW_STACK_ARENAS)
		return -EAGAIN;
	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return -ENOMEM;

	slots = arena_slots(c, stride);
	do {
		memset(arena, 0, sizeof(*arena));
		arena->pool = pool;
		arena->stride = stride;
		arena->guard = default_guard(stride);
		arena->slots = slots;
		ret = arena_try(arena);
		slots /= 2;
	} while (ret == -ENOMEM && slots);

	if (ret) {
		free(arena);
		return ret;
	}
	c->arenas[c->nr_arenas++] = arena;
	return 0;
}

static int class_grow(struct burrow_stack_pool *pool,
		      struct burrow_stack_class *c, size_t stride)
{
	struct burrow_stack_arena *arena = NULL;
	int ret;

	if (c->nr_arenas)
		arena = c->arenas[c->nr_arenas - 1];
	if (!arena || arena->ready == arena->slots) {
		ret = arena_add(pool, c, stride);
		if (ret)
			return ret;
		arena = c->arenas[c->nr_arenas - 1];
	}

	ret = pool->backend->prepare(arena);
	if (ret < 0)
		return ret;
	arena->ready += ret;
	c->ready += ret;
	return 0;
}

/* With the class's lock: slots for @more stacks than are spoken for. */
static int make_ready(struct burrow_stack_pool *pool, int class, uint32_t more)
{
	struct burrow_stack_class *c = &pool->classes[class];
	int ret = 0;

	while (!ret && c->ready < c->promised + c->kept + more)
		ret = class_grow(pool, c, burrow_stack_class_stride(class));
	return ret;
}

int burrow_stack_reserve(struct burrow_stack_pool *pool, int class, uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];
	int ret;

	pthread_mutex_lock(&c->lock);
	ret = make_ready(pool, class, n);
	if (!ret)
		c->promised += n;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

void burrow_stack_unreserve(struct burrow_stack_pool *pool, int class,
			    uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];

	pthread_mutex_lock(&c->lock);
	c->promised -= n;
	pthread_mutex_unlock(&c->lock);
}

int burrow_stack_keep(struct burrow_stack_pool *pool, int class, uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];
	int ret;

	pthread_mutex_lock(&c->lock);
	ret = make_ready(pool, class, n);
	if (!ret)
		c->kept += n;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

void burrow_stack_unkeep(struct burrow_stack_pool *pool, int class, uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];

	pthread_mutex_lock(&c->lock);
	c->kept -= n;
	pthread_mutex_unlock(&c->lock);
}

/* 0: one that rested; 1: an empty one. */
static int arena_get(struct burrow_stack_arena *arena, uint32_t *slot)
{
	const struct burrow_stack_backend *backend = arena->pool->backend;
	int ret;

	if (burrow_stack_rest_take(arena, slot))
		return 0;
	if (arena->free) {
		*slot = arena->free - 1;
		arena->free = arena->next[*slot];
		return 1;
	}
	if (arena->fresh == arena->ready)
		return -EAGAIN;
	if (backend->guard) {
		ret = backend->guard(arena, arena->fresh);
		if (ret)
			return ret;
	}
	*slot = arena->fresh++;
	return 1;
}

/* Go on from where the last owner stopped: a word never comes twice. */
static void continue_words(struct burrow_stack *stack)
{
	stack->generation = stack->arena->table[stack->slot].word >> 1;
}

int burrow_stack_get(struct burrow_stack_pool *pool, int class,
		     struct burrow_stack *stack)
{
	struct burrow_stack_class *c = &pool->classes[class];
	int ret = -EAGAIN;
	unsigned int i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nr_arenas && ret == -EAGAIN; i++) {
		stack->arena = c->arenas[i];
		ret = arena_get(stack->arena, &stack->slot);
	}
	pthread_mutex_unlock(&c->lock);
	if (ret >= 0)
		continue_words(stack);
	return ret;
}

uint32_t burrow_stack_get_rested(struct burrow_stack_pool *pool, int class,
				 struct burrow_stack *stacks, uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];
	struct burrow_stack_arena *arena;
	uint32_t got = 0, j;
	unsigned int i;

	if (!__atomic_load_n(&pool->resting, __ATOMIC_RELAXED))
		return 0;
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nr_arenas; i++) {
		arena = c->arenas[i];
		while (got < n &&
		       burrow_stack_rest_take(arena, &stacks[got].slot)) {
			stacks[got].arena = arena;
			__builtin_prefetch(&arena->table[stacks[got].slot], 1);
			got++;
		}
	}
	pthread_mutex_unlock(&c->lock);
	for (j = 0; j < got; j++) {
		continue_words(&stacks[j]);
		__builtin_prefetch(burrow_stack_top(&stacks[j]) - 64, 1);
	}
	return got;
}

void burrow_stack_give(struct burrow_stack_pool *pool, int class,
		       const struct burrow_stack *stacks, uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];
	struct burrow_stack_arena *arena;
	uint32_t i;

	burrow_stack_trim(stacks, NULL, n);
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < n; i++) {
		arena = stacks[i].arena;
		burrow_stack_label(&stacks[i], 0);
		arena->next[stacks[i].slot] = arena->free;
		arena->free = stacks[i].slot + 1;
	}
	pthread_mutex_unlock(&c->lock);
}

/* With the class's lock: room for those that the monitor is giving back. */
static bool room_to_tidy(struct burrow_stack_pool *pool, int class)
{
	struct burrow_stack_class *c = &pool->classes[class];

	if (!c->tidies && !make_ready(pool, class, BURROW_STACK_BATCH)) {
		c->kept += BURROW_STACK_BATCH;
		c->tidies = true;
	}
	return c->tidies;
}

void burrow_stack_put(struct burrow_stack_pool *pool, int class,
		      const struct burrow_stack *stacks, uint32_t n)
{
	struct burrow_stack_class *c = &pool->classes[class];
	bool rest;
	uint32_t i;

	if (!n)
		return;
	rest = burrow_stack_may_rest(pool, stacks, n);
	if (rest) {
		pthread_mutex_lock(&c->lock);
		rest = room_to_tidy(pool, class);
		for (i = 0; rest && i < n; i++) {
			burrow_stack_label(&stacks[i], 0);
			burrow_stack_rest_put(stacks[i].arena, stacks[i].slot);
		}
		pthread_mutex_unlock(&c->lock);
	}
	if (!rest)
		burrow_stack_give(pool, class, stacks, n);
}

static const char *try_stack(struct burrow_stack_pool *pool, int *err)
{
	struct burrow_stack stack;
	int class = burrow_stack_class_for(burrow_stack_class_usable(0));

	*err = burrow_stack_reserve(pool, class, 1);
	if (*err)
		return "no stack can be reserved";
	*err = burrow_stack_get(pool, class, &stack);
	if (*err < 0)
		return "no stack can be had";

	burrow_stack_enter(&stack);
	if (!burrow_stack_writable(burrow_stack_top(&stack) - 64) ||
	    !burrow_stack_writable(burrow_stack_low(&stack) +
				   stack.arena->guard)) {
		*err = -EFAULT;
		return "a stack is not writable";
	}
	if (burrow_stack_writable(burrow_stack_low(&stack) +
				  stack.arena->guard - 64)) {
		*err = -EFAULT;
		return "a guard does not hold";
	}
	burrow_stack_leave(&stack);
	burrow_stack_put(pool, class, &stack, 1);
	return NULL;
}

void burrow_stack_probe(const struct burrow_stack_backend *backend,
			struct burrow_stack_report *report)
{
	struct burrow_stack_pool pool = { .fd = -1 };
	const char *what;
	int err;

	memset(report, 0, sizeof(*report));
	backend->probe(report);
	if (!report->usable)
		return;

	err = burrow_stack_pool_open(&pool, backend);
	if (err) {
		report->usable = false;
		snprintf(report->why, sizeof(report->why), "cannot open: %s",
			 strerror(-err));
		return;
	}
	what = try_stack(&pool, &err);
	burrow_stack_pool_close(&pool);
	if (what) {
		report->usable = false;
		snprintf(report->why, sizeof(report->why), "%s: %s", what,
			 strerror(-err));
	}
}

const struct burrow_stack_arena *
burrow_stack_find(const struct burrow_stack_pool *pool, const void *address)
{
	const struct burrow_stack_arena *arena;
	const struct burrow_stack_class *c;
	unsigned int i;

	for (c = pool->classes; c < pool->classes + BURROW_STACK_CLASSES; c++) {
		for (i = 0; i < c->nr_arenas; i++) {
			arena = c->arenas[i];
			if ((uintptr_t)address - (uintptr_t)arena->base <
			    arena->slots * arena->stride)
				return arena;
		}
	}
	return NULL;
}
