/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What allocation does for the collector while a cycle is under way.
 */
#ifndef BURROW_ASSIST_H
#define BURROW_ASSIST_H

#include "gc.h"

/* In the first stop of a cycle, and in its last; marking began, is to end. */
void burrow_assist_open(struct burrow_heap *heap);
void burrow_assist_close(void);

/* Who marks says how many bytes it has marked in this cycle. */
void burrow_assist_marked(uint64_t bytes);

/* Somebody who helps has what is grey in hand. */
bool burrow_assist_busy(void);

/* How long goroutines have marked in this cycle, all of them together. */
int64_t burrow_assist_ns(void);

/* Pages are written as fast as they are cleaned: allocation is slowed down. */
void burrow_assist_clean(bool on);

/*
 * By a goroutine that is about to take @bytes, inside; may park, but not in
 * burrow_blocking(). Returns the thread it is on then. @size: of the heap.
 */
struct burrow_thread *burrow_assist(struct burrow_thread *self,
				    struct burrow_heap *heap,
				    const struct burrow_pacer *pacer,
				    uint64_t size, size_t bytes);

#endif /* BURROW_ASSIST_H */
