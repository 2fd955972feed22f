// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The structs of goroutines, and queues of them.
 *
 * They come from slabs of the heap: a dump, a debugger or the collector walks the
 * slabs and so finds every goroutine. A slab stays until the heap is closed, and is
 * nothing that could be marked or swept (burrow_heap_keep()): a goroutine that waits
 * is not found by what points to it. It counts where a limit is set to the heap.
 * Structs of goroutines that ended are used again by the processor that they
 * ended on; what gathers on one goes to the others through the runtime.
 *
 * A processor also keeps a few promises of stacks and takes ids by the batch,
 * so that starting a goroutine touches nothing that is shared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "../debug/sanitize.h"
#include "../heap/heap.h"
#include "goroutine.h"

#define SLAB_FIRST (64UL << 10)
#define SLAB_MAX (16UL << 20)
#define FREE_BATCH 128
#define COLLECTIONS 2 /* before there is no memory for one */
#define SPARE_MAX 128 /* promises that a processor keeps */
#define SPARE_BATCH 64
#define ID_BATCH 32

/* A million of them should be a small part of what their stacks take. */
#ifndef BURROW_TSAN
_Static_assert(sizeof(struct goroutine) <= 192, "goroutine grew");
#endif

/* A name, or a free place for one. */
union name {
	union name *next;
	char text[BURROW_NAME_BYTES];
};

static const char *const reasons[GOROUTINE_REASONS] = {
	[GOROUTINE_SLEEP] = "sleep",
	[GOROUTINE_CHAN_SEND] = "chan send",
	[GOROUTINE_CHAN_RECV] = "chan receive",
	[GOROUTINE_CHAN_SEND_NIL] = "chan send (nil chan)",
	[GOROUTINE_CHAN_RECV_NIL] = "chan receive (nil chan)",
	[GOROUTINE_SELECT] = "select",
	[GOROUTINE_SELECT_NONE] = "select (no cases)",
	[GOROUTINE_MUTEX] = "mutex lock",
	[GOROUTINE_RWMUTEX_READ] = "rwmutex read lock",
	[GOROUTINE_RWMUTEX_WRITE] = "rwmutex lock",
	[GOROUTINE_COND] = "cond wait",
	[GOROUTINE_WAITGROUP] = "waitgroup wait",
	[GOROUTINE_ONCE] = "once",
	[GOROUTINE_SEM] = "semaphore acquire",
	[GOROUTINE_EVENT] = "event wait",
	[GOROUTINE_IO_READ] = "I/O read",
	[GOROUTINE_IO_WRITE] = "I/O write",
	[GOROUTINE_IO_ACCEPT] = "I/O accept",
	[GOROUTINE_IO_CONNECT] = "I/O connect",
	[GOROUTINE_IO_POLL] = "I/O poll",
	[GOROUTINE_IO_FILE] = "I/O file",
	[GOROUTINE_IO_CLOSE] = "I/O close",
	[GOROUTINE_GC] = "garbage collection",
};

const char *goroutine_reason_name(const struct goroutine *g)
{
	return g->reason < GOROUTINE_REASONS ? reasons[g->reason] : "?";
}

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

/* Near the heap's limit a small one may still be had. */
static struct burrow_slab *slab_get(size_t *bytes)
{
	struct burrow_slab *slab;

	for (; *bytes >= SLAB_FIRST; *bytes /= 2) {
		slab = burrow_heap_keep(burrow_runtime.heap, *bytes);
		if (slab)
			return slab;
	}
	return NULL;
}

/* Each twice as large as the one before: few of them for very many. */
static struct burrow_slab *slab_add(void)
{
	struct burrow_slab *old = burrow_runtime.slabs, *slab;
	size_t bytes = old ? old->bytes * 2 : SLAB_FIRST;

	if (bytes > SLAB_MAX)
		bytes = SLAB_MAX;
	slab = slab_get(&bytes);
	if (!slab)
		return NULL;
	*slab = (struct burrow_slab){
		.bytes = bytes,
		.room = (bytes - sizeof(*slab)) / sizeof(slab->g[0]),
		.next = old,
		.first = old ? (old->first + old->room + 63) & -64UL : 0,
	};
	/* The collector walks the list without the lock. */
	__atomic_store_n(&burrow_runtime.slabs, slab, __ATOMIC_RELEASE);
	return slab;
}

/* Under runtime.lock. */
static struct goroutine *struct_get(void)
{
	struct burrow_slab *slab = burrow_runtime.slabs;
	struct goroutine *g = goroutine_queue_pop(&burrow_runtime.free);

