// SPDX-License-Identifier: GPL-2.0
/*
 * The parked benchmark: --count goroutines, each started, run, and parked in
 * the real runtime, all at once; or Go's beside them.
 *
 * They live in a child process, whose memory is looked at from here when the
 * runtime has started and again when all are parked. bytes/goroutine is the
 * greater of two figures, so that nothing hides from both:
 *
 * process-bytes	what the kernel says of the process: resident memory
 *			(the module's stack pages are in it) and page tables
 * system-bytes		what the whole machine has less: free memory, buffers
 *			and page cache together. This has everything in it, the
 *			module's own structures too, and whatever else the
 *			machine did meanwhile: it wants to be idle
 *
 * Then, while all are parked, the heap is collected twice (it is as good as empty):
 * ns/collection and ns/next-collection, cpu-ns/collection of the first, and ns/stop,
 * the longest that the program stood still in them (in Go: both stops of a cycle).
 * collected-bytes/goroutine is the greater figure after it, with what the collector
 * keeps.
 *
 * ns/create is from the first spawn until all are parked, ns/wake for waking each
 * once, who then parks again, in --waves parts; ns/end from the first wake-up until
 * all have ended. mappings is the process's number of them. guards counts the
 * stacks whose guard holds: the kernel is asked to write to the guard's highest
 * page and to its lowest (the slot's first), and both must fail.
 *
 * kmod-hibernated is kmod, where all hibernate before memory is looked at, and
 * again after each wave; the first look waits until the kernel has freed page tables,
 * which it does a grace period later. ns/hibernate is the time of one thread that does
 * nothing else; hibernated counts those that do, and live-bytes/goroutine is
 * what the module saved of each. Of kmod nobody hibernates.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/burrow.h>

#include <burrow/chan.h>
#include <burrow/collector.h>

#include "../../sched/sched.h"
#include "../sysfile.h"
#include "../tool.h"
#include "bench.h"
#include "clock.h"
#include "peer.h"
#include "results.h"

#define DEFAULT_COUNT 100000
#define DEFAULT_RUNS 1
#define MINE 128
#define ROUND_NS 25000000 /* so long the runtime waits between rounds */
#define IDLE_ROUNDS 20
#define SETTLE_MS 500
#define SETTLE_LOOKS 40
#define PATIENCE_EACH_MS 1 /* where instructions are counted it takes that */

/*
 * In the child: the goroutines, in the order in which they parked, which wait
 * for a channel to close, and wait again if something comes out of it.
 */
static struct {
	struct burrow_chan *end;
	struct goroutine **members;
	size_t parked;
	size_t woken;
	size_t ended;
} crowd;

/* With what a channel needs it has some 300 bytes live. */
static void member(void *arg)
{
	size_t i = __atomic_fetch_add(&crowd.parked, 1, __ATOMIC_RELAXED);
	volatile char mine[MINE];

	(void)arg;
	mine[0] = 0;
	crowd.members[i] = burrow_current();
	while (burrow_chan_recv(crowd.end, NULL) == 1)
		__atomic_fetch_add(&crowd.woken, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&crowd.ended, 1 + mine[0], __ATOMIC_RELAXED);
}

static bool all(const size_t *counter, size_t n)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED) >= n;
}

/* How many could be had; says the ticks. */
static size_t park(size_t count, uint64_t *ticks)
{
	uint64_t start = bench_ticks();
	size_t i;

	*ticks = 0;
	crowd.end = burrow_chan_new(0, 0);
	if (!crowd.end)
		return 0;
	for (i = 0; i < count; i++)
		if (burrow_go(member, NULL))
			break;
	while (!all(&crowd.parked, i))
		burrow_yield();
	*ticks = bench_ticks() - start;
	return i;
}

/* Those who have waited for longest. */
static uint64_t wake(size_t n)
{
	uint64_t start = bench_ticks();
	size_t i;

	crowd.woken = 0;
	for (i = 0; i < n; i++)
		burrow_chan_send(crowd.end, NULL);
	while (!all(&crowd.woken, n))
		burrow_yield();
	return bench_ticks() - start;
}

