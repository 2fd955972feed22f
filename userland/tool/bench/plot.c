// SPDX-License-Identifier: GPL-2.0
/*
 * The growth results as an SVG plot, both axes logarithmic, drawn by gnuplot.
 * Times are for each KiB, or all curves would be one steep line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tool.h"
#include "plot.h"
#include "results.h"

#define PLOTTED_BENCH "growth"
#define PLOTTED_UNIT "ns/op"
#define MAX_CURVES 64

/* The curves of a plot, dearest first. */
struct drawn {
	const char *names[MAX_CURVES];
	size_t n;
};

static bool plotted(const struct bench_row *row)
{
	return !strcmp(row->bench, PLOTTED_BENCH) &&
	       !strcmp(row->unit, PLOTTED_UNIT);
}

/* The backends that have a curve, each once. */
static size_t curves(const char **names, size_t max)
{
	size_t n = 0, i, k;

	for (i = 0; i < results_count() && n < max; i++) {
		if (!plotted(results_row(i)))
			continue;
		for (k = 0; k < n; k++)
			if (!strcmp(names[k], results_row(i)->backend))
				break;
		if (k == n)
			names[n++] = results_row(i)->backend;
	}
	return n;
}

static double last_point(const char *name)
{
	const struct bench_row *last = NULL;
	size_t i;

	for (i = 0; i < results_count(); i++) {
		const struct bench_row *row = results_row(i);

		if (plotted(row) && !strcmp(row->backend, name) &&
		    (!last || row->value > last->value))
			last = row;
	}
	return last ? results_summary(last).median : 0;
}

static int dearest_first(const void *a, const void *b)
{
	double x = last_point(*(const char *const *)a);
	double y = last_point(*(const char *const *)b);

	return (x < y) - (x > y);
}

/* The module's rows are drawn heavy, so that they are found at a glance. */
static const char *module_colour(const char *name)
{
	static const struct {
		const char *name;
		const char *colour;
	} colours[] = {
		{ "kmod-cold", "#ff7f0e" },
		{ "kmod-recycled", "#d62728" },
		{ "kmod-warm", "#2ca02c" },
	};
	size_t i;

	for (i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (!strcmp(name, colours[i].name))
			return colours[i].colour;
	return NULL;
}

static void write_curve(FILE *to, const char *name, size_t i)
{
	static const char *const colours[] = {
		"#1f77b4", "#8c564b", "#7f7f7f", "#9467bd",
		"#17becf", "#bcbd22", "#e377c2", "#393b79",
		"#637939", "#843c39", "#3182bd",
	};
	const char *colour = module_colour(name);

	if (colour)
		fprintf(to, "lc rgb '%s' lw 3.5 pt 7 ps 0.9", colour);
	else
		fprintf(to, "lc rgb '%s' lw 1.4 dt %zu pt %zu ps 0.8",
			colours[i % (sizeof(colours) / sizeof(colours[0]))],
			1 + i % 2, 4 + i % 11);
}

static void write_script(FILE *to, const void *arg)
{
	const struct drawn *drawn = arg;
	const char *const *names = drawn->names;
	size_t n = drawn->n, i, k;

	fputs("set terminal svg size 960,640 dynamic background rgb 'white' font 'sans-serif,13'\n"
	      "set output\n"
	      "set title 'Growing a stack: time for each KiB until a recursion is so deep'\n"
	      "set xlabel 'depth of the stack, KiB'\n"
	      "set ylabel 'nanoseconds for each KiB (median)'\n"
	      "set logscale x 4\nset logscale y 10\n"
	      "set ytics (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000)\n"
	      "set grid xtics ytics mytics lc rgb '#dddddd' lw 1, lc rgb '#eeeeee' lw 0.5\n"
	      "set key outside right center spacing 1.25 samplen 3\n"
	      "set offsets graph 0.03, graph 0.03, 0, 0\n",
	      to);
	for (i = 0; i < n; i++) {
		fprintf(to, "$d%zu << EOD\n", i);
		for (k = 0; k < results_count(); k++) {
			const struct bench_row *row = results_row(k);

			if (plotted(row) && !strcmp(row->backend, names[i]))
				fprintf(to, "%ld %.3f\n", row->value,
					results_summary(row).median /
						row->value);
		}
		fputs("EOD\n", to);
	}
	fputs("plot ", to);
	for (i = 0; i < n; i++) {
		fprintf(to,
			"%s$d%zu using 1:2:xtic(1) with linespoints title '%s' noenhanced ",
			i ? ", " : "", i, names[i]);
		write_curve(to, names[i], i);
	}
	fputc('\n', to);
}

static pid_t start_gnuplot(const char *path, int input)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (dup2(input, STDIN_FILENO) < 0 || !freopen(path, "w", stdout))
		_exit(126);
	execlp("gnuplot", "gnuplot", "-", (char *)NULL);
	_exit(127);
}

static int reap(pid_t pid, const char *path)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		tool_say("no plot: gnuplot is missing (package gnuplot-nox)");
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 126)
		tool_say("no plot: can't write %s", path);
	else
		tool_say("no plot: gnuplot failed");
	if (!(WIFEXITED(status) && WEXITSTATUS(status) == 126))
		unlink(path);
	return -1;
}

int plot_draw(const char *path, void (*script)(FILE *to, const void *arg),
	      const void *arg)
{
	int fds[2];
	pid_t pid;
	FILE *to;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fflush(NULL);
	pid = start_gnuplot(path, fds[0]);
	close(fds[0]);
	to = fdopen(fds[1], "w");
	if (pid < 0 || !to) {
		tool_say("no plot: %s", strerror(errno));
		return -1;
	}
	/* Without gnuplot the pipe has no reader; the status tells. */
	signal(SIGPIPE, SIG_IGN);
	script(to, arg);
	fclose(to);
	return reap(pid, path);
}

int results_plotted(void)
{
	const char *name;

	return curves(&name, 1);
}

/**
 * results_plot() - draw the growth results
 * @path:	SVG file to write
 *
 * Return: 0, or -1 if it could not be drawn, which was said on standard error.
 */
int results_plot(const char *path)
{
	struct drawn drawn;

	drawn.n = curves(drawn.names, MAX_CURVES);
	if (!drawn.n) {
		tool_say("no plot: --svg draws growth, and none was measured");
		return -1;
	}
	qsort(drawn.names, drawn.n, sizeof(drawn.names[0]), dearest_first);
	return plot_draw(path, write_script, &drawn);
}
