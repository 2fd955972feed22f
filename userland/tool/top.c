// SPDX-License-Identifier: GPL-2.0
/*
 * `burrow top`: the processes that use the library, again and again: in a
 * terminal, or as text or JSON. One thread only.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "tool.h"
#include "top/growth.h"
#include "top/screen.h"
#include "top/view.h"
#include "watch/sites.h"
#include "watch/watch.h"

#define SCHEMA 1
#define POLL_MS 50
#define WIDTH 200 /* of a line of text */

struct arguments {
	pid_t pid;
	double delay;
	unsigned long rounds;
	bool batch;
	bool json;
	const struct view *view;
	const char *sort;
	bool reverse;
	const char *filter;
};

/**
 * struct top - what is shown
 * @args:	the command line
 * @all:	the processes
 * @watch:	events, NULL: they can't be watched
 * @missed:	programs whose probes could not be attached to
 * @table:	what is shown of it
 * @screen:	where, unless as text
 * @shown_at:	when the table was filled
 * @summary:	what stands above it
 */
struct top {
	const struct arguments *args;
	struct processes all;
	struct watch *watch;
	unsigned int missed;
	struct table table;
	struct screen screen;
	double shown_at;
	char summary[256];
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- what is shown ------------------------------------------------------------------- */

static void summarize(struct top *top)
{
	const struct process *p = NULL;
	uint64_t goroutines = 0;
	size_t n = 0, at;

	while ((p = processes_next(&top->all, p))) {
		goroutines += p->counts.goroutines;
		n++;
	}
	at = snprintf(top->summary, sizeof(top->summary),
		      "burrow top: %zu process%s, %lu goroutine%s", n,
		      n == 1 ? "" : "es", goroutines,
		      goroutines == 1 ? "" : "s");
	if (!top->watch)
		at += snprintf(top->summary + at, sizeof(top->summary) - at,
			       "; no pauses");
	else
		at += snprintf(top->summary + at, sizeof(top->summary) - at,
			       "; events lost: %lu", watch_dropped(top->watch));
	if (top->missed)
		at += snprintf(top->summary + at, sizeof(top->summary) - at,
			       "; no pauses of %u", top->missed);
	if (top->all.refused)
		snprintf(top->summary + at, sizeof(top->summary) - at,
			 "; %u may not be looked at", top->all.refused);
}

static const struct view *view_of(const struct top *top)
{
	return &views[top->screen.view];
}

/* The columns of a view, sorted as it is without --sort. */
static void take_view(struct top *top)
{
	const struct view *view = view_of(top);

	top->table.columns = view->columns;
	top->table.nr_columns = view->nr_columns;
	top->table.sort = view->sort;
	top->table.reverse = false;
}

static void fill(struct top *top, double seconds)
{
	const struct view *view = view_of(top);

	table_clear(&top->table);
	if (top->table.columns != view->columns)
		take_view(top);
	view->fill(&top->table, &top->all, seconds);
	table_arrange(&top->table);
	summarize(top);
}

static void look(struct top *top)
{
	double at = now();

	processes_look(&top->all);
	fill(top, top->shown_at ? at - top->shown_at : 0);
	top->shown_at = at;
}

/* True: it is gone, and it was the only one. */
static bool is_over(const struct top *top)
{
	return top->args->pid && !top->all.first;
}

static void print_json(const struct top *top)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "schema", SCHEMA);
	json_add_number(o, "time_ns", top->shown_at * 1e9);
	json_add_text(o, "by", view_of(top)->name);
	if (top->watch)
		json_add_number(o, "lost", watch_dropped(top->watch));
	json_add_number(o, "refused", top->all.refused);
	json_object_object_add(o, "rows", table_json(&top->table));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void print_text(const struct top *top)
{
	char line[WIDTH + 1];
	size_t i;

	puts(top->summary);
	table_heading(&top->table, line, WIDTH);
	puts(line);
	for (i = 0; i < top->table.nr_rows; i++) {
		table_line(&top->table, i, line, WIDTH);
		puts(line);
	}
	putchar('\n');
}

/* ---- the loop ------------------------------------------------------------------------ */

static void on_found(const struct process *p, void *arg)
{
	struct top *top = arg;

	if (top->watch && watch_add(top->watch, p->window.program))
		top->missed++;
}

static void take_events(struct top *top, int ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000L };

	if (top->watch)
		watch_poll(top->watch, ms, processes_event, &top->all);
	else
		nanosleep(&ts, NULL);
}

/* As text: again after each delay, so often as asked. */
static int run_batch(struct top *top)
{
	unsigned long round;
	double until;

	for (round = 1; !is_over(top); round++) {
		if (top->args->json)
			print_json(top);
		else
			print_text(top);
		if (fflush(stdout) || ferror(stdout)) {
			tool_say("standard output: %s", strerror(errno));
			return TOOL_FAILED;
		}
		if (round == top->args->rounds)
			break;
		for (until = now() + top->args->delay;
		     now() < until && !tool_interrupted;)
			take_events(top, POLL_MS);
		if (tool_interrupted)
			break;
		look(top);
	}
	return TOOL_OK;
}

