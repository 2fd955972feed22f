// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls that allocate.
 *
 * While the thread's cache has a free object of the size, they read where it is,
 * write where the next one is, and return, without entering the runtime. All
 * else is in slow().
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../debug/print.h"
#include "../sched/sched.h"
#include "profile.h"
#include "span.h"

#define COLLECTIONS 2 /* before memory is out */

/**
 * struct want - what is to be allocated
 * @call:	who asks, for messages
 * @try:	NULL is an answer
 * @size:	bytes, the header among them
 * @bin:	small: which; else BURROW_BIN_NONE
 * @kind:	enum burrow_kind
 * @site:	return address into the program
 */
struct want {
	const char *call;
	bool try;
	size_t size;
	uint32_t bin;
	enum burrow_kind kind;
	const void *site;
};

/*
 * In the functions that are called from outside, and in those that they end by
 * calling, which is a jump: there it costs the fast path nothing.
 */
#define SITE __builtin_return_address(0)

/* False: the run is used up. */
static inline bool bump(struct burrow_run *run, void **p)
{
	char *cur = run->cur;

	if (burrow_unlikely(cur == run->end))
		return false;
	run->cur = cur + run->size;
	*p = cur;
	return true;
}

static bool attends(const struct burrow_thread *self, uint32_t bits)
{
	return __atomic_load_n(&self->attention, __ATOMIC_RELAXED) & bits;
}

/*
 * In burrow_blocking() a thread keeps what it is and has no processor: it is
 * inside only so that nobody stops it meanwhile. NULL: not for this thread.
 */
static struct burrow_thread *enter(const struct want *want)
{
	struct burrow_thread *self = burrow_self();

	if (want->try && (!self || attends(self, ATTENTION_NOGC)))
		return NULL;
	if (!self)
		burrow_enter_refuse(want->call);
	if (attends(self, ATTENTION_NOGC))
		burrow_misuse(want->call, "called in burrow_blocking_nogc()");
	if (attends(self, ATTENTION_BLOCKING)) {
		burrow_reenter(self);
		return self;
	}
	return burrow_enter_self(self, want->call);
}

static void *fail(const struct want *want)
{
	struct burrow_heap *heap = burrow_heap_now();
	struct burrow_heap_counts counts = { 0 };
	uint64_t limit = UINT64_MAX;

	if (want->try)
		return NULL;
	if (heap) {
		burrow_heap_count(heap, &counts);
		limit = __atomic_load_n(&heap->limit, __ATOMIC_RELAXED);
	}
	burrow_report_begin();
	burrow_print(
		STDERR_FILENO,
		"burrow: out of memory: %s: no %lu bytes; the heap has %lu KiB, %lu KiB of them live",
		want->call, want->size, counts.in_use >> 10, counts.live >> 10);
	if (limit != UINT64_MAX)
		burrow_print(STDERR_FILENO, ", and may have %lu KiB",
			     limit >> 10);
	burrow_print(STDERR_FILENO, "\n");
	abort();
}

/* Of the run, if this thread still belongs to it. */
static const struct burrow_heap_hooks *hooks_for(struct burrow_thread *self)
{
	struct burrow_heap *heap = burrow_heap_now();

	return heap && !attends(self, ATTENTION_GONE) ?
		       burrow_heap_hooks_of(heap) :
		       NULL;
}

bool burrow_heap_collect(struct burrow_thread **self, size_t bytes)
{
	const struct burrow_heap_hooks *hooks = hooks_for(*self);

	return hooks && hooks->collect && hooks->collect(self, bytes);
}

/* Tells the collector what it wants to know before more is taken. */
static struct burrow_thread *consult(struct burrow_thread *self, size_t bytes)
{
	const struct burrow_heap_hooks *hooks = hooks_for(self);
	struct burrow_heap *heap = burrow_heap_now();

	if (!hooks)
		return self;
	if (hooks->soon &&
	    __atomic_load_n(&heap->allocated, __ATOMIC_RELAXED) >=
		    __atomic_load_n(&heap->trigger, __ATOMIC_RELAXED))
		self = hooks->soon(self, bytes);
	if (hooks->assist && heap->marking &&
	    !attends(self, ATTENTION_BLOCKING))
		self = hooks->assist(self, bytes);
	return self;
}

