// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The probes' semaphores, and what is told of a switch.
 */
#include "probe.h"
#include "../sched/sched.h"

/* Where tools look for semaphores. */
#define SEMAPHORE __attribute__((section(".probes"), used))

uint16_t burrow_go_create_semaphore SEMAPHORE;
uint16_t burrow_go_ready_semaphore SEMAPHORE;
uint16_t burrow_stack_shrink_semaphore SEMAPHORE;
uint16_t burrow_gc_start_semaphore SEMAPHORE;
uint16_t burrow_gc_mark_done_semaphore SEMAPHORE;
uint16_t burrow_gc_sweep_done_semaphore SEMAPHORE;
uint16_t burrow_gc_stw_begin_semaphore SEMAPHORE;
uint16_t burrow_gc_stw_end_semaphore SEMAPHORE;

union burrow_watch burrow_watch SEMAPHORE;

/* A probe finds its semaphore by this name: let it be a part of the word. */
#define PART(name, at)                                 \
	__asm__(".globl burrow_" #name "_semaphore\n"  \
		".hidden burrow_" #name "_semaphore\n" \
		".set burrow_" #name "_semaphore, burrow_watch + " #at)
PART(go_start, 0);
PART(go_park, 2);
PART(go_end, 4);

_Static_assert(sizeof(burrow_watch) == sizeof(burrow_watch.any), "one look");

/* Why one stops that waits for nothing but a processor. */
#define YIELD (-1)
#define LOST (-2)

/*
 * What becomes of the goroutine that is left. Its thread has no processor where
 * that was taken while it was in the program's code (enter.c).
 */
static void tell_left(const struct burrow_thread *self,
		      const struct goroutine *g, enum burrow_after after)
{
	int64_t why = self->proc ? YIELD : LOST;
	const char *text = self->proc ? "yield" : "processor lost";

	if (after == AFTER_FREE) {
		BURROW_PROBE(go_end, g->id);
		return;
	}
	if (g->state == GOROUTINE_WAITING) {
		why = g->reason;
		text = goroutine_reason_name(g);
	}
	BURROW_PROBE(go_park, g->id, why, burrow_probe_text(text));
}

void burrow_probe_switch(struct burrow_thread *self, struct goroutine *to,
			 int after)
{
	if (self->current != &self->loop)
		tell_left(self, self->current, after);
	if (to != &self->loop)
		BURROW_PROBE(go_start, to->id, (int64_t)self->proc->index);
}
