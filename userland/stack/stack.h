/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where stacks come from.
 *
 * A pool hands out stacks of power-of-two strides (16 KiB to 1 GiB, one class
 * for each). A class takes them from arenas: large reservations of address
 * space cut into slots, each slot a guard at its low end and a stack above it.
 * What differs between the kernel module and plain mmap() is behind struct
 * burrow_stack_backend, one file each; everything else is in pool.c. Each
 * processor keeps ended stacks warm in a cache of its own (cache.c); where
 * memory is dear to come by, small ones that it has no room for rest for a
 * while before it goes (rest.c).
 *
 * The scheduler calls this; nothing here knows of goroutines, but for the id
 * that is written beside a slot so that kernel events can name it.
 *
 * Locks: a class has one mutex, held over its arenas and free slots. A cache
 * belongs to one processor and has none; it calls the pool, never the reverse.
 */
#ifndef BURROW_STACK_H
#define BURROW_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/burrow.h>

#include "../include/burrow.h"

#define BURROW_STACK_CLASSES 17 /* 16 KiB << 0 ... 16 KiB << 16 */
#define BURROW_STACK_DEFAULT (256UL << 10) /* stride where none is asked */
#define BURROW_STACK_ARENAS 64 /* of one class at most */
#define BURROW_STACK_BATCH 32 /* given back at once: what a small stack holds */

struct burrow_stack_pool;
struct burrow_stack_arena;

/**
 * struct burrow_stack - one slot that a stack lives in
 * @arena:	where it is; NULL: no stack
 * @slot:	its number there
 * @generation:	counts the times it was switched to (the slot's word)
 */
struct burrow_stack {
	struct burrow_stack_arena *arena;
	uint32_t slot;
	uint32_t generation;
};

/**
 * struct burrow_stack_rest - stacks of one arena that rest (rest.c)
 * @from:	where the oldest is in the arena's ring
 * @count:	how many there are
 * @least:	least @count since the last tick: these were not needed
 * @due:	how many of the oldest are to be given back now
 *
 * Under the class's lock.
 */
struct burrow_stack_rest {
	uint32_t from;
	uint32_t count;
	uint32_t least;
	uint32_t due;
};

/**
 * struct burrow_stack_arena - a reservation cut into slots
 * @pool:	the pool that owns it
 * @base:	address of slot 0, aligned to BURROW_BLOCK_SIZE
 * @table:	the words and goroutine ids of the slots
 * @next:	by slot: next free one, while a slot is on @free
 * @ring:	slots that rest, as @rest tells; as many places as slots
 * @stride:	bytes from one slot to the next
 * @guard:	bytes at the low end of a slot that fault for ever
 * @slots:	how many
 * @ready:	slots below this are mapped; grows by backend->prepare
 * @fresh:	slots from here to @ready were never handed out
 * @free:	most recently freed slot + 1, 0 for none
 * @rest:	freed slots that have their memory still
 * @slept:	by chunk of BURROW_PGTABLES_MAX: how many came to hibernate since its
 *		page tables were looked at; set with atomics (pgtable.c)
 * @watched:	the collector is told of writes to it; the collector's alone
 * @whose:	by slot: what the collector knows of who hibernates there, or NULL;
 *		the collector's alone
 * @number:	the backend's name for it
 * @offset:	where it lies in the backend's descriptor
 * @table_bytes: length of @table
 *
 * @ready, @fresh, @free and @rest are under the class's lock; the rest does not
 * change while the arena lives.
 */
struct burrow_stack_arena {
	struct burrow_stack_pool *pool;
	char *base;
	struct burrow_slot *table;
	uint32_t *next;
	uint32_t *ring;
	uint32_t *slept;
	size_t stride;
	size_t guard;
	uint32_t slots;
	uint32_t ready;
	uint32_t fresh;
	uint32_t free;
	struct burrow_stack_rest rest;
	bool watched;
	uint32_t *whose;
	uint32_t number;
	uint64_t offset;
	size_t table_bytes;
};

/**
 * struct burrow_stack_report - what trying a backend showed
 * @usable:	it can be used in this process, now
 * @hibernates:	stacks of it can hibernate
 * @detail:	what was found (version, kind of guard, limits)
 * @why:	where not usable: what failed
 * @advice:	where not usable, or less good than it could be: what to do
 */
struct burrow_stack_report {
	bool usable;
	bool hibernates;
	char detail[160];
	char why[160];
	char advice[240];
};

