// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What every goroutine is doing, and where.
 *
 * A dump is taken first and written afterwards: the world is stopped, and
 * runtime.lock held, for as long as it takes to walk the stacks, and not while
 * a slow reader takes the text, who may be one of our own goroutines. It is
 * taken into memory of the system's: the program's heap may be what is broken.
 *
 * Goroutines that do the same thing at the same place are one group: a program
 * has millions of them, and few places.
 *
 * Stacks of goroutines that do not run are walked from what the switch saved.
 * Those that run are outside, in C code that goes on: their threads are asked
 * (ask.c). The caller's own begins where it called us.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include "../sched/sched.h"
#include "ask.h"
#include "backtrace.h"
#include "dump.h"
#include "print.h"
#include "symbol.h"

/*
 * gdb's commands for the same: it loads what it finds in this section, of
 * Python text with a name (4), wherever the program goes.
 */
__asm__(".pushsection .debug_gdb_scripts, \"MS\", %progbits, 1\n"
	".byte 4\n"
	".ascii \"gdb.inlined-burrow\\n\"\n"
	".incbin \"debug/burrow-gdb.py\"\n"
	".byte 0\n"
	".popsection\n");

#define PATIENCE_NS 1000000000LL
#define MEMBERS 8 /* of a group that are named */
#define GROUPS_FIRST 64 /* a power of two */

/* What a group is doing, beside the states of sched.h. */
enum doing {
	DOING_WAIT, /* see the reason */
	DOING_RUNNABLE,
	DOING_NOT_STARTED,
	DOING_RUNNING,
	DOING_BLOCKING,
	DOING_NO_ANSWER,
};

/* One of a group. */
struct member {
	uint64_t id;
	char name[BURROW_NAME_BYTES];
};

/**
 * struct group - goroutines that are alike
 * @hash:	of what makes them alike: from @site to @trace
 * @site:	where they were spawned, or NULL
 * @doing:	enum doing
 * @reason:	of those that wait
 * @bound:	to threads
 * @tid:	of a thread that did not answer
 * @trace:	where they are
 * @count:	how many
 * @least:	milliseconds that one has waited
 * @most:	and that another has
 * @members:	those of smallest id
 */
struct group {
	uint64_t hash;
	void *site;
	enum doing doing;
	const char *reason;
	bool bound;
	pid_t tid;
	struct burrow_trace trace;
	uint32_t count;
	uint32_t least;
	uint32_t most;
	struct member members[MEMBERS];
};

/**
 * struct dump - one on its way
 * @groups:	what was found; after them, by hash, their numbers + 1
 * @table:	those numbers
 * @count:	groups
 * @room:	that there is memory for; the table has twice as many places
 * @missed:	goroutines for which there was no memory
 * @answers:	of threads that run others
 * @nr_answers:	how many
 * @answers_size: of the memory they are in
 * @current:	the caller, if it is a goroutine
 * @from:	where that one called
 * @traces:	stacks of parked goroutines may be walked
 * @image:	what one of them has saved, while it is
 * @now:	milliseconds since the runtime started
 */
struct dump {
	struct group *groups;
	uint32_t *table;
	uint32_t count;
	uint32_t room;
	uint64_t missed;
	struct burrow_answer *answers;
	unsigned int nr_answers;
	size_t answers_size;
	struct goroutine *current;
	uintptr_t from;
	bool traces;
	struct burrow_stack_image image;
	uint32_t now;
};

static void *get_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t room_bytes(uint32_t room)
{
	return (size_t)room * (sizeof(struct group) + 2 * sizeof(uint32_t));
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	/* A round of splitmix64, Steele 2014. */
	hash = (hash ^ value) * 0xbf58476d1ce4e5b9ULL;
	return hash ^ hash >> 31;
}

/*
 * What counts of a frame: where it is. Of the innermost one, and where the
 * scheduler parks, the function: a switch may be there more than once, to the
 * next goroutine and to the thread's loop.
 */
static uintptr_t place_in(const struct burrow_trace *trace, unsigned int i)
{
	void *at = (void *)trace->first[i], *fn;

	if (i > 2)
		return (uintptr_t)at;
	fn = _Unwind_FindEnclosingFunction(at);
	if (!i || fn == (void *)burrow_park || fn == (void *)burrow_park_call ||
	    fn == (void *)burrow_pass)
		return (uintptr_t)fn;
	return (uintptr_t)at;
}

