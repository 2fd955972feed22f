// SPDX-License-Identifier: GPL-2.0
/*
 * `burrow bench`: parses what to measure, runs the benchmarks one after
 * another and shows the results. The benchmarks are in bench/, a file each.
 */
#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/goals.h"
#include "bench/results.h"
#include "json.h"
#include "tool.h"

#define MIN_DEPTH_KIB 4L
#define MAX_DEPTH_KIB (512L << 10)

static const struct bench *const benches[] = {
	&bench_growth, &bench_parked, &bench_trim,   &bench_hibernate,
	&bench_dirty,  &bench_spawn,  &bench_switch, &bench_chan,
	&bench_select, &bench_skynet, &bench_ring,   &bench_mutex,
	&bench_timers, &bench_io,     &bench_gc,
};

#define NBENCHES (sizeof(benches) / sizeof(benches[0]))

/* What was asked for on the command line. */
struct request {
	struct bench_options options;
	bool run[NBENCHES];
	bool any;
	bool list;
	const char *json;
	const char *svg;
};

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && !strncmp(list, name, n))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

bool bench_wants(const struct bench_options *options, const char *backend)
{
	return !options->backends || in_list(options->backends, backend);
}

static bool progress_shown;

void bench_left_out(const char *bench, const char *backend, const char *why)
{
	static char told[2048];
	char key[64];

	/* Once is enough: the next depth has the same reason. */
	snprintf(key, sizeof(key), "%s/%s ", bench, backend);
	if (strstr(told, key))
		return;
	strncat(told, key, sizeof(told) - strlen(told) - 1);
	bench_progress("%s", "");
	tool_say("bench %s: no row for %s: %s", bench, backend, why);
}

void bench_progress(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO) || (!*fmt && !progress_shown))
		return;
	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	progress_shown = vfprintf(stderr, fmt, ap) > 0;
	va_end(ap);
	fflush(stderr);
}

static long number(struct argp_state *state, const char *what, const char *arg,
		   long min, long max)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(arg, &end, 10);
	if (end == arg || *end || errno || v < min || v > max)
		argp_error(state,
			   "--%s takes a number from %ld to %ld, not `%s'",
			   what, min, max, arg);
	return v;
}