/**
 * struct burrow_stack_memory - memory of a pool, bytes
 * @stacks:	in slots
 * @held:	all that the backend holds for this process: heap and tables, too, but
 *		not what can be used again
 * @left:	what the backend's own limits leave
 */
struct burrow_stack_memory {
	uint64_t stacks;
	uint64_t held;
	uint64_t left;
};

/**
 * struct burrow_stack_backend - a way to have stacks
 * @name:	as in BURROW_BACKEND
 * @probe:	tries it; leaves nothing behind
 * @open:	once for each pool; 0 or negative errno
 * @close:	after the last arena is gone
 * @arena_create: fill @base, @guard, @table of an arena whose @stride and
 *		@slots are set; may lower @slots. 0 or negative errno
 * @arena_destroy: undo it, whatever is mapped
 * @prepare:	map more slots from @ready on; how many, or negative errno
 * @guard:	called once for each slot before its first use: from here on
 *		its guard holds; 0 or negative errno; may be NULL
 * @trim:	give back what lies below the upper @keep bytes of many slots of
 *		one arena; fills the results; bytes given back or negative errno
 * @hibernate:	keep only the live bytes of many slots of one arena, and none of
 *		their memory, until somebody touches them; compares the word as
 *		@checks says. Fills the results; bytes of memory that went, or
 *		negative errno. NULL where no kernel could have it
 * @saved:	records of what is saved of hibernated slots among @n from @from on,
 *		struct burrow_saved_slot and the bytes, into @buffer; sets @next to
 *		the first slot that was not looked at. @flags: BURROW_SAVED_*. Bytes,
 *		or negative errno
 * @pgtables:	give back the page tables of @slots slots from @from on if that is
 *		worth @least bytes and no more than @most of them have memory. Bytes,
 *		or negative errno. NULL where @hibernate is
 * @restored:	numbers of at most @room slots that are not hibernated any more since
 *		@saved noted that they were; each is told once. How many, less than
 *		@room: that was all; or negative errno
 * @prefault:	map that much at the upper end of a slot at once; no more than
 *		a hint
 * @resident:	bytes of memory that a slot has now, or negative errno
 * @advise:	says why a promise could not be given, and what to do
 * @no_memory:	says why a stack could not grow; for signal handlers
 * @stats:	fills what is about stacks, as far as the backend knows it, less
 *		@stacks_warm; the rest stays as it is, 0
 * @memory:	what it holds; 0 or a negative errno. NULL where @hibernate is
 * @checks:	trim compares the word, before and after: others may run
 * @packed:	what a slot has is at its upper end, without holes
 * @rests:	memory is dear to come by and to give back: small stacks rest
 */
struct burrow_stack_backend {
	const char *name;
	void (*probe)(struct burrow_stack_report *report);
	int (*open)(struct burrow_stack_pool *pool);
	void (*close)(struct burrow_stack_pool *pool);
	int (*arena_create)(struct burrow_stack_arena *arena);
	void (*arena_destroy)(struct burrow_stack_arena *arena);
	int (*prepare)(struct burrow_stack_arena *arena);
	int (*guard)(struct burrow_stack_arena *arena, uint32_t slot);
	int64_t (*trim)(struct burrow_stack_arena *arena,
			struct burrow_trim_entry *entries, uint32_t n);
	int64_t (*hibernate)(struct burrow_stack_arena *arena,
			     struct burrow_hibernate_entry *entries,
			     uint32_t n);
	int64_t (*saved)(struct burrow_stack_arena *arena, uint32_t flags,
			 uint64_t from, uint64_t n, void *buffer, size_t bytes,
			 uint64_t *next);
	int64_t (*pgtables)(struct burrow_stack_arena *arena, uint32_t from,
			    uint32_t slots, uint64_t least, uint64_t most);
	int64_t (*restored)(struct burrow_stack_arena *arena, uint64_t *slots,
			    size_t room);
	void (*prefault)(struct burrow_stack_arena *arena, uint32_t slot,
			 size_t bytes);
	int64_t (*resident)(struct burrow_stack_arena *arena, uint32_t slot);
	void (*advise)(struct burrow_stack_pool *pool, int err, char *text,
		       size_t len);
	const char *(*no_memory)(struct burrow_stack_pool *pool);
	void (*stats)(struct burrow_stack_pool *pool,
		      struct burrow_stats *stats);
	int (*memory)(struct burrow_stack_pool *pool,
		      struct burrow_stack_memory *memory);
	bool checks;
	bool packed;
	bool rests;
};

extern const struct burrow_stack_backend burrow_stack_kmod;
extern const struct burrow_stack_backend burrow_stack_mmap;

