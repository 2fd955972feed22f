/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where marking begins: memory outside of the heap whose words may point into
 * it. All of it is looked at conservatively, aligned words only.
 */
#ifndef BURROW_ROOTS_H
#define BURROW_ROOTS_H

#include <stddef.h>
#include <stdint.h>

/* Called with each range of roots. */
typedef void burrow_root_fn(void *arg, const void *low, const void *high);

/*
 * All roots, in a full stop (stop.h), whose caller has burrow_roots_lock():
 * registered ranges stay what they are, and mapped.
 */
void burrow_roots_lock(void);
void burrow_roots_unlock(void);
void burrow_roots_each(burrow_root_fn *fn, void *arg);

/**
 * struct burrow_root_kind - roots of one kind
 * @name:	what dumps call it
 * @each:	walks them, as burrow_roots_each() does all
 */
struct burrow_root_kind {
	const char *name;
	void (*each)(burrow_root_fn *fn, void *arg);
};

#define BURROW_ROOT_KINDS 4

extern const struct burrow_root_kind burrow_root_kinds[BURROW_ROOT_KINDS];

/*
 * Bytes in them, by kind, as burrow_roots_each() last saw them; and how many goroutines
 * it has visited for that.
 */
struct burrow_roots_count {
	uint64_t stacks;
	uint64_t statics;
	uint64_t others;
	uint64_t goroutines;
};

extern struct burrow_roots_count burrow_roots_count;

/*
 * stacks.c: of goroutines and of threads, registers included. caller: by the
 * thread that called burrow_run(), for as long as it does not return;
 * prepare, warm: before a stop, the latter last of all.
 */
void burrow_stacks_caller(void);
void burrow_stacks_prepare(void);
void burrow_stacks_warm(void);
void burrow_stacks_each(burrow_root_fn *fn, void *arg);

/*
 * Beside the program: those whose stacks burrow_saved_beside() has read; what else
 * they hold.
 */
void burrow_stacks_asleep(burrow_root_fn *fn, void *arg);

#endif /* BURROW_ROOTS_H */
