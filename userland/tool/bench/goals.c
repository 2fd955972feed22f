// SPDX-License-Identifier: GPL-2.0
/*
 * Figures beside their goals. A ratio is the median of those of the rounds,
 * since what is measured in the same round stands under the same load. See
 * goals.h.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "goals.h"
#include "plot.h"
#include "results.h"

/**
 * struct goal - what a figure should be at most
 * @figure:	what it is, for people
 * @bench:	where it is measured
 * @unit:	of the row
 * @against:	the unit in the same benchmark to divide by: of Burrow's
 *		own rows, if it is not @unit; else of Go's
 * @limit:	of the ratio
 * @elsewhere:	what other libraries need, by others' or older measurements
 * @peer:	whose row of @unit it is divided by, where @against is NULL
 * @by:		else, by what number
 * @count:	of so many goroutines and more, where rows have that instead of
 *		processors
 * @alone:	on one processor only
 * @spread:	else, by the same on one processor: this is for two
 */
struct goal {
	const char *figure;
	const char *bench;
	const char *unit;
	const char *against;
	double limit;
	const char *elsewhere;
	const char *peer;
	double by;
	long count;
	bool alone;
	bool spread;
};

#define BESIDE_GO(name, b, u, most, others)                                  \
	{                                                                    \
		.figure = (name), .bench = (b), .unit = (u), .against = (u), \
		.limit = (most), .elsewhere = (others)                       \
	}
#define ALONE_BESIDE_GO(name, b, u, most, others)                            \
	{                                                                    \
		.figure = (name), .bench = (b), .unit = (u), .against = (u), \
		.limit = (most), .alone = true, .elsewhere = (others)        \
	}
#define BESIDE_LIBGC(name, u, most)                                            \
	{                                                                      \
		.figure = (name), .bench = "gc", .unit = (u), .peer = "libgc", \
		.limit = (most), .alone = true                                 \
	}
#define AT_MOST(name, u, one, most)                                        \
	{                                                                  \
		.figure = (name), .bench = "gc", .unit = (u), .by = (one), \
		.limit = (most), .alone = true                             \
	}
#define ON_TWO(name, b, u, most)                                             \
	{                                                                    \
		.figure = (name), .bench = (b), .unit = (u), .spread = true, \
		.limit = (most)                                              \
	}