/* All of them, best first, NULL at the end. */
extern const struct burrow_stack_backend *const burrow_stack_backends[];

/**
 * struct burrow_stack_class - all stacks of one stride
 * @lock:	over everything here
 * @arenas:	those that exist, the first @nr_arenas
 * @promised:	stacks reserved by burrow_stack_reserve()
 * @kept:	stacks that caches may hold
 * @ready:	slots that are or could be handed out, over all arenas
 * @tidies:	@kept has room for those that burrow_stack_tidy() holds
 */
struct burrow_stack_class {
	pthread_mutex_t lock;
	struct burrow_stack_arena *arenas[BURROW_STACK_ARENAS];
	unsigned int nr_arenas;
	uint64_t promised;
	uint64_t kept;
	uint64_t ready;
	bool tidies;
};

/**
 * struct burrow_stack_pool - a source of stacks
 * @backend:	how it has them
 * @classes:	by stride
 * @fd:		the backend's descriptor or -1
 * @resting:	stacks that rest, over all arenas; changed with atomics
 * @rest_max:	bytes that may rest; read and set with atomics
 * @rest_at:	when rests are looked at next (burrow_now(), ns); the monitor's
 * @hibernates:	the backend has @hibernate, and the kernel that we run on too
 * @hibernated:	some stack of it ever has; set with atomics
 * @pgtables:	page tables of stacks that hibernate can be given back; set with
 *		atomics
 * @no_guard_install: do as if the kernel had no MADV_GUARD_INSTALL
 * @guard_install: guards are MADV_GUARD_INSTALL, not mprotect()
 */
struct burrow_stack_pool {
	const struct burrow_stack_backend *backend;
	struct burrow_stack_class classes[BURROW_STACK_CLASSES];
	int fd;
	uint64_t resting;
	uint64_t rest_max;
	int64_t rest_at;
	bool hibernates;
	bool hibernated;
	bool pgtables;
	bool no_guard_install;
	bool guard_install;
};

/* The pool: open, reserve, get, put. 0 or a negative errno where int. */
int burrow_stack_pool_open(struct burrow_stack_pool *pool,
			   const struct burrow_stack_backend *backend);
void burrow_stack_pool_close(struct burrow_stack_pool *pool);

/* The class whose stacks have at least @usable bytes; -EINVAL: none has. */
int burrow_stack_class_for(size_t usable);
size_t burrow_stack_class_stride(int class);
size_t burrow_stack_class_usable(int class);

/* Promises @n stacks: 0 or a negative errno, then none. And takes it back. */
int burrow_stack_reserve(struct burrow_stack_pool *pool, int class, uint32_t n);
void burrow_stack_unreserve(struct burrow_stack_pool *pool, int class,
			    uint32_t n);

/*
 * Room for stacks that lie in a cache, where others can't have them, beside all
 * that is promised. 0 or a negative errno.
 */
int burrow_stack_keep(struct burrow_stack_pool *pool, int class, uint32_t n);
void burrow_stack_unkeep(struct burrow_stack_pool *pool, int class, uint32_t n);

/*
 * A reserved stack can always be had but for want of memory (-ENOMEM). 0: one
 * with memory in it; 1: an empty one; or a negative errno.
 */
int burrow_stack_get(struct burrow_stack_pool *pool, int class,
		     struct burrow_stack *stack);

/* As many as rest, @n at most: for a cache that is empty. How many. */
uint32_t burrow_stack_get_rested(struct burrow_stack_pool *pool, int class,
				 struct burrow_stack *stacks, uint32_t n);

/*
 * Takes stacks back: they rest, or are given back as by burrow_stack_give():
 * empty, their memory goes to the system in one batch.
 */
void burrow_stack_put(struct burrow_stack_pool *pool, int class,
		      const struct burrow_stack *stacks, uint32_t n);
void burrow_stack_give(struct burrow_stack_pool *pool, int class,
		       const struct burrow_stack *stacks, uint32_t n);

/*
 * Gives back some of those that have rested for long; false: none rests. From
 * one thread only, every few milliseconds; it takes about one.
 */
bool burrow_stack_tidy(struct burrow_stack_pool *pool, int64_t now);

/* A quarter of @limit, bytes, may rest; 0: of the machine's memory. Any thread. */
void burrow_stack_limit_rest(struct burrow_stack_pool *pool, uint64_t limit);

/* For the pool: whether @n stacks may rest; with the class's lock the others. */
bool burrow_stack_may_rest(const struct burrow_stack_pool *pool,
			   const struct burrow_stack *stacks, uint32_t n);
