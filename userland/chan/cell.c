// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cells: memory of the region, in sizes that are powers of two, of which each
 * processor keeps lists.
 *
 * A goroutine may take a cell on one processor and be done with it on another.
 * If it stayed there, a processor where goroutines always take and never give
 * would ask the region for more and more. So a cell goes home: whoever is done
 * with it elsewhere pushes it onto the list @returned of its home, by
 * compare-and-swap, and home takes that list as a whole when its own is empty.
 * As nobody takes single cells from @returned, none can be back there unseen.
 */
#include "../sched/sched.h"
#include "cell.h"

#define SIZE_FIRST 64UL /* bytes of the smallest, a power of two */
#define CLASSES 20

/**
 * struct burrow_cells - those of one processor
 * @own:	to be taken, by class; the holder's alone
 * @returned:	put back elsewhere, by class; atomic
 */
struct burrow_cells {
	struct burrow_cell *own[CLASSES];
	struct burrow_cell *returned[CLASSES];
};

static unsigned int class_of(size_t size)
{
	size_t units = (size - 1) / SIZE_FIRST;

	return units ? 64 - __builtin_clzl(units) : 0;
}

static __attribute__((noinline)) struct burrow_cell *
cell_new(struct burrow_thread *self, unsigned int class)
{
	struct burrow_cells *cells = self->proc->cells;
	struct burrow_cell *cell;

	if (!cells) {
		cells = burrow_region_alloc(self, sizeof(*cells));
		if (!cells)
			return NULL;
		self->proc->cells = cells;
	}
	/* Pairs with the release in burrow_cell_put(). */
	cell = __atomic_exchange_n(&cells->returned[class], NULL,
				   __ATOMIC_ACQUIRE);
	if (cell) {
		cells->own[class] = cell->next;
		return cell;
	}
	cell = burrow_region_alloc(self, SIZE_FIRST << class);
	if (cell)
		cell->home = cells;
	return cell;
}

struct burrow_cell *burrow_cell_get(struct burrow_thread *self, size_t size)
{
	struct burrow_cells *cells = self->proc->cells;
	unsigned int class = class_of(size);
	struct burrow_cell *cell;

	if (burrow_unlikely(class >= CLASSES))
		return NULL;
	if (burrow_unlikely(!cells || !cells->own[class]))
		return cell_new(self, class);
	cell = cells->own[class];
	cells->own[class] = cell->next;
	return cell;
}

void burrow_cell_put(struct burrow_thread *self, struct burrow_cell *cell,
		     size_t size)
{
	struct burrow_cells *home = cell->home;
	unsigned int class = class_of(size);

	if (burrow_likely(home == self->proc->cells)) {
		cell->next = home->own[class];
		home->own[class] = cell;
		return;
	}
	cell->next = __atomic_load_n(&home->returned[class], __ATOMIC_RELAXED);
	/* Pairs with the acquire in cell_new(). */
	while (!__atomic_compare_exchange_n(&home->returned[class], &cell->next,
					    cell, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}
