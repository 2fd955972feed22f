// SPDX-License-Identifier: GPL-2.0
/*
 * Burrow and the peers, in turn. See contest.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <burrow.h>

#include "../tool.h"
#include "contest.h"
#include "results.h"

#define DEFAULT_RUNS 5

/* Go stands beside Burrow, so that the two are measured one after the other. */
static const struct side {
	const char *name;
	const char *program;
	enum burrow_backend backend;
} sides[] = {
	{ "kmod", NULL, BURROW_BACKEND_KMOD },
	{ "mmap", NULL, BURROW_BACKEND_MMAP },
	{ "go", "peers/go", BURROW_BACKEND_AUTO },
	{ "boost", "peers/boost", BURROW_BACKEND_AUTO },
	{ "st", "peers/st", BURROW_BACKEND_AUTO },
	{ "pth", "peers/pth", BURROW_BACKEND_AUTO },
	{ "libgc", "peers/gc", BURROW_BACKEND_AUTO },
};

#define NSIDES (sizeof(sides) / sizeof(sides[0]))

const char *contest_backend(size_t i)
{
	return i < NSIDES ? sides[i].name : NULL;
}

int contest_procs(const struct bench_options *options, size_t i)
{
	if (options->procs)
		return i ? 0 : options->procs;
	return i < 2 && (long)i < sysconf(_SC_NPROCESSORS_ONLN) ? i + 1 : 0;
}

/* Burrow's process: the runtime serves, on the main goroutine. */
struct runtime {
	const struct side *side;
	int procs;
	int (*serve)(FILE *from, FILE *to, void *arg);
	void *arg;
	FILE *from;
	FILE *to;
};

static int main_goroutine(void *arg)
{
	struct runtime *r = arg;

	return r->serve(r->from, r->to, r->arg);
}

static int run_runtime(FILE *from, FILE *to, void *arg)
{
	struct runtime *r = arg;
	const struct burrow_options options = {
		.size = sizeof(options),
		.procs = r->procs,
		.backend = r->side->backend,
	};

	r->from = from;
	r->to = to;
	return burrow_run(&options, main_goroutine, r) ? TOOL_FAILED : TOOL_OK;
}

int contest_start(struct peer *peer, size_t i, int procs,
		  int (*serve)(FILE *from, FILE *to, void *arg), void *arg,
		  char *why, size_t size)
{
	static bool absent[NSIDES];
	struct runtime r = {
		.side = &sides[i],
		.procs = procs,
		.serve = serve,
		.arg = arg,
	};
	int err;

	/* Tried once is enough: it would say each time what it misses. */
	*why = 0;
	if (absent[i])
		return -1;
	if (sides[i].program) {
		err = peer_built(peer, sides[i].program);
		if (err)
			snprintf(why, size, "%s: %s", sides[i].program,
				 err == -ENOENT ? "not built" : strerror(-err));
	} else {
		err = peer_fork(peer, run_runtime, &r);
		if (err)
			snprintf(why, size,
				 "no start; `burrow doctor' says more");
	}
	absent[i] = err && !tool_interrupted;
	return err ? -1 : 0;
}