void burrow_stack_rest_put(struct burrow_stack_arena *arena, uint32_t slot);
bool burrow_stack_rest_take(struct burrow_stack_arena *arena, uint32_t *slot);

/*
 * Takes what lies below the upper @keep bytes of each stack; NULL: all of it.
 * Bytes, or a negative errno. Nobody may come to run on them meanwhile, unless
 * the backend checks words: then it leaves alone those that were switched to.
 */
int64_t burrow_stack_trim(const struct burrow_stack *stacks, const size_t *keep,
			  uint32_t n);

/*
 * Keeps only the upper @live bytes of each stack, and no memory for them but what they
 * fill, until somebody touches it. Where pool.hibernates. One that was switched to
 * meanwhile is left alone. Bytes of memory that went, or a negative errno. @gone:
 * the same of each; NULL: is not asked for.
 */
int64_t burrow_stack_hibernate(const struct burrow_stack *stacks,
			       const size_t *live, uint32_t n, int64_t *gone);

/* For the call above: these were asked to. For the pool: length of arena.slept. */
void burrow_stack_slept(struct burrow_stack_arena *arena,
			const struct burrow_hibernate_entry *entries,
			uint32_t n);
size_t burrow_stack_chunks(const struct burrow_stack_arena *arena);

/**
 * struct burrow_stack_image - room for what is saved of a stack
 * @words:	struct burrow_saved_slot and the bytes
 */
struct burrow_stack_image {
	uint64_t words[BURROW_SAVED_MIN / sizeof(uint64_t)];
};

/*
 * Where what was at @context, in a stack that nobody runs on, can be looked at: in a
 * copy in @image if the stack hibernates, else where it is.
 */
void *burrow_stack_look(const struct burrow_stack *stack, void *context,
			struct burrow_stack_image *image);

/*
 * The same for debuggers, which call it in a process that they have stopped
 * (debug/burrow-gdb.py), one stack at a time: what they looked at before is gone.
 */
void *burrow_debug_look(const struct burrow_stack *stack, void *context);

/* Tries a backend as far as a stack that was written to and a guard that held. */
void burrow_stack_probe(const struct burrow_stack_backend *backend,
			struct burrow_stack_report *report);

/* The arena that an address is in, or NULL. Takes no lock: for signal handlers. */
const struct burrow_stack_arena *
burrow_stack_find(const struct burrow_stack_pool *pool, const void *address);

/*
 * For backends: address space that nothing can touch, aligned to blocks; NULL
 * if refused.
 * And whether the kernel can write to an address, asked without a fault.
 */
char *burrow_stack_reserve_space(size_t bytes);
bool burrow_stack_writable(const void *address);

static inline char *burrow_stack_low(const struct burrow_stack *stack)
{
	return stack->arena->base + stack->slot * stack->arena->stride;
}

/* The first address above the stack; it grows downward from there. */
static inline char *burrow_stack_top(const struct burrow_stack *stack)
{
	return burrow_stack_low(stack) + stack->arena->stride;
}

static inline size_t burrow_stack_usable(const struct burrow_stack *stack)
{
	return stack->arena->stride - stack->arena->guard;
}

static inline bool burrow_stack_in_guard(const struct burrow_stack *stack,
					 const void *address)
{
	uintptr_t low = (uintptr_t)burrow_stack_low(stack);

	return (uintptr_t)address - low < stack->arena->guard;
}

static inline bool burrow_stack_holds(const struct burrow_stack *stack,
				      const void *address)
{
	uintptr_t low = (uintptr_t)burrow_stack_low(stack);

	return (uintptr_t)address - low < stack->arena->stride;
}

/* The slot's word: bit 0 is set while the stack is run on. */
static inline uint64_t burrow_stack_word(const struct burrow_stack *stack,
					 bool running)
{
	return (uint64_t)stack->generation << 1 | running;
}

/*
 * Call before the stack is touched, and before it is switched to. Pairs with
 * the two reads of the word around the unmapping in the module's trim: a trim
 * that was decided on while the stack was parked sees the new word, or we see
 * a stack that is still whole. On x86 the TLB flush between the reads orders
 * it; elsewhere it takes a barrier.
 */
