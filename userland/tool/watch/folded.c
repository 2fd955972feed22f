// SPDX-License-Identifier: GPL-2.0
/*
 * burrow trace --format folded: "program;spawn site;state;reason MICROSECONDS", one
 * line for each, for flame graphs of where goroutines spend their time; and
 * "program;collector;phase MICROSECONDS". Written at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "sites.h"

/**
 * struct line - one of them
 * @next:	list
 * @site:	name of the spawn site, kept by sites.c
 * @state:	what goroutines from there did
 * @reason:	what they waited for, empty unless they did
 * @ns:		how long, all of them together
 */
struct line {
	struct line *next;
	const char *site;
	enum model_state state;
	char reason[EVENT_TEXT];
	uint64_t ns;
};

static struct line *lines;

static struct line *find(const char *site, enum model_state state,
			 const char *reason)
{
	struct line *l;

	for (l = lines; l; l = l->next) {
		if (l->state == state && !strcmp(l->site, site) &&
		    !strcmp(l->reason, reason))
			return l;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->site = site;
	l->state = state;
	snprintf(l->reason, sizeof(l->reason), "%s", reason);
	l->next = lines;
	lines = l;
	return l;
}

static void on_interval(const struct model_goroutine *g, uint64_t end,
			void *arg)
{
	struct line *l;

	(void)arg;
	if (g->state == MODEL_UNKNOWN)
		return;
	l = find(sites_name(g->pid, g->site), g->state,
		 g->state == MODEL_WAITING ? g->reason : "");
	if (l)
		l->ns += end - g->since;
}

static void begin(struct session *s, FILE *to)
{
	(void)to;
	s->model.on_interval = on_interval;
	s->model.on_event = sites_on_event;
}

static void print_phase(const struct session *s, FILE *to, const char *phase,
			uint64_t ns)
{
	if (ns)
		fprintf(to, "%s;collector;%s %lu\n", s->target.name, phase,
			ns / 1000);
}

/* A flame lies on another: what has frames of its own is taken off. */
static void print_collector(const struct session *s, FILE *to)
{
	const struct collector *c = &s->model.collector;
	uint64_t stopped = c->mark_stop_ns;

	print_phase(s, to, collector_phases[COLLECTOR_MARK],
		    c->marks.sum > stopped ? c->marks.sum - stopped : 0);
	print_phase(s, to, "mark;world stopped", stopped);
	print_phase(s, to, collector_phases[COLLECTOR_SWEEP], c->sweeps.sum);
	print_phase(s, to, "trim;world stopped", c->pauses.sum - stopped);
}

static void end(struct session *s, FILE *to)
{
	struct line *l;

	print_collector(s, to);
	while ((l = lines)) {
		lines = l->next;
		fprintf(to, "%s;%s;%s%s%s %lu\n", s->target.name, l->site,
			model_states[l->state], *l->reason ? ";" : "",
			l->reason, l->ns / 1000);
		free(l);
	}
}

const struct format format_folded = {
	.name = "folded",
	.begin = begin,
	.end = end,
};
