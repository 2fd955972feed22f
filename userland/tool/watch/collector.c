// SPDX-License-Identifier: GPL-2.0
/*
 * Phases and sums of a collector, made of events. See collector.h.
 */
#include <stdio.h>

#include "collector.h"

const char *const collector_phases[] = {
	[COLLECTOR_IDLE] = "idle",
	[COLLECTOR_MARK] = "mark",
	[COLLECTOR_SWEEP] = "sweep",
};

/* The present phase is over, and lasted as long as @h is told. */
static void enter(struct collector *c, enum collector_phase phase,
		  const struct runtime_event *e, struct hist *h)
{
	if (h)
		hist_add(h, e->time_ns - c->since);
	c->phase = phase;
	c->since = e->time_ns;
	c->cycle = e->a;
}

void collector_event(struct collector *c, const struct runtime_event *e)
{
	switch (e->kind) {
	case EVENT_GC_START:
		enter(c, COLLECTOR_MARK, e, NULL);
		c->heap = e->b;
		break;
	case EVENT_GC_MARK_DONE:
		enter(c, COLLECTOR_SWEEP, e,
		      c->phase == COLLECTOR_MARK ? &c->marks : NULL);
		c->live = e->b;
		c->help_ns += e->c;
		break;
	case EVENT_GC_SWEEP_DONE:
		enter(c, COLLECTOR_IDLE, e,
		      c->phase == COLLECTOR_SWEEP ? &c->sweeps : NULL);
		c->freed += e->b;
		c->heap = e->c;
		break;
	case EVENT_GC_STW_BEGIN:
		snprintf(c->why, sizeof(c->why), "%s", e->text);
		break;
	case EVENT_GC_STW_END:
		hist_add(&c->pauses, e->b);
		if (c->phase == COLLECTOR_MARK)
			c->mark_stop_ns += e->b;
		break;
	}
}