/* Until the delay is over; false: no more. */
static bool wait_on_screen(struct top *top)
{
	double until = now() + top->args->delay;

	while (now() < until) {
		if (tool_interrupted)
			return false;
		if (top->watch)
			watch_poll(top->watch, 0, processes_event, &top->all);
		switch (screen_wait(&top->screen, &top->table, POLL_MS)) {
		case WISH_QUIT:
			return false;
		case WISH_REFRESH:
			return true;
		case WISH_REDRAW:
			table_arrange(&top->table);
			screen_draw(&top->screen, &top->table, top->summary);
			break;
		case WISH_NOTHING:
			break;
		}
	}
	return true;
}

static int run_screen(struct top *top)
{
	unsigned long round;
	int ret = screen_open();

	if (ret)
		return ret;
	for (round = 1; !is_over(top); round++) {
		screen_draw(&top->screen, &top->table, top->summary);
		if (!wait_on_screen(top) || round == top->args->rounds)
			break;
		look(top);
	}
	screen_close();
	return TOOL_OK;
}

/* The one process that was named can be shown; or says why not. */
static bool can_show(const struct top *top)
{
	const struct process *p = top->all.first;
	pid_t pid = top->args->pid;

	if (!pid || (p && p->uses))
		return true;
	if (top->all.refused)
		tool_say(
			"process %d may not be looked at (see ptrace(2)): root may",
			pid);
	else if (!p)
		tool_say("there is no process %d", pid);
	else
		tool_say("process %d does not use Burrow", pid);
	return false;
}

static int run(const struct arguments *args)
{
	struct top top = { .args = args, .all.only = args->pid };
	int ret = TOOL_FAILED;

	top.all.on_found = on_found;
	top.all.arg = &top;
	top.screen.view = args->view - views;
	take_view(&top);
	top.table.reverse = args->reverse;
	if (args->sort)
		top.table.sort = table_column(args->view->columns,
					      args->view->nr_columns,
					      args->sort);
	snprintf(top.table.filter, sizeof(top.table.filter), "%s",
		 args->filter ? args->filter : "");
	tool_catch_interrupts();
	/*
	 * In a single look no event would be seen. Where they can't be watched it
	 * has said why not: there is much to see without.
	 */
	if (args->rounds == 1 || watch_open_collectors(&top.watch))
		top.watch = NULL;
	look(&top);
	if (can_show(&top))
		ret = args->batch ? run_batch(&top) : run_screen(&top);
	if (!ret && is_over(&top))
		tool_say("process %d has ended", args->pid);
	table_clear(&top.table);
	processes_close(&top.all);
	growth_forget();
	sites_forget(0);
	if (top.watch)
		watch_close(top.watch);
	return ret;
}

/* ---- the command line ---------------------------------------------------------------- */

static void parse_number(struct arguments *args, int key, const char *text,
			 struct argp_state *state)
{
	char *end;

	if (key == 'p') {
		args->pid = strtol(text, &end, 10);
		if (args->pid <= 0 || *end)
			argp_error(state, "no process number: %s", text);
	} else if (key == 'd') {
		args->delay = strtod(text, &end);
		if (!(args->delay >= 0.1) || *end)
			argp_error(state,
				   "no number of seconds from 0.1 on: %s",
				   text);
	} else {
		args->rounds = strtoul(text, &end, 10);
		if (!args->rounds || *text == '-' || *end)
			argp_error(state, "no number of times: %s", text);
	}
}

static void check(const struct arguments *args, struct argp_state *state)
{
	if (args->sort && table_column(args->view->columns,
				       args->view->nr_columns, args->sort) < 0)
		argp_error(state, "no column `%s' by %s", args->sort,
			   args->view->name);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case 'p':
	case 'd':
	case 'n':
		parse_number(args, key, text, state);
		return 0;
	case 'j':
		args->json = true;
		args->batch = true;
		return 0;
	case 'b':
		args->batch = true;
		return 0;
	case 'y':
		args->view = view_named(text);
		if (!args->view)
			argp_error(state, "no view by %s", text);
		return 0;
	case 'k':
		args->sort = text;
		return 0;
	case 'r':
		args->reverse = true;
		return 0;
	case 'f':
		args->filter = text;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is `%s'?", text);
		return 0;
	case ARGP_KEY_END:
		check(args, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char doc[] =
	"The processes that use Burrow: their goroutines, stacks and collections.\n"
	"\vPauses take CAP_BPF and CAP_PERFMON, processes of other users the right\n"
	"to trace them. What was lost is said.\n"
	"\n"
	"Exit status: 0 it was ended by a key, by a signal, or by the end of the\n"
	"process; 1 it went wrong, or there is no terminal; 2 the command line\n"
	"was not understood.";

int tool_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "pid", 'p', "PID", 0, "this process only", 0 },
		{ "delay", 'd', "N", 0, "seconds between two looks (2)", 0 },
		{ "number", 'n', "N", 0, "no more looks than that", 0 },
		{ "by", 'y', "WHAT", 0, "process (without), goroutine, site",
		  0 },
		{ "sort", 'k', "COLUMN", 0, "by this column, as JSON names it",
		  0 },
		{ "reverse", 'r', NULL, 0, "the other way round", 0 },
		{ "filter", 'f', "TEXT", 0, "only rows that have it", 0 },
		{ "batch", 'b', NULL, 0, "as text, again and again", 0 },
		{ "json", 'j', NULL, 0, "as JSON, a line for each look", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = doc,
	};
	struct arguments args = { .delay = 2, .view = views };

	if (argp_parse(&argp, argc, argv, 0, NULL, &args))
		return TOOL_USAGE;
	return run(&args);
}
