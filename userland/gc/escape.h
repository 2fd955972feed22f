/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The escape check; escape.c.
 */
#ifndef BURROW_GC_ESCAPE_H
#define BURROW_GC_ESCAPE_H

struct burrow_heap;

/* In the last stop, when marking has ended: what is allocated is what lives. */
void burrow_escape_check(struct burrow_heap *heap);

/* When the world goes on: says what was found. */
void burrow_escape_tell(void);

#endif /* BURROW_GC_ESCAPE_H */