/*
 * The thread's; asked for anew each time, as the thread may be another. One that is
 * inside when its run ends is waited for, and takes what it came for. One that is
 * still in burrow_blocking() when the run is over may use what it has, but the heap
 * of another run is not for it.
 */
static struct burrow_heap_cache *cache_of(struct burrow_thread *self)
{
	return attends(self, ATTENTION_GONE) &&
			       attends(self, ATTENTION_BLOCKING) ?
		       burrow_cache_self() :
		       burrow_cache_get();
}

/* Inside. */
static void *take_small(struct burrow_thread *self, const struct want *want)
{
	struct burrow_heap_cache *cache = cache_of(self);
	struct burrow_run *run;
	void *p = NULL;

	if (cache) {
		run = &cache->run[want->bin];
		if (!bump(run, &p) && burrow_cache_refill(cache, want->bin))
			bump(run, &p);
		if (burrow_unlikely(cache->sampled))
			burrow_profile_add(cache, p, want->size, want->site);
	}
	return p;
}

static void account_large(struct burrow_heap_cache *cache,
			  const struct burrow_span *span,
			  const struct want *want)
{
	burrow_cache_account(cache, span->pages << BURROW_HEAP_SHIFT);
	if (burrow_likely(!cache->heap->profile))
		return;
	burrow_profile_large(cache, want->size);
	if (cache->sampled)
		burrow_profile_add(cache, span->start, want->size, want->site);
}

/*
 * It is cleared outside, as it may be large; nobody knows of it until it is
 * published.
 */
static void *take_large(struct burrow_thread **self, const struct want *want)
{
	struct burrow_heap_cache *cache = cache_of(*self);
	struct burrow_heap *heap;
	struct burrow_span *span;

	if (!cache)
		return NULL;
	heap = cache->heap;
	span = burrow_span_large(heap, want->kind, want->size);
	if (!span)
		return NULL;
	if (span->touched) {
		burrow_leave(*self);
		memset(span->start, 0, want->size);
		*self = enter(want);
		cache = cache_of(*self);
	}
	burrow_span_publish(heap, span);
	if (cache)
		account_large(cache, span, want);
	return span->start;
}

/* Not inlined: the thread that it comes back on may be another. */
static __attribute__((noinline)) void *slow(const struct want *want)
{
	struct burrow_thread *self = enter(want);
	int collections = 0;
	void *p;

	if (!self)
		return NULL;
	self = consult(self, want->size);
	for (;;) {
		p = want->bin ? take_small(self, want) :
				take_large(&self, want);
		if (p || collections++ == COLLECTIONS ||
		    !burrow_heap_collect(&self, want->size))
			break;
	}
	burrow_leave(self);
	return p ? p : fail(want);
}

static __attribute__((noinline)) void *slow_sized(size_t size,
						  enum burrow_kind kind,
						  const char *call, bool try,
						  const void *site)
{
	struct want want = {
		.call = call,
		.try = try,
		.size = size,
		.kind = kind,
		.site = site ? site : SITE,
	};

	if (size > BURROW_HEAP_MAX)
		return fail(&want);
	if (size <= BURROW_HEAP_SMALL)
		want.bin = burrow_bin_of(kind, burrow_class_of(size));
	return slow(&want);
}

static inline void *alloc(size_t size, enum burrow_kind kind, const char *call,
			  bool try, const void *site)
{
	struct burrow_heap_cache *cache = burrow_cache_tls;
	uint32_t bin;
	void *p;

	if (burrow_likely(cache && size <= BURROW_HEAP_QUICK)) {
		bin = burrow_bin_of(kind, burrow_class_quick[(size + 15) / 16]);
		if (burrow_likely(bump(&cache->run[bin], &p)))
			return p;
	}
	return slow_sized(size, kind, call, try, site);
}

void *burrow_alloc(size_t size)
{
	return alloc(size, BURROW_WORDS, "burrow_alloc", false, NULL);
}

void *burrow_try_alloc(size_t size)
{
	return alloc(size, BURROW_WORDS, "burrow_try_alloc", true, NULL);
}

void *burrow_alloc_noscan(size_t size)
{
	return alloc(size, BURROW_PLAIN, "burrow_alloc_noscan", false, NULL);
}

void *burrow_try_alloc_noscan(size_t size)
{
	return alloc(size, BURROW_PLAIN, "burrow_try_alloc_noscan", true, NULL);
}

