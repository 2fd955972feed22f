/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The terminal: a table on it, and keys. ncurses is behind this and nowhere else.
 * There is one; one thread.
 */
#ifndef BURROW_TOOL_SCREEN_H
#define BURROW_TOOL_SCREEN_H

#include <stdbool.h>

#include "table.h"

/* What a key asks for. */
enum wish {
	WISH_NOTHING,
	WISH_REDRAW, /* of the same rows, in another order or place */
	WISH_REFRESH, /* rows of another view or filter, or newer ones */
	WISH_QUIT,
};

/**
 * struct screen - what is on it beside the rows
 * @view:	index of the view that is shown; keys change it
 * @first:	row at the top; keys change it
 * @asks:	a filter is being typed
 * @typed:	as far as it is
 */
struct screen {
	unsigned int view;
	size_t first;
	bool asks;
	char typed[64];
};

/* 0, or an exit status with a line on standard error. */
int screen_open(void);

/* @summary: the first line. */
void screen_draw(struct screen *s, const struct table *t, const char *summary);

/* Waits for a key, a change of size or the time; changes what keys change. */
enum wish screen_wait(struct screen *s, struct table *t, int ms);

/* The terminal as it was; nothing if it is not open. */
void screen_close(void);

#endif /* BURROW_TOOL_SCREEN_H */
