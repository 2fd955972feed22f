/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap as the collector and the scheduler see it: where objects lie, which
 * of them are marked, and when. What is behind it: span.h.
 *
 * Memory is one range of addresses in two halves. The tracked half holds objects
 * that may have pointers, the plain half those that have none: it is never
 * scanned, and its pages are never armed or harvested. A half is cut into pages
 * of 8 KiB, runs of pages into spans, spans into objects of one size. For each
 * object there are two bits beside the heap: it is allocated; it is marked.
 *
 * A cycle, as the collector drives it:
 *
 *  1. burrow_heap_sweep_all(): nothing of the last cycle is left to sweep. What
 *     the last cycle has marked stays marked ever since: it is old. A full cycle
 *     begins with burrow_heap_forget(). One that does not is a young one: what is
 *     old counts as alive, and only what of it was written since it was last
 *     scanned is to be scanned again.
 *  2. burrow_heap_mark_begin(), with the world stopped at runtime calls or
 *     wholly. Threads outside go on allocating from their runs meanwhile; what is
 *     new is not marked. Writes must be tracked from before this call on, or the
 *     world stand still to the end.
 *  3. Marking, on any number of threads, each with a burrow_marker of its own:
 *     roots are greyed, what was greyed is drained. An object that is greyed is
 *     marked at once and scanned later. burrow_mark_rescan() scans the marked
 *     objects again that lie on a range of pages.
 *  4. All threads stopped, those outside as well, the last greying and draining
 *     done, every marker empty: burrow_heap_mark_caches(), for what a cache has
 *     not handed out yet is to stay; burrow_mark_close() of each, what hangs on dead
 *     objects looked at with burrow_heap_is_marked(), then
 *     burrow_heap_mark_end(): marked is allocated, from here on. Objects that
 *     were not marked are gone, their memory untouched until it is swept.
 *  5. The world goes on. Spans are swept when a cache comes to them, or by
 *     burrow_heap_sweep_some().
 *
 * A thread may be stopped in the middle of handing out an object: it has read
 * where its run begins and not yet written where it begins now. Such an object
 * stays (it is still in the run), is all zero, and nobody points to it. If it has
 * written that, the object is in one of its registers.
 *
 * Locks. The heap has mutexes of its own, innermost of all but for nothing: no
 * hook is called with one held. They are taken by threads that are inside the
 * runtime (in burrow_blocking() too: inside means "not to be stopped" there), and
 * by the collector's threads. With the world stopped nobody holds one.
 */
#ifndef BURROW_HEAP_H
#define BURROW_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct burrow_heap;
struct burrow_heap_cache;
struct burrow_heap_module;
struct burrow_span;
struct burrow_thread;

#define BURROW_HEAP_PAGE 8192UL
#define BURROW_HEAP_BLOCK (2UL << 20) /* of the system, in a huge page */

/**
 * struct burrow_heap_hooks - what the heap asks of the collector
 * @soon:	more was allocated than burrow_heap_trigger(): called whenever a
 *		thread comes for more and finds it so, before @bytes are taken.
 *		May park, but not in burrow_blocking(); returns the thread it is
 *		on then
 * @assist:	a cycle marks, and @bytes are about to be taken: may mark for a
 *		bounded time. May park; returns the thread it is on then. Not
 *		called in burrow_blocking()
 * @collect:	no memory is left, or the limit is met: a full cycle, complete on
 *		return. May park, as above. False: it can't (it is off, it runs
 *		in burrow_blocking()), or two of them in a row freed nothing
 * @stock:	the heap grows: somebody is to call burrow_heap_stock() soon
 *
 * All are called inside, without locks; any may be NULL. @self is the caller's
 * thread.
 */
struct burrow_heap_hooks {
	struct burrow_thread *(*soon)(struct burrow_thread *self, size_t bytes);
	struct burrow_thread *(*assist)(struct burrow_thread *self,
					size_t bytes);
	bool (*collect)(struct burrow_thread **self, size_t bytes);
	void (*stock)(void);
};