static const struct goal goals[] = {
	BESIDE_GO("spawn, batch, cold", "spawn", "ns/spawn", 0.25,
		  "neco 89*, libdill 118*, libfiber 8900, Photon 19200"),
	BESIDE_GO("spawn and join one", "spawn", "ns/join", 0.25,
		  "neco 101, libdill 100, libfiber 4800, Photon 17600"),
	BESIDE_GO("yield", "switch", "ns/yield", 0.15,
		  "neco 58, libdill 20, libfiber 23, Photon 41"),
	{ .figure = "yield / bare switch",
	  .bench = "switch",
	  .unit = "ns/yield",
	  .against = "ns/bare-switch",
	  .limit = 3,
	  .alone = true },
	ALONE_BESIDE_GO("unbuffered message", "chan", "ns/message", 0.22,
			"neco 116, libdill 53, libfiber 79, Photon 599"),
	{ .figure = "unbuffered / bare switch",
	  .bench = "chan",
	  .unit = "ns/message",
	  .against = "ns/bare-switch",
	  .limit = 8,
	  .alone = true },
	BESIDE_GO("buffered message, 128", "chan", "ns/buffered", 0.40,
		  "neco 127, libfiber 35, Photon 129"),
	BESIDE_GO("select of 4", "select", "ns/select", 0.20,
		  "neco 210, libdill 71"),
	BESIDE_GO("select of 4, one sender", "select", "ns/select-alternating",
		  0.20, NULL),
	BESIDE_GO("skynet, per actor", "skynet", "ns/actor", 0.30,
		  "neco 2210, libdill 9000, libfiber 6800"),
	BESIDE_GO("ring of 10,000, per hop", "ring", "ns/hop", 0.30,
		  "neco 1172, libdill 211, libfiber 111, Photon 959"),
	BESIDE_GO("mutex, 1,000 goroutines", "mutex", "ns/lock", 0.80, NULL),
	BESIDE_GO("sleepers of 1 s", "timers", "ns/sleeper", 0.35, NULL),
	BESIDE_GO("TCP echo, server CPU", "io", "ns/request", 0.70,
		  "neco 9600, libdill 4900, libfiber 5200, Photon 5200"),
	BESIDE_GO("TCP echo, p99, us", "io", "p99-us", 1.00, NULL),
	ALONE_BESIDE_GO("object of 16 bytes", "gc", "ns/16-bytes", 0.20, NULL),
	BESIDE_LIBGC("object of 16 bytes", "ns/16-bytes", 0.25),
	ON_TWO("object of 16 bytes, 2 procs / 1", "gc", "ns/16-bytes", 1.15),
	ALONE_BESIDE_GO("object of 32 bytes", "gc", "ns/32-bytes", 0.20, NULL),
	BESIDE_LIBGC("object of 32 bytes", "ns/32-bytes", 0.25),
	ON_TWO("object of 32 bytes, 2 procs / 1", "gc", "ns/32-bytes", 1.15),
	ALONE_BESIDE_GO("object of 64 bytes", "gc", "ns/64-bytes", 0.20, NULL),
	BESIDE_LIBGC("object of 64 bytes", "ns/64-bytes", 0.25),
	ON_TWO("object of 64 bytes, 2 procs / 1", "gc", "ns/64-bytes", 1.15),
	ALONE_BESIDE_GO("object of 256 bytes", "gc", "ns/256-bytes", 0.20,
			NULL),
	BESIDE_LIBGC("object of 256 bytes", "ns/256-bytes", 0.25),
	ON_TWO("object of 256 bytes, 2 procs / 1", "gc", "ns/256-bytes", 1.15),
	ALONE_BESIDE_GO("binary trees 18, per node", "gc", "ns/node-of-18",
			0.30, NULL),
	BESIDE_LIBGC("binary trees 18, per node", "ns/node-of-18", 0.40),
	ALONE_BESIDE_GO("binary trees 20, per node", "gc", "ns/node-of-20",
			0.30, NULL),
	BESIDE_LIBGC("binary trees 20, per node", "ns/node-of-20", 0.40),
	ALONE_BESIDE_GO("GCBench, per node", "gc", "ns/node-of-gcbench", 0.45,
			NULL),
	BESIDE_LIBGC("GCBench, per node", "ns/node-of-gcbench", 0.60),
	ALONE_BESIDE_GO("mark, random order", "gc", "ns/random-mark", 0.25,
			NULL),
	BESIDE_LIBGC("mark, random order", "ns/random-mark", 0.40),
	ALONE_BESIDE_GO("mark, in order", "gc", "ns/ordered-mark", 0.77, NULL),
	BESIDE_LIBGC("mark, in order", "ns/ordered-mark", 0.59),
	ALONE_BESIDE_GO("push, 200,000 of 1 KiB", "gc", "ns/push", 0.90, NULL),
	BESIDE_LIBGC("push, 200,000 of 1 KiB", "ns/push", 0.35),
	ALONE_BESIDE_GO("longest push, 256 MiB", "gc", "ns-worst-of-256-MiB",
			1.5, NULL),
	BESIDE_LIBGC("longest push, 256 MiB", "ns-worst-of-256-MiB", 0.01),
	AT_MOST("longest push, 256 MiB, ms", "ns-worst-of-256-MiB", 1e6, 2),
	ALONE_BESIDE_GO("longest pause, 256 MiB", "gc", "ns-paused-of-256-MiB",
			1.5, NULL),
	BESIDE_LIBGC("longest pause, 256 MiB", "ns-paused-of-256-MiB", 0.01),
	AT_MOST("longest pause, 256 MiB, ms", "ns-paused-of-256-MiB", 1e6, 2),
	ALONE_BESIDE_GO("longest push, 1 GiB", "gc", "ns-worst-of-1-GiB", 1.5,
			NULL),
	BESIDE_LIBGC("longest push, 1 GiB", "ns-worst-of-1-GiB", 0.01),
	AT_MOST("longest push, 1 GiB, ms", "ns-worst-of-1-GiB", 1e6, 2),
	ALONE_BESIDE_GO("longest pause, 1 GiB", "gc", "ns-paused-of-1-GiB", 1.5,
			NULL),
	BESIDE_LIBGC("longest pause, 1 GiB", "ns-paused-of-1-GiB", 0.01),
	AT_MOST("longest pause, 1 GiB, ms", "ns-paused-of-1-GiB", 1e6, 2),
	AT_MOST("longest pause, 10,000 parked, ms", "ns-paused-beside-10000",
		1e6, 1),
	AT_MOST("longest pause, 10,000 small, ms", "ns-paused-beside-small",
		1e6, 1),
	AT_MOST("resident, filled", "rss/filled", 1, 1.15),
	AT_MOST("resident, churned", "rss/churned", 1, 1.6),
	AT_MOST("resident, 75 % dropped", "rss/dropped", 1, 2.2),
	BESIDE_LIBGC("peak of memory, 16-bytes", "peak-KiB/16-bytes", 1.1),
	BESIDE_LIBGC("peak of memory, 32-bytes", "peak-KiB/32-bytes", 1.1),
	BESIDE_LIBGC("peak of memory, 64-bytes", "peak-KiB/64-bytes", 1.1),
	BESIDE_LIBGC("peak of memory, 256-bytes", "peak-KiB/256-bytes", 1.1),
	BESIDE_LIBGC("peak of memory, trees-18", "peak-KiB/trees-18", 1.1),
	BESIDE_LIBGC("peak of memory, trees-20", "peak-KiB/trees-20", 1.1),
	BESIDE_LIBGC("peak of memory, gcbench", "peak-KiB/gcbench", 1.1),
	BESIDE_LIBGC("peak of memory, random-mark", "peak-KiB/random-mark",
		     1.1),
	BESIDE_LIBGC("peak of memory, ordered-mark", "peak-KiB/ordered-mark",
		     1.1),
	BESIDE_LIBGC("peak of memory, push", "peak-KiB/push", 1.1),
	ON_TWO("skynet, wall, 2 procs / 1", "skynet", "wall-ns/actor", 1 / 1.6),
	{ .figure = "parked for long, bytes",
	  .bench = "parked",
	  .unit = "bytes/goroutine",
	  .by = 1,
	  .count = 1000000,
	  .limit = 1000 },
	{ .figure = "collection beside those",
	  .bench = "parked",
	  .unit = "ns/collection",
	  .against = "ns/collection",
	  .count = 1000000,
	  .limit = 1 / 3.0 },
};

