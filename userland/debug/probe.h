/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * USDT probes, provider "burrow"; names, arguments and what they mean are a
 * promise to who traces (Documentation/probes.rst). A probe is a place in the code
 * with a note in the ELF file; who watches makes the kernel put a breakpoint there
 * and count up the probe's semaphore, a variable of ours. It is looked at before
 * anything is done for the probe, so that one nobody watches costs that look.
 *
 * Switches are the shortest way that is watched. The semaphores of what happens
 * there lie in one word, with the bit for AddressSanitizer, so that one look does
 * for all of them: burrow_watch. Written by the kernel, and before threads start.
 *
 * No probe may come where a goroutine runs on another's stack, or where the thread
 * holds a lock that others spin on: what watches takes its time. (A goroutine that
 * parks holds the lock of what it waits for; that one is short of watchers.)
 */
#ifndef BURROW_PROBE_H
#define BURROW_PROBE_H

#include <stdint.h>

#include "../sched/lock.h"

#if __has_include(<sys/sdt.h>) && !defined(BURROW_NO_PROBES)
/* Operands as every reader of notes understands them: registers and numbers. */
#define STAP_SDT_ARG_CONSTRAINT nr
#define _SDT_HAS_SEMAPHORES 1
#define SDT_USE_VARIADIC 1
#include <sys/sdt.h>
#define BURROW_WATCHED(name) burrow_unlikely(burrow_##name##_semaphore)
#else
/* Without systemtap's header, or by choice, the library has no probes. */
static inline void burrow_probe_none(int nothing, ...)
{
	(void)nothing;
}

#define STAP_PROBEV(provider, name, ...) burrow_probe_none(0, ##__VA_ARGS__)
#define BURROW_WATCHED(name) 0
#endif

/* The semaphores. Those of switches are parts of burrow_watch, below. */
extern uint16_t burrow_go_start_semaphore BURROW_HIDDEN;
extern uint16_t burrow_go_park_semaphore BURROW_HIDDEN;
extern uint16_t burrow_go_end_semaphore BURROW_HIDDEN;
extern uint16_t burrow_go_create_semaphore BURROW_HIDDEN;
extern uint16_t burrow_go_ready_semaphore BURROW_HIDDEN;
extern uint16_t burrow_stack_shrink_semaphore BURROW_HIDDEN;
extern uint16_t burrow_gc_start_semaphore BURROW_HIDDEN;
extern uint16_t burrow_gc_mark_done_semaphore BURROW_HIDDEN;
extern uint16_t burrow_gc_sweep_done_semaphore BURROW_HIDDEN;
extern uint16_t burrow_gc_stw_begin_semaphore BURROW_HIDDEN;
extern uint16_t burrow_gc_stw_end_semaphore BURROW_HIDDEN;

/**
 * union burrow_watch - who watches switches
 * @any:	not 0: somebody does
 * @go_start:	semaphore of the probe
 * @go_park:	the same
 * @go_end:	the same
 * @asan:	AddressSanitizer is to be told
 */
union burrow_watch {
	uint64_t any;
	struct {
		uint16_t go_start;
		uint16_t go_park;
		uint16_t go_end;
		uint16_t asan;
	};
};

extern union burrow_watch burrow_watch BURROW_HIDDEN;

struct burrow_thread;
struct goroutine;

/* Before a switch to @to, while somebody watches: what becomes of who is left. */
void burrow_probe_switch(struct burrow_thread *self, struct goroutine *to,
			 int after);

/*
 * A text as an argument. BPF programs can't have a page come in that is not mapped,
 * and would read nothing: it is read here, once somebody watches.
 */
static inline const char *burrow_probe_text(const char *text)
{
	const volatile char *c = text;

	while (*c)
		c++;
	return text;
}

/* BURROW_PROBE(go_ready, g->id, by): up to twelve numbers or pointers */
#define BURROW_PROBE(name, ...)                                   \
	do {                                                      \
		if (BURROW_WATCHED(name))                         \
			STAP_PROBEV(burrow, name, ##__VA_ARGS__); \
	} while (0)

#endif /* BURROW_PROBE_H */