/* What the module says of stacks that hibernate. */
struct asleep {
	uint64_t count;
	uint64_t bytes;
};

static struct asleep asleep(void)
{
	struct burrow_context_stats stats = { .size = sizeof(stats) };

	if (ioctl(burrow_runtime.pool->fd, BURROW_IOC_STATS, &stats))
		return (struct asleep){ 0 };
	return (struct asleep){ stats.hibernated, stats.saved_bytes };
}

/*
 * As those do who help the monitor, until all hibernate or no more do. The ticks
 * are of that alone, not of waiting for a round.
 */
static struct asleep hibernate_all(uint64_t *ticks)
{
	struct asleep now = asleep(), before;
	uint64_t start;
	size_t left;
	int idle = 0;

	*ticks = 0;
	while (now.count < crowd.parked && idle < IDLE_ROUNDS) {
		before = now;
		burrow_sleep(ROUND_NS);
		start = bench_ticks();
		/* Of very many one round has hardly ended when the next begins. */
		left = crowd.parked / BURROW_STACK_BATCH + 1;
		while (left-- && burrow_hibernate_help())
			continue;
		*ticks += bench_ticks() - start;
		now = asleep();
		idle = now.count > before.count ? 0 : idle + 1;
	}
	return now;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

struct collection {
	uint64_t ticks;
	uint64_t cpu;
	uint64_t stop;
};

static struct collection collect(void)
{
	struct burrow_stats stats = { .size = sizeof(stats) };
	uint64_t cpu = cpu_ns(), start = bench_ticks();
	struct collection c = { 0 };

	if (burrow_gc())
		return c;
	c.ticks = bench_ticks() - start;
	c.cpu = cpu_ns() - cpu;
	burrow_stats(&stats);
	c.stop = stats.gc_pause_max_ns;
	return c;
}

static uint64_t end_all(void)
{
	uint64_t start = bench_ticks();

	crowd.ended = 0;
	burrow_chan_close(crowd.end);
	while (!all(&crowd.ended, crowd.parked))
		burrow_yield();
	crowd.parked = 0;
	return bench_ticks() - start;
}

/* The kernel writes there if it can, and says so if it can't. */
static bool writable(int zero, char *address)
{
	return !(read(zero, address, 1) < 0 && errno == EFAULT);
}

static size_t guarded(void)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	size_t page = sysconf(_SC_PAGESIZE), n = 0, i;
	char inside = 1;

	/* A way of asking that can't tell would count every guard. */
	if (zero < 0 || !writable(zero, &inside))
		return 0;
	for (i = 0; i < crowd.parked; i++) {
		const struct burrow_stack *stack = &crowd.members[i]->stack;
		char *low = burrow_stack_low(stack);

		n += !writable(zero, low) &&
		     !writable(zero, low + stack->arena->guard - page);
	}
	close(zero);
	return n;
}

struct service {
	FILE *from;
	FILE *to;
	size_t count;
	const char *hibernate;
	struct burrow_options options;
};

/* Answers a request. */
static void answer(struct service *s, const char *word)
{
	struct collection c;
	struct asleep found;
	uint64_t n, ticks;

	if (!strcmp(word, "park") && fscanf(s->from, "%" SCNu64, &n) == 1 &&
	    n <= s->count) {
		n = park(n, &ticks);
		fprintf(s->to, "%" PRIu64 " %" PRIu64 "\n", ticks, n);
	} else if (!strcmp(word, "hibernate")) {
		found = hibernate_all(&ticks);
		fprintf(s->to, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", ticks,
			found.count, found.bytes);
	} else if (!strcmp(word, "collect")) {
		c = collect();
		fprintf(s->to, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", c.ticks,
			c.cpu, c.stop);
	} else if (!strcmp(word, "wake") &&
		   fscanf(s->from, "%" SCNu64, &n) == 1 && n <= s->count) {
		fprintf(s->to, "%" PRIu64 "\n", wake(n));
	} else if (!strcmp(word, "guards")) {
		fprintf(s->to, "%zu\n", guarded());
	} else if (!strcmp(word, "end")) {
		fprintf(s->to, "%" PRIu64 "\n", end_all());
	}
	fflush(s->to);
}

