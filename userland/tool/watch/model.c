// SPDX-License-Identifier: GPL-2.0
/*
 * Goroutines and sums, made of events. See model.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define SIZE_FIRST 1024

const char *const model_states[MODEL_STATES] = {
	[MODEL_UNKNOWN] = "unknown",
	[MODEL_RUNNABLE] = "runnable",
	[MODEL_RUNNING] = "running",
	[MODEL_WAITING] = "waiting",
};

static const char *const kinds[EVENT_KINDS] = {
	[EVENT_GO_CREATE] = "go_create",
	[EVENT_GO_START] = "go_start",
	[EVENT_GO_PARK] = "go_park",
	[EVENT_GO_READY] = "go_ready",
	[EVENT_GO_END] = "go_end",
	[EVENT_STACK_SHRINK] = "stack_shrink",
	[EVENT_GC_START] = "gc_start",
	[EVENT_GC_MARK_DONE] = "gc_mark_done",
	[EVENT_GC_SWEEP_DONE] = "gc_sweep_done",
	[EVENT_GC_STW_BEGIN] = "gc_stw_begin",
	[EVENT_GC_STW_END] = "gc_stw_end",
	[EVENT_SYSCALL] = "syscall",
	[EVENT_STACK_GROW] = "burrow_stack_grow",
	[EVENT_STACK_TRIM] = "burrow_stack_trim",
	[EVENT_STACK_OVERFLOW] = "burrow_stack_overflow",
	[EVENT_HEAP_DIRTY] = "burrow_heap_dirty",
	[EVENT_STACK_HIBERNATE] = "burrow_stack_hibernate",
	[EVENT_STACK_RESTORE] = "burrow_stack_restore",
};

const char *model_kind_name(unsigned int kind)
{
	return kind < EVENT_KINDS ? kinds[kind] : "?";
}

int model_open(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->table = calloc(SIZE_FIRST, sizeof(void *));
	m->size = SIZE_FIRST;
	return m->table ? 0 : -ENOMEM;
}

void model_close(struct model *m)
{
	struct model_goroutine *g;
	uint64_t i;

	for (i = 0; i < m->size; i++) {
		while ((g = m->table[i])) {
			m->table[i] = g->next;
			free(g);
		}
	}
	free(m->table);
}

static uint64_t place(uint32_t pid, uint64_t id, uint64_t size)
{
	return (((id << 16 ^ pid) * 0x9e3779b97f4a7c15ULL) >> 20) & (size - 1);
}

/* Twice as many places; without memory for them it stays as it is. */
static void enlarge(struct model *m)
{
	struct model_goroutine **table, *g, **at;
	uint64_t i;

	table = calloc(m->size * 2, sizeof(void *));
	if (!table)
		return;
	for (i = 0; i < m->size; i++) {
		while ((g = m->table[i])) {
			m->table[i] = g->next;
			at = &table[place(g->pid, g->id, m->size * 2)];
			g->next = *at;
			*at = g;
		}
	}
	free(m->table);
	m->table = table;
	m->size *= 2;
}

/*
 * The goroutine of an event, made known if it was not; NULL: nobody's. A stack is
 * trimmed in the name of one that has ended.
 */
static struct model_goroutine *find(struct model *m,
				    const struct runtime_event *e)
{
	struct model_goroutine *g, **at;

	if (!e->goroutine)
		return NULL;
	at = &m->table[place(e->pid, e->goroutine, m->size)];
	for (g = *at; g; g = g->next) {
		if (g->id == e->goroutine && g->pid == e->pid)
			return g;
	}
	if (e->kind == EVENT_STACK_TRIM || e->kind == EVENT_STACK_SHRINK ||
	    e->kind == EVENT_GO_END)
		return NULL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->id = e->goroutine;
	g->pid = e->pid;
	g->since = e->time_ns;
	g->next = *at;
	*at = g;
	if (++m->goroutines > m->size)
		enlarge(m);
	return g;
}

/* Nothing more will come of it: it is among those that waited longest, or not. */
static void weigh(struct model *m, const struct model_goroutine *g)
{
	struct model_wait *w = &m->longest[MODEL_LONGEST - 1];

	if (g->ns[MODEL_RUNNABLE] <= w->ns)
		return;
	for (; w > m->longest && w[-1].ns < g->ns[MODEL_RUNNABLE]; w--)
		*w = w[-1];
	w->goroutine = g->id;
	w->ns = g->ns[MODEL_RUNNABLE];
	memcpy(w->name, g->name, sizeof(w->name));
}

static void forget(struct model *m, struct model_goroutine *g)
{
	struct model_goroutine **at = &m->table[place(g->pid, g->id, m->size)];

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	free(g);
	m->goroutines--;
}

static void add(struct model_count *count, uint64_t amount)
{
	count->times++;
	count->amount += amount;
}

/* The entry of a reason; what there is no room for goes to the last. */
static struct model_count *reason_of(struct model *m, const char *name)
{
	struct model_count *c = m->reasons;

	for (; c < &m->reasons[MODEL_REASONS - 1]; c++) {
		if (!c->times)
			snprintf(c->name, sizeof(c->name), "%s", name);
		if (!strcmp(c->name, name))
			return c;
	}
	snprintf(c->name, sizeof(c->name), "other");
	return c;
}

/* The entry of a place; what there is no room for goes to the last. */
static struct model_site *site_of(struct model *m, uint32_t pid,
				  uint64_t address)
{
	struct model_site *s = m->sites;

	for (; s < &m->sites[MODEL_SITES - 1]; s++) {
		if (!s->goroutines) {
			s->pid = pid;
			s->address = address;
		}
		if (s->address == address && s->pid == pid)
			return s;
	}
	return s;
}