static inline void burrow_stack_enter(struct burrow_stack *stack)
{
	stack->generation++;
	__atomic_store_n(&stack->arena->table[stack->slot].word,
			 burrow_stack_word(stack, true), __ATOMIC_RELAXED);
#ifndef __x86_64__
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Call when nothing runs on the stack any more. */
static inline void burrow_stack_leave(struct burrow_stack *stack)
{
	__atomic_store_n(&stack->arena->table[stack->slot].word,
			 burrow_stack_word(stack, false), __ATOMIC_RELEASE);
}

/* Maps the upper @bytes of an empty stack at once. Entered before. */
static inline void burrow_stack_prefault(const struct burrow_stack *stack,
					 size_t bytes)
{
	if (bytes > burrow_stack_usable(stack))
		bytes = burrow_stack_usable(stack);
	stack->arena->pool->backend->prefault(stack->arena, stack->slot, bytes);
}

/* Bytes of memory that a stack has, or a negative errno. */
static inline int64_t burrow_stack_resident(const struct burrow_stack *stack)
{
	return stack->arena->pool->backend->resident(stack->arena, stack->slot);
}

/* Says whose stack it is; 0: nobody's. */
static inline void burrow_stack_label(const struct burrow_stack *stack,
				      uint64_t goroutine)
{
	__atomic_store_n(&stack->arena->table[stack->slot].goroutine, goroutine,
			 __ATOMIC_RELAXED);
}

#define BURROW_STACK_WARM 64 /* stacks of a class kept at most */

/**
 * struct burrow_stack_warm - warm stacks of one class, the last in first out
 * @stacks:	what is kept; the oldest is first
 * @count:	how many
 * @idle:	least @count since the last decay: these were not needed
 * @mark:	how many are kept at most
 * @deep:	they may hide much memory: trimmed when put
 * @slept:	those that have less than who was on them used, as bits
 */
struct burrow_stack_warm {
	struct burrow_stack stacks[BURROW_STACK_WARM];
	uint32_t count;
	uint32_t idle;
	uint32_t mark;
	bool deep;
	uint64_t slept;
};

_Static_assert(BURROW_STACK_WARM <= 64, "a bit for each");

/**
 * struct burrow_stack_cache - one processor's warm stacks
 * @pool:	where they come from
 * @warm:	by class, NULL as long as none was put
 * @count:	how many stacks altogether
 */
struct burrow_stack_cache {
	struct burrow_stack_pool *pool;
	struct burrow_stack_warm *warm[BURROW_STACK_CLASSES];
	uint32_t count;
};

void burrow_stack_cache_open(struct burrow_stack_cache *cache,
			     struct burrow_stack_pool *pool);
void burrow_stack_cache_close(struct burrow_stack_cache *cache);

/* The same where the pool goes too: stacks are not given back. */
void burrow_stack_cache_drop(struct burrow_stack_cache *cache);

/* False: there is no warm one of this class, or some of them have slept. */
static inline bool burrow_stack_cache_take(struct burrow_stack_cache *cache,
					   int class,
					   struct burrow_stack *stack)
{
	struct burrow_stack_warm *warm = cache->warm[class];

	if (__builtin_expect(!warm || !warm->count || warm->slept, 0))
		return false;
	*stack = warm->stacks[--warm->count];
	__atomic_store_n(&cache->count, cache->count - 1, __ATOMIC_RELAXED);
	if (warm->idle > warm->count)
		warm->idle = warm->count;
	return true;
}

/* 0: a warm one; 1: an empty one, or one that has slept; or a negative errno. */
int burrow_stack_cache_get(struct burrow_stack_cache *cache, int class,
			   struct burrow_stack *stack);

/* Where there is more to do than to keep it. */
void burrow_stack_cache_put_slow(struct burrow_stack_cache *cache, int class,
				 const struct burrow_stack *stack);

static inline void burrow_stack_cache_put(struct burrow_stack_cache *cache,
					  int class,
					  const struct burrow_stack *stack)
{
	struct burrow_stack_warm *warm = cache->warm[class];

	if (__builtin_expect(!warm || warm->deep || warm->count == warm->mark,
			     0)) {
		burrow_stack_cache_put_slow(cache, class, stack);
		return;
	}
	burrow_stack_label(stack, 0);
	warm->stacks[warm->count++] = *stack;
	__atomic_store_n(&cache->count, cache->count + 1, __ATOMIC_RELAXED);
}

/* The stack that was put last has hibernated since it was had. */
void burrow_stack_cache_slept(struct burrow_stack_cache *cache, int class,
			      const struct burrow_stack *stack);

/* Gives back half of what went unused since the last call. */
void burrow_stack_cache_decay(struct burrow_stack_cache *cache);

#endif /* BURROW_STACK_H */