static int serve_goroutine(void *arg)
{
	struct service *s = arg;
	char word[16];

	fputs("ready\n", s->to);
	fflush(s->to);
	while (fscanf(s->from, "%15s", word) == 1)
		answer(s, word);
	return 0;
}

static int serve(FILE *from, FILE *to, void *arg)
{
	struct service *s = arg;
	size_t bytes = s->count * sizeof(struct goroutine *);

	s->from = from;
	s->to = to;
	crowd.members = malloc(bytes);
	if (!crowd.members)
		return TOOL_FAILED;
	/* Present before the first look, so that it is not in the figures. */
	memset(crowd.members, 1, bytes);
	setenv("BURROW_HIBERNATE", s->hibernate, 1);
	return burrow_run(&s->options, serve_goroutine, s) ? TOOL_FAILED :
							     TOOL_OK;
}

static int start_runtime(struct peer *peer, const struct bench_options *options,
			 enum burrow_backend backend, const char *hibernate,
			 size_t count, char *why, size_t size)
{
	struct service s = {
		.count = count,
		.hibernate = hibernate,
		.options = {
			.size = sizeof(s.options),
			.procs = options->procs,
			.backend = backend,
		},
	};
	int err = peer_fork(peer, serve, &s);

	if (err)
		snprintf(why, size, "no start; `burrow doctor' says more");
	return err;
}

static int start_kmod(struct peer *peer, const struct bench_options *options,
		      size_t count, char *why, size_t size)
{
	return start_runtime(peer, options, BURROW_BACKEND_KMOD, "off", count,
			     why, size);
}

static int start_hibernated(struct peer *peer,
			    const struct bench_options *options, size_t count,
			    char *why, size_t size)
{
	struct burrow_stack_report report;

	burrow_stack_probe(&burrow_stack_kmod, &report);
	if (report.usable && !report.hibernates) {
		snprintf(why, size, "this module has no hibernation");
		return -EOPNOTSUPP;
	}
	return start_runtime(peer, options, BURROW_BACKEND_KMOD, "0", count,
			     why, size);
}

static int start_mmap(struct peer *peer, const struct bench_options *options,
		      size_t count, char *why, size_t size)
{
	return start_runtime(peer, options, BURROW_BACKEND_MMAP, "off", count,
			     why, size);
}

static int start_go(struct peer *peer, const struct bench_options *options,
		    size_t count, char *why, size_t size)
{
	(void)options;
	(void)count;
	return peer_go(peer, why, size);
}

static const struct way {
	const char *name;
	bool guards;
	bool hibernates;
	int (*start)(struct peer *peer, const struct bench_options *options,
		     size_t count, char *why, size_t size);
} ways[] = {
	{ "kmod", true, false, start_kmod },
	{ "kmod-hibernated", true, true, start_hibernated },
	{ "mmap", true, false, start_mmap },
	{ "go", false, false, start_go },
};

#define NWAYS (sizeof(ways) / sizeof(ways[0]))

/* Bytes that the process has in use, and what those of the machine change by. */
struct usage {
	long long process;
	long long system;
};

/*
 * Free pages that lie in the lists of CPUs and are not in MemFree: since
 * Linux 6.7 an eighth of a zone at most, after much was freed at once, which
 * is given back at some megabytes a second.
 */
static int look_at_lists(long long *bytes)
{
	int err = sysfile_sum("/proc/zoneinfo", "count", bytes);

	*bytes = err ? 0 : *bytes * sysconf(_SC_PAGESIZE);
	return err == -ENOENT ? 0 : err;
}

