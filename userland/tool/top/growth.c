// SPDX-License-Identifier: GPL-2.0
/*
 * Remembers two looks, the last one and the one under way, each a hash table of
 * what goroutines' stacks held. See growth.h. A process is in it, too, as the
 * goroutine of number 0, which is nobody's. Where memory is short what did not get
 * in was not seen.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "growth.h"
#include "table.h"

#define SLOTS_FIRST 1024 /* a power of two, as all sizes */

struct stack {
	pid_t pid; /* 0: nobody is here */
	uint64_t goroutine;
	uint64_t bytes;
};

struct look {
	struct stack *slots;
	size_t nr_slots;
	size_t used;
	struct timespec when;
};

static struct look before, now;
static pid_t current;
static bool seen_before;

/* Where that one is, or would be. Never full: see remember(). */
static struct stack *slot_of(const struct look *look, pid_t pid,
			     uint64_t goroutine)
{
	uint64_t hash =
		(goroutine ^ (uint64_t)pid << 32) * 0x9e3779b97f4a7c15UL;
	size_t i = hash >> 32;
	struct stack *s;

	for (;; i++) {
		s = &look->slots[i & (look->nr_slots - 1)];
		if (!s->pid || (s->pid == pid && s->goroutine == goroutine))
			return s;
	}
}

static const struct stack *find(const struct look *look, pid_t pid,
				uint64_t goroutine)
{
	const struct stack *s;

	if (!look->nr_slots)
		return NULL;
	s = slot_of(look, pid, goroutine);
	return s->pid ? s : NULL;
}

static bool make_larger(struct look *look)
{
	struct look larger = *look;
	size_t i;

	larger.nr_slots = look->nr_slots ? look->nr_slots * 2 : SLOTS_FIRST;
	larger.slots = calloc(larger.nr_slots, sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (i = 0; i < look->nr_slots; i++) {
		const struct stack *s = &look->slots[i];

		if (s->pid)
			*slot_of(&larger, s->pid, s->goroutine) = *s;
	}
	free(look->slots);
	*look = larger;
	return true;
}

static void remember(struct look *look, pid_t pid, uint64_t goroutine,
		     uint64_t bytes)
{
	struct stack *s;

	if (look->used * 2 >= look->nr_slots && !make_larger(look))
		return;
	s = slot_of(look, pid, goroutine);
	look->used += !s->pid;
	*s = (struct stack){ pid, goroutine, bytes };
}

static void forget(struct look *look)
{
	free(look->slots);
	*look = (struct look){};
}

void growth_look(void)
{
	forget(&before);
	before = now;
	now = (struct look){};
	clock_gettime(CLOCK_MONOTONIC, &now.when);
}

void growth_process(pid_t pid)
{
	current = pid;
	seen_before = find(&before, pid, 0);
	remember(&now, pid, 0, 0);
}

uint64_t growth_rate(uint64_t goroutine, uint64_t bytes)
{
	const struct stack *s = find(&before, current, goroutine);
	uint64_t had = s ? s->bytes : 0;
	double seconds = now.when.tv_sec - before.when.tv_sec +
			 (now.when.tv_nsec - before.when.tv_nsec) / 1e9;

	remember(&now, current, goroutine, bytes);
	if (!seen_before || seconds <= 0)
		return UNKNOWN;
	return bytes > had ? (bytes - had) / seconds : 0;
}

void growth_forget(void)
{
	forget(&before);
	forget(&now);
}