#define NGOALS (sizeof(goals) / sizeof(goals[0]))

/**
 * struct finding - a goal and what was measured
 * @goal:	the goal
 * @backend:	of Burrow's row
 * @value:	processors, or how many goroutines
 * @ours:	Burrow's figure
 * @whose:	whose figure it is divided by, NULL: a number
 * @other:	what it is divided by
 * @ratio:	of the two
 * @best:	the least of the C and C++ libraries measured here, or NULL
 */
struct finding {
	const struct goal *goal;
	const char *backend;
	long value;
	double ours;
	const char *whose;
	double other;
	double ratio;
	const struct bench_row *best;
};

/* Whether it is compared with the same of Go. */
static bool beside_go(const struct goal *goal)
{
	return goal->against && !strcmp(goal->against, goal->unit);
}

static bool met(const struct finding *f)
{
	return f->ratio <= f->goal->limit;
}

static double median(const struct bench_row *row)
{
	return results_summary(row).median;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Round by round, if both were measured in all; else of the medians. */
static double ratio(const struct bench_row *ours, const struct bench_row *other)
{
	double *v, r;
	size_t i, n = ours->n;

	v = n == other->n ? calloc(n, sizeof(*v)) : NULL;
	if (!v)
		return median(ours) / median(other);
	for (i = 0; i < n; i++)
		v[i] = ours->samples[i] / other->samples[i];
	qsort(v, n, sizeof(*v), ascending);
	r = (v[(n - 1) / 2] + v[n / 2]) / 2;
	free(v);
	return r;
}

/* What its rows are told apart by. */
static const char *param_of(const struct goal *goal)
{
	return goal->count ? "count" : "procs";
}

static const struct bench_row *row_of(const struct goal *goal,
				      const char *backend, long value,
				      const char *unit)
{
	return results_find(goal->bench, backend, param_of(goal), value, unit);
}

static const struct bench_row *best_peer(const struct goal *goal, long procs)
{
	static const char *const peers[] = { "boost", "st", "pth" };
	const struct bench_row *best = NULL, *row;
	size_t i;

	/* Not where the figure is Burrow's against its own. */
	if (!beside_go(goal))
		return NULL;
	for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		row = row_of(goal, peers[i], procs, goal->unit);
		if (row && (!best || median(row) < median(best)))
			best = row;
	}
	return best;
}