/**
 * struct burrow_heap_options - how a heap is to be
 * @poison:	what is swept is filled with 0xdb
 * @check:	tell of pointers in words that a type declares none
 * @forgetful:	for tests: what caches have is not kept, as it should be
 * @fd:		of the module's context, to have memory from there if it can be
 *		had; -1: from anonymous mappings
 * @hooks:	the collector's, or NULL
 */
struct burrow_heap_options {
	bool poison;
	bool check;
	bool forgetful;
	int fd;
	const struct burrow_heap_hooks *hooks;
};

/* 0 and a heap, or a negative errno. One at a time is burrow_heap_now(). */
int burrow_heap_open(struct burrow_heap **heap,
		     const struct burrow_heap_options *options);
/* Nobody uses it any more, nor what is on it. */
void burrow_heap_close(struct burrow_heap *heap);

/* The arena that it is in, or NULL: it is in anonymous memory. */
const struct burrow_heap_module *
burrow_heap_module_of(const struct burrow_heap *heap);

/* The heap of the run, or NULL. NULL set: the last one calls no hook any more. */
struct burrow_heap *burrow_heap_now(void);
void burrow_heap_now_set(struct burrow_heap *heap);

/*
 * For the scheduler: the calling thread goes spare or ends: its cache goes to
 * another one. And it may not allocate from here (burrow_blocking_nogc()) to
 * there; returns what is to be handed back.
 */
void burrow_heap_cache_leave(void);
void *burrow_heap_cache_bar(void);
void burrow_heap_cache_unbar(void *was);

/**
 * struct burrow_object - one object of the heap
 * @start:	its first byte as the heap has it: with the header before an
 *		array, so not always what the program was given
 * @size:	bytes that it fills, at least what was asked for
 * @span:	where it lies
 * @index:	which of the span's it is
 */
struct burrow_object {
	char *start;
	size_t size;
	struct burrow_span *span;
	uint32_t index;
};

/* The allocated object that an address points into: false if there is none. */
bool burrow_heap_find(struct burrow_heap *heap, const void *address,
		      struct burrow_object *object);

/* Is it in memory that objects may lie in, whether or not one does. */
bool burrow_heap_holds(const struct burrow_heap *heap, const void *address);

/* The object that an address points into is marked. False: it is none, too. */
bool burrow_heap_is_marked(struct burrow_heap *heap, const void *address);

/*
 * Every pointer that an object's type says it has (conservatively: every word
 * that points to an object), for slow markers and dumps; not the marker's code.
 */
void burrow_heap_pointers(struct burrow_heap *heap,
			  const struct burrow_object *object,
			  void (*fn)(void **at, void *arg), void *arg);

/*
 * What dumps call an object's kind ("plain", "words", "headed", "typed"), and its
 * type, or NULL.
 */
const char *burrow_heap_kind_name(const struct burrow_object *object);
const char *burrow_heap_type_name(const struct burrow_object *object);

/*
 * False: it is of kind "plain". And the offset of a word of it in its type; of the
 * elements of an array, and of a flexible tail, as if it were in the first one.
 */
bool burrow_heap_may_point(const struct burrow_object *object);
size_t burrow_heap_field_of(const struct burrow_object *object,
			    const void *word);

/*
 * How the program calls the pointer, or the array of them, at that offset of the
 * object's type; "": it has not said that one is there.
 */
void burrow_heap_field_name(const struct burrow_object *object, size_t offset,
			    char *to, size_t size);

/*
 * Memory of the heap for records of the runtime's own, which nothing of the program's
 * points to: it is never scanned, marked or freed, and stays until the heap is closed.
 * Whole pages of BURROW_HEAP_PAGE; what is in them may be other than zero. NULL: no
 * memory, or past the limit. By any thread, while others mark or sweep.
 */
void *burrow_heap_keep(struct burrow_heap *heap, size_t bytes);

/*
 * Inside, without locks: a full collection, as for an allocation of @bytes that
 * failed. False: it is no use to ask again. May park; @self is the thread that it is
 * on then.
 */
