// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * BURROW_DEBUG=escapecheck=1: who points into a goroutine's stack?
 *
 * C does not move a variable to the heap because its address is kept. So in the
 * last stop of each cycle every word of the heap, of static data and of stacks is
 * looked at. One that points to a variable of another goroutine is told of: that
 * is sharing, and right only as long as the function does not return. One that
 * points below what is live of a stack, or to a stack that nobody has, is an
 * error: the function has returned. On stacks words are left that nobody reads
 * any more, so what is told of them may be of the past.
 *
 * What is the same is told once: by type and field, by the places where the two
 * goroutines were started, or by the address of a static word.
 *
 * Memory comes from the system; the world stands still for long.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../debug/backtrace.h"
#include "../debug/print.h"
#include "../debug/symbol.h"
#include "../heap/heap.h"
#include "../sched/sched.h"
#include "collector.h"
#include "escape.h"
#include "images.h"
#include "roots.h"

#define TOLD 256 /* lines in a process */
#define LINES 32 /* in a cycle */

/**
 * struct live - what is live of a stack
 * @top:	its upper end, 0: no entry
 * @low:	live from here up
 * @goroutine:	whose
 */
struct live {
	const char *top;
	const char *low;
	const struct goroutine *goroutine;
};

/**
 * struct check - one look at everything
 * @heap:	which heap
 * @live:	by upper end, open addressing
 * @room:	of that, a power of two
 * @kind:	of the roots that are looked at
 * @object:	that is looked at
 */
struct check {
	struct burrow_heap *heap;
	struct live *live;
	size_t room;
	const char *kind;
	const struct burrow_object *object;
};

/**
 * struct finding - one word, and what may be said of it once
 * @key:	what is the same in all that need not be told again
 * @word:	where the pointer is
 * @to:		where it points
 * @owner:	whose stack that is, NULL: nobody's
 * @dead:	below what is live of it
 */
struct finding {
	uint64_t key[3];
	const void *word;
	const char *to;
	const struct goroutine *owner;
	bool dead;
};

/**
 * struct line - what was found in the last stop
 * @text:	of it
 * @site:	where the stack's goroutine was started, 0: it has none, or by
 *		burrow_run()
 */
struct line {
	char text[320];
	uintptr_t site;
};

/* By the collector's thread. What does not fit is told after the next cycle. */
static uint64_t told[TOLD][3];
static unsigned int nr_told;
static struct line lines[LINES];
static unsigned int nr_lines;

static bool is_new(const struct finding *f)
{
	unsigned int i;

	for (i = 0; i < nr_told; i++) {
		if (!memcmp(told[i], f->key, sizeof(f->key)))
			return false;
	}
	if (nr_told == TOLD || nr_lines == LINES)
		return false;
	memcpy(told[nr_told++], f->key, sizeof(f->key));
	return true;
}

static struct live *live_at(const struct check *c, const char *top)
{
	/* Fibonacci hashing */
	size_t i = ((uintptr_t)top * 0x9e3779b97f4a7c15ULL >> 32) &
		   (c->room - 1);

	while (c->live[i].top && c->live[i].top != top)
		i = (i + 1) & (c->room - 1);
	return &c->live[i];
}

static void count_one(struct goroutine *g, void *arg)
{
	size_t *count = arg;

	*count += !!g->stack.arena;
}

static void add_owner(struct goroutine *g, void *arg)
{
	struct check *c = arg;
	struct live *live;

	if (!g->stack.arena)
		return;
	live = live_at(c, burrow_stack_top(&g->stack));
	live->top = burrow_stack_top(&g->stack);
	live->low = live->top;
	live->goroutine = g;
}

/* What the collector scans of a stack is what is live of it. */
static void add_live(void *arg, const void *low, const void *high)
{
	struct check *c = arg;
	struct live *live = live_at(c, high);

	if (live->top && (const char *)low < live->low)
		live->low = low;
}

static bool open_check(struct check *c)
{
	size_t count = 1;

	goroutine_each(count_one, &count);
	for (c->room = 64; c->room < 2 * count;)
		c->room *= 2;
	c->live = mmap(NULL, c->room * sizeof(*c->live), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->live == MAP_FAILED)
		return false;
	goroutine_each(add_owner, c);
	burrow_stacks_each(add_live, c);
	return true;
}

/* What of static data is the runtime's own: it knows who waits on which stack. */
static bool is_ours(const void *word)
{
	return (uintptr_t)word - (uintptr_t)&burrow_collector <
		       sizeof(burrow_collector) ||
	       (uintptr_t)word - (uintptr_t)&burrow_runtime <
		       sizeof(burrow_runtime);
}

/* True: a word points to some stack; says to whose, and where to. */
static bool points_to_stack(const struct check *c, const void *const *word,
			    struct finding *f)
{
	const struct burrow_stack_arena *arena;
	const struct live *live;
	size_t slot;