	if (g)
		return g;
	if (!slab || slab->used == slab->room)
		slab = slab_add();
	if (!slab)
		return NULL;
	/* It is clean before a walk can come to it: pairs with walk_next()'s load. */
	g = memset(&slab->g[slab->used], 0, sizeof(*g));
	__atomic_store_n(&slab->used, slab->used + 1, __ATOMIC_RELEASE);
	return g;
}

static void refill(struct burrow_proc *proc)
{
	struct goroutine *g;
	int i;

	pthread_mutex_lock(&burrow_runtime.lock);
	for (i = 0; i < FREE_BATCH; i++) {
		g = struct_get();
		if (!g)
			break;
		goroutine_set_free(proc, g);
	}
	pthread_mutex_unlock(&burrow_runtime.lock);
}

struct burrow_thread *goroutine_make_room(struct burrow_thread *self)
{
	int collections = 0;

	for (;;) {
		if (!self->proc->free)
			refill(self->proc);
		if (self->proc->free || collections++ == COLLECTIONS ||
		    !burrow_heap_collect(&self, SLAB_FIRST))
			return self;
	}
}

static uint64_t next_id(struct burrow_proc *proc)
{
	uint64_t *shared = &burrow_runtime.next_id;

	if (!proc)
		return __atomic_add_fetch(shared, 1, __ATOMIC_RELAXED);
	if (proc->id_next == proc->id_end) {
		proc->id_end =
			__atomic_add_fetch(shared, ID_BATCH, __ATOMIC_RELAXED);
		proc->id_next = proc->id_end - ID_BATCH;
	}
	return ++proc->id_next;
}

/*
 * A struct is clean where it is free: all zero but for what the scheduler sets
 * anyway and the timeout, whose last entry may still be in a heap.
 */
struct goroutine *goroutine_new(struct burrow_thread *self)
{
	struct burrow_proc *proc = self ? self->proc : NULL;
	struct goroutine *g;

	if (!proc) {
		g = struct_get();
		if (!g)
			return NULL;
		WRITE_ONCE(burrow_runtime.created, burrow_runtime.created + 1);
		g->id = next_id(NULL);
		return g;
	}
	if (!proc->free)
		refill(proc);
	g = proc->free;
	if (!g)
		return NULL;
	proc->free = g->next;
	proc->nr_free--;
	__atomic_store_n(&proc->created, proc->created + 1, __ATOMIC_RELAXED);
	g->id = next_id(proc);
	return g;
}

int goroutine_promise(struct burrow_thread *self, int class)
{
	struct burrow_runtime *rt = &burrow_runtime;
	int ret;

	if (!self || class != rt->class)
		return burrow_stack_reserve(rt->pool, class, 1);
	if (self->proc->spare) {
		self->proc->spare--;
		return 0;
	}
	ret = burrow_stack_reserve(rt->pool, class, SPARE_BATCH);
	if (ret)
		return burrow_stack_reserve(rt->pool, class, 1);
	self->proc->spare = SPARE_BATCH - 1;
	return 0;
}

void goroutine_unpromise(struct burrow_thread *self, int class)
{
	struct burrow_runtime *rt = &burrow_runtime;

	if (!self || class != rt->class)
		burrow_stack_unreserve(rt->pool, class, 1);
	else
		self->proc->spare++;
}

int goroutine_set_name(struct goroutine *g, const char *name, bool locked)
{
	struct burrow_runtime *rt = &burrow_runtime;
	union name *n, *more;
	size_t i;

	if (!locked)
		pthread_mutex_lock(&rt->lock);
	n = rt->names;
	if (!n) {
		more = burrow_region_chunk(sizeof(*n) * 128);
		for (i = 0; more && i < 128; i++) {
			more[i].next = n;
			n = &more[i];
		}
	}
	if (n) {
		rt->names = n->next;
		strncpy(n->text, name, sizeof(n->text) - 1);
		n->text[sizeof(n->text) - 1] = '\0';
		g->name = n->text;
	}
	if (!locked)
		pthread_mutex_unlock(&rt->lock);
	return n ? 0 : -ENOMEM;
}

static void name_free(struct goroutine *g)
{
	union name *n = (union name *)g->name;

	pthread_mutex_lock(&burrow_runtime.lock);
	g->name = NULL;
	n->next = burrow_runtime.names;
	burrow_runtime.names = n;
	pthread_mutex_unlock(&burrow_runtime.lock);
}

static struct goroutine *free_pop(struct burrow_proc *proc)
{
	struct goroutine *g = proc->free;

	if (g) {
		proc->free = g->next;
		proc->nr_free--;
	}
	return g;
}

