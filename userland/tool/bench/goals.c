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
 * @alone:	on one processor only
 * @elsewhere:	what other libraries need, by others' or older measurements
 */
struct goal {
	const char *figure;
	const char *bench;
	const char *unit;
	const char *against;
	double limit;
	bool alone;
	const char *elsewhere;
};

static const struct goal goals[] = {
	{ "spawn, batch, cold", "spawn", "ns/spawn", "ns/spawn", 0.25, false,
	  "neco 89*, libdill 118*, libfiber 8900, Photon 19200" },
	{ "spawn and join one", "spawn", "ns/join", "ns/join", 0.25, false,
	  "neco 101, libdill 100, libfiber 4800, Photon 17600" },
	{ "yield", "switch", "ns/yield", "ns/yield", 0.15, false,
	  "neco 58, libdill 20, libfiber 23, Photon 41" },
	{ "yield / bare switch", "switch", "ns/yield", "ns/bare-switch", 3,
	  true, NULL },
	{ "unbuffered message", "chan", "ns/message", "ns/message", 0.22, true,
	  "neco 116, libdill 53, libfiber 79, Photon 599" },
	{ "unbuffered / bare switch", "chan", "ns/message", "ns/bare-switch", 8,
	  true, NULL },
	{ "buffered message, 128", "chan", "ns/buffered", "ns/buffered", 0.40,
	  false, "neco 127, libfiber 35, Photon 129" },
	{ "select of 4", "select", "ns/select", "ns/select", 0.20, false,
	  "neco 210, libdill 71" },
	{ "select of 4, one sender", "select", "ns/select-alternating",
	  "ns/select-alternating", 0.20, false, NULL },
	{ "skynet, per actor", "skynet", "ns/actor", "ns/actor", 0.30, false,
	  "neco 2210, libdill 9000, libfiber 6800" },
	{ "ring of 10,000, per hop", "ring", "ns/hop", "ns/hop", 0.30, false,
	  "neco 1172, libdill 211, libfiber 111, Photon 959" },
	{ "mutex, 1,000 goroutines", "mutex", "ns/lock", "ns/lock", 0.80, false,
	  NULL },
	{ "sleepers of 1 s", "timers", "ns/sleeper", "ns/sleeper", 0.35, false,
	  NULL },
	{ "TCP echo, server CPU", "io", "ns/request", "ns/request", 0.70, false,
	  "neco 9600, libdill 4900, libfiber 5200, Photon 5200" },
	{ "TCP echo, p99, us", "io", "p99-us", "p99-us", 1.00, false, NULL },
	{ "object of 16 bytes", "gc", "ns/16-bytes", "ns/16-bytes", 0.20, true,
	  NULL },
	{ "object of 32 bytes", "gc", "ns/32-bytes", "ns/32-bytes", 0.20, true,
	  NULL },
	{ "object of 64 bytes", "gc", "ns/64-bytes", "ns/64-bytes", 0.20, true,
	  NULL },
	{ "object of 256 bytes", "gc", "ns/256-bytes", "ns/256-bytes", 0.20,
	  true, NULL },
	{ "binary trees 18, per node", "gc", "ns/node-of-18", "ns/node-of-18",
	  0.30, true, NULL },
	{ "binary trees 20, per node", "gc", "ns/node-of-20", "ns/node-of-20",
	  0.30, true, NULL },
	{ "mark, random order", "gc", "ns/random-mark", "ns/random-mark", 0.25,
	  true, NULL },
	{ "mark, in order", "gc", "ns/ordered-mark", "ns/ordered-mark", 0.77,
	  true, NULL },
};

#define NGOALS (sizeof(goals) / sizeof(goals[0]))

/* Of skynet: wall time on two processors for that on one. */
static const struct goal speed_up = {
	.figure = "skynet, wall, 2 procs / 1",
	.bench = "skynet",
	.unit = "wall-ns/actor",
	.limit = 1 / 1.6,
};

/**
 * struct finding - a goal and what was measured
 * @goal:	the goal
 * @backend:	of Burrow's row
 * @procs:	processors
 * @ours:	Burrow's figure
 * @other:	what it is divided by
 * @ratio:	of the two
 * @best:	the least of the C and C++ libraries measured here, or NULL
 */
struct finding {
	const struct goal *goal;
	const char *backend;
	long procs;
	double ours;
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

static const struct bench_row *row_of(const struct goal *goal,
				      const char *backend, long procs,
				      const char *unit)
{
	return results_find(goal->bench, backend, "procs", procs, unit);
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

static bool look(const struct goal *goal, const char *backend, long procs,
		 struct finding *f)
{
	const struct bench_row *ours, *other;

	if (goal->alone && procs > 1)
		return false;
	ours = row_of(goal, backend, procs, goal->unit);
	if (goal == &speed_up)
		other = procs == 2 ? row_of(goal, backend, 1, goal->unit) :
				     NULL;
	else
		other = row_of(goal, beside_go(goal) ? "go" : backend, procs,
			       goal->against);
	if (!ours || !other)
		return false;
	*f = (struct finding){
		.goal = goal,
		.backend = backend,
		.procs = procs,
		.ours = median(ours),
		.other = median(other),
		.ratio = ratio(ours, other),
		.best = best_peer(goal, procs),
	};
	return true;
}

/* The numbers of processors that were measured, in turn. */
static long procs_after(long procs)
{
	long next = 0;
	size_t i;

	for (i = 0; i < results_count(); i++) {
		const struct bench_row *row = results_row(i);

		if (!strcmp(row->param, "procs") && row->value > procs &&
		    (!next || row->value < next))
			next = row->value;
	}
	return next;
}

/* Calls @fn for each goal that something was measured for; how many. */
static size_t each(void (*fn)(const struct finding *f, void *arg), void *arg)
{
	static const char *const backends[] = { "kmod", "mmap" };
	struct finding f;
	size_t i, k, n = 0;
	long procs;

	for (i = 0; i <= NGOALS; i++)
		for (procs = procs_after(0); procs; procs = procs_after(procs))
			for (k = 0; k < 2; k++) {
				if (!look(i < NGOALS ? &goals[i] : &speed_up,
					  backends[k], procs, &f))
					continue;
				n++;
				if (fn)
					fn(&f, arg);
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
	fprintf(arg, "%-25s %-5s %5ld %9.*f %9.*f %7.3f %6.3f %-5s  %-13s %s\n",
		goal->figure, f->backend, f->procs, f->ours < 100, f->ours,
		f->other < 100, f->other, f->ratio, goal->limit,
		met(f) ? "ok" : "SHORT", best,
		goal->elsewhere && f->procs == 1 ? goal->elsewhere : "");
}

void goals_table(FILE *to)
{
	if (!goals_measured())
		return;
	fprintf(to, "\n%-25s %-5s %5s %9s %9s %7s %6s %-5s  %-13s %s\n",
		"figure, ns of CPU", "on", "procs", "Burrow", "Go", "ratio",
		"goal", "", "best C peer", "measured elsewhere, one processor");
	each(write_line, to);
	fputs("\nRatios are medians of those of the rounds; the goal is what they may be at most.\n"
	      "Below a stroke the second figure is Burrow's too.\n"
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
	json_add_number(o, "procs", f->procs);
	add_figure(o, "burrow", f->ours);
	add_figure(o, "other", f->other);
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
		f->procs, strcmp(f->backend, "kmod") ? "" : ", kmod", f->ratio,
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
