// SPDX-License-Identifier: GPL-2.0
/*
 * burrow trace --format perfetto: the JSON of Chrome's trace viewer, which the
 * Perfetto UI opens. Each goroutine is a track ("thread") of its process, with a
 * slice for each time that it ran, waited, or waited for a processor; long system
 * calls and growths of the stack are on it too. Track 0 has the collector: its
 * cycles' phases, and in them the times that the world was stopped.
 *
 * Times are microseconds since the first event; written while events come.
 */
#include <inttypes.h>

#include "format.h"
#include "sites.h"

static struct session *session;
static FILE *out;
static const char *comma;

static double us(uint64_t ns)
{
	return (int64_t)(ns - session->model.begin_ns) / 1e3;
}

static void print_string(const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		if ((unsigned char)*text < ' ')
			fprintf(out, "\\u%04x", *text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

/* Up to its name, phase and track; whoever calls closes it. */
static void open_event(const char *phase, uint32_t pid, uint64_t track,
		       const char *name)
{
	fprintf(out,
		"%s\n{\"ph\":\"%s\",\"pid\":%u,\"tid\":%" PRIu64 ",\"name\":",
		comma, phase, pid, track);
	print_string(name);
	comma = ",";
}

static void slice(uint32_t pid, uint64_t track, const char *name,
		  uint64_t begin, uint64_t end)
{
	open_event("X", pid, track, name);
	fprintf(out, ",\"ts\":%.3f,\"dur\":%.3f", us(begin),
		end > begin ? (end - begin) / 1e3 : 0);
}

static void name_track(const struct runtime_event *e)
{
	char name[EVENT_TEXT + 40];

	snprintf(name, sizeof(name), "goroutine %llu%s%s", e->goroutine,
		 *e->text ? " " : "", e->text);
	open_event("M", e->pid, e->goroutine, "thread_name");
	fputs(",\"args\":{\"name\":", out);
	print_string(name);
	fputs("}}", out);
}

static void on_interval(const struct model_goroutine *g, uint64_t end,
			void *arg)
{
	(void)arg;
	if (g->state == MODEL_UNKNOWN)
		return;
	slice(g->pid, g->id,
	      g->state == MODEL_WAITING ? g->reason : model_states[g->state],
	      g->since, end);
	fprintf(out, ",\"cat\":\"%s\"", model_states[g->state]);
	if (g->state == MODEL_RUNNING)
		fprintf(out, ",\"args\":{\"thread\":%u}", g->tid);
	fputc('}', out);
}

/* A moment, with two numbers. */
static void instant(const struct runtime_event *e, const char *a, const char *b)
{
	open_event("i", e->pid, e->goroutine, model_kind_name(e->kind));
	fprintf(out,
		",\"s\":\"t\",\"ts\":%.3f,\"args\":{\"%s\":%llu,\"%s\":%llu}}",
		us(e->time_ns), a, e->a, b, e->b);
}

static void created(const struct runtime_event *e)
{
	name_track(e);
	open_event("i", e->pid, e->goroutine, "go_create");
	fprintf(out, ",\"s\":\"t\",\"ts\":%.3f,\"args\":{\"by\":%llu,\"at\":",
		us(e->time_ns), e->a);
	print_string(sites_name(e->pid, e->b));
	fputs("}}", out);
}

static void heap_is(const struct runtime_event *e, uint64_t bytes)
{
	open_event("C", e->pid, 0, "heap");
	fprintf(out, ",\"ts\":%.3f,\"args\":{\"bytes\":%" PRIu64 "}}",
		us(e->time_ns), bytes);
}

/* What the collector has been doing is over; @c: before the event. */
static void phase_over(const struct runtime_event *e, const struct collector *c)
{
	if (c->phase == COLLECTOR_IDLE)
		return;
	slice(e->pid, 0, collector_phases[c->phase], c->since, e->time_ns);
	fprintf(out, ",\"cat\":\"gc\",\"args\":{\"cycle\":%llu}}", e->a);
}

static void of_collector(const struct runtime_event *e,
			 const struct collector *c)
{
	switch (e->kind) {
	case EVENT_GC_START:
		if (!c->cycle) {
			open_event("M", e->pid, 0, "thread_name");
			fputs(",\"args\":{\"name\":\"collector\"}}", out);
		}
		instant(e, "cycle", "bytes");
		heap_is(e, e->b);
		break;
	case EVENT_GC_MARK_DONE:
		phase_over(e, c);
		break;
	case EVENT_GC_SWEEP_DONE:
		phase_over(e, c);
		heap_is(e, e->c);
		break;
	case EVENT_GC_STW_END:
		slice(e->pid, 0, "world stopped", e->time_ns - e->b,
		      e->time_ns);
		fprintf(out, ",\"cat\":\"pause\",\"args\":{\"why\":\"%s\"}}",
			c->why);
		break;
	}
}

static void on_event(const struct runtime_event *e,
		     const struct model_goroutine *g, void *arg)
{
	(void)g;
	(void)arg;
	switch (e->kind) {
	case EVENT_GO_CREATE:
		created(e);
		break;
	case EVENT_SYSCALL:
		slice(e->pid, e->goroutine, "system call", e->time_ns - e->b,
		      e->time_ns);
		fprintf(out, ",\"cat\":\"syscall\",\"args\":{\"number\":%llu}}",
			e->a);
		break;
	case EVENT_STACK_GROW:
	case EVENT_STACK_TRIM:
	case EVENT_STACK_HIBERNATE:
	case EVENT_STACK_RESTORE:
		instant(e, "from", "to");
		break;
	case EVENT_STACK_OVERFLOW:
		instant(e, "address", "limit");
		break;
	case EVENT_STACK_SHRINK:
		instant(e, "bytes", "stacks");
		break;
	default:
		of_collector(e, &session->model.collector);
		break;
	}
}

static void begin(struct session *s, FILE *to)
{
	session = s;
	out = to;
	comma = "";
	s->model.on_event = on_event;
	s->model.on_interval = on_interval;
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", out);
	open_event("M", s->target.pid, 0, "process_name");
	fputs(",\"args\":{\"name\":", out);
	print_string(s->target.name);
	fputs("}}", out);
}

static void end(struct session *s, FILE *to)
{
	fprintf(to, "\n],\"otherData\":{\"lost\":%lu}}\n",
		watch_dropped(s->watch));
}

const struct format format_perfetto = {
	.name = "perfetto",
	.begin = begin,
	.end = end,
};