static int look(pid_t pid, struct usage *usage)
{
	static const char *const unused[] = { "MemFree", "Buffers", "Cached" };
	long long rss, tables, kib, lists;
	char path[64];
	size_t i;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	err = sysfile_number(path, "VmRSS", &rss);
	if (!err)
		err = sysfile_number(path, "VmPTE", &tables);
	if (!err)
		err = look_at_lists(&lists);
	if (err)
		return err;
	usage->process = (rss + tables) << 10;
	usage->system = -lists;
	for (i = 0; i < sizeof(unused) / sizeof(unused[0]); i++) {
		err = sysfile_number("/proc/meminfo", unused[i], &kib);
		if (err)
			return err;
		usage->system -= kib << 10;
	}
	return 0;
}

/* Looks until hardly anything becomes free any more. */
static int settle(pid_t pid, struct usage *usage)
{
	const struct timespec pause = { .tv_nsec = SETTLE_MS * 1000000L };
	struct usage before;
	int i, err = look(pid, usage);

	for (i = 0; i < SETTLE_LOOKS && !err; i++) {
		before = *usage;
		nanosleep(&pause, NULL);
		err = look(pid, usage);
		if (before.system - usage->system < before.process / 1000)
			break;
	}
	return err;
}

static long mappings(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	return sysfile_lines(path);
}

/* What a sample found, a field for each unit. */
struct found {
	struct usage before;
	struct usage after;
	long mappings;
	uint64_t create;
	uint64_t parked;
	uint64_t guards;
	uint64_t hibernate;
	uint64_t hibernated;
	uint64_t live;
	struct collection collections[2];
	struct usage collected;
	uint64_t wake;
	uint64_t end;
};

static int put_to_sleep(struct peer *peer, struct found *found)
{
	uint64_t answer[3];
	int err = peer_ask(peer, "hibernate", 3, answer);

	if (err || found->hibernated)
		return err;
	if (!answer[1])
		return -ENODATA;
	found->hibernate = answer[0];
	found->hibernated = answer[1];
	found->live = answer[2];
	return 0;
}

static int collect_twice(struct peer *peer, struct found *found)
{
	struct collection *c = found->collections;
	uint64_t answer[3];
	int i, err = 0;

	for (i = 0; i < 2 && !err; i++) {
		err = peer_ask(peer, "collect", 3, answer);
		if (!err)
			c[i] = (struct collection){ answer[0], answer[1],
						    answer[2] };
	}
	return err ? err : look(peer->pid, &found->collected);
}

/* In as many waves as were asked for, all once. */
static int wake_all(struct peer *peer, const struct way *way, size_t waves,
		    size_t count, struct found *found)
{
	size_t i, done = 0;
	char request[32];
	uint64_t ticks;
	int err = 0;

	for (i = 1; i <= waves && !err; i++) {
		snprintf(request, sizeof(request), "wake %zu",
			 count * i / waves - done);
		done = count * i / waves;
		err = peer_ask(peer, request, 1, &ticks);
		if (err)
			return err;
		found->wake += ticks;
		if (way->hibernates && i < waves)
			err = put_to_sleep(peer, found);
	}
	return err;
}

static int measure(struct peer *peer, const struct way *way, size_t waves,
		   size_t count, struct found *found)
{
	char request[32];
	uint64_t answer[2];
	int err;

	err = look(peer->pid, &found->before);
	if (err)
		return err;
	snprintf(request, sizeof(request), "park %zu", count);
	err = peer_ask(peer, request, 2, answer);
	if (err)
		return err;
	found->create = answer[0];
	found->parked = answer[1];
	if (found->parked < count)
		return 0;
	if (way->hibernates)
		err = put_to_sleep(peer, found);
	if (err)
		return err;
	found->mappings = mappings(peer->pid);
	if (!err)
		err = way->hibernates ? settle(peer->pid, &found->after) :
					look(peer->pid, &found->after);
	if (!err && way->guards)
		err = peer_ask(peer, "guards", 1, &found->guards);
	if (!err)
		err = collect_twice(peer, found);
	if (!err)
		err = wake_all(peer, way, waves, count, found);
	if (!err)
		err = peer_ask(peer, "end", 1, &found->end);
	return err;
}

