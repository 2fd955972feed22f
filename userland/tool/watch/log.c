// SPDX-License-Identifier: GPL-2.0
/*
 * burrow trace --format log: a line for each event, as it comes.
 */
#include "format.h"
#include "sites.h"

static struct session *session;
static FILE *out;

/* What an event says beside its time, thread and goroutine. */
static void print_details(const struct runtime_event *e)
{
	switch (e->kind) {
	case EVENT_GO_CREATE:
		fprintf(out, " by %llu at %s", e->a, sites_name(e->pid, e->b));
		if (*e->text)
			fprintf(out, " name \"%s\"", e->text);
		break;
	case EVENT_GO_START:
		fprintf(out, " on processor %llu", e->a);
		break;
	case EVENT_GO_PARK:
		fprintf(out, " %s", e->text);
		break;
	case EVENT_GO_READY:
		fprintf(out, " by %llu", e->a);
		break;
	case EVENT_GO_END:
		break;
	case EVENT_STACK_SHRINK:
		fprintf(out, " bytes %llu stacks %llu", e->a, e->b);
		break;
	case EVENT_GC_START:
		fprintf(out, " cycle %llu %s heap %llu", e->a, e->text, e->b);
		break;
	case EVENT_GC_MARK_DONE:
		fprintf(out, " cycle %llu live %llu help_ns %llu", e->a, e->b,
			e->c);
		break;
	case EVENT_GC_SWEEP_DONE:
		fprintf(out, " cycle %llu freed %llu heap %llu", e->a, e->b,
			e->c);
		break;
	case EVENT_GC_STW_BEGIN:
		fprintf(out, " cycle %llu %s", e->a, e->text);
		break;
	case EVENT_GC_STW_END:
		fprintf(out, " cycle %llu ns %llu", e->a, e->b);
		break;
	case EVENT_SYSCALL:
		fprintf(out, " number %llu ns %llu", e->a, e->b);
		break;
	case EVENT_STACK_GROW:
		fprintf(out, " from %llu to %llu recycled %llu", e->a, e->b,
			e->c);
		break;
	case EVENT_STACK_TRIM:
		fprintf(out, " from %llu to %llu", e->a, e->b);
		break;
	case EVENT_STACK_HIBERNATE:
	case EVENT_STACK_RESTORE:
		fprintf(out, " from %llu to %llu live %llu", e->a, e->b, e->c);
		break;
	case EVENT_STACK_OVERFLOW:
		fprintf(out, " at 0x%llx limit %llu", e->a, e->b);
		break;
	case EVENT_HEAP_DIRTY:
		fprintf(out, " of %llu bytes %llu", e->a, e->b);
		break;
	}
}

static void on_event(const struct runtime_event *e,
		     const struct model_goroutine *g, void *arg)
{
	(void)g;
	(void)arg;
	fprintf(out, "%14.6f  thread %-7u goroutine %-7llu %s",
		(int64_t)(e->time_ns - session->model.begin_ns) / 1e6, e->tid,
		e->goroutine, model_kind_name(e->kind));
	print_details(e);
	fputc('\n', out);
}

static void begin(struct session *s, FILE *to)
{
	session = s;
	out = to;
	s->model.on_event = on_event;
	fprintf(out, "# %s (%d); milliseconds since the first event\n",
		s->target.name, s->target.pid);
}

static void end(struct session *s, FILE *to)
{
	fprintf(to, "# lost: %lu\n", watch_dropped(s->watch));
}

const struct format format_log = {
	.name = "log",
	.begin = begin,
	.end = end,
};