/* What a goal's figure is divided by: a row, unless it is a number. */
static const struct bench_row *other_row(const struct goal *goal,
					 const char *backend, long procs)
{
	if (goal->peer)
		return row_of(goal, goal->peer, procs, goal->unit);
	if (goal->spread)
		return row_of(goal, backend, 1, goal->unit);
	return row_of(goal, beside_go(goal) ? "go" : backend, procs,
		      goal->against);
}

static bool look(const struct goal *goal, const char *backend, long value,
		 struct finding *f)
{
	const struct bench_row *ours, *other = NULL;

	if ((goal->alone && value > 1) || (goal->spread && value != 2) ||
	    value < goal->count)
		return false;
	ours = row_of(goal, backend, value, goal->unit);
	if (!goal->by)
		other = other_row(goal, backend, value);
	if (!ours || (!other && !goal->by))
		return false;
	*f = (struct finding){
		.goal = goal,
		.backend = backend,
		.value = value,
		.ours = median(ours),
		.whose = other ? other->backend : NULL,
		.other = other ? median(other) : goal->by,
		.best = best_peer(goal, value),
	};
	f->ratio = other ? ratio(ours, other) : f->ours / goal->by;
	return true;
}

/* The numbers of processors, or of goroutines, that were measured, in turn. */
static long value_after(const char *param, long value)
{
	long next = 0;
	size_t i;

	for (i = 0; i < results_count(); i++) {
		const struct bench_row *row = results_row(i);

		if (!strcmp(row->param, param) && row->value > value &&
		    (!next || row->value < next))
			next = row->value;
	}
	return next;
}

typedef void each_fn(const struct finding *f, void *arg);

/* Goals with a count are for goroutines that hibernate, and no others are. */
static size_t each_backend(const struct goal *goal, long value, each_fn *fn,
			   void *arg)
{
	static const char *const all[] = { "kmod", "mmap", NULL };
	static const char *const parked[] = { "kmod-hibernated", NULL };
	const char *const *backend = goal->count ? parked : all;
	struct finding f;
	size_t n = 0;

	for (; *backend; backend++) {
		if (!look(goal, *backend, value, &f))
			continue;
		n++;
		if (fn)
			fn(&f, arg);
	}
	return n;
}

/* Calls @fn for each goal that something was measured for; how many. */
static size_t each(each_fn *fn, void *arg)
{
	const char *param;
	size_t i, n = 0;
	long value;

	for (i = 0; i < NGOALS; i++) {
		param = param_of(&goals[i]);
		for (value = value_after(param, 0); value;
		     value = value_after(param, value))
			n += each_backend(&goals[i], value, fn, arg);
	}
	return n;
}

bool goals_measured(void)
{
	return each(NULL, NULL) > 0;
}

static void write_line(const struct finding *f, void *arg)
{
	const struct goal *goal = f->goal;
	char best[32] = "";

	if (f->best)
		snprintf(best, sizeof(best), "%s %.*f", f->best->backend,
			 median(f->best) < 100, median(f->best));
	fprintf(arg,
		"%-33s %-5s %5ld %9.*f %9.*f %-6s %7.3f %6.3f %-5s  %-13s %s\n",
		goal->figure, f->backend, f->value, f->ours < 100, f->ours,
		f->other < 100, f->other, f->whose ? f->whose : "", f->ratio,
		goal->limit, met(f) ? "ok" : "SHORT", best,
		goal->elsewhere && f->value == 1 ? goal->elsewhere : "");
}