static uint64_t hash_of(const struct group *g)
{
	uint64_t hash = mix(g->doing, (uintptr_t)g->reason);
	unsigned int i;

	hash = mix(hash, (uintptr_t)g->site);
	hash = mix(hash, g->bound);
	hash = mix(hash, g->tid);
	hash = mix(hash, g->trace.frames);
	for (i = 0; i < g->trace.frames && i < BURROW_TRACE_FIRST; i++)
		hash = mix(hash, place_in(&g->trace, i));
	for (i = 0;
	     g->trace.frames > BURROW_TRACE_FIRST && i < BURROW_TRACE_LAST; i++)
		hash = mix(hash, g->trace.last[i]);
	return hash;
}

static uint32_t *place_of(const struct dump *dump, uint64_t hash)
{
	uint32_t mask = 2 * dump->room - 1, i = hash & mask;

	while (dump->table[i] && dump->groups[dump->table[i] - 1].hash != hash)
		i = (i + 1) & mask;
	return &dump->table[i];
}

static bool grow(struct dump *dump)
{
	uint32_t i, room = dump->room ? 2 * dump->room : GROUPS_FIRST;
	struct group *groups = get_memory(room_bytes(room));

	if (!groups)
		return false;
	if (dump->groups) {
		memcpy(groups, dump->groups,
		       dump->count * sizeof(dump->groups[0]));
		munmap(dump->groups, room_bytes(dump->room));
	}
	dump->groups = groups;
	dump->room = room;
	dump->table = (uint32_t *)(groups + room);
	for (i = 0; i < dump->count; i++)
		*place_of(dump, groups[i].hash) = i + 1;
	return true;
}

/* The group like this one, which may be new; NULL: no memory. */
static struct group *group_like(struct dump *dump, struct group *like)
{
	uint32_t *place;

	if (dump->count == dump->room && !grow(dump))
		return NULL;
	like->hash = hash_of(like);
	place = place_of(dump, like->hash);
	if (!*place) {
		dump->groups[dump->count] = *like;
		*place = ++dump->count;
	}
	return &dump->groups[*place - 1];
}

static const struct burrow_answer *answer_of(const struct dump *dump,
					     const struct goroutine *g)
{
	unsigned int i;

	for (i = 0; i < dump->nr_answers; i++) {
		if (dump->answers[i].g == g)
			return &dump->answers[i];
	}
	return NULL;
}

static void look_at_running(const struct dump *dump, const struct goroutine *g,
			    struct group *like)
{
	const struct burrow_answer *answer;

	like->doing = DOING_RUNNING;
	if (g == dump->current) {
		burrow_trace_here(&like->trace, dump->from);
		return;
	}
	answer = answer_of(dump, g);
	if (!answer)
		return;
	if (answer->state != BURROW_ANSWER_GIVEN) {
		like->doing = DOING_NO_ANSWER;
		like->tid = answer->tid;
		return;
	}
	if (answer->blocking)
		like->doing = DOING_BLOCKING;
	like->trace = answer->trace;
}

static void look_at(struct dump *dump, const struct goroutine *g,
		    struct group *like)
{
	like->site = g->site == burrow_runtime.main_fn ? NULL : g->site;
	like->bound = g->bound;
	if (g->state == GOROUTINE_RUNNING) {
		look_at_running(dump, g, like);
		return;
	}
	if (!g->stack.arena) {
		like->doing = DOING_NOT_STARTED;
		like->trace.frames = 1;
		like->trace.first[0] = (uintptr_t)g->fn;
		return;
	}
	like->doing = DOING_RUNNABLE;
	if (g->state == GOROUTINE_WAITING) {
		like->doing = DOING_WAIT;
		like->reason = goroutine_reason_name(g);
	}
	if (dump->traces)
		burrow_trace_parked(&like->trace,
				    burrow_stack_look(&g->stack, g->context,
						      &dump->image));
}

/* Those of smallest number are named, in order. */
static void keep(struct group *group, const struct goroutine *g)
{
	unsigned int i = group->count < MEMBERS ? group->count : MEMBERS;
	struct member *m = group->members;

	if (i == MEMBERS && m[--i].id < g->id)
		return;
	for (; i && m[i - 1].id > g->id; i--)
		m[i] = m[i - 1];
	m[i].id = g->id;
	strncpy(m[i].name, g->name ? g->name : "", sizeof(m[i].name) - 1);
}

