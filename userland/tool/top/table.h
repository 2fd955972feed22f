/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of what is shown: filled by a view, sorted and filtered here, and written
 * as text, as JSON or to a screen. One thread.
 */
#ifndef BURROW_TOOL_TABLE_H
#define BURROW_TOOL_TABLE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS 24
#define UNKNOWN UINT64_MAX /* of a number: it is not known */

/* What a column holds. */
enum unit {
	UNIT_TEXT,
	UNIT_COUNT,
	UNIT_BYTES,
	UNIT_NS, /* shown as microseconds */
	UNIT_MS, /* shown as seconds */
};

/**
 * struct column - of a view
 * @key:	its name in JSON and for --sort
 * @title:	its heading
 * @unit:	what it holds
 * @width:	characters, 0: it is in JSON only; the last column takes what is left
 */
struct column {
	const char *key;
	const char *title;
	enum unit unit;
	int width;
};

/**
 * struct cell - of a row
 * @number:	where its column holds one, else of no meaning
 * @text:	where it holds that, NULL: none
 * @about:	the number is a guess
 */
struct cell {
	uint64_t number;
	char *text;
	bool about;
};

struct row {
	struct cell cells[TABLE_COLUMNS];
};

/**
 * struct table - the rows, and how they are to be shown
 * @columns:	of the view
 * @nr_columns:	how many
 * @rows:	all of them
 * @nr_rows:	how many
 * @room:	how many there is memory for
 * @sort:	by this column
 * @reverse:	the other way round: numbers are sorted greatest first without
 * @filter:	rows without this text are left out; empty: none are
 */
struct table {
	const struct column *columns;
	unsigned int nr_columns;
	struct row *rows;
	size_t nr_rows;
	size_t room;
	unsigned int sort;
	bool reverse;
	char filter[64];
};

/* Empties it. */
void table_clear(struct table *t);

/* One more, all unknown; NULL: no memory. It stays where it is till the next. */
struct row *table_add(struct table *t);

/* What is no printable character comes from a program that may mean no good. */
void cell_text(struct cell *cell, const char *text);

/* Drops what the filter does not want and sorts the rest. */
void table_arrange(struct table *t);

/* The column of that name, or -1. */
int table_column(const struct column *columns, unsigned int n, const char *key);

/* As a line of at most @width characters, NUL and no newline at its end. */
void table_heading(const struct table *t, char *line, int width);
void table_line(const struct table *t, size_t row, char *line, int width);

/* An array of objects. */
struct json_object *table_json(const struct table *t);

#endif /* BURROW_TOOL_TABLE_H */
