// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One cycle, from the first stop to the last.
 *
 * Where writes are tracked (track.h):
 *
 *  1. Dense spans of the tracked half are armed, beside the program: every
 *     write to them from now on is seen. Others count as written.
 *  2. A full stop. Marking begins. All roots are greyed, as a head start; nothing
 *     is scanned yet.
 *  3. Beside the program, what was greyed is scanned, and what that leads to. Stacks
 *     of which much lives are tracked, too, and greyed here (deep.c).
 *  4. Still beside it, the pages written meanwhile are harvested and armed again,
 *     and the marked objects on them scanned again; round after round, until
 *     there are few enough for a short stop, or they do not become fewer. Where
 *     much was allocated, the world is stopped to grey the roots before: what is
 *     new hangs on those, and would be left to step 5. Who writes and allocates is
 *     slowed down (assist.c); where somebody writes faster all the same, a little is
 *     harvested in each of many short stops, so that he has only the time between
 *     them, a sixth.
 *  5. A full stop. The last harvest, and all roots once more, for they are not
 *     tracked; what they lead to is scanned. What is not marked now is dead.
 *     (Stacks that hibernate are: saved.c. Where there are many they are greyed
 *     in step 3, first of all, and other stacks in a stop that follows.)
 *
 * A pointer to an unmarked object can hide from that nowhere: it is in a root,
 * which step 5 looks at, or in an object. If that object was scanned before the
 * pointer was written there, its page was written after it was armed, and a
 * harvest that comes after the write has it scanned again. What is made meanwhile is
 * found like anything else, or dead: most of it is (Boehm, Demers and Shenker, 1991).
 *
 * Where little is likely to live, as little did last time, nothing is armed, and
 * what is grey is scanned in the first stop as long as that takes no longer than a
 * stop may. If that was all, this was the cycle. Else it goes on with step 3: pages
 * that were not armed count as written.
 *
 * A young cycle begins with all marked that was alive when the last one ended. It
 * arms only where nothing is old: pages of old objects that are still armed were not
 * written since those were scanned, so what they point to is marked, too; all others
 * count as written. They are harvested and their marked objects scanned again, in the first
 * stop where that is quick, else as step 4. All else is as above. What died old is
 * found by the next full cycle.
 *
 * Where nothing tracks, one stop does all of it.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../debug/print.h"
#include "../debug/probe.h"
#include "../heap/profile.h"
#include "../sched/sched.h"
#include "assist.h"
#include "chores.h"
#include "collector.h"
#include "deep.h"
#include "ephemeron.h"
#include "escape.h"
#include "gc.h"
#include "hashes.h"
#include "heapdump.h"
#include "saved.h"
#include "stop.h"
#include "track.h"
#include "verify.h"
#include "weak.h"
#include "workers.h"
#include "work.h"

#define PAGE 4096UL
#define WORLD_NS 100000LL /* a goroutine waits for others to be outside */
#define PIECE (1UL << 20) /* harvested at a time in a stop, at most */
#define PIECE_LEAST (64UL << 10) /* and at first: all of it may be dirty */
#define PIECE_DIRTY 16 /* a part; where less is dirty, twice as much is next */
#define PAGES_FEW 256 /* are scanned again in a quarter of a millisecond */
#define BYTES_FEW (1UL << 20) /* marked in a millisecond */
#define BYTES_MANY (4UL << 20) /* too much for one to mark */
#define ROUND_NS 800000LL /* one that is shorter may be the last stop */
#define QUICK_NS 400000LL /* to look at what is old in the first one */
#define STUCK_ROUNDS 2 /* after these, rounds should become shorter */
#define PASSES 12 /* through the heap in short stops */
#define PASS_GAP_NS 100000L /* between two, and what the kernel adds */
#define LONGER 2 /* so often such a stop may get twice as long */

