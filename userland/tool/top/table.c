// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of numbers and texts. See table.h.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "table.h"

void table_clear(struct table *t)
{
	size_t i;
	int c;

	for (i = 0; i < t->nr_rows; i++) {
		for (c = 0; c < TABLE_COLUMNS; c++)
			free(t->rows[i].cells[c].text);
	}
	free(t->rows);
	t->rows = NULL;
	t->nr_rows = 0;
	t->room = 0;
}

struct row *table_add(struct table *t)
{
	size_t room = t->room ? t->room * 2 : 64;
	struct row *rows;
	int c;

	if (t->nr_rows == t->room) {
		rows = realloc(t->rows, room * sizeof(*rows));
		if (!rows)
			return NULL;
		t->rows = rows;
		t->room = room;
	}
	rows = &t->rows[t->nr_rows++];
	for (c = 0; c < TABLE_COLUMNS; c++)
		rows->cells[c] = (struct cell){ .number = UNKNOWN };
	return rows;
}

void cell_text(struct cell *cell, const char *text)
{
	char *at;

	cell->text = strdup(text);
	for (at = cell->text; at && *at; at++) {
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
}

static bool is_wanted(const struct table *t, const struct row *row)
{
	unsigned int c;

	for (c = 0; c < t->nr_columns; c++) {
		if (row->cells[c].text &&
		    strcasestr(row->cells[c].text, t->filter))
			return true;
	}
	return !*t->filter;
}

static int compare_texts(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

/* What is not known is last, whichever way; greater numbers are first. */
static int compare_cells(const struct table *t, unsigned int column,
			 const struct cell *x, const struct cell *y)
{
	int way = t->reverse ? -1 : 1;

	if (t->columns[column].unit == UNIT_TEXT)
		return way * compare_texts(x->text, y->text);
	if (x->number == UNKNOWN || y->number == UNKNOWN)
		return (x->number == UNKNOWN) - (y->number == UNKNOWN);
	return way * ((x->number < y->number) - (x->number > y->number));
}

/* Rows that are alike keep an order, too: else they would dance. */
static int compare(const void *a, const void *b, void *arg)
{
	const struct row *x = a, *y = b;
	const struct table *t = arg;
	unsigned int c;
	int way;

	way = compare_cells(t, t->sort, &x->cells[t->sort], &y->cells[t->sort]);
	for (c = 0; !way && c < t->nr_columns; c++)
		way = -compare_cells(t, c, &x->cells[c], &y->cells[c]);
	return way;
}

void table_arrange(struct table *t)
{
	size_t i, kept = 0;
	struct row row;

	for (i = 0; i < t->nr_rows; i++) {
		if (!is_wanted(t, &t->rows[i]))
			continue;
		row = t->rows[kept];
		t->rows[kept++] = t->rows[i];
		t->rows[i] = row;
	}
	for (i = kept; i < t->nr_rows; i++) {
		for (unsigned int c = 0; c < t->nr_columns; c++)
			free(t->rows[i].cells[c].text);
	}
	t->nr_rows = kept;
	if (kept)
		qsort_r(t->rows, kept, sizeof(*t->rows), compare, t);
}

int table_column(const struct column *columns, unsigned int n, const char *key)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!strcmp(columns[i].key, key))
			return i;
	}
	return -1;
}

/* Four characters at most before the letter. */
static void format_bytes(uint64_t bytes, const char *about, char *text,
			 size_t size)
{
	static const char letters[] = "BKMGTPE";
	double n = bytes;
	unsigned int i;

	for (i = 0; n >= 999.5; i++)
		n /= 1024;
	if (!i || n >= 99.95)
		snprintf(text, size, "%s%.0f%c", about, n, letters[i]);
	else
		snprintf(text, size, "%s%.1f%c", about, n, letters[i]);
}

static void format_number(const struct cell *cell, enum unit unit, char *text,
			  size_t size)
{
	const char *about = cell->about ? "~" : "";

	if (cell->number == UNKNOWN)
		snprintf(text, size, "-");
	else if (unit == UNIT_BYTES)
		format_bytes(cell->number, about, text, size);
	else if (unit == UNIT_NS || unit == UNIT_MS)
		snprintf(text, size, "%s%.1f", about, cell->number / 1e3);
	else
		snprintf(text, size, "%s%lu", about, cell->number);
}

/* Numbers to the right, texts to the left; a text too long is cut. */
static int put(const struct column *column, bool last, const char *text,
	       char *line, int room)
{
	int n;

	if (room <= 1 || !column->width)
		return 0;
	if (column->unit != UNIT_TEXT)
		n = snprintf(line, room, "%*s ", column->width, text);
	else if (last)
		n = snprintf(line, room, "%s", text);
	else
		n = snprintf(line, room, "%-*.*s ", column->width,
			     column->width, text);
	return n < room ? n : room - 1;
}

void table_heading(const struct table *t, char *line, int width)
{
	unsigned int c;
	int at = 0;

	*line = 0;
	for (c = 0; c < t->nr_columns; c++)
		at += put(&t->columns[c], c == t->nr_columns - 1,
			  t->columns[c].title, line + at, width + 1 - at);
}

void table_line(const struct table *t, size_t row, char *line, int width)
{
	const struct cell *cell;
	const char *text;
	char number[32];
	unsigned int c;
	int at = 0;

	*line = 0;
	for (c = 0; c < t->nr_columns; c++) {
		cell = &t->rows[row].cells[c];
		text = cell->text ? cell->text : "-";
		if (t->columns[c].unit != UNIT_TEXT) {
			format_number(cell, t->columns[c].unit, number,
				      sizeof(number));
			text = number;
		}
		at += put(&t->columns[c], c == t->nr_columns - 1, text,
			  line + at, width + 1 - at);
	}
}

struct json_object *table_json(const struct table *t)
{
	struct json_object *all = json_object_new_array(), *o;
	const struct cell *cell;
	unsigned int c;
	size_t i;

	for (i = 0; i < t->nr_rows; i++) {
		o = json_object_new_object();
		for (c = 0; c < t->nr_columns; c++) {
			cell = &t->rows[i].cells[c];
			if (t->columns[c].unit == UNIT_TEXT)
				json_add_text(o, t->columns[c].key,
					      cell->text ? cell->text : "");
			else if (cell->number != UNKNOWN)
				json_add_number(o, t->columns[c].key,
						cell->number);
		}
		json_object_array_add(all, o);
	}
	return all;
}
