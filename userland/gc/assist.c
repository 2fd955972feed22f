// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Assists: who allocates while a cycle marks does a part of the marking, in
 * proportion to what it takes, and no more than 64 KiB of it at a time. And a
 * brake: where the heap is a quarter past its goal the goroutine sleeps as well,
 * for as long as the memory it takes is worth, five milliseconds at most. So a
 * program that writes faster than the collector marks, or a collector that is
 * not given a CPU, costs time and not memory. It sleeps, too, while the collector
 * cleans pages and is not getting anywhere: who allocates is who writes.
 *
 * There are a few markers for all; who finds none goes on without. A marker is
 * empty when it is put back: what was not scanned is shared. They lie in memory
 * of their own, for in static data what they held would be roots.
 *
 * A helper's word is set and cleared by goroutines inside the runtime, so in a
 * stop none is busy.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../debug/print.h"
#include "../sched/sched.h"
#include "assist.h"
#include "chores.h"

#define HELPERS 8
#define LEAST 4096UL /* bytes taken at a time: a run of small objects */
#define BRAKE_NS 50 /* for a byte, past five quarters of the goal */
#define BRAKE_HARD_NS 250 /* past twice the goal */
#define BRAKE_MAX_NS 5000000LL
#define CLEAN_NS 500000LL /* at a time, while pages are cleaned */

/**
 * struct helper - a marker for who comes
 * @busy:	somebody has it; atomic
 * @marker:	open while a cycle marks
 */
struct helper {
	uint32_t busy;
	struct burrow_marker marker;
} __attribute__((aligned(64)));

static struct helper *helpers; /* HELPERS of them, kept */
static uint64_t marked; /* bytes, in this cycle, so far; atomic */
static int64_t helped; /* nanoseconds of it; atomic */
static bool cleaning; /* see burrow_assist_clean(); atomic */

static void no_memory(void)
{
	burrow_print(STDERR_FILENO,
		     "burrow: out of memory: none for the collector\n");
	abort();
}

void burrow_assist_open(struct burrow_heap *heap)
{
	int i;

	if (!helpers) {
		helpers = mmap(NULL, HELPERS * sizeof(*helpers),
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (helpers == MAP_FAILED)
			no_memory();
	}
	__atomic_store_n(&marked, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&helped, 0, __ATOMIC_RELAXED);
	for (i = 0; i < HELPERS; i++) {
		if (burrow_mark_open(&helpers[i].marker, heap))
			no_memory();
	}
}

void burrow_assist_close(void)
{
	int i;

	for (i = 0; i < HELPERS; i++)
		burrow_mark_close(&helpers[i].marker);
}

void burrow_assist_marked(uint64_t bytes)
{
	__atomic_add_fetch(&marked, bytes, __ATOMIC_RELAXED);
}

void burrow_assist_clean(bool on)
{
	__atomic_store_n(&cleaning, on, __ATOMIC_RELAXED);
}

int64_t burrow_assist_ns(void)
{
	return __atomic_load_n(&helped, __ATOMIC_RELAXED);
}

static struct helper *take_helper(void)
{
	int i;

	for (i = 0; i < HELPERS; i++) {
		if (!__atomic_exchange_n(&helpers[i].busy, 1, __ATOMIC_ACQUIRE))
			return &helpers[i];
	}
	return NULL;
}

bool burrow_assist_busy(void)
{
	int i;

	for (i = 0; i < HELPERS; i++) {
		if (__atomic_load_n(&helpers[i].busy, __ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

/*
 * So many bytes of objects are marked or scanned, whichever comes first: an array of
 * pointers leads to far more than it is.
 */
static void drain(struct burrow_marker *m, size_t bytes)
{
	uint64_t until = m->bytes + bytes;
	size_t scanned = 0;

	while (scanned < bytes && m->bytes < until &&
	       burrow_mark_drain(m, LEAST))
		scanned += LEAST;
}

static void mark_some(size_t bytes)
{
	struct helper *helper = bytes ? take_helper() : NULL;
	uint64_t before;
	int64_t from;

	if (!helper)
		return;
	from = burrow_now();
	before = helper->marker.bytes;
	drain(&helper->marker, bytes);
	burrow_mark_share(&helper->marker);
	burrow_assist_marked(helper->marker.bytes - before);
	__atomic_add_fetch(&helped, burrow_now() - from, __ATOMIC_RELAXED);
	__atomic_store_n(&helper->busy, 0, __ATOMIC_RELEASE);
}

/* How long; 0: not at all. */
static int64_t brake(uint64_t size, uint64_t goal, size_t bytes)
{
	int64_t ns;

	if (size / 5 * 4 <= goal)
		return 0;
	ns = (int64_t)bytes * (size / 2 > goal ? BRAKE_HARD_NS : BRAKE_NS);
	return ns < BRAKE_MAX_NS ? ns : BRAKE_MAX_NS;
}

struct burrow_thread *burrow_assist(struct burrow_thread *self,
				    struct burrow_heap *heap,
				    const struct burrow_pacer *pacer,
				    uint64_t size, size_t bytes)
{
	int64_t ns;

	burrow_chores_help();
	if (bytes < LEAST)
		bytes = LEAST;
	/* Nobody begins or ends marking while we are inside. */
	if (burrow_heap_marking(heap))
		mark_some(burrow_pacer_assist(
			pacer, size, __atomic_load_n(&marked, __ATOMIC_RELAXED),
			bytes));
	if (__atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
	    ATTENTION_BLOCKING)
		return self;
	ns = brake(size, pacer->goal, bytes);
	if (ns < CLEAN_NS && __atomic_load_n(&cleaning, __ATOMIC_RELAXED))
		ns = CLEAN_NS;
	if (!ns)
		return self;
	burrow_leave(self);
	burrow_sleep(ns);
	return burrow_enter("burrow_new");
}