bool burrow_heap_collect(struct burrow_thread **self, size_t bytes);

/* Every allocated object, with the world stopped. */
void burrow_heap_each(struct burrow_heap *heap,
		      void (*fn)(const struct burrow_object *object, void *arg),
		      void *arg);

/* See above for when. */
void burrow_heap_forget(struct burrow_heap *heap);
void burrow_heap_mark_begin(struct burrow_heap *heap);
void burrow_heap_mark_end(struct burrow_heap *heap);
bool burrow_heap_marking(const struct burrow_heap *heap);
void burrow_heap_mark_caches(struct burrow_heap *heap);

/*
 * In a stop while marking: a free object that a cache will hand out and that is
 * not marked: it would be free for others, too. NULL: there is none.
 */
const void *burrow_heap_not_kept(struct burrow_heap *heap);

/* gcverify: a span with marks, while its part is said to have none; or NULL. */
const void *burrow_heap_not_in_part(struct burrow_heap *heap);

/*
 * Sweeps about @bytes of spans. False: nothing was left. From any thread; several
 * may do it at once, also while marking begins (nothing is left then).
 */
bool burrow_heap_sweep_some(struct burrow_heap *heap, size_t bytes);
void burrow_heap_sweep_all(struct burrow_heap *heap);

/*
 * Gives free memory to the system, about @bytes of it; returns how much. holes: of
 * spans that are in use, the pages without an object; everything is swept, and
 * nobody begins to mark meanwhile.
 */
size_t burrow_heap_scavenge(struct burrow_heap *heap, size_t bytes);
size_t burrow_heap_scavenge_holes(struct burrow_heap *heap, size_t bytes);

/*
 * Makes one more block of memory ready that will be needed if the heap grows on (stock.c),
 * @may: if it will. False: there is enough. By one thread at a time, while nobody marks.
 */
bool burrow_heap_stock(struct burrow_heap *heap, bool may);
/* It may be had again: whoever runs short asks. */
void burrow_heap_stock_again(struct burrow_heap *heap);

/*
 * Runs of addresses of the tracked half where writes matter, in order, whole pages
 * of 8 KiB. DENSE, for arming before marking begins: spans at least half used in
 * which nothing is marked. Where something is, a young cycle wants to know what was
 * written since; and where objects are free, new ones will be written next.
 * OLD, for harvest: such spans of what lived through the last cycle. REST, while
 * marking: where anything else is marked. A page that was not armed counts as
 * written, so that the marked objects on it are scanned again, whatever was
 * written to them since they were scanned. On pages that are in neither there is
 * nothing to scan again. LOOSE, when marking has ended: what was armed and where too
 * little lives to be worth a fault for each new object's page. used: the one run of all that was
 * ever in use. half: all addresses that they could ever be at.
 */
enum burrow_heap_part {
	BURROW_HEAP_OLD = 1,
	BURROW_HEAP_REST = 2,
	BURROW_HEAP_BOTH = BURROW_HEAP_OLD | BURROW_HEAP_REST,
	BURROW_HEAP_LOOSE = 4,
	BURROW_HEAP_DENSE = 8,
};

void burrow_heap_tracked_half(const struct burrow_heap *heap, char **low,
			      char **high);
void burrow_heap_tracked_used(struct burrow_heap *heap,
			      void (*fn)(char *low, char *high, void *arg),
			      void *arg);
void burrow_heap_tracked(struct burrow_heap *heap, enum burrow_heap_part part,
			 void (*fn)(char *low, char *high, void *arg),
			 void *arg);

/* By who collects: these pages are write-protected from now on, or not any more. */
void burrow_heap_armed(struct burrow_heap *heap, const char *low,
		       const char *high, bool armed);