void goals_table(FILE *to)
{
	if (!goals_measured())
		return;
	fprintf(to, "\n%-33s %-5s %5s %9s %9s %-6s %7s %6s %-5s  %-13s %s\n",
		"figure, ns of CPU", "on", "procs", "Burrow", "beside", "of",
		"ratio", "goal", "", "best C peer",
		"measured elsewhere, one processor");
	each(write_line, to);
	fputs("\nRatios are medians of those of the rounds; the goal is what they may be at most.\n"
	      "Without a name the second figure is a number; after a stroke it is Burrow's too.\n"
	      "Measured elsewhere: on another machine; * the child runs at once, only one is alive.\n",
	      to);
}

static void add_figure(struct json_object *o, const char *key, double v)
{
	struct json_object *number = json_object_new_double(v);

	json_object_set_serializer(number, json_object_double_to_json_string,
				   (void *)"%.4f", NULL);
	json_object_object_add(o, key, number);
}

static void add_finding(const struct finding *f, void *arg)
{
	struct json_object *o = json_object_new_object();

	json_add_text(o, "figure", f->goal->figure);
	json_add_text(o, "bench", f->goal->bench);
	json_add_text(o, "unit", f->goal->unit);
	json_add_text(o, "backend", f->backend);
	json_add_number(o, param_of(f->goal), f->value);
	add_figure(o, "burrow", f->ours);
	add_figure(o, "other", f->other);
	json_add_text(o, "of", f->whose ? f->whose : "");
	add_figure(o, "ratio", f->ratio);
	add_figure(o, "goal", f->goal->limit);
	json_object_object_add(o, "met", json_object_new_boolean(met(f)));
	json_object_array_add(arg, o);
}

struct json_object *goals_json(void)
{
	struct json_object *list;

	if (!goals_measured())
		return NULL;
	list = json_object_new_array();
	each(add_finding, list);
	return list;
}

/* Bars are those that compare with Go: one scale fits them. */
static void write_bar(const struct finding *f, void *arg)
{
	if (!beside_go(f->goal))
		return;
	fprintf(arg, "\"%s, %ld P%s\" %.4f %.4f %d\n", f->goal->figure,
		f->value, strcmp(f->backend, "kmod") ? "" : ", kmod", f->ratio,
		f->goal->limit, met(f) ? 0x2ca02c : 0xd62728);
}

static void write_bars(FILE *to, const void *arg)
{
	(void)arg;
	fputs("set terminal svg size 960,720 dynamic background rgb 'white' font 'sans-serif,13'\n"
	      "set output\n"
	      "set title 'Burrow beside Go: CPU time for the same, Go = 1'\n"
	      "set xlabel 'ratio of CPU times (of p99: of times); the mark is the goal'\n"
	      "$d << EOD\n",
	      to);
	each(write_bar, to);
	fputs("EOD\n"
	      "set yrange [|$d| - 0.5 : -0.5]\nset xrange [0 : 1.1]\n"
	      "set grid xtics lc rgb '#dddddd' lw 1\n"
	      "set style fill solid 0.85 noborder\nset ytics scale 0\n"
	      "set arrow from 1,graph 0 to 1,graph 1 nohead lc rgb '#888888' lw 1.5\n"
	      "plot $d using (0):0:(0):($2 > 1.1 ? 1.1 : $2):($0 - 0.35):($0 + 0.35):4:ytic(1) \\\n"
	      "with boxxyerror lc rgb variable notitle, \\\n"
	      "$d using 3:0:(0.4) with yerrorbars pt 0 lw 2.5 lc rgb 'black' notitle, \\\n"
	      "$d using ($2 > 1 ? 1.02 : $2 + 0.01):0:(sprintf('%.2f', $2)) \\\n"
	      "with labels left font ',11' notitle\n",
	      to);
}

int goals_plot(const char *path)
{
	return plot_draw(path, write_bars, NULL);
}
