// SPDX-License-Identifier: GPL-2.0
/*
 * A table on a terminal. See screen.h.
 */
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tool.h"
#include "screen.h"
#include "view.h"

#define LINE 1024
#define HEAD 2 /* lines above the rows */
#define FOOT 1 /* and below */
#define ESCAPE 27

static SCREEN *terminal;

int screen_open(void)
{
	const char *name = getenv("TERM"), *move = NULL;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		tool_say("this is no terminal: see burrow top --batch");
		return TOOL_FAILED;
	}
	terminal = newterm(NULL, stdout, stdin);
	if (terminal)
		move = tigetstr("cup");
	/* tigetstr(3): it has not, or there is no such capability. */
	if (!move || move == (char *)-1) {
		screen_close();
		tool_say(
			"the terminal (TERM=%s) has not what it takes: see burrow top --batch",
			name ? name : "");
		return TOOL_FAILED;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	return TOOL_OK;
}

void screen_close(void)
{
	if (!terminal)
		return;
	endwin();
	delscreen(terminal);
	terminal = NULL;
}

static size_t rows_shown(void)
{
	return LINES > HEAD + FOOT ? LINES - HEAD - FOOT : 0;
}

static void put_line(int y, const char *line)
{
	mvaddnstr(y, 0, line, COLS);
	clrtoeol();
}

static void put_heading(const struct table *t)
{
	char line[LINE];

	table_heading(t, line, COLS < LINE ? COLS : LINE - 1);
	attron(A_REVERSE);
	mvhline(1, 0, ' ', COLS);
	mvaddnstr(1, 0, line, COLS);
	attroff(A_REVERSE);
}

static void put_footer(const struct screen *s, const struct table *t)
{
	char line[LINE];

	if (s->asks)
		snprintf(line, sizeof(line), "filter: %s_", s->typed);
	else
		snprintf(
			line, sizeof(line),
			"q quit  p processes  g goroutines  s sites  < > sort: %s%s  r reverse  / filter%s%s",
			t->columns[t->sort].key,
			t->reverse ? " (reversed)" : "", *t->filter ? ": " : "",
			t->filter);
	put_line(LINES - 1, line);
}

void screen_draw(struct screen *s, const struct table *t, const char *summary)
{
	size_t shown = rows_shown(), i;
	char line[LINE];

	if (s->first + shown > t->nr_rows)
		s->first = t->nr_rows > shown ? t->nr_rows - shown : 0;
	erase();
	put_line(0, summary);
	if (LINES > 1)
		put_heading(t);
	for (i = 0; i < shown && s->first + i < t->nr_rows; i++) {
		table_line(t, s->first + i, line,
			   COLS < LINE ? COLS : LINE - 1);
		put_line(HEAD + i, line);
	}
	if (LINES > HEAD)
		put_footer(s, t);
	refresh();
}

/* Letters of a filter; Enter takes it, Escape does not. */
static enum wish type(struct screen *s, struct table *t, int key)
{
	size_t n = strlen(s->typed);

	switch (key) {
	case '\n':
	case KEY_ENTER:
		memcpy(t->filter, s->typed, sizeof(t->filter));
		s->asks = false;
		return WISH_REFRESH;
	case ESCAPE:
		s->asks = false;
		return WISH_REDRAW;
	case KEY_BACKSPACE:
	case '\b':
	case 127:
		if (n)
			s->typed[n - 1] = 0;
		return WISH_REDRAW;
	default:
		if (key < ' ' || key > '~' || n + 1 >= sizeof(s->typed))
			return WISH_NOTHING;
		s->typed[n] = key;
		s->typed[n + 1] = 0;
		return WISH_REDRAW;
	}
}

static enum wish scroll_by(struct screen *s, long rows)
{
	s->first = rows < 0 && s->first < (size_t)-rows ? 0 : s->first + rows;
	return WISH_REDRAW;
}

static enum wish sort_by(struct table *t, int step)
{
	t->sort = (t->sort + t->nr_columns + step) % t->nr_columns;
	return WISH_REDRAW;
}

static enum wish obey(struct screen *s, struct table *t, int key)
{
	unsigned int i;

	switch (key) {
	case 'q':
		return WISH_QUIT;
	case '<':
		return sort_by(t, -1);
	case '>':
		return sort_by(t, 1);
	case 'r':
		t->reverse = !t->reverse;
		return WISH_REDRAW;
	case '/':
		s->asks = true;
		memcpy(s->typed, t->filter, sizeof(s->typed));
		return WISH_REDRAW;
	case KEY_UP:
		return scroll_by(s, -1);
	case KEY_DOWN:
		return scroll_by(s, 1);
	case KEY_PPAGE:
		return scroll_by(s, -(long)rows_shown());
	case KEY_NPAGE:
		return scroll_by(s, rows_shown());
	case KEY_RESIZE:
		return WISH_REDRAW;
	}
	for (i = 0; i < VIEWS; i++) {
		if (views[i].key == key) {
			s->view = i;
			s->first = 0;
			return WISH_REFRESH;
		}
	}
	return WISH_NOTHING;
}

enum wish screen_wait(struct screen *s, struct table *t, int ms)
{
	int key;

	timeout(ms);
	key = getch();
	if (key == ERR)
		return WISH_NOTHING;
	if (s->asks && key != KEY_RESIZE)
		return type(s, t, key);
	return obey(s, t, key);
}