static int ascending(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

/* Sorted and each once: a depth twice would be two rows that are alike. */
static void parse_depths(struct argp_state *state, struct bench_options *o,
			 const char *arg)
{
	char *copy = strdup(arg), *save, *word;
	size_t i, n = 0;

	o->ndepths = 0;
	for (word = strtok_r(copy, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		long kib = number(state, "depth", word, MIN_DEPTH_KIB,
				  MAX_DEPTH_KIB);

		if (kib % 4)
			argp_error(state,
				   "--depth takes multiples of 4 KiB, not `%s'",
				   word);
		if (o->ndepths == BENCH_DEPTHS)
			argp_error(state, "--depth takes at most %d depths",
				   BENCH_DEPTHS);
		o->depths[o->ndepths++] = (size_t)kib << 10;
	}
	free(copy);
	if (!o->ndepths)
		argp_error(state,
			   "--depth takes a list of KiB, as in 4,64,1024");
	qsort(o->depths, o->ndepths, sizeof(o->depths[0]), ascending);
	for (i = 0; i < o->ndepths; i++)
		if (!n || o->depths[n - 1] != o->depths[i])
			o->depths[n++] = o->depths[i];
	o->ndepths = n;
}

static void choose_bench(struct argp_state *state, struct request *request,
			 const char *name)
{
	size_t i;

	for (i = 0; i < NBENCHES; i++) {
		if (strcmp(benches[i]->name, name) != 0)
			continue;
		request->run[i] = true;
		request->any = true;
		return;
	}
	argp_error(state, "no benchmark `%s'; --list names them", name);
}

/* Each word of --backend must be known to one of the chosen benchmarks. */
static void check_backends(struct argp_state *state,
			   const struct request *request)
{
	char *copy, *save, *word;

	if (!request->options.backends)
		return;
	copy = strdup(request->options.backends);
	word = strtok_r(copy, ",", &save);
	if (!word)
		argp_error(state, "--backend takes names; see --list");
	for (; word; word = strtok_r(NULL, ",", &save)) {
		bool known = false;
		size_t i, k;

		for (i = 0; i < NBENCHES; i++)
			for (k = 0; request->run[i] && benches[i]->backend(k);
			     k++)
				known |= !strcmp(benches[i]->backend(k), word);
		if (!known)
			argp_error(state, "no such backend: `%s'; see --list",
				   word);
	}
	free(copy);
}

enum { OPT_LIST = 256, OPT_JSON, OPT_SVG, OPT_RUNS, OPT_WAVES };

static const struct argp_option options[] = {
	{ "list", OPT_LIST, NULL, 0, "Name the benchmarks and their backends",
	  0 },
	{ "backend", 'b', "LIST", 0,
	  "Measure these only (a comma list; default: all that work here)", 0 },
	{ "depth", 'd', "LIST", 0,
	  "Depths of stack in KiB, multiples of 4 (growth, trim)", 0 },
	{ "count", 'n', "N", 0,
	  "Goroutines, or how often, or connections (io), or MiB (dirty); default: the benchmark's own",
	  0 },
	{ "procs", 'p', "N", 0,
	  "Processors of the runtime; default: one and two, for parked the runtime's",
	  0 },
	{ "runs", OPT_RUNS, "N", 0,
	  "Samples of each row, after one that is dropped", 0 },
	{ "waves", OPT_WAVES, "N", 0,
	  "Wake those who are parked in so many parts, one after the other (parked); default: all at once",
	  0 },
	{ "json", OPT_JSON, "FILE", 0,
	  "Write results as JSON; with - it is all of standard output, and the table goes to standard error",
	  0 },
	{ "svg", OPT_SVG, "FILE", 0,
	  "Draw the results of growth, or else how the others compare with Go (needs gnuplot)",
	  0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *request = state->input;
	struct bench_options *o = &request->options;

	switch (key) {
	case OPT_LIST:
		request->list = true;
		break;
	case 'b':
		o->backends = arg;
		break;
	case 'd':
		parse_depths(state, o, arg);
		break;
	case 'n':
		o->count = number(state, "count", arg, 1, 100000000);
		break;
	case 'p':
		o->procs = number(state, "procs", arg, 1, 4096);
		break;
	case OPT_RUNS:
		o->runs = number(state, "runs", arg, 1, 100000);
		break;
	case OPT_WAVES:
		o->waves = number(state, "waves", arg, 1, 1000000);
		break;
	case OPT_JSON:
		request->json = arg;
		break;
	case OPT_SVG:
		request->svg = arg;
		break;
	case ARGP_KEY_ARG:
		choose_bench(state, request, arg);
		break;
	case ARGP_KEY_END:
		if (!request->any && !request->list)
			argp_error(state, "which benchmark? --list names them");
		check_backends(state, request);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static void list(void)
{
	size_t i, k;

	for (i = 0; i < NBENCHES; i++) {
		printf("%-8s %s\n        ", benches[i]->name,
		       benches[i]->summary);
		for (k = 0; benches[i]->backend(k); k++)
			printf(" %s", benches[i]->backend(k));
		putchar('\n');
	}
}

static int write_json(const char *path)
{
	bool to_stdout = !strcmp(path, "-");
	FILE *f = to_stdout ? stdout : fopen(path, "we");
	struct json_object *o = results_json();
	struct json_object *goals = goals_json();
	bool bad = !f;

	if (goals)
		json_object_object_add(o, "goals", goals);
	if (f) {
		bad = json_print(f, o) < 0;
		bad |= (to_stdout ? fflush(f) : fclose(f)) != 0;
	}
	if (bad)
		tool_say("can't write %s: %s", path, strerror(errno));
	json_object_put(o);
	return bad ? -1 : 0;
}

/* A picture has one subject: growth, where it was measured. */
static int draw(const char *path)
{
	return goals_measured() && !results_plotted() ? goals_plot(path) :
							results_plot(path);
}

static int show(const struct request *request)
{
	bool to_stdout = request->json && !strcmp(request->json, "-");
	FILE *table = to_stdout ? stderr : stdout;
	int status = 0;

	results_table(table);
	goals_table(table);
	if (request->json && write_json(request->json))
		status = -1;
	if (request->svg && draw(request->svg))
		status = -1;
	return status;
}

static const char doc[] =
	"Measure what stacks and goroutines cost, with other ways to have them\n"
	"beside.\n\v\n"
	"Exit status: 0 all went well; 1 a measurement or an output file failed;\n"
	"2 the command line was not understood; 3 nothing of what was asked can\n"
	"be measured here; 130 interrupted.";

int tool_bench(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "NAME...",
		.doc = doc,
	};
	struct request request = { 0 };
	int status = TOOL_OK;
	size_t i;

	argp_parse(&argp, argc, argv, 0, NULL, &request);
	if (request.list) {
		list();
		return TOOL_OK;
	}
	tool_catch_interrupts();
	for (i = 0; i < NBENCHES && !tool_interrupted; i++)
		if (request.run[i] && benches[i]->run(&request.options))
			status = TOOL_FAILED;
	bench_progress("%s", "");
	if (tool_interrupted) {
		status = TOOL_INTERRUPTED;
	} else if (results_count()) {
		if (show(&request))
			status = TOOL_FAILED;
	} else if (status == TOOL_OK) {
		tool_say("nothing could be measured here");
		status = TOOL_NOTHING;
	}
	results_free();
	return status;
}