/**
 * struct state - of the cycle that runs, on the collector's stack: in static
 * data it would be a root
 * @cycle:	what is told about it
 * @marker:	this thread's
 * @tracker:	what is used, or NULL
 * @self:	the goroutine's thread that collects, NULL: the collector's own
 * @dirty:	bytes of pages harvested in this round
 * @until:	when it has looked long enough in this stop (burrow_now())
 * @from:	where in the heap it goes on
 * @piece:	to be harvested next in a stop
 * @longer:	so often the time to look in a stop was doubled
 * @last:	there is no harvest after this one: it arms nothing
 * @behind:	there was too much of it for this stop
 * @failed:	a harvest did; any page may have been written
 * @ended:	nothing was left to be done after the first stop
 * @dropped:	the fault that was asked for was committed
 * @lending:	short calls of the tracker's are put on the list of chores
 * @alone:	nobody came the last time
 * @helped:	nanoseconds of those who did
 */
struct state {
	struct burrow_cycle *cycle;
	struct burrow_marker marker;
	const struct burrow_tracker *tracker;
	struct burrow_thread *self;
	uint64_t dirty;
	int64_t until;
	const char *from;
	size_t piece;
	int longer;
	bool last;
	bool behind;
	bool failed;
	bool ended;
	bool dropped;
	bool lending;
	bool alone;
	int64_t helped;
};

static bool has_fault(const struct state *s, enum burrow_gc_fault fault)
{
	return burrow_unlikely(s->cycle->config->fault == fault);
}

static void arm(char *low, char *high, void *arg)
{
	struct state *s = arg;

	if (has_fault(s, GC_FAULT_ARM))
		s->tracker = NULL;
	if (s->lending && burrow_chores_add(low, high))
		return;
	if (s->tracker && s->tracker->arm(low, high))
		s->tracker = NULL;
	if (s->tracker && s->tracker->disarm)
		burrow_heap_armed(s->cycle->heap, low, high, true);
	if (s->tracker && s->cycle->config->verify)
		burrow_hashes_take(low, high);
}

static void armed(char *low, char *high, bool failed, void *arg)
{
	struct state *s = arg;

	if (failed)
		s->tracker = NULL;
	else
		burrow_heap_armed(s->cycle->heap, low, high, true);
	if (!failed && s->cycle->config->verify)
		burrow_hashes_take(low, high);
}

/* For gcverify. They are armed again if this was no last harvest and no failed one. */
static void is_written(const struct state *s, const char *low, const char *high)
{
	if (!s->cycle->config->verify)
		return;
	if (s->last || s->failed)
		burrow_hashes_forget(low, high);
	else
		burrow_hashes_take(low, high);
}

static void rescan(char *low, char *high, void *arg)
{
	struct state *s = arg;

	if (has_fault(s, GC_FAULT_TRACK))
		return;
	is_written(s, low, high);
	s->dirty += high - low;
	if (!has_fault(s, GC_FAULT_PAGE))
		burrow_mark_rescan(&s->marker, low, high);
}

static void harvest(char *low, char *high, void *arg)
{
	struct state *s = arg;

	const struct burrow_tracker *t = s->tracker;

	if (s->lending && burrow_chores_add(low, high))
		return;
	if (t->disarm && !s->last)
		burrow_heap_armed(s->cycle->heap, low, high, true);
	if (!s->failed &&
	    !(s->last ? t->look : t->harvest)(low, high, rescan, s))
		return;
	s->failed = true;
	rescan(low, high, s);
}

static void harvested(char *low, char *high, bool failed, void *arg)
{
	struct state *s = arg;

	burrow_heap_armed(s->cycle->heap, low, high, true);
	s->failed |= failed;
	if (failed)
		rescan(low, high, s);
}

/* From here to there, beside the program; where there is one CPU nobody is interrupted. */
static void lend(struct state *s, enum burrow_chore what)
{
	bool cpus = s->cycle->cpus || burrow_runtime.nr_procs > 1;

	s->lending = cpus && !s->alone && burrow_chores_begin(s->tracker, what);
}

