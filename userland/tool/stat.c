// SPDX-License-Identifier: GPL-2.0
/*
 * `burrow stat`: what a process did, in figures: goroutines, times in the queues
 * and in waits, where they were started, stacks, pauses of the collector, long system
 * calls.
 *
 * Text and JSON are made of the same sums. One thread only.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "json.h"
#include "tool.h"
#include "watch/session.h"
#include "watch/sites.h"

#define SCHEMA 1

struct arguments {
	struct scope scope;
	bool json;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *args = state->input;

	(void)text;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->scope;
		return 0;
	case 'j':
		args->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* How many were not longer than a time, and longer than the one before. */
static struct json_object *buckets_json(const struct hist *h)
{
	struct json_object *all = json_object_new_array(), *o;
	unsigned int i;

	for (i = 0; i < HIST_BUCKETS; i++) {
		if (!h->buckets[i])
			continue;
		o = json_object_new_object();
		json_add_number(o, "to_ns", hist_bound(i));
		json_add_number(o, "count", h->buckets[i]);
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *hist_json(const struct hist *h)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "count", h->count);
	json_add_number(o, "sum_ns", h->sum);
	json_add_number(o, "p50_ns", hist_percentile(h, 50));
	json_add_number(o, "p99_ns", hist_percentile(h, 99));
	json_add_number(o, "max_ns", h->max);
	json_object_object_add(o, "buckets", buckets_json(h));
	return o;
}

static struct json_object *count_json(const struct model_count *c,
				      const char *what)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "count", c->times);
	json_add_number(o, what, c->amount);
	return o;
}

static struct json_object *reasons_json(const struct model *m)
{
	struct json_object *all = json_object_new_array(), *o;
	int i;

	for (i = 0; i < MODEL_REASONS; i++) {
		if (!m->reasons[i].times)
			continue;
		o = count_json(&m->reasons[i], "ns");
		json_add_text(o, "reason", m->reasons[i].name);
		json_object_array_add(all, o);
	}
	return all;
}

/* As the kernel's headers have them, made into a table by the Makefile. */
static const char *const call_names[MODEL_CALLS] = {
#include "syscalls.h"
};

static const char *call_name(int number)
{
	static char text[16];

	if (call_names[number])
		return call_names[number];
	snprintf(text, sizeof(text), "%d", number);
	return text;
}

static struct json_object *calls_json(const struct model *m)
{
	struct json_object *all = json_object_new_array(), *o;
	int i;

	for (i = 0; i < MODEL_CALLS; i++) {
		if (!m->calls[i].times)
			continue;
		o = count_json(&m->calls[i], "ns");
		json_add_number(o, "number", i);
		json_add_text(o, "name", call_name(i));
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *longest_json(const struct model *m)
{
	struct json_object *all = json_object_new_array(), *o;
	const struct model_wait *w = m->longest;

	for (; w < m->longest + MODEL_LONGEST && w->ns; w++) {
		o = json_object_new_object();
		json_add_number(o, "goroutine", w->goroutine);
		json_add_text(o, "name", w->name);
		json_add_number(o, "ns", w->ns);
		json_object_array_add(all, o);
	}
	return all;
}

static const char *site_name(const struct model_site *s)
{
	return s->pid ? sites_name(s->pid, s->address) : "elsewhere";
}

static struct json_object *sites_json(const struct model *m)
{
	struct json_object *all = json_object_new_array(), *o;
	const struct model_site *s = m->sites;

	for (; s < m->sites + MODEL_SITES; s++) {
		if (!s->goroutines)
			continue;
		o = json_object_new_object();
		json_add_text(o, "site", site_name(s));
		json_add_number(o, "goroutines", s->goroutines);
		json_add_number(o, "grown_bytes", s->grown);
		json_add_number(o, "stack_bytes", s->stack);
		json_add_number(o, "stack_bytes_most", s->stack_most);
		json_object_array_add(all, o);
	}
	return all;
}

static struct json_object *collector_json(const struct collector *c)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "mark", hist_json(&c->marks));
	json_object_object_add(o, "sweep", hist_json(&c->sweeps));
	json_add_number(o, "help_ns", c->help_ns);
	json_add_number(o, "freed_bytes", c->freed);
	json_add_number(o, "live_bytes", c->live);
	return o;
}