/* Too many: others may need some. */
static __attribute__((noinline)) void free_some(struct burrow_proc *proc)
{
	int i;

	pthread_mutex_lock(&burrow_runtime.lock);
	for (i = 0; i < FREE_BATCH; i++)
		goroutine_queue_push(&burrow_runtime.free, free_pop(proc));
	pthread_mutex_unlock(&burrow_runtime.lock);
}

static inline void discard(struct burrow_proc *proc, struct goroutine *g)
{
	WRITE_ONCE(g->state, GOROUTINE_FREE);
	if (burrow_unlikely(g->name))
		name_free(g);
	goroutine_set_free(proc, g);
	/* Pairs with burrow_num_goroutines(): who sees the end sees what it did. */
	__atomic_store_n(&proc->ended, proc->ended + 1, __ATOMIC_RELEASE);
	if (burrow_unlikely(proc->nr_free > BURROW_FREE_MAX))
		free_some(proc);
}

/* The promise goes with the stack. */
static inline void take_promise_back(struct burrow_proc *proc, int class)
{
	struct burrow_runtime *rt = &burrow_runtime;

	if (burrow_unlikely(class != rt->class)) {
		burrow_stack_unreserve(rt->pool, class, 1);
	} else if (burrow_unlikely(++proc->spare > SPARE_MAX)) {
		burrow_stack_unreserve(rt->pool, class, SPARE_BATCH);
		proc->spare -= SPARE_BATCH;
	}
}

/*
 * It has begun on an empty stack: how deep it went is worth to know. Or it has
 * hibernated: then what the stack has does not say it, and who is next on it finds
 * as good as nothing there.
 */
static __attribute__((noinline)) void put_unusual(struct burrow_proc *proc,
						  struct goroutine *g)
{
	if (!g->slept)
		burrow_site_end(g);
	burrow_stack_cache_put(&proc->cache, g->class, &g->stack);
	if (g->slept)
		burrow_stack_cache_slept(&proc->cache, g->class, &g->stack);
	g->cold = false;
	g->slept = 0;
}

void goroutine_end(struct burrow_proc *proc, struct goroutine *g)
{
	burrow_san_free(g);
	if (burrow_unlikely(g->cold | g->slept))
		put_unusual(proc, g);
	else
		burrow_stack_cache_put(&proc->cache, g->class, &g->stack);
	g->stack.arena = NULL;
	take_promise_back(proc, g->class);
	discard(proc, g);
}

/* Gives back what a processor keeps: it is not used for a while. */
void goroutine_flush(struct burrow_proc *proc)
{
	struct goroutine *g;

	while ((g = free_pop(proc)))
		goroutine_queue_push(&burrow_runtime.free, g);
	if (proc->spare)
		burrow_stack_unreserve(burrow_runtime.pool,
				       burrow_runtime.class, proc->spare);
	proc->spare = 0;
}

void goroutine_each(void (*fn)(struct goroutine *g, void *arg), void *arg)
{
	goroutine_slabs_each(burrow_runtime.slabs, fn, arg);
}

void goroutine_slabs_each(struct burrow_slab *slabs,
			  void (*fn)(struct goroutine *g, void *arg), void *arg)
{
	struct burrow_slab *slab;
	size_t i;

	for (slab = slabs; slab; slab = slab->next) {
		for (i = 0; i < slab->used; i++) {
			if (READ_ONCE(slab->g[i].state) != GOROUTINE_FREE)
				fn(&slab->g[i], arg);
		}
	}
}

void goroutine_walk_begin(struct goroutine_walk *walk)
{
	walk->slab = __atomic_load_n(&burrow_runtime.slabs, __ATOMIC_ACQUIRE);
	walk->at = 0;
	walk->without = NULL;
}

/* The next place in the slab that is not passed over, or one past @used. */
static size_t next_at(const struct goroutine_walk *walk, size_t used)
{
	size_t at = walk->at;
	uint64_t bits;

	if (!walk->without)
		return at;
	for (; at < used; at = (at | 63) + 1) {
		bits = ~walk->without[(walk->slab->first + at) / 64] >> at % 64;
		if (bits)
			return at + __builtin_ctzl(bits);
	}
	return at;
}

struct goroutine *goroutine_walk_next(struct goroutine_walk *walk)
{
	struct goroutine *g;
	size_t used;

	while (walk->slab) {
		used = __atomic_load_n(&walk->slab->used, __ATOMIC_ACQUIRE);
		while ((walk->at = next_at(walk, used)) < used) {
			g = &walk->slab->g[walk->at++];
			if (READ_ONCE(g->state) != GOROUTINE_FREE)
				return g;
		}
		walk->slab = walk->slab->next;
		walk->at = 0;
	}
	return NULL;
}

size_t goroutine_walk_number(const struct goroutine_walk *walk)
{
	return walk->slab->first + walk->at - 1;
}