static void lent(struct state *s,
		 void (*fn)(char *low, char *high, bool failed, void *arg))
{
	if (!s->lending)
		return;
	s->lending = false;
	s->alone = !burrow_chores_end(fn, rescan, s);
	s->helped += burrow_chores_ns();
}

/*
 * Parts of the heap that may have been written. Where arming makes writes dearer
 * only those that matter; else all that was ever in use: one call for each part
 * would cost more.
 */
static void each_part(struct state *s, enum burrow_heap_part part,
		      void (*fn)(char *low, char *high, void *arg))
{
	if (s->tracker && s->tracker->free)
		burrow_heap_tracked_used(s->cycle->heap, fn, s);
	else
		burrow_heap_tracked(s->cycle->heap, part, fn, s);
}

/* Scans again what was written; returns how many pages that were. */
static uint64_t harvest_all(struct state *s)
{
	s->dirty = 0;
	s->failed = false;
	if (!s->last)
		lend(s, CHORE_HARVEST);
	/* Who takes a chore may mark as well. */
	if (s->lending)
		burrow_mark_share(&s->marker);
	each_part(s, BURROW_HEAP_BOTH, harvest);
	lent(s, harvested);
	return s->dirty / PAGE;
}

/* As much as is likely to be quickly done: what a page takes, its objects decide. */
static void harvest_piece(struct state *s, char *low, char *high)
{
	uint64_t before = s->dirty;

	harvest(low, high, s);
	if (s->dirty - before > (uint64_t)(high - low) / PIECE_DIRTY)
		s->piece = PIECE_LEAST;
	else if ((size_t)(high - low) == s->piece && s->piece < PIECE)
		s->piece *= 2;
}

/*
 * Bit by bit, as long as it may take in a stop, from where it was left. What is left
 * now stays as it is.
 */
static void harvest_quickly(char *low, char *high, void *arg)
{
	struct state *s = arg;
	char *end;

	if ((const char *)low < s->from)
		low = (const char *)high < s->from ? high : (char *)s->from;
	for (; low < high; low = end) {
		s->behind |= s->dirty >= BYTES_FEW << s->longer ||
			     burrow_now() > s->until;
		if (s->behind)
			return;
		end = (size_t)(high - low) > s->piece ? low + s->piece : high;
		harvest_piece(s, low, end);
		s->from = end;
	}
}

/* What is old and was written since it was last scanned, and is to be again. */
static void harvest_old(struct state *s)
{
	struct burrow_heap *heap = s->cycle->heap;
	struct burrow_heap_counts counts;

	/* Little that is old is sooner scanned again than armed. */
	burrow_heap_count(heap, &counts);
	s->last = counts.live <= BURROW_CYCLE_QUICK;
	s->until = burrow_now() + (QUICK_NS << s->longer);
	s->piece = PIECE_LEAST;
	s->from = NULL;
	burrow_heap_tracked(heap, BURROW_HEAP_OLD, harvest_quickly, s);
	s->last = true;
	s->from = NULL;
	burrow_heap_tracked(heap, BURROW_HEAP_REST, harvest_quickly, s);
	s->last = false;
}

static void grey(void *arg, const void *low, const void *high)
{
	struct state *s = arg;

	if (has_fault(s, GC_FAULT_STACK) && !s->dropped &&
	    burrow_stack_find(burrow_runtime.pool, low)) {
		s->dropped = true;
		return;
	}
	burrow_mark_range(&s->marker, low, high);
}

static void grey_roots(struct state *s, enum burrow_deep_mode mode,
		       enum burrow_saved_mode saved)
{
	s->dropped = false;
	burrow_deep_mode(mode, has_fault(s, GC_FAULT_PAGE));
	burrow_saved_mode(saved);
	burrow_saved_deafen(has_fault(s, GC_FAULT_RESTORED));
	burrow_roots_each(grey, s);
	/* Others who walk them see all. */
	burrow_saved_mode(SAVED_OFF);
	burrow_deep_mode(DEEP_OFF, false);
	burrow_weak_roots(grey, s);
}