static int print_json(struct session *s)
{
	struct json_object *o = json_object_new_object();
	const struct model *m = &s->model;
	int ret;

	json_add_number(o, "schema", SCHEMA);
	json_add_text(o, "program", s->target.name);
	json_add_number(o, "pid", s->target.pid);
	json_add_number(o, "elapsed_ns", m->end_ns - m->begin_ns);
	json_add_number(o, "lost", watch_dropped(s->watch));
	json_object_object_add(o, "module",
			       json_object_new_boolean(watch_module(s->watch)));
	json_add_number(o, "created", m->events[EVENT_GO_CREATE]);
	json_add_number(o, "ended", m->events[EVENT_GO_END]);
	json_add_number(o, "starts", m->events[EVENT_GO_START]);
	json_add_number(o, "readies", m->events[EVENT_GO_READY]);
	json_add_number(o, "yields", m->yields);
	json_add_number(o, "processors_lost", m->lost);
	json_object_object_add(o, "queued", hist_json(&m->queued));
	json_object_object_add(o, "queued_longest", longest_json(m));
	json_object_object_add(o, "waits", reasons_json(m));
	json_object_object_add(o, "syscalls", calls_json(m));
	json_object_object_add(o, "sites", sites_json(m));
	json_object_object_add(o, "grown", count_json(&m->grown, "bytes"));
	json_object_object_add(o, "trimmed", count_json(&m->trimmed, "bytes"));
	json_object_object_add(o, "shrunk", count_json(&m->shrunk, "bytes"));
	json_object_object_add(o, "dirty", count_json(&m->dirty, "bytes"));
	json_object_object_add(o, "hibernated",
			       count_json(&m->hibernated, "bytes"));
	json_object_object_add(o, "restored",
			       count_json(&m->restored, "bytes"));
	json_object_object_add(o, "asleep", hist_json(&m->asleep));
	json_add_number(o, "overflows", m->events[EVENT_STACK_OVERFLOW]);
	json_add_number(o, "collections", m->events[EVENT_GC_MARK_DONE]);
	json_object_object_add(o, "pauses", hist_json(&m->collector.pauses));
	json_object_object_add(o, "collector", collector_json(&m->collector));
	ret = json_print(stdout, o);
	json_object_put(o);
	return ret;
}

static int longest_first(const void *a, const void *b)
{
	const struct model_count *x = a, *y = b;

	return (x->amount < y->amount) - (x->amount > y->amount);
}

static void line(const char *what, uint64_t n, const char *more)
{
	printf("%15lu  %s%s\n", n, what, more);
}

static void line_of_times(const char *what, const struct hist *h)
{
	printf("%15lu  %s, us: %.1f half of them, %.1f 99 in 100, %.1f the longest\n",
	       h->count, what, hist_percentile(h, 50) / 1e3,
	       hist_percentile(h, 99) / 1e3, h->max / 1e3);
}

static void line_of_bytes(const char *what, const struct model_count *c)
{
	if (c->times)
		printf("%15lu  %s, KiB: %lu\n", c->times, what,
		       c->amount >> 10);
}

/* Three are enough to read; JSON has more. */
static void print_longest(const struct model *m)
{
	const struct model_wait *w = m->longest;

	for (; w < m->longest + 3 && w->ns; w++)
		printf("%15.3f  ms that goroutine %lu%s%s waited for a processor\n",
		       w->ns / 1e6, w->goroutine, *w->name ? " " : "", w->name);
}

static void print_waits(struct model *m)
{
	int i;

	qsort(m->reasons, MODEL_REASONS, sizeof(m->reasons[0]), longest_first);
	for (i = 0; i < MODEL_REASONS && m->reasons[i].times; i++)
		printf("%15lu  waits: %s, together %.3f ms\n",
		       m->reasons[i].times, m->reasons[i].name,
		       m->reasons[i].amount / 1e6);
}

static void print_calls(const struct model *m)
{
	int i;

	for (i = 0; i < MODEL_CALLS; i++) {
		if (m->calls[i].times)
			printf("%15lu  system call %s of 10 us or more, together %.3f ms\n",
			       m->calls[i].times, call_name(i),
			       m->calls[i].amount / 1e6);
	}
}