/* Its stack has that many bytes now. */
static void hold(struct model_goroutine *g, uint64_t bytes)
{
	struct model_site *s = g->place;

	if (s) {
		s->stack += bytes - g->stack;
		if (s->stack > s->stack_most)
			s->stack_most = s->stack;
	}
	g->stack = bytes;
	if (g->stack > g->stack_max)
		g->stack_max = g->stack;
}

/* What a goroutine did until now is over. */
static void leave(struct model *m, struct model_goroutine *g, uint64_t now)
{
	/* Of two processors that tell at once one may come late. */
	uint64_t ns = now > g->since ? now - g->since : 0;

	if (m->on_interval)
		m->on_interval(g, g->since + ns, m->arg);
	g->ns[g->state] += ns;
	if (g->state == MODEL_WAITING)
		add(reason_of(m, g->reason), ns);
	else if (g->state == MODEL_RUNNABLE && g->id)
		hist_add(&m->queued, ns);
}

static void enter(struct model *m, struct model_goroutine *g,
		  enum model_state state, uint64_t now)
{
	leave(m, g, now);
	g->state = state;
	g->since = now;
}

static void park(struct model *m, struct model_goroutine *g,
		 const struct runtime_event *e)
{
	if ((int64_t)e->a < 0) {
		if ((int64_t)e->a == PARK_LOST)
			m->lost++;
		else
			m->yields++;
		enter(m, g, MODEL_RUNNABLE, e->time_ns);
		return;
	}
	enter(m, g, MODEL_WAITING, e->time_ns);
	snprintf(g->reason, sizeof(g->reason), "%s", e->text);
}

static void change(struct model *m, struct model_goroutine *g,
		   const struct runtime_event *e)
{
	switch (e->kind) {
	case EVENT_GO_CREATE:
		g->state = MODEL_RUNNABLE;
		g->since = e->time_ns;
		g->site = e->b;
		g->place = site_of(m, e->pid, e->b);
		g->place->goroutines++;
		snprintf(g->name, sizeof(g->name), "%s", e->text);
		break;
	case EVENT_GO_START:
		enter(m, g, MODEL_RUNNING, e->time_ns);
		g->tid = e->tid;
		g->starts++;
		break;
	case EVENT_GO_PARK:
		park(m, g, e);
		break;
	case EVENT_GO_READY:
		/* One that did not wait is that already. */
		if (g->state != MODEL_RUNNABLE)
			enter(m, g, MODEL_RUNNABLE, e->time_ns);
		break;
	case EVENT_STACK_GROW:
		g->grows++;
		if (g->place)
			g->place->grown += e->b - e->a;
		hold(g, e->b);
		break;
	case EVENT_STACK_TRIM:
		hold(g, e->b);
		break;
	case EVENT_STACK_HIBERNATE:
		hold(g, e->b);
		g->asleep_since = e->time_ns;
		break;
	case EVENT_STACK_RESTORE:
		hold(g, e->b);
		if (g->asleep_since)
			hist_add(&m->asleep, e->time_ns - g->asleep_since);
		g->asleep_since = 0;
		break;
	}
}

static void sum(struct model *m, const struct runtime_event *e)
{
	switch (e->kind) {
	case EVENT_STACK_SHRINK:
		m->shrunk.times += e->b;
		m->shrunk.amount += e->a;
		break;
	case EVENT_SYSCALL:
		add(&m->calls[e->a < MODEL_CALLS ? e->a : MODEL_CALLS - 1],
		    e->b);
		break;
	case EVENT_STACK_GROW:
		add(&m->grown, e->b - e->a);
		break;
	case EVENT_STACK_TRIM:
		add(&m->trimmed, e->a - e->b);
		break;
	case EVENT_HEAP_DIRTY:
		add(&m->dirty, e->b);
		break;
	case EVENT_STACK_HIBERNATE:
		add(&m->hibernated, e->c);
		break;
	case EVENT_STACK_RESTORE:
		add(&m->restored, e->c);
		break;
	}
}

void model_event(const struct runtime_event *e, void *arg)
{
	struct model *m = arg;
	struct model_goroutine *g;

	if (e->kind >= EVENT_KINDS)
		return;
	if (!m->begin_ns)
		m->begin_ns = e->time_ns;
	if (e->time_ns > m->end_ns)
		m->end_ns = e->time_ns;
	g = find(m, e);
	if (m->on_event)
		m->on_event(e, g, m->arg);
	m->events[e->kind]++;
	sum(m, e);
	collector_event(&m->collector, e);
	if (!g)
		return;
	if (e->kind == EVENT_GO_END) {
		leave(m, g, e->time_ns);
		weigh(m, g);
		hold(g, 0);
		forget(m, g);
		return;
	}
	change(m, g, e);
}

void model_each(const struct model *m,
		void (*fn)(struct model_goroutine *g, void *arg), void *arg)
{
	struct model_goroutine *g, *next;
	uint64_t i;

	for (i = 0; i < m->size; i++) {
		for (g = m->table[i]; g; g = next) {
			next = g->next;
			fn(g, arg);
		}
	}
}

static void end_one(struct model_goroutine *g, void *arg)
{
	struct model *m = arg;

	enter(m, g, g->state, m->end_ns);
	weigh(m, g);
}

void model_end(struct model *m)
{
	model_each(m, end_one, m);
}