static void add(struct goroutine *g, void *arg)
{
	struct dump *dump = arg;
	struct group like, *group;
	uint32_t waited;

	memset(&like, 0, sizeof(like));
	look_at(dump, g, &like);
	group = group_like(dump, &like);
	if (!group) {
		dump->missed++;
		return;
	}
	waited = dump->now > g->parked_at ? dump->now - g->parked_at : 0;
	if (!group->count || waited < group->least)
		group->least = waited;
	if (waited > group->most)
		group->most = waited;
	keep(group, g);
	group->count++;
}

/* Asks all threads that are in C code on a goroutine's behalf. */
static void ask_threads(struct dump *dump)
{
	struct burrow_runtime *rt = &burrow_runtime;
	struct burrow_answer *answer;
	struct burrow_thread *t;
	struct goroutine *g;

	dump->answers_size = rt->nr_threads * sizeof(dump->answers[0]);
	if (dump->answers_size)
		dump->answers = get_memory(dump->answers_size);
	if (!dump->answers)
		return;
	for (t = rt->threads; t; t = t->next) {
		g = __atomic_load_n(&t->current, __ATOMIC_RELAXED);
		if (g == &t->loop || g == dump->current || t->exited)
			continue;
		answer = &dump->answers[dump->nr_answers++];
		answer->g = g;
		answer->tid = READ_ONCE(t->tid);
		answer->blocking =
			__atomic_load_n(&t->attention, __ATOMIC_RELAXED) &
			ATTENTION_BLOCKING;
	}
	burrow_ask(dump->answers, dump->nr_answers);
}

/* Under runtime.lock. */
static void take(struct dump *dump)
{
	dump->now = (burrow_now() - burrow_runtime.started_at) / 1000000;
	ask_threads(dump);
	goroutine_each(add, dump);
	if (dump->answers)
		munmap(dump->answers, dump->answers_size);
}

/* By the first of their goroutines (Shell 1959): no qsort(), it may allocate. */
static void sort(uint32_t *order, const struct group *groups, uint32_t n)
{
	uint32_t gap, i, j, it;

	for (gap = n / 2; gap; gap /= 2) {
		for (i = gap; i < n; i++) {
			it = order[i];
			for (j = i;
			     j >= gap && groups[order[j - gap]].members[0].id >
						 groups[it].members[0].id;
			     j -= gap)
				order[j] = order[j - gap];
			order[j] = it;
		}
	}
}

#define TEXT 512

static size_t put_time(char *text, size_t len, uint32_t ms)
{
	if (ms < 1000)
		return burrow_format(text, TEXT, len, "%u ms", ms);
	if (ms < 120 * 1000)
		return burrow_format(text, TEXT, len, "%u seconds", ms / 1000);
	return burrow_format(text, TEXT, len, "%u minutes", ms / 60000);
}

static size_t put_doing(char *text, size_t len, const struct group *g)
{
	static const char *const names[] = {
		[DOING_RUNNABLE] = "runnable",
		[DOING_NOT_STARTED] = "runnable, not started",
		[DOING_RUNNING] = "running",
		[DOING_BLOCKING] = "in burrow_blocking",
		[DOING_NO_ANSWER] = "running",
	};

	len = burrow_format(text, TEXT, len, " [%s",
			    g->doing == DOING_WAIT ? g->reason :
						     names[g->doing]);
	if (g->doing == DOING_WAIT) {
		len = burrow_format(text, TEXT, len, ", ");
		len = put_time(text, len, g->least);
		if (g->most / 1000 > g->least / 1000) {
			len = burrow_format(text, TEXT, len, " to ");
			len = put_time(text, len, g->most);
		}
	}
	if (g->bound)
		len = burrow_format(text, TEXT, len, ", locked to thread");
	return burrow_format(text, TEXT, len, "]:");
}

static size_t put_member(char *text, size_t len, const struct member *m)
{
	return burrow_format(text, TEXT, len, " %lu%s%s%s", m->id,
			     *m->name ? " (" : "", m->name,
			     *m->name ? ")" : "");
}