static const struct burrow_layout *layout_of(const struct burrow_type *type,
					     const char *call, bool try)
{
	const char *why = "";
	const struct burrow_layout *layout = burrow_layout_of(type, &why);
	char text[128];

	if (!layout && !try) {
		burrow_format(text, sizeof(text), 0, "type %s: %s",
			      type->name ? type->name : "without a name", why);
		burrow_misuse(call, text);
	}
	return layout;
}

/* The header is written last word last: who sees the layout sees the count. */
static void *headed(const struct burrow_layout *layout, size_t size, size_t n,
		    const char *call, bool try, const void *site)
{
	struct burrow_header *header;

	if (!layout->nr && !layout->tail_nr)
		return alloc(size, BURROW_PLAIN, call, try, site);
	header = alloc(BURROW_HEAP_HEADER + (size ? size : 1), BURROW_HEADED,
		       call, try, site);
	if (!header)
		return NULL;
	header->count = n;
	__atomic_store_n(&header->layout, layout, __ATOMIC_RELEASE);
	return header + 1;
}

static __attribute__((noinline)) void *new_slow(const struct burrow_type *type,
						const char *call, bool try)
{
	const struct burrow_layout *layout = layout_of(type, call, try);
	struct want want = {
		.call = call,
		.try = try,
		.site = SITE,
	};

	if (!layout)
		return NULL;
	if (!layout->bin)
		return headed(layout, layout->size, layout->tail_size ? 0 : 1,
			      call, try, SITE);
	want.size = layout->size;
	want.bin = layout->bin;
	want.kind = burrow_bin_infos[layout->bin].kind;
	return slow(&want);
}

static inline void *new (const struct burrow_type *type, const char *call,
			 bool try)
{
	struct burrow_heap_cache *cache = burrow_cache_tls;
	void *p;

	if (burrow_likely(cache)) {
		if (burrow_likely(bump(&cache->run[type->cell->opaque[0]], &p)))
			return p;
	}
	return new_slow(type, call, try);
}

void *burrow_new(const struct burrow_type *type)
{
	return new (type, "burrow_new", false);
}

void *burrow_try_new(const struct burrow_type *type)
{
	return new (type, "burrow_try_new", true);
}

static void *too_large(const char *call, bool try)
{
	struct want want = {
		.call = call,
		.try = try,
		.size = SIZE_MAX,
	};

	return fail(&want);
}

static void *new_array(const struct burrow_type *type, size_t n,
		       const char *call, bool try, const void *site)
{
	const struct burrow_layout *layout = layout_of(type, call, try);
	size_t bytes;

	if (!layout)
		return NULL;
	if (layout->tail_size) {
		if (try)
			return NULL;
		burrow_misuse(call, "the type has a flexible array");
	}
	if (__builtin_mul_overflow(layout->size, n, &bytes) ||
	    bytes > BURROW_HEAP_MAX)
		return too_large(call, try);
	return headed(layout, bytes, n, call, try, site);
}

void *burrow_new_array(const struct burrow_type *type, size_t n)
{
	return new_array(type, n, "burrow_new_array", false, SITE);
}

void *burrow_try_new_array(const struct burrow_type *type, size_t n)
{
	return new_array(type, n, "burrow_try_new_array", true, SITE);
}

static void *new_flex(const struct burrow_type *type, size_t n,
		      const char *call, bool try, const void *site)
{
	const struct burrow_layout *layout = layout_of(type, call, try);
	size_t bytes;

	if (!layout)
		return NULL;
	if (!layout->tail_size) {
		if (try)
			return NULL;
		burrow_misuse(call, "the type has no flexible array");
	}
	if (__builtin_mul_overflow(layout->tail_size, n, &bytes) ||
	    __builtin_add_overflow(layout->tail, bytes, &bytes) ||
	    bytes > BURROW_HEAP_MAX)
		return too_large(call, try);
	return headed(layout, bytes > layout->size ? bytes : layout->size, n,
		      call, try, site);
}

void *burrow_new_flex(const struct burrow_type *type, size_t n)
{
	return new_flex(type, n, "burrow_new_flex", false, SITE);
}

void *burrow_try_new_flex(const struct burrow_type *type, size_t n)
{
	return new_flex(type, n, "burrow_try_new_flex", true, SITE);
}
