/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small memory that is used again and again: what a waiting select needs, the
 * arguments of a group's goroutines.
 */
#ifndef BURROW_CELL_H
#define BURROW_CELL_H

#include <stddef.h>

struct burrow_thread;
struct burrow_cells;

/**
 * struct burrow_cell - begins each piece
 * @next:	on the list that it is on
 * @home:	the processor's cells that it came from
 */
struct burrow_cell {
	struct burrow_cell *next;
	struct burrow_cells *home;
};

/* Both inside. Not zeroed; NULL: no memory. */
struct burrow_cell *burrow_cell_get(struct burrow_thread *self, size_t size);

/* @size as it was asked for. On any thread. */
void burrow_cell_put(struct burrow_thread *self, struct burrow_cell *cell,
		     size_t size);

#endif /* BURROW_CELL_H */
