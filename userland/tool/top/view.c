// SPDX-License-Identifier: GPL-2.0
/*
 * The three views. See view.h.
 */
#include <stdlib.h>
#include <string.h>

#include "../../sched/sched.h"
#include "../watch/sites.h"
#include "growth.h"
#include "view.h"

#define GOROUTINES_MAX 100000 /* of a process; more are not shown */

#define COUNT(columns) (sizeof(columns) / sizeof((columns)[0]))

/* ---- processes --------------------------------------------------------------------- */

enum {
	P_PID,
	P_GOROUTINES,
	P_QUEUED,
	P_PROCS,
	P_STACK,
	P_HIGH,
	P_POOL,
	P_GROWS,
	P_ASLEEP,
	P_STORE,
	P_SAVED,
	P_HIBERNATES,
	P_RESTORES,
	P_HEAP,
	P_LIVE,
	P_CYCLES,
	P_PHASE,
	P_P50,
	P_P99,
	P_PAUSED,
	P_COMMAND,
};

static const struct column of_processes[] = {
	[P_PID] = { "pid", "PID", UNIT_COUNT, 7 },
	[P_GOROUTINES] = { "goroutines", "GOROUT", UNIT_COUNT, 7 },
	[P_QUEUED] = { "queued", "QUEUED", UNIT_COUNT, 6 },
	[P_PROCS] = { "procs", "P", UNIT_COUNT, 3 },
	[P_STACK] = { "stack", "STACK", UNIT_BYTES, 6 },
	[P_HIGH] = { "stack_high", "HIGH", UNIT_BYTES, 6 },
	[P_POOL] = { "pool", "POOL", UNIT_BYTES, 6 },
	[P_GROWS] = { "grows_per_s", "GROW/S", UNIT_COUNT, 6 },
	[P_ASLEEP] = { "hibernated", "HIBERN", UNIT_COUNT, 7 },
	[P_STORE] = { "store", "STORE", UNIT_BYTES, 5 },
	[P_SAVED] = { "saved", "SAVED", UNIT_BYTES, 0 },
	[P_HIBERNATES] = { "hibernates_per_s", "HIB/S", UNIT_COUNT, 0 },
	[P_RESTORES] = { "restores_per_s", "RESTO/S", UNIT_COUNT, 0 },
	[P_HEAP] = { "heap", "HEAP", UNIT_BYTES, 6 },
	[P_LIVE] = { "live", "LIVE", UNIT_BYTES, 6 },
	[P_CYCLES] = { "cycles", "CYCLE", UNIT_COUNT, 6 },
	[P_PHASE] = { "phase", "GC", UNIT_TEXT, 5 },
	[P_P50] = { "pause_p50_ns", "P50 us", UNIT_NS, 7 },
	[P_P99] = { "pause_p99_ns", "P99 us", UNIT_NS, 7 },
	[P_PAUSED] = { "paused_ns", "PAUSED", UNIT_NS, 0 },
	[P_COMMAND] = { "command", "COMMAND", UNIT_TEXT, 15 },
};

static uint64_t rate(uint64_t now, uint64_t before, double seconds)
{
	if (now == UNKNOWN || before == UNKNOWN || now < before || seconds <= 0)
		return UNKNOWN;
	return (now - before) / seconds;
}

static void add_process(struct table *t, const struct process *p,
			double seconds)
{
	const struct hist *pauses = &p->collector.pauses;
	struct row *row = table_add(t);
	struct cell *c;

	if (!row)
		return;
	c = row->cells;
	c[P_PID].number = p->pid;
	c[P_GOROUTINES].number = p->counts.goroutines;
	c[P_QUEUED].number = p->counts.queued;
	c[P_PROCS].number = p->counts.procs;
	c[P_STACK].number = p->stack;
	c[P_STACK].about = p->guessed;
	c[P_HIGH].number = p->high;
	c[P_HIGH].about = p->guessed;
	c[P_POOL].number = p->pool;
	c[P_GROWS].number = rate(p->grows, p->grows_before, seconds);
	c[P_ASLEEP].number = p->hibernated;
	c[P_STORE].number = p->store;
	c[P_SAVED].number = p->saved;
	c[P_HIBERNATES].number =
		rate(p->hibernates, p->hibernates_before, seconds);
	c[P_RESTORES].number = rate(p->restores, p->restores_before, seconds);
	c[P_HEAP].number = p->counts.heap;
	c[P_LIVE].number = p->counts.live;
	c[P_CYCLES].number = p->counts.cycles;
	cell_text(&c[P_PHASE], p->counts.collects ? "mark" : "idle");
	if (pauses->count) {
		c[P_P50].number = hist_percentile(pauses, 50);
		c[P_P99].number = hist_percentile(pauses, 99);
		c[P_PAUSED].number = pauses->sum;
	}
	cell_text(&c[P_COMMAND], p->name);
}

static void fill_processes(struct table *t, const struct processes *all,
			   double seconds)
{
	const struct process *p = NULL;

	while ((p = processes_next(all, p)))
		add_process(t, p, seconds);
}

/* ---- goroutines -------------------------------------------------------------------- */

enum {
	G_PID,
	G_ID,
	G_STACK,
	G_GROWN,
	G_WAITED,
	G_STATE,
	G_NAME,
	G_SITE,
};