static void add(const struct way *way, size_t count, const char *unit,
		double value)
{
	results_add("parked", way->name, "count", count, unit, value);
}

static double greater(double a, double b)
{
	return a > b ? a : b;
}

static void record_collections(const struct way *way, size_t count,
			       const struct found *found)
{
	const struct collection *c = found->collections;

	add(way, count, "ns/collection", bench_ns(c[0].ticks));
	add(way, count, "cpu-ns/collection", c[0].cpu);
	add(way, count, "ns/next-collection", bench_ns(c[1].ticks));
	add(way, count, "ns/stop", greater(c[0].stop, c[1].stop));
	add(way, count, "collected-bytes/goroutine",
	    greater(found->collected.process - found->before.process,
		    found->collected.system - found->before.system) /
		    count);
}

static void record(const struct way *way, size_t count,
		   const struct found *found)
{
	double process = found->after.process - found->before.process;
	double system = found->after.system - found->before.system;

	add(way, count, "bytes/goroutine", greater(process, system) / count);
	add(way, count, "process-bytes/goroutine", process / count);
	add(way, count, "system-bytes/goroutine", system / count);
	add(way, count, "mappings", found->mappings);
	if (way->guards)
		add(way, count, "guards", found->guards);
	if (way->hibernates) {
		add(way, count, "hibernated", found->hibernated);
		add(way, count, "live-bytes/goroutine",
		    (double)found->live / found->hibernated);
		add(way, count, "ns/hibernate",
		    bench_ns(found->hibernate) / found->hibernated);
	}
	record_collections(way, count, found);
	add(way, count, "ns/create", bench_ns(found->create) / count);
	add(way, count, "ns/wake", bench_ns(found->wake) / count);
	add(way, count, "ns/end", bench_ns(found->end) / count);
}

static int sample(const struct way *way, const struct bench_options *options,
		  size_t count)
{
	struct found found = { .parked = 0 };
	struct peer peer = { 0 };
	char why[256] = "";
	int err;

	if (way->start(&peer, options, count, why, sizeof(why))) {
		if (!tool_interrupted)
			bench_left_out("parked", way->name, why);
		return 0;
	}
	peer.patience = PEER_PATIENCE_MS + count * PATIENCE_EACH_MS;
	err = measure(&peer, way, options->waves ? options->waves : 1, count,
		      &found);
	peer_end(&peer);
	if (tool_interrupted)
		return 0;
	if (err) {
		tool_say("bench parked: %s failed: %s", way->name,
			 err == -EPIPE ? "its process died" : strerror(-err));
		return -1;
	}
	if (found.parked < count) {
		snprintf(why, sizeof(why), "only %" PRIu64 " could be had",
			 found.parked);
		bench_left_out("parked", way->name, why);
		return 0;
	}
	record(way, count, &found);
	return 0;
}

static int run(const struct bench_options *options)
{
	size_t count = options->count ? options->count : DEFAULT_COUNT, i;
	int runs = options->runs ? options->runs : DEFAULT_RUNS;
	int failed = 0, round;

	bench_ns(0);
	for (round = 0; round < runs; round++)
		for (i = 0; i < NWAYS && !tool_interrupted; i++) {
			if (!bench_wants(options, ways[i].name))
				continue;
			bench_progress("parked %zu: round %d of %d: %s", count,
				       round + 1, runs, ways[i].name);
			failed |= sample(&ways[i], options, count);
		}
	return failed;
}

static const char *backend(size_t i)
{
	return i < NWAYS ? ways[i].name : NULL;
}

const struct bench bench_parked = {
	.name = "parked",
	.summary =
		"--count goroutines parked at once: memory, mappings, guards",
	.backend = backend,
	.run = run,
};