static int most_stack_first(const void *a, const void *b)
{
	const struct model_site *x = a, *y = b;

	if (x->stack_most != y->stack_most)
		return x->stack_most < y->stack_most ? 1 : -1;
	return (x->goroutines < y->goroutines) -
	       (x->goroutines > y->goroutines);
}

static void print_sites(struct model *m, bool module)
{
	const struct model_site *s = m->sites;

	qsort(m->sites, MODEL_SITES, sizeof(*s), most_stack_first);
	for (; s < m->sites + 3 && s->goroutines; s++) {
		printf("%15lu  goroutines started at %s", s->goroutines,
		       site_name(s));
		if (module)
			printf(", KiB of stack: %lu at most, grown by %lu",
			       s->stack_most >> 10, s->grown >> 10);
		printf("\n");
	}
}

static void print_collector(const struct model *m)
{
	const struct collector *c = &m->collector;

	if (!m->events[EVENT_GC_MARK_DONE])
		return;
	printf("%15lu  collections, KiB: %lu freed, %lu alive after the last\n",
	       m->events[EVENT_GC_MARK_DONE], c->freed >> 10, c->live >> 10);
	line_of_times("stops of the world", &c->pauses);
	line_of_times("markings", &c->marks);
	line_of_times("sweeps", &c->sweeps);
	printf("%15.3f  ms that goroutines helped with the marking\n",
	       c->help_ns / 1e6);
}

static void print_text(struct session *s)
{
	struct model *m = &s->model;

	printf("%s (%d), %.6f s\n\n", s->target.name, s->target.pid,
	       (m->end_ns - m->begin_ns) / 1e9);
	line("goroutines started", m->events[EVENT_GO_CREATE], "");
	line("goroutines ended", m->events[EVENT_GO_END], "");
	line("times that one was run", m->events[EVENT_GO_START], "");
	line("yields", m->yields, "");
	line("processors taken from one in C code", m->lost, "");
	line_of_times("waits for a processor", &m->queued);
	print_longest(m);
	print_waits(m);
	print_calls(m);
	print_sites(m, watch_module(s->watch));
	line_of_bytes("growths of stacks", &m->grown);
	line_of_bytes("trims of stacks", &m->trimmed);
	line_of_bytes("stacks given back", &m->shrunk);
	line_of_bytes("harvest steps that found something written", &m->dirty);
	line_of_bytes("stacks that hibernated, saved of them", &m->hibernated);
	line_of_bytes("stacks put back from that", &m->restored);
	if (m->asleep.count)
		line_of_times("times between", &m->asleep);
	if (m->events[EVENT_STACK_OVERFLOW])
		line("overflows", m->events[EVENT_STACK_OVERFLOW], "");
	print_collector(m);
}

static int run(const struct arguments *args)
{
	struct session s;
	int ret;

	ret = session_open(&s, &args->scope);
	if (ret)
		return ret;
	s.model.on_event = sites_on_event;
	ret = session_run(&s, args->scope.seconds);
	if (!ret) {
		if (args->json)
			print_json(&s);
		else
			print_text(&s);
		session_tell(&s);
	}
	session_close(&s);
	sites_forget(0);
	if (fflush(stdout) || ferror(stdout)) {
		tool_say("standard output: %s", strerror(errno));
		ret = TOOL_FAILED;
	}
	return ret;
}

static const char doc[] =
	"What a process did, in figures: its goroutines, their waits, its stacks.\n"
	"\vUntil it ends, the time is over, or Ctrl-C; a command is ended with\n"
	"it. Takes CAP_BPF and CAP_PERFMON; growth, trims and hibernation of\n"
	"stacks take the module. What was lost is said.\n"
	"\n"
	"Exit status: 0 all went well, whatever the command's own status;\n"
	"1 it went wrong; 2 the command line was not understood; 3 this\n"
	"process may not use BPF.";

int tool_stat(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "write the figures as JSON", 0 },
		{ 0 },
	};
	static const struct argp_child children[] = {
		{ &scope_argp, 0, NULL, 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.children = children,
		.parser = parse,
		.doc = doc,
	};
	struct arguments args = { 0 };

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args))
		return TOOL_USAGE;
	return run(&args);
}