/**
 * struct burrow_heap_counts - how much of everything, now
 * @allocated:	bytes handed to caches and large objects, ever
 * @live:	bytes marked when the last cycle was complete
 * @marked:	of these by that cycle; all of them if it was a full one
 * @in_use:	bytes of spans
 * @holes:	of these, of pages that the system was given back
 * @kept:	bytes of burrow_heap_keep()
 * @free:	bytes of free pages that the system has not been given back
 * @swept:	bytes of spans swept, ever
 * @unswept:	bytes of spans still to be swept
 * @tables:	bytes of what is beside the heap, about
 */
struct burrow_heap_counts {
	uint64_t allocated;
	uint64_t live;
	uint64_t marked;
	uint64_t in_use;
	uint64_t holes;
	uint64_t kept;
	uint64_t free;
	uint64_t swept;
	uint64_t unswept;
	uint64_t tables;
};

void burrow_heap_count(struct burrow_heap *heap,
		       struct burrow_heap_counts *counts);

/* Hook soon is called while counts.allocated is past this; UINT64_MAX: never. */
void burrow_heap_trigger(struct burrow_heap *heap, uint64_t allocated);

/*
 * Spans, what is kept and free pages may be so many bytes, 0: no limit; what needs more
 * fails. Returns what it is, which the module may have made less.
 */
uint64_t burrow_heap_limit(struct burrow_heap *heap, uint64_t bytes);

#define BURROW_MARK_RING 16 /* objects whose memory is on its way */
#define BURROW_MARK_BLOCK 1022

/**
 * struct burrow_mark_block - objects that are to be scanned
 * @next:	the next one of the list that it is on
 * @count:	how many; of a marker's own see there
 * @entries:	them: addresses, or pieces of large ones (mark.c)
 */
struct burrow_mark_block {
	struct burrow_mark_block *next;
	uint64_t count;
	uintptr_t entries[BURROW_MARK_BLOCK];
};

/**
 * struct burrow_marker - one thread's part in the marking
 * @heap:	of which heap
 * @block:	what is to be scanned, the last in first out
 * @low:	its first entry
 * @top:	behind the last one
 * @end:	where there is no room for another
 * @spare:	an empty block, or NULL
 * @ring:	what is to be scanned next, being prefetched
 * @ring_at:	the oldest of them
 * @ring_count:	how many
 * @bytes:	of objects marked by this one
 *
 * One thread's alone. Zeroed by burrow_mark_open().
 */
struct burrow_marker {
	struct burrow_heap *heap;
	struct burrow_mark_block *block;
	uintptr_t *low;
	uintptr_t *top;
	uintptr_t *end;
	struct burrow_mark_block *spare;
	uintptr_t ring[BURROW_MARK_RING];
	uint32_t ring_at;
	uint32_t ring_count;
	uint64_t bytes;
};

/* Between mark_begin and mark_end. open: 0 or -ENOMEM. close: it is empty. */
int burrow_mark_open(struct burrow_marker *m, struct burrow_heap *heap);
void burrow_mark_close(struct burrow_marker *m);

/* Greys the object that a word points into, if it does. */
void burrow_mark_word(struct burrow_marker *m, uintptr_t word);

/* The same for all words of a range, aligned to 8 inwards. */
void burrow_mark_range(struct burrow_marker *m, const void *low,
		       const void *high);

/*
 * Scans the marked objects on these addresses of the tracked half once more; of
 * large ones only what lies there. Needs no draining in between.
 */
void burrow_mark_rescan(struct burrow_marker *m, const void *low,
			const void *high);

/*
 * Scans what was greyed, by this marker first, then what others have shared, as
 * long as it takes to scan about @bytes. True: there is more. False: this one
 * has nothing and nobody shares anything; others may still be at it.
 */
bool burrow_mark_drain(struct burrow_marker *m, size_t bytes);

/* Shares what this one has: before it does something else for a while. */
void burrow_mark_share(struct burrow_marker *m);

/* The older half of it, which leads to more: for another who has none. */
void burrow_mark_share_half(struct burrow_marker *m);

/* Somebody shares something: a look without a lock. */
bool burrow_mark_shared(const struct burrow_heap *heap);

#endif /* BURROW_HEAP_H */