static void grey_deep(void *arg)
{
	burrow_deep_look(grey, arg);
}

static void mark_open(struct state *s)
{
	if (!burrow_mark_open(&s->marker, s->cycle->heap))
		return;
	burrow_print(STDERR_FILENO,
		     "burrow: out of memory: none for the collector\n");
	abort();
}

/* First of all in a stop. */
static void mark_begin(struct state *s)
{
	burrow_heap_mark_begin(s->cycle->heap);
	burrow_assist_open(s->cycle->heap);
	mark_open(s);
}

/* What is allocated is what lives. */
static void dump(struct burrow_cycle *c)
{
	struct burrow_gc_waiter *w;

	for (w = c->dumps; w; w = w->next_dump)
		w->result = burrow_heapdump_write(c->heap, w->fd);
}

/* Last of all in a stop; everything reachable is marked. */
static void mark_end(struct state *s)
{
	struct burrow_heap *heap = s->cycle->heap;

	burrow_heap_mark_caches(heap);
	if (s->cycle->config->verify)
		burrow_verify(heap);
	burrow_weak_dead(heap);
	burrow_ephemerons_dead(heap);
	burrow_profile_dead(heap);
	burrow_assist_close();
	burrow_mark_close(&s->marker);
	burrow_heap_mark_end(heap);
	if (s->cycle->config->escape)
		burrow_escape_check(heap);
	dump(s->cycle);
}

/* In a stop: all that is grey, and values of keys that live. */
static void mark_all(struct state *s)
{
	do {
		burrow_work_stopped(&s->marker);
	} while (burrow_ephemerons_stopped(&s->marker));
}

/* The same beside the program, where keys may still turn out to live. */
static void mark_beside(struct state *s)
{
	do {
		burrow_work_beside(&s->marker, s->cycle);
	} while (burrow_ephemerons_beside(&s->marker));
}

/* As much as a stop may take. True: that was all. */
static bool mark_quickly(struct state *s)
{
	do {
		if (burrow_mark_drain(&s->marker, BURROW_CYCLE_QUICK))
			return false;
	} while (burrow_ephemerons_stopped(&s->marker));
	return true;
}

static void begin(void *arg)
{
	struct state *s = arg;

	mark_begin(s);
	grey_roots(s, DEEP_TAKE, SAVED_SOME);
	s->behind = burrow_deep_some() || burrow_saved_some();
	if (s->cycle->quick && s->cycle->young)
		harvest_old(s);
	if (s->cycle->quick && !s->behind && mark_quickly(s)) {
		mark_end(s);
		s->ended = true;
	}
}

/* Of those, too, that were armed and where nothing that lives was found. */
static void forget_hash(char *low, char *high, void *arg)
{
	if (!has_fault(arg, GC_FAULT_TRACK))
		burrow_hashes_forget(low, high);
}

static void look(char *low, char *high, void *arg)
{
	struct state *s = arg;

	s->tracker->look(low, high, forget_hash, s);
}

static void check_hashes(struct state *s)
{
	burrow_hashes_compare();
	burrow_heap_tracked_used(s->cycle->heap, look, s);
	burrow_hashes_check(s->tracker->name);
}

static void finish(void *arg)
{
	struct state *s = arg;

	/* Nobody asks again: armed pages would take faults for nothing. */
	s->last = true;
	s->cycle->dirty = harvest_all(s);
	if (s->cycle->config->verify)
		check_hashes(s);
	grey_roots(s, DEEP_AGAIN, SAVED_ALL);
	mark_all(s);
	mark_end(s);
}

static void all(void *arg)
{
	struct state *s = arg;

	mark_begin(s);
	grey_roots(s, DEEP_OFF, SAVED_ALL);
	mark_all(s);
	mark_end(s);
	s->ended = true;
}

