/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages were written.
 *
 * While marking runs beside the program, an object that was scanned may get a
 * pointer to one that was not. So the pages of the tracked half of the heap are
 * armed before marking begins, and harvested: those written since are scanned
 * once more. What does the work is behind struct burrow_tracker, a file each;
 * where neither works, marking stops the world. The same objects live on all.
 *
 * By the collector's thread alone, or those it leaves calls to (chores.h).
 */
#ifndef BURROW_TRACK_H
#define BURROW_TRACK_H

#include <stdbool.h>
#include <stddef.h>

struct burrow_heap_module;

/* Called with each run of pages that were written, in order. */
typedef void burrow_dirty_fn(char *low, char *high, void *arg);

/**
 * struct burrow_tracker - a way to know
 * @name:	of it
 * @free:	nothing is protected: a write to an armed page costs no more than
 *		any other
 * @open:	@module: the arena that the memory is in, or NULL: anonymous
 *		memory. 0 or a negative errno
 * @close:	nothing is armed any more
 * @watch:	a range of the heap's that will be armed and harvested in parts,
 *		mapped, writable or not; once. 0 or a negative errno
 * @arm:	from here on writes to these pages are seen, but for pages that
 *		have never been touched, which hold zeroes. 0 or a negative errno
 * @arm_present: the same for pages that have memory; all others count as written.
 *		There may be guards among them. NULL if @free
 * @harvest:	calls @fn with the pages written since they were armed, or
 *		harvested, and arms them again; pages that never were armed count
 *		as written. @fn may be called before the rest is harvested. 0 or a
 *		negative errno: then any page may have been written
 * @look:	the same for the last time before the next @arm: does not arm
 *		where that would cost the next write a fault
 * @disarm:	these pages count as written from now on, and a write to them costs
 *		no fault; NULL if @free
 */
struct burrow_tracker {
	const char *name;
	bool free;
	int (*open)(const struct burrow_heap_module *module);
	void (*close)(void);
	int (*watch)(char *low, char *high);
	int (*arm)(char *low, char *high);
	int (*arm_present)(char *low, char *high);
	int (*harvest)(char *low, char *high, burrow_dirty_fn *fn, void *arg);
	int (*look)(char *low, char *high, burrow_dirty_fn *fn, void *arg);
	void (*disarm)(char *low, char *high);
};

extern const struct burrow_tracker burrow_track_kmod;
extern const struct burrow_tracker burrow_track_uffd;

/* All there are, best first, NULL at the end. */
extern const struct burrow_tracker *const burrow_trackers[];

/*
 * What burrow_track_kmod harvests by, of any arena of the module, also one of stacks:
 * calls @fn with the pages of whole groups of 64 that were written since they were
 * harvested, or first touched. 0 or a negative errno.
 */
int burrow_track_arena(const struct burrow_heap_module *m, char *low,
		       char *high, burrow_dirty_fn *fn, void *arg);

/*
 * Tries one on memory of its own: an arena in the context @fd, -1: anonymous
 * memory. NULL if it does what it should, else why.
 */
const char *burrow_track_try(const struct burrow_tracker *tracker, int fd);

#endif /* BURROW_TRACK_H */