/* What Burrow's process is asked to serve. */
struct serving {
	const struct contest *contests;
	size_t n;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void measure(const struct contest *contest, long n, FILE *to)
{
	int64_t wall = clock_ns(CLOCK_MONOTONIC);
	int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	long done = contest->run(n);

	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = clock_ns(CLOCK_MONOTONIC) - wall;
	if (contest->figures) {
		cpu = contest->figures[0];
		wall = contest->figures[1];
	}
	if (done < 0)
		tool_say("%s: %s", contest->work, strerror(-done));
	fprintf(to, "%ld %" PRId64 " %" PRId64 "\n", done < 0 ? 0 : done, cpu,
		wall);
}

static int serve(FILE *from, FILE *to, void *arg)
{
	const struct serving *serving = arg;
	char line[128], what[64];
	long count;
	size_t i;

	fputs("ready\n", to);
	fflush(to);
	while (fgets(line, sizeof(line), from)) {
		if (sscanf(line, "%63s %*d %ld", what, &count) != 2)
			return -EPROTO;
		for (i = 0; i < serving->n; i++)
			if (!strcmp(serving->contests[i].work, what))
				measure(&serving->contests[i], count, to);
		fflush(to);
	}
	return 0;
}

/* Asks once, or twice and forgets the first; 0 or a negative errno. */
static int ask(struct peer *peer, const struct contest *contest, int procs,
	       long count, uint64_t answer[3])
{
	char request[128];
	int err = 0, i;

	snprintf(request, sizeof(request), "%s %d %ld", contest->work, procs,
		 count);
	for (i = contest->cold; i < 2 && !err; i++) {
		answer[0] = 0;
		err = peer_ask(peer, request, 3, answer);
		if (!answer[0])
			break;
	}
	return err;
}

/* The most that was ever resident, in KiB; 0: not to be known. */
static long peak_of(pid_t pid)
{
	char path[64], line[128];
	long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file) &&
	       sscanf(line, "VmHWM: %ld kB", &kib) != 1)
		;
	fclose(file);
	return kib;
}

/* A contest of a bench on so many processors, in one round. */
struct heat {
	const char *bench;
	const struct contest *contest;
	int procs;
	long count;
};

static void record(const struct heat *heat, const char *backend,
		   const uint64_t answer[3], long peak)
{
	double n = answer[0];

	results_add(heat->bench, backend, "procs", heat->procs,
		    heat->contest->unit, answer[1] / n);
	results_add(heat->bench, backend, "procs", heat->procs,
		    heat->contest->wall, answer[2] / n);
	if (heat->contest->peak && peak)
		results_add(heat->bench, backend, "procs", heat->procs,
			    heat->contest->peak, peak);
}

static int sample(const struct heat *heat, size_t i)
{
	struct serving serving = { heat->contest, 1 };
	struct peer peer = { 0 };
	uint64_t answer[3];
	char why[256];
	long peak;
	int err;

	if (contest_start(&peer, i, heat->procs, serve, &serving, why,
			  sizeof(why))) {
		if (*why && !tool_interrupted)
			bench_left_out(heat->bench, sides[i].name, why);
		return 0;
	}
	err = ask(&peer, heat->contest, heat->procs, heat->count, answer);
	peak = peak_of(peer.pid);
	peer_end(&peer);
	if (tool_interrupted)
		return 0;
	if (err) {
		bench_progress("%s", "");
		tool_say("bench %s: %s of %s failed: %s", heat->bench,
			 heat->contest->work, sides[i].name,
			 err == -EPIPE ? "its process died" : strerror(-err));
		return -1;
	}
	if (answer[0])
		record(heat, sides[i].name, answer, peak);
	return 0;
}

static int run_heat(const struct bench_options *options,
		    const struct heat *heat, int round, int rounds)
{
	int failed = 0;
	size_t i;

	for (i = 0; i < NSIDES && !tool_interrupted; i++) {
		if (!bench_wants(options, sides[i].name))
			continue;
		bench_progress("%s, %d processors: round %d of %d: %s of %s",
			       heat->bench, heat->procs, round + 1, rounds,
			       heat->contest->work, sides[i].name);
		failed |= sample(heat, i);
	}
	return failed;
}

int contest_run(const struct bench_options *options, const char *bench,
		const struct contest *contests, size_t n)
{
	int rounds = options->runs ? options->runs : DEFAULT_RUNS, round;
	struct heat heat = { .bench = bench };
	int failed = 0;
	size_t i, k;

	results_divide_by(bench, "go");
	for (round = 0; round < rounds; round++)
		for (i = 0; (heat.procs = contest_procs(options, i)); i++)
			for (k = 0; k < n && !tool_interrupted; k++) {
				heat.contest = &contests[k];
				heat.count = options->count ? options->count :
							      contests[k].count;
				if (contests[k].alone && heat.procs > 1)
					continue;
				failed |=
					run_heat(options, &heat, round, rounds);
			}
	return failed;
}