static void print_head(int fd, const struct group *g)
{
	char text[TEXT];
	size_t len = 0;
	uint32_t i;

	if (g->count == 1) {
		len = burrow_format(text, TEXT, len, "goroutine");
		len = put_member(text, len, &g->members[0]);
		put_doing(text, len, g);
		burrow_print(fd, "%s\n", text);
		return;
	}
	len = burrow_format(text, TEXT, len, "%u goroutines", g->count);
	len = put_doing(text, len, g);
	for (i = 0; i < g->count && i < MEMBERS; i++) {
		if (i)
			len = burrow_format(text, TEXT, len, ",");
		len = put_member(text, len, &g->members[i]);
	}
	if (g->count > MEMBERS)
		burrow_format(text, TEXT, len, " and %u more",
			      g->count - MEMBERS);
	burrow_print(fd, "%s\n", text);
}

static void print_group(int fd, const struct group *g)
{
	print_head(fd, g);
	if (g->doing == DOING_NO_ANSWER)
		burrow_print(
			fd,
			"  thread %d does not answer (it may block the signal): no backtrace\n",
			g->tid);
	burrow_trace_print(fd, &g->trace);
	/* The return address: back to the call. */
	if (g->site)
		burrow_address_print(fd, "  created by ",
				     (uintptr_t)g->site - 1);
}

/* Prints it, and lets it go. */
static void finish(struct dump *dump, int fd)
{
	uint32_t *order = dump->table, i;

	/* The table has done its work, and is large enough. */
	for (i = 0; i < dump->count; i++)
		order[i] = i;
	sort(order, dump->groups, dump->count);
	for (i = 0; i < dump->count; i++) {
		if (i)
			burrow_print(fd, "\n");
		print_group(fd, &dump->groups[order[i]]);
	}
	if (dump->missed)
		burrow_print(fd, "and %lu goroutines: no memory to tell\n",
			     dump->missed);
	burrow_symbols_close();
	if (dump->groups)
		munmap(dump->groups, room_bytes(dump->room));
}

void burrow_dump_all(int fd)
{
	struct dump dump = { .traces = true };

	take(&dump);
	finish(&dump, fd);
}

void burrow_dump_quit(void)
{
	struct dump dump = { .traces = true };
	struct timespec until;
	bool locked;

	burrow_report_begin();
	burrow_print(STDERR_FILENO, "burrow: SIGQUIT\n");
	if (!burrow_world_try_stop(NULL, PATIENCE_NS)) {
		burrow_print(
			STDERR_FILENO,
			"burrow: a thread does not leave the runtime: no backtraces of those that wait\n");
		dump.traces = false;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	locked = !pthread_mutex_timedlock(&burrow_runtime.lock, &until);
	take(&dump);
	if (locked)
		pthread_mutex_unlock(&burrow_runtime.lock);
	finish(&dump, STDERR_FILENO);
	_exit(2);
}

/**
 * struct request - a dump that the program asked for
 * @self:	the thread, NULL: a foreign one
 * @current:	who asks, or NULL
 * @from:	and where
 * @fd:		where to
 * @ret:	result
 */
struct request {
	struct burrow_thread *self;
	struct goroutine *current;
	uintptr_t from;
	int fd;
	int ret;
};

static void serve(void *arg)
{
	struct request *r = arg;
	struct dump dump = {
		.traces = true,
		.current = r->current,
		.from = r->from,
	};

	burrow_world_stop(r->self);
	pthread_mutex_lock(&burrow_runtime.lock);
	/* At the end of a run its threads are on no list to be stopped. */
	r->ret = burrow_runtime.running && !READ_ONCE(burrow_runtime.done) ?
			 0 :
			 -ESRCH;
	if (!r->ret)
		take(&dump);
	pthread_mutex_unlock(&burrow_runtime.lock);
	burrow_world_start(r->self);
	if (!r->ret)
		finish(&dump, r->fd);
}

static bool is_blocking(const struct burrow_thread *self)
{
	return __atomic_load_n(&self->attention, __ATOMIC_RELAXED) &
	       ATTENTION_BLOCKING;
}

/* A goroutine's stack may be too small for it, and nearly used up. */
int burrow_dump(int fd)
{
	struct request r = {
		.self = burrow_self(),
		.current = burrow_current(),
		.from = (uintptr_t)__builtin_return_address(0),
		.fd = fd,
	};

	if (!r.self || is_blocking(r.self)) {
		serve(&r);
		return r.ret;
	}
	r.self = burrow_enter("burrow_dump");
	burrow_leave(r.self);
	burrow_call_on_thread(r.self, serve, &r);
	return r.ret;
}