static int64_t cpu_now(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* That of those who marked since this was last asked. */
static int64_t workers_cpu(struct burrow_cycle *c)
{
	uint64_t bytes;
	int64_t ns;

	burrow_workers_did(&bytes, &ns);
	c->by_workers += bytes;
	c->cpu_ns += ns;
	return ns;
}

static void paused(struct burrow_cycle *c, const struct burrow_pause *pause)
{
	if (c->stops++)
		c->last = *pause;
	else
		c->first = *pause;
	c->paused += pause->ns;
	if (pause->ns > c->longest.ns)
		c->longest.ns = pause->ns;
	if (pause->cpu > c->longest.cpu)
		c->longest.cpu = pause->cpu;
}

/* Ranges that are registered stay while we look; see roots.c. */
static bool stop(struct state *s, const char *why, void (*fn)(void *arg))
{
	int64_t from, cpu, ns = s->self ? WORLD_NS : BURROW_FOREVER;
	struct burrow_cycle *c = s->cycle;
	struct burrow_pause pause;
	bool stopped;

	BURROW_PROBE(gc_stw_begin, c->number, burrow_probe_text(why));
	burrow_roots_lock();
	workers_cpu(c);
	from = burrow_now();
	cpu = cpu_now();
	stopped = burrow_stop_try(s->self, ns, fn, s);
	pause.cpu = cpu_now() - cpu + workers_cpu(c);
	pause.ns = burrow_now() - from;
	burrow_roots_unlock();
	if (stopped)
		paused(c, &pause);
	BURROW_PROBE(gc_stw_end, c->number, pause.ns);
	return stopped;
}

/* One in which all roots are looked at. */
static bool stop_for_roots(struct state *s, const char *why,
			   void (*fn)(void *arg))
{
	burrow_stacks_prepare();
	burrow_saved_prepare(burrow_runtime.pool);
	burrow_stacks_warm();
	return stop(s, why, fn);
}

static uint64_t allocated(const struct state *s)
{
	struct burrow_heap_counts counts;

	burrow_heap_count(s->cycle->heap, &counts);
	return counts.allocated;
}

/*
 * All that is marked and all that is new can be scanned in the stop. A round would
 * arm the pages that were just allocated from, and each would take a fault.
 */
static bool is_little(const struct state *s)
{
	return s->marker.bytes + allocated(s) - s->cycle->allocated <=
	       BYTES_FEW;
}

static void grey_more(void *arg)
{
	grey_roots(arg, DEEP_TAKE, SAVED_SOME);
}

/*
 * What only stacks lead to, objects made since the roots were last looked at among
 * them: they would all be left to the last stop.
 */
static void look_at_roots(struct state *s, uint64_t *at)
{
	if (allocated(s) - *at <= BYTES_FEW)
		return;
	*at = allocated(s);
	stop_for_roots(s, "roots", grey_more);
}

static void harvest_some(void *arg)
{
	struct state *s = arg;

	s->dirty = 0;
	s->failed = false;
	s->behind = false;
	s->until = burrow_now() + (QUICK_NS << s->longer);
	s->piece = PIECE_LEAST;
	each_part(s, BURROW_HEAP_BOTH, harvest_quickly);
}

/* The heap once, in as many stops as that takes; returns how many pages. */
static uint64_t clean_in_stops(struct state *s)
{
	const struct timespec gap = { .tv_nsec = PASS_GAP_NS };
	uint64_t dirty = 0;

	s->from = NULL;
	do {
		nanosleep(&gap, NULL);
		stop(s, "clean", harvest_some);
		dirty += s->dirty;
		mark_beside(s);
	} while (s->behind);
	return dirty / PAGE;
}

/*
 * Where somebody writes faster than rounds beside him go. With each pass he has had
 * less time for it; unless there is one CPU for both, of which he is given as much
 * as we take: then longer stops help.
 */
static void outrun(struct state *s)
{
	uint64_t pages, last = UINT64_MAX;

	while (s->cycle->passes < PASSES) {
		pages = clean_in_stops(s);
		s->cycle->passes++;
		if (pages <= PAGES_FEW)
			break;
		if (pages > last - last / 8 && s->longer++ == LONGER)
			break;
		last = pages;
	}
}

static void clean(struct state *s)
{
	struct burrow_cycle *c = s->cycle;
	uint64_t pages, at = c->allocated;
	int64_t cpu, last = INT64_MAX;
	bool stuck;

	if (!c->young && is_little(s))
		return;
	/* From the second round on there is what was written during one. */
	c->cleaning = true;
	for (c->rounds = 0; c->rounds < BURROW_CYCLE_ROUNDS; c->rounds++) {
		look_at_roots(s, &at);
		cpu = cpu_now() + s->helped;
		pages = harvest_all(s);
		burrow_work_beside(&s->marker, c);
		cpu = cpu_now() + s->helped - cpu;
		stuck = cpu > last - last / 8;
		if (pages <= PAGES_FEW && (cpu <= ROUND_NS || stuck))
			break;
		if (c->rounds >= STUCK_ROUNDS && stuck) {
			outrun(s);
			break;
		}
		last = cpu;
		burrow_assist_clean(c->rounds > 0);
	}
	c->cleaning = false;
	burrow_assist_clean(false);
}

static void disarm(char *low, char *high, void *arg)
{
	const struct state *s = arg;

	if (s->lending && burrow_chores_add(low, high))
		return;
	s->tracker->disarm(low, high);
	burrow_heap_armed(s->cycle->heap, low, high, false);
}

static void disarmed(char *low, char *high, bool failed, void *arg)
{
	const struct state *s = arg;

	(void)failed;
	burrow_heap_armed(s->cycle->heap, low, high, false);
}

/* Each page that new objects come to would take a fault. */
static void loosen(struct state *s)
{
	if (!s->tracker->disarm)
		return;
	lend(s, CHORE_DISARM);
	burrow_heap_tracked(s->cycle->heap, BURROW_HEAP_LOOSE, disarm, s);
	lent(s, disarmed);
}

/*
 * Stacks that are deep: a little of them in each stop, and as long as that took the
 * program goes on in between.
 */
static void grey_deep_ones(struct state *s)
{
	struct timespec gap = { 0 };

	while (burrow_deep_arm()) {
		nanosleep(&gap, NULL);
		stop(s, "stacks", grey_deep);
		gap.tv_nsec = s->cycle->last.ns % 1000000000;
	}
}

/* Those who hibernate, where they were too many for a stop; then the others. */
static void grey_sleepers(struct state *s)
{
	int64_t from = burrow_now();

	if (!burrow_saved_some())
		return;
	while (burrow_saved_beside(grey, s))
		burrow_work_rest(&s->marker, s->cycle, &from);
	burrow_stacks_asleep(grey, s);
	stop_for_roots(s, "stacks", grey_more);
}

static void beside(struct state *s)
{
	grey_sleepers(s);
	grey_deep_ones(s);
	mark_beside(s);
	clean(s);
	/* Those that its looks at the roots have met. */
	grey_deep_ones(s);
	mark_beside(s);
	stop_for_roots(s, "mark end", finish);
	burrow_deep_end();
	loosen(s);
}

/* A thread is not started in a stop. */
static void call_workers(const struct burrow_cycle *c)
{
	if (c->before >= BYTES_MANY)
		burrow_workers_ready(burrow_runtime.nr_procs - 1);
}

static void prepare(struct burrow_cycle *c)
{
	struct burrow_heap_counts counts;

	burrow_heap_sweep_all(c->heap);
	burrow_gc_swept();
	c->at = burrow_now();
	BURROW_PROBE(gc_start, c->number,
		     burrow_probe_text(c->forced ? "wanted" : "heap"),
		     c->before);
	if (!c->young)
		burrow_heap_forget(c->heap);
	burrow_heap_count(c->heap, &counts);
	c->allocated = counts.allocated;
	burrow_saved_begin(c->young);
	if (c->config->verify)
		burrow_hashes_open();
}

static void conclude(struct burrow_cycle *c)
{
	struct burrow_heap_counts counts;

	burrow_heap_count(c->heap, &counts);
	c->allocated = counts.allocated - c->allocated;
	c->live = counts.live;
	c->marked = counts.marked;
	c->mark_ns = burrow_now() - c->at;
	if (c->config->verify)
		burrow_hashes_close();
	BURROW_PROBE(gc_mark_done, c->number, c->live, burrow_assist_ns());
}

/*
 * To arm is to forget what was written. A young cycle has yet to ask about what is
 * old, and may arm the spans without any; where all is armed at once, nothing.
 */
static bool may_arm(const struct burrow_cycle *c,
		    const struct burrow_tracker *tracker)
{
	return tracker && !c->quick && !(c->young && tracker->free);
}

/*
 * What was written to old objects is not asked for where the program stands still for all
 * of the cycle: what only those point to is found if they are scanned anew.
 */
static void make_full(struct burrow_cycle *c)
{
	if (!c->young)
		return;
	c->young = false;
	burrow_heap_forget(c->heap);
	burrow_saved_begin(false);
}

void burrow_cycle_run(struct burrow_cycle *c,
		      const struct burrow_tracker *tracker)
{
	struct state s = { .cycle = c, .tracker = tracker };
	int64_t cpu = cpu_now();

	prepare(c);
	burrow_deep_begin(tracker);
	call_workers(c);
	if (may_arm(c, tracker)) {
		lend(&s, CHORE_ARM);
		each_part(&s, BURROW_HEAP_DENSE, arm);
		lent(&s, armed);
		if (!s.tracker)
			make_full(c);
	}
	if (s.tracker)
		stop_for_roots(&s, "mark begin", begin);
	else
		stop_for_roots(&s, "mark", all);
	if (!s.ended)
		beside(&s);
	burrow_escape_tell();
	conclude(c);
	c->cpu_ns += cpu_now() - cpu + s.helped;
}

/*
 * The registers of our callers are on the stack, above the frame of this one:
 * so it is not inlined.
 */
static __attribute__((noinline)) enum burrow_cycle_try
collect_here(struct burrow_thread *self, struct burrow_cycle *c,
	     const struct burrow_tracker *tracker)
{
	struct state s = { .cycle = c, .tracker = tracker, .self = self };
	int64_t cpu = cpu_now();

	self->current->context = __builtin_frame_address(0);
	prepare(c);
	burrow_deep_begin(tracker);
	if (!stop_for_roots(&s, "mark", begin)) {
		if (c->config->verify)
			burrow_hashes_close();
		return CYCLE_REFUSED;
	}
	c->cpu_ns += cpu_now() - cpu;
	if (s.ended) {
		conclude(c);
		return CYCLE_ENDED;
	}
	burrow_mark_share(&s.marker);
	burrow_mark_close(&s.marker);
	return CYCLE_BEGUN;
}

enum burrow_cycle_try burrow_cycle_try(struct burrow_thread *self,
				       struct burrow_cycle *c,
				       const struct burrow_tracker *tracker)
{
	enum burrow_cycle_try ret;

	__builtin_unwind_init();
	ret = collect_here(self, c, tracker);
	/* No jump instead of a call: we keep the registers. */
	__asm__ volatile("" : : : "memory");
	return ret;
}

void burrow_cycle_go_on(struct burrow_cycle *c,
			const struct burrow_tracker *tracker)
{
	struct state s = { .cycle = c, .tracker = tracker };
	int64_t cpu = cpu_now();

	mark_open(&s);
	beside(&s);
	conclude(c);
	c->cpu_ns += cpu_now() - cpu + s.helped;
}
