/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What burrow top shows: a row for each process, goroutine, or place where
 * goroutines were started. A view fills a table from the processes.
 */
#ifndef BURROW_TOOL_VIEW_H
#define BURROW_TOOL_VIEW_H

#include "processes.h"
#include "table.h"

/**
 * struct view - one of them
 * @name:	as --by has it
 * @key:	that switches to it
 * @columns:	of its table
 * @nr_columns:	how many
 * @sort:	by this one without --sort
 * @fill:	adds rows; @seconds since it was called last, 0: it was not
 */
struct view {
	const char *name;
	int key;
	const struct column *columns;
	unsigned int nr_columns;
	unsigned int sort;
	void (*fill)(struct table *t, const struct processes *all,
		     double seconds);
};

#define VIEWS 3

extern const struct view views[VIEWS];

/* NULL: there is none of that name. */
const struct view *view_named(const char *name);

#endif /* BURROW_TOOL_VIEW_H */