static const struct column of_goroutines[] = {
	[G_PID] = { "pid", "PID", UNIT_COUNT, 7 },
	[G_ID] = { "goroutine", "GOROUT", UNIT_COUNT, 8 },
	[G_STACK] = { "stack", "STACK", UNIT_BYTES, 6 },
	[G_GROWN] = { "grown_per_s", "GROWN/S", UNIT_BYTES, 7 },
	[G_WAITED] = { "waited_ms", "WAITS s", UNIT_MS, 8 },
	[G_STATE] = { "state", "STATE", UNIT_TEXT, 18 },
	[G_NAME] = { "name", "NAME", UNIT_TEXT, 12 },
	[G_SITE] = { "site", "STARTED AT", UNIT_TEXT, 20 },
};

/* Whose goroutines they are, and where they go. */
struct filling {
	struct table *t;
	pid_t pid;
};

static void add_goroutine(const struct window_goroutine *g, void *arg)
{
	const struct filling *filling = arg;
	struct row *row = table_add(filling->t);
	struct cell *c;

	if (!row)
		return;
	c = row->cells;
	c[G_PID].number = filling->pid;
	c[G_ID].number = g->id;
	c[G_STACK].number = g->stack;
	c[G_GROWN].number = growth_rate(g->id, g->stack);
	if (g->state == GOROUTINE_WAITING)
		c[G_WAITED].number = g->waited_ms;
	cell_text(&c[G_STATE], g->what);
	cell_text(&c[G_NAME], g->name);
	cell_text(&c[G_SITE], sites_name(filling->pid, g->site));
}

static void fill_goroutines(struct table *t, const struct processes *all,
			    double seconds)
{
	const struct process *p = NULL;
	struct filling filling = { .t = t };

	(void)seconds;
	growth_look();
	while ((p = processes_next(all, p))) {
		filling.pid = p->pid;
		growth_process(p->pid);
		window_each(&p->window, GOROUTINES_MAX, add_goroutine,
			    &filling);
	}
}

/* ---- sites ------------------------------------------------------------------------- */

enum {
	S_PID,
	S_GOROUTINES,
	S_RUNNING,
	S_RUNNABLE,
	S_WAITING,
	S_STACK,
	S_EACH,
	S_GROWN,
	S_SITE,
};

static const struct column of_sites[] = {
	[S_PID] = { "pid", "PID", UNIT_COUNT, 7 },
	[S_GOROUTINES] = { "goroutines", "GOROUT", UNIT_COUNT, 7 },
	[S_RUNNING] = { "running", "RUNS", UNIT_COUNT, 6 },
	[S_RUNNABLE] = { "runnable", "CAN RUN", UNIT_COUNT, 7 },
	[S_WAITING] = { "waiting", "WAITS", UNIT_COUNT, 7 },
	[S_STACK] = { "stack", "STACK", UNIT_BYTES, 6 },
	[S_EACH] = { "stack_each", "EACH", UNIT_BYTES, 6 },
	[S_GROWN] = { "grown_per_s", "GROWN/S", UNIT_BYTES, 7 },
	[S_SITE] = { "site", "STARTED AT", UNIT_TEXT, 20 },
};

static void add_to_site(const struct window_goroutine *g, void *arg)
{
	const struct filling *filling = arg;
	const char *site = sites_name(filling->pid, g->site);
	struct table *t = filling->t;
	uint64_t grown = growth_rate(g->id, g->stack);
	struct row *row = t->rows;
	struct cell *c;

	while (row < t->rows + t->nr_rows &&
	       (row->cells[S_PID].number != (uint64_t)filling->pid ||
		!row->cells[S_SITE].text ||
		strcmp(row->cells[S_SITE].text, site) != 0))
		row++;
	if (row == t->rows + t->nr_rows) {
		row = table_add(t);
		if (!row)
			return;
		for (c = row->cells; c < row->cells + S_SITE; c++)
			c->number = 0;
		row->cells[S_PID].number = filling->pid;
		cell_text(&row->cells[S_SITE], site);
	}
	c = row->cells;
	c[S_GOROUTINES].number++;
	c[S_RUNNING].number += g->state == GOROUTINE_RUNNING;
	c[S_RUNNABLE].number += g->state == GOROUTINE_RUNNABLE;
	c[S_WAITING].number += g->state == GOROUTINE_WAITING;
	c[S_STACK].number += g->stack;
	c[S_EACH].number = c[S_STACK].number / c[S_GOROUTINES].number;
	if (grown == UNKNOWN)
		c[S_GROWN].number = UNKNOWN;
	else
		c[S_GROWN].number += grown;
}

static void fill_sites(struct table *t, const struct processes *all,
		       double seconds)
{
	const struct process *p = NULL;
	struct filling filling = { .t = t };

	(void)seconds;
	growth_look();
	while ((p = processes_next(all, p))) {
		filling.pid = p->pid;
		growth_process(p->pid);
		window_each(&p->window, GOROUTINES_MAX, add_to_site, &filling);
	}
}

const struct view views[VIEWS] = {
	{ "process", 'p', of_processes, COUNT(of_processes), P_GOROUTINES,
	  fill_processes },
	{ "goroutine", 'g', of_goroutines, COUNT(of_goroutines), G_STACK,
	  fill_goroutines },
	{ "site", 's', of_sites, COUNT(of_sites), S_STACK, fill_sites },
};

const struct view *view_named(const char *name)
{
	int i;

	for (i = 0; i < VIEWS; i++) {
		if (!strcmp(views[i].name, name))
			return &views[i];
	}
	return NULL;
}