	f->word = word;
	f->to = *word;
	arena = burrow_stack_find(burrow_runtime.pool, f->to);
	if (!arena)
		return false;
	slot = (f->to - arena->base) / arena->stride;
	/* A number that looks like an address, which nobody ever had. */
	if (slot >= arena->fresh)
		return false;
	/* No variable was ever in a guard: it is the end of what lies below. */
	if (f->to < arena->base + slot * arena->stride + arena->guard)
		return false;
	live = live_at(c, arena->base + (slot + 1) * arena->stride);
	f->owner = live->top ? live->goroutine : NULL;
	f->dead = !f->owner || f->to < live->low;
	return true;
}

/* A line for it; names of functions are looked up when the world goes on. */
static void note(const struct finding *f, const char *what)
{
	struct line *line = &lines[nr_lines++];
	const struct goroutine *g = f->owner;

	line->site = g && g->site != burrow_runtime.main_fn ?
			     (uintptr_t)g->site - 1 :
			     0;
	if (!g)
		burrow_format(
			line->text, sizeof(line->text), 0,
			"burrow: escapecheck: error: %s points to 0x%lx, a stack that no goroutine has any more\n",
			what, (unsigned long)f->to);
	else
		burrow_format(
			line->text, sizeof(line->text), 0,
			"burrow: escapecheck: %s%s points to 0x%lx, %s the stack of goroutine %lu%s%s%s\n",
			f->dead ? "error: " : "", what, (unsigned long)f->to,
			f->dead ? "below what is live of" : "into", g->id,
			BURROW_NAME_ARGS(g));
}

__attribute__((no_sanitize("address", "thread"))) static void
look_in_object(const struct burrow_object *object, void *arg)
{
	const char *type = burrow_heap_type_name(object);
	const char *kind = burrow_heap_kind_name(object);
	const void *const *word = (const void *const *)object->start;
	const void *const *end = word + object->size / sizeof(*word);
	struct finding f;
	char what[200], name[48];
	size_t field;

	if (!burrow_heap_may_point(object))
		return;
	for (; word < end; word++) {
		if (!points_to_stack(arg, word, &f))
			continue;
		field = burrow_heap_field_of(object, word);
		f.key[0] = (uintptr_t)(type ? type : kind);
		f.key[1] = type ? field : (uintptr_t)f.owner;
		f.key[2] = f.dead;
		if (!is_new(&f))
			continue;
		burrow_heap_field_name(object, field, name, sizeof(name));
		burrow_format(
			what, sizeof(what), 0,
			"%s%soffset %zu of %s, object 0x%lx of %zu bytes,",
			name, name[0] ? ", at " : "", field,
			type ? type : "memory without a type",
			(unsigned long)object->start, object->size);
		note(&f, what);
	}
}

/* Whose stack the range is of; NULL: it is none. */
static const struct goroutine *holder_of(const struct check *c,
					 const void *high)
{
	const struct live *live = live_at(c, high);

	return live->top ? live->goroutine : NULL;
}

__attribute__((no_sanitize("address", "thread"))) static void
look_in_stack(void *arg, const void *low, const void *high)
{
	const void *const *word =
		(const void *const *)(((uintptr_t)low + 7) & ~7UL);
	const struct goroutine *holder = holder_of(arg, high);
	struct finding f;
	char what[160];

	if (!holder)
		return;
	for (; (const char *)(word + 1) <= (const char *)high; word++) {
		if (!points_to_stack(arg, word, &f) || f.owner == holder)
			continue;
		f.key[0] = (uintptr_t)holder->site;
		f.key[1] = f.owner ? (uintptr_t)f.owner->site : 0;
		f.key[2] = 2 + f.dead;
		if (!is_new(&f))
			continue;
		burrow_format(what, sizeof(what), 0,
			      "a word on the stack of goroutine %lu%s%s%s",
			      holder->id, BURROW_NAME_ARGS(holder));
		note(&f, what);
	}
}

__attribute__((no_sanitize("address", "thread"))) static void
look_in_static(void *arg, const void *low, const void *high)
{
	const void *const *word =
		(const void *const *)(((uintptr_t)low + 7) & ~7UL);
	struct finding f;
	char what[160];

	for (; (const char *)(word + 1) <= (const char *)high; word++) {
		if (!points_to_stack(arg, word, &f) || is_ours(word))
			continue;
		f.key[0] = (uintptr_t)word;
		f.key[1] = (uintptr_t)f.owner;
		f.key[2] = 4 + f.dead;
		if (!is_new(&f))
			continue;
		burrow_format(what, sizeof(what), 0, "static data at 0x%lx",
			      (unsigned long)word);
		note(&f, what);
	}
}

void burrow_escape_check(struct burrow_heap *heap)
{
	struct check c = { .heap = heap };

	if (!open_check(&c))
		return;
	burrow_heap_each(heap, look_in_object, &c);
	burrow_stacks_each(look_in_stack, &c);
	burrow_images_each(look_in_static, &c);
	munmap(c.live, c.room * sizeof(*c.live));
}

void burrow_escape_tell(void)
{
	const struct line *line;

	for (line = lines; line < lines + nr_lines; line++) {
		burrow_print(STDERR_FILENO, "%s", line->text);
		if (line->site)
			burrow_address_print(STDERR_FILENO,
					     "  that was started at ",
					     line->site);
	}
	if (nr_lines)
		burrow_symbols_close();
	nr_lines = 0;
}
